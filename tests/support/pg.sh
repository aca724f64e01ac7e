#!/usr/bin/env bash
# Starts and stops a private PostgreSQL cluster in a folder, on a free port and a unix socket, with production's durability.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/lib.sh
source "$here/lib.sh"

usage() {
    cat <<'TEXT'
Usage: pg.sh start DIR [NAME=VALUE…]   create the cluster if it is not there, start it, print its conninfo; settings go to postgresql.conf
       pg.sh stop DIR [--now]          fast shutdown, or an immediate one for a cluster that is thrown away
       pg.sh crash DIR                 as a power cut looks to clients: kill -9 for the whole server; start recovers
       pg.sh conninfo DIR [DATABASE]   unix socket, superuser, database postrider unless given
       pg.sh tcp DIR [DATABASE]        the same over 127.0.0.1, with a password
       pg.sh psql DIR [ARGUMENT…]      psql -X -v ON_ERROR_STOP=1 on it

Everything is below DIR/pg. As root the server runs as the user postgres (PR_PG_USER), because PostgreSQL refuses root; DIR must be reachable
for that user. PR_PG_BIN names the folder of initdb and pg_ctl when it is not below /usr/lib/postgresql.
TEXT
}

find_bin() {
    local dir best=
    if [[ -n ${PR_PG_BIN:-} ]]; then
        best=$PR_PG_BIN
    else
        for dir in /usr/lib/postgresql/*/bin; do
            [[ -x $dir/initdb && $(basename "$(dirname "$dir")") -ge 15 ]] && best=$dir
        done
    fi
    [[ -n $best && -x $best/initdb ]] || die "no PostgreSQL server 15 or later found: install postgresql, or set PR_PG_BIN"
    echo "$best"
}

# Runs a command as the user that may own a cluster.
as_owner() {
    if [[ $(id -u) -ne 0 ]]; then
        "$@"
        return
    fi
    local user=${PR_PG_USER:-postgres}
    # From the cluster's folder, because the caller's may be closed to that user.
    (cd "$pg" && exec setpriv --reuid="$user" --regid="$(id -g "$user")" --init-groups --inh-caps=-all env HOME="$pg" "$@")
}

conninfo() {
    echo "host=$pg/socket port=$(<"$pg/port") user=postgres dbname=${1:-postrider}"
}

tcp_conninfo() {
    echo "host=127.0.0.1 port=$(<"$pg/port") user=postgres password=$(<"$pg/password") dbname=${1:-postrider}"
}

write_settings() {
    local setting
    cat >"$pg/data/conf.d/test.conf" <<TEXT
listen_addresses = '127.0.0.1'
unix_socket_directories = '$pg/socket'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
min_wal_size = 256MB
# What the promises rest on; said here although they are the defaults.
fsync = on
synchronous_commit = on
full_page_writes = on
log_min_messages = warning
log_lock_waits = on
timezone = 'UTC'
TEXT
    for setting in "$@"; do
        [[ $setting == *=* ]] || die "$setting: expected NAME=VALUE"
        printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}" >>"$pg/data/conf.d/test.conf"
    done
    chmod a+r "$pg/data/conf.d/test.conf"
}

create() {
    local bin=$1
    mkdir -p "$pg"
    if [[ $(id -u) -eq 0 ]]; then
        # The temporary folder that a caller made as root is usually closed to others.
        chmod o+x "$dir"
        chown "${PR_PG_USER:-postgres}:" "$pg"
        (as_owner test -w "$pg") || die "$pg: user ${PR_PG_USER:-postgres} cannot reach it; choose a folder elsewhere (TMPDIR)"
    fi
    chmod 700 "$pg"
    # Socket names are bounded by the kernel (sun_path).
    ((${#pg} + 25 < 107)) || die "$pg: too long for a unix socket, choose a shorter folder"
    as_owner mkdir "$pg/socket"
    (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' 'ab' | as_owner tee "$pg/password" >/dev/null)
    as_owner "$bin/initdb" -D "$pg/data" -U postgres -E UTF8 --locale=C.UTF-8 --auth-local=trust --auth-host=scram-sha-256 \
        --pwfile="$pg/password" --no-instructions >"$pg/initdb.log" 2>&1 || die "initdb failed: $(tail -n 3 "$pg/initdb.log")"
    as_owner mkdir "$pg/data/conf.d"
    echo "include_dir = 'conf.d'" >>"$pg/data/postgresql.conf"
}

start() {
    local bin try fresh=''
    bin=$(find_bin)
    if [[ ! -s $pg/data/PG_VERSION ]]; then
        create "$bin"
        fresh=yes
    fi
    if [[ $fresh || $# -gt 0 ]]; then
        write_settings "$@"
    fi
    for try in 1 2 3; do
        # A cluster keeps its port, so that a conninfo stays good over a restart.
        if [[ $fresh ]]; then
            free_ports 1 >"$pg/port"
        fi
        as_owner "$bin/pg_ctl" -D "$pg/data" -w -t 120 -s -l "$pg/log" -o "-p $(<"$pg/port")" start >/dev/null 2>&1 && break
        [[ $fresh && $try -lt 3 ]] || die "PostgreSQL did not start: $(tail -n 5 "$pg/log")"
    done
    if [[ $fresh ]]; then
        psql -XqAt -d "$(conninfo postgres)" -c 'create database postrider'
    fi
    conninfo
}

stop() {
    local mode=fast
    [[ ${1:-} != --now ]] || mode=immediate
    [[ -s $pg/data/postmaster.pid ]] || return 0
    as_owner "$(find_bin)/pg_ctl" -D "$pg/data" -w -t 60 -s -m "$mode" stop
}

crash() {
    local postmaster children segment files
    [[ -s $pg/data/postmaster.pid ]] || return 0
    postmaster=$(head -n 1 "$pg/data/postmaster.pid")
    # Line 7 is absent while the server starts.
    segment=$(sed -n '7s/.* //p' "$pg/data/postmaster.pid")
    mapfile -t children < <(pgrep -P "$postmaster")
    mapfile -t files < <(printf '/proc/%s/maps\n' "$postmaster" "${children[@]}" | xargs cat 2>/dev/null \
        | grep -o '/dev/shm/PostgreSQL\.[0-9]*' | sort -u)
    # The postmaster first, so that it cannot start anything; its children end by themselves, but not at once.
    kill -KILL "$postmaster" "${children[@]}" 2>/dev/null || true
    wait_until 30 no_process "$postmaster" || die "process $postmaster does not end"
    # Shared memory outlives kill -9, though no power cut; of a cluster that is never started again it would stay for good.
    if ((${#files[@]})); then rm -f "${files[@]}"; fi
    if [[ $segment ]]; then ipcrm -m "$segment" 2>/dev/null || true; fi
}

no_process() {
    ! kill -0 "$1" 2>/dev/null && ! pgrep -f -- "-D $pg/data" >/dev/null
}

main() {
    case ${1:-} in
        -h | --help)
            usage
            return
            ;;
        start | stop | crash | conninfo | tcp | psql) ;;
        *)
            usage >&2
            exit 2
            ;;
    esac
    [[ -n ${2:-} ]] || die "$1: which folder?"
    need setpriv util-linux
    need pgrep procps
    need psql postgresql-client
    if [[ $1 == start ]]; then
        mkdir -p "$2"
    fi
    dir=$(cd "$2" && pwd) || die "$2: no such folder"
    pg=$dir/pg
    local verb=$1
    shift 2
    # Ctrl-C reaches initdb and the like as well: whoever pressed it need not be told that they failed.
    trap 'exit 130' INT
    case $verb in
        start) start "$@" ;;
        stop) stop "$@" ;;
        crash) crash ;;
        conninfo) conninfo "$@" ;;
        tcp) tcp_conninfo "$@" ;;
        psql) psql -X -v ON_ERROR_STOP=1 -d "$(conninfo)" "$@" ;;
    esac
}

main "$@"
