#!/usr/bin/env -S python3 -B
"""A business's policy on the whole road: frequency caps over dispatchers, quiet hours by the recipient's clock, ages and tries by category."""

import collections
import datetime
import json
import pathlib
import sys
import zoneinfo

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event, now  # noqa: E402

HOUR, DAY = 3600, 86400


class Policy(road.RoadCase):
    def setUp(self):
        super().setUp()
        self.road.pg.sql("create table public.injected (ahead interval not null); insert into public.injected values ('0');"
                         "create or replace function postrider.clock() returns timestamptz language sql volatile as "
                         "'select clock_timestamp() + (select ahead from public.injected)'")

    def move_clock(self, seconds):
        """The database's clock; leases keep the real one."""
        self.road.pg.sql(f"update public.injected set ahead = interval '{seconds} seconds'")

    def policy(self, **policy):
        r = self.road
        made = json.loads((r.env.folder / "business" / "business.json").read_text()) | {"policy": policy}
        made["senders"][0]["token_file"] = str(r.token)
        r.env.run("postrider", "apply", r.env.write(f"{r.name}.json", made), "--db", r.pg.conninfo)

    def promos(self, person, n, **more):
        return [event(person, "promo.sent", id=f"promo-{person}-{i}", **more) for i in range(n)]

    def accepted_by_person(self):
        return collections.Counter(line["to"] for line in self.road.sandbox.record() if line["verdict"] == "accepted")

    def requests(self):
        return self.road.sandbox.stats()["requests"]

    def reasons(self):
        return {row["reason"]: int(row["n"]) for row in self.road.pg.rows("select reason, count(*) as n from postrider.deferred group by 1")}


class Caps(Policy):
    def test_two_dispatchers_send_a_person_no_more_than_the_cap_and_the_rest_when_the_window_opens(self):
        r = self.road
        r.people(12)
        self.policy(marketing={"cap": ["2 in 24h", "3 in 7d"]})
        r.dispatcher("d1", wait=False)
        r.dispatcher("d2", wait=False)
        for process in r.processes:
            process.wait_for("assigned")
        made = [self.promos(person, 4) for person in range(12)]
        for turn in range(4):  # each person's on every partition, and so at both
            r.publish([person[turn] for person in made], partition=turn)
        r.settled(40, deferred=24)
        self.assertEqual(set(self.accepted_by_person().values()), {2})
        self.assertEqual(r.fates(), {"sent": 24, "deferred:frequency_cap": 24})
        self.move_clock(DAY + 120)
        r.settled(40, deferred=0)
        self.assertEqual(set(self.accepted_by_person().values()), {3})
        self.assertEqual(r.fates(), {"sent": 36, "refused:frequency_cap": 12})  # the second cap holds longer than marketing may wait
        r.check(self)

    def test_a_message_that_failed_for_good_leaves_its_place_to_another(self):
        r = self.road
        r.people(1)
        self.policy(marketing={"cap": "1 in 24h"})
        r.dispatcher()
        r.sandbox.fault("error", code=131026, match={"to": address(0)}, times=1)
        for n in range(3):
            r.publish(self.promos(0, 3)[n:n + 1])
            r.settled()
            if n == 0:  # given back after a second when nobody else claims
                env.wait_until(lambda: r.count("select count(*) from postrider.freq where id <> '{}'") == 0, 15, "the hit is given back")
        self.assertEqual(r.fates(), {"refused:undeliverable": 1, "sent": 1, "deferred:frequency_cap": 1})

    def test_a_cap_that_outlasts_the_message_refuses_it_at_once(self):
        r = self.road
        r.people(1)
        self.policy(marketing={"cap": "1 in 24h"})
        r.dispatcher()
        r.publish(self.promos(0, 1))
        r.settled()
        r.publish([event(0, "promo.sent", id="short", expirytime=now(HOUR))])
        r.settled()
        self.assertEqual(r.fates(), {"sent": 1, "refused:frequency_cap": 1})


