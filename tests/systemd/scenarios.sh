#!/bin/bash
# What administrators do to the package. Beside the systemd of run.sh, never on a machine that
# somebody needs.
#   scenarios.sh FOLDER    where the package is
set -uo pipefail
cd "$1" || exit 2
url=http://127.0.0.1:8420
passed=0 failed=0
deadline=30 # seconds until something that must happen counts as missing

if ! tr '\0' '\n' </proc/1/environ | grep -qx container=futured-test; then
    echo "this is not the systemd of run.sh" >&2
    exit 2
fi

# ---- helpers ---------------------------------------------------------------------------------

# until_true COMMAND…: asks until the answer is yes.
until_true() {
    local end=$((SECONDS + deadline))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "      never came true: $*" && return 1; }
        read -rt 0.1 <> <(:)
    done
    return 0
}

equal() { # what expected found
    [ "$2" = "$3" ] || { echo "      $1: expected \"$2\", found \"$3\"" && return 1; }
}

property() { systemctl show -P "$1" "${2-futured.service}"; }
is_active() { systemctl is-active --quiet futured.service; }
main_pid() { # never 0: a signal to that would hit this script
    local pid
    pid=$(property MainPID)
    [ "${pid:-0}" -gt 1 ] && echo "$pid"
}
post() { curl -sS -m 60 -H 'Content-Type: application/json' -d "$1" "$url/v1/tasks${2-}"; }
field() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p" | head -1; }
state_of() { curl -sS -m 60 "$url/v1/futures/$1" | field state; }
is_in_state() { [ "$(state_of "$1")" = "$2" ]; }
entries() { journalctl --sync && journalctl -q -o cat "$@"; }
has_entry() { [ -n "$(entries "$@")" ]; }
drop_in() { # text of the drop-in; none removes it
    mkdir -p /etc/systemd/system/futured.service.d
    rm -f /etc/systemd/system/futured.service.d/test.conf
    [ -z "${1-}" ] || printf '[Service]\n%s\n' "$1" >/etc/systemd/system/futured.service.d/test.conf
    systemctl daemon-reload
}

# ---- scenarios -------------------------------------------------------------------------------

install_starts_it() {
    dpkg --no-triggers -i futured_*.deb >install.log 2>&1 || { cat install.log && return 1; }
    until_true is_active || return 1
    systemctl is-active --quiet futured.socket && systemctl is-enabled --quiet futured.service \
        futured.socket || return 1
    [[ $(property StatusText) == "queued 0, running 0, workers "* ]] ||
        { echo "      status: $(property StatusText)" && return 1; }
    equal "watchdog" 30s "$(property WatchdogUSec)"
}

units_are_sound() {
    local said score
    # The manuals are not in the index, as dpkg ran without triggers: they are named in full.
    said=$(systemd-analyze verify --man=no futured.service futured.socket 2>&1)
    equal "systemd-analyze verify" "" "$said" || return 1
    score=$(systemd-analyze security --offline=true /lib/systemd/system/futured.service |
        sed -n 's/.*exposure level for futured.service: \([0-9.]*\).*/\1/p')
    echo "      systemd-analyze security: $score"
    awk -v s="$score" 'BEGIN { exit !(s != "" && s <= 2.0) }'
}

tcp_and_unix_sockets_serve() {
    local answer
    answer=$(post '{"handler":"echo","input":1}' '?wait=30')
    equal "state" succeeded "$(field state <<<"$answer")" || return 1
    equal "unix socket" '{"status":"ok"}' \
        "$(curl -sS -m 60 --unix-socket /run/futured.sock http://x/healthz)" || return 1
    equal "its owner and mode" "root futured 660" "$(stat -c '%U %G %a' /run/futured.sock)"
}

files_belong_to_the_service() {
    local pid
    pid=$(main_pid) || return 1
    equal "user" futured "$(stat -c %U "/proc/$pid")" || return 1
    equal "private" "root 700" "$(stat -c '%U %a' /var/lib/private)" || return 1
    equal "state directory" "futured 700" "$(stat -c '%U %a' /var/lib/private/futured)" || return 1
    equal "database" "futured 600" "$(stat -c '%U %a' /var/lib/futured/futured.db)" || return 1
    equal "futured.env" "root futured 640" "$(stat -c '%U %G %a' /etc/futured/futured.env)" || return 1
    equal "capabilities" 0000000000000000 "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")"
}

