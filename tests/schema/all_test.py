#!/usr/bin/env -S python3 -B
"""Every test of this folder in one process, so that one PostgreSQL serves them all."""

import pathlib

import ledger


def load_tests(loader, _tests, _pattern):
    here = pathlib.Path(__file__).resolve()
    names = sorted(f.stem for f in here.parent.glob("*_test.py") if f != here)
    return loader.loadTestsFromNames(names)


if __name__ == "__main__":
    ledger.main()
