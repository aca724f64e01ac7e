#!/usr/bin/env -S python3 -B
"""A small receipts reader for tests: takes the platform's signed webhooks and settles unknowns through the ledger's function.

As a program: receipts.py PORT SECRET CONNINFO. As a module: with Receipts(secret, conninfo) as it: … it.url, it.statuses, it.settled.
"""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import subprocess
import sys
import threading
import uuid


def parse_callback(text):
    """tenant, day since 1970, message id, attempt, partition; None when it is not ours (layout: common/core/callback.c)."""
    if not isinstance(text, str) or len(text) != 43 or not text.startswith("p1."):
        return None
    try:
        raw = base64.b64decode(text[3:], altchars=b"-_", validate=True)
    except ValueError:
        return None
    return (int.from_bytes(raw[0:4], "big"), int.from_bytes(raw[4:8], "big"), uuid.UUID(bytes=raw[8:24]), int.from_bytes(raw[24:28], "big"),
            int.from_bytes(raw[28:30], "big"))


def statuses_of(body):
    """The statuses of one webhook."""
    return [status for entry in body.get("entry", []) for change in entry.get("changes", []) if change.get("field") == "messages"
            for status in change.get("value", {}).get("statuses", [])]


class Receipts:
    """The server. `conninfo` may be set later; what came before is kept and written then. Not heard while `is_deaf`: answers 503."""

    def __init__(self, secret, conninfo=None, port=0):
        self.secret, self.conninfo = secret.encode(), conninfo
        self.statuses, self.settled, self.badly_signed = 0, 0, 0
        self.is_deaf = False
        self.errors = []
        self.waiting = queue.Queue()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(outer.take(self.headers.get("X-Hub-Signature-256", ""), body))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        threading.Thread(target=self.write, daemon=True).start()

    def take(self, signature, body):
        """The HTTP status for one webhook."""
        wanted = "sha256=" + hmac.new(self.secret, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(signature, wanted):
            self.badly_signed += 1
            return 403
        if self.is_deaf:
            return 503
        for status in statuses_of(json.loads(body)):
            self.statuses += 1
            self.waiting.put(status)
        return 200

    def write(self):
        """Settles what has arrived, a psql call for all that waits."""
        while True:
            some = [self.waiting.get()]
            while not self.waiting.empty() and len(some) < 500:
                some.append(self.waiting.get())
            if any(status is None for status in some):
                return
            lines = []
            for status in some:
                parsed = parse_callback(status.get("biz_opaque_callback_data"))
                if parsed:
                    tenant, day, message, attempt, _ = parsed
                    wamid = status["id"].replace("'", "''")
                    lines.append(f"select postrider.receipt_v1({tenant}, date '1970-01-01' + {day}, '{message}', {attempt}, '{wamid}');")
            done = subprocess.run(["psql", "-X", "-q", "-At", "-d", self.conninfo, "-f", "-"], input="\n".join(lines), capture_output=True, text=True,
                                  check=False)
            if done.returncode or done.stderr:
                self.errors.append(done.stderr)
            self.settled += done.stdout.split().count("t")

    def close(self):
        self.waiting.put(None)
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: receipts.py PORT SECRET CONNINFO")
    receipts = Receipts(sys.argv[2], sys.argv[3], int(sys.argv[1]))
    print(receipts.url, flush=True)
    threading.Event().wait()
