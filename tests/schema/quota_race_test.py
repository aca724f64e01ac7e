#!/usr/bin/env -S python3 -B
"""Quota with three concurrent processes on an injected clock, against a count of its own: people with an accepted outcome outside a window."""

import collections
import concurrent.futures
import datetime
import os
import random
import sys
import unittest

import ledger
from ledger import MARKETING, OUT_ACCEPTED, OUT_REJECT, UTILITY, Job, Out

TIER, RESERVE = 100, 10
DAY = datetime.timedelta(hours=24)
WINDOWED = range(361, 401)  # contacts with an open window

# The count knows nothing of reach and bucket: it joins what was answered with what was claimed, as the platform's own books would.
ACCEPTED = f"""select m.contact, extract(epoch from o.at)::bigint as at from postrider.outcome o
join postrider.message m on m.tenant = o.tenant and m.day = o.day and m.id = o.id
where o.kind = {OUT_ACCEPTED} and m.contact < {WINDOWED.start} order by o.at"""


def people_by_window(accepted):
    """For each accepted message: how many people the 24 hours that end with it hold, both ends included."""
    inside, counts = collections.Counter(), []
    first = 0
    for message in accepted:
        inside[message["contact"]] += 1
        while accepted[first]["at"] < message["at"] - DAY.total_seconds():
            left = accepted[first]["contact"]
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
            first += 1
        counts.append(len(inside))
    return counts


class Worker:
    """A dispatcher's lane: claims small batches, settles them, hands failures back with its next claim."""

    def __init__(self, lane, number, seed):
        self.lane, self.random = lane, random.Random(seed)
        self.next = 1_000_000 * (number + 1)
        self.day, self.back, self.known = None, [], []

    def batch(self, people, categories):
        """A message each; now and then a record that is delivered again."""
        jobs = []
        for person in people:
            if self.known and self.random.random() < 0.05:
                jobs.append(self.random.choice(self.known))
            else:
                self.next += 1
                jobs.append(Job(self.next, to=person, category=self.random.choice(categories)))
        return sorted({j.to: j for j in jobs}.values(), key=lambda j: j.n)

    def send(self, people, categories, day, failing):
        """One batch: some messages fail, some are left open, as by a crash; the slots of what fails are given back with the next claim."""
        if day != self.day:
            self.day, self.known = day, []
        jobs, back = self.batch(people, categories), self.back
        answers = self.lane.claim(jobs, day=day, back=back)
        outs, self.back = [], []
        for job, answer in zip(jobs, answers):
            if answer.verdict != "send" or (failing and self.random.random() < 0.03):
                continue
            self.known.append(job)
            outs.append(Out(job.n, OUT_REJECT if self.random.random() < failing else OUT_ACCEPTED))
            if outs[-1].kind == OUT_REJECT:
                self.back.append((answer.contact, job.n))
        self.lane.settle(*outs, day=day)

    def some(self, batches, people, categories, day, failing):
        for _ in range(batches):
            self.send(self.random.sample(people, min(len(people), self.random.randint(4, 16))), categories, day, failing)

    def all(self, people, categories, day):
        for start in range(0, len(people), 8):
            self.send(people[start:start + 8], categories, day, 0)