programs_run_in_the_sandbox() {
    local python='' answer
    if command -v python3 >/dev/null; then
        python=', "py": {"exec": ["python3", "-c",
            "import json, sqlite3, ssl, sys, threading; print(sum(json.load(sys.stdin)))"]},
            "count": {"worker": ["python3", "/srv/count.py"]}'
        cat >/srv/count.py <<'PYTHON'
import sys
sys.path.insert(0, "/usr/share/futured/sdk")
import futured_worker as worker

@worker.handler
def count(task):
    return len(task.text)

worker.run()
PYTHON
    fi
    cat >/etc/futured/handlers.json <<JSON
{"wc": {"exec": ["wc", "-c"]},
 "group": {"exec": ["sed", "-n", "s/^0::.*\\\\/\\\\([a-z]*\\\\)-[0-9]*$/\\\\1/p", "/proc/self/cgroup"]},
 "hog": {"exec": ["sh", "-c", "head -c 1G /dev/zero | tail -c 1G | wc -c"], "limits": {"memory": 67108864}},
 "escape": {"exec": ["sh", "-c", "env -i setsid -f tail -f /etc/hostname; exec tail -f /etc/hostname"], "timeout": 1},
 "hidden": {"exec": ["sh", "-c", "touch /etc/x /home/x /usr/x 2>/dev/null; ls /root 2>/dev/null; id -un"]}
 $python}
JSON
    systemctl restart futured || return 1
    answer=$(post '{"handler":"wc","input":"four"}' '?wait=30')
    equal "wc" succeeded "$(field state <<<"$answer")" || return 1
    equal "who a program is" futured "$(future run hidden --wait)" || return 1
    [ -n "$python" ] || { echo "      NOTE: no python3: not tried" && return 0; }
    equal "python" 6 "$(future run py '[1,2,3]' --wait)" || return 1
    equal "a worker in python" 4 "$(future run count four --wait)"
}

is_nobody_left() { ! pgrep -f "tail -f /etc/hostnam[e]" >/dev/null; }

attempts_have_control_groups() {
    local id
    equal "containment" cgroups "$(curl -sS -m 60 "$url/v1/stats" | field containment)" || return 1
    equal "group of a program" task "$(future run group --wait)" || return 1
    post '{"handler":"escape"}' '?wait=30' | grep -q '"code":"timeout"' || return 1
    until_true is_nobody_left || return 1
    if grep -qw memory /sys/fs/cgroup/system.slice/futured.service/cgroup.controllers; then
        post '{"handler":"hog"}' '?wait=30' | grep -q '"code":"memory_limit"' || return 1
    else
        echo "      NOTE: the memory controller is not to be had here: memory.max was not tried"
    fi
    id=$(post '{"handler":"sha256","input":1}' '?wait=30' | field state)
    equal "a built-in worker" succeeded "$id" || return 1
    # What remains are the groups of the prefork workers, one each.
    equal "the daemon's own group" /system.slice/futured.service/daemon \
        "$(sed -n 's/^0:://p' "/proc/$(main_pid)/cgroup")"
}

journal_tells_a_tasks_life() {
    local id said
    id=$(post '{"handler":"echo","input":1}' '?wait=30' | field id)
    until_true has_entry "FUTURE_ID=$id" FUTURE_EVENT=task_done || return 1
    equal "events" "task_started task_done" \
        "$(journalctl -q -o cat --output-fields=FUTURE_EVENT "FUTURE_ID=$id" | xargs)" || return 1
    said=$(journalctl -q -o json "FUTURE_ID=$id" FUTURE_EVENT=task_done)
    for what in '"FUTURE_HANDLER":"echo"' '"FUTURE_LANE":"io"' '"FUTURE_ATTEMPT":"1"' \
        '"FUTURE_STATE":"succeeded"' '"FUTURE_DURATION_MS":"' '"PRIORITY":"6"' \
        '"_SYSTEMD_UNIT":"futured.service"'; do
        [[ $said == *"$what"* ]] || { echo "      no $what in $said" && return 1; }
    done
}

warnings() { entries -p warning -u futured "$@"; }