class QuietHours(Policy):
    def quiet_now(self, zone="America/Sao_Paulo"):
        """Quiet hours that began an hour ago in a zone and last an hour more."""
        wall = datetime.datetime.now(zoneinfo.ZoneInfo(zone))
        begin, end = wall - datetime.timedelta(hours=1), wall + datetime.timedelta(hours=1)
        return f"{begin:%H:%M}-{end:%H:%M}"

    def test_what_comes_in_quiet_hours_goes_out_after_them(self):
        r = self.road
        r.people(4)
        r.pg.sql(f"update postrider.contact set zone = 'Asia/Tokyo' where address = '{address(3)}'")  # twelve hours from the others
        self.policy(marketing={"quiet_hours": self.quiet_now()})
        r.dispatcher()
        r.publish([event(n, "promo.sent") for n in range(4)] + [event(n) for n in range(4)])
        r.publish([event(0, "promo.sent", id="short", expirytime=now(1800))])
        r.settled(deferred=3)
        self.assertEqual(r.fates(), {"sent": 5, "deferred:quiet_hours": 3, "refused:quiet_hours": 1})
        self.assertEqual(self.accepted_by_person(), {address(0): 1, address(1): 1, address(2): 1, address(3): 2})
        self.move_clock(HOUR + 6 * 60)
        r.settled(deferred=0)
        self.assertEqual(r.fates(), {"sent": 8, "refused:quiet_hours": 1})
        r.check(self)

    def test_a_retry_that_comes_back_in_quiet_hours_waits_for_their_end(self):
        r = self.road
        r.people(1)
        r.dispatcher()
        r.sandbox.fault("error", code=131049, times=1)
        r.publish([event(0, "promo.sent")])
        r.settled(deferred=1)
        self.policy(marketing={"quiet_hours": self.quiet_now()})
        self.move_clock(DAY + 10)
        env.wait_until(lambda: self.reasons() == {"quiet_hours": 1}, 15, "it waits for the end of quiet hours")
        self.move_clock(DAY + HOUR + 6 * 60)
        r.settled(deferred=0)
        self.assertEqual(r.fates(), {"sent": 1})

    def test_a_zone_that_nobody_knows_stops_nothing(self):
        r = self.road
        r.people(2)
        self.policy(marketing={"quiet_hours": self.quiet_now()})
        r.pg.sql(f"update postrider.contact set zone = 'Mars/Phobos' where address = '{address(0)}'")
        r.dispatcher()
        r.publish([{"specversion": "1.0", "id": "z1", "source": "/test", "type": "contact.updated", "time": now(), "to": address(1),
                    "data": {"zone": "Mars/Deimos", "locale": "pt_BR"}}])
        r.settled()
        r.publish([event(0, "promo.sent"), event(1, "promo.sent")])
        r.settled(deferred=2)
        self.assertEqual(r.fates(), {"applied:unknown_zone": 1, "deferred:quiet_hours": 2})


