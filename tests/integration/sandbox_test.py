#!/usr/bin/env python3
"""The stand-in for the platform, checked from outside: what it takes, refuses, counts, records and breaks on purpose.

POSTRIDER_SANDBOX names the built binary. Nothing but the standard library is needed.
"""
import hashlib
import hmac
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BINARY = os.environ.get("POSTRIDER_SANDBOX", "")
NUMBER = "106540352242922"
TOKEN = "sandbox-token"
DAY_MS = 24 * 3600 * 1000

TEMPLATES = {"data": [
    {"name": "order_confirmation", "language": "pt_BR", "category": "UTILITY", "status": "APPROVED", "components": [
        {"type": "HEADER", "format": "DOCUMENT"},
        {"type": "BODY", "text": "Oi {{1}}, seu pedido {{2}} de {{3}}."},
        {"type": "FOOTER", "text": "Loja Aurora"},
        {"type": "BUTTONS", "buttons": [
            {"type": "URL", "text": "Ver", "url": "https://loja.example/p/{{1}}"},
            {"type": "QUICK_REPLY", "text": "Parar"}]}]},
    {"name": "plain", "language": "pt_BR", "category": "MARKETING", "status": "APPROVED", "components": [
        {"type": "BODY", "text": "Oi {{1}}"}]},
    {"name": "cart", "language": "pt_BR", "category": "MARKETING", "status": "APPROVED", "parameter_format": "NAMED",
     "components": [{"type": "HEADER", "format": "TEXT", "text": "Oi {{first_name}}"},
                    {"type": "BODY", "text": "{{first_name}}, {{items}} no carrinho, {{first_name}}!"}]},
    {"name": "code", "language": "pt_BR", "category": "AUTHENTICATION", "status": "APPROVED", "components": [
        {"type": "BODY", "text": "{{1}}"}, {"type": "BUTTONS", "buttons": [{"type": "OTP", "text": "Copiar"}]}]},
    {"name": "coupon", "language": "pt_BR", "category": "MARKETING", "status": "APPROVED", "components": [
        {"type": "BODY", "text": "Cupom"}, {"type": "BUTTONS", "buttons": [{"type": "COPY_CODE", "text": "Copiar"}]}]},
    {"name": "paused", "language": "pt_BR", "status": "PAUSED", "components": [{"type": "BODY", "text": "x"}]},
    {"name": "disabled", "language": "pt_BR", "status": "DISABLED", "components": [{"type": "BODY", "text": "x"}]},
    {"name": "pending", "language": "pt_BR", "status": "PENDING", "components": [{"type": "BODY", "text": "x"}]},
]}

SETTINGS = {
    "tokens": [TOKEN],
    "portfolios": [{"id": "506914", "limit": None}],
    "numbers": [
        {"phone_number_id": NUMBER, "waba_id": "102290129340398", "portfolio": "506914", "rate": 0,
         "display_phone_number": "+55 11 4002-8922", "d360_key": "d360-key"},
        {"phone_number_id": "222", "token": "own-token", "portfolio": "506914", "waba_id": "other", "country_code": "55"}],
    "templates": [TEMPLATES],
}


def text(value, **more):
    return dict({"type": "text", "text": value}, **more)


def template(name, body=None, to="+5511999990000", components=None, language="pt_BR", **more):
    parts = list(components or [])
    if body is not None:
        parts.append({"type": "body", "parameters": body})
    message = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": to, "type": "template",
               "template": {"name": name, "language": {"code": language}, "components": parts}}
    message.update(more)
    return message


def plain(to="+5511999990000", **more):
    return template("plain", [text("Ana")], to=to, **more)


def order(header=None, body=None, button=None, extra=()):
    parts = [{"type": "header", "parameters": header if header is not None else
              [{"type": "document", "document": {"link": "https://loja.example/nf.pdf", "filename": "nf.pdf"}}]},
             {"type": "button", "sub_type": "url", "index": "0",
              "parameters": button if button is not None else [text("1001")]}]
    return template("order_confirmation", body if body is not None else [text("Ana"), text("1001"), text("R$ 10")],
                    components=parts + list(extra))