# What `journalctl -p warning -u futured` tells of tasks: what failed, once, with its message, and nothing of the others.
journal_warns_once_of_what_failed() {
    local good bad later message='field "ms" is "long"; allowed: a number from 0 to 86400000'
    good=$(future submit echo 1) && bad=$(future submit sleep '{"ms":"long"}') || return 1
    later=$(future wait "$good" "$bad" >/dev/null && future submit sleep '{"ms":"longer"}') || return 1
    until_true has_entry -p warning -u futured "FUTURE_ID=$later" || return 1
    until_true has_entry "FUTURE_ID=$good" FUTURE_EVENT=task_done || return 1
    equal "warnings of what failed" "$message" "$(warnings --output-fields=FUTURE_MESSAGE "FUTURE_ID=$bad")" || return 1
    equal "… by what is read" 1 "$(warnings | grep -c "^task_failed task=$bad handler=sleep code=bad_input message=")" ||
        return 1
    equal "warnings of what succeeded" "" "$(warnings | grep "$good")"
}

has_cpu_slots() { curl -sS -m 60 "$url/v1/stats" | grep -q "\"cpu\":{\"capacity\":$1,"; }
is_telling() { [[ $(property StatusText) == *"$1"* ]]; }

reload_follows_good_files_and_keeps_the_old_for_bad_ones() {
    local pid rc=0
    pid=$(main_pid) || return 1
    cp -p /etc/futured/futured.env env.before
    cp -p /etc/futured/handlers.json handlers.before
    echo MAX_WORKERS=3 >>/etc/futured/futured.env
    systemctl reload futured && until_true has_cpu_slots 3 || rc=1
    echo MAX_WORKERS=zero >>/etc/futured/futured.env
    systemctl reload futured && until_true is_telling 'refused' || rc=1
    has_entry FUTURE_EVENT=reload_refused -g 'MAX_WORKERS is .*zero' || rc=1
    has_cpu_slots 3 || rc=1
    cp -p env.before /etc/futured/futured.env
    echo '{"wc": {"exec": "wc"}}' >/etc/futured/handlers.json
    systemctl reload futured && until_true has_entry FUTURE_EVENT=reload_refused -g 'handlers.json' || rc=1
    cp -p handlers.before /etc/futured/handlers.json
    systemctl reload futured && until_true is_active || rc=1
    equal "the same process" "$pid" "$(property MainPID)" && return "$rc"
}

# One line per request: status and exit code of curl.
load() {
    until [ -e stop ]; do
        curl -s -m 60 -o /dev/null -w '%{http_code} %{exitcode}\n' -d '{"handler":"echo","input":1}' \
            -H 'Content-Type: application/json' "$url/v1/tasks"
    done >"load.$1"
}

count_load() { cat load.* | wc -l; }
has_load() { [ "$(count_load)" -ge "$1" ]; }

restart_under_load_refuses_nobody() {
    local i fine=0
    rm -f stop load.*
    for i in 1 2 3 4; do load "$i" & done
    until_true has_load 50 || fine=1
    for i in 1 2 3; do
        systemctl restart futured || fine=1
        until_true has_load $(($(count_load) + 50)) || fine=1
    done
    touch stop
    wait
    echo "      $(cat load.* | sort | uniq -c | xargs)"
    equal "other answers than 202" "" "$(cat load.* | grep -v '^202 0$' | sort | uniq -c)" && return "$fine"
}

stop_lets_a_task_end() {
    local id
    id=$(post '{"handler":"sleep","input":{"seconds":2}}' | field id)
    until_true is_in_state "$id" running || return 1
    systemctl stop futured.service || return 1
    equal "result" success "$(property Result)" || return 1
    has_entry "FUTURE_ID=$id" FUTURE_EVENT=task_done || return 1
    equal "the socket stays" active "$(systemctl is-active futured.socket)" || return 1
    equal "the next client starts it" succeeded "$(state_of "$id")" || return 1
    is_active
}

kill_9_loses_nothing() {
    local id pid
    id=$(post '{"handler":"sleep","input":{"seconds":1}}' | field id)
    until_true is_in_state "$id" running || return 1
    pid=$(main_pid) || return 1
    kill -9 "$pid"
    equal "state in the end" succeeded \
        "$(curl -sS -m 60 "$url/v1/futures/$id?wait=50" | field state)" || return 1
    equal "restarts" 1 "$(property NRestarts)" || return 1
    equal "crashes that the backoff counts" 1 "$(cat /run/futured/crashes)" || return 1
    [ "$(property MainPID)" != "$pid" ] || return 1
    until_true has_entry FUTURE_EVENT=tasks_recovered
}

was_ended_by_the_watchdog() { has_entry -u futured.service -g "watchdog"; }
is_another() { is_active && [ "$(property MainPID)" != "$1" ]; }

