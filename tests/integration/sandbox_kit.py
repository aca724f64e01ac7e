"""What the sandbox's own tests share: a running sandbox with a sample business, and messages for it.

The program comes from POSTRIDER_SANDBOX, else from the build folder that PR_BUILD_DIR names. Standard library only.
"""
import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("POSTRIDER_SANDBOX") or str(
    pathlib.Path(os.environ.get("PR_BUILD_DIR", ROOT / "build" / "dev")) / "bench" / "sandbox" / "postrider-sandbox")
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
        self.control = self.connect()

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
        status, _, answer = self.request(method or ("GET" if body is None else "POST"), "/_sandbox/" + path, data, None,
                                         connection or self.control)
        if status != expect:
            raise AssertionError("%s: %d %s" % (path, status, answer))
        return json.loads(answer) if answer[:1] in b"{[" else answer

    def stats(self):
        return self.admin("stats")

    def record(self, since=0, limit=100000):
        _, head, answer = self.request("GET", "/_sandbox/record?since=%d&limit=%d" % (since, limit), connection=self.control)
        self.last = int(head["X-Sandbox-Last"])
        self.complete = head["X-Sandbox-Complete"] == "true"
        return [json.loads(line) for line in answer.decode().splitlines()]

    def stop(self):
        self.connection.close()
        self.control.close()
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

    def becomes(self, wanted, *names, seconds=10.0):
        """Waits until these counters have these values: what the kernel tells the sandbox comes a little later."""
        until = time.monotonic() + seconds
        while True:
            stats = self.sandbox.stats()
            got = tuple(stats[name] for name in names)
            if got == wanted or time.monotonic() > until:
                self.assertEqual(got, wanted)
                return
            time.sleep(0.01)

    def no_answer(self, message, **how):
        """The request meets a cut or a silence; the connection is used up."""
        connection = self.sandbox.connect()
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.sandbox.send(message, connection=connection, **how)
        connection.close()
