"""The platform slow, out of reach, closing, resetting, hanging, answering garbage, and taking what it does not confirm."""

import json
import pathlib
import re
import time

import clock_rows
from kit import FULL, LEAST, env, event, road, row

SHARE = 0.3  # of the messages meet the fault
N = 1000 if FULL else 150
# Faults of which the client cannot tell whether the message was taken.
IN_DOUBT = {"cut_before", "reset_before", "hang_before", "garbage_before", "500_before", "502_before",
            "accept_then_cut", "accept_then_reset", "accept_then_hang", "accept_then_half_cut", "accept_then_half_reset", "accept_then_half_hang",
            "accept_then_500", "accept_then_502", "accept_then_garbage", "accept_then_empty", "accept_then_oversize"}
# After these the answer is whole, and the next request on that connection may go into one that is gone.
ENDING = {"answer_then_cut", "answer_then_reset"}


def without_answer(f):
    """By the sandbox's own record: messages that it left without a definite answer, and connections that it ended behind one."""
    return sum(line["cut"] in IN_DOUBT | ENDING for line in f.sandbox.record())


def taken(f, n):
    """Waits until the platform has taken n more messages than so far."""
    have = f.sandbox.stats()["accepted"]
    env.wait_until(lambda: f.sandbox.stats()["accepted"] >= have + n, 60, f"{n} more messages are taken", every=0.05)


def in_doubt(name, *kinds, timeout="5s"):
    """A row of faults that come to a third of the messages; the timeout is short only where that is the fault."""
    @row(f"platform-{name}")
    def meet(f):
        for kind in kinds:
            f.config(latency={"min_ms": 20, "max_ms": 60}, mix=[{"what": kind, "probability": SHARE}])
            if not f.processes:
                f.start("d1", provider__timeout=timeout)
            before = without_answer(f)
            f.load(N)
            f.settle()
            struck = without_answer(f) - before
            if struck < LEAST:
                raise AssertionError(f"{kind} struck {struck} messages only")
            f.allow(struck)
            f.rounds += 1
        f.config(mix=[])
        f.load(20)


in_doubt("closing-before", "cut_before")
in_doubt("closing-during", "accept_then_half_cut")
in_doubt("closing-after", "answer_then_cut")
in_doubt("resetting-before", "reset_before")
in_doubt("resetting-during", "accept_then_half_reset")
in_doubt("resetting-after", "answer_then_reset")
in_doubt("taking-and-cutting", "accept_then_cut", "accept_then_reset")
in_doubt("502-after-taking", "accept_then_502")
in_doubt("hanging", "hang_before", "accept_then_hang", "accept_then_half_hang", timeout="1500ms")
in_doubt("garbage", "garbage_before", "accept_then_garbage", "accept_then_empty", "accept_then_oversize")
in_doubt("5xx", "500_before", "502_before", "accept_then_500")


@row("platform-slow")
def slow(f):
    """Seconds, but within the time-out: nothing is in doubt."""
    f.config(latency={"min_ms": 1500, "max_ms": 2500})
    f.start("d1")
    f.load(N * 2)
    f.settle(90)
    f.rounds += 1


@row("platform-refusing-for-now")
def refuse_for_now(f):
    """429 and 503 without a code say that nothing was taken: all of it goes out."""
    f.config(latency={"min_ms": 20, "max_ms": 60}, mix=[{"what": kind, "probability": 0.1} for kind in ("429_before", "503_before")])
    f.start("d1")
    f.load(N)
    env.wait_until(lambda: f.answered() == N, 60, "all were decided once", every=0.1)
    f.config(mix=[])
    f.settle()
    f.rounds += 1


@row("platform-out-of-reach")
def out_of_reach(f):
    """Connections are refused for two seconds, in the midst of requests that end without an answer."""
    f.start("d1")
    with f.flow(150):
        for _ in range(3 if not FULL else 30):
            f.wait_wire()
            f.sandbox.admin("listen", {"accepting": False})
            f.allow(cut_all(f, "reset" if f.rounds % 2 else "cut"))
            time.sleep(2)
            f.sandbox.admin("listen", {"accepting": True})
            taken(f, 40)
            f.rounds += 1


def cut_all(f, how):
    """Ends every connection; returns how many there were, each with at most one request under way."""
    with_request = int(json.loads(f.sandbox.admin("cut", {"how": how}))["ended"])
    return with_request + int(json.loads(f.sandbox.admin("cut", {"how": how, "all": True}))["ended"])


# ---- every code ----

TABLE = pathlib.Path(__file__).resolve().parent.parent.parent / "common" / "core" / "outcome.c"
LINE = re.compile(r'^    \{(?:ONE\((\d+)\)|(\d+), (\d+)), (?:PR_OUTCOME_)?([A-Z_]+?)(?:_FEW)?[(,][^"]*"(\w+)"(.*)\},?', re.M)
A_TENANT = 25  # senders, of which one may have 32


