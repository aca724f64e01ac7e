"""Clocks that step while messages flow: the database's, by which quota, expiry and due times go, and the process's own, by which nothing may go."""

import glob
import time
import unittest

from kit import FULL, env, event, road, row

MINUTE, HOUR, DAY = 60, 3600, 86400
STEPS = [MINUTE, HOUR, DAY]
ROUNDS = 5 if FULL else 1
CLOCK = """
create schema trial;
create table trial.injected (ahead interval not null);
insert into trial.injected values ('0');
create or replace function postrider.clock() returns timestamptz language sql volatile as 'select clock_timestamp() + (select ahead from trial.injected)';
"""


def set_clock(f, seconds):
    """The database's; the platform's goes along, since it counts the same people."""
    f.pg.sql(f"update trial.injected set ahead = interval '{seconds} s'")
    f.sandbox.admin("clock", {"offset_ms": seconds * 1000})


def load(f, n, seconds):
    """n events of a shop whose clock is `seconds` ahead; one in five is put off for three seconds."""
    first = f.people_n
    f.people_n += n
    f.people(n, first=first)
    made = [event(i, "order.later" if i % 5 == 0 else "order.confirmed", subject=f"s{i}", time=road.now(seconds)) for i in range(first, first + n)]
    f.publish(made)
    f.events.update(one["subject"] for one in made)


def refused_for_their_time(f):
    """Events of before a step that were read behind it: a day ahead of the database they are refused, with a row by their origin and no subject."""
    f.settle()
    known = {r["subject"] for r in f.pg.rows("select subject from postrider.fate")}
    refused = f.count("select count(*) from postrider.aside where kind = 'refused' and reason = 'bad_time'")
    gone = f.events - known
    if len(gone) != refused:
        raise AssertionError(f"{len(gone)} events without a message, {refused} refused for their time")
    f.events -= gone
    return refused


@row("clock-database")
def database(f):
    """By a minute, an hour, a day, forwards and backwards, with requests on the wire, messages put off and others on their way in."""
    f.pg.sql(CLOCK)
    f.start("d1")
    load(f, 100, 0)
    for step in [sign * step for step in STEPS for sign in (1, -1)] * ROUNDS:
        load(f, 60, 0)
        f.wait_wire()
        set_clock(f, step)
        have = f.sandbox.stats()["accepted"]
        load(f, 60, step)
        env.wait_until(lambda h=have: f.sandbox.stats()["accepted"] >= h + 30, 30, "it goes on", every=0.05)
        set_clock(f, 0)
        f.rounds += 1
    refused_for_their_time(f)
    f.settle()
    f.after.callback(f.sandbox.admin, "clock", {"offset_ms": 0})


def libfaketime():
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        raise unittest.SkipTest("libfaketime is not installed (Debian package faketime)")
    return found[0]


@row("clock-process")
def process(f):
    """CLOCK_REALTIME of one process. Its heartbeats are a minute apart, so that none of them repairs what went by the wrong clock."""
    library, offset = libfaketime(), f.env.write(f"offset-{f.name}", "+0")
    d1 = f.env.start("postrider-dispatcher", *f.options("d1", dispatch__heartbeat="1m", dispatch__lease="5m"), environ={
        "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1", "DONT_FAKE_MONOTONIC": "1"})
    f.processes.append(d1)
    d1.wait_for("event=assigned")
    for step in [sign * step for step in reversed(STEPS) for sign in (1, -1)] * ROUNDS:
        load(f, 60, 0)
        f.wait_wire()
        offset.write_text(f"{step:+d}")
        have = f.sandbox.stats()["accepted"]
        load(f, 60, 0)
        env.wait_until(lambda h=have: f.sandbox.stats()["accepted"] >= h + 50, 20, "it goes on", every=0.05)
        offset.write_text("+0")
        f.rounds += 1
    said = d1.output()
    if said.count("event=epoch") != 1 or "lease_lost" in said:
        raise AssertionError("the lease went by the wrong clock")
    f.settle()
    if set(f.fates()) != {"sent"}:
        raise AssertionError(f"decided by the wrong clock: {f.fates()}")