class Quota(ledger.RaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seed = int(os.environ.get("PR_SEED", random.randrange(1 << 30)))
        cls.s.do(f"update postrider.contact set window_until = '{ledger.NEVER.isoformat()}' where id >= {WINDOWED.start}")

    def setUp(self):
        print(f"PR_SEED={self.seed}", end=" ", file=sys.stderr, flush=True)
        self.random = random.Random(f"{self.seed} {self.id()}")
        for table in ("message", "outcome", "reach", "bucket"):
            self.s.do(f"delete from postrider.{table}")
        self.s.do("update postrider.quota_pool set last_minute = 0")
        self.set_pool(TIER, RESERVE)
        self.now = ledger.BASE
        self.s.set_clock(self.now)
        self.workers = [Worker(ledger.Lane(self.open(), f"w{i}"), i, f"{self.seed} {self.id()} {i}") for i in range(3)]

    def move_clock(self, **delta):
        self.now += datetime.timedelta(**delta)
        self.s.set_clock(self.now)

    def together(self, calls, while_they_run=lambda: None):
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            running = [pool.submit(*call) for call in calls]
            while_they_run()
            for call in running:
                call.result(60)

    def work(self, batches=4, people=range(1, 401), categories=(UTILITY, MARKETING), failing=0.2, tier=TIER):
        """All three at once; meanwhile the clock moves less than the minutes by which a slot outlasts its day."""
        def tick():
            for _ in range(3):
                self.move_clock(seconds=self.random.randint(1, 35))
        self.together([(w.some, batches, list(people), categories, self.now.date(), failing) for w in self.workers], tick)
        return self.sample(tier)

    def fill(self, people, categories, tier=TIER):
        """Everybody wants a message and nobody fails."""
        self.together([(w.all, people[i::3], categories, self.now.date()) for i, w in enumerate(self.workers)])
        return self.sample(tier)

    def sample(self, tier):
        """The people of the day until the last message, after looking at all days before."""
        counts = people_by_window(self.s.rows(ACCEPTED))
        self.assertLessEqual(max(counts, default=0), tier)
        self.reached()
        return counts[-1] if counts else 0

    def test_the_tier_is_never_passed_in_any_moving_day_and_is_reached_at_the_end(self):
        for _ in range(18):
            self.work()
            self.move_clock(minutes=self.random.choice((7, 61, 137, 300)))
        self.move_clock(hours=25)
        self.assertEqual(self.fill(range(1, 361), (UTILITY,)), TIER)

    def test_people_hit_again_at_23_59_hold_their_slots(self):
        """Each round reaches the same people again a minute before they would leave the day, and others try to take their places."""
        regulars = range(1, 81)
        for _ in range(3):
            self.work(6, regulars, failing=0.05)
            self.move_clock(hours=23, minutes=59)
            self.work(6, regulars, failing=0.05)
            self.move_clock(minutes=5)
            self.work(3, range(81, 361), failing=0.05)
        self.move_clock(hours=25)
        self.assertEqual(self.fill(range(1, 361), (UTILITY,)), TIER)

    def test_failures_after_another_hit_free_nothing(self):
        """Many messages to few people, half of them failing: a slot is freed only when nothing else may have reached the person."""
        self.set_pool(12)
        for _ in range(10):
            self.work(6, range(1, 31), failing=0.5, tier=12)
            self.move_clock(hours=self.random.randint(1, 5))

    def test_marketing_stops_at_the_reserve_and_others_reach_the_tier(self):
        self.assertEqual(self.fill(range(1, 201), (MARKETING,)), TIER - RESERVE)
        self.assertEqual(self.fill(range(201, 361), (UTILITY,)), TIER)

    def test_a_larger_tier_is_used_at_once_and_not_passed(self):
        self.assertEqual(self.fill(range(1, 151), (UTILITY,)), TIER)
        self.set_pool(130, RESERVE)
        self.assertEqual(self.fill(range(151, 361), (UTILITY,), tier=130), 130)

    def test_people_in_an_open_window_never_count(self):
        self.assertEqual(self.work(6, WINDOWED, failing=0), 0)
        self.assertEqual(self.reached(), 0)
        self.assertGreater(self.count("outcome"), 0)


class Count(unittest.TestCase):
    def test_the_count_itself_counts_people_once_and_lets_them_go_after_a_day(self):
        hours = [(1, 0), (2, 1), (1, 23), (3, 24), (1, 46), (2, 70)]
        self.assertEqual(people_by_window([{"contact": c, "at": h * 3600} for c, h in hours]), [1, 2, 2, 3, 2, 2])


if __name__ == "__main__":
    ledger.main()
