#!/usr/bin/env python3
"""What the stand-in for the platform counts, limits, records and reports by webhook."""
import hashlib
import hmac
import http.server
import json
import os
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from sandbox_kit import BINARY, DAY_MS, NUMBER, TOKEN, SandboxTest, plain, template, text


class Limits(SandboxTest):
    def test_the_46th_message_at_once_to_one_person_is_131056_and_one_more_goes_after_six_seconds(self):
        for _ in range(45):
            self.accepted(plain())
        self.refused(plain(), 131056)
        self.accepted(plain(to="+5511999990001"))
        self.accepted(plain(), number="222")
        self.sandbox.admin("clock", {"advance_ms": 6000})
        self.accepted(plain())
        self.refused(plain(), 131056)
        self.sandbox.admin("clock", {"advance_ms": 45 * 6000})
        for _ in range(45):
            self.accepted(plain())
        self.refused(plain(), 131056)

    def test_a_number_takes_its_rate_and_five_percent_in_a_second(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "rate": 20}]})
        codes = [self.sandbox.send(plain(to="+55119999%05d" % i))[0] for i in range(30)]
        self.assertEqual(codes.count(200), 21)
        self.refused(plain(), 130429)
        time.sleep(1.05)
        self.accepted(plain())
        self.assertEqual(self.sandbox.stats()["numbers"][NUMBER]["max_in_1s"], 21)

    def test_what_waits_for_a_stalled_sandbox_counts_when_it_came(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "rate": 20}]})
        waiting = []
        self.addCleanup(self.sandbox.process.send_signal, signal.SIGCONT)
        self.sandbox.process.send_signal(signal.SIGSTOP)
        for bunch in (21, 22):
            for _ in range(bunch):
                connection = self.sandbox.connect()
                self.addCleanup(connection.close)
                connection.request("POST", "/%s/messages" % NUMBER, json.dumps(plain(to="+55119999%05d" % len(waiting))),
                                   {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})
                waiting.append(connection)
            time.sleep(1.2)
        self.sandbox.process.send_signal(signal.SIGCONT)
        codes = [connection.getresponse().status for connection in waiting]
        self.assertEqual((codes[:21].count(200), codes[21:].count(200)), (21, 21))
        self.assertEqual(self.sandbox.stats()["numbers"][NUMBER]["max_in_1s"], 21)
        bunches = [event["real"] for event in self.sandbox.record()]
        self.assertGreater(bunches[21] - bunches[20], 1_000_000, "the record has the moments at which they came")

    def test_ten_seconds_hold_the_rate_and_one_percent(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "rate": 100}]})
        until, i = time.monotonic() + 9.9, 0
        while time.monotonic() < until:
            i += 1
            if self.sandbox.send(plain(to="+5511%09d" % i))[0] != 200:
                time.sleep(0.002)
        times = [e["real"] for e in self.sandbox.record() if e["verdict"] == "accepted"]
        self.assertGreater(len(times), 900)
        # The record's clock and the limit's are read one after the other: windows are taken a millisecond shorter.
        for window, most in ((999000, 105), (9999000, 1010)):
            first = 0
            for last, at in enumerate(times):
                while times[first] <= at - window:
                    first += 1
                self.assertLessEqual(last - first + 1, most)
        self.assertEqual(self.sandbox.stats()["numbers"][NUMBER]["max_in_1s"], 105)

    def test_a_portfolio_reaches_its_limit_of_people_over_all_its_numbers(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 10}]})
        for i in range(10):
            self.accepted(plain(to="+551199999000%d" % i), number=NUMBER if i % 2 else "222")
        error = self.refused(plain(to="+5511888880000"), 131048)
        self.assertIn("Messaging limit reached", error["error_data"]["details"])
        self.accepted(plain(to="+5511999990003"))
        stats = self.sandbox.stats()
        self.assertEqual(stats["portfolios"]["506914"], {"people": 10, "people_max": 10, "limit": 10})
        self.assertEqual(stats["refused_by_reason"]["tier"], 1)

    def test_a_person_reached_again_stays_for_another_24_hours(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 2}]})
        self.accepted(plain(to="+5511999990001"))
        self.accepted(plain(to="+5511999990002"))
        self.sandbox.admin("clock", {"advance_ms": DAY_MS - 60000})
        self.accepted(plain(to="+5511999990001"))
        self.refused(plain(to="+5511999990003"), 131048)
        self.sandbox.admin("clock", {"advance_ms": 60000})
        self.accepted(plain(to="+5511999990003"))
        self.refused(plain(to="+5511999990002"), 131048)

    def test_the_limit_of_people_agrees_with_a_count_made_here_over_many_days(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 40}]})
        draw = random.Random(7)
        for _ in range(2500):
            self.sandbox.send(plain(to="+5511%09d" % draw.randrange(120)), number=draw.choice([NUMBER, "222"]))
            if draw.random() < 0.2:
                self.sandbox.admin("clock", {"advance_ms": draw.randrange(6 * 3600 * 1000)})
        last, refused = {}, 0
        for entry in self.sandbox.record():
            now, person = entry["at"], entry["wa_id"]
            reached = {who for who, when in last.items() if when > now - DAY_MS * 1000}
            fits = person in reached or len(reached) < 40
            self.assertEqual(entry["verdict"] == "accepted", fits, entry)
            refused += not fits
            if fits:
                last[person] = now
        self.assertGreater(refused, 100)

    def test_who_has_an_open_window_or_is_never_reached_does_not_count(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 1}],
                                      "windows": [{"to": "+5511999990001"}],
                                      "recipients": [{"to": "+5511999990002", "what": "ok", "code": 131026}]})
        self.accepted(plain(to="+5511999990001"))
        self.accepted(plain(to="+5511999990002"))
        self.accepted(plain(to="+5511999990003"))
        self.refused(plain(to="+5511999990004"), 131048)

    def test_what_is_refused_counts_nowhere(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 1}]})
        for i in range(60):
            self.refused(template("plain", [], to="+5511999990001"), 132000)
        self.accepted(plain(to="+5511999990002"))
        self.assertEqual(self.sandbox.stats()["portfolios"]["506914"]["people"], 1)


