# bash completion for future(1): `future complete` says what a word may become, from its own tables and from the daemon.
_future() {
    local word=${COMP_WORDS[COMP_CWORD]} found
    mapfile -t found < <(future complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)
    if [[ " ${found[*]} " == *" @files "* ]]; then
        local at=''
        [[ $word == @* ]] && at=@
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -P "$at" -f -- "${word#@}")
    else
        COMPREPLY=("${found[@]}")
    fi
}
complete -F _future future
