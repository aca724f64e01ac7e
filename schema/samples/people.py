#!/usr/bin/env python3
"""Makes contacts and their consent from the recipients of an NDJSON file: 9 in 10 agree to every category, by a hash of the address."""

import argparse
import csv
import gzip
import hashlib
import json
import pathlib
import sys
from datetime import datetime, timezone

CATEGORIES = ("utility", "marketing", "authentication", "service")


def lines_of(path):
    if path == "-":
        yield from sys.stdin.buffer
        return
    with open(path, "rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    with (gzip.open if is_packed else open)(path, "rb") as file:
        yield from file


def recipients(path):
    """Each address once, in the order in which they come; lines that are no records are publish's to reject."""
    seen = {}
    for line in lines_of(path):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and isinstance(record.get("to"), str) and record["to"].strip():
            seen.setdefault(record["to"], record.get("locale"))
    return seen


def agrees(address):
    """Nine in ten; the same answer for the same address on every machine."""
    return int.from_bytes(hashlib.sha256(address.encode()).digest()[:8], "big") % 10 != 0


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", help="NDJSON, plain or gzip; - for standard input")
    parser.add_argument("folder", type=pathlib.Path, help="contacts.csv and consent.csv are written there")
    arguments = parser.parse_args()
    people = recipients(arguments.events)
    willing = [to for to in people if agrees(to)]
    # A year ago: before any event that is moved to the present.
    at = datetime.now(timezone.utc).replace(microsecond=0)
    at = at.replace(year=at.year - 1, day=min(at.day, 28)).strftime("%Y-%m-%dT%H:%M:%SZ")
    contacts = [("to", "locale")] + [(to, locale if isinstance(locale, str) else "") for to, locale in people.items()]
    consent = [("to", "category", "action", "how", "evidence", "business_name", "at")]
    consent += [(to, category, "grant", "website", "made from the events", "Loja Aurora", at) for to in willing for category in CATEGORIES]
    write(arguments.folder / "contacts.csv", contacts)
    write(arguments.folder / "consent.csv", consent)
    print(json.dumps({"contacts": len(people), "with_consent": len(willing)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