class Record(SandboxTest):
    arguments = ("--record-memory", "2", "--record-bodies")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "record.ndjson")
        self.arguments = Record.arguments + ("--record", self.file)
        super().setUp()

    def test_a_line_says_who_got_what_and_what_was_answered(self):
        wamid = self.accepted(plain(biz_opaque_callback_data="p1.abc"))
        self.refused(template("plain", []), 132000)
        first, second = self.sandbox.record()
        self.assertEqual(
            {key: first[key] for key in ("seq", "phone_number_id", "to", "wa_id", "type", "template", "language", "callback", "wamid",
                                         "verdict", "code", "http", "reason", "cut")},
            {"seq": 1, "phone_number_id": NUMBER, "to": "+5511999990000", "wa_id": "5511999990000", "type": "template",
             "template": "plain", "language": "pt_BR", "callback": "p1.abc", "wamid": wamid, "verdict": "accepted", "code": 0,
             "http": 200, "reason": "", "cut": ""})
        self.assertEqual((second["verdict"], second["code"], second["reason"], second["wamid"], second["callback"]),
                         ("refused", 132000, "parameter", "", None))
        self.assertEqual(json.loads(first["body"]), plain(biz_opaque_callback_data="p1.abc"))

    def test_one_body_has_one_hash_and_another_body_another(self):
        self.accepted(plain())
        self.accepted(plain())
        self.accepted(plain(to="+5511999990001"))
        hashes = [e["hash"] for e in self.sandbox.record()]
        self.assertEqual(hashes[0], hashes[1])
        self.assertNotEqual(hashes[0], hashes[2])

    def test_a_line_stays_json_whatever_the_body_was(self):
        for body in (b"\xff\xfe\x00", b'{"to":"\\u0022","messaging_product":"whatsapp"}', b'"\n'):
            self.sandbox.send(body)
        self.assertEqual(len(self.sandbox.record()), 3)

    def test_lines_that_left_memory_are_read_from_the_file(self):
        padding = "x" * 500
        for i in range(4000):
            self.accepted(plain(to="+5511%09d" % i, biz_opaque_callback_data="%s%d" % (padding, i)))
        lines = self.sandbox.record()
        self.assertEqual([e["seq"] for e in lines], list(range(1, 4001)))
        self.assertTrue(self.sandbox.complete)
        self.assertEqual([e["seq"] for e in self.sandbox.record(since=1500, limit=3)], [1501, 1502, 1503])
        time.sleep(0.2)
        with open(self.file, encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["seq"] for line in file], list(range(1, 4001)))

    def test_repeated_callback_strings_are_counted_and_shown(self):
        for callback in ("a", "b", "a", "a"):
            self.accepted(plain(biz_opaque_callback_data=callback))
        self.accepted(plain())
        stats = self.sandbox.stats()
        self.assertEqual((stats["accepted"], stats["callbacks_accepted"], stats["callbacks_repeated"]), (5, 2, 2))
        self.assertEqual((stats["accepted_without_callback"], stats["repeated_callbacks"]), (1, ["a", "a"]))

    def test_a_reset_forgets_counts_limits_and_lines_but_goes_on_numbering(self):
        for _ in range(45):
            self.accepted(plain())
        self.sandbox.admin("reset", {})
        self.accepted(plain())
        self.assertEqual(self.sandbox.stats()["accepted"], 1)
        self.assertEqual([e["seq"] for e in self.sandbox.record()], [46])
        self.sandbox.admin("reset", {"only": ["nonsense"]}, expect=400)


