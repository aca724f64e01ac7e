#!/usr/bin/env -S python3 -B
"""Frequency caps with several connections, pools and dispatchers at once: held at the lock, and at random against a count of its own."""

import collections
import concurrent.futures
import datetime
import os
import random
import sys

import ledger
from ledger import CLAIMED, MARKETING, OUT_ACCEPTED, OUT_REJECT, UTILITY, Job, Out, after

HOUR, DAY = 3600, 86400


class Race(ledger.RaceCase):
    def setUp(self):
        for table in ("message", "outcome", "reach", "bucket", "deferred", "freq", "policy"):
            self.s.do(f"delete from postrider.{table}")
        self.s.do("update postrider.quota_pool set last_minute = 0, people_max = null")
        self.s.set_clock(ledger.BASE)
        self.cap((1, DAY))

    def cap(self, *caps, category=MARKETING):
        self.s.do(f"""insert into postrider.policy (tenant, category, cap_n, cap_s) values (1, {category},
            {ledger.array("int", [n for n, _ in caps])}, {ledger.array("int", [s for _, s in caps])})""")

    @staticmethod
    def marketing(n, to=1):
        return Job(n, to=to, category=MARKETING)


class OneLock(Race):
    def second_while_first_is_open(self, first, second, end="commit", pools=(1, 2), **more):
        self.x.session.do("begin")
        mine = self.x.claim(first, pool=pools[0], **more)
        self.y.send_claim(second, pool=pools[1])
        self.wait_blocked(self.y.session)
        self.x.session.do(end)
        return [a.verdict for a in mine], [a.verdict for a in self.y.receive_claim()]

    def test_who_waited_sees_the_hit_that_was_made_meanwhile(self):
        mine, theirs = self.second_while_first_is_open([self.marketing(1)], [self.marketing(2)])
        self.assertEqual((mine, theirs), (["send"], ["defer"]))

    def test_who_waited_for_a_row_that_was_there_sees_the_hit_too(self):
        self.s.do(f"insert into postrider.freq (tenant, contact, category) values (1, 1, {MARKETING})")
        mine, theirs = self.second_while_first_is_open([self.marketing(1)], [self.marketing(2)])
        self.assertEqual((mine, theirs), (["send"], ["defer"]))

    def test_who_waited_goes_when_the_first_was_rolled_back(self):
        _, theirs = self.second_while_first_is_open([self.marketing(1)], [self.marketing(2)], end="rollback")
        self.assertEqual(theirs, ["send"])

    def test_who_waited_sees_what_was_given_back_meanwhile(self):
        self.x.claim([self.marketing(1)])
        _, theirs = self.second_while_first_is_open([Job(2, to=9)], [self.marketing(3)], back=[(1, 1)])
        self.assertEqual(theirs, ["send"])

    def test_overlapping_batches_of_two_pools_do_not_deadlock(self):
        self.s.do(f"insert into postrider.freq (tenant, contact, category) values (1, 2, {MARKETING}), (1, 4, {MARKETING})")
        mine, theirs = self.second_while_first_is_open([self.marketing(n, to=6 - n) for n in range(1, 6)],
                                                       [self.marketing(n + 10, to=n) for n in range(1, 6)])
        self.assertEqual((mine, theirs), (["send"] * 5, ["defer"] * 5))

    def test_people_and_categories_without_a_cap_do_not_wait(self):
        self.x.session.do("begin")
        self.x.claim([self.marketing(1)], pool=1)
        self.assertEqual(self.y.verdicts([self.marketing(2, to=2)], pool=2), ["send"])
        self.assertEqual(self.y.verdicts([Job(3, to=1)], pool=2), ["send"])
        self.x.session.do("commit")

    def test_a_release_locks_people_before_the_pool_as_a_claim_does(self):
        self.x.claim([self.marketing(1)])
        self.x.session.do("begin")
        self.x.claim([self.marketing(2)])  # denied; it has the person, and no pool
        self.y.session.send(f"select postrider.release_v1(1, 1, '{{1}}', array['{ledger.message_id(1)}']::uuid[])")
        self.wait_blocked(self.y.session)
        self.assertEqual(self.x.verdict(Job(3, to=3)), "send")  # the pool is free
        self.x.session.do("commit")
        self.y.session.receive()
        self.assertEqual(self.x.verdict(self.marketing(4)), "send")

    def test_tidying_passes_over_rows_that_a_claim_has(self):
        self.x.claim([self.marketing(1), self.marketing(2, to=2)])
        self.s.set_clock(after(days=3))
        self.x.session.do("begin")
        self.assertEqual(self.x.verdict(self.marketing(3), day=after(days=3).date()), "send")
        self.y.session.do("select postrider.tidy_v1(30)")
        self.x.session.do("commit")
        self.assertEqual(self.s.value("select array_agg(contact) from postrider.freq"), [1])

    def test_a_row_that_is_being_tidied_away_is_made_again(self):
        self.x.claim([self.marketing(1)])
        self.s.set_clock(after(days=3))
        day = after(days=3).date()
        self.x.session.do("begin")
        self.x.session.do("select postrider.tidy_v1(30)")
        self.y.send_claim([self.marketing(2)], day=day)
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.assertEqual(self.y.receive_claim()[0].verdict, "send")
        self.assertEqual(self.x.verdict(self.marketing(3), day=day), "defer")