class Sandbox:
    """One running program and a kept-alive connection to it."""

    def __init__(self, settings=None, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        config, port = self.path("config.json"), self.path("port")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(dict(SETTINGS, **(settings or {})), file)
        self.process = subprocess.Popen([BINARY, "--config", config, "--port-file", port, *arguments],
                                        stdout=subprocess.DEVNULL)
        self.port = self.read_port(port)
        self.connection = self.connect()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def read_port(self, path):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if os.path.exists(path):
                with open(path, encoding="ascii") as file:
                    return int(file.read())
            if self.process.poll() is not None:
                raise RuntimeError("the sandbox ended with %d" % self.process.returncode)
            time.sleep(0.01)
        raise RuntimeError("no port file")

    def connect(self, port=None):
        return http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)

    def request(self, method, path, body=None, headers=None, connection=None):
        connection = connection or self.connection
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()

    def send(self, message, number=NUMBER, token=TOKEN, path=None, connection=None, headers=None):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        head = {"Content-Type": "application/json", "Authorization": "Bearer " + token}
        head.update(headers or {})
        status, head, answer = self.request("POST", path or "/v25.0/%s/messages" % number, body, head, connection)
        try:
            return status, json.loads(answer)
        except ValueError:
            return status, answer

    def admin(self, path, body=None, method=None, expect=200, connection=None):
        data = None if body is None else json.dumps(body).encode()
        status, _, answer = self.request(method or ("GET" if body is None else "POST"), "/_sandbox/" + path, data, None, connection)
        if status != expect:
            raise AssertionError("%s: %d %s" % (path, status, answer))
        return json.loads(answer) if answer[:1] in b"{[" else answer

    def stats(self):
        return self.admin("stats", connection=self.connect())

    def record(self, since=0, limit=100000):
        _, head, answer = self.request("GET", "/_sandbox/record?since=%d&limit=%d" % (since, limit), connection=self.connect())
        self.complete = head["X-Sandbox-Complete"] == "true"
        return [json.loads(line) for line in answer.decode().splitlines()]

    def stop(self):
        self.connection.close()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        self.folder.cleanup()
        return code


class SandboxTest(unittest.TestCase):
    settings = None
    arguments = ()

    def setUp(self):
        self.sandbox = Sandbox(self.settings, *self.arguments)
        self.addCleanup(self.stop)

    def stop(self):
        self.assertEqual(self.sandbox.stop(), 0, "the sandbox must end cleanly")

    def accepted(self, message, **how):
        status, answer = self.sandbox.send(message, **how)
        self.assertEqual(status, 200, answer)
        return answer["messages"][0]["id"]

    def refused(self, message, code, status=400, **how):
        got, answer = self.sandbox.send(message, **how)
        self.assertEqual((got, answer["error"]["code"]), (status, code), answer)
        return answer["error"]

    def no_answer(self, message, **how):
        """The request meets a cut or a silence; the connection is used up."""
        connection = self.sandbox.connect()
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.sandbox.send(message, connection=connection, **how)
        connection.close()


