#!/usr/bin/env -S python3 -B
"""Dead letters: kept once with their bytes, redriven into the lane's hands once, open again when they fail again, emptied but never forgotten."""

import ledger
from ledger import (ACCEPTED, CANCELLED, CLAIMED, DEAD, DEFERRED, OUT_ACCEPTED, OUT_REJECT, REDRIVEN, REFUSED, SUPERSEDED, UNCLAIMED, UNKNOWN, Job, Out, Park,
                    after, literal)

KEY = f"'{ledger.DAY}', 1::smallint, 2, 17"
KEYS = f"array['{ledger.DAY}'::date], '{{1}}', '{{2}}', '{{17}}'"


def dead_sql(off=17, n=None, gen=0, reason="too_deep", headers=None, lane=None, claim_no=0, part=2, value=b"\x00\xff"):
    names, values = headers if headers is not None else ([b"h"], [b"\x01"])
    message = f"'{ledger.DAY}', '{ledger.message_id(n)}'" if n else "null, null"
    owner = f"{lane.owner}, {lane.epoch}" if lane else "0, 0"
    return (f"select postrider.dead_v1('{ledger.BASE}', 1::smallint, {part}, {off}, '{reason}', 'nesting 9', '\\x6b', {literal(value)}, "
            f"{ledger.array('bytea', names)}, {ledger.array('bytea', values)}, 'order.confirmed', 1, {message}, {gen}, {owner}, {claim_no})")


class Letters:
    def dead(self, **more):
        self.s.do(dead_sql(**more))

    def redrive(self, most=3, payload=b"record", session=None):
        return (session or self.s).value(f"select postrider.redrive_v1({KEY}, {literal(payload)}, {most})")

    def letter(self, off=17):
        return self.s.row(f"select * from postrider.dead_letter where off = {off}")

    def die_waiting(self, n=1, gen=1):
        """Message n comes from partition 2, offset 17; it is deferred, and its return is refused by the database."""
        self.a.claim([Job(n, part=2, off=17, subject="cart-1")])
        self.a.park(Park(n))
        self.dead(n=n, gen=gen, reason="22023", headers=([], []))


