"""The whole road for a test: PostgreSQL, a broker, the sandbox and dispatchers, a small business, and the invariants that must hold after it.

A RoadCase starts the servers once a class; each test gets a Road with a database, a topic and a consumer group of its own.
"""

import base64
import collections
import copy
import http.client
import json
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import env  # noqa: E402

PARTITIONS = 4
NUMBER = "106540352242922"
MESSAGES, BY_HAND = "\x01|m|\x01", "\x01|k|\x01"  # kcat's delimiters: in no record of ours


def template(name, category, text="Oi {{1}}, pedido {{2}}."):
    return {"name": name, "language": "pt_BR", "category": category, "status": "APPROVED", "parameter_format": "POSITIONAL",
            "components": [{"type": "BODY", "text": text}]}


TEMPLATES = {"data": [template("order", "UTILITY"), template("promo", "MARKETING"), template("cart", "MARKETING"),
                      template("later", "UTILITY"), template("code", "UTILITY")]}


def rule(name, on, tpl, **more):
    return dict({"name": name, "on": on, "template": tpl,
                 "body": [{"path": "data.name", "default": "cliente", "max": 40}, {"path": "data.number", "default": "1"}]}, **more)


RULES = [rule("order", "order.confirmed", "order"), rule("promo", "promo.sent", "promo"),
         rule("later", "order.later", "later", delay="3s"),
         rule("cart", "cart.abandoned", "cart", delay="4s", cancel_on=[{"type": "order.confirmed", "match": "recipient"}]),
         rule("code", "code.asked", "code", body=["data.name", "data.must"])]


def address(n):
    return f"+5511{900000000 + n}"


def now(ahead=0.0):
    """A time as events carry it."""
    at = time.time() + ahead
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1e6):06d}Z"


def event(n, kind="order.confirmed", to=None, **attributes):
    """One event of person n; an attribute given as None is left out."""
    made = {"specversion": "1.0", "id": f"{kind}-{n}", "source": "/test", "type": kind, "time": now(), "to": to or address(n),
            "data": {"name": "Ana", "number": str(n)}} | attributes
    return {k: v for k, v in made.items() if v is not None}


def callback(text):
    """What stands in our callback data: tenant, day since 1970, message id, attempt, partition."""
    raw = base64.urlsafe_b64decode(text.removeprefix("p1."))
    return (int.from_bytes(raw[0:4], "big"), int.from_bytes(raw[4:8], "big"), str(uuid.UUID(bytes=raw[8:24])),
            int.from_bytes(raw[24:28], "big"), int.from_bytes(raw[28:30], "big"))


def database(pg, name):
    """Another database of the same server."""
    other = copy.copy(pg)
    other.conninfo = pg.conninfo.replace("dbname=postrider", f"dbname={name}")
    return other


