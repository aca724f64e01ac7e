#!/usr/bin/env -S python3 -B
"""Consent and contacts: the newest word holds, on a tie the revocation, and lanes hear of it however late it commits."""

import uuid

import ledger
from ledger import MARKETING, UTILITY, Job, Out, after

BIT = {UTILITY: 1, MARKETING: 2}


class Consent(ledger.Case):
    def setUp(self):
        super().setUp()
        self.events = 0
        self.s.do("update postrider.contact set consent = 0 where id = 1")

    def say(self, granted, categories=1, at=ledger.BASE, event=None, to=1, how="website"):
        self.events += 1
        event = event or uuid.UUID(int=self.events)
        self.s.do(f"select postrider.consent_v1(1, '{ledger.address(to)}', '{event}', {categories}::smallint, {granted}, {ledger.literal(at)}, "
                  f"'{how}', 'form 3', 'Loja Aurora')")
        return event

    def mask(self, contact=1):
        return self.s.value(f"select consent from postrider.contact where id = {contact}")

    def told(self):
        return [r["target"] for r in self.s.rows("select target from postrider.control where kind = 'contact' order by id")]

    def test_a_grant_lets_messages_of_its_category_go(self):
        self.assertEqual(self.a.verdict(Job(1)), "refused")
        self.say(True, BIT[UTILITY])
        self.assertEqual(self.a.verdicts([Job(2), Job(3, category=MARKETING)]), ["send", "refused"])

    def test_a_revocation_stops_them(self):
        self.say(True, 3)
        self.say(False, BIT[MARKETING], after(seconds=0))
        self.assertEqual(self.a.verdicts([Job(1, category=MARKETING), Job(2)]), ["refused", "send"])

    def test_the_newest_word_holds_in_whatever_order_they_come(self):
        self.say(False, at=after(minutes=-10))
        self.say(True, at=after(minutes=-20))
        self.assertEqual(self.mask(), 0)
        self.say(True, at=after(minutes=-5))
        self.assertEqual(self.mask(), 1)

    def test_a_grant_replayed_after_a_revocation_changes_nothing(self):
        grant = self.say(True, at=after(minutes=-20))
        self.say(False, at=after(minutes=-10))
        before = self.s.rows("select * from postrider.consent order by event")
        self.say(True, at=after(minutes=-20), event=grant)
        self.assertEqual((self.mask(), self.s.rows("select * from postrider.consent order by event")), (0, before))

    def test_a_replay_under_a_new_id_changes_nothing_either(self):
        self.say(True, at=after(minutes=-20))
        self.say(False, at=after(minutes=-10))
        self.say(True, at=after(minutes=-20))
        self.assertEqual(self.mask(), 0)

    def test_a_replayed_grant_without_a_time_changes_nothing(self):
        """It was stored under the time of its first arrival."""
        grant = self.say(True, at=None)
        self.s.set_clock(after(minutes=10))
        self.say(False, at=None)
        self.s.set_clock(after(minutes=20))
        self.say(True, at=None, event=grant)
        self.assertEqual(self.mask(), 0)

    def test_on_a_tie_the_revocation_wins_in_either_order(self):
        self.say(True)
        self.say(False)
        self.say(False, to=2)
        self.say(True, to=2)
        self.assertEqual((self.mask(1), self.mask(2) & 1), (0, 0))

    def test_a_time_to_come_is_cut_to_now(self):
        self.say(True, at=after(days=300))
        self.assertEqual(self.s.value("select at from postrider.consent"), ledger.BASE.isoformat())
        self.s.set_clock(after(minutes=1))
        self.say(False, at=None)
        self.assertEqual(self.mask(), 0)

    def test_a_revocation_from_a_clock_ahead_does_not_stop_later_grants(self):
        self.say(False, at=after(days=300))
        self.s.set_clock(after(minutes=1))
        self.say(True, at=after(minutes=1))
        self.assertEqual(self.mask(), 1)

    def test_every_word_is_kept_with_its_evidence(self):
        self.say(True, 3)
        rows = self.s.rows("select category, is_granted, how, evidence, business_name from postrider.consent order by category")
        self.assertEqual(rows, [{"category": c, "is_granted": True, "how": "website", "evidence": "form 3", "business_name": "Loja Aurora"}
                                for c in (0, 1)])

    def test_lanes_are_told_of_what_was_lost_and_only_then(self):
        self.say(True, 3)
        self.say(True, at=after(minutes=-5))
        self.assertEqual(self.told(), [])
        self.say(False)
        self.assertEqual(self.told(), ["1"])
        self.say(False, at=after(minutes=-1))
        self.assertEqual(self.told(), ["1"])

    def test_an_opt_out_at_the_platform_holds_against_older_grants(self):
        self.say(True, 15, after(minutes=-5), to=2)
        self.a.claim([Job(1, to=2), Job(2, to=3)])
        self.a.settle(Out(1, ledger.OUT_REJECT, opt_out=2), Out(2))
        self.assertEqual((self.mask(2), self.told()), (15 & ~BIT[MARKETING], ["2"]))
        self.say(True, BIT[MARKETING], after(minutes=-5), to=2)
        self.assertEqual(self.a.verdict(Job(3, to=2, category=MARKETING)), "refused")

    def test_a_contact_is_made_for_a_new_address(self):
        self.say(True, to=ledger.PEOPLE + 1)
        self.assertEqual(self.a.verdict(Job(1, to=ledger.PEOPLE + 1)), "send")


