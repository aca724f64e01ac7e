"""The Olist events with two dispatchers of which one is killed half-way and started again, and a third frozen past its lease and woken."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "olist"))
import kit  # noqa: E402
from kit import env  # noqa: E402
from olist_test import message_of  # noqa: E402

LANES = 2
CLAIM_AHEAD = 50
IN_FLIGHT = 100
BOUND = LANES * (CLAIM_AHEAD + IN_FLIGHT)
FROZEN_S = 20  # past the lease of 15 s


class TwoDispatchersAndAThird(kit.Olist):
    latency_ms = 300
    dispatch = (("dispatch.claim_ahead", CLAIM_AHEAD), ("dispatch.in_flight", IN_FLIGHT),
                ("dispatch.lanes", LANES), ("dispatch.window", 128))  # so small that partitions are paused while they move

    @classmethod
    def prepare(cls, e):
        super().prepare(e)
        cls.publish(e, cls.events, "olist")
        one, two, three = cls.dispatcher("d1"), cls.dispatcher("d2"), cls.dispatcher("d3")
        for process in (one, two, three):
            process.wait_for("event=assigned")
        cls.on_wire_at_freeze = cls.wait_wire()
        three.signal(signal.SIGSTOP)
        frozen_at = time.monotonic()
        env.wait_until(lambda: cls.stats()["accepted"] > 1000, 60, "a thousand messages")
        cls.on_wire_at_kill = cls.wait_wire()
        one.signal(signal.SIGKILL)
        cls.dispatcher("d1")
        time.sleep(max(0.0, FROZEN_S - (time.monotonic() - frozen_at)))
        three.signal(signal.SIGCONT)
        cls.wait_idle(seconds=240, published=len(cls.events))
        cls.end = cls.status()

    @classmethod
    def wait_wire(cls):
        env.wait_until(lambda: cls.stats()["open"] >= 20, 90, "20 requests on the wire", every=0.005)
        return cls.stats()["open"]

    def test_1_nothing_is_lost(self):
        self.assertEqual(self.end["events_in"], len(self.events))
        self.assertEqual(self.end["unaccounted"], 0, self.end)

    def test_2_no_message_id_has_two_accepted_bodies(self):
        ids = [message_of(line["callback"]) for line in self.taken()]
        self.assertEqual(len(ids), len(set(ids)))

    def test_3_unknowns_are_within_the_printed_bound(self):
        done = self.env.run("postrider-dispatcher", "--check-config", f"--postgres.conninfo={self.pg.conninfo}",
                            f"--kafka.bootstrap.servers={self.kafka.bootstrap}", f"--topics.events={kit.TOPIC}",
                            f"--dispatch.secrets_dir={self.env.folder}", f"--dispatch.lanes={LANES}", f"--dispatch.claim_ahead={CLAIM_AHEAD}",
                            f"--dispatch.in_flight={IN_FLIGHT}")
        self.assertIn(f"at most {BOUND} messages unknown", done.stdout)
        self.assertLessEqual(self.end["unknown"], 2 * BOUND)

    def test_4_nothing_is_resent_while_no_receipts_arrive(self):
        ids = {f["id"] for f in self.fates() if f["fate"] == "unknown"}
        taken = [message_of(line["callback"]) for line in self.taken()]
        for message in ids:
            self.assertLessEqual(taken.count(message), 1)
        self.assertEqual(self.pg.sql("select count(*) from postrider.message where resends > 0"), "0")

    def test_5_every_accepted_body_is_sent_or_unknown_in_the_ledger(self):
        fate = {f["id"]: f["fate"] for f in self.fates()}
        for line in self.taken():
            self.assertIn(fate[message_of(line["callback"])], ("sent", "unknown"))
        self.assertEqual(self.stats()["refused_by_reason"]["tier"], 0)


if __name__ == "__main__":
    env.main()
