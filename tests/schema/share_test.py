#!/usr/bin/env -S python3 -B
"""Shares of a sender's rate: what processes really use never adds up to more, whoever dies, hangs or loses an answer; and who waits is woken."""

import dataclasses
import os
import random
import sys
import time

import ledger
from ledger import Job, Park, array, literal

RATE = 80.0  # of both senders in the set-up
IDLE = 0.02
SETTLED = 1e-9  # what sums of doubles may be off


def ask_sql(lane, used, call, weight=1.0, senders=(1,), valid_ms=5000, epoch=None):
    n = len(senders)
    return (f"select * from postrider.share_v1({lane.owner}, {epoch or lane.epoch}, {call}, {valid_ms}, {array('int', [1] * n)}, "
            f"{array('int', senders)}, {array('float8', [used] * n)}, {array('float8', [weight] * n)})")


class Share(ledger.Case):
    def setUp(self):
        super().setUp()
        self.call = 0

    def ask(self, lane, used=0.0, weight=1.0, **more):
        """What is granted for sender 1; None without an answer."""
        self.call += 1
        rows = self.s.rows(ask_sql(lane, used, more.pop("call", self.call), weight, **more))
        return rows[0]["granted"] if rows else None

    def held(self, lane):
        return self.s.value(f"select held from postrider.sender_share where sender = 1 and owner = {lane.owner} and epoch = {lane.epoch}")

    def runs_out(self, lane):
        self.s.do(f"update postrider.sender_share set until = clock_timestamp() where owner = {lane.owner}")

    def test_the_only_one_gets_the_whole_rate_with_its_first_answer(self):
        self.assertEqual(self.ask(self.a), RATE)
        self.assertEqual(self.ask(self.a, RATE, weight=IDLE), RATE)

    def test_nothing_is_free_before_the_other_has_said_that_it_uses_less(self):
        self.ask(self.a)
        self.assertEqual(self.ask(self.b), 0)
        self.assertEqual(self.ask(self.a, RATE), RATE / 2)
        self.assertEqual(self.held(self.a), RATE, "held until it is said to be given up")
        self.assertEqual(self.ask(self.b), 0)
        self.assertEqual(self.ask(self.a, RATE / 2), RATE / 2)
        self.assertEqual(self.held(self.a), RATE / 2)
        self.assertEqual(self.ask(self.b), RATE / 2)
        self.assertEqual(self.held(self.b), RATE / 2)

    def test_a_lost_answer_that_grew_is_given_back_by_the_next_question(self):
        self.assertEqual(self.ask(self.a), RATE)  # never arrives
        self.assertEqual(self.ask(self.b), 0)
        self.assertEqual(self.ask(self.a, 0), RATE / 2)
        self.assertEqual(self.ask(self.b), RATE / 2)

    def test_an_idle_one_keeps_a_little_and_a_busy_one_has_the_rest(self):
        self.ask(self.a)
        self.ask(self.b, weight=IDLE)
        busy = RATE / (1 + IDLE)
        self.assertAlmostEqual(self.ask(self.a, RATE), busy, 9)
        self.ask(self.a, busy)
        self.assertAlmostEqual(self.ask(self.b, 0, weight=IDLE), RATE - busy, 9)

    def test_the_fair_part_is_that_of_one_with_messages(self):
        self.ask(self.a)
        row = self.s.row(ask_sql(self.b, 0, 100, IDLE))
        self.assertEqual(row["fair"], RATE / 2)

    def test_what_ran_out_is_free_and_what_has_not_is_not_whatever_became_of_its_epoch(self):
        self.ask(self.a)
        again = ledger.Lane(self.s, "a")
        self.assertEqual(self.ask(again), 0, "the one before may still be sending")
        self.assertEqual(self.ask(self.b), 0)
        self.s.do(f"update postrider.sender_share set until = clock_timestamp() where epoch = {self.a.epoch} and owner = {self.a.owner}")
        self.assertEqual(self.ask(again), RATE / 2)

    def halve(self):
        """Each of two has its half."""
        self.ask(self.a)
        self.ask(self.b)
        self.ask(self.a, RATE)
        self.ask(self.a, RATE / 2)

    def test_a_dead_ones_part_is_the_others_when_it_has_run_out(self):
        self.halve()
        self.assertEqual(self.ask(self.b), RATE / 2)
        self.a.die()
        self.assertEqual(self.ask(self.b, RATE / 2), RATE / 2)
        self.runs_out(self.a)
        self.assertEqual(self.ask(self.b, RATE / 2), RATE)

    def test_one_without_a_lease_gets_no_answer(self):
        self.a.die()
        self.assertIsNone(self.ask(self.a))
        ledger.Lane(self.s, "b")
        self.assertIsNone(self.ask(self.b), "its epoch is over")

    def test_a_question_that_arrives_late_changes_nothing(self):
        self.assertEqual(self.ask(self.a, 0, call=10), RATE)
        for call in (9, 10):
            self.assertIsNone(self.ask(self.a, 0, call=call, weight=IDLE))
        self.assertEqual(self.held(self.a), RATE)
        self.assertEqual(self.ask(self.a, RATE, call=11), RATE)

    def test_a_late_question_counts_again_after_its_row_ran_out_only_if_it_is_newer(self):
        self.ask(self.a, call=10)
        self.runs_out(self.a)
        self.assertIsNone(self.ask(self.a, call=9))
        self.assertEqual(self.ask(self.a, call=11), RATE)

    def test_a_smaller_rate_shrinks_each_with_its_next_question(self):
        self.halve()
        self.ask(self.b)
        self.s.do("update postrider.sender set rate = 20")
        self.assertEqual(self.ask(self.a, RATE / 2), 10)
        self.assertEqual(self.ask(self.b, RATE / 2), 10)
        self.assertEqual(self.ask(self.a, 10), 10)
        self.assertEqual(self.ask(self.b, 10), 10)
        self.s.do("update postrider.sender set rate = 200")
        self.assertEqual(self.ask(self.a, 10), 100)
        self.assertEqual(self.ask(self.b, 10), 100)

    def test_what_is_given_back_is_free_at_once(self):
        self.ask(self.a)
        self.s.do(f"select postrider.share_return_v1({self.a.owner}, {self.a.epoch})")
        self.assertEqual(self.ask(self.b), RATE)

    def test_senders_are_apart_and_one_that_is_not_there_has_no_rate(self):
        self.call = 1
        rows = self.s.rows(ask_sql(self.a, 0, 1, senders=(1, 2, 99)))
        self.assertEqual([(r["sender"], r["granted"]) for r in rows], [(1, RATE), (2, RATE), (99, 0)])

    def test_old_rows_are_tidied_and_the_lock_stays(self):
        self.ask(self.a)
        self.s.do("update postrider.sender_share set until = clock_timestamp() - interval '2 h' where owner <> 0")
        self.s.do("select postrider.tidy_v1(30)")
        self.assertEqual(self.s.rows("select owner from postrider.sender_share"), [{"owner": 0}])


