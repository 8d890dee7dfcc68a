#!/bin/sh
# A handler of the crash test: suspends itself once, as `later` for a moment, as `join` until the future has ended
# that its input names, and ends with its number. What it was promised it holds against marks of its own in the
# directory $1: exit status 9 when a checkpoint that was acknowledged does not come back, or when it is woken before
# that future has ended.
# The input: N, or [N,"ID"].
wrong() {
    echo "$1" >&2
    exit 9
}

results=''
read -r word saved <&3 || exit 1
if [ "$word" = results ]; then # the attempt before was suspended
    results=$(printf %s "$saved" | base64 -d)
    read -r word saved <&3 || exit 1
fi
input=$(tr -d '[]" ')
number=${input%%,*}
mark=$1/saved-$number
if [ "$word" = checkpoint ]; then
    [ "$(printf %s "$saved" | base64 -d)" = "$number" ] || wrong 'this is the checkpoint of another task'
elif [ -e "$mark" ] || [ -n "$results" ]; then
    wrong 'the checkpoint that was acknowledged is not there'
else
    printf 'checkpoint %s\n' "$(printf %s "$number" | base64)" >&3
    while read -r answer why <&3; do
        case $answer in
        saved) break ;;
        yield) ;;
        *) wrong "not saved: $why" ;;
        esac
    done
    [ "$answer" = saved ] || exit 1 # the daemon has died
    : >"$mark"
    [ "$FUTURED_HANDLER" = join ] || {
        echo 'suspend 0.5' >&3
        exit 0
    }
fi
if [ "$FUTURED_HANDLER" = join ] && [ -z "$results" ]; then
    printf 'until %s\nsuspend\n' "${input#*,}" >&3
    exit 0
fi
case $results in
*'"done":false'*) wrong "woken too early: $results" ;;
esac
printf %s "$number"
