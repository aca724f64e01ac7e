# Functions that the test scripts share; sourced by bash, does nothing by itself.
# shellcheck shell=bash

# die TEXT: says what is wrong on stderr and ends the script.
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# need COMMAND PACKAGE: ends the script when the command is missing.
need() {
    command -v "$1" >/dev/null || die "$1 is missing: install $2, or run ./run-tests, which does it"
}

# free_ports N: N distinct free TCP ports of 127.0.0.1, as ports.py says.
free_ports() {
    python3 -B "$(dirname "${BASH_SOURCE[0]}")/ports.py" "$1"
}

# is_running PIDFILE WORD: the process of the file lives and has WORD in its command line (a number may have been given out again).
is_running() {
    local pid
    [[ -s $1 ]] || return 1
    pid=$(<"$1")
    # A zombie has an empty command line.
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$2"
}

# wait_until SECONDS COMMAND…: repeats the command every 100 ms until it succeeds; fails when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

is_gone() {
    ! is_running "$@"
}

# end_process PIDFILE WORD SIGNAL SECONDS: signals, waits, and kills what does not go.
end_process() {
    is_running "$1" "$2" || return 0
    kill "-$3" "$(<"$1")" 2>/dev/null || true
    wait_until "$4" is_gone "$1" "$2" && return 0
    kill -KILL "$(<"$1")" 2>/dev/null || true
    wait_until 5 is_gone "$1" "$2"
}
