"""22,577 real events through real Kafka, real PostgreSQL and the sandbox: each has exactly one fate, and the limits hold."""
import base64
import collections
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "olist"))
import kit  # noqa: E402
from kit import env  # noqa: E402


def message_of(callback):
    """The message id inside our callback data: version, tenant, day, id, attempt, partition (common/core/callback.c)."""
    raw = base64.urlsafe_b64decode(callback[3:] + "=" * (-len(callback[3:]) % 4))
    return str(uuid.UUID(bytes=raw[8:24]))


class OneDispatcher(kit.Olist):
    """The whole file, then an hour later the carts, then a day later what the quota deferred."""

    @classmethod
    def prepare(cls, e):
        super().prepare(e)
        cls.publish(e, cls.events, "olist")
        cls.one = cls.dispatcher()
        cls.wait_idle(published=len(cls.events))
        cls.first = cls.taken()
        cls.move_clock(61 * kit.MINUTE_MS)
        env.wait_until(lambda: cls.pg.sql("select count(*) from postrider.deferred where reason = 'not_before'") == "0", 60, "the carts")
        cls.wait_idle()
        cls.status_first = cls.status()
        cls.fates_first = cls.fates()
        cls.taken_first = cls.taken()
        cls.writes_before = cls.inserted()
        cls.asleep = cls.pg.rows("select d.contact, min(d.since) filter (where d.category <> 1) as since, "
                                 "bool_and(d.category = 1) as marketing from postrider.deferred d where d.is_asleep group by d.contact")

    @classmethod
    def inserted(cls):
        return int(cls.pg.sql("select pg_stat_force_next_flush(); select coalesce(n_tup_ins, 0) from pg_stat_all_tables "
                              "where schemaname = 'postrider' and relname = 'deferred'").strip().splitlines()[-1])

    def test_1_every_event_has_one_fate(self):
        status = self.status_first
        self.assertEqual(status["events_in"], len(self.events))
        self.assertEqual(status["unaccounted"], 0, status)
        self.assertEqual(status["duplicates"], 1)
        self.assertEqual(status["unknown"], 0)
        self.assertEqual(status["dead_letters"], 0)

    def test_2_what_was_sent_is_what_the_sandbox_took_one_body_a_message(self):
        stats = self.stats()
        ids = [message_of(line["callback"]) for line in self.taken_first]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(len(ids), self.status_first["sent"])
        self.assertEqual(set(ids), {f["id"] for f in self.fates_first if f["fate"] == "sent"})
        self.assertEqual(stats["callbacks_repeated"], 0)

    def test_3_the_sandbox_refused_nothing_for_tier_or_rate(self):
        stats = self.stats()
        self.assertEqual(stats["refused_by_reason"]["tier"], 0)
        self.assertEqual(stats["refused_by_reason"]["rate"], 0)
        self.assertLessEqual(stats["portfolios"]["506914"]["people_max"], kit.POOL)

    def test_4_nobody_without_consent_got_anything(self):
        for line in self.taken_first:
            self.assertTrue(kit.has_consent(line["to"]), line["to"])

    def test_5_bodies_that_were_never_deferred_are_in_the_order_of_the_file(self):
        place = {}
        rows = {f["id"]: f for f in self.fates_first}
        for n, event in enumerate(self.events):
            place.setdefault((event["to"], event["type"], event["subject"]), n)
        last = collections.defaultdict(int)
        for line in self.taken_first:
            row = rows[message_of(line["callback"])]
            if row["gen"] != "0":
                continue
            n = place[(row["address"], row["type"], row["subject"])]
            self.assertGreaterEqual(n, last[row["address"]], row)
            last[row["address"]] = n

    def test_6_carts_followed_by_a_purchase_are_cancelled_and_not_sent(self):
        by_key = {(f["address"], f["type"], f["subject"]): f for f in self.fates_first}
        later = collections.defaultdict(list)
        for n, event in enumerate(self.events):
            if event["type"].startswith(("order.", "payment.")):
                later[event["to"]].append(n)
        checked = 0
        for n, event in enumerate(self.events):
            if event["type"] == "cart.abandoned" and kit.has_consent(event["to"]) and any(m > n for m in later[event["to"]]):
                self.assertEqual(by_key[(event["to"], event["type"], event["subject"])]["fate"], "cancelled", event)
                checked += 1
        self.assertGreater(checked, 500)

    def test_7_lonely_carts_with_consent_are_sent_or_wait_for_quota(self):
        fates = [f for f in self.fates_first if f["type"] == "cart.abandoned" and f["subject"].startswith("LONELY")]
        self.assertEqual(len(fates), 500)
        for f in fates:
            if kit.has_consent(f["address"]):
                self.assertIn((f["fate"], f["reason"]), {("sent", "accepted"), ("deferred", "quota")}, f)
            else:
                self.assertEqual((f["fate"], f["reason"]), ("refused", "no_consent"))

    def test_8_a_day_later_the_oldest_of_the_deferred_go_out_up_to_the_limit(self):
        deferred = int(self.pg.sql("select count(*) from postrider.message where gen > 0"))
        self.move_clock(61 * kit.MINUTE_MS + kit.DAY_MS + 10 * kit.MINUTE_MS)
        env.wait_until(lambda: len(self.taken()) > len(self.taken_first), 30, "the first of the next day")
        self.wait_idle()
        new = self.taken()[len(self.taken_first):]
        people = {line["to"] for line in new}
        self.assertLessEqual(len(people), kit.POOL)
        self.assertGreaterEqual(len(people), kit.POOL * 9 // 10)
        contacts = dict(line.split("|") for line in self.pg.sql("select address, id from postrider.contact").splitlines())
        served = {contacts[p] for p in people}
        transactional = sorted((a for a in self.asleep if a["marketing"] == "f"), key=lambda a: a["since"])
        oldest_left = min((a["since"] for a in transactional if a["contact"] not in served), default=None)
        newest_served = max(a["since"] for a in transactional if a["contact"] in served)
        if oldest_left:
            self.assertLessEqual(newest_served, oldest_left)
        stats = self.stats()
        self.assertEqual(stats["refused_by_reason"]["tier"], 0)
        self.assertEqual(stats["callbacks_repeated"], 0)
        self.assertLessEqual(self.inserted(), deferred * 1.1)


if __name__ == "__main__":
    env.main()