class Acceptance(SandboxTest):
    def test_a_good_template_message_is_accepted_in_the_shape_of_the_graph_api(self):
        status, answer = self.sandbox.send(plain(to="+55 (11) 99999-0000"))
        self.assertEqual(status, 200)
        self.assertEqual(answer["messaging_product"], "whatsapp")
        self.assertEqual(answer["contacts"], [{"input": "+55 (11) 99999-0000", "wa_id": "5511999990000"}])
        self.assertTrue(answer["messages"][0]["id"].startswith("wamid."))
        self.assertEqual(answer["messages"][0]["message_status"], "accepted")

    def test_every_message_gets_an_id_of_its_own(self):
        ids = {self.accepted(plain(to="+55119999%05d" % i)) for i in range(300)}
        self.assertEqual(len(ids), 300)

    def test_all_parts_of_a_template_are_taken(self):
        self.accepted(order())
        self.accepted(order(extra=[{"type": "button", "sub_type": "QUICK_REPLY", "index": 1,
                                    "parameters": [{"type": "payload", "payload": "STOP"}]}]))

    def test_named_parameters_may_come_in_any_order(self):
        header = {"type": "header", "parameters": [text("Ana", parameter_name="first_name")]}
        self.accepted(template("cart", [text("2", parameter_name="items"), text("Ana", parameter_name="first_name")],
                               components=[header]))

    def test_a_version_in_the_path_is_optional(self):
        self.accepted(plain(), path="/%s/messages" % NUMBER)
        self.accepted(plain(), path="/v17.0/%s/messages" % NUMBER)

    def test_the_360dialog_form_takes_a_key_instead_of_number_and_token(self):
        head = {"D360-API-KEY": "d360-key", "Content-Type": "application/json"}
        status, _, answer = self.sandbox.request("POST", "/messages", json.dumps(plain()), head)
        self.assertEqual(status, 200, answer)
        self.assertEqual(self.sandbox.record()[0]["phone_number_id"], NUMBER)

    def test_a_wrong_360dialog_key_gets_401_without_a_provider_code(self):
        head = {"D360-API-KEY": "wrong", "Content-Type": "application/json"}
        status, _, answer = self.sandbox.request("POST", "/messages", json.dumps(plain()), head)
        self.assertEqual(status, 401)
        self.assertNotIn("error", json.loads(answer))

    def test_a_number_of_its_own_token_is_opened_by_that_token_and_by_business_tokens(self):
        self.accepted(plain(), number="222", token="own-token")
        self.accepted(plain(), number="222", token=TOKEN)
        self.refused(plain(), 10, 403, number=NUMBER, token="own-token")

    def test_a_recipient_without_plus_gets_the_country_of_the_business_in_front(self):
        self.accepted(plain(to="11999990000"), number="222")
        self.assertEqual(self.sandbox.record()[0]["wa_id"], "5511999990000")

    def test_a_business_scoped_id_is_taken_as_recipient(self):
        message = plain()
        del message["to"]
        message["recipient"] = "US.13491208655302741918"
        status, answer = self.sandbox.send(message)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["contacts"], [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}])

    def test_to_wins_over_recipient(self):
        self.accepted(plain(recipient="US.13491208655302741918"))
        self.assertEqual(self.sandbox.record()[0]["wa_id"], "5511999990000")

    def test_marking_as_read_succeeds_and_is_no_message(self):
        status, answer = self.sandbox.send({"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.x"})
        self.assertEqual((status, answer), (200, {"success": True}))
        self.assertEqual(self.sandbox.stats()["accepted"], 0)

    def test_the_number_can_be_looked_at(self):
        status, _, answer = self.sandbox.request("GET", "/v25.0/" + NUMBER, None, {"Authorization": "Bearer " + TOKEN})
        self.assertEqual(status, 200)
        self.assertEqual(json.loads(answer)["quality_rating"], "GREEN")


