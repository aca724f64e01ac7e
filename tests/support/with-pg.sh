#!/usr/bin/env bash
# Runs a command with a private PostgreSQL and poolers in front of it (their conninfos in POSTRIDER_TEST_…), and removes all afterwards.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [[ $# -eq 0 || $1 == --help ]]; then
    echo 'Usage: with-pg.sh COMMAND [ARGUMENT…]'
    exit $(($# == 0 ? 2 : 0))
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/pr-pg.XXXXXX")
cleanup() {
    "$here/pgbouncer.sh" stop "$folder" || true
    "$here/pg.sh" stop "$folder" || true
    rm -rf "$folder"
}
trap cleanup EXIT
# bash runs the EXIT trap for these only when they end the script.
trap 'exit 130' INT
trap 'exit 143' TERM

POSTRIDER_TEST_PG=$("$here/pg.sh" start "$folder")
POSTRIDER_TEST_PG_DIR=$folder
export POSTRIDER_TEST_PG POSTRIDER_TEST_PG_DIR
# Without a pooler its tests say by themselves that they were skipped.
if poolers=$("$here/pgbouncer.sh" start "$folder"); then
    POSTRIDER_TEST_POOLER_TRANSACTION=$(head -n 1 <<<"$poolers")
    POSTRIDER_TEST_POOLER_SESSION=$(tail -n 1 <<<"$poolers")
    export POSTRIDER_TEST_POOLER_TRANSACTION POSTRIDER_TEST_POOLER_SESSION
fi
"$@"