class RecordWithoutFile(SandboxTest):
    arguments = ("--record-memory", "1")

    def test_without_a_file_the_oldest_lines_are_gone_and_that_is_said(self):
        for i in range(6000):
            self.accepted(plain(to="+5511%09d" % i))
        lines = self.sandbox.record()
        self.assertFalse(self.sandbox.complete)
        self.assertEqual((lines[-1]["seq"], self.sandbox.last), (6000, 6000))
        self.assertGreater(lines[0]["seq"], 1)


class Webhook(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.answers.pop(0) if self.server.answers else 200
        self.server.got.append((status, self.headers["X-Hub-Signature-256"], body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Receipts(SandboxTest):
    def setUp(self):
        self.webhook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
        self.webhook.daemon_threads = True
        self.webhook.got, self.webhook.answers = [], []
        threading.Thread(target=self.webhook.serve_forever, args=(0.05,), daemon=True).start()
        self.addCleanup(self.webhook.server_close)
        self.addCleanup(self.webhook.shutdown)
        self.arguments = ("--receipts-url", "http://127.0.0.1:%d/hook" % self.webhook.server_port, "--app-secret", "secret")
        self.settings = {"receipts": {"sent_ms": 1, "delivered_ms": 20, "read_ms": [40, 60], "delivered": 1.0, "read": 1.0}}
        super().setUp()

    def statuses(self, wanted, seconds=5.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            got = [(change["value"]["metadata"]["phone_number_id"], status)
                   for code, _, body in list(self.webhook.got) if code == 200
                   for entry in json.loads(body)["entry"] for change in entry["changes"]
                   for status in change["value"]["statuses"]]
            if len(got) >= wanted:
                return got
            time.sleep(0.02)
        return got

    def test_a_message_brings_sent_delivered_and_read_with_its_callback_data(self):
        wamid = self.accepted(plain(biz_opaque_callback_data="p1.é\"x"))
        got = self.statuses(3)
        self.assertEqual([(n, s["id"], s["status"], s["recipient_id"], s["biz_opaque_callback_data"]) for n, s in got],
                         [(NUMBER, wamid, kind, "5511999990000", "p1.é\"x") for kind in ("sent", "delivered", "read")])
        self.assertEqual(got[0][1]["pricing"],
                         {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "marketing"})
        self.assertNotIn("pricing", got[2][1])
        self.assertTrue(abs(int(got[0][1]["timestamp"]) - time.time()) < 5)

    def test_the_signature_is_of_the_raw_body(self):
        self.accepted(plain())
        self.statuses(3)
        for _, signature, body in self.webhook.got:
            self.assertEqual(signature, "sha256=" + hmac.new(b"secret", body, hashlib.sha256).hexdigest())

    def test_a_post_that_is_not_taken_comes_again_unchanged(self):
        self.webhook.answers = [500, 503]
        self.sandbox.admin("config", {"receipts": {"concurrency": 1}})
        self.accepted(plain())
        self.assertEqual(len(self.statuses(3)), 3)
        self.assertEqual(self.webhook.got[0][2], self.webhook.got[1][2])

    def test_many_statuses_share_one_post(self):
        self.sandbox.admin("config", {"receipts": {"gather_ms": 100, "batch": 200, "delivered": 0}})
        for i in range(150):
            self.accepted(plain(to="+55119999%05d" % i), number=NUMBER if i % 2 else "222")
        got = self.statuses(150)
        self.assertEqual(len(got), 150)
        self.assertEqual({n for n, _ in got}, {NUMBER, "222"})
        self.assertLess(len(self.webhook.got), 50)

    def test_a_message_can_fail_later_with_a_code(self):
        self.sandbox.admin("config", {"recipients": [{"to": "+5511999990009", "what": "held", "code": 132015}],
                                      "receipts": {"failed_ms": 5}})
        status, answer = self.sandbox.send(plain(to="+5511999990009"))
        self.assertEqual((status, answer["messages"][0]["message_status"]), (200, "held_for_quality_assessment"))
        got = self.statuses(1)
        self.assertEqual([(s["status"], s["errors"][0]["code"]) for _, s in got], [("failed", 132015)])

    def test_receipts_can_fall_silent_wait_and_come_twice(self):
        self.sandbox.admin("config", {"receipts": {"enabled": False}})
        self.accepted(plain())
        time.sleep(0.2)
        self.assertEqual(self.webhook.got, [])
        self.sandbox.admin("config", {"receipts": {"enabled": True, "paused": True, "duplicate": 1.0}})
        self.accepted(plain())
        time.sleep(0.2)
        self.assertEqual(self.webhook.got, [])
        self.sandbox.admin("config", {"receipts": {"paused": False}})
        self.assertEqual(sorted(s["status"] for _, s in self.statuses(6)),
                         ["delivered", "delivered", "read", "read", "sent", "sent"])

    def test_receipts_come_for_what_was_taken_though_its_answer_was_cut(self):
        self.sandbox.admin("faults", {"what": "accept_then_reset"})
        self.no_answer(plain(biz_opaque_callback_data="lost"))
        self.assertEqual({s["biz_opaque_callback_data"] for _, s in self.statuses(3)}, {"lost"})


class Settings(unittest.TestCase):
    def run_binary(self, *arguments):
        return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=20, check=False)

    def with_config(self, config):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(config, file)
            file.flush()
            return self.run_binary("--config", file.name)

    def test_every_option_has_help(self):
        page = self.run_binary("--help")
        self.assertEqual(page.returncode, 0)
        for option in ("--listen", "--port-file", "--config", "--record", "--receipts-url", "--app-secret", "--seed", "--lenient"):
            self.assertIn(option, page.stdout)

    def test_the_kinds_of_fault_can_be_listed(self):
        self.assertIn("accept_then_reset", self.run_binary("--faults").stdout.split())

    def test_a_wrong_option_ends_with_2(self):
        for arguments in (["--nonsense"], ["stray"], ["--seed", "x"]):
            self.assertEqual(self.run_binary(*arguments).returncode, 2)

    def test_a_fault_in_the_settings_is_named(self):
        for config, words in (({"nonsense": 1}, "nonsense"),
                              ({"numbers": [{"phone_number_id": "1", "portfolio": "no"}]}, "numbers.portfolio"),
                              ({"numbers": [{"phone_number_id": "1", "rate": "80"}]}, "numbers.rate"),
                              ({"portfolios": [{"id": "1", "limit": -5}]}, "portfolios.limit"),
                              ({"mix": [{"what": "boom"}]}, "what"),
                              ({"latency": {"min_ms": 5, "max_ms": 2}}, "latency.max_ms"),
                              ({"templates": ["nowhere.json"]}, "nowhere.json"),
                              ({"templates": [{"name": "x", "language": "y", "components": [{"type": "BODY", "text": "{{2}}"}]}]},
                               "template x"),
                              ({"receipts": {"url": "https://x"}}, "receipts URL")):
            with self.subTest(config=config):
                done = self.with_config(config)
                self.assertEqual(done.returncode, 1)
                self.assertIn(words, done.stderr)

    def test_an_address_that_is_none_or_is_taken_is_named(self):
        self.assertEqual(self.run_binary("--listen", "nowhere").returncode, 1)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            done = self.run_binary("--listen", "127.0.0.1:%d" % taken.getsockname()[1])
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot listen", done.stderr)


class Lenient(SandboxTest):
    arguments = ("--lenient", "--any-template")

    def test_unknown_numbers_tokens_and_templates_are_taken(self):
        self.accepted(template("anything", [text("x")], language="xx"), number="31337", token="whatever")
        self.assertEqual(self.sandbox.stats()["numbers"]["31337"]["accepted"], 1)


if __name__ == "__main__":
    unittest.main()