class Contact(ledger.Case):
    events = 0

    def update(self, at, to=1, event=None, **fields):
        values = {"locale": None, "zone": None, "tags": None, "is_suppressed": None, "window_until": None} | fields
        self.events += 1
        event = event or uuid.UUID(int=self.events)
        arguments = [1, ledger.address(to), event, at, *values.values()]
        self.s.do(f"select postrider.contact_v1({', '.join(map(ledger.literal, arguments))})")
        return event

    def contact(self):
        return self.s.row("select * from postrider.contact where id = 1")

    def test_a_later_update_changes_what_it_names_and_leaves_the_rest(self):
        self.update(after(minutes=-2), locale="pt_BR", zone="America/Sao_Paulo")
        self.update(after(minutes=-1), locale="en_US")
        self.assertEqual((self.contact()["locale"], self.contact()["zone"]), ("en_US", "America/Sao_Paulo"))

    def test_an_older_or_replayed_update_changes_nothing(self):
        self.update(after(minutes=-2), locale="pt_BR")
        before = self.contact()
        self.update(after(minutes=-3), locale="es")
        self.update(after(minutes=-2), locale="fr")
        self.assertEqual(self.contact(), before)

    def test_a_replayed_update_without_a_time_changes_nothing(self):
        event = self.update(None, locale="pt_BR")
        self.s.do("update postrider.contact set locale = 'es' where id = 1")
        self.s.set_clock(after(minutes=5))
        self.update(None, event=event, locale="pt_BR")
        self.assertEqual(self.contact()["locale"], "es")

    def test_a_time_to_come_is_cut_to_now(self):
        self.update(after(days=300), locale="pt_BR")
        self.s.set_clock(after(minutes=1))
        self.update(after(minutes=1), locale="es")
        self.assertEqual(self.contact()["locale"], "es")

    def test_suppression_stops_messages_and_tells_the_lanes_once(self):
        self.update(after(minutes=-2), is_suppressed=True)
        self.update(after(minutes=-1), is_suppressed=True)
        self.assertEqual(self.a.verdict(Job(1)), "refused")
        self.assertEqual(self.s.rows("select kind, target from postrider.control"), [{"kind": "contact", "target": "1"}])

    def test_a_control_event_is_applied_and_noted_by_its_origin(self):
        call = (f"select postrider.apply_event_v1(3, 1, '{ledger.address(1)}', '{uuid.UUID(int=5)}', '{ledger.BASE}', 15::smallint, 'SMS', '', '', "
                f"null, null, null, '{ledger.BASE}', 1::smallint, 2, 77, 'consent.revoked')")
        self.s.do(call)
        self.s.do(call)
        self.assertEqual(self.s.rows("select kind, reason, part, off, id from postrider.aside"),
                         [{"kind": "applied", "reason": "consent.revoked", "part": 2, "off": 77, "id": str(uuid.UUID(int=5))}])
        self.assertEqual(self.count("consent"), 4)


