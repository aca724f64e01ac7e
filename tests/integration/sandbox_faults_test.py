#!/usr/bin/env python3
"""What the stand-in for the platform breaks on purpose, and how its HTTP server behaves."""
import http.client
import json
import os
import socket
import tempfile
import time
import unittest

from sandbox_kit import NUMBER, TOKEN, SandboxTest, plain


class Faults(SandboxTest):
    def fault(self, what, **more):
        self.sandbox.admin("faults", dict({"what": what}, **more))

    def test_an_error_on_purpose_strikes_once_and_takes_nothing(self):
        self.fault("error", code=131049)
        self.refused(plain(), 131049)
        self.accepted(plain())
        stats = self.sandbox.stats()
        self.assertEqual((stats["accepted"], stats["refused_by_code"]), (1, {"131049": 1}))

    def test_an_error_can_carry_retry_after_and_usage(self):
        self.fault("error", code=4, http=429, retry_after=7, usage_minutes=3)
        status, head, _ = self.sandbox.request("POST", "/%s/messages" % NUMBER, json.dumps(plain()),
                                               {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})
        self.assertEqual((status, head["Retry-After"]), (429, "7"))
        self.assertEqual(json.loads(head["X-Business-Use-Case-Usage"])["0"][0]["estimated_time_to_regain_access"], 3)

    def test_a_proxys_502_has_no_provider_code(self):
        for what, accepted in (("502_before", 0), ("accept_then_502", 1)):
            self.fault(what)
            status, answer = self.sandbox.send(plain())
            self.assertEqual((status, type(answer)), (502, bytes))
            self.assertEqual(self.sandbox.stats()["accepted"], accepted)

    def test_before_takes_nothing_and_accept_then_takes_the_message(self):
        taken = 0
        for what in ("cut_before", "reset_before", "accept_then_cut", "accept_then_reset", "reset_after_read",
                     "accept_then_half_cut", "accept_then_half_reset"):
            with self.subTest(what=what):
                self.fault(what)
                self.no_answer(plain())
                taken += what not in ("cut_before", "reset_before")
                self.assertEqual(self.sandbox.stats()["accepted"], taken)
                self.assertEqual(self.sandbox.record()[-1]["cut"], what)
        self.assertEqual(self.sandbox.stats()["unanswered"], taken)

    def test_a_hang_is_on_the_wire_until_the_client_leaves(self):
        for what in ("hang_before", "accept_then_hang", "accept_then_half_hang"):
            with self.subTest(what=what):
                self.fault(what)
                connection = self.sandbox.connect()
                connection.timeout = 0.3
                with self.assertRaises(TimeoutError):
                    self.sandbox.send(plain(), connection=connection)
                self.assertEqual(self.sandbox.stats()["open"], 1)
                connection.close()
                self.becomes((0,), "open")

    def test_a_hang_with_an_end_cuts_then(self):
        self.fault("accept_then_hang", ms=200)
        began = time.monotonic()
        self.no_answer(plain())
        self.assertGreater(time.monotonic() - began, 0.19)

    def test_garbage_emptiness_and_excess_come_with_200(self):
        self.fault("accept_then_garbage")
        status, answer = self.sandbox.send(plain())
        self.assertEqual((status, type(answer)), (200, bytes))
        self.fault("accept_then_empty")
        self.assertEqual(self.sandbox.send(plain()), (200, {}))
        self.fault("accept_then_oversize", bytes=3000000)
        status, answer = self.sandbox.send(plain())
        self.assertGreaterEqual(len(answer["padding"]), 3000000)
        self.assertEqual(self.sandbox.stats()["accepted"], 3)

    def test_the_second_request_of_one_connection_can_be_reset_after_it_was_read(self):
        self.fault("reset_after_read", match={"nth": 2, "on_connection": "same"}, times=1)
        other = self.sandbox.connect()
        self.accepted(plain(biz_opaque_callback_data="other"), connection=other)
        other.close()
        connection = self.sandbox.connect()
        self.accepted(plain(biz_opaque_callback_data="first"), connection=connection)
        with self.assertRaises(ConnectionError):
            self.sandbox.send(plain(biz_opaque_callback_data="second"), connection=connection)
        connection.close()
        self.assertEqual([(e["callback"], e["nth"], e["cut"]) for e in self.sandbox.record()],
                         [("other", 1, ""), ("first", 1, ""), ("second", 2, "reset_after_read")])

    def test_an_answered_connection_can_end_behind_the_clients_back(self):
        for what in ("answer_then_cut", "answer_then_reset"):
            self.fault(what)
            connection = self.sandbox.connect()
            self.accepted(plain(), connection=connection)
            time.sleep(0.1)
            with self.assertRaises((http.client.RemoteDisconnected, ConnectionError)):
                self.sandbox.send(plain(), connection=connection)
            connection.close()

    def test_a_fault_can_strike_the_nth_match_and_then_every_so_many(self):
        self.fault("error", code=131000, match={"nth": 3, "every": 2, "phone_number_id": NUMBER, "template": "plain"}, times=2)
        codes = [self.sandbox.send(plain())[0] for _ in range(8)]
        self.assertEqual(codes, [200, 200, 500, 200, 500, 200, 200, 200])

    def test_an_error_may_have_the_code_0_and_has_131000_when_none_is_given(self):
        for code, status in ((0, 401), (131000, 500)):
            self.fault("error", **({"code": 0} if code == 0 else {}))
            self.refused(plain(), code, status)

    def test_a_recipient_can_have_a_fault_of_its_own(self):
        self.sandbox.admin("config", {"recipients": [{"to": "+55 11 99999-0007", "what": "error", "code": 131026}]})
        for _ in range(3):
            self.refused(plain(to="+5511999990007"), 131026)
        self.accepted(plain())

    def test_a_mix_strikes_with_its_probability(self):
        self.sandbox.admin("config", {"mix": [{"what": "error", "code": 131016, "probability": 0.25}]})
        codes = [self.sandbox.send(plain(to="+55119%08d" % i))[0] for i in range(2000)]
        self.assertTrue(400 < codes.count(500) < 600, codes.count(500))
        self.sandbox.admin("config", {"mix": [{"what": "ok", "weight": 1}, {"what": "error", "weight": 0}]})
        self.accepted(plain(to="+5511800000000"))
        self.sandbox.admin("config", {"mix": [{"what": "error", "probability": 0.7}, {"what": "ok", "probability": 0.7}]}, expect=400)

    def test_a_limit_refuses_in_its_own_name_even_where_a_fault_would_strike(self):
        self.sandbox.admin("config", {"portfolios": [{"id": "506914", "limit": 0}],
                                      "mix": [{"what": "accept_then_502", "probability": 1}]})
        self.refused(plain(), 131048)
        self.assertEqual(self.sandbox.record()[-1]["cut"], "")

    def test_an_answer_comes_after_the_latency(self):
        self.sandbox.admin("config", {"latency": {"fixed_ms": 120}})
        began = time.monotonic()
        self.accepted(plain())
        self.assertGreater(time.monotonic() - began, 0.115)
        self.fault("delay", ms=200)
        began = time.monotonic()
        self.accepted(plain())
        self.assertGreater(time.monotonic() - began, 0.31)

    def test_every_open_request_can_be_cut_at_once(self):
        self.sandbox.admin("config", {"latency": {"fixed_ms": 5000}})
        connections = [self.sandbox.connect() for _ in range(20)]
        for i, connection in enumerate(connections):
            connection.request("POST", "/%s/messages" % NUMBER, json.dumps(plain(to="+55119999900%02d" % i)),
                               {"Content-Type": "application/json", "Authorization": "Bearer " + TOKEN})
        self.becomes((20,), "open")
        self.assertEqual(self.sandbox.admin("cut", {"how": "reset"})["ended"], 20)
        for connection in connections:
            with self.assertRaises((ConnectionError, http.client.HTTPException)):
                connection.getresponse()
            connection.close()
        stats = self.sandbox.stats()
        self.assertEqual((stats["open"], stats["accepted"], stats["unanswered"]), (0, 20, 20))

    def test_faults_can_be_listed_and_taken_away(self):
        self.fault("error", code=131000, times=0)
        self.assertEqual(self.sandbox.admin("faults")[0]["what"], "error")
        self.sandbox.admin("faults", method="DELETE")
        self.accepted(plain())
        self.sandbox.admin("faults", {"what": "nonsense"}, expect=400)