a_stopped_daemon_is_ended_by_the_watchdog() {
    local pid id
    drop_in $'WatchdogSec=2\nTimeoutAbortSec=2'
    systemctl restart futured
    id=$(post '{"handler":"echo","input":1}' | field id)
    pid=$(main_pid) || return 1
    kill -STOP "$pid"
    until_true is_another "$pid" || return 1
    until_true was_ended_by_the_watchdog || return 1
    equal "what was accepted" succeeded "$(curl -sS -m 60 "$url/v1/futures/$id?wait=50" | field state)"
    local rc=$?
    drop_in
    return $rc
}

has_failed() { [ "$(property ActiveState)" = failed ]; }

bad_configuration_is_not_retried() {
    drop_in 'Environment=FUTURED_DRAIN=soon'
    systemctl reset-failed futured
    systemctl restart futured 2>/dev/null && { echo "      it started" && return 1; }
    until_true has_failed || return 1
    equal "status" 78 "$(property ExecMainStatus)" || return 1
    equal "restarts" 0 "$(property NRestarts)" || return 1
    equal "crashes that the backoff counts" "" "$(cat /run/futured/crashes 2>/dev/null)" || return 1
    has_entry -u futured.service -g 'FUTURED_DRAIN is "soon"' || return 1
    drop_in
    systemctl restart futured
}

# A server on a port of its own: there it asks for a password, on its socket for the name of the user.
start_postgres() { # PASSWORD
    local bin data=/var/lib/futured-test/postgres
    bin=$(compgen -G '/usr/lib/postgresql/*/bin' | tail -1)
    install -d -o postgres -m 711 "$data"
    echo "$1" >"$data/password"
    chown postgres "$data/password" && chmod 600 "$data/password"
    setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/initdb" -D "$data/main" -U futured \
        --auth-local=peer --auth-host=scram-sha-256 --pwfile="$data/password" -E UTF8 --locale=C -N >/dev/null || return 1
    systemd-run -q --unit=database --uid=postgres -p KillSignal=SIGQUIT \
        "$bin/postgres" -D "$data/main" -k "$data" -c listen_addresses=127.0.0.1 -c port=5499
}
postgres_by_a_password_from_a_credential_or_by_its_user() {
    local id kept
    [ -d /usr/lib/postgresql ] || { echo "      NOTE: PostgreSQL is not installed" && return 0; }
    start_postgres secret-of-a-test || return 1
    cp -p /etc/futured/futured.env kept.env
    printf '%s\n' FUTURED_DB=postgresql://futured@127.0.0.1:5499/postgres FUTURED_NODE=here >>/etc/futured/futured.env
    echo '127.0.0.1:5499:postgres:futured:not-that' | install -D -m 600 /dev/stdin /etc/credstore/futured.pgpass
    systemctl restart futured && return 1
    equal "with a wrong password" "failed 78" \
        "$(systemctl is-active futured.service) $(property ExecMainStatus)" || return 1
    has_entry -u futured.service -g 'password authentication failed' || return 1
    echo '127.0.0.1:5499:postgres:futured:secret-of-a-test' >/etc/credstore/futured.pgpass
    systemctl restart futured || return 1
    id=$(post '{"handler":"sha256","input":"kept"}' '?wait=30' | field id)
    equal "a task there" succeeded "$(state_of "$id")" || return 1
    equal "the password in the journal" "" "$(entries -g secret-of-a-test)" || return 1
    equal "the password in the environment" "" "$(tr '\0' '\n' <"/proc/$(main_pid)/environ" | grep secret)" || return 1
    kept=$(curl -sS -m 60 "$url/v1/futures?limit=1" | field id)
    echo 'FUTURED_DB=postgresql:///postgres?host=/var/lib/futured-test/postgres&port=5499' >>/etc/futured/futured.env
    rm /etc/credstore/futured.pgpass
    systemctl restart futured || return 1
    equal "the same task, without a password" "$kept succeeded" "$id $(state_of "$id")" || return 1
    cp -p kept.env /etc/futured/futured.env
    rm -f /etc/credstore/futured.pgpass
    systemctl restart futured && systemctl stop database
}

tokens_come_as_a_credential() {
    local status
    mkdir -p /etc/credstore
    echo "a-token-of-some-length-0123456789 submit,read" >/etc/credstore/futured.tokens
    chmod 600 /etc/credstore/futured.tokens
    systemctl restart futured || return 1
    status=$(curl -s -m 60 -o /dev/null -w '%{http_code}' "$url/v1/stats")
    equal "without a token" 401 "$status" || return 1
    status=$(curl -s -m 60 -o /dev/null -w '%{http_code}' \
        -H 'Authorization: Bearer a-token-of-some-length-0123456789' "$url/v1/stats")
    equal "with one" 200 "$status" || return 1
    rm /etc/credstore/futured.tokens
    systemctl restart futured
}

