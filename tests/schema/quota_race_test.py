#!/usr/bin/env -S python3 -B
"""Quota with three concurrent processes on an injected clock, against a count of its own: people with an accepted outcome outside a window."""

import bisect
import collections
import datetime
import os
import random
import threading
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
    """For each accepted message: how many people the 24 hours that end with it hold."""
    inside, counts = collections.Counter(), []
    first = 0
    for message in accepted:
        inside[message["contact"]] += 1
        while accepted[first]["at"] <= message["at"] - DAY.total_seconds():
            inside[accepted[first]["contact"]] -= 1
            inside += collections.Counter()
            first += 1
        counts.append(len(inside))
    return counts


class Worker:
    """A dispatcher's lane: claims small batches, settles them, hands failures back with its next claim."""

    def __init__(self, lane, number, seed):
        self.lane, self.random = lane, random.Random(seed)
        self.next = 1_000_000 * (number + 1)
        self.back, self.known, self.held, self.fault = [], [], [], None

    def batch(self, people, categories):
        jobs = []
        for person in people:
            if self.known and self.random.random() < 0.05:
                jobs.append(self.random.choice(self.known))  # delivered again
            else:
                self.next += 1
                jobs.append(Job(self.next, to=person, category=self.random.choice(categories)))
        jobs = list({j.n: j for j in jobs}.values())
        return list({j.to: j for j in jobs}.values())

    def claim(self, jobs, day):
        answers = self.lane.claim(jobs, day=day, back=self.back)
        self.back = []
        jobs.sort(key=lambda j: j.n)
        return [(j, a) for j, a in zip(jobs, answers) if a.verdict == "send"]

    def settle(self, sent, day, failing):
        """Some fail, some are left open, as by a crash; what fails is handed back."""
        outs = []
        for job, answer in sent:
            luck = self.random.random()
            if luck < failing:
                outs.append(Out(job.n, OUT_REJECT))
                self.back.append((answer.contact, job.n))
            elif luck < failing + 0.03 * (failing > 0):
                continue
            else:
                outs.append(Out(job.n))
        self.lane.settle(*outs, day=day)
        self.known += [job for job, _ in sent]

    def run(self, batches, people, categories, day, failing):
        try:
            for _ in range(batches):
                chosen = self.random.sample(people, min(len(people), self.random.randint(4, 16)))
                self.settle(self.claim(self.batch(chosen, categories), day), day, failing)
        except (AssertionError, ledger.SqlError, OSError) as fault:
            self.fault = fault


class Quota(ledger.RaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seed = int(os.environ.get("PR_SEED", random.randrange(1 << 30)))
        cls.s.do(f"update postrider.contact set window_until = '{ledger.NEVER.isoformat()}' where id >= {WINDOWED.start}")

    def setUp(self):
        print(f"PR_SEED={self.seed}", flush=True)
        self.random = random.Random(f"{self.seed} {self.id()}")
        self.s.do("truncate postrider.message, postrider.outcome, postrider.reach, postrider.bucket, postrider.deferred;"
                  "update postrider.quota_pool set last_minute = 0")
        self.set_pool(TIER, RESERVE)
        self.now = ledger.BASE
        self.workers = [Worker(ledger.Lane(self.open(), f"w{i}"), i, f"{self.seed} {self.id()} {i}") for i in range(3)]
        self.s.set_clock(self.now)

    def move_clock(self, **delta):
        self.now += datetime.timedelta(**delta)
        self.s.set_clock(self.now)

    def work(self, batches=4, people=range(1, 401), categories=(UTILITY, MARKETING), failing=0.2):
        """All three at once; meanwhile the clock moves less than the minutes that a slot outlasts its day."""
        threads = [threading.Thread(target=w.run, args=(batches, list(people), categories, self.now.date(), failing)) for w in self.workers]
        for thread in threads:
            thread.start()
        for _ in range(3):
            self.now += datetime.timedelta(seconds=self.random.randint(1, 35))
            self.s.set_clock(self.now)
        for thread in threads:
            thread.join(60)
        faults = [w.fault for w in self.workers if w.fault]
        if faults:
            raise faults[0]
        self.sample()

    def sample(self, tier=TIER):
        counts = people_by_window(self.s.rows(ACCEPTED))
        self.assertLessEqual(max(counts, default=0), tier)
        self.reached()
        return counts[-1] if counts else 0

    def fill(self, people, categories):
        """Everybody wants a message and nobody fails, until nobody is admitted."""
        self.work(1, people[:1], categories, failing=0)  # what failed before is handed back
        for start in range(0, len(people), 48):
            chunk = people[start:start + 48]
            threads = [threading.Thread(target=w.run, args=(6, chunk[i::3], categories, self.now.date(), 0)) for i, w in enumerate(self.workers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        self.assertEqual([w.fault for w in self.workers], [None] * 3)
        return self.sample()

    def test_the_tier_is_never_passed_in_any_moving_day_and_is_reached_at_the_end(self):
        for _ in range(18):
            self.work()
            self.move_clock(minutes=self.random.choice((7, 61, 137, 480)))
        self.move_clock(hours=25)
        self.assertEqual(self.fill(list(range(1, 361)), (UTILITY,)), TIER)

    def test_people_hit_again_at_23_59_hold_their_slots(self):
        """Each round reaches the same people again one minute before they would leave the day, and others try to take their places."""
        regulars = list(range(1, 81))
        for _ in range(4):
            self.work(6, regulars, failing=0.05)
            self.move_clock(hours=23, minutes=59)
            self.work(6, regulars, failing=0.05)
            self.move_clock(minutes=5)
            self.work(3, range(81, 361), failing=0.05)
        self.move_clock(hours=25)
        self.assertEqual(self.fill(list(range(1, 361)), (UTILITY,)), TIER)

    def test_failures_after_another_hit_free_nothing(self):
        """Many messages to few people, half of them failing: a slot is freed only when nothing else may have reached the person."""
        self.set_pool(12, 0)
        for _ in range(10):
            self.work(6, range(1, 31), failing=0.5)
            self.assertLessEqual(self.sample(12), 12)
            self.move_clock(hours=self.random.randint(1, 5))

    def test_marketing_stops_at_the_reserve_and_others_reach_the_tier(self):
        self.assertEqual(self.fill(list(range(1, 201)), (MARKETING,)), TIER - RESERVE)
        self.assertEqual(self.fill(list(range(201, 361)), (UTILITY,)), TIER)

    def test_a_larger_tier_is_used_at_once_and_not_passed(self):
        self.fill(list(range(1, 151)), (UTILITY,))
        self.set_pool(130, RESERVE)
        self.work(1, [1], failing=0) if False else None
        threads = [threading.Thread(target=w.run, args=(8, list(range(151, 361)), (UTILITY,), self.now.date(), 0)) for w in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(self.sample(130), 130)

    def test_people_in_an_open_window_never_count(self):
        self.work(6, WINDOWED, failing=0)
        self.assertEqual((self.sample(), self.reached()), (0, 0))
        self.assertGreater(self.count("outcome"), 0)


class Count(unittest.TestCase):
    def test_the_count_itself_counts_people_once_and_lets_them_go_after_a_day(self):
        hours = [(1, 0), (2, 1), (1, 23), (3, 24), (1, 46), (2, 70)]
        self.assertEqual(people_by_window([{"contact": c, "at": h * 3600} for c, h in hours]), [1, 2, 2, 3, 2, 1])
        self.assertEqual(bisect.bisect([1, 2], 1), 1)


if __name__ == "__main__":
    ledger.main()