class AgeAndTries(Policy):
    def test_a_message_over_its_categorys_age_is_refused(self):
        r = self.road
        r.people(4)
        r.dispatcher(retry__max_age__utility="1h")
        r.publish([event(0, time=now(-1.1 * HOUR)), event(1, time=now(-0.9 * HOUR)), event(2, "promo.sent", time=now(-5 * DAY)),
                   event(3, "promo.sent", time=now(-8 * DAY))])
        r.settled()
        self.assertEqual(r.fates(), {"refused:expired": 2, "sent": 2})
        self.assertEqual(set(self.accepted_by_person()), {address(1), address(2)})

    def test_what_sleeps_for_quota_ends_at_its_age(self):
        r = self.road
        r.people(3)
        r.pg.sql("update postrider.quota_pool set people_max = 1, reserve_pct = 0")
        r.dispatcher()
        r.publish([event(n) for n in range(3)])
        r.settled(deferred=2)
        self.assertEqual(r.count("select count(*) from postrider.deferred where is_asleep and due < postrider.clock() + interval '3 days'"), 2)
        r.pg.sql("update postrider.reach set minute = minute + 10000; update postrider.bucket set minute = minute + 10000")  # nobody leaves
        self.move_clock(3 * DAY + 10)
        r.settled(deferred=0)
        self.assertEqual(r.fates(), {"sent": 1, "refused:expired": 2})

    def test_a_category_is_given_up_after_its_own_tries(self):
        r = self.road
        r.people(2)
        r.dispatcher(retry__max_tries__utility=3, retry__max_tries__marketing=1)
        r.sandbox.fault("error", code=131000, http=500, times=0)
        r.publish([event(0), event(1, "promo.sent")])
        r.settled()
        self.assertEqual(r.fates(), {"refused:unknown_error": 2})
        self.assertEqual(self.requests(), 4)

    def test_the_platforms_own_cap_is_asked_again_after_a_day_and_given_up_after_four(self):
        r = self.road
        r.people(1)
        r.dispatcher()
        r.sandbox.fault("error", code=131049, times=0)
        r.publish([event(0, "promo.sent")])
        for day in range(1, 4):
            env.wait_until(lambda n=day: self.requests() == n and r.busy() == 0 and self.reasons() == {"engagement_cap": 1}, 15, f"day {day}")
            due = float(r.pg.sql("select extract(epoch from d.due - i.ahead) from postrider.deferred d, public.injected i"))
            self.assertGreaterEqual(due, r.sandbox.record()[-1]["real"] / 1e6 + DAY)
            self.move_clock(day * (DAY + 60))
        r.settled(deferred=0)
        self.assertEqual((r.fates(), self.requests()), ({"refused:engagement_cap": 1}, 4))


class Hints(Policy):
    def second_sender(self, secret):
        self.road.pg.sql(f"""insert into postrider.sender (tenant, name, pool, provider, address, account, waba, rate, secret)
            select tenant, 'second', pool, provider, address || '1', account, waba, rate, '{secret}' from postrider.sender""")

    def test_a_limit_of_the_account_pauses_all_senders_of_its_token(self):
        r = self.road
        r.people(21)
        self.second_sender(r.token)
        r.dispatcher()
        r.sandbox.fault("error", code=80007, times=1)
        r.publish([event(0)])
        r.settled(deferred=1)
        r.publish([event(n) for n in range(1, 21)])
        r.settled(deferred=21)
        self.assertEqual((self.requests(), self.reasons()), (1, {"account_rate": 1, "sender_stopped": 20}))

    def test_senders_of_another_token_go_on(self):
        r = self.road
        r.people(21)
        other = r.env.folder / f"other-{r.name}"
        other.write_text("sandbox-token\n")
        self.second_sender(other)
        r.dispatcher()
        r.sandbox.fault("error", code=80007, times=1)
        r.publish([event(0)])
        r.settled(deferred=1)
        r.publish([event(n) for n in range(1, 21)])
        r.settled(deferred=1)
        self.assertEqual(r.fates(), {"deferred:account_rate": 1, "sent": 20})

    def test_the_usage_header_counts_in_minutes(self):
        r = self.road
        r.people(1)
        r.dispatcher()
        r.sandbox.fault("error", code=80007, usage_minutes=7, times=1)
        r.publish([event(0)])
        r.settled(deferred=1)
        wait = r.count("select extract(epoch from d.due - o.at)::int from postrider.deferred d join postrider.outcome o using (tenant, day, id)")
        self.assertIn(wait, range(7 * 60, 7 * 60 + 10))

    def test_a_hint_of_a_day_is_cut_to_an_hour(self):
        r = self.road
        r.people(1)
        r.dispatcher()
        r.sandbox.fault("error", code=80007, usage_minutes=1440, retry_after=DAY, times=1)
        r.publish([event(0)])
        r.settled(deferred=1)
        wait = r.count("select extract(epoch from d.due - o.at)::int from postrider.deferred d join postrider.outcome o using (tenant, day, id)")
        self.assertIn(wait, range(HOUR, HOUR + 10))


if __name__ == "__main__":
    env.main()