class Refusal(SandboxTest):
    def test_a_wrong_or_missing_token_is_190(self):
        self.refused(plain(), 190, 401, token="wrong")
        status, _, answer = self.sandbox.request("POST", "/%s/messages" % NUMBER, b"{}", {"Content-Type": "application/json"})
        self.assertEqual((status, json.loads(answer)["error"]["code"]), (401, 190))

    def test_a_revoked_token_is_190_until_it_is_given_back(self):
        self.sandbox.admin("config", {"revoked_tokens": [TOKEN]})
        self.refused(plain(), 190, 401)
        self.sandbox.admin("config", {"tokens": [TOKEN]})
        self.accepted(plain())

    def test_an_unknown_number_is_100_with_subcode_33(self):
        error = self.refused(plain(), 100, number="999")
        self.assertEqual(error["error_subcode"], 33)

    def test_an_error_has_the_shape_of_the_graph_api(self):
        error = self.refused(template("missing", []), 132001, 404)
        self.assertEqual(error["type"], "OAuthException")
        self.assertTrue(error["message"].startswith("(#132001) "))
        self.assertEqual(error["error_data"]["messaging_product"], "whatsapp")
        self.assertIn("missing", error["error_data"]["details"])
        self.assertTrue(error["fbtrace_id"])

    def test_what_is_not_json_is_100(self):
        for body in (b"", b"{", b"[]", b'{"a":1,}', b"{'a':1}", b'{"messaging_product":"\xff"}', b"nul", b"01",
                     b'{"a":"\\ud800"}', b'{"a":"\\x"}', b"[" * 100, b'{"a":"\x01"}', b'{"a":1}x'):
            with self.subTest(body=body):
                self.refused(body, 100)

    def test_a_body_that_is_not_declared_json_is_100(self):
        self.refused(plain(), 100, headers={"Content-Type": "text/plain"})

    def test_an_unknown_key_is_100(self):
        self.refused(plain(surprise=1), 100)
        message = plain()
        message["template"]["surprise"] = 1
        self.refused(message, 100)

    def test_the_product_must_be_whatsapp(self):
        self.refused(plain(messaging_product="sms"), 100)
        message = plain()
        del message["messaging_product"]
        self.refused(message, 100)

    def test_a_recipient_is_required_and_must_be_a_phone_number(self):
        message = plain()
        del message["to"]
        self.refused(message, 100)
        for to in ("", "+", "abc", "+12", "+0551199", "+5511999990000000", "55+11999990000", "+55\u000011999990000",
                   "US.13491208655302741918"):
            with self.subTest(to=to):
                self.refused(plain(to=to), 131009)
        self.refused(plain(to=5511), 100)

    def test_the_sender_is_no_recipient(self):
        self.refused(plain(to="+551140028922"), 131021)

    def test_callback_data_has_512_characters_at_most(self):
        self.accepted(plain(biz_opaque_callback_data="é" * 512))
        self.refused(plain(biz_opaque_callback_data="x" * 513), 131009)
        self.refused(plain(biz_opaque_callback_data=1), 100)

    def test_an_unknown_template_or_language_is_132001_with_404(self):
        self.refused(template("nope", [text("x")]), 132001, 404)
        self.refused(template("plain", [text("x")], language="en_US"), 132001, 404)
        self.refused(template("pending"), 132001, 404)

    def test_a_paused_template_is_132015_and_a_disabled_one_132016(self):
        self.refused(template("paused"), 132015)
        self.refused(template("disabled"), 132016)

    def test_a_template_can_be_paused_and_resumed_while_running(self):
        self.sandbox.admin("template", {"name": "plain", "language": "pt_BR", "status": "PAUSED"})
        self.refused(plain(), 132015)
        self.sandbox.admin("template", {"name": "plain", "status": "APPROVED"})
        self.accepted(plain())
        self.sandbox.admin("template", {"name": "nope", "status": "PAUSED"}, expect=400)

    def test_a_wrong_number_of_parameters_is_132000(self):
        self.refused(template("plain", []), 132000)
        self.refused(template("plain"), 132000)
        self.refused(template("plain", [text("a"), text("b")]), 132000)
        self.refused(order(button=[]), 132000)

    def test_a_missing_button_parameter_is_131008(self):
        message = order()
        message["template"]["components"] = [c for c in message["template"]["components"] if c["type"] != "button"]
        self.refused(message, 131008)

    def test_a_header_of_another_kind_is_132012(self):
        self.refused(order(header=[{"type": "image", "image": {"link": "https://x.example/a.jpg"}}]), 132012)
        self.refused(order(header=[]), 132012)
        message = order()
        message["template"]["components"] = [c for c in message["template"]["components"] if c["type"] != "header"]
        self.refused(message, 132012)

    def test_header_media_need_exactly_one_of_id_and_link(self):
        self.refused(order(header=[{"type": "document", "document": {}}]), 131008)
        self.refused(order(header=[{"type": "document", "document": {"id": "1", "link": "https://x.example/a"}}]), 131009)
        self.refused(order(header=[{"type": "document", "document": {"link": "ftp://x.example/a"}}]), 131009)
        self.accepted(order(header=[{"type": "document", "document": {"id": "1"}}]))

    def test_names_must_be_the_templates_names(self):
        head = {"type": "header", "parameters": [text("Ana", parameter_name="first_name")]}
        self.refused(template("cart", [text("2", parameter_name="items"), text("A", parameter_name="nome")],
                              components=[head]), 132012)
        self.refused(template("cart", [text("2"), text("A")], components=[head]), 132012)
        self.refused(template("cart", [text("2", parameter_name="items"), text("3", parameter_name="items")],
                              components=[head]), 132000)
        self.refused(template("plain", [text("A", parameter_name="first_name")]), 132012)

    def test_an_empty_or_untyped_parameter_is_131008(self):
        self.refused(template("plain", [text("")]), 131008)
        self.refused(template("plain", [{"type": "text"}]), 131008)
        self.refused(template("plain", [{"text": "a"}]), 131008)

    def test_a_text_parameter_is_one_line_without_long_gaps(self):
        for bad in ("a\nb", "a\tb", "a     b"):
            with self.subTest(bad=bad):
                self.refused(template("plain", [text(bad)]), 131009)
        self.accepted(template("plain", [text("a    b")]))

    def test_a_body_of_1024_characters_passes_and_one_more_is_132005(self):
        self.accepted(template("plain", [text("é" * 1021)]))
        self.refused(template("plain", [text("é" * 1022)]), 132005)

    def test_a_parameter_counts_as_often_as_it_occurs(self):
        head = {"type": "header", "parameters": [text("A", parameter_name="first_name")]}
        room = (1024 - len(", x no carrinho, !")) // 2
        for length, good in ((room, True), (room + 1, False)):
            message = template("cart", [text("a" * length, parameter_name="first_name"), text("x", parameter_name="items")],
                               components=[head])
            with self.subTest(length=length):
                self.accepted(message) if good else self.refused(message, 132005)

    def test_a_text_header_of_60_characters_passes_and_one_more_is_132005(self):
        body = [text("2", parameter_name="items"), text("Ana", parameter_name="first_name")]
        for length, good in ((57, True), (58, False)):
            head = {"type": "header", "parameters": [text("a" * length, parameter_name="first_name")]}
            message = template("cart", body, components=[head])
            with self.subTest(length=length):
                self.accepted(message) if good else self.refused(message, 132005)

    def test_a_button_must_exist_and_be_of_its_kind(self):
        def button(index, kind, parameters):
            return [{"type": "button", "sub_type": kind, "index": index, "parameters": parameters}]
        payload = [{"type": "payload", "payload": "x"}]
        self.refused(order(extra=button("2", "quick_reply", payload)), 131009)
        self.refused(order(extra=button("1", "url", [text("x")])), 132012)
        self.refused(order(extra=button("1", "quick_reply", [text("x")])), 132012)
        self.refused(order(extra=button("0", "url", [text("x")])), 100)
        self.accepted(order(extra=button("1", "quick_reply", [{"type": "payload", "payload": "x" * 256}])))
        self.refused(order(extra=button("1", "quick_reply", [{"type": "payload", "payload": "x" * 257}])), 131009)

    def test_a_url_of_2000_characters_passes_and_one_more_is_132005(self):
        room = 2000 - len("https://loja.example/p/")
        self.accepted(order(button=[text("x" * room)]))
        self.refused(order(button=[text("x" * (room + 1))]), 132005)

    def test_a_coupon_code_has_15_characters_at_most(self):
        def coupon(code):
            return template("coupon", components=[{"type": "button", "sub_type": "COPY_CODE", "index": "0", "parameters": [
                {"type": "coupon_code", "coupon_code": code}]}])
        self.accepted(coupon("x" * 15))
        self.refused(coupon("x" * 16), 131009)

    def test_an_authentication_template_needs_a_phone_number(self):
        message = template("code", [text("123456")], components=[
            {"type": "button", "sub_type": "url", "index": "0", "parameters": [text("123456")]}])
        self.accepted(message)
        del message["to"]
        message["recipient"] = "US.13491208655302741918"
        self.refused(message, 131062)

    def test_the_marketing_path_takes_marketing_templates_only(self):
        path = "/v25.0/%s/marketing_messages" % NUMBER
        self.accepted(plain(product_policy="STRICT", message_activity_sharing=False), path=path)
        self.refused(order(), 131055, path=path)
        self.refused({"messaging_product": "whatsapp", "to": "+5511999990000", "type": "text", "text": {"body": "x"}}, 100, path=path)

    def test_marketing_can_be_off_for_a_number(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "marketing_off": True}]})
        self.refused(plain(), 131063)
        self.accepted(order())

    def test_an_unknown_path_is_refused(self):
        self.refused(plain(), 2500, path="/v25.0/%s/nothing" % NUMBER)


