#!/usr/bin/env -S python3 -B
"""Two claims at once, held at the point that matters: the last slots, one person, one message, one pool."""

import ledger
from ledger import MARKETING, Job, Out, Park


class RaceCase(ledger.RaceCase):
    def setUp(self):
        for table in ("message", "outcome", "reach", "bucket", "deferred"):
            self.s.do(f"delete from postrider.{table}")
        self.set_pool(10)

    def second_while_first_is_open(self, first, second, **more):
        """x claims and does not commit; y claims and waits for it; x commits. Both answers."""
        self.x.session.do("begin")
        mine = self.x.claim(first, **more)
        self.y.send_claim(second)
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        return mine, self.y.receive_claim()

    @staticmethod
    def sent(answers):
        return [a.contact for a in answers if a.verdict == "send"]


class LastSlots(RaceCase):
    def test_who_waited_for_the_lock_counts_what_was_taken_meanwhile(self):
        self.x.claim([Job(n, to=n) for n in range(1, 6)])
        mine, theirs = self.second_while_first_is_open([Job(n, to=n) for n in range(11, 15)], [Job(n, to=n) for n in range(21, 25)])
        self.assertEqual((len(self.sent(mine)), len(self.sent(theirs))), (4, 1))
        self.assertEqual(self.reached(), 10)

    def test_who_waited_for_the_lock_sees_what_was_given_back_meanwhile(self):
        self.x.claim([Job(n, to=n) for n in range(1, 11)])
        _, theirs = self.second_while_first_is_open([Job(11, to=11)], [Job(n, to=n) for n in range(21, 25)], back=[(1, 1), (2, 2), (3, 3)])
        self.assertEqual(len(self.sent(theirs)), 2)
        self.assertEqual(self.reached(), 10)

    def test_a_person_whom_both_reach_takes_one_slot(self):
        _, theirs = self.second_while_first_is_open([Job(1, to=5)], [Job(2, to=5)])
        self.assertEqual((self.sent(theirs), self.reached()), ([5], 1))

    def test_a_person_whom_both_reached_keeps_the_slot_when_the_first_fails(self):
        self.second_while_first_is_open([Job(1, to=5)], [Job(2, to=5)])
        self.x.claim([], back=[(5, 1)])
        self.x.claim([Job(3, to=6)], back=[(5, 1)])
        self.assertEqual(self.reached(), 2)

    def test_marketing_that_waited_leaves_the_reserve(self):
        self.set_pool(10, 30)
        self.x.claim([Job(n, to=n) for n in range(1, 5)])
        _, theirs = self.second_while_first_is_open([Job(11, to=11), Job(12, to=12)], [Job(n, to=n, category=MARKETING) for n in range(21, 25)])
        self.assertEqual(len(self.sent(theirs)), 1)

    def test_a_claim_that_was_rolled_back_took_nothing(self):
        self.x.session.do("begin")
        self.x.claim([Job(n, to=n) for n in range(1, 11)])
        self.y.send_claim([Job(n, to=n) for n in range(21, 31)])
        self.wait_blocked(self.y.session)
        self.x.session.do("rollback")
        self.assertEqual(len(self.sent(self.y.receive_claim())), 10)

    def test_pools_do_not_wait_for_each_other(self):
        self.x.session.do("begin")
        self.x.claim([Job(1)])
        self.assertEqual(self.y.verdict(Job(2, to=2), pool=2), "send")
        self.x.session.do("commit")

    def test_claims_that_ask_for_no_slot_do_not_wait_for_the_pool(self):
        self.x.session.do("begin")
        self.x.claim([Job(1)])
        self.assertEqual(self.y.verdicts([Job(2, to=2, refusal="no_template"), Job(3, to="+1")]), ["refused", "refused"])
        self.x.session.do("commit")

    def test_settling_does_not_wait_for_the_pool(self):
        self.y.claim([Job(1)])
        self.x.session.do("begin")
        self.x.claim([Job(2, to=2)])
        self.y.settle(Out(1, ledger.OUT_REJECT))
        self.x.session.do("commit")


class Sleepers(RaceCase):
    """A claim ends waiting rows before it has the pool's lock, others wake such rows while they have it: nobody may wait for a row there."""

    def setUp(self):
        super().setUp()
        self.set_pool(1)
        self.s.do("delete from postrider.fence")
        self.x.claim([Job(1), Job(2, to=2, rule="cart"), Job(3, to=2)])
        self.x.park(Park(2, reason="quota"), Park(3, reason="quota"))
        self.set_pool(5)
        self.x.session.do("begin")
        self.x.claim([], fences=[ledger.Fence(ledger.CANCELS_RECIPIENT, to=2)])

    def finish(self):
        self.assertEqual(self.x.verdict(Job(4, to=4)), "send")
        self.x.session.do("commit")
        self.assertEqual((self.state(2), self.deferred(2)), (ledger.CANCELLED, None))
        self.assertFalse(self.deferred(3)["is_asleep"])

    def test_waking_passes_over_a_row_that_is_being_cancelled(self):
        self.assertEqual(self.y.session.value("select postrider.wake_v1(1, 1)"), 1)
        self.finish()

    def test_admitting_a_person_passes_over_a_row_of_theirs_that_is_being_cancelled(self):
        self.assertEqual(self.y.verdict(Job(5, to=2)), "send")
        self.finish()