class Dead(Letters, ledger.Case):
    def test_it_keeps_the_bytes_once_an_origin(self):
        self.dead()
        self.dead(reason="other")
        self.assertEqual(self.s.rows("select off, reason, detail, key, value, header_names, header_values, tenant, type, message from postrider.dead_letter"),
                         [{"off": 17, "reason": "too_deep", "detail": "nesting 9", "key": "\\x6b", "value": "\\x00ff", "header_names": ["\\x68"],
                           "header_values": ["\\x01"], "tenant": 1, "type": "order.confirmed", "message": None}])

    def test_names_of_headers_that_are_no_text_are_kept(self):
        self.dead(headers=([b"\xff\xfe"], [None]))
        self.assertEqual(self.s.row("select header_names, header_values from postrider.dead_letter"),
                         {"header_names": ["\\xfffe"], "header_values": [None]})

    def test_it_ends_its_message_and_its_deferred_row(self):
        self.die_waiting()
        self.assertEqual((self.state(1), self.message(1)["reason"], self.deferred(1), self.fate(1)), (DEAD, "22023", None, "dead"))
        self.assertEqual((self.letter()["message"], self.letter()["message_day"]), (str(ledger.message_id(1)), str(ledger.DAY)))

    def test_it_ends_nothing_of_another_gen_and_nothing_final(self):
        for n, state in ((1, CLAIMED), (2, ACCEPTED), (3, REFUSED), (4, CANCELLED), (5, SUPERSEDED)):
            self.a.claim([Job(n, to=n)])
            self.set_message(n, f"state = {state}, gen = {1 if n == 1 else 0}")
            self.dead(off=n, n=n, gen=0, lane=self.a)
            self.assertEqual((self.state(n), self.letter(n)["message"]), (state, None))

    def test_what_waits_without_a_ledger_row_ends_with_its_dead_letter(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.s.do("delete from postrider.message")
        self.dead(n=1, gen=1, reason="no ledger row")
        self.assertEqual((self.deferred(1), self.letter()["message"]), (None, None))

    def test_what_another_process_has_in_work_is_left_to_it(self):
        self.a.claim([Job(1, no=77)])
        self.dead(n=1, lane=self.b, claim_no=77)
        self.assertEqual((self.state(1), self.letter()["message"]), (CLAIMED, None))
        self.dead(off=18, n=1, lane=self.a, claim_no=78)  # the same process, another claim: that one may be on the wire
        self.assertEqual((self.state(1), self.letter(18)["message"]), (CLAIMED, None))
        self.dead(off=19, n=1, lane=self.a, claim_no=77)
        self.assertEqual(self.state(1), DEAD)

    def test_what_a_dead_process_had_in_work_is_unknown_and_not_dead(self):
        self.a.claim([Job(1)])
        self.a.die()
        self.dead(n=1, lane=self.b)
        self.assertEqual((self.state(1), self.message(1)["reason"], self.fate(1)), (UNKNOWN, "unknown", "unknown"))
        self.assertEqual(self.letter()["message"], str(ledger.message_id(1)))

    def test_what_waits_and_was_taken_by_somebody_alive_keeps_waiting(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, wait_ms=0))
        self.a.claim([Job(1, gen=1)])
        self.dead(n=1, gen=1, lane=self.b)
        self.assertEqual((self.state(1), self.deferred(1)["gen"]), (CLAIMED, 1))

    def test_an_unknown_stays_unknown_with_its_reason(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, ledger.OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.dead(n=1, gen=1, reason="22P02")
        self.assertEqual((self.state(1), self.message(1)["reason"], self.deferred(1)), (UNKNOWN, "unknown", None))

    def test_the_origin_is_that_of_the_message_though_it_waits_on_another_partition(self):
        self.a.claim([Job(1, part=2, off=17)])
        self.a.park(Park(1))
        self.dead(n=1, gen=1, part=3)
        self.assertEqual(self.letter()["part"], 2)

    def test_the_header_of_ours_says_how_often(self):
        for off, (names, values), n in ((1, ([], []), 0), (2, ([b"postrider-redrives"], [b"2"]), 2), (3, ([b"x", b"postrider-redrives"], [b"9", b"0"]), 0),
                                        (4, ([b"postrider-redrives"], [b"-1"]), 0), (5, ([b"postrider-redrives"], [None]), 0),
                                        (6, ([b"postrider-redrives"], [b"\xff"]), 0), (7, ([b"postrider-redrives"], [b"1234567"]), 0),
                                        (8, ([b"postrider-redrives"] * 2, [b"1", b"4"]), 4), (9, ([b"postrider-redrives"], [b"999999"]), 999999),
                                        (10, ([b"Postrider-Redrives"], [b"3"]), 0), (11, ([b"postrider-redrives"], [b""]), 0)):
            self.dead(off=off, headers=(names, values))
            self.assertEqual(self.letter(off)["redrives"], n, (names, values))


class Redrive(Letters, ledger.Case):
    def test_the_message_waits_with_its_record_and_is_sent_once(self):
        self.die_waiting()
        self.assertEqual(self.redrive(), "redriven")
        waits = self.deferred(1)
        self.assertEqual((self.state(1), self.message(1)["gen"], self.fate(1)), (REDRIVEN, 2, "deferred"))
        self.assertEqual([waits[k] for k in ("gen", "reason", "payload", "part", "topic", "off", "rule", "subject", "contact", "taken_owner")],
                         [2, "redriven", "\\x" + b"record".hex(), 2, 1, 17, "order", "cart-1", 1, None])
        self.assertEqual(self.due(), [1])
        self.assertEqual(self.a.verdicts([Job(1, gen=2)]), ["send"])
        self.a.settle(Out(1, gen=2))
        self.assertEqual((self.fate(1), self.deferred(1)), ("sent", None))
        self.assertEqual(self.a.verdict(Job(1)), "duplicate")
        self.assertEqual(self.redrive(), "settled")

    def test_twice_is_once(self):
        self.die_waiting()
        self.assertEqual([self.redrive(), self.redrive()], ["redriven", "settled"])
        self.assertEqual((self.message(1)["gen"], self.letter()["redrives"], self.count("deferred")), (2, 1, 1))

    def test_a_message_in_any_other_state_is_left_alone(self):
        self.die_waiting()
        for state in (CLAIMED, UNCLAIMED, DEFERRED, REDRIVEN, ACCEPTED, REFUSED, CANCELLED, SUPERSEDED):
            self.set_message(1, f"state = {state}")
            self.assertEqual(self.redrive(), "settled", state)
            self.assertEqual((self.state(1), self.message(1)["gen"], self.deferred(1), self.letter()["redrives"]), (state, 1, None, 0))

    def test_what_the_platform_took_is_not_sent_again(self):
        self.die_waiting()
        self.a.settle(Out(1, OUT_ACCEPTED))
        self.assertEqual((self.redrive(), self.deferred(1)), ("settled", None))

    def test_what_the_platform_refused_may_be_tried_again(self):
        self.die_waiting()
        self.a.settle(Out(1, OUT_REJECT))
        self.assertEqual((self.redrive(), self.a.verdict(Job(1, gen=2))), ("redriven", "send"))

    def test_an_unknown_gets_its_record_back_and_waits_as_one(self):
        self.a.claim([Job(1, part=2, off=17)])
        self.a.settle(Out(1, ledger.OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.dead(n=1, gen=1)
        self.assertEqual(self.redrive(), "redriven")
        self.assertEqual((self.state(1), self.message(1)["gen"], self.deferred(1)["reason"]), (UNKNOWN, 2, "unknown"))
        self.assertEqual(self.a.verdict(Job(1, gen=2)), "waiting")
        self.receipts_arrive()
        self.assertEqual(self.a.verdict(Job(1, gen=2)), "send")

    def test_an_unknown_whose_time_ran_out_after_that_is_left_alone(self):
        self.a.claim([Job(1, part=2, off=17)])
        self.a.settle(Out(1, ledger.OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.dead(n=1, gen=1)
        self.redrive()
        self.assertEqual(self.a.verdict(Job(1, gen=2, expiry=after(hours=-1))), "waiting")
        self.assertEqual((self.deferred(1), self.redrive(), self.deferred(1)), (None, "settled", None))

    def test_an_unknown_that_still_waits_is_left_alone(self):
        self.die_waiting()
        self.set_message(1, f"state = {UNKNOWN}")
        self.s.do(f"update postrider.dead_letter set message = '{ledger.message_id(1)}'")
        self.assertEqual(self.redrive(), "redriven")
        self.s.do("update postrider.dead_letter set redriven_at = null")
        self.assertEqual((self.redrive(), self.message(1)["gen"]), ("settled", 2))

    def test_what_has_no_letter_or_no_message_is_gone(self):
        self.assertEqual(self.redrive(), "gone")
        self.dead()
        self.assertEqual(self.redrive(), "gone")
        self.s.do("delete from postrider.dead_letter")
        self.die_waiting()
        self.s.do("delete from postrider.message")
        self.assertEqual((self.redrive(), self.count("deferred")), ("gone", 0))

    def test_what_fails_again_is_open_again_and_counts(self):
        self.die_waiting()
        for n in (1, 2, 3):
            self.assertEqual(self.redrive(), "redriven")
            self.assertIsNotNone(self.letter()["redriven_at"])
            self.dead(n=1, gen=n + 1, reason=f"2200{n}", headers=([], []), value=b"stored")
            letter = self.letter()
            self.assertEqual((letter["redrives"], letter["redriven_at"], letter["reason"], self.state(1)), (n, None, f"2200{n}", DEAD))
            self.assertEqual(letter["value"], "\\x00ff", "the bytes are those that came first")
        self.assertEqual((self.redrive(), self.message(1)["gen"]), ("often", 4))
        self.assertEqual(self.redrive(most=2**31 - 1), "redriven")

    def test_a_repeated_statement_does_not_open_what_was_redriven(self):
        """Its connection was cut before the answer, and somebody was fast."""
        self.die_waiting()
        self.redrive()
        self.dead(n=1, gen=1, reason="22023")
        self.assertIsNotNone(self.letter()["redriven_at"])
        self.assertEqual((self.state(1), self.deferred(1)["gen"]), (REDRIVEN, 2))

    def test_a_record_read_again_does_not_open_what_is_on_kafka(self):
        self.dead()
        self.assertEqual(self.s.value(f"select postrider.redriven_v1({KEYS})"), 1)
        self.dead()
        self.assertEqual((self.letter()["redrives"], self.letter()["redriven_at"] is not None), (1, True))
        self.assertEqual(self.s.value(f"select postrider.redriven_v1({KEYS})"), 0)
        self.assertEqual(self.letter()["redrives"], 1)

    def test_a_letter_without_a_message_gets_one_when_its_record_waits_and_dies_after_all(self):
        """The first claim was refused; read again after the cure the record was deferred, and its return was refused."""
        self.dead()
        self.die_waiting()
        self.assertEqual((self.letter()["message"], self.letter()["reason"]), (str(ledger.message_id(1)), "22023"))
        self.assertEqual(self.redrive(), "redriven")

    def test_a_letter_whose_message_goes_on_is_counted_as_that_message(self):
        def counted():
            return (self.s.value("select count(*) from postrider.letter where not goes_on"),
                    self.s.value("select count(*) from postrider.fate where fate <> 'dead'"))
        self.die_waiting()
        self.assertEqual(counted(), (1, 0))
        self.redrive()
        self.assertEqual(counted(), (0, 1))
        self.dead(n=1, gen=2)
        self.assertEqual(counted(), (1, 0))
        self.s.do(f"select postrider.purge_v1({KEYS})")
        self.assertEqual(counted(), (1, 0))


class Purge(Letters, ledger.Case):
    def purge(self):
        return self.s.value(f"select postrider.purge_v1({KEYS})")

    def test_the_bytes_go_and_the_row_stays(self):
        self.dead()
        self.assertEqual([self.purge(), self.purge()], [1, 0])
        letter = self.letter()
        self.assertEqual([letter[k] for k in ("key", "value", "header_names", "header_values", "detail", "reason")], [None, None, [], [], "", "too_deep"])
        self.assertEqual(self.s.value("select state from postrider.letter"), "purged")

    def test_a_record_that_is_read_again_does_not_come_back(self):
        self.dead()
        self.purge()
        self.dead()
        self.assertEqual((self.letter()["value"], self.count("dead_letter")), (None, 1))

    def test_one_that_was_redriven_before_and_fails_again_gets_its_record_back(self):
        self.die_waiting()
        self.assertEqual(self.redrive(), "redriven")
        self.purge()
        self.dead(n=1, gen=2, reason="22P05", headers=([b"h"], [b"2"]), value=b"again")
        letter = self.letter()
        self.assertEqual([letter[k] for k in ("key", "value", "header_names", "purged_at", "redriven_at", "reason")],
                         ["\\x6b", "\\x" + b"again".hex(), ["\\x68"], None, None, "22P05"])
        self.assertEqual((self.s.value("select state from postrider.letter"), self.redrive()), ("open", "redriven"))

    def test_it_cannot_be_redriven(self):
        self.die_waiting()
        self.purge()
        self.assertEqual((self.redrive(), self.state(1)), ("settled", DEAD))


class Races(Letters, ledger.RaceCase):
    def setUp(self):
        for table in ("message", "outcome", "deferred", "dead_letter"):
            self.s.do(f"delete from postrider.{table}")
        self.a = self.x
        self.die_waiting()

    def held(self, sql):
        """x redrives and does not commit; y runs `sql` and waits for it; x commits. y's answer."""
        self.x.session.do("begin")
        self.assertEqual(self.redrive(session=self.x.session), "redriven")
        self.y.session.send(sql)
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        return self.y.session.receive()

    def test_of_two_that_redrive_at_once_one_does(self):
        self.assertEqual(self.held(f"select postrider.redrive_v1({KEY}, 'x', 3)"), "settled")
        self.assertEqual((self.count("deferred"), self.letter()["redrives"]), (1, 1))

    def test_a_statement_repeated_meanwhile_changes_nothing(self):
        self.held(dead_sql(n=1, gen=1, reason="late"))
        self.assertEqual((self.state(1), self.deferred(1)["gen"], self.letter()["reason"]), (REDRIVEN, 2, "22023"))

    def test_what_is_settled_meanwhile_is_not_redriven(self):
        self.set_message(1, f"state = {UNKNOWN}")
        self.x.session.do("begin")
        self.x.session.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'accepted')")
        self.y.session.send(f"select postrider.redrive_v1({KEY}, 'x', 3)")
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.assertEqual((self.y.session.receive(), self.state(1), self.count("deferred")), ("settled", ACCEPTED, 0))

    def test_a_purge_that_waits_for_it_empties_the_letter_and_the_message_goes_on(self):
        self.assertEqual(self.held(f"select postrider.purge_v1({KEYS})"), "1")
        self.assertEqual((self.state(1), self.deferred(1)["payload"]), (REDRIVEN, "\\x" + b"record".hex()))


if __name__ == "__main__":
    ledger.main()
