# bash completion for futured(8)
_futured() {
    local word=${COMP_WORDS[COMP_CWORD]}
    mapfile -t COMPREPLY < <(compgen -W "check backup compact copy tune --help --version --check-config --dump-config --dump-states --dump-ends
        --dump-metrics --dump-handlers-file --store=memory --store=sqlite --env-file=" -- "$word")
}
complete -F _futured futured
