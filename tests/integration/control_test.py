#!/usr/bin/env python3
"""`postrider migrate`, `apply`, `contact`, `consent` and `rule test` against a real PostgreSQL: what they change, refuse and say."""

import copy
import datetime
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import env  # noqa: E402

BUSINESS = {
    "tenant": "aurora", "name": "Loja Aurora", "locale": "pt_BR", "time_zone": "America/Sao_Paulo", "country": "BR",
    "portfolio": {"id": "506914", "limit": "TIER_10K", "reserve": "10%"},
    "senders": [{"name": "aurora-main", "phone": "+551140028922", "phone_number_id": "106540352242922", "waba_id": "102290129340398",
                 "provider": "cloud-api", "rate": "80/s", "token_file": "/run/secrets/whatsapp-token"}]}


def template(name, text, category="UTILITY", language="pt_BR", **more):
    return {"name": name, "language": language, "category": category, "status": "APPROVED", "components": [{"type": "BODY", "text": text}]} | more


TEMPLATES = {"data": [
    {"name": "order_confirmation", "language": "pt_BR", "category": "UTILITY", "status": "APPROVED", "parameter_format": "POSITIONAL",
     "components": [{"type": "BODY", "text": "Oi {{1}}, seu pedido {{2}} de {{3}} foi confirmado."},
                    {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Acompanhar", "url": "https://loja.example/p/{{1}}"}]}]},
    template("order_shipped", "Seu pedido {{1}} saiu."),
    template("cart_reminder", "Oi {{first_name}}, seu carrinho espera.", "MARKETING", parameter_format="NAMED")]}

RULES = {"tenant": "aurora", "rules": [
    {"name": "order-confirmed", "on": "order.confirmed", "template": "order_confirmation",
     "body": [{"path": "data.name", "default": "cliente"}, "data.number", {"path": "data.total", "money": "data.currency"}],
     "buttons": {"0": "data.number"}},
    {"name": "shipping", "on": {"shipping.dispatched": "order_shipped"}, "body": ["data.number"]},
    {"name": "cart-reminder", "on": "cart.abandoned", "template": "cart_reminder", "delay": "1h", "max_age": "24h",
     "cancel_on": [{"type": "order.confirmed", "match": "recipient"}], "body": {"first_name": "data.name"}}]}


def event(**attributes):
    return {"specversion": "1.0", "id": "order-1001", "source": "/shop", "type": "order.confirmed", "subject": "1001",
            "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "to": "+5511999990000",
            "data": {"name": "Ana", "number": "1001", "total": 101.81, "currency": "BRL"}} | attributes


class Control(env.SharedCase):
    """One server for all; each test has a database of its own, empty, or a copy of a migrated one."""

    is_migrated = True

    @classmethod
    def prepare(cls, env_):
        env.program("postrider")
        cls.pg = env_.postgres()
        if cls.is_migrated:
            # Few partitions: every database copies their files.
            env_.run("postrider", "migrate", "--retention-days", "1", "--db", cls.pg.conninfo)

    def setUp(self):
        self.database = f"t{abs(hash(self.id())):x}"
        self.pg.sql(f'\\c template1\ncreate database "{self.database}" template {"postrider" if self.is_migrated else "template1"}')
        self.db = self.pg.conninfo.replace("dbname=postrider", f"dbname={self.database}")

    def run_it(self, *arguments, expect=0, stdin=None, **environ):
        return self.env.run("postrider", *arguments, expect=expect, stdin=stdin, environ={"POSTRIDER_POSTGRES_CONNINFO": self.db} | environ)

    def sql(self, text):
        was, self.pg.conninfo = self.pg.conninfo, self.db
        try:
            return self.pg.sql(text)
        finally:
            self.pg.conninfo = was

    def files(self, business=None, templates=None, rules=None):
        """Paths of the files whose content is given."""
        return [self.env.write(f"{name}.json", content)
                for name, content in (("business", business), ("templates", templates), ("rules", rules)) if content is not None]

    def apply(self, *arguments, expect=0, **files):
        return self.run_it("apply", *self.files(**files), *arguments, expect=expect)

    def migrated(self):
        self.run_it("migrate", "--retention-days", "1")

    def applied(self):
        if not self.is_migrated:
            self.migrated()
        self.apply(business=BUSINESS, templates=TEMPLATES, rules=RULES)

    def reloads(self):
        return int(self.sql("select count(*) from postrider.control where kind = 'reload'"))


class Migrate(Control):
    is_migrated = False

    def test_an_empty_database_gets_everything_and_a_second_run_changes_nothing(self):
        self.assertIn("would apply 0001", self.run_it("migrate", "--dry-run").stdout)
        self.assertEqual(self.sql("select to_regnamespace('postrider') is null"), "t")
        first = self.run_it("migrate").stdout
        self.assertIn("applied    0001_business", first)
        self.assertEqual(self.sql("select count(*) > 100 from pg_inherits"), "t")
        before = self.sql("select array_agg(migration) from postrider.migration")
        second = self.run_it("migrate").stdout
        self.assertNotIn("applied", second)
        self.assertIn("0 made", second)
        self.assertEqual(self.sql("select array_agg(migration) from postrider.migration"), before)
        states = [json.loads(line)["state"] for line in self.run_it("migrate", "--status", "--json").stdout.splitlines()]
        self.assertEqual(set(states), {"applied"})

    def test_partitions_reach_back_as_far_as_the_ledger_is_kept(self):
        self.run_it("migrate", "--retention-days", "3")
        self.assertEqual(self.sql("select count(*) from pg_inherits where inhparent = 'postrider.message'::regclass"), "11")

    def test_a_changed_migration_is_refused(self):
        self.migrated()
        self.sql("update postrider.migration set sha256 = 'x' where number = 2")
        done = self.run_it("migrate", expect=1)
        self.assertIn("0002_ledger was applied with other content", done.stderr)
        self.assertIn("changed", self.run_it("migrate", "--status").stdout)

    def test_a_newer_schema_is_read_but_never_taken_back(self):
        self.applied()
        self.sql("insert into postrider.migration (number, name, sha256) values (9999, '9999_later', 'x')")
        self.assertIn("newer than this program", self.run_it("migrate", expect=1).stderr)
        self.assertIn("9999_later", self.run_it("migrate", "--status").stdout)
        self.run_it("contact", "show", "--to", "+5511999990000", expect=4)

    def test_an_owner_without_special_rights_can_migrate_and_is_told_of_roles(self):
        # Roles are of the whole server, and other tests may have made these.
        for role in ("postrider_dispatcher", "postrider_webhook", "postrider_dashboard"):
            self.pg.sql(f"do $$ begin if not exists (select from pg_roles where rolname = '{role}') then create role {role}; end if; end $$")
        self.pg.sql("create role plain login; alter role postrider_webhook rename to away")
        try:
            self.pg.sql(f'alter database "{self.database}" owner to plain')
            done = self.env.run("postrider", "migrate", "--db", self.db.replace("user=postgres", "user=plain"))
            self.assertIn("create role postrider_webhook nologin", done.stdout)
            self.assertEqual(self.sql("select has_table_privilege('postrider_dispatcher', 'postrider.message', 'insert')"), "t")
        finally:
            self.pg.sql("alter role away rename to postrider_webhook")

    def test_other_commands_say_what_to_do_without_a_schema(self):
        self.assertIn("run: postrider migrate", self.run_it("contact", "show", "--to", "+5511999990000", expect=1).stderr)

    def test_a_server_that_is_not_there_is_named(self):
        done = self.run_it("migrate", "--db", "host=/nowhere dbname=x", expect=1)
        self.assertIn("cannot connect to PostgreSQL", done.stderr)
        self.assertIn("--db", done.stderr)


class Usage(Control):
    def test_help_and_faults_of_the_command_line(self):
        self.assertIn("contact import", self.run_it("--help").stdout)
        self.assertIn("--retention-days", self.run_it("migrate", "--help").stdout)
        for words in (["frob"], ["contact"], ["contact", "frob"], ["migrate", "--frob"], ["migrate", "x"], ["migrate", "--retention-days", "0"],
                      ["migrate", "--retention-days"], ["apply"], ["rule", "test"], ["contact", "import"], ["contact", "show", "--to", "123"],
                      ["consent", "grant", "--to", "+5511999990000", "--category", "x", "--how", "y"],
                      ["consent", "grant", "--to", "+5511999990000", "--category", "utility"]):
            with self.subTest(words):
                self.run_it(*words, expect=2)


class Apply(Control):
    def test_applying_twice_changes_nothing_the_second_time(self):
        first = self.apply(business=BUSINESS, templates=TEMPLATES, rules=RULES).stdout
        self.assertIn("9 created, 0 changed, 0 unchanged, 0 removed", first)
        self.assertEqual(self.reloads(), 1)
        second = self.apply(business=BUSINESS, templates=TEMPLATES, rules=RULES).stdout
        self.assertIn("0 created, 0 changed, 9 unchanged, 0 removed", second)
        self.assertEqual(self.reloads(), 1)
        self.assertEqual(self.sql("select people_max, reserve_pct, tier from postrider.quota_pool"), "10000|10|TIER_10K")
        self.assertEqual(self.sql("select address, account, rate, secret, provider from postrider.sender"),
                         "+551140028922|106540352242922|80|/run/secrets/whatsapp-token|cloud-api")

    def test_a_dry_run_shows_and_changes_nothing(self):
        done = self.apply("--dry-run", business=BUSINESS, templates=TEMPLATES, rules=RULES)
        self.assertIn("9 created", done.stdout)
        self.assertIn("Nothing was changed", done.stdout)
        self.assertEqual(self.sql("select count(*) from postrider.tenant"), "0")

    def test_what_changes_is_changed_and_rules_that_are_gone_are_removed(self):
        self.applied()
        business, rules = copy.deepcopy(BUSINESS), copy.deepcopy(RULES)
        business["portfolio"]["limit"] = 500
        rules["rules"][1]["max_age"] = "7d"
        del rules["rules"][2]
        done = self.apply(business=business, rules=rules)
        self.assertIn("0 created, 2 changed, 3 unchanged, 1 removed", done.stdout)
        self.assertEqual(self.sql("select people_max from postrider.quota_pool"), "500")
        self.assertEqual(self.sql("select string_agg(name, ',' order by position) from postrider.rule"), "order-confirmed,shipping")
        self.assertEqual(self.sql("select count(*) from postrider.template"), "3")
        self.assertEqual(self.reloads(), 2)

    def test_a_rule_that_only_moved_is_unchanged_but_its_line_follows(self):
        self.applied()
        self.run_it("apply", self.env.write("rules.json", "\n\n" + json.dumps(RULES)))
        self.assertEqual(self.sql("select distinct line from postrider.rule"), "3")
        self.assertEqual(self.reloads(), 1)

    def test_a_paused_template_stays_paused_when_the_same_file_is_applied_again(self):
        self.applied()
        self.sql("update postrider.template set status = 'paused' where name = 'order_shipped'")
        self.apply(templates=TEMPLATES)
        self.assertEqual(self.sql("select status from postrider.template where name = 'order_shipped'"), "paused")

    def fault(self, word, **files):
        done = self.apply(expect=1, **files)
        self.assertIn(word, done.stderr)
        self.assertEqual(self.sql("select count(*) from postrider.rule") + self.sql("select count(*) from postrider.tenant"), "00")
        return done.stderr

    def test_every_fault_is_told_with_its_line_and_nothing_is_changed(self):
        business, rules = copy.deepcopy(BUSINESS), copy.deepcopy(RULES)
        business["senders"][0]["phone"] = "4002-8922"
        business["senders"][0]["token"] = "EAAG"
        business["portfolio"]["limit"] = "TIER_3K"
        business["nmae"] = "x"
        rules["rules"][0]["boddy"] = []
        rules["rules"][1]["body"] = []
        rules["rules"][2]["on"] = "shipping.dispatched"
        said = self.fault("rules.json:", business=business, templates=TEMPLATES, rules=rules)
        for word in ("senders[0].phone", "senders[0].token: never the token itself", "portfolio.limit: must be TIER_50", "nmae: is not a key",
                     "rules[0].boddy", "rules[1].body", "is taken by rule shipping"):
            self.assertIn(word, said)
        lines = (self.env.folder / "rules.json").read_text().splitlines()
        place = next(line for line in said.splitlines() if "rules[0].boddy" in line)
        self.assertIn('"boddy"', lines[int(place.split(":")[1]) - 1])
        self.assertIn("faults; nothing was changed", said)

    def policies(self):
        return self.sql("select string_agg(concat_ws(' ', category, cap_n, cap_s, quiet_from, quiet_to), '|' order by category) from postrider.policy")

    def test_a_policy_is_stored_by_category_changed_and_removed(self):
        business = BUSINESS | {"policy": {"marketing": {"cap": ["1 in 24h", "3 in 7d"], "quiet_hours": "21:00-08:00"},
                                          "utility": {"quiet_hours": "22:30-07:05"}, "authentication": {"cap": "5 in 90s"}, "service": {}}}
        done = self.apply(business=business)
        for line in ("marketing: 1 in 24h, 3 in 7d; quiet 21:00-08:00", "utility: quiet 22:30-07:05", "authentication: 5 in 90s"):
            self.assertIn(line, done.stdout)
        stored = "0 {} {} 22:30:00 07:05:00|1 {1,3} {86400,604800} 21:00:00 08:00:00|2 {5} {90}"
        self.assertEqual(self.policies(), stored)
        self.assertIn("0 created, 0 changed, 6 unchanged, 0 removed", self.apply(business=business).stdout)
        business["policy"] = {"marketing": {"cap": "2 in 24h"}}
        done = self.apply("--dry-run", business=business)
        self.assertIn("0 created, 1 changed, 3 unchanged, 2 removed", done.stdout)
        self.assertEqual(self.policies(), stored)
        reloads = self.reloads()
        self.apply(business=business)
        self.assertEqual((self.policies(), self.reloads()), ("1 {2} {86400}", reloads + 1))
        self.assertIn("1 removed", self.apply(business=BUSINESS).stdout)
        self.assertEqual(self.policies(), "")

    def test_faults_of_a_policy_are_told_with_their_lines(self):
        policy = {"marketing": {"cap": ["1 in 24h", "0 in 7d", "101 in 1d", "2 per 24h", "2 in 366d", 3], "quiet_hours": "21-8"},
                  "utility": {"cap": [], "quiet_hours": "21:00-21:00"}, "authentication": {"quiet_hours": "9:00-10:00", "caps": "1 in 1h"},
                  "service": "quiet", "promo": {}}
        said = self.fault("business.json:", business=BUSINESS | {"policy": policy}, templates=TEMPLATES, rules=RULES)
        for word in ("policy.marketing.cap: must be one cap or an array", "policy.marketing.quiet_hours: must be like", "policy.utility.cap: must be",
                     "policy.utility.quiet_hours", "policy.authentication.quiet_hours", "policy.authentication.caps: is not a key",
                     "policy.service: must be an object", "policy.promo: is no category"):
            self.assertIn(word, said)
        self.assertIn('"promo"', (self.env.folder / "business.json").read_text().splitlines()[
            int(next(line for line in said.splitlines() if "policy.promo" in line).split(":")[1]) - 1])
        for wrong in ("0 in 7d", "101 in 1d", "2 per 24h", "2 in 366d", "2 in 24 h", "in 24h", "2 in 0s", "2 in 100ms", "-1 in 1h", 3, None, ""):
            self.fault("policy.marketing.cap", business=BUSINESS | {"policy": {"marketing": {"cap": wrong}}})
        for wrong in ("24:00-08:00", "21:60-08:00", "21:00-8:00", "21:00 - 08:00", "21:00-08:00:00", "2100-0800", 21, None, "", "021:00-08:00"):
            self.fault("policy.marketing.quiet_hours", business=BUSINESS | {"policy": {"marketing": {"quiet_hours": wrong}}})

    def test_a_zone_that_the_database_does_not_know_is_told_with_its_line(self):
        text = json.dumps(BUSINESS | {"time_zone": "America/Sao Paulo"}, indent=1)
        line = next(n for n, l in enumerate(text.splitlines(), 1) if "time_zone" in l)
        done = self.run_it("apply", self.env.write("business.json", text), expect=1)
        self.assertIn(f"business.json:{line}: time_zone: America/Sao Paulo is no time zone", done.stderr)

    def test_files_contradict_each_other(self):
        twice = {"data": TEMPLATES["data"] + TEMPLATES["data"][:1]}
        self.fault("is there twice", business=BUSINESS, templates=twice)
        missing = {"data": TEMPLATES["data"][1:]}
        self.fault("there is no template order_confirmation", business=BUSINESS, templates=missing, rules=RULES)
        self.fault("there is no tenant aurora", templates=TEMPLATES, rules=RULES)
        other = copy.deepcopy(RULES)
        other["rules"][0]["senders"] = ["nobody"]
        self.fault("has no sender nobody", business=BUSINESS, templates=TEMPLATES, rules=other)
        self.fault("not JSON", business=BUSINESS, rules='{"tenant": "aurora",\n "rules": [}')
        self.fault("neither a business", business={"hello": 1})
        self.fault("is no time zone", business=BUSINESS | {"time_zone": "Brasil/Leste"})

    def test_a_new_template_may_not_break_a_rule_of_the_database(self):
        self.applied()
        changed = copy.deepcopy(TEMPLATES)
        changed["data"][1]["components"][0]["text"] = "Seu pedido {{1}} saiu por {{2}}."
        done = self.apply(templates=changed, expect=1)
        self.assertIn("rule shipping", done.stderr)
        self.assertIn("apply the changed rules.json in the same call", done.stderr)
        rules = copy.deepcopy(RULES)
        rules["rules"][1]["body"] = ["data.number", "data.carrier"]
        self.apply(templates=changed, rules=rules)

    def test_kinds_that_are_not_sent_are_left_out_unless_a_rule_wants_them(self):
        self.applied()
        odd = {"data": TEMPLATES["data"] + [template("show", "x", components=[{"type": "CAROUSEL", "cards": []}])]}
        done = self.apply(templates=odd, expect=3)
        self.assertIn("show is left out: no rule names it", done.stderr)
        rules = {"tenant": "aurora", "rules": RULES["rules"] + [{"name": "show", "on": "show.me", "template": "show"}]}
        done = self.apply(templates=odd, rules=rules, expect=1)
        self.assertIn("data[3]", done.stderr)

    def test_templates_find_their_tenant_or_ask(self):
        self.apply(business=BUSINESS)
        self.apply(business=BUSINESS | {"tenant": "boreal"})
        self.assertIn("whose templates are these", self.apply(templates=TEMPLATES, expect=1).stderr)
        self.apply("--tenant", "boreal", templates=TEMPLATES)
        self.apply(templates=TEMPLATES | {"tenant": "aurora"})
        self.apply(templates=TEMPLATES["data"], rules=RULES)
        self.assertEqual(self.sql("select string_agg(t.name || n, ',' order by t.name) from (select tenant, count(*) n from postrider.template "
                                  "group by 1) x join postrider.tenant t on t.id = x.tenant"), "aurora3,boreal3")

    def test_warnings_do_not_stop(self):
        templates = {"data": TEMPLATES["data"] + [template("order_shipped", "Order {{1}} left.", "MARKETING", "en_US", status="PAUSED")]}
        done = self.apply(business=BUSINESS, templates=templates, rules=RULES)
        self.assertIn("order_shipped in en_US is paused", done.stderr)
        self.assertIn("the stricter one counts", done.stderr)


class Contact(Control):
    def setUp(self):
        super().setUp()
        self.apply(business=BUSINESS)

    def load(self, text, *arguments, expect=0):
        path = self.env.folder / "crm.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return self.run_it("contact", "import", path, *arguments, expect=expect)

    def show(self, to):
        return json.loads(self.run_it("contact", "show", "--to", to, "--json").stdout)

    def test_a_spreadsheet_is_cleaned(self):
        rejects = self.env.folder / "bad.csv"
        done = self.load('\ufeffPhone Number;locale;zone;tags;suppressed;spent\r\n(11) 98888-7777;pt-BR;America/Sao_Paulo;vip loja|sp;;3\r\n'
                         '"+55 11 98888 7777";;;;;\r\n5,51E+12;;;;;\r\n+4915112345678;de;Europe/Nowhere;;;\r\n'
                         '+4915112345678;de;Europe/Berlin;"a ""b""";yes;1\r\n', "--default-country", "br", "--rejects", rejects, expect=3)
        self.assertIn("5 rows: 2 contacts (2 new, 0 changed, 0 as they were), 1 duplicates, 2 rejected", done.stdout)
        self.assertIn("columns that are not taken: spent", done.stderr)
        self.assertIn("crm.csv:3: +5511988887777 is on line 2 already", done.stderr)
        self.assertIn("scientific notation", done.stderr)
        self.assertEqual(rejects.read_text().splitlines()[0], "Phone Number;locale;zone;tags;suppressed;spent;line;reject")
        self.assertEqual(len(rejects.read_text().splitlines()), 3)
        self.assertEqual(self.show("+5511988887777") | {"contact": 0, "updated_at": ""},
                         {"contact": 0, "to": "+5511988887777", "locale": "pt-BR", "zone": "America/Sao_Paulo", "tags": "vip loja sp", "consent": "",
                          "suppressed": False, "window_until": None, "updated_at": ""})
        self.assertTrue(self.show("+4915112345678")["suppressed"])
        fixed = rejects.read_text().replace("Europe/Nowhere", "Europe/Rome").replace("5,51E+12", "+393331234567")
        self.load(fixed)
        self.assertEqual(self.show("+4915112345678")["zone"], "Europe/Rome")

    def test_empty_fields_leave_what_is_stored_and_a_second_import_changes_nothing(self):
        self.load("to,locale,tags\n+5511999990000,pt_BR,vip\n")
        done = self.load("to,locale,tags\n+5511999990000,,\n+5511999990001,,\n")
        self.assertIn("1 new, 0 changed, 1 as they were", done.stdout)
        self.assertEqual(self.show("+5511999990000")["locale"], "pt_BR")
        self.assertIn("0 new, 1 changed", self.load("to,locale\n+5511999990000,en\n").stdout)
        self.assertIn("0 new, 0 changed", self.load("to,locale\n+5511999990000,pt\n", "--at", "2020-01-01T00:00:00Z").stdout)
        self.assertEqual(self.show("+5511999990000")["locale"], "en")

    def test_a_dry_run_counts_and_changes_nothing(self):
        done = self.load("to\n+5511999990000\n", "--dry-run")
        self.assertIn("1 new", done.stdout)
        self.assertEqual(self.sql("select count(*) from postrider.contact"), "0")

    def test_lanes_are_told_of_people_who_are_suppressed(self):
        self.load("to\n+5511999990000\n+5511999990001\n")
        self.load("to,suppressed\n+5511999990000,true\n+5511999990001,false\n")
        self.assertEqual(self.sql("select c.address from postrider.control k join postrider.contact c on c.id::text = k.target "
                                  "where k.kind = 'contact'"), "+5511999990000")

    def test_files_that_cannot_be_read(self):
        self.assertIn("UTF-16", self.load("to\n+55\n".encode("utf-16"), expect=1).stderr)
        self.assertIn("line 2: the file is ISO-8859-1", self.load("to,n\n+55,João\n".encode("latin-1"), expect=1).stderr)
        self.assertIn('no column "to"', self.load("name\nx\n", expect=1).stderr)
        self.assertIn('two columns are called "to"', self.load("to,phone\nx,y\n", expect=1).stderr)
        self.assertIn("empty", self.load("", expect=1).stderr)
        self.assertIn("No such file", self.run_it("contact", "import", "/nowhere.csv", expect=1).stderr)

    def test_standard_input_and_several_batches(self):
        text = "to\n" + "".join(f"+5511{900000000 + i}\n" for i in range(12001))
        done = self.run_it("contact", "import", "-", stdin=text)
        self.assertIn("12,001 rows: 12,001 contacts (12,001 new", done.stdout)
        self.assertEqual(self.sql("select count(*) from postrider.contact"), "12001")


class Consent(Control):
    HEADER = "to,category,action,how,evidence,business_name,at\n"

    def setUp(self):
        super().setUp()
        self.apply(business=BUSINESS)

    def load(self, rows, *arguments, expect=0):
        return self.run_it("consent", "import", self.env.write("consent.csv", self.HEADER + rows), *arguments, expect=expect)

    def mask(self, to="+5511999990000"):
        return self.sql(f"select consent from postrider.contact where address = '{to}'")

    def consent(self, verb, category, *arguments):
        how = ["--how", "website"] if verb == "grant" else []
        return self.run_it("consent", verb, "--to", "+5511999990000", "--category", category, *how, *arguments)

    def test_a_file_is_recorded_once_with_its_evidence(self):
        rows = "+5511999990000,marketing,grant,website,checkout box v3,Loja Aurora,2026-08-01T12:00:00Z\n+5511999990001,all,grant,in person,,,2026-08-02\n"
        self.assertIn("5 statements recorded, 2 contacts changed, 2 of them new, 0 rejected", self.load(rows).stdout)
        self.assertIn("0 statements recorded, 0 contacts changed", self.load(rows).stdout)
        self.assertEqual((self.mask(), self.mask("+5511999990001")), ("2", "15"))
        said = self.run_it("consent", "show", "--to", "+5511999990000", "--json").stdout
        self.assertEqual(json.loads(said) | {"recorded_at": ""},
                         {"at": "2026-08-01 12:00:00+00", "category": "marketing", "action": "grant", "how": "website", "evidence": "checkout box v3",
                          "business_name": "Loja Aurora", "recorded_at": ""})
        self.assertEqual(self.sql("select count(*) from postrider.control where kind = 'contact'"), "0")

    def test_the_newest_holds_and_a_revocation_wins_a_tie(self):
        self.load("+5511999990000,marketing,grant,web,,,2026-08-01T12:00:00Z\n+5511999990000,marketing,revoke,,,,2026-08-01T12:00:00Z\n")
        self.assertEqual(self.mask(), "0")
        self.load("+5511999990000,marketing,grant,web,,,2026-08-01T11:59:59Z\n")
        self.assertEqual(self.mask(), "0")
        self.load("+5511999990000,marketing,grant,web,,,2026-08-01T12:00:01Z\n")
        self.assertEqual(self.mask(), "2")

    def test_a_time_ahead_of_the_clock_does_not_win_over_what_comes(self):
        self.consent("grant", "marketing", "--at", "2099-01-01")
        self.consent("revoke", "marketing")
        self.assertEqual(self.mask(), "0")

    def test_lanes_are_told_of_lost_consent_only(self):
        self.load("+5511999990000,marketing|utility,grant,web,,,2026-08-01\n")
        before = self.sql("select count(*) from postrider.control where kind = 'contact'")
        self.load("+5511999990000,marketing,revoke,,,,2026-08-02\n")
        self.assertEqual(before + self.sql("select count(*) from postrider.control where kind = 'contact'"), "01")
        self.assertEqual(self.mask(), "1")

    def test_rows_that_prove_nothing_are_rejected(self):
        done = self.load("+5511999990000,marketing,grant,,,,2026-08-01\n+5511999990000,marketing,grant,web,,,\n+5511999990000,x,grant,web,,,2026-08-01\n"
                         "+5511999990000,marketing,maybe,web,,,2026-08-01\n+5511999990000,marketing,grant,web,,,yesterday\n"
                         "123,marketing,grant,web,,,2026-08-01\n,marketing,grant,web,,,2026-08-01\n", expect=3)
        self.assertIn("7 rows: 0 statements recorded, 0 contacts changed, 0 of them new, 7 rejected", done.stdout)
        for word in ("how: is missing", "at: is missing", "category:", "action:", "at: must be", "consent.csv:7: to: 123", "consent.csv:8: to: is empty"):
            self.assertIn(word, done.stderr)
        self.assertIn("1 statements recorded", self.load("+5511999990000,marketing,grant,web,,,\n", "--at", "2026-08-01").stdout)

    def test_one_person_on_the_command_line(self):
        said = self.consent("grant", "utility,marketing", "--at", "2026-08-01T12:00:00Z", "--evidence", "form 3").stdout
        self.assertEqual(said.count("  granted"), 2)
        self.consent("grant", "utility,marketing", "--at", "2026-08-01T12:00:00Z", "--evidence", "form 3")
        self.assertEqual(self.sql("select count(*) from postrider.consent"), "2")
        self.assertIn("Nothing was changed", self.consent("revoke", "all", "--dry-run").stdout)
        self.assertEqual(self.mask(), "3")
        self.consent("revoke", "all")
        self.assertEqual(self.mask(), "0")
        self.run_it("consent", "show", "--to", "+5511999990009", expect=4)


class RuleTest(Control):
    def test_the_first_page_of_the_documentation(self):
        self.applied()
        self.run_it("consent", "grant", "--to", "+5511999990000", "--category", "utility", "--how", "website", "--at", "2026-08-01")
        said = self.rule(event()).stdout
        self.assertRegex(said, r"order-1001  order\.confirmed  rule order-confirmed \(.*rules\.json:\d+\)  template order_confirmation pt_BR, utility")
        self.assertIn("  Oi Ana, seu pedido 1001 de R$\u00a0101,81 foi confirmado.\n  [Acompanhar] https://loja.example/p/1001\n", said)
        self.assertIn("  would send from aurora-main: consent granted 2026-08-01 by website; quota 0 of 10,000", said)
        self.assertIn("would cancel what waits of rule cart-reminder", said)

    def rule(self, record, *arguments, expect=0):
        return self.run_it("rule", "test", "--event", "-", *arguments, stdin=json.dumps(record), expect=expect)

    def refused(self, word, record, *arguments):
        self.assertIn(word, self.rule(record, *arguments, expect=1).stdout)

    def test_each_refusal_is_named(self):
        self.applied()
        self.refused("no_contact", event())
        self.run_it("consent", "revoke", "--to", "+5511999990000", "--category", "marketing", "--at", "2026-08-01")
        self.refused("no_consent: nobody recorded consent to utility", event())
        self.refused("no_consent: consent revoked for marketing on 2026-08-01", event(type="cart.abandoned"))
        self.refused("no_rule", event(type="stock.low"))
        self.refused("no_recipient", event(to=None))
        self.refused("bad_address", event(to="4002-8922"))
        self.refused("missing_parameter: body.2", event(data={"total": 1, "currency": "BRL"}))
        self.refused("bad_time", event(time="2020-01-01T00:00:00Z"))
        self.refused("expired", event(expirytime="2020-01-01T00:00:00Z"))
        self.sql("update postrider.contact set is_suppressed = true")
        self.refused("suppressed", event())
        self.sql("update postrider.template set status = 'paused' where name = 'order_shipped'")
        self.refused("template_paused", event(type="shipping.dispatched"))
        self.sql("update postrider.sender set status = 'flagged'")
        self.refused("no_sender", event())
        self.assertIn("unknown_tenant", self.rule(event(tenant="boreal"), expect=1).stderr)
        self.assertIn("would be a dead letter: bad_attribute", self.rule(event(id=""), expect=1).stderr)

    def test_what_has_to_wait_is_no_refusal(self):
        self.applied()
        self.run_it("consent", "grant", "--to", "+5511999990000", "--category", "all", "--how", "website")
        self.assertIn("would wait until", self.rule(event(type="cart.abandoned")).stdout)
        self.sql("update postrider.quota_pool set people_max = 1; insert into postrider.bucket select tenant, id, "
                 "ceil(extract(epoch from now()) / 60)::int, 1 from postrider.quota_pool")
        self.assertIn("would wait for room and then go from aurora-main", self.rule(event()).stdout)
        self.assertIn("quota 1 of 1", self.rule(event()).stdout)

    def test_a_policy_says_when_it_would_go(self):
        business = BUSINESS | {"time_zone": "UTC", "policy": {"utility": {"quiet_hours": "00:00-12:00"}}}
        self.apply(business=business, templates=TEMPLATES, rules=RULES)
        self.run_it("consent", "grant", "--to", "+5511999990000", "--category", "all", "--how", "website")
        tomorrow = datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=1)
        night = event(notbefore=f"{tomorrow}T03:00:00Z")
        self.assertIn(f"would wait until {tomorrow}T12:00:00Z (quiet hours) and then go", self.rule(night).stdout)
        self.assertIn(f"would wait until {tomorrow}T13:00:00Z and then go", self.rule(event(notbefore=f"{tomorrow}T13:00:00Z")).stdout)
        self.sql("update postrider.policy set quiet_from = null, quiet_to = null, cap_n = '{1}', cap_s = '{172800}'; insert into postrider.freq "
                 f"select tenant, id, 0, array['{tomorrow}T13:00:00Z'::timestamptz], array[gen_random_uuid()] from postrider.contact")
        leaves = tomorrow + datetime.timedelta(days=2)
        self.assertIn(f"would wait until {leaves}T13:01:00Z (frequency cap) and then go", self.rule(event()).stdout)

    def test_files_are_enough(self):
        business, templates, rules = self.files(BUSINESS, TEMPLATES, RULES)
        offline = {"POSTRIDER_POSTGRES_CONNINFO": "host=/nowhere"}
        path = self.env.write("event.json", event())
        done = self.run_it("rule", "test", "--event", path, "--rules", rules, "--templates", templates, "--business", business, "--body", **offline)
        self.assertIn("would be sent from aurora-main if consent and quota allow", done.stdout)
        body = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
        self.assertEqual((body["to"], body["template"]["name"]), ("+5511999990000", "order_confirmation"))
        self.assertEqual([p["text"] for p in body["template"]["components"][0]["parameters"]], ["Ana", "1001", "R$\u00a0101,81"])
        self.assertTrue(body["biz_opaque_callback_data"].startswith("p1."))
        done = self.run_it("rule", "test", "--event", path, "--rules", rules, "--templates", templates, **offline)
        self.assertIn("no business was given", done.stdout)
        done = self.run_it("rule", "test", "--event", path, "--rules", rules, expect=1, **offline)
        self.assertIn("there is no template order_confirmation in the files", done.stderr)


if __name__ == "__main__":
    env.main()
