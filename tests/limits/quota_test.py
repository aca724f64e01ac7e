#!/usr/bin/env -S python3 -B
"""Three days of an injected clock, three dispatchers, one messaging limit: what the platform took, counted again from its own record.

24,000 messages in the short form, five million with --full. People overlap: two thirds write all the time, the rest now and then, so that the limit
binds and there are hits again; some answers are failures, slow, or never come; the limit is raised and lowered on the way.
"""

import collections
import json
import os
import pathlib
import random
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import road  # noqa: E402
from road import env  # noqa: E402

FULL = bool(os.environ.get("PR_FULL"))
MESSAGES = int(os.environ.get("PR_QUOTA_MESSAGES", 5_000_000 if FULL else 24_000))
STEPS = 144 if FULL else 24
STEP_MS = 72 * 3600 * 1000 // STEPS
PEOPLE = max(MESSAGES // 33, 600)
REGULAR = PEOPLE // 3
# (step from which on, people a day): more than the regular ones, fewer than all; up at a third, down at two thirds.
LIMITS = [(0, PEOPLE // 2), (STEPS // 3, PEOPLE * 2 // 3), (STEPS * 2 // 3, PEOPLE * 5 // 9)]
DAY_US = 24 * 3600 * 1_000_000
# A slot lasts 24 h and 3 min from a claim whose minute is rounded up; between claim and acceptance lie seconds.
SLOT_US = DAY_US + 4 * 60 * 1_000_000 + 30 * 1_000_000
DISPATCHERS = ("d1", "d2", "d3")


class Window:
    """People with an accepted message in the last `span_us`, from the record's lines alone."""

    def __init__(self, span_us):
        self.span_us = span_us
        self.last = collections.OrderedDict()  # person: last hit, oldest hit first

    def move(self, at):
        while self.last:
            person, hit = next(iter(self.last.items()))
            if hit > at - self.span_us:
                return
            del self.last[person]

    def hit(self, person, at):
        """True when the person was not in the window."""
        self.move(at)
        is_new = self.last.pop(person, None) is None
        self.last[person] = at
        return is_new


class Count:
    """The independent count: reads the sandbox's record as it grows and compares each new person with the limit of that moment."""

    def __init__(self, file):
        self.file = open(file, encoding="utf-8")
        self.window, self.slots = Window(DAY_US), Window(SLOT_US)
        self.accepted, self.most, self.over, self.refused = 0, 0, [], collections.Counter()
        self.bodies = set()
        self.doubled = 0
        self.rest = ""

    def read(self, limit):
        """Takes in what was written since; `limit` held for all of it."""
        while True:
            text = self.file.read(1 << 22)
            if not text:
                return
            lines = (self.rest + text).split("\n")
            self.rest = lines.pop()
            for line in lines:
                self.take(json.loads(line), limit)

    def take(self, line, limit):
        if line["verdict"] != "accepted":
            self.refused[f"{line['reason']}:{line['code']}"] += 1
            return
        self.accepted += 1
        key = hash(road.callback(line["callback"])[2])
        self.doubled += key in self.bodies
        self.bodies.add(key)
        self.slots.hit(line["wa_id"], line["at"])
        if self.window.hit(line["wa_id"], line["at"]):
            self.most = max(self.most, len(self.window.last))
            if len(self.window.last) > limit:
                self.over.append((line["seq"], len(self.window.last), limit))


class Quota(road.RoadCase):
    real_kafka = True

    @classmethod
    def prepare(cls, environ):
        cls.record_file = environ.folder / "record.ndjson"
        cls.sandbox_arguments = (f"--record={cls.record_file}", "--record-memory=64")
        super().prepare(environ)

    def setUp(self):
        super().setUp()
        self.random = random.Random(int(os.environ.get("PR_SEED", 1)))
        pg = self.road.pg
        pg.sql("create table public.injected (ahead interval not null); insert into public.injected values ('0');"
               "create or replace function postrider.clock() returns timestamptz language sql volatile as "
               "'select clock_timestamp() + (select ahead from public.injected)'")
        # No number may send as fast as this run wants to go; the platform's limit a second is another test's.
        pg.sql("update postrider.sender set rate = 1e6; update postrider.quota_pool set reserve_pct = 0")
        self.road.people(PEOPLE)
        pg.sql("vacuum analyze postrider.contact")

    def move(self, ahead_ms):
        """Both clocks, while nothing is on the wire and nothing about to be."""
        # As long as the messages of a person who waited for days take, one in six seconds.
        env.wait_until(lambda: self.due_within(3) == 0 and self.is_idle(), 900, "a moment in which nothing is due", every=0.1)
        self.road.pg.sql(f"update public.injected set ahead = interval '{ahead_ms} milliseconds'")
        self.road.sandbox.admin("clock", {"offset_ms": ahead_ms})
        self.ahead_ms = ahead_ms
        time.sleep(0.7)  # dispatchers learn the database's time with a heartbeat

    def set_limit(self, people):
        """While nothing is due: what the clock's step made due was claimed, sent and counted under the limit of before."""
        self.drain(but="")
        self.catch_up()
        self.limit = people
        self.road.pg.sql(f"update postrider.quota_pool set people_max = {people}, tier = '{people}'")
        self.road.sandbox.config(portfolios=[{"id": "p", "limit": people}])

    def events(self, step, n):
        for i in range(n):
            is_regular = self.random.random() < 2 / 3
            person = self.random.randrange(REGULAR) if is_regular else self.random.randrange(REGULAR, PEOPLE)
            kind = "promo.sent" if self.random.random() < 0.3 else "order.confirmed"
            yield road.event(person, kind, id=f"{step}-{i}", time=road.now(self.ahead_ms / 1000))

    def settled(self):
        return sum(self.road.metric("postrider_settled_total", d) for d in DISPATCHERS)

    def jobs(self):
        return sum(float(line.rpartition(" ")[2]) for d in DISPATCHERS for line in self.road.page("/metrics", d)[1].splitlines()
                   if line.startswith("postrider_jobs{"))

    def due_within(self, seconds, but=""):
        return self.road.count(f"select count(*) from postrider.deferred where due <= postrider.clock() + interval '{seconds} s' and not is_asleep "
                               f"and reason not in ('unknown', '{but}')")

    def is_idle(self):
        return self.jobs() == 0 and self.road.sandbox.stats()["open"] == 0

    def is_quiet(self, but):
        """Nothing in hand, nothing due, nobody left who could be woken."""
        wakes = "select count(*) from postrider.sleeping_pools_v1() p cross join lateral postrider.wake_v1(p.tenant, p.pool) w where w > 0"
        return self.lag() == 0 and self.is_idle() and self.due_within(10, but) == 0 and self.road.count(wakes) == 0 and self.is_idle()

    def lag(self):
        return self.road.published - sum(self.road.metric("postrider_records_total", d) for d in DISPATCHERS)

    def drain(self, but="pair_rate"):
        """
        A step's messages have their fate for now. The bound is for what stands still, not for what is slow. Who has fifty at once from before may get
        one in six seconds; that comes with the next step.
        """
        last, since = -1, time.monotonic()
        while not self.is_quiet(but):
            settled = self.settled()
            if settled != last:
                last, since = settled, time.monotonic()
            if time.monotonic() - since > 60:  # only then: with millions of rows it takes a while to count the fates
                self.fail(f"stands still: lag {self.lag()}, jobs {self.jobs()}, {self.road.fates()}")
            time.sleep(0.1)

    def catch_up(self):
        """The record to its last line, which the sandbox writes a moment later than it answers."""
        accepted = self.road.sandbox.stats()["accepted"]
        env.wait_until(lambda: self.count.read(self.limit) or self.count.accepted >= accepted, 30, "the record's last lines")

    def check_edge(self, limit):
        """While people with messages about orders wait, the limit is used up but for the documented rounding."""
        waiting = self.road.count("select count(*) from postrider.deferred where is_asleep and category <> 1")
        if not waiting:
            return False
        count = self.count
        count.slots.move(self.platform_now_us())
        # An unknown keeps its slot whether or not the platform took it.
        unknown = self.road.count("select count(distinct contact) from postrider.message where state = 4")
        self.assertGreaterEqual(len(count.slots.last) + unknown, limit, "room that nobody was given while people wait")
        return True

    def platform_now_us(self):
        return self.road.sandbox.stats()["clock_us"]

    def test_the_limit_is_never_passed_in_any_24_hours_and_is_used_up_while_people_wait(self):
        road_, sandbox = self.road, self.road.sandbox
        self.count = Count(self.record_file)
        self.addCleanup(self.count.file.close)
        sandbox.config(latency={"p50_ms": 3, "p99_ms": 120}, mix=[
            {"what": "error", "code": 131026, "probability": 0.02}, {"what": "error", "code": 131000, "probability": 0.01},
            {"what": "error", "code": 131016, "probability": 0.0005},
            {"what": "accept_then_cut", "probability": 0.0005}, {"what": "cut_before", "probability": 0.0005}])
        for name in DISPATCHERS:
            road_.dispatcher(name, dispatch__heartbeat="200ms")
        self.limit, edges, made = 0, 0, 0
        for step in range(STEPS):
            self.move(step * STEP_MS)
            for start, people in LIMITS:
                if step == start:
                    self.set_limit(people)
            n = MESSAGES * (step + 1) // STEPS - made
            made += n
            road_.publish(self.events(step, n))
            self.drain()
            self.catch_up()
            edges += self.check_edge(self.limit)
            if FULL:
                print(f"step {step + 1} of {STEPS}: {self.count.accepted:,} taken, {len(self.count.window.last):,} people of {self.limit:,}, "
                      f"over {len(self.count.over)}, 131048 {self.count.refused['tier:131048']}, doubled {self.count.doubled}", flush=True)
        self.drain(but="")
        self.catch_up()
        self.report(edges)

    def report(self, edges):
        count, stats = self.count, self.road.sandbox.stats()
        sent = self.road.count("select count(*) from postrider.fate where fate = 'sent'")
        unknown = self.road.count("select count(*) from postrider.fate where fate = 'unknown'")
        asleep = self.road.count("select count(*) from postrider.deferred where is_asleep")
        print(f"quota messages={MESSAGES} people={PEOPLE} taken={count.accepted} sent={sent} unknown={unknown} asleep={asleep} "
              f"most_in_24h={count.most} limits={'/'.join(str(people) for _, people in LIMITS)} over={len(count.over)} "
              f"refused_by_limit={count.refused['tier:131048']} doubled={count.doubled} steps_at_the_edge={edges} of {STEPS}", flush=True)
        print("quota", self.road.fates(), flush=True)
        self.assertEqual(count.over, [], "more people than the limit (seq, people, limit)")
        self.assertEqual(count.refused["tier:131048"], 0, "the platform itself refused for its limit")
        self.assertEqual(count.doubled, 0)
        self.assertEqual(self.road.answered(), MESSAGES, "messages with a fate")
        self.assertGreaterEqual(edges, STEPS // 4, "the limit hardly ever bound: this run showed nothing")
        self.assertEqual(count.accepted, stats["accepted"])
        self.assertLessEqual(abs(count.accepted - sent), unknown)
        self.assertGreater(count.most, LIMITS[0][1], "the raised limit was never used")


if __name__ == "__main__":
    unittest.main(verbosity=2)
