# bash completion for future(1): commands and options from the program itself, live names from the daemon.
_future() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command='' i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${COMP_WORDS[i]} != -* ]] && command=${COMP_WORDS[i]} && break
    done
    if [ -z "$command" ] && [[ $word != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(future commands | awk -F'\t' '$1 { print $1 }')" -- "$word")
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--url --token-file --ca --json --tsv --help $(future commands |
            awk -F'\t' -v c="$command" '$1 { on = $1 == c; next } on { print $3 }')" -- "$word")
    elif [[ $before == --queue ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(future queues --tsv 2>/dev/null | cut -f1)" -- "$word")
    elif [ "$before" = "$command" ] || [[ $before == --handler || $before == -H ]]; then
        case $command,$before in
        run,* | submit,* | map,* | *,--handler | *,-H)
            mapfile -t COMPREPLY < <(compgen -W "$(future handlers --tsv 2>/dev/null | cut -f1)" -- "$word") ;;
        pause,* | resume,*)
            mapfile -t COMPREPLY < <(compgen -W "io cpu $(future queues --tsv 2>/dev/null | cut -f1)" -- "$word") ;;
        queues,* | purge,*)
            mapfile -t COMPREPLY < <(compgen -W "$(future queues --tsv 2>/dev/null | cut -f1)" -- "$word") ;;
        get,* | result,* | wait,* | logs,* | cancel,* | retry,* | rm,*)
            mapfile -t COMPREPLY < <(compgen -W "$(future ls --tsv 2>/dev/null | cut -f1)" -- "$word") ;;
        esac
    else
        mapfile -t COMPREPLY < <(compgen -f -- "${word#@}")
    fi
}
complete -o filenames -F _future future
