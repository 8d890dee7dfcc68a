#compdef future
# zsh completion for future(1): `future complete` says what a word may become, from its own tables and from the daemon.
_future() {
    local -a found
    local line help
    while IFS=$'\t' read -r line help; do
        if [[ $line == @files ]]; then
            compset -P '@'
            _files
        else
            found+=("${line//:/\\:}:$help")
        fi
    done < <(future complete "${(@)words[2,CURRENT]}" 2>/dev/null)
    (($#found)) && _describe word found
}
_future "$@"
