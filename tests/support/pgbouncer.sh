#!/usr/bin/env bash
# Starts two PgBouncers, in transaction and in session mode, in front of the private PostgreSQL of a folder, and stops them.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/support/lib.sh
source "$here/lib.sh"

usage() {
    cat <<'TEXT'
Usage: pgbouncer.sh start DIR   after pg.sh start DIR; prints two lines: the conninfo in transaction mode, then in session mode
       pgbouncer.sh stop DIR

The Debian package would start a service, so unless pgbouncer is on the PATH the package is only unpacked, into
${XDG_CACHE_HOME:-~/.cache}/postrider/pgbouncer.
TEXT
}

binary() {
    local cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/postrider/pgbouncer draft
    PATH=$PATH:/usr/sbin command -v pgbouncer && return
    if [[ ! -x $cache/usr/sbin/pgbouncer ]]; then
        mkdir -p "$(dirname "$cache")"
        draft=$(mktemp -d "$cache.XXXXXX")
        (cd "$draft" && apt-get -qq download pgbouncer >&2 && dpkg-deb -x pgbouncer_*.deb .) || {
            rm -rf "$draft"
            die "the package pgbouncer could not be fetched"
        }
        chmod 755 "$draft"
        mv -T "$draft" "$cache" 2>/dev/null || rm -rf "$draft"
    fi
    echo "$cache/usr/sbin/pgbouncer"
}

# It refuses to run as root, as PostgreSQL does; the cluster's owner can reach the socket.
as_owner() {
    if [[ $(id -u) -ne 0 ]]; then
        "$@"
    else
        (cd "$pg" && exec setpriv --reuid="${PR_PG_USER:-postgres}" --regid="$(id -g "${PR_PG_USER:-postgres}")" --init-groups "$@")
    fi
}

start_one() {
    local mode=$1 port=$2 program=$3
    local folder=$pg/pgbouncer-$mode
    as_owner mkdir -p "$folder"
    # No TCP: auth_type any takes everybody, so only the socket in the cluster's closed folder.
    as_owner tee "$folder/pgbouncer.ini" >/dev/null <<TEXT
[databases]
postrider = host=$pg/socket port=$(<"$pg/port") user=postgres
[pgbouncer]
listen_port = $port
unix_socket_dir = $folder
auth_type = any
pool_mode = $mode
default_pool_size = 4
ignore_startup_parameters = extra_float_digits,options
server_reset_query = discard all
TEXT
    # Copied, because the owner cannot look into the home folder that the cache is in.
    as_owner tee "$folder/pgbouncer" <"$program" >/dev/null
    as_owner chmod 755 "$folder/pgbouncer"
    setsid bash -c 'cd /; exec "$@"' _ setpriv --reuid="$(stat -c %u "$pg")" --regid="$(stat -c %g "$pg")" --clear-groups \
        "$folder/pgbouncer" "$folder/pgbouncer.ini" >>"$folder/log" 2>&1 </dev/null &
    echo $! >"$folder/pid"
    wait_until 10 test -S "$folder/.s.PGSQL.$port" || die "PgBouncer did not start: $(tail -n 3 "$folder/log")"
    echo "host=$folder port=$port user=postgres dbname=postrider"
}

main() {
    [[ ${1:-} != --help ]] || {
        usage
        return
    }
    [[ $# -eq 2 && ($1 == start || $1 == stop) ]] || {
        usage >&2
        exit 2
    }
    pg=$(cd "$2" && pwd)/pg
    local mode ports program
    if [[ $1 == stop ]]; then
        for mode in transaction session; do
            end_process "$pg/pgbouncer-$mode/pid" "$pg/pgbouncer-$mode" TERM 5
        done
        return
    fi
    program=$(binary)
    read -ra ports < <(free_ports 2)
    start_one transaction "${ports[0]}" "$program"
    start_one session "${ports[1]}" "$program"
}

main "$@"
