"""The Olist run's set-up, shared by its tests: real Kafka, real PostgreSQL, the sandbox, contacts by hash, injected clocks."""
import gzip
import hashlib
import json
import os
import pathlib
import re
import sys
import unittest
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "support"))
import env  # noqa: E402

TENANT = "aurora"
PARTITIONS = 8
TOPIC = "postrider.events"
POOL = 1000
DAY_MS = 24 * 3600 * 1000
MINUTE_MS = 60 * 1000


def events_file():
    """The events' file below --shared DIR; SkipTest by name when it was not asked for."""
    shared = os.environ.get("POSTRIDER_SHARED")
    if not shared:
        raise unittest.SkipTest("the Olist run needs --shared DIR (data/olist-events.ndjson.gz)")
    return pathlib.Path(shared) / "data" / "olist-events.ndjson.gz"


def has_consent(address):
    """9 in 10, by a hash of the address."""
    return int(hashlib.sha256(address.encode()).hexdigest(), 16) % 10 != 0


def read_events(path):
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def lonely_carts(n):
    """Carts of people who never buy."""
    return [{"specversion": "1.0", "id": f"lonely-{i}", "source": "lonely-carts", "type": "cart.abandoned", "subject": f"LONELY{i}",
             "to": f"+55119770{i:05d}", "locale": "pt_BR", "data": {"customer": {"first_name": "Rui"}}} for i in range(n)]


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


class Olist(env.SharedCase):
    """One run; subclasses say how it goes on. Everything published is in `events`, in the order of the file."""

    latency_ms = 5
    dispatch = ()

    @classmethod
    def prepare(cls, e):
        path = events_file()
        cls.events = read_events(path) + lonely_carts(500)
        cls.pg = e.postgres()
        cls.kafka = e.kafka(topics=[f"{TOPIC}:{PARTITIONS}"])
        cls.start_sandbox(e)
        cls.load_business(e)
        cls.inject_clock()

    @classmethod
    def start_sandbox(cls, e):
        (e.folder / "token").write_text("sandbox-token\n")
        config = {"numbers": [{"phone_number_id": "106540352242922", "token": "sandbox-token", "rate": 1000, "portfolio": "506914"}],
                  "portfolios": [{"id": "506914", "limit": POOL}], "templates": [str(HERE / "templates.json")],
                  "latency": {"fixed_ms": cls.latency_ms}}
        cls.record_file = e.folder / "record.ndjson"
        port = e.folder / "sandbox.port"
        e.start("postrider-sandbox", f"--config={e.write('sandbox.json', config)}", f"--record={cls.record_file}", "--record-bodies",
                f"--port-file={port}")
        env.wait_until(port.exists, what="the sandbox's port")
        cls.sandbox = f"http://127.0.0.1:{port.read_text().strip()}"

    @classmethod
    def postrider(cls, *arguments, expect=0, seconds=120):
        return cls.env.run("postrider", *arguments, "--db", cls.pg.conninfo, expect=expect, seconds=seconds)

    @classmethod
    def load_business(cls, e):
        cls.postrider("migrate")
        cls.postrider("apply", HERE / "business.json", HERE / "templates.json", HERE / "rules.json")
        people = sorted({event["to"] for event in cls.events})
        contacts = e.write("contacts.csv", "to,locale\n" + "".join(f"{p},pt_BR\n" for p in people))
        consent = "".join(f"{p},{c},grant,website,box,Loja Aurora,2026-01-01T12:00:00Z\n" for p in people if has_consent(p)
                          for c in ("utility", "marketing"))
        cls.postrider("contact", "import", contacts)
        cls.postrider("consent", "import", e.write("consent.csv", "to,category,action,how,evidence,business_name,at\n" + consent))

    @classmethod
    def inject_clock(cls):
        """The database's clock with an offset; leases keep the real one."""
        cls.pg.sql("create table public.injected (ahead interval not null); insert into public.injected values ('0');"
                   "create or replace function postrider.clock() returns timestamptz language sql volatile as "
                   "'select clock_timestamp() + (select ahead from public.injected)'")

    @classmethod
    def move_clock(cls, ms):
        cls.pg.sql(f"update public.injected set ahead = interval '{ms} milliseconds'")
        post(f"{cls.sandbox}/_sandbox/clock", {"offset_ms": ms})

    @classmethod
    def publish(cls, e, events, name):
        """One file, times moved to the present by its lines."""
        path = e.write(f"{name}.ndjson", "".join(json.dumps({"time": "2026-01-01T00:00:00Z", **event}, ensure_ascii=False) + "\n"
                                                 for event in events))
        cls.env.run("postrider", "publish", path, "--bootstrap", cls.kafka.bootstrap, "--topic", TOPIC, "--retime", "now",
                    "--resume", e.folder / f"{name}.resume")

    @classmethod
    def dispatcher(cls, name="d1", **options):
        settings = {"postgres.conninfo": cls.pg.conninfo, "kafka.bootstrap.servers": cls.kafka.bootstrap, "topics.events": TOPIC,
                    "provider.cloud-api.url": f"{cls.sandbox}/v25.0", "dispatch.name": name, "dispatch.lanes": 2,
                    "dispatch.secrets_dir": cls.env.folder, "dispatch.tenant": TENANT, "kafka.session.timeout.ms": 10000,
                    "admin.listen": f"127.0.0.1:{env.free_port()}", **dict(cls.dispatch), **options}
        return cls.env.start("postrider-dispatcher", *(f"--{k}={v}" for k, v in settings.items()))

    @classmethod
    def status(cls):
        done = cls.postrider("status", "--json", "--bootstrap", cls.kafka.bootstrap, "--topics", TOPIC)
        return json.loads(done.stdout)

    @classmethod
    def wait_idle(cls, seconds=180, published=None):
        """Lag 0, nothing claimed, nothing due or awake."""
        def idle():
            if published is not None and cls.pg.sql("select count(*) from postrider.fate where fate = 'claimed'") != "0":
                return False
            waiting = cls.pg.sql("select count(*) from postrider.deferred where not is_asleep and reason <> 'unknown' and "
                                 "due <= postrider.clock() + interval '1 second'")
            return waiting == "0" and cls.lag() == 0
        env.wait_until(idle, seconds, "an idle dispatcher", every=0.5)

    @classmethod
    def lag(cls):
        return sum(p["lag"] for p in cls.status()["lag"])

    @classmethod
    def taken(cls):
        """What the sandbox accepted, in order."""
        lines = [json.loads(line) for line in get(f"{cls.sandbox}/_sandbox/record?since=0").splitlines() if line]
        return [line for line in lines if line["verdict"] == "accepted"]

    @classmethod
    def stats(cls):
        return json.loads(get(f"{cls.sandbox}/_sandbox/stats"))

    @classmethod
    def fates(cls):
        """(source-independent) event id is not stored: fates by (type, fate) and messages by address."""
        return cls.pg.rows("select f.type, f.fate, coalesce(f.reason, '') as reason, c.address, f.subject, f.gen, f.event_at, f.id "
                           "from postrider.fate f left join postrider.contact c on c.tenant = f.tenant and c.id = f.contact")


def number_of(body):
    """The order number shown in a body."""
    found = re.search(r'"text":"([0-9A-F]{8})"', json.dumps(body, separators=(",", ":")))
    return found.group(1) if found else None