class OneMessage(RaceCase):
    def test_the_second_claim_of_an_id_waits_and_is_held(self):
        mine, theirs = self.second_while_first_is_open([Job(1)], [Job(1)])
        self.assertEqual((mine[0].verdict, theirs[0].verdict), ("send", "held"))
        self.assertEqual((self.message(1)["owner"], self.reached()), (self.x.owner, 1))

    def test_the_second_claim_sends_when_the_first_was_rolled_back(self):
        self.x.session.do("begin")
        self.x.claim([Job(1)])
        self.y.send_claim([Job(1)])
        self.wait_blocked(self.y.session)
        self.x.session.do("rollback")
        self.assertEqual(self.y.receive_claim()[0].verdict, "send")

    def test_overlapping_batches_do_not_deadlock_and_send_each_id_once(self):
        mine, theirs = self.second_while_first_is_open([Job(n, to=n) for n in range(1, 5)], [Job(n, to=n) for n in range(3, 7)])
        self.assertEqual([a.verdict for a in mine], ["send"] * 4)
        self.assertEqual([a.verdict for a in theirs], ["held", "held", "send", "send"])

    def test_a_deferred_row_that_two_lanes_read_is_sent_by_one(self):
        self.x.claim([Job(1)])
        self.x.park(Park(1, wait_ms=0))
        mine, theirs = self.second_while_first_is_open([Job(1, gen=1)], [Job(1, gen=1)])
        self.assertEqual((mine[0].verdict, theirs[0].verdict), ("send", "held"))
        self.assertEqual(self.deferred(1)["taken_owner"], self.x.owner)

    def test_an_unclaim_that_commits_first_lets_the_other_send(self):
        self.x.claim([Job(1)])
        self.x.session.do("begin")
        self.x.unclaim((1, 0))
        self.y.send_claim([Job(1)])
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.assertEqual(self.y.receive_claim()[0].verdict, "send")

    def test_an_orphan_that_two_lanes_find_is_parked_once(self):
        dead = ledger.Lane(self.s, "dead")
        dead.claim([Job(1)])
        dead.die()
        self.assertEqual((self.x.verdict(Job(1)), self.y.verdict(Job(1))), ("orphan", "orphan"))
        park = Park(1, state=ledger.UNKNOWN, orphan=True, reason="unknown")
        self.x.session.do("begin")
        self.assertEqual(self.x.park(park), [1])
        self.y.session.send(self.y.park_sql(park))
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.assertEqual(self.y.session.receive(), "")
        self.assertEqual((self.message(1)["gen"], self.count("deferred")), (1, 1))

    def parked_meanwhile(self, change):
        """What a park answers that began before another's change of the row was committed."""
        self.x.claim([Job(1)])
        self.y.session.do("begin")
        self.y.session.do(change)
        self.x.session.send(self.x.park_sql(Park(1, attempt=1)))
        self.wait_blocked(self.x.session)
        self.y.session.do("commit")
        return self.x.session.receive(), self.message(1)["gen"], self.count("deferred")

    def test_what_another_changed_while_the_park_waited_is_not_parked(self):
        for change in ("state = 2", "owner = 0", "epoch = epoch + 1", "claim_no = claim_no + 1"):
            with self.subTest(change):
                self.setUp()
                self.assertEqual(self.parked_meanwhile(f"update postrider.message set {change}"), ("", 0, 0))

    def test_an_orphan_whose_owner_put_it_off_while_the_park_waited_is_not_parked(self):
        """The owner's lease ended while its statement waited: it was not on the wire, and is no unknown."""
        dead = ledger.Lane(self.s, "dead")
        dead.claim([Job(1)])
        dead.die()
        self.y.session.do("begin")
        self.y.session.do("update postrider.message set state = 3")
        self.x.session.send(self.x.park_sql(Park(1, state=ledger.UNKNOWN, orphan=True, reason="unknown")))
        self.wait_blocked(self.x.session)
        self.y.session.do("commit")
        self.assertEqual((self.x.session.receive(), self.message(1)["gen"], self.count("deferred")), ("", 0, 0))

    def test_a_receipt_that_commits_while_the_park_waited_settles_it(self):
        message = f"1, '{ledger.DAY}', '{ledger.message_id(1)}'"
        self.assertEqual(self.parked_meanwhile(f"select postrider.receipt_v1({message}, 1, 'wamid.r')"), ("", 1, 0))
        self.assertEqual(self.fate(1), "sent")


if __name__ == "__main__":
    ledger.main()
