#!/usr/bin/env -S python3 -B
"""Who goes first: the pair limit, transactional before marketing, and senders and tenants that do not stop each other."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, callback, env, event  # noqa: E402

BAKERY_NUMBER = "206540352242922"


class Order(road.RoadCase):
    def rate(self, rate, tenant=1):
        self.road.pg.sql(f"update postrider.sender set rate = {rate} where tenant = {tenant}")

    def bakery(self):
        """A second tenant with a number of its own; its people are 5000 and up."""
        r = self.road
        business = json.loads((r.env.folder / "business" / "business.json").read_text())
        sender = business["senders"][0] | {"name": "oven", "phone": "+551140028933", "phone_number_id": BAKERY_NUMBER, "token_file": str(r.token)}
        business |= {"tenant": "bakery", "name": "Padaria", "portfolio": {"id": "b", "limit": "TIER_100K"}, "senders": [sender]}
        r.sandbox.config(portfolios=[{"id": "b", "limit": None}], numbers=[{"phone_number_id": BAKERY_NUMBER, "token": "sandbox-token",
                                                                             "waba_id": "102290129340398", "portfolio": "b", "rate": 0}])
        r.env.run("postrider", "apply", r.env.write(f"{r.name}-bakery.json", business), r.env.folder / "business" / "templates.json",
                  r.env.write(f"{r.name}-rules.json", {"tenant": "bakery", "rules": road.RULES}), "--tenant", "bakery", "--db", r.pg.conninfo)
        r.people(100, first=5000, tenant=int(r.pg.sql("select id from postrider.tenant where name = 'bakery'")))

    def accepted(self, number):
        return self.road.sandbox.stats()["numbers"].get(number, {"accepted": 0})["accepted"]

    # ---- pairs ----

    def move_clock(self, ms):
        """The platform's first: it must not be behind ours."""
        self.road.sandbox.admin("clock", {"offset_ms": ms})
        self.road.pg.sql(f"update public.injected set ahead = interval '{ms} milliseconds'")

    def test_sixty_messages_to_one_person_wait_for_the_pair_limit_and_none_is_refused_for_it(self):
        r = self.road
        r.people(2)
        r.pg.sql("create table public.injected (ahead interval not null); insert into public.injected values ('0');"
                 "create or replace function postrider.clock() returns timestamptz language sql volatile parallel safe as "
                 "'select clock_timestamp() + (select ahead from public.injected)'")
        self.addCleanup(r.sandbox.admin, "clock", {"offset_ms": 0})
        r.dispatcher(dispatch__heartbeat="200ms")
        r.publish([event(n, to=address(0)) for n in range(60)])
        r.publish([event(100, to=address(1))])
        env.wait_until(lambda: r.fates().get("deferred:pair_rate", 0) >= 30, 60, "those that would wait too long are deferred")
        first = r.sandbox.record()
        self.assertIn(address(1), [line["to"] for line in first], "another person waited too")
        at = 0
        for _ in range(20):
            if r.fates().get("sent") == 61:
                break
            at += 62000
            self.move_clock(at)
            r.settled(30)
        self.assertEqual(r.fates(), {"sent": 61})
        record = r.sandbox.record()
        self.assertEqual([line for line in record if line["verdict"] != "accepted"], [])
        offsets = {row["id"]: int(row["off"]) for row in r.pg.rows("select id, off from postrider.message where state not in (10, 11)")}
        sent = [offsets[callback(line["callback"])[2]] for line in first if line["to"] == address(0)]
        self.assertGreaterEqual(len(sent), 20)
        self.assertEqual(sent, sorted(sent), "those that were never deferred went out of order")
        r.check(self)

    # ---- order within a sender ----

    def test_transactional_overtakes_marketing_that_waits_for_a_slow_sender_and_marketing_has_its_floor(self):
        r = self.road
        r.people(200)
        self.rate(20)
        r.dispatcher()
        r.publish([event(n, "promo.sent") for n in range(120)])
        env.wait_until(lambda: len(r.sandbox.record()) >= 5, 15, "marketing is sent")
        r.publish([event(n) for n in range(120, 180)])
        r.settled(40, deferred=0)
        kinds = [line["template"] for line in r.sandbox.record()]
        first, last = kinds.index("order"), len(kinds) - kinds[::-1].index("order")
        between = kinds[first:last].count("promo")
        self.assertEqual(kinds.count("order"), 60)
        self.assertTrue(5 <= between <= 20, f"{between} of marketing among 60 transactional messages: {kinds}")
        self.assertGreater(kinds[last:].count("promo"), 20, "marketing was not overtaken")
        r.check(self)

    # ---- senders and tenants beside each other ----

    def test_a_hanging_sender_leaves_places_on_the_wire_for_another(self):
        r = self.road
        r.people(60)
        self.bakery()
        r.dispatcher(dispatch__in_flight=16, provider__timeout="100s", dispatch__drain__timeout="1s")
        r.sandbox.fault("hang_before", match={"phone_number_id": road.NUMBER}, times=0)
        r.publish([event(n) for n in range(60)])
        env.wait_until(lambda: r.sandbox.stats()["open"] == 12, 15, "three quarters of the places hang")
        r.publish([event(n, tenant="bakery") for n in range(5000, 5040)])
        env.wait_until(lambda: self.accepted(BAKERY_NUMBER) == 40, 30, "the other's messages are sent")
        self.assertEqual(r.sandbox.stats()["open"], 12)
        self.assertEqual(self.accepted(road.NUMBER), 0)

    def publish_both(self, kind, n):
        """Thousands of the shop's, and behind them on the same partitions a few of the bakery's."""
        r = self.road
        r.people(n)
        self.bakery()
        self.rate(40)
        self.rate(1000, tenant=2)
        r.dispatcher(dispatch__window=64)
        r.publish([event(i, kind) for i in range(n)])
        r.publish([event(i, kind, tenant="bakery") for i in range(5000, 5020)])

    def test_a_tenant_with_thousands_waiting_does_not_stop_another_behind_it(self):
        self.publish_both("order.confirmed", 3000)
        env.wait_until(lambda: self.accepted(BAKERY_NUMBER) == 20, 60, "the other's messages are sent")
        self.assertLess(self.accepted(road.NUMBER), 1500)

    def test_bulk_that_cannot_go_stops_neither_events_nor_the_bulk_behind_it_that_can(self):
        r, bulk = self.road, f"{self.road.name}.bulk"
        r.people(1500)
        self.bakery()
        self.rate(1)
        self.rate(1000, tenant=2)
        r.make_topic(bulk)
        r.dispatcher(topics__broadcast=bulk, dispatch__window=64)
        r.publish([event(i, "promo.sent") for i in range(1500)], topic=bulk)
        r.publish([event(i, "promo.sent", tenant="bakery") for i in range(5000, 5030)], topic=bulk)
        r.publish([event(i, tenant="bakery") for i in range(5030, 5060)])
        env.wait_until(lambda: self.accepted(BAKERY_NUMBER) == 60, 60, "the other's bulk and events are sent")
        env.wait_until(lambda: r.fates().get("deferred:sender_busy", 0) > 1400, 60, "what the line has no room for is put off")
        self.rate(1000)
        r.pg.sql("insert into postrider.control (tenant, kind, target) values (1, 'reload', '')")
        env.wait_until(lambda: r.answered() == 1560, 60, "the rest is sent")
        r.stop()  # what is claimed is sent or written back
        fates = r.fates()
        self.assertEqual(sum(fates.values()), 1560, fates)
        self.assertGreater(fates["deferred:sender_busy"], 1400, fates)
        r.check(self)

    def test_a_tenant_with_thousands_due_at_once_does_not_hide_what_another_has_due(self):
        self.publish_both("order.later", 3000)
        env.wait_until(lambda: self.accepted(BAKERY_NUMBER) == 20, 60, "the other's messages are sent")
        self.assertLess(self.accepted(road.NUMBER), 1500)


if __name__ == "__main__":
    env.main()
