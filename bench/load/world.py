"""What stands around the dispatchers in a load run: Kafka, PostgreSQL, the sandbox, a business, its people, and records of now."""

import datetime
import json
import pathlib
import random
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import env  # noqa: E402

TENANT = "load"
TOPIC = "postrider.events"
GROUP = "postrider-dispatcher"
TOKEN = "sandbox-token"
NUMBER = "106540352242922"
WABA = "102290129340398"
PORTFOLIO = "506914"
BODY = "Oi {{1}}, seu pedido {{2}} de {{3}} foi confirmado. Entrega até {{4}}."
PROMO = "Oi {{1}}, o {{2}} que você viu está com preço novo."
NAMES = ("Ana", "Beatriz", "Caio", "João", "Letícia", "Otávio", "Valentina", "Mariana", "Zé", "Conceição")
ITEMS = ("caneca azul", "luminária de mesa", "vaso de cerâmica", "relógio de parede")


def address(i):
    """Numbers that belong to nobody: no Brazilian network gives out mobile numbers whose eight digits behind the 9 begin with 0."""
    return f"+55119{i:08d}"


def templates():
    def template(name, category, text, *more):
        return {"name": name, "language": "pt_BR", "category": category, "status": "APPROVED", "parameter_format": "POSITIONAL",
                "components": [{"type": "BODY", "text": text}, *more]}
    track = {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Acompanhar pedido", "url": "https://loja.example/p/{{1}}"}]}
    return {"data": [template("order_confirmation", "UTILITY", BODY, track), template("promo", "MARKETING", PROMO)]}


def rules():
    name, number = {"path": "data.customer.first_name", "default": "cliente"}, {"path": "data.order.number", "default": "-"}
    order = {"on": {"order.confirmed": "order_confirmation", "order.placed": "order_confirmation"},
             "body": [name, number, {"path": "data.order.total", "money": "data.order.currency", "default": "-"},
                      {"path": "data.order.estimated_delivery", "date": "long", "default": "breve"}],
             "buttons": {"0": number}}
    promo = {"on": "promo.offered", "template": "promo", "body": [name, {"path": "data.order.first_item", "default": "artigo"}],
             "cancel_on": [{"type": "order.placed", "match": "recipient"}]}
    return {"tenant": TENANT, "rules": [{"name": "order", **order}, {"name": "promo", **promo}]}


def business(options):
    return {"tenant": TENANT, "name": "Loja Carga", "locale": "pt_BR", "time_zone": "America/Sao_Paulo", "country": "BR",
            "portfolio": {"id": PORTFOLIO, "limit": options.pool_limit},
            "senders": [{"name": "load-main", "phone": "+551140028922", "phone_number_id": NUMBER, "waba_id": WABA, "provider": "cloud-api",
                         "rate": "1000/s", "token_file": "token"}]}


# --- records

class Ids:
    """UUIDs of version 7 (`time`), as docs/publishing.md asks for, or of version 4 (`random`), which say nothing of their time. A backlog's
    ids lie as far apart as its events were: 20 to a millisecond."""

    def __init__(self, kind, n, seed):
        self.is_timed = kind == "time"
        self.random = random.Random(seed)
        self.start_ms = int(time.time() * 1000) - n // 20 - 1000

    def make(self, i):
        r = self.random.getrandbits(74)
        if not self.is_timed:
            r |= self.random.getrandbits(48) << 74
        head = (self.start_ms + i // 20) if self.is_timed else r >> 74
        version = 7 if self.is_timed else 4
        h = f"{head:012x}{version:x}{(r >> 62) & 0xfff:03x}{0x8000000000000000 | (r & 0x3fffffffffffffff):016x}"
        return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def record(i, event_id, to, kind, pad):
    data = {"customer": {"first_name": NAMES[i % len(NAMES)]},
            "order": {"number": f"{i:08d}", "total": 100 + i % 900 + 0.9, "currency": "BRL", "items": 1 + i % 5,
                      "first_item": ITEMS[i % len(ITEMS)], "url_token": f"p{i:08x}", "estimated_delivery": "2026-11-28"},
            "invoice": {"url": f"https://loja.example/nota/{i:08d}.pdf", "name": f"nota-{i:08d}.pdf"}}
    if pad:
        data["note"] = "x" * pad
    return {"specversion": "1.0", "id": event_id, "source": "/load", "type": kind, "subject": f"{i:08d}", "time": "2026-01-01T00:00:00Z", "to": to,
            "data": data}


def write_records(path, options):
    """`--messages` lines of NDJSON: recipients in a random order in which nobody comes again before all others came."""
    rnd = random.Random(options.seed)
    ids = Ids(options.ids, options.messages, options.seed)
    people = list(range(options.contacts))
    rnd.shuffle(people)
    with open(path, "w", encoding="utf-8") as out:
        for i in range(options.messages):
            draw = rnd.random() * 100
            kind = "promo.offered" if draw < options.marketing else "order.placed" if draw < options.marketing + options.marks else "order.confirmed"
            line = record(i, ids.make(i), address(people[i % options.contacts]), kind, options.body_bytes)
            out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


# --- services

class World:
    """One run's surroundings; `e` is the environment that ends them all."""

    def __init__(self, e, options, say):
        self.env, self.options, self.say = e, options, say

    def start(self):
        settings = {"shared_buffers": "512MB", "max_wal_size": "4GB", "shared_preload_libraries": "pg_stat_statements",
                    "pg_stat_statements.track": "all" if self.options.sql else "top", "pg_stat_statements.max": "5000",
                    **dict(s.split("=", 1) for s in self.options.pg)}
        self.say("starting", "PostgreSQL, Kafka, sandbox")
        self.pg = self.env.postgres(**settings)
        self.kafka = self.env.kafka(topics=[f"{TOPIC}:{self.options.partitions}"])
        self._start_sandbox()

    def _start_sandbox(self):
        (self.env.folder / "token").write_text(TOKEN + "\n")
        templates_file = self.env.write("templates.json", templates())
        # The platform's own limit is enforced as well; the number's rate is the dispatcher's to keep.
        config = {"numbers": [{"phone_number_id": NUMBER, "token": TOKEN, "waba_id": WABA, "portfolio": PORTFOLIO, "rate": 0}],
                  "portfolios": [{"id": PORTFOLIO, "limit": self.options.pool_limit}],
                  "templates": [{"waba_id": WABA, "file": str(templates_file)}]}
        if self.options.latency_ms:
            config["latency"] = {"fixed_ms": self.options.latency_ms}
        port = self.env.folder / "sandbox.port"
        self.sandbox_process = self.env.start("postrider-sandbox", f"--config={self.env.write('sandbox.json', config)}", f"--port-file={port}")
        env.wait_until(port.exists, what="the sandbox's port")
        self.sandbox = f"http://127.0.0.1:{port.read_text().strip()}"

    def set_latency(self, ms):
        """How long the platform takes from now on."""
        request = urllib.request.Request(f"{self.sandbox}/_sandbox/config", json.dumps({"latency": {"fixed_ms": ms}}).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()

    def postrider(self, *arguments, seconds=120):
        return self.env.run("postrider", *arguments, "--db", self.pg.conninfo, seconds=seconds).stdout

    def load(self):
        """The business by `postrider apply`; its people by SQL, which takes seconds for a million."""
        e, n = self.env, self.options.contacts
        self.say("loading", f"{n:,} contacts with consent")
        self.postrider("migrate")
        self.postrider("apply", e.write("business.json", business(self.options)), e.folder / "templates.json", e.write("rules.json", rules()))
        # No number of today may send so much, so `apply` would refuse it; a thousand numbers could.
        self.pg.sql(f"update postrider.sender set rate = {self.options.rate}")
        self.pg.sql(f"""
            insert into postrider.contact (tenant, address, locale, consent, updated_at)
            select t.id, '+55119' || lpad(g::text, 8, '0'), 'pt_BR', 3, now() - interval '90 days'
            from postrider.tenant t, generate_series(0, {n} - 1) g where t.name = '{TENANT}';
            insert into postrider.consent (tenant, contact, category, event, at, is_granted, how, evidence, business_name)
            select c.tenant, c.id, k, gen_random_uuid(), c.updated_at, true, 'website', 'box', 'Loja Carga'
            from postrider.contact c, generate_series(0, 1) k""")
        self.pg.sql("vacuum analyze postrider.contact")
        self.pg.sql("vacuum analyze postrider.consent")
        self.pg.sql("checkpoint")

    def write_records(self):
        self.say("writing", f"{self.options.messages:,} records")
        self.records = self.env.folder / "records.ndjson"
        write_records(self.records, self.options)

    def publish(self, rate=None):
        """Puts the records onto Kafka as MessagePack, all at once or at so many a second; returns the seconds it took."""
        started = time.monotonic()
        pace = ["--rate", f"{rate}/s"] if rate else []
        self.env.run("postrider", "publish", self.records, "--bootstrap", self.kafka.bootstrap, "--topic", TOPIC, "--retime", "now", *pace,
                     seconds=120 + self.options.messages / (rate or 2000))
        return time.monotonic() - started

    def dispatcher(self, i):
        """Starts one and returns its process and the address of its metrics."""
        options, port = self.options, env.free_port()
        settings = {"postgres.conninfo": self.pg.conninfo, "kafka.bootstrap.servers": self.kafka.bootstrap, "kafka.group.id": GROUP,
                    "topics.events": TOPIC, "provider.cloud-api.url": f"{self.sandbox}/v25.0", "dispatch.name": f"load{i}",
                    "dispatch.lanes": options.lanes, "dispatch.secrets_dir": self.env.folder,
                    "dispatch.tenant": TENANT, "admin.listen": f"127.0.0.1:{port}"}
        if options.in_flight:
            settings["dispatch.in_flight"] = options.in_flight
        more = dict(o.split("=", 1) for o in options.option)
        process = self.env.start("postrider-dispatcher", *(f"--{k}={v}" for k, v in {**settings, **more}.items()))
        return process, f"http://127.0.0.1:{port}"

    def pids(self, dispatchers):
        """{part: root processes} of everything that is measured."""
        postmaster = int((self.env.folder / "pg" / "data" / "postmaster.pid").read_text().split()[0])
        brokers = [int(p.read_text().split()[0]) for p in self.env.folder.glob("kafka/[0-9]*/pid")]
        return {"dispatcher": [d.pid for d in dispatchers], "postgres": [postmaster], "kafka": brokers, "sandbox": [self.sandbox_process.pid]}

    def status(self):
        return json.loads(self.postrider("status", "--json", "--bootstrap", self.kafka.bootstrap, "--topics", TOPIC, seconds=600))

    def is_near_midnight(self):
        """Within half an hour of UTC's midnight some ids get a row in two days, which costs more."""
        now = datetime.datetime.now(datetime.timezone.utc)
        minutes = now.hour * 60 + now.minute
        return min(minutes, 1440 - minutes) < 30