class ServiceMessages(SandboxTest):
    settings = {"windows": [{"to": "+5511999990000"}]}

    def message(self, kind, value, to="+5511999990000"):
        return {"messaging_product": "whatsapp", "to": to, "type": kind, kind: value}

    def test_text_goes_inside_an_open_window_and_is_131047_outside(self):
        self.accepted(self.message("text", {"body": "oi", "preview_url": False}))
        self.refused(self.message("text", {"body": "oi"}, to="+5511999990001"), 131047)

    def test_a_window_closes_with_the_platforms_clock(self):
        self.sandbox.admin("clock", {"advance_ms": DAY_MS})
        self.refused(self.message("text", {"body": "oi"}), 131047)
        self.sandbox.admin("window", {"to": "+5511999990000", "open_ms": 60000})
        self.accepted(self.message("text", {"body": "oi"}))

    def test_a_text_of_4096_characters_passes_and_one_more_does_not(self):
        self.accepted(self.message("text", {"body": "é" * 4096}))
        self.refused(self.message("text", {"body": "é" * 4097}), 100)

    def test_media_places_contacts_and_reactions_are_taken(self):
        self.accepted(self.message("image", {"link": "https://x.example/a.jpg", "caption": "olá"}))
        self.accepted(self.message("document", {"id": "1", "filename": "a.pdf"}))
        self.refused(self.message("audio", {"id": "1", "caption": "no"}), 100)
        self.accepted(self.message("location", {"latitude": 1.5, "longitude": "2"}))
        self.accepted(self.message("contacts", [{"name": {"formatted_name": "Ana"}}]))
        self.accepted(self.message("reaction", {"message_id": "wamid.x", "emoji": ""}))
        self.refused(self.message("hologram", {}), 100)

    def test_three_reply_buttons_pass_and_four_do_not(self):
        def buttons(n):
            return self.message("interactive", {"type": "button", "body": {"text": "?"}, "action": {"buttons": [
                {"type": "reply", "reply": {"id": str(i), "title": "t%d" % i}} for i in range(n)]}})
        self.accepted(buttons(3))
        self.refused(buttons(4), 131009)

    def test_ten_rows_of_a_list_pass_and_eleven_do_not(self):
        def rows(first, second):
            return self.message("interactive", {"type": "list", "body": {"text": "?"}, "action": {"button": "Menu", "sections": [
                {"title": "a", "rows": [{"id": "a%d" % i, "title": "t"} for i in range(first)]},
                {"title": "b", "rows": [{"id": "b%d" % i, "title": "t"} for i in range(second)]}]}})
        self.accepted(rows(5, 5))
        self.refused(rows(5, 6), 131009)

    def test_other_interactive_messages_are_checked_for_their_label(self):
        def cta(label):
            return self.message("interactive", {"type": "cta_url", "body": {"text": "?"}, "action": {
                "name": "cta_url", "parameters": {"url": "https://x.example", "display_text": label}}})
        self.accepted(cta("x" * 20))
        self.refused(cta("x" * 21), 131009)


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

    def test_ten_seconds_hold_the_rate_and_one_percent(self):
        self.sandbox.admin("config", {"numbers": [{"phone_number_id": NUMBER, "rate": 100}]})
        taken, until, i = 0, time.monotonic() + 9.5, 0
        while time.monotonic() < until:
            i += 1
            taken += self.sandbox.send(plain(to="+5511%09d" % i))[0] == 200
            time.sleep(0.005)
        self.assertEqual(taken, 1010)

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