class Late(ledger.RaceCase):
    """control is read from the oldest transaction that was open at the last look, so that what commits late is seen."""

    def read(self, since):
        """One look of a lane: the ids it sees, and where the next look starts."""
        sql = (ledger.env.ROOT / "schema/queries/control.sql").read_text().replace("$1", "null" if since is None else f"'{since}'")
        rows = self.y.session.rows(sql)
        return {r["target"] for r in rows if r["id"] is not None}, rows[0]["xmin"]

    def write(self, session, target):
        session.do(f"insert into postrider.control (tenant, kind, target) values (1, 'contact', '{target}')")

    def test_an_opt_out_that_commits_late_is_seen(self):
        seen, since = self.read(None)
        self.assertEqual(seen, set())
        self.x.session.do("begin")
        self.write(self.x.session, "late")
        for target in ("b1", "b2"):
            self.write(self.s, target)
        seen, since = self.read(since)
        self.assertEqual(seen, {"b1", "b2"})
        self.write(self.s, "b3")
        seen, since = self.read(since)
        self.assertIn("b3", seen)
        self.x.session.do("commit")
        seen, since = self.read(since)
        self.assertIn("late", seen)
        seen, since = self.read(since)
        self.assertEqual(seen, set())

    def test_what_was_there_before_the_first_look_is_not_news(self):
        self.write(self.s, "old")
        seen, since = self.read(None)
        self.assertEqual(seen, set())
        self.assertEqual(self.read(since)[0], set())

    def test_what_was_open_at_the_first_look_is_seen(self):
        self.x.session.do("begin")
        self.write(self.x.session, "open")
        _, since = self.read(None)
        self.x.session.do("commit")
        self.assertEqual(self.read(since)[0], {"open"})

    def test_an_opt_out_commits_its_row_of_control_with_its_consent(self):
        self.s.do(f"select postrider.consent_v1(1, '{ledger.address(9)}', '{uuid.UUID(int=1)}', 15::smallint, true, null, '', '', '')")
        _, since = self.read(None)
        self.x.session.do("begin")
        self.x.session.do(f"select postrider.consent_v1(1, '{ledger.address(9)}', '{uuid.UUID(int=2)}', 2::smallint, false, null, '', '', '')")
        self.assertEqual(self.read(since)[0], set())
        self.x.session.do("commit")
        self.assertEqual(self.read(since)[0], {"9"})


class AtOnce(ledger.RaceCase):
    def test_a_revocation_is_not_undone_by_an_opt_out_at_the_same_moment(self):
        """Two writers of one contact's mask: whoever waits must count what the other wrote."""
        self.s.do(f"select postrider.consent_v1(1, '{ledger.address(1)}', '{uuid.UUID(int=1)}', 15::smallint, true, '{after(minutes=-9)}', "
                  "'', '', '')")
        self.x.claim([Job(1)])
        self.y.session.do("begin")
        self.y.session.do(f"select postrider.consent_v1(1, '{ledger.address(1)}', '{uuid.UUID(int=2)}', 1::smallint, false, null, '', '', '')")
        self.x.session.send(self.x.settle_sql(Out(1, ledger.OUT_REJECT, opt_out=1)))
        self.wait_blocked(self.x.session)
        self.y.session.do("commit")
        self.x.session.receive()
        self.assertEqual(self.s.value("select consent from postrider.contact where id = 1"), 12)

    def test_two_words_about_one_contact_wait_for_each_other(self):
        word = "select postrider.consent_v1(1, '{}', '{}', {}::smallint, {}, null, '', '', '')"
        self.s.do(word.format(ledger.address(2), uuid.UUID(int=1), 15, True))
        self.x.session.do("begin")
        self.x.session.do(word.format(ledger.address(2), uuid.UUID(int=2), 1, False))
        self.y.session.send(word.format(ledger.address(2), uuid.UUID(int=3), 2, False))
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.y.session.receive()
        self.assertEqual(self.s.value("select consent from postrider.contact where id = 2"), 12)

    def test_two_words_about_a_new_address_make_one_contact(self):
        word = "select postrider.consent_v1(1, '+15550001', '{}', {}::smallint, true, null, '', '', '')"
        self.x.session.do("begin")
        self.x.session.do(word.format(uuid.UUID(int=2), 1))
        self.y.session.send(word.format(uuid.UUID(int=3), 2))
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.y.session.receive()
        self.assertEqual(self.s.rows("select consent from postrider.contact where address = '+15550001'"), [{"consent": 3}])


if __name__ == "__main__":
    ledger.main()
