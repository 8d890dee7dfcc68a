#!/bin/sh
# A program of an `exec` handler that goes on from where it was: with "checkpoints": true in its entry of the
# handlers file its descriptor 3 goes both ways. As the handler `steps` it takes five steps in the directory
# that is the input, and waits after each while there is a file stop-N; as `join` it is suspended until the
# futures end whose ids are the input, and ends with what became of them; as any other it saves its input, goes
# on a second later, and ends with what it saved.
asked=''
results=''
read -r word saved <&3 # the first line: "checkpoint BASE64", or "none";
if [ "$word" = results ]; then # before it "results BASE64" when the run before has said `until`
    results=$saved
    read -r word saved <&3
fi
[ "$word" = checkpoint ] || saved=''

# Stores the text; it is on disk when this returns.
save() {
    printf 'checkpoint %s\n' "$(printf %s "$1" | base64 -w 0)" >&3
    while read -r word why <&3; do
        case $word in
        saved) return ;;
        yield) asked=yes ;; # the daemon shuts down
        *) echo "not saved: $why" >&2 && exit 1 ;;
        esac
    done
    exit 1
}

# Ends this run, uncharged; the task goes on in so many seconds.
suspend() {
    echo "suspend $1" >&3
    exit 0
}

input=$(cat)
if [ "$FUTURED_HANDLER" = join ]; then
    if [ -n "$results" ]; then
        printf %s "$results" | base64 -d
        exit
    fi
    for id in $input; do echo "until $id" >&3; done
    # shellcheck disable=SC3044 # a function of our own
    suspend 0
fi
if [ "$FUTURED_HANDLER" != steps ]; then
    if [ "$word" = checkpoint ]; then
        printf %s "$saved" | base64 -d
        exit
    fi
    save "$input"
    # shellcheck disable=SC3044 # a function of the SDK
    suspend 1
fi

echo $$ >"$input/pid"
step=0
[ -z "$saved" ] || step=$(printf %s "$saved" | base64 -d)
while [ "$step" -lt 5 ]; do
    step=$((step + 1))
    echo "$step" >>"$input/steps"
    save "$step"
    while [ -e "$input/stop-$step" ]; do sleep 0.05; done
    # shellcheck disable=SC3044
    [ -z "$asked" ] || suspend 0
done
printf 'five steps'