# The controllers belong to version 1 on some machines; then there is no quota to be seen.
cpu_quota_makes_fewer_workers() {
    if ! grep -qw cpu /sys/fs/cgroup/cgroup.controllers; then
        echo "      NOTE: the cpu controller is not to be had here: CPUQuota was not tried"
        return 0
    fi
    drop_in 'CPUQuota=100%'
    systemctl restart futured || return 1
    until_true has_entry "_PID=$(property MainPID)" FUTURE_EVENT=listening FUTURE_WORKERS=1
    local rc=$?
    drop_in
    systemctl restart futured
    return $rc
}

the_python_package_speaks_to_it() {
    local said
    dpkg --no-triggers -i python3-futured_*.deb >python.log 2>&1 || { cat python.log && return 1; }
    said=$(cd / && python3 -c '
import futured
client = futured.Client("unix:/run/futured.sock")
print(client.submit("echo", {"a": 1}).result(30), list(client.map("echo", [1, 2])))') || return 1
    equal "what it said" "{'a': 1} [1, 2]" "$said" || return 1
    (cd / && python3 -m futured handlers --key /etc/futured/key | grep -q '"-m"') || return 1
    dpkg --no-triggers --purge python3-futured >python.log 2>&1 || { cat python.log && return 1; }
    equal "what purge left" "" "$(ls -d /usr/lib/python3/dist-packages/futured* 2>/dev/null)"
}

upgrade_keeps_the_sockets() {
    local before
    before=$(property ActiveEnterTimestampMonotonic futured.socket)
    dpkg --no-triggers -i futured_*.deb >install.log 2>&1 || { cat install.log && return 1; }
    until_true is_active || return 1
    equal "the socket unit was left alone" "$before" \
        "$(property ActiveEnterTimestampMonotonic futured.socket)"
}

removal_and_purge_leave_what_they_should() {
    dpkg --no-triggers -r futured >remove.log 2>&1 || { cat remove.log && return 1; }
    equal "the service" inactive "$(systemctl is-active futured.service)" || return 1
    equal "the socket" inactive "$(systemctl is-active futured.socket)" || return 1
    equal "what removal left" "/etc/futured/futured.env /var/lib/futured/futured.db" \
        "$(echo /etc/futured/futured.en[v] /var/lib/futured/futured.d[b])" || return 1
    dpkg --no-triggers --purge futured >purge.log 2>&1 || { cat purge.log && return 1; }
    equal "what purge left" "" "$(ls -d /etc/futured /var/lib/futured /var/lib/private/futured \
        /lib/systemd/system/futured.* 2>/dev/null)"
}

# ---- running them ----------------------------------------------------------------------------

for scenario in install_starts_it units_are_sound tcp_and_unix_sockets_serve \
    files_belong_to_the_service programs_run_in_the_sandbox attempts_have_control_groups journal_tells_a_tasks_life \
    journal_warns_once_of_what_failed \
    reload_follows_good_files_and_keeps_the_old_for_bad_ones \
    restart_under_load_refuses_nobody stop_lets_a_task_end kill_9_loses_nothing \
    a_stopped_daemon_is_ended_by_the_watchdog bad_configuration_is_not_retried \
    tokens_come_as_a_credential postgres_by_a_password_from_a_credential_or_by_its_user \
    cpu_quota_makes_fewer_workers the_python_package_speaks_to_it \
    upgrade_keeps_the_sockets \
    removal_and_purge_leave_what_they_should; do
    began=$SECONDS
    # Each begins with a daemon that runs and has not failed lately.
    systemctl reset-failed 2>/dev/null
    [ "$passed" -eq 0 ] || systemctl start futured.socket futured.service
    if out=$("$scenario" 2>&1); then
        passed=$((passed + 1)) word='ok   '
    else
        failed=$((failed + 1)) word=FAIL
    fi
    printf '%-5s %-48s %4d s\n' "$word" "$scenario" $((SECONDS - began))
    [ -z "$out" ] || printf '%s\n' "$out"
    [ "$word" != FAIL ] || journalctl -q -n 25 --no-pager -u futured.service -u futured.socket |
        sed 's/^/      | /'
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
