"""Partitions of the ledger that are not made in time: nothing is a dead letter for it, and all goes out when they are there."""

import datetime
import time

from kit import FULL, env, event, road, row

ROUNDS = 10 if FULL else 1


def names(f, day):
    return {table: f"{table}_{day:%Y%m%d}" for table in ("message", "outcome")}


def hide(f, day):
    """As if nobody had made them."""
    for table, name in names(f, day).items():
        f.pg.sql(f"alter table postrider.{table} detach partition postrider.{name}")


def make(f, day):
    for table, name in names(f, day).items():
        f.pg.sql(f"alter table postrider.{table} attach partition postrider.{name} for values from ('{day}') to ('{day + datetime.timedelta(1)}')")


def load(f, n, days_ago):
    first = f.people_n
    f.people_n += n
    f.people(n, first=first)
    made = [event(i, subject=f"s{i}", time=road.now(-86400 * days_ago)) for i in range(first, first + n)]
    f.publish(made)
    f.events.update(one["subject"] for one in made)


def missing(f, days_ago):
    """The day's partitions are missing while its events arrive."""
    day = datetime.datetime.now(datetime.timezone.utc).date() - datetime.timedelta(days_ago)
    hide(f, day)
    sent, said = f.sandbox.stats()["accepted"], f.processes[-1].output().count("no partition of relation")
    load(f, 100, days_ago)
    env.wait_until(lambda: f.processes[-1].output().count("no partition of relation") > said, 20, "the dispatcher says that a partition is missing")
    time.sleep(2)
    fates = f.fates()
    if f.sandbox.stats()["accepted"] != sent or any(fate.startswith("dead") for fate in fates):
        raise AssertionError(f"it did not wait: {fates}")
    make(f, day)
    env.wait_until(lambda: f.sandbox.stats()["accepted"] >= sent + 100, 30, "all goes out")
    f.settle()
    f.rounds += 1


@row("partition-missing")
def partition_missing(f):
    """Today's, and that of the day before, which events of yesterday need."""
    f.start("d1")
    load(f, 20, 0)
    f.settle()
    for _ in range(ROUNDS):
        missing(f, 0)
        missing(f, 1)