class Wake(ledger.Case):
    """Messages that wait for a sender or template that was stopped."""

    def setUp(self):
        super().setUp()
        self.set_pool(100)

    def wait(self, n, reason, sender=1, rule="order"):
        job = Job(n, to=n, sender=sender, rule=rule)
        self.assertEqual(self.a.verdict(job), "send")
        self.a.park(Park(n, reason=reason, wait_ms=3_600_000))

    def wake(self, call):
        return self.s.value(f"select postrider.{call}")

    def test_what_waits_for_a_sender_is_woken_and_no_other(self):
        self.wait(1, "sender_breaker")
        self.wait(2, "sender_stopped")
        self.wait(3, "sender_breaker", sender=2)
        self.wait(4, "sender_busy")
        self.wait(5, "template_breaker")
        self.assertEqual(self.due(), [])
        self.assertEqual(self.wake("wake_sender_v1(1, 1, 100)"), 2)
        self.assertEqual(self.due(), [1, 2])
        self.assertEqual(self.wake("wake_sender_v1(1, 1, 100)"), 0)
        self.assertEqual(self.wake("wake_sender_v1(2, 2, 100)"), 0, "another tenant")

    def test_what_waits_for_a_template_is_woken_by_the_rules_that_send_it(self):
        self.wait(1, "template_breaker")
        self.wait(2, "template_paused", rule="cart")
        self.wait(3, "template_stopped", rule="promo")
        self.wait(4, "sender_breaker", rule="promo")
        self.assertEqual(self.wake("wake_template_v1(1, array['order', 'promo'], 100)"), 2)
        self.assertEqual(self.due(), [1, 3])
        self.assertEqual(self.wake("wake_template_v1(2, null, 100)"), 0)
        self.assertEqual(self.wake("wake_template_v1(null, null, 100)"), 1)
        self.assertEqual(self.due(), [1, 2, 3])

    def test_no_more_are_woken_at_once_than_was_asked_for(self):
        for n in range(1, 6):
            self.wait(n, "sender_breaker")
            self.wait(10 + n, "template_breaker")
        self.assertEqual([self.wake("wake_sender_v1(1, 1, 3)") for _ in range(3)], [3, 2, 0])
        self.assertEqual([self.wake("wake_template_v1(1, null, 3)") for _ in range(3)], [3, 2, 0])

    def test_what_somebody_has_taken_is_left_alone(self):
        self.wait(1, "sender_breaker")
        self.s.do(f"update postrider.deferred set taken_owner = {self.b.owner}, taken_epoch = {self.b.epoch}")
        self.assertEqual(self.wake("wake_sender_v1(1, 1, 100)"), 0)


@dataclasses.dataclass
class Use:
    """What one life of a process may send, until when by its own clock."""
    value: float = 0.0
    end: float = 0.0

    def at(self, now):
        return self.value if now < self.end else 0.0