class Sandbox:
    """The running stand-in and its admin port."""

    def __init__(self, environ, *arguments):
        settings = environ.write("sandbox.json", {
            "tokens": ["sandbox-token"], "portfolios": [{"id": "p", "limit": None}],
            "numbers": [{"phone_number_id": NUMBER, "token": "sandbox-token", "waba_id": "102290129340398", "portfolio": "p", "rate": 0}],
            "templates": [TEMPLATES]})
        files = [environ.folder / "sandbox.port", environ.folder / "sandbox.admin"]
        self.process = environ.start("postrider-sandbox", "--config", settings, "--port-file", files[0], "--admin-listen", "127.0.0.1:0",
                                     "--admin-port-file", files[1], *arguments)
        for file in files:
            env.wait_until(lambda f=file: f.exists() and f.read_text().strip(), what=f"{file.name} is written")
        self.port, self.admin_port = (int(f.read_text()) for f in files)

    def admin(self, path, body=None, method=None):
        return self._ask(path, body, method)[0]

    def _ask(self, path, body=None, method=None):
        """(text, headers)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=20)
        data = None if body is None else json.dumps(body)
        connection.request(method or ("GET" if body is None else "POST"), f"/_sandbox/{path}", data)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise AssertionError(f"sandbox {path}: {answer.status} {text!r}")
        return text, answer.headers

    def stats(self):
        return json.loads(self.admin("stats"))

    def record(self):
        """All of it; AssertionError when the sandbox no longer has the beginning (--record-memory)."""
        lines = []
        while True:
            text, headers = self._ask(f"record?since={lines[-1]['seq'] if lines else 0}&limit=100000")
            if headers["X-Sandbox-Complete"] != "true":
                raise AssertionError("the sandbox's record is not whole any more: give it more --record-memory")
            page = [json.loads(line) for line in text.splitlines()]
            lines += page
            if len(page) < 100000:
                return lines

    def accepted(self):
        """Bodies taken, by message id: {id: [attempt, …]}."""
        taken = collections.defaultdict(list)
        for line in self.record():
            if line["verdict"] == "accepted":
                _, _, message, attempt, _ = callback(line["callback"])
                taken[message].append(attempt)
        return taken

    def fault(self, what, **more):
        self.admin("faults", dict({"what": what}, **more))

    def config(self, **settings):
        self.admin("config", settings)

    def clear(self):
        """Everything but the clock and the business."""
        self.admin("reset", {})
        self.config(latency={"fixed_ms": 0}, mix=[])


class Road:
    """One test's database, topic and group, and what runs on them."""

    def __init__(self, environ, servers, name):
        self.env, self.kafka, self.sandbox = environ, servers.kafka, servers.sandbox
        self.name, self.topic, self.group = name, f"{name}.events", f"{name}-group"
        # A database that is copied must have no connection, so another one asks for it.
        database(servers.pg, "postgres").sql(f"create database {name} template postrider")
        # Compiling a query over forty empty partitions takes seconds.
        database(servers.pg, "postgres").sql(f"alter database {name} set jit = off")
        self.pg = database(servers.pg, name)
        self.token = self.env.folder / f"token-{name}"
        self.token.write_text("sandbox-token\n")
        self.pg.sql(f"update postrider.sender set secret = '{self.token}'")
        self.make_topic()
        self.processes = []
        self.ports = {}
        self.published = 0  # records; kcat has waited for each

    def make_topic(self, name=None):
        """The embedded broker makes topics when they are asked for."""
        if self.kafka.folder:
            self.kafka.topic(f"{name or self.topic}:{PARTITIONS}")

    # ---- dispatchers ----

    def options(self, name="d1", **more):
        """Arguments of a dispatcher; `more` has __ for a dot and _ for itself: dispatch__lanes=2."""
        self.ports[name] = self.ports.get(name) or env.free_port()
        options = {
            "postgres.conninfo": self.pg.conninfo, "kafka.bootstrap.servers": self.kafka.bootstrap, "kafka.group.id": self.group,
            "kafka.session.timeout.ms": 6000, "kafka.heartbeat.interval.ms": 500, "kafka.fetch.wait.max.ms": 10,
            "kafka.auto.commit.interval.ms": 200, "topics.events": self.topic, "topics.broadcast": "",
            "provider.cloud-api.url": f"http://127.0.0.1:{self.sandbox.port}/v25.0", "provider.timeout": "3s",
            "dispatch.name": name, "dispatch.lanes": 1, "dispatch.tenant": "aurora", "admin.listen": f"127.0.0.1:{self.ports[name]}",
        } | {key.replace("__", "."): value for key, value in more.items()}
        return [f"--{key}={value}" for key, value in options.items()]

    def dispatcher(self, name="d1", wait=True, **more):
        process = self.env.start("postrider-dispatcher", *self.options(name, **more))
        self.processes.append(process)
        if wait:
            process.wait_for("assigned")
        return process

    def bound(self, **more):
        """What --check-config says that one crash leaves unknown at most."""
        done = subprocess.run([env.program("postrider-dispatcher"), *self.options(**more), "--check-config"], capture_output=True, text=True,
                              timeout=60, check=True)
        return int(re.search(r"at most (\d+) messages unknown", done.stdout)[1])

    def page(self, path, name="d1"):
        """(status, text) of a dispatcher's admin page."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[name]}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def metric(self, line, name="d1"):
        """The value of a metric's line, such as 'postrider_jobs{state="ready"}'."""
        for text in self.page("/metrics", name)[1].splitlines():
            if text.startswith(line + " "):
                return float(text.rpartition(" ")[2])
        return 0.0

    def stop(self):
        for process in self.processes:
            process.stop()

    # ---- in ----

    def people(self, n, consent=7, first=0, tenant=1):
        """Contacts first … first+n-1 with consent for these categories (bits: 1 utility, 2 marketing, 4 authentication)."""
        self.pg.sql(f"""
            insert into postrider.contact (tenant, address, consent)
            select {tenant}, '+5511' || (900000000 + i), {consent} from generate_series({first}, {first + n - 1}) as g (i);
            insert into postrider.consent (tenant, contact, category, event, at, is_granted, how)
            select c.tenant, c.id, g.category, gen_random_uuid(), now() - interval '1 day', true, 'website'
            from postrider.contact c cross join generate_series(0, 3) as g (category)
            where c.tenant = {tenant} and ({consent} >> g.category) & 1 = 1 and c.address between '+5511{900000000 + first}' and '+5511{900000000 + first + n - 1}';
            """)

    def publish(self, events, partition=None, headers=None, topic=None):
        """Events (dict), or (key, bytes): keyed by recipient, all in one call, waits until the broker has them. `topic`: another than the test's."""
        out = []
        for item in events:
            key, value = (item.get("to", "x"), json.dumps(item, ensure_ascii=False).encode()) if isinstance(item, dict) else item
            out.append(key.encode() + BY_HAND.encode() + value)
        arguments = ["kcat", "-b", self.kafka.bootstrap, "-P", "-t", topic or self.topic, "-D", MESSAGES, "-K", BY_HAND, "-X", "acks=all",
                     "-X", "topic.partitioner=murmur2_random", "-X", "linger.ms=1"]
        arguments += [] if partition is None else ["-p", str(partition)]
        for name, value in (headers or {}).items():
            arguments += ["-H", f"{name}={value}"]
        done = subprocess.run(arguments, input=MESSAGES.encode().join(out), capture_output=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(f"kcat: {done.stderr.decode()}")
        self.published += len(out)

    # ---- out ----

    def count(self, query):
        return int(self.pg.sql(query) or 0)

    def fates(self):
        """{'sent': 3, 'refused:no_consent': 1, …} of messages and of what stands beside them."""
        rows = self.pg.rows("""
            select case when fate in ('sent', 'claimed', 'cancelled', 'superseded', 'unknown') then fate else fate || ':' || coalesce(reason, '') end
                as what, count(*) as n from postrider.fate where fate <> 'dead' group by 1
            union all select kind || ':' || reason, count(*) from postrider.aside group by 1
            union all select 'dead_letter:' || reason, count(*) from postrider.letter where not goes_on group by 1 order by 1""")
        fates = collections.Counter()
        for row in rows:  # the same words stand in two tables: a refusal with a message row and one without
            fates[row["what"]] += int(row["n"])
        return dict(fates)

    def answered(self):
        """Records that have a fate of any kind: distinct origins."""
        return self.count("""select count(*) from (
            select topic, part, off from postrider.message where state <> 11
            union select topic, part, off from postrider.aside union select topic, part, off from postrider.dead_letter) x""")

    def busy(self):
        """Messages that are claimed, or due and not yet taken up."""
        return self.count("""select (select count(*) from postrider.fate where fate = 'claimed')
            + (select count(*) from postrider.deferred where due <= postrider.clock() and not is_asleep)""")

    def settled(self, seconds=20.0, deferred=None):
        """Waits until every record has a fate, nothing is claimed or overdue, and (with `deferred`) as many messages wait as said."""
        end = self.published

        def is_quiet():
            return (self.answered() >= end and self.busy() == 0 and
                    (deferred is None or self.count("select count(*) from postrider.deferred") == deferred))
        try:
            env.wait_until(is_quiet, seconds, "quiet", every=0.1)
        except AssertionError:
            waiting = self.pg.rows("select m.state, d.reason, d.due, d.taken_owner from postrider.deferred d "
                                   "left join postrider.message m using (tenant, day, id) limit 5")
            raise AssertionError(f"not quiet within {seconds} s: {end} records, {self.answered()} answered, {self.busy()} busy, "
                                 f"{self.fates()}, some that wait: {waiting}") from None

    def check(self, test, lost_to_unknown=True):
        """The invariants: every record one fate, one body a message id, what is sent was taken, what was taken is sent or unknown."""
        doubled = self.pg.rows("""
            select topic, part, off, count(*) from (
                select topic, part, off from postrider.message where state not in (10, 11)
                union all select topic, part, off from postrider.aside
                union all select ledger_topic, partition, off from postrider.letter where not goes_on) x
            group by 1, 2, 3 having count(*) > 1""")
        test.assertEqual(doubled, [], "a record with two fates")
        test.assertEqual(self.answered(), self.published, "records with a fate")
        taken = self.sandbox.accepted()
        test.assertEqual({i: a for i, a in taken.items() if len(a) > 1}, {}, "a message id with two accepted bodies")
        sent = {row["id"] for row in self.pg.rows("select id from postrider.fate where fate = 'sent'")}
        unknown = {row["id"] for row in self.pg.rows("select id from postrider.fate where fate = 'unknown'")}
        test.assertEqual(sent - set(taken), set(), "called sent but not taken by the platform")
        test.assertEqual(set(taken) - sent - (unknown if lost_to_unknown else set()), set(), "taken by the platform but not called sent")
        test.assertEqual(self.sandbox.stats()["accepted_without_callback"], 0)


class Servers:
    """What the tests of a class share."""

    def __init__(self, environ, real_kafka=False, sandbox=(), **kafka):
        """`kafka`: settings of the real one, brokers=3 included."""
        self.env = environ
        self.pg = environ.postgres()
        self.kafka = environ.kafka(**kafka) if real_kafka else environ.broker(["unused:1"])
        self.sandbox = Sandbox(environ, *sandbox)
        folder = environ.folder / "business"
        folder.mkdir()
        (folder / "templates.json").write_text(json.dumps(TEMPLATES))
        (folder / "rules.json").write_text(json.dumps({"tenant": "aurora", "rules": RULES}))
        (folder / "token").write_text("sandbox-token\n")
        (folder / "business.json").write_text(json.dumps({
            "tenant": "aurora", "name": "Loja Aurora", "locale": "pt_BR", "time_zone": "America/Sao_Paulo", "country": "BR",
            "portfolio": {"id": "p", "limit": "TIER_100K", "reserve": "10%"},
            "senders": [{"name": "main", "phone": "+551140028922", "phone_number_id": NUMBER, "waba_id": "102290129340398", "provider": "cloud-api",
                         "rate": "1000/s", "token_file": "token"}]}))
        environ.run("postrider", "migrate", "--db", self.pg.conninfo)
        environ.run("postrider", "apply", *(folder / f"{n}.json" for n in ("business", "templates", "rules")), "--tenant", "aurora", "--db", self.pg.conninfo)
        self.count = 0

    def road(self):
        self.count += 1
        self.sandbox.clear()
        return Road(self.env, self, f"t{self.count}")


class RoadCase(env.SharedCase):
    """Tests that share servers; each has `self.road`."""

    real_kafka = False
    sandbox_arguments = ()

    @classmethod
    def prepare(cls, environ):
        cls.servers = Servers(environ, cls.real_kafka, cls.sandbox_arguments)

    def setUp(self):
        self.road = self.servers.road()
        self.addCleanup(self.road_ends)

    def road_ends(self):
        failed = not self._outcome.success
        if failed:
            for process in self.road.processes:
                sys.stderr.write(f"\n--- {process.log.name}\n{process.output()[-4000:]}\n")
        self.road.stop()