class RefusedConnections(SandboxTest):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "admin-port")
        self.arguments = ("--admin-listen", "127.0.0.1:0", "--admin-port-file", path)
        super().setUp()
        self.admin_port = self.sandbox.read_port(path)

    def test_the_platform_can_be_unreachable_and_come_back_on_its_port(self):
        admin = self.sandbox.connect(self.admin_port)
        self.sandbox.admin("listen", {"accepting": False}, connection=admin)
        refused = self.sandbox.connect()
        with self.assertRaises(ConnectionRefusedError):
            self.accepted(plain(), connection=refused)
        self.sandbox.admin("listen", {"accepting": True}, connection=admin)
        self.accepted(plain())
        admin.close()


class Http(SandboxTest):
    def raw(self, data, pause=0.0):
        with socket.create_connection(("127.0.0.1", self.sandbox.port), timeout=5) as sock:
            for part in data if isinstance(data, list) else [data]:
                sock.sendall(part)
                time.sleep(pause)
            sock.settimeout(1)
            got = b""
            try:
                while chunk := sock.recv(65536):
                    got += chunk
            except TimeoutError:
                pass
            return got

    def head(self, length, extra=""):
        return ("POST /v25.0/%s/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n%s"
                "Content-Length: %d\r\n\r\n" % (NUMBER, TOKEN, extra, length)).encode()

    def test_a_request_in_single_bytes_is_taken(self):
        body = json.dumps(plain()).encode()
        data = self.head(len(body)) + body
        got = self.raw([data[i:i + 7] for i in range(0, len(data), 7)], pause=0.001)
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "))

    def test_pipelined_requests_are_answered_one_after_another(self):
        self.sandbox.admin("config", {"latency": {"fixed_ms": 30}})
        body = json.dumps(plain()).encode()
        got = self.raw((self.head(len(body)) + body) * 5)
        self.assertEqual(got.count(b"HTTP/1.1 200 "), 5)

    def test_a_chunked_request_is_411_and_so_is_one_without_length(self):
        self.assertIn(b" 411 ", self.raw(b"POST /x/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
        self.assertIn(b" 411 ", self.raw(b"POST /x/messages HTTP/1.1\r\n\r\n"))

    def test_what_is_not_http_is_400_and_too_much_of_it_431_or_413(self):
        self.assertIn(b" 400 ", self.raw(b"nonsense\r\n\r\n"))
        self.assertIn(b" 400 ", self.raw(b"POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n"))
        self.assertIn(b" 400 ", self.raw(b"POST /x HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"))
        self.assertIn(b" 505 ", self.raw(b"GET /x HTTP/2.0\r\n\r\n"))
        self.assertIn(b" 431 ", self.raw(b"GET /x HTTP/1.1\r\nA: " + b"x" * 20000))
        self.assertIn(b" 413 ", self.raw(b"POST /x HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"))
        self.assertEqual(self.sandbox.stats()["bad_requests"], 6)

    def test_the_client_may_ask_for_continue_and_for_close(self):
        body = json.dumps(plain()).encode()
        got = self.raw([self.head(len(body), "Expect: 100-continue\r\nConnection: close\r\n"), body], pause=0.1)
        self.assertTrue(got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "))
        self.assertIn(b"Connection: close", got)

    def test_a_client_that_leaves_in_the_middle_of_its_request_is_counted_and_nothing_taken(self):
        with socket.create_connection(("127.0.0.1", self.sandbox.port)) as sock:
            sock.sendall(self.head(500) + b"{")
        self.becomes((1, 0, 0), "half_requests", "accepted", "open")

    def test_a_message_above_64_kib_is_refused(self):
        self.refused(plain(biz_opaque_callback_data="x" * 70000), 100)


if __name__ == "__main__":
    unittest.main()
