#!/usr/bin/env -S python3 -B
"""Full demand on a number of 80 and one of 1,000 messages a second, with people who get far more than the pair limit lets through: the platform's own
count sees no rate and no pair passed, and nearly all of what is allowed is used.

Twenty seconds each in the short form, where the share that was used is only printed; five minutes with --full, where it must be at least 95 %.
"""

import collections
import json
import os
import pathlib
import random
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import road  # noqa: E402
from road import env  # noqa: E402

FULL = bool(os.environ.get("PR_FULL"))
SECONDS = float(os.environ.get("PR_RATE_SECONDS", 300 if FULL else 20))
RAMP_SECONDS = 5.0  # joining the group, the first shares
NUMBERS = {"slow": ("200000000000080", 80), "fast": ("200000000001000", 1000)}
DEMAND = 1.1  # of the allowed rate
CHATTY = 0.02  # of the messages go to a handful of people, each far over the pair limit
BURST = 20  # the most that a pair gets at once
FRESH = 400_000  # distinct people


class Rate(road.RoadCase):
    real_kafka = True
    sandbox_arguments = ("--record-memory=1024",)  # five minutes of both numbers are some 160 MB

    def setUp(self):
        super().setUp()
        self.random = random.Random(int(os.environ.get("PR_SEED", 1)))
        self.sent_to = collections.Counter()
        self.next = 0
        self.apply()
        self.road.people(FRESH)
        self.road.pg.sql("vacuum analyze postrider.contact; update postrider.quota_pool set people_max = null")

    def apply(self):
        """Two senders, a rule each; the sandbox enforces both rates and the pair limit."""
        folder = self.env.folder / self.road.name
        folder.mkdir()
        senders = [{"name": name, "phone": f"+55114002892{i}", "phone_number_id": number, "waba_id": "102290129340398", "provider": "cloud-api",
                    "rate": f"{rate}/s", "token_file": "token"} for i, (name, (number, rate)) in enumerate(NUMBERS.items())]
        files = {"business": {"tenant": "aurora", "name": "Loja Aurora", "locale": "pt_BR", "time_zone": "America/Sao_Paulo", "country": "BR",
                              "portfolio": {"id": "p", "limit": "TIER_100K", "reserve": "0%"}, "senders": senders},
                 "rules": {"tenant": "aurora", "rules": [road.rule(name, f"order.{name}", "order", senders=[name]) for name in NUMBERS]}}
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))
        self.env.run("postrider", "apply", *(folder / f"{name}.json" for name in files), "--tenant", "aurora", "--db", self.road.pg.conninfo)
        self.road.pg.sql(f"update postrider.sender set secret = '{self.road.token}'")
        self.road.sandbox.config(latency={"p50_ms": 40, "p99_ms": 150}, numbers=[
            {"phone_number_id": number, "token": "sandbox-token", "waba_id": "102290129340398", "portfolio": "p", "rate": rate}
            for number, rate in NUMBERS.values()])

    # ---- demand ----

    def batch(self, name, n):
        for _ in range(n):
            self.next += 1
            person = self.random.randrange(8) if self.random.random() < CHATTY else 8 + self.next % (FRESH - 8)
            yield road.event(person, f"order.{name}", id=f"{name}-{self.next}")

    def press(self):
        """Keeps the demand above what is allowed. First come a few people's bursts: a message that waits for its number makes those to the same person
        wait behind it, so on a slow machine nobody would pass a burst later."""
        self.road.publish([road.event(person, f"order.{name}", id=f"{name}-burst-{person}-{i}")
                           for name in NUMBERS for person in range(2) for i in range(2 * BURST)])
        start, made = time.monotonic(), dict.fromkeys(NUMBERS, 0)
        while not self.is_over.is_set():
            spent = time.monotonic() - start
            for name, (_, rate) in NUMBERS.items():
                wanted = int((spent + 4) * rate * DEMAND) - made[name]
                if wanted > 0:
                    self.road.publish(self.batch(name, wanted))
                    made[name] += wanted
            self.is_over.wait(1)

    # ---- what the platform saw ----

    def both_send(self):
        numbers = self.road.sandbox.stats()["numbers"]
        return all(numbers[number]["accepted"] for number, _ in NUMBERS.values())

    def judge(self, what):
        lines = self.road.sandbox.record()
        start = {}
        for line in lines:
            start.setdefault(line["phone_number_id"], line["at"])
        begin = max(start.values()) + RAMP_SECONDS * 1e6
        end = begin + SECONDS * 1e6
        taken, refused, pairs = collections.Counter(), collections.Counter(), collections.Counter()
        for line in lines:
            if line["verdict"] == "accepted":
                taken[line["phone_number_id"]] += begin <= line["at"] < end
                pairs[line["phone_number_id"], line["wa_id"]] += 1
            elif line["at"] >= begin:
                refused[line["code"]] += 1
        stats = self.road.sandbox.stats()["numbers"]
        shares = {}
        for name, (number, rate) in NUMBERS.items():
            shares[name] = taken[number] / (rate * SECONDS)
            print(f"rate {what} allowed={rate}/s seconds={SECONDS:.0f} taken={taken[number]} share={shares[name]:.3f} "
                  f"max_in_1s={stats[number]['max_in_1s']} max_in_10s={stats[number]['max_in_10s']} 130429={refused[130429]} "
                  f"131056={refused[131056]} most_to_one_person={max(pairs.values())}", flush=True)
        self.assertEqual(dict(refused), {}, "refused by the platform")
        doubled = {message: attempts for message, attempts in self.road.sandbox.accepted().items() if len(attempts) > 1}
        self.assertEqual(doubled, {})
        self.assertGreater(max(pairs.values()), BURST, "nobody got more than a burst of the pair limit")
        if FULL:
            for name, share in shares.items():
                self.assertGreaterEqual(share, 0.95, f"of the rate of {name} was used")

    def run_for(self, what, dispatchers, at=None, then=None):
        for name in dispatchers:
            self.road.dispatcher(name)
        self.is_over = threading.Event()
        press = threading.Thread(target=self.press)
        press.start()
        try:
            env.wait_until(self.both_send, 30, "both numbers send")
            whole = SECONDS + RAMP_SECONDS + 1
            if then:
                time.sleep(at)
                then()
                time.sleep(whole - at)
            else:
                time.sleep(whole)
        finally:
            self.is_over.set()
            press.join()
        for process in self.road.processes:
            process.stop()  # the sandbox answers nobody while it hands out its record, and what has waited then comes as a burst
        self.judge(what)

    def test_one_dispatcher_uses_the_rates_and_passes_none(self):
        self.run_for("one", ["d1"])

    def test_three_dispatchers_of_which_one_dies_use_the_rates_and_pass_none(self):
        self.run_for("three-one-dies", ["d1", "d2", "d3"], RAMP_SECONDS + SECONDS / 3, lambda: self.road.processes[1].signal(signal.SIGKILL))


if __name__ == "__main__":
    unittest.main(verbosity=2)