def codes():
    """{code: (action, reason, whether it waits)} of the error table, both ends of its ranges."""
    text = TABLE.read_text()
    text = text[text.index("codes[] = {"):]
    found = {}
    for one, first, last, action, reason, rest in LINE.findall(text[:text.index("\n};")]):
        for code in {int(one or first), int(one or last)}:
            found[code] = (action, reason, "US(" in rest)
    if len(found) < 60:
        raise AssertionError(f"only {len(found)} codes were read from {TABLE.name}")
    return found


def tenant_of(f, number, some):
    """A tenant that has a sender, a template and a rule for each of its codes, so that what one stops stops nothing else."""
    name, waba = f"codes{number}", f"40000000000000{number}"
    senders = [{"name": f"s{code}", "phone": f"+55119{80000000 + code % 10000000:08d}", "phone_number_id": f"5000000{code:08d}", "waba_id": waba,
                "provider": "cloud-api", "rate": "1000/s", "token_file": str(f.token)} for code in some]
    templates = {"data": [road.template(f"t{code}", "UTILITY") for code in some]}
    rules = [road.rule(f"r{code}", f"code.{code}", f"t{code}", senders=[f"s{code}"]) for code in some]
    business = {"tenant": name, "name": name, "locale": "pt_BR", "time_zone": "America/Sao_Paulo", "country": "BR",
                "portfolio": {"id": f"p-{name}", "limit": "TIER_100K", "reserve": "10%"}, "senders": senders}
    files = [f.env.write(f"{f.name}-{name}-{what}.json", content)
             for what, content in (("business", business), ("templates", templates), ("rules", {"tenant": name, "rules": rules}))]
    f.env.run("postrider", "apply", *files, "--tenant", name, "--db", f.pg.conninfo)
    f.config(numbers=[{"phone_number_id": one["phone_number_id"], "token": "sandbox-token", "waba_id": waba, "portfolio": "p", "rate": 0} for one in senders],
             templates=[dict(one, waba_id=waba) for one in templates["data"]])
    f.pg.sql(f"""
        insert into postrider.contact (tenant, address, consent)
        select t.id, '+5511' || (800000000 + c), 7 from postrider.tenant t, unnest(array{some}) c where t.name = '{name}';
        insert into postrider.consent (tenant, contact, category, event, at, is_granted, how)
        select c.tenant, c.id, 1, gen_random_uuid(), now() - interval '1 day', true, 'website'
        from postrider.contact c join postrider.tenant t on t.id = c.tenant where t.name = '{name}'""")
    return [event(code, f"code.{code}", to=f"+5511{800000000 + code}", subject=f"code-{code}", tenant=name) for code in some]


def differences(f, table):
    """Between the table and what became of each message."""
    wrong = []
    fates = {r["subject"]: r for r in f.pg.rows("select subject, fate, reason from postrider.fate where subject like 'code-%'")}
    first = {r["subject"]: r for r in f.pg.rows("""select m.subject, o.code, o.reason from postrider.outcome o
        join postrider.message m using (tenant, day, id) where o.attempt = 1 and m.subject like 'code-%'""")}
    for code, (action, reason, waits) in table.items():
        fate, answer = fates.get(f"code-{code}", {}), first.get(f"code-{code}", {})
        is_refused = action in ("REJECT", "MISFILLED") or action == "STOP_TEMPLATE" and not waits
        expected = ("refused", reason) if is_refused else ("sent", fate.get("reason"))
        if (fate.get("fate"), fate.get("reason")) != expected or answer.get("code") != str(code) or answer.get("reason") != reason:
            wrong.append(f"{code}: {action} {reason} in the table, the first answer {answer}, the end {fate}")
    return wrong


@row("platform-every-code")
def every_code(f):
    """Each code of the error table once, to a message of its own; each ends as the table says: refused for that reason, or sent when its wait is over."""
    table = codes() | {999999: ("REJECT", "new_code", False)}
    f.pg.sql(clock_rows.CLOCK)
    f.after.callback(f.sandbox.admin, "clock", {"offset_ms": 0})
    numbers, events = sorted(table), []
    for at in range(0, len(numbers), A_TENANT):
        events += tenant_of(f, at // A_TENANT, numbers[at:at + A_TENANT])
    f.sandbox.admin("faults", [{"what": "error", "code": code, "match": {"to": f"+5511{800000000 + code}"}, "times": 1} for code in numbers])
    f.config(latency={"fixed_ms": 1200})  # all are on the wire before the first answer comes: some codes stop more than their own sender
    f.start("d1")
    f.publish(events)
    f.events.update(one["subject"] for one in events)
    env.wait_until(lambda: f.count("select count(distinct id) from postrider.outcome") == len(events), 60, "each is answered once", every=0.2)
    f.config(latency={"fixed_ms": 10})
    for days in range(1, 4):  # what was stopped is stopped no more after a start, what was put off comes a day later
        f.processes[-1].stop()
        clock_rows.set_clock(f, days * 25 * clock_rows.HOUR)
        f.start("d1")
        f.settle()
        if f.count("select count(*) from postrider.deferred") == 0:
            break
    wrong = differences(f, table)
    if wrong:
        raise AssertionError("\n".join(wrong))
    f.rounds += len(table)
