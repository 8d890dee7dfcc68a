#compdef future
# zsh completion for future(1): commands and options from the program itself, live names from the daemon.
_future() {
    local command=${words[2]} word=${words[CURRENT]}
    local -a found
    if ((CURRENT == 2)) && [[ $word != -* ]]; then
        found=("${(@f)$(future commands | awk -F'\t' '$1 { print $1 ":" $3 }')}")
        _describe command found
    elif [[ $word == -* ]]; then
        found=("${(@f)$(future commands | awk -F'\t' -v c="$command" '$1 { on = $1 == c; next } on { print $3 ":" $5 }')}")
        _describe option found
    else
        case $command in
        run | submit | map)
            if ((CURRENT == 3)); then
                found=("${(@f)$(future handlers --tsv 2>/dev/null | cut -f1)}")
                _describe handler found
            else
                _files
            fi ;;
        pause | resume | queues | purge)
            found=("${(@f)$(future queues --tsv 2>/dev/null | cut -f1)}")
            [[ $command == (pause|resume) ]] && found+=(io cpu)
            _describe queue found ;;
        get | result | wait | logs | cancel | retry | rm)
            found=("${(@f)$(future ls --tsv 2>/dev/null | cut -f1)}")
            _describe future found ;;
        esac
    fi
}
_future "$@"