class Process:
    """Asks over two connections in turn, so that an answer may be given up while its statement still runs."""

    VALID_MS, MARGIN_MS = 600, 100

    def __init__(self, name, sessions, seed):
        self.name, self.sessions, self.random = name, sessions, random.Random(seed)
        self.lane = ledger.Lane(sessions[0], name)
        self.uses = [Use()]  # of all its lives; the last one is at work
        self.call = 0
        self.asked = None  # (session, moment) of the open question
        self.ignored = []  # sessions with an answer that nobody waits for
        self.weight = 1.0

    def ask(self):
        session = next((s for s in self.sessions if s not in self.ignored), None)
        if session is None:
            self.clear()
            return
        self.call += 1
        if self.random.random() < 0.3:
            self.weight = self.random.choice([IDLE, 0.3, 1.0])
        now = time.monotonic()
        session.send_rows(ask_sql(self.lane, self.uses[-1].at(now), self.call, self.weight, valid_ms=self.VALID_MS))
        self.asked = (session, now)

    def clear(self):
        for session in self.ignored:
            session.receive_rows()
        self.ignored = []

    def answer(self):
        session, asked = self.asked
        self.asked = None
        rows = session.receive_rows()
        if rows:
            self.uses[-1] = Use(rows[0]["granted"], asked + (self.VALID_MS - self.MARGIN_MS) / 1000)

    def lose(self):
        """The connection is cut, as it looks from here; the statement runs on."""
        self.ignored.append(self.asked[0])
        self.asked = None

    def die(self):
        """Starts again under its name; what it was doing may go on for as long as its share is valid."""
        if self.asked:
            self.lose()
        self.clear()
        self.lane = ledger.Lane(self.sessions[0], self.name)
        self.uses.append(Use())

    def step(self):
        chance = self.random.random()
        if not self.asked:
            self.ask()
        elif chance < 0.08:
            self.lose()
        elif chance < 0.10:
            self.die()
        else:
            self.answer()


class Race(ledger.RaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seed = int(os.environ.get("PR_SEED", random.randrange(1 << 30)))

    def setUp(self):
        print(f"PR_SEED={self.seed}", end=" ", file=sys.stderr, flush=True)
        self.random = random.Random(f"{self.seed} {self.id()}")
        self.s.do("delete from postrider.sender_share")
        self.s.do(f"update postrider.sender set rate = {RATE}")
        self.processes = [Process(f"p{i}", [self.open(), self.open()], f"{self.seed} {self.id()} {i}") for i in range(3)]

    def total(self):
        """What is really used at this moment: the count knows nothing of the table."""
        now = time.monotonic()
        return sum(use.at(now) for p in self.processes for use in p.uses)

    def run_steps(self, n, most):
        for _ in range(n):
            self.random.choice(self.processes).step()
            total = self.total()
            self.assertLessEqual(total, most + SETTLED, [p.uses[-2:] for p in self.processes])

    def settle(self):
        """All live and ask in turn; everybody has messages."""
        for process in self.processes:
            if process.asked:
                process.answer()
            process.clear()
            process.weight, process.random = 1.0, random.Random(0)
        for _ in range(4):
            for process in self.processes:
                process.random.random = lambda: 0.5
                process.ask()
                process.answer()

    def test_what_is_used_never_adds_up_to_more_than_the_rate(self):
        self.run_steps(1500, RATE)
        time.sleep(Process.VALID_MS / 1000)
        self.settle()  # how much of it was used meanwhile depends on who died when; now all of it must be
        self.assertGreater(sum(p.uses[-1].value for p in self.processes), RATE * 0.9, "it was never all used")

    def test_when_all_are_busy_and_well_each_has_its_third_and_nothing_is_left_over(self):
        self.run_steps(200, RATE)
        time.sleep(Process.VALID_MS / 1000)  # those that died have no part any more
        self.settle()
        for process in self.processes:
            self.assertAlmostEqual(process.uses[-1].value, RATE / 3, 6)

    def test_a_smaller_rate_holds_as_soon_as_each_has_asked_once(self):
        self.run_steps(200, RATE)
        for rate in (20.0, 50.0, 5.0):
            self.s.do(f"update postrider.sender set rate = {literal(rate)}")
            for process in self.processes:  # those that died under the old rate keep what they had until it runs out
                process.clear()
                if process.asked:
                    process.answer()
                process.ask()
                process.answer()
            time.sleep(Process.VALID_MS / 1000)
            self.run_steps(200, rate)

    def test_a_question_stuck_behind_the_lock_is_overtaken_by_a_newer_one(self):
        p, q = self.processes[:2]
        p.ask()
        p.answer()
        self.assertEqual(p.uses[-1].value, RATE)
        self.s.do("begin")
        self.s.do("select from postrider.sender_share where owner = 0 for update")
        p.ask()
        self.wait_blocked(p.asked[0])
        p.lose()
        p.ask()
        self.wait_blocked(p.asked[0])
        q.ask()
        self.s.do("rollback")
        p.answer()
        p.clear()
        q.answer()
        self.assertLessEqual(self.total(), RATE + SETTLED)


if __name__ == "__main__":
    ledger.main()
