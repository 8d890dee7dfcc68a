#!/bin/bash
# `make demo-cluster`: a PostgreSQL server of its own in a scratch directory, three nodes on it, a workload that is
# submitted while one node is killed, and a check of every acknowledged task. Ends with 0 when nothing was lost and
# with 1 otherwise, and leaves nothing behind.
#   tests/demo_cluster.sh BUILD [--short]
# --short: few tasks, and the killed node comes back at once, as the test does it. A server that is there
# already (tests/tools/with_postgres, $FUT_POSTGRES) is used.
set -euo pipefail
build=$(realpath "${1:?usage: tests/demo_cluster.sh BUILD [--short]}")
size=600
[ "${2-}" != --short ] || size=40
[ -n "${FUT_POSTGRES-}" ] || exec "$build/tests/tools/with_postgres" --durable "$0" "$@"
cd "$(dirname "$0")/.."
. tests/support/daemon.sh

say() {
    printf '%s\n' "$*"
}

declare -A url_of=() pid_of=()
psql=$(compgen -G '/usr/lib/postgresql/*/bin/psql' | tail -1)
server="postgresql:///postgres?host=$FUT_POSTGRES&user=futured"
schema=demo$$
"$psql" -Xqd "$server" -c "CREATE SCHEMA $schema"
export FUTURED_DB="$server&options=-csearch_path%3D$schema" MAX_WORKERS=4

# Each run of a task writes to the journal who begins and who ends it; the result says who ran it last. On each node
# the handler has the same name.
journal=$scratch/journal
: >"$journal"
cat >"$scratch/square.sh" <<'END'
read -r n
echo "begun $n $NODE" >>"$JOURNAL"
perl -e 'select undef, undef, undef, 0.2' # the work
echo "ended $n $NODE" >>"$JOURNAL"
echo "{\"n\":$n,\"square\":$((n * n)),\"node\":\"$NODE\"}"
END
start_node() { # NAME [LIFE]
    jq -n --arg node "${2-$1}" --arg journal "$journal" --arg script "$scratch/square.sh" \
        '{square: {exec: ["sh", $script], content_type: "application/json", env: {NODE: $node, JOURNAL: $journal}}}' \
        >"$scratch/$1.json"
    start_server "$1" env FUTURED_LISTEN=127.0.0.1:0 FUTURED_NODE="$1" FUTURED_HANDLERS="$scratch/$1.json" \
        "$build/futured"
    url_of[$1]=http://$address pid_of[$1]=$server_pid
}

count() { # PATTERN: lines of the journal
    grep -c "$1" "$journal" || true
}

# What a node runs at this moment, by the journal.
running_on() { # NAME
    awk -v node="$1" '$3 == node { if ($1 == "begun") n[$2] = 1; else delete n[$2] } END { for (i in n) print i }' \
        "$journal" | sort -n
}

# Submits one task after another, at node c while that answers and then at node b. An attempt of which nobody knows
# whether it arrived is repeated under its key, which brings the same future.
feed() { # FROM TO
    local n id node=c
    for ((n = $1; n <= $2; n++)); do
        until id=$("$build/future" submit --url "${url_of[$node]}" -k "$schema-$n" square "$n" 2>>"$scratch/feed.log"); do
            node=b
        done
        echo "$id $n" >>"$scratch/acknowledged"
    done
}

# How many of the acknowledged tasks are done, as that node answers; waits for the end so many seconds.
done_by() { # NODE SECONDS
    cut -d' ' -f1 "$scratch/acknowledged" | jq -nRc --argjson s "$2" '{ids: [inputs], timeout: $s}' |
        curl -s "${url_of[$1]}/v1/wait" -d @- | jq '.done | length'
}

say "1. A cluster: three daemons that share one database"
say "   PostgreSQL $("$psql" -XAtd "$server" -c 'SHOW server_version'), sockets in $FUT_POSTGRES"
for name in a b c; do
    start_node $name
    say "   FUTURED_NODE=$name FUTURED_DB=postgresql://… futured     serves at ${url_of[$name]}"
done
say