class Faults(SandboxTest):
    def fault(self, what, **more):
        self.sandbox.admin("faults", dict({"what": what}, **more), connection=self.sandbox.connect())

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
                time.sleep(0.05)
                self.assertEqual(self.sandbox.stats()["open"], 0)

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
        connection = self.sandbox.connect()
        self.accepted(plain(biz_opaque_callback_data="first"), connection=connection)
        with self.assertRaises(ConnectionError):
            self.sandbox.send(plain(biz_opaque_callback_data="second"), connection=connection)
        self.assertEqual([(e["callback"], e["nth"], e["cut"]) for e in self.sandbox.record()],
                         [("first", 1, ""), ("second", 2, "reset_after_read")])

    def test_an_answered_connection_can_end_behind_the_clients_back(self):
        for what in ("answer_then_cut", "answer_then_reset"):
            self.fault(what)
            connection = self.sandbox.connect()
            self.accepted(plain(), connection=connection)
            time.sleep(0.1)
            with self.assertRaises((http.client.RemoteDisconnected, ConnectionError)):
                self.sandbox.send(plain(), connection=connection)

    def test_a_fault_can_strike_the_nth_match_and_then_every_so_many(self):
        self.fault("error", code=131000, match={"nth": 3, "every": 2, "phone_number_id": NUMBER, "template": "plain"}, times=2)
        codes = [self.sandbox.send(plain())[0] for _ in range(8)]
        self.assertEqual(codes, [200, 200, 500, 200, 500, 200, 200, 200])

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
        self.assertTrue(0.115 < time.monotonic() - began < 0.5)
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
        until = time.monotonic() + 5
        while self.sandbox.stats()["open"] < 20 and time.monotonic() < until:
            time.sleep(0.01)
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
        with self.assertRaises(ConnectionRefusedError):
            self.sandbox.send(plain(), connection=self.sandbox.connect())
        self.sandbox.admin("listen", {"accepting": True}, connection=admin)
        self.accepted(plain(), connection=self.sandbox.connect())
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
        time.sleep(0.1)
        stats = self.sandbox.stats()
        self.assertEqual((stats["half_requests"], stats["accepted"], stats["open"]), (1, 0, 0))

    def test_a_message_above_64_kib_is_refused(self):
        self.refused(plain(biz_opaque_callback_data="x" * 70000), 100)


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
        self.assertEqual(lines[-1]["seq"], 6000)
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
    if not BINARY:
        raise SystemExit("POSTRIDER_SANDBOX must name the built postrider-sandbox")
    unittest.main()
