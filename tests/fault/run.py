#!/usr/bin/env -S python3 -B
"""Runs rows of the fault matrix, by name or by group (a file NAME_rows.py is group NAME); a line a row, exit code 1 when one does not hold."""

import argparse
import importlib
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import kit  # noqa: E402

SEED = 1  # of a run that names none


def chosen(arguments, parser):
    for file in sorted(HERE.glob("*_rows.py")):
        importlib.import_module(file.stem)
    unknown = [name for name in arguments.names if name not in kit.ROWS]
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; try --list")
    return [row for row in kit.ROWS.values() if row.name in arguments.names or row.group in arguments.group or
            not (arguments.names or arguments.group)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ROW", help="rows to run; all when neither rows nor groups are named")
    parser.add_argument("--group", action="append", default=[], help="all rows of a group")
    parser.add_argument("--seed", default=os.environ.get("PR_FAULT_SEED") or SEED, type=int, help=f"of random moments (default {SEED})")
    parser.add_argument("--list", action="store_true", help="print groups and rows, run none")
    parser.add_argument("--times", action="store_true", help="say on stderr how long each row took")
    arguments = parser.parse_args()
    rows = chosen(arguments, parser)
    if arguments.list:
        print("\n".join(f"{row.group:10} {row.name}" for row in rows))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    matrix = kit.Matrix(arguments.seed, arguments.times)
    try:
        failed = [row.name for row in rows if not matrix.run(row)]
    finally:
        faults = matrix.close()
    for fault in faults:
        print(f"FAILED: {fault}")
    if matrix.skipped:
        print(f"skipped, so not shown here: {', '.join(matrix.skipped)}")
    if failed:
        print(f"does not hold: {', '.join(failed)}")
    return 1 if failed or faults or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