class Worker:
    """A dispatcher's lane: claims, settles, gives failures back, and now and then writes a claim back and takes it up again."""

    def __init__(self, lane, number, seed):
        self.lane, self.random, self.next, self.back, self.again = lane, random.Random(seed), 1_000_000 * (number + 1), [], []
        self.accepted = []

    def jobs(self):
        made, self.again = {j.to: j for j in self.again}, []
        for person in self.random.sample(range(1, 31), self.random.randint(1, 10)):
            self.next += 1
            made.setdefault(person, Job(self.next, to=person, category=self.random.choice((MARKETING, MARKETING, UTILITY))))
        return sorted(made.values(), key=lambda j: j.n)

    def clock(self):
        return self.lane.session.value("select extract(epoch from postrider.clock())::float8 as at")

    def turn(self):
        jobs = self.jobs()
        day = ledger.DAY
        before = self.clock()
        answers = self.lane.claim(jobs, day=day, pool=self.random.choice((1, 2)), back=self.back)
        after_it = self.clock()
        outs, self.back = [], []
        for job, answer in zip(jobs, answers):
            if answer.verdict != "send":
                continue
            dice = self.random.random()
            if dice < 0.1:
                self.lane.unclaim((job.n, 0), day=day)
                self.again.append(Job(job.n, to=job.to, category=job.category))
            elif dice < 0.25:
                outs.append(Out(job.n, OUT_REJECT))
                self.back.append((answer.contact, job.n))
            else:
                outs.append(Out(job.n, OUT_ACCEPTED))
                self.accepted.append(((job.to, job.category), before, after_it))
        self.lane.settle(*outs, day=day)


class AtRandom(Race):
    """The count knows nothing of freq: it joins what was accepted with who got it, at the moment of the claim."""

    CAPS = {MARKETING: ((2, HOUR), (5, 6 * HOUR)), UTILITY: ((3, HOUR),)}

    def setUp(self):
        super().setUp()
        self.s.do("delete from postrider.policy")
        for category, caps in self.CAPS.items():
            self.cap(*caps, category=category)
        self.seed = int(os.environ.get("PR_SEED", random.randrange(1 << 30)))
        print(f"PR_SEED={self.seed}", end=" ", file=sys.stderr, flush=True)
        self.random = random.Random(self.seed)
        self.now = ledger.BASE
        self.workers = [Worker(ledger.Lane(self.open(), f"w{i}"), i, f"{self.seed} {i}") for i in range(3)]

    def together(self, turns):
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            running = [threads.submit(lambda w=w: [w.turn() for _ in range(turns)]) for w in self.workers]
            while not all(call.done() for call in running):
                self.now += datetime.timedelta(seconds=self.random.randint(0, 20))
                self.s.set_clock(self.now)
                concurrent.futures.wait(running, 0.02)
            for call in running:
                call.result(60)

    def accepted(self):
        """Of accepted messages by person and category: the clock before and after the claim that was answered so."""
        found = collections.defaultdict(list)
        for worker in self.workers:
            for who, *bounds in worker.accepted:
                found[who].append(bounds)
        return found

    def hits(self):
        found = collections.defaultdict(list)
        for row in self.s.rows("select contact, category, extract(epoch from h)::float8 as at from postrider.freq, unnest(at) h"):
            found[row["contact"], row["category"]].append((row["at"], row["at"]))
        return found

    def assert_capped(self, times, what):
        for (contact, category), at in times.items():
            at.sort()
            for n, seconds in self.CAPS[category]:
                for (first, _), (_, over) in zip(at, at[n:]):
                    self.assertGreaterEqual(over - first, seconds, f"{what}: person {contact} got {n + 1} of category {category} within {seconds} s")

    def test_nobody_gets_more_than_the_caps_and_they_are_reached(self):
        for _ in range(4):
            self.together(8)
            self.now += datetime.timedelta(seconds=self.random.randint(0, HOUR))
            self.s.set_clock(self.now)
        self.assert_capped(self.hits(), "hits")
        self.assert_capped(self.accepted(), "accepted")
        self.assert_every_hit_has_its_message()
        self.assert_reached()

    def assert_every_hit_has_its_message(self):
        """What failed for good and was given back is no hit; what was accepted, or is claimed, is one while a window needs it."""
        for worker in self.workers:
            worker.lane.claim([], back=[])
            for contact, n in worker.back:
                self.s.do(f"select postrider.release_v1(1, 1, '{{{contact}}}', array['{ledger.message_id(n)}']::uuid[])")
        wrong = self.s.rows(f"""select f.contact, m.id, m.state, o.kind from postrider.freq f, unnest(f.id) i left join postrider.message m on m.id = i
            left join postrider.outcome o on o.id = i where m.id is null or m.state not in ({CLAIMED}, 2) or o.kind = {OUT_REJECT}""")
        self.assertEqual(wrong, [])
        newest = self.s.rows(f"""select m.contact, m.category, m.id from postrider.message m join postrider.outcome o using (tenant, day, id)
            where o.kind = {OUT_ACCEPTED} and m.at > postrider.clock() - interval '30 minutes' and not exists (
                select from postrider.freq f where f.contact = m.contact and f.category = m.category and m.id = any (f.id))""")
        self.assertEqual(newest, [])

    def assert_reached(self):
        """Somebody is at the cap's edge: one more of them waits."""
        self.assertGreater(sum(len(at) >= self.CAPS[category][0][0] for (_, category), at in self.hits().items()), 10)


if __name__ == "__main__":
    ledger.main()