half=$((size / 2))
say "2. Work: $size tasks of 0.2 s; each writes to a journal who begins and who ends it"
say "   \$ curl ${url_of[a]}/v1/batches -d '{\"handler\":\"square\",\"inputs\":[1,…,$half]}'"
jq -nc --argjson n $half '{handler: "square", inputs: [range(1; $n + 1)]}' |
    curl -sf "${url_of[a]}/v1/batches" -d @- | jq -r '.ids[]' | awk '{ print $1, NR }' >"$scratch/acknowledged"
say "   $(wc -l <"$scratch/acknowledged") acknowledged by a, at once"
say "   \$ future submit --url ${url_of[c]} square N     one by one, while the others run"
feed $((half + 1)) "$size" &
feeder=$!
say

# Looks again at each line of the journal.
while read -r _; do
    if [ "$(count ended)" -ge $((size / 4)) ] && running_on c >"$scratch/interrupted" && [ -s "$scratch/interrupted" ]; then
        break
    fi
done < <(exec tail --pid=$$ -n +1 -f "$journal" 2>/dev/null)
say "3. A death: node c is killed (kill -9) while it runs tasks and takes new ones"
kill -9 "${pid_of[c]}"
wait "${pid_of[c]}" 2>/dev/null || true
say "   node c was running the tasks $(paste -sd' ' "$scratch/interrupted")"
say "   node a says: $(done_by a 0) of $(wc -l <"$scratch/acknowledged") acknowledged so far are done"
if [ "$size" -lt 100 ]; then
    start_node c c2
    say "   node c is started again at once and takes the place of the one that died"
else
    say "   nobody starts it again: 10 s later the others take what it was running"
fi
say

wait "$feeder"
say "4. What became of the tasks, asked at node a, which was not told of half of them"
for ((i = 0; i < 5; i++)); do
    done=$(done_by a 50)
    [ "$done" -lt "$size" ] || break
done
[ "$size" -lt 100 ] || start_node c c2
say "   node a says: $done of $size are done"
say "   node c, which is back, says: $(done_by c 0) of $size are done"

# One line for each acknowledged task: id, its number, its state, the number and the node in its result.
results() { # NODE
    sed "s|\(.*\) .*|url = \"${url_of[$1]}/v1/futures/\1\"|" "$scratch/acknowledged" | curl -s -K - |
        jq -r '[.id, .state, .result.n, .result.square, .result.node] | map(. // "-") | join(" ")'
}
results a >"$scratch/results.a"
results c >"$scratch/results.c"
say
say "   node   runs begun   runs ended   results     (c2: c, started again)"
for name in a b c c2; do
    printf '   %-4s %12d %12d %9d\n' $name "$(count "begun .* $name\$")" "$(count "ended .* $name\$")" \
        "$(grep -c " $name\$" "$scratch/results.a" || true)"
done
# A second run is right when the first was on c before its death.
awk '$1 == "begun" { if ($2 in by) print $2, by[$2], $3, by[$2] == "c" && $3 != "c" ? "right" : "wrong"; by[$2] = $3 }' \
    "$journal" | sort -n >"$scratch/again"
say "   begun again after the death of c: $(awk '{ printf "%s%s (%s, then %s)", sep, $1, $2, $3; sep = ", " }' "$scratch/again")"
say

wrong=0
must() { # WHAT WANTED FOUND
    if [ "$2" != "$3" ]; then
        say "   WRONG: $1: $3, and not $2"
        wrong=1
    fi
}
right=$(awk 'NR == FNR { n[$1] = $2; next } $2 == "succeeded" && $3 == n[$1] && $4 == $3 * $3' \
    "$scratch/acknowledged" "$scratch/results.a" | wc -l)
say "5. The sum: $size submitted, $(wc -l <"$scratch/acknowledged") acknowledged, $right done with the right result"
must "acknowledged" "$size" "$(sort -u "$scratch/acknowledged" | wc -l)"
must "different futures" "$size" "$(cut -d' ' -f1 "$scratch/acknowledged" | sort -u | wc -l)"
must "done with the right result" "$size" "$right"
must "results that node c gives otherwise than node a" 0 "$(comm -3 "$scratch/results.a" "$scratch/results.c" | wc -l)"
must "begun again for another reason than the death of c" 0 "$(grep -c wrong "$scratch/again" || true)"
[ $wrong -eq 0 ] || exit 1
say "   Nothing was lost. All that was started here has ended, and the scratch directory is removed."
