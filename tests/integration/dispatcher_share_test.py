#!/usr/bin/env -S python3 -B
"""One sender's rate among dispatchers, what the platform's 130429 does to it, and breakers of senders and templates that touch no other."""

import json
import pathlib
import re
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import NUMBER, env, event  # noqa: E402

OTHER = "206540352242922"


class Senders(road.RoadCase):
    def enforce(self, rate):
        """The sandbox keeps the number's rate from now on, and the database has the same."""
        r = self.road
        r.sandbox.config(numbers=[{"phone_number_id": NUMBER, "rate": rate}])
        self.addCleanup(r.sandbox.config, numbers=[{"phone_number_id": NUMBER, "rate": 0}])
        r.pg.sql(f"update postrider.sender set rate = {rate}")

    def second_sender(self):
        """`order` goes by the first number, `promo` by another."""
        r = self.road
        r.sandbox.config(numbers=[{"phone_number_id": OTHER, "token": "sandbox-token", "waba_id": "102290129340398", "portfolio": "p", "rate": 0}])
        r.pg.sql(f"""insert into postrider.sender (tenant, name, pool, provider, address, account, waba, rate, secret)
            select tenant, 'other', pool, provider, '+551140028923', '{OTHER}', waba, 1000, secret from postrider.sender""")
        for name, sender in (("order", "main"), ("promo", "other")):
            definition = json.loads(r.pg.sql(f"select definition from postrider.rule where name = '{name}'"))
            definition["senders"] = [sender]
            r.pg.sql(f"update postrider.rule set definition = '{json.dumps(definition)}' where name = '{name}'")

    def share(self, name):
        return self.road.metric('postrider_sender_share{sender="aurora/main"}', name)

    def refused_as_too_fast(self):
        return self.road.sandbox.stats()["refused_by_code"].get("130429", 0)

    def owners(self):
        """Messages accepted by each dispatcher."""
        return {row["name"]: int(row["n"]) for row in self.road.pg.rows("""
            select i.name, count(*) as n from postrider.message m join postrider.instance i on i.id = m.owner
            join postrider.outcome o on o.tenant = m.tenant and o.day = m.day and o.id = m.id where o.kind = 1 group by 1""")}

    def test_two_share_a_rate_and_when_one_dies_the_other_has_it_all(self):
        r = self.road
        self.enforce(50)
        r.people(900)
        first, second = r.dispatcher("d1", wait=False), r.dispatcher("d2", wait=False)
        for process in (first, second):
            process.wait_for("event=assigned partitions=2", 30)
        r.publish([event(n) for n in range(900)])
        env.wait_until(lambda: 20 < self.share("d1") < 30 and 20 < self.share("d2") < 30, 15, "each has its half")
        env.wait_until(lambda: all(self.owners().get(d, 0) > 20 for d in ("d1", "d2")), 20, "both send")
        first.signal(signal.SIGKILL)
        env.wait_until(lambda: self.share("d2") > 49.9, 15, "the other has the whole rate")
        env.wait_until(lambda: r.fates().get("sent", 0) + r.fates().get("unknown", 0) == 900, 60, "all have a fate")
        self.assertEqual(self.refused_as_too_fast(), 0)
        r.check(self)

    def test_one_that_was_frozen_past_its_share_sends_nothing_before_it_has_a_new_one(self):
        r = self.road
        self.enforce(50)
        r.people(900)
        patient = {"kafka__session__timeout__ms": 30000}  # the frozen one keeps its partitions, and so its messages
        first, second = r.dispatcher("d1", wait=False, **patient), r.dispatcher("d2", wait=False, **patient)
        for process in (first, second):
            # The embedded broker makes a second member that comes late wait for the session timeout less a second.
            process.wait_for("event=assigned partitions=2", 60)
        r.publish([event(n) for n in range(900)])
        env.wait_until(lambda: all(self.owners().get(d, 0) > 20 for d in ("d1", "d2")), 20, "both send")
        first.signal(signal.SIGSTOP)
        env.wait_until(lambda: self.share("d2") > 49.9, 15, "the other has the whole rate")
        time.sleep(1)
        first.signal(signal.SIGCONT)
        env.wait_until(lambda: self.share("d1") > 5, 15, "the frozen one has a part again")
        env.wait_until(lambda: r.fates().get("sent", 0) + r.fates().get("unknown", 0) == 900, 60, "all have a fate")
        self.assertEqual(self.refused_as_too_fast(), 0)
        r.check(self)

    def test_one_alone_starts_with_the_whole_rate_and_follows_a_change_of_it(self):
        r = self.road
        r.people(10)
        process = r.dispatcher()
        env.wait_until(lambda: self.share("d1") == 1000, 10, "the whole rate")
        for rate in (20, 300):
            r.pg.sql(f"update postrider.sender set rate = {rate}; insert into postrider.control (tenant, kind, target) values (1, 'reload', '')")
            env.wait_until(lambda rate=rate: self.share("d1") == rate, 10, f"the rate of {rate}")
        process.stop()
        self.assertEqual(r.count("select count(*) from postrider.sender_share where owner <> 0"), 0, "a clean stop gives the share back")

    def test_130429_halves_once_for_all_on_the_wire_and_no_storm_follows(self):
        r = self.road
        r.people(300)
        r.sandbox.config(latency={"fixed_ms": 300})
        r.sandbox.fault("error", code=130429, times=40)
        process = r.dispatcher()
        r.publish([event(n) for n in range(300)])
        env.wait_until(lambda: r.fates() == {"sent": 300}, 60, "all are sent")
        self.assertEqual(self.refused_as_too_fast(), 40)
        halved = process.output().count("event=rate_halved")
        self.assertTrue(1 <= halved <= 3, f"halved {halved} times")
        self.assertEqual(r.metric("postrider_rate_halved_total"), halved)
        self.assertEqual(r.count("select coalesce(max(tries), 0) from postrider.message"), 0, "a throttled message was charged")
        r.check(self)

    def test_a_broken_senders_breaker_opens_and_the_other_sender_goes_on(self):
        r = self.road
        self.second_sender()
        r.people(150)
        r.sandbox.fault("503_before", match={"phone_number_id": OTHER}, times=0)
        process = r.dispatcher(dispatch__in_flight=20)
        r.publish([event(n, "promo.sent") for n in range(150)])
        process.wait_for("event=breaker_open kind=sender name=aurora/other", 30)
        r.publish([event(n) for n in range(150)])
        env.wait_until(lambda: r.fates().get("sent") == 150, 15, "the other sender's messages are sent")
        # A try that failed before it opened waits with its own reason until it is due: a moment later.
        env.wait_until(lambda: r.fates().get("deferred:sender_breaker") == 150, 15, lambda: f"all of its messages wait for it: {r.fates()}")
        self.assertEqual(r.metric('postrider_breakers_open{kind="sender"}'), 1)
        tried = sum(line["phone_number_id"] == OTHER for line in r.sandbox.record())
        time.sleep(6)
        probes = sum(line["phone_number_id"] == OTHER for line in r.sandbox.record()) - tried
        self.assertTrue(probes <= 2, f"{probes} requests where one probe was due")
        r.sandbox.admin("faults", method="DELETE")
        process.wait_for("event=breaker_closed kind=sender name=aurora/other", 70)
        env.wait_until(lambda: r.fates() == {"sent": 300}, 20, "what waited is woken and sent")
        self.assertEqual(r.count("select max(tries) from postrider.message"), 0, "a message was charged for its sender")
        self.assertEqual(r.metric('postrider_breaker_opens_total{kind="sender",name="aurora/other"}'), 1)
        self.assertEqual(r.metric('postrider_breakers_open{kind="sender"}'), 0)
        r.check(self)

    def test_a_template_that_the_platform_calls_misfilled_opens_its_breaker_and_others_go_on(self):
        r = self.road
        r.people(150)
        r.sandbox.fault("error", code=132012, match={"template": "promo"}, times=0)
        process = r.dispatcher(dispatch__in_flight=10)
        r.publish([event(n, "promo.sent") for n in range(150)])
        process.wait_for("event=breaker_open kind=template name=aurora/promo/pt_BR", 30)
        r.publish([event(n) for n in range(150)])
        env.wait_until(lambda: r.fates().get("sent") == 150, 15, "the other template's messages are sent")
        refused = r.fates()["refused:parameter_format"]
        self.assertTrue(20 <= refused <= 40, f"{refused} were refused before it opened")
        env.wait_until(lambda: r.fates().get("deferred:template_breaker") == 150 - refused, 15, lambda: f"all others wait for it: {r.fates()}")
        self.assertEqual(r.metric('postrider_breakers_open{kind="sender"}'), 0)
        r.sandbox.admin("faults", method="DELETE")
        process.wait_for("event=breaker_closed kind=template", 70)
        env.wait_until(lambda: r.fates().get("sent", 0) > 250, 20, "what waited is woken and sent")
        r.settled(deferred=0)
        r.check(self)

    def test_an_accepted_probe_ends_a_stop_and_both_are_said_once(self):
        r = self.road
        r.people(60)
        r.sandbox.config(latency={"fixed_ms": 500})
        r.sandbox.fault("error", code=190, times=20)
        process = r.dispatcher(dispatch__in_flight=20)
        r.publish([event(n) for n in range(60)])
        process.wait_for("event=sender_stopped", 20)
        r.settled(deferred=60)
        tried = len(r.sandbox.record())
        self.assertEqual(tried, 20, "a stopped sender went on")
        process.wait_for("event=sender_resumed", 90)
        env.wait_until(lambda: r.fates() == {"sent": 60}, 30, "all are sent")
        for word in ("sender_stopped", "sender_resumed"):
            self.assertEqual(len(re.findall(f"event={word} ", process.output())), 1, word)
        r.check(self)


if __name__ == "__main__":
    env.main()
