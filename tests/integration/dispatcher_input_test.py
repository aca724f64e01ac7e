#!/usr/bin/env -S python3 -B
"""Bad input between good records: the good are sent, the undecodable dead-lettered with their reason, the rest refused with theirs; nothing is lost."""

import datetime
import json
import pathlib
import random
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event, now  # noqa: E402


def pack(value):
    """MessagePack, as small as it goes."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return struct.pack("B", value) if 0 <= value < 128 else b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, str):
        raw = value.encode()
        return (struct.pack("B", 0xa0 | len(raw)) if len(raw) < 32 else b"\xda" + struct.pack(">H", len(raw))) + raw
    if isinstance(value, (list, tuple)):
        return b"\xdc" + struct.pack(">H", len(value)) + b"".join(map(pack, value))
    return b"\xde" + struct.pack(">H", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())


def nested(depth):
    """Maps in maps: `data` itself is the first level below the record."""
    inner = "x"
    for _ in range(depth):
        inner = {"a": inner}
    return inner


def as_json(made, **more):
    return json.dumps(made | more).encode()


def there_now():
    """The present as a shop three hours behind UTC writes it."""
    return datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=-3))).isoformat()


class Input(road.RoadCase):
    GOOD_EVERY = 5

    def run_all(self, bad, seconds=30):
        """Publishes the bad ones, (key, bytes), with a good record after every few; returns the fates, of which all `sent` are the good ones'."""
        r = self.road
        good, records = 0, []
        for n, item in enumerate(bad):
            records.append(item)
            if n % self.GOOD_EVERY == 0:
                records.append(event(good % 50, id=f"good-{good}", type="order.confirmed"))
                good += 1
        if not r.processes:
            r.people(50)
            r.dispatcher(intake__dead_letters_max_per_minute=1000000)
        r.publish(records)
        r.settled(seconds)
        fates = r.fates()
        r.check(self)
        self.assertEqual(fates.pop("sent"), good, fates)
        self.assertEqual(sum(fates.values()), len(bad), fates)
        self.assertTrue(r.processes[0].is_running())
        return fates

    def test_truncations_of_every_length_of_a_good_record_are_dead_letters(self):
        whole = event(7, expirytime=now(3600), data={"name": "José 😀", "number": "1", "list": [1, 2.5, None, True], "deep": nested(4)})
        text, packed = json.dumps(whole).encode(), pack(whole)
        bad = [("k", text[:n]) for n in range(1, len(text))] + [("k", packed[:n]) for n in range(1, len(packed))]
        fates = self.run_all(bad)
        self.assertEqual(set(f.split(":")[0] for f in fates), {"dead_letter"}, fates)
        kept = self.road.count("select count(*) from postrider.dead_letter where length(value) > 0 and key = 'k'")
        self.assertEqual(kept, len(bad), "their bytes are kept")
        one = self.road.pg.sql("select encode(value, 'hex') from postrider.dead_letter where length(value) = 100 limit 1")
        self.assertIn(bytes.fromhex(one), (text[:100], packed[:100]))

    def test_an_empty_record_is_a_fate_too(self):
        fates = self.run_all([("k", b"")] * 3)
        self.assertEqual(sum(fates.values()), 3)

    def test_random_bytes_are_dead_letters_and_memory_stays_flat(self):
        r, chance = self.road, random.Random(1)
        starts = [b"", b"{", b"\x80", b"\x8f", b"\xde", b"\xdf", b"\xde\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x81\xdb\xff\xff\xff\xff", b"{\"id\":", b"\x00", b"["]

        def bunch(n):
            return [("k", chance.choice(starts) + chance.randbytes(chance.choice([1, 3, 10, 100, 1000, 20000]))) for _ in range(n)]
        self.run_all(bunch(300))
        before = self.rss()
        for _ in range(4):
            fates = self.run_all_again(bunch(300))
        self.assertEqual(set(f.split(":")[0] for f in fates) - {"sent"}, {"dead_letter"}, fates)
        room = 96 if "san" in env.BUILD.name else 24  # MiB; sanitizers keep what was freed for a while
        self.assertLess(self.rss() - before, room * 1024, f"KiB more than after the first bunch ({before} KiB)")
        self.assertIn("dead_letter", " ".join(r.fates()))

    def run_all_again(self, bad):
        r = self.road
        r.publish(bad + [event(n, id=f"again-{r.published}-{n}") for n in range(5)])
        r.settled(30)
        return r.fates()

    def rss(self):
        status = pathlib.Path(f"/proc/{self.road.processes[0].pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def test_what_breaks_a_rule_of_the_record_is_a_dead_letter_with_its_reason(self):
        good = event(7)
        without = {k: {x: y for x, y in good.items() if x != k} for k in ("specversion", "id", "source", "type")}
        cases = {
            "too deep": as_json(good, data=nested(9)), "far too deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
            "too deep, packed": pack(good | {"data": nested(20)}), "too large": as_json(good, data={"x": "y" * 70000}),
            "NUL": as_json(good, data={"x": "a\u0000b"}), "NUL in the id": as_json(good, id="a\u0000b"), "NUL in a key": as_json(good, data={"a\u0000": 1}),
            "NUL, packed": pack(good | {"data": {"x": "a\0b"}}),
            "half a surrogate": json.dumps(good).encode().replace(b'"Ana"', b'"\\ud800"'),
            "Latin-1": json.dumps(good).encode().replace(b"Ana", b"Jos\xe9"), "overlong": json.dumps(good).encode().replace(b"Ana", b"\xc0\xaf"),
            "surrogate as UTF-8": json.dumps(good).encode().replace(b"Ana", b"\xed\xa0\x80"), "past Unicode": json.dumps(good).encode().replace(b"Ana", b"\xf4\x90\x80\x80"),
            "bad UTF-8, packed": pack(good).replace(b"Ana", b"\xff\xfe\xfd"),
            "an array": json.dumps([good]).encode(), "a string": b'"x"', "a number": b"17", "null": b"null", "two": json.dumps(good).encode() * 2,
            "trailing": json.dumps(good).encode() + b" x", "trailing, packed": pack(good) + b"\x01", "nil, packed": b"\xc0",
            "number as id": as_json(good, id=5), "empty id": as_json(good, id=""), "null id": as_json(good, id=None), "list as type": as_json(good, type=["a"]),
            "empty type": as_json(good, type=""), "empty source": as_json(good, source=""), "another specversion": as_json(good, specversion="0.3"),
            "data as text": as_json(good, data="text"), "data as a number": as_json(good, data=5), "data as a list": as_json(good, data=[1]),
            "time as a word": as_json(good, time="yesterday"), "time as a number": as_json(good, time=5), "no such day": as_json(good, time="2026-02-30T00:00:00Z"),
            "to as a number": as_json(good, to=5511900000007), "tenant as a map": as_json(good, tenant={}),
            "tenant too long": as_json(good, tenant="x" * 65), "before 1970": as_json(good, time="1969-12-31T23:59:59Z"),
            "map with other keys, packed": b"\x81\x01\x02", "extension, packed": b"\x81\xa2id\xd4\x05\x00",
        } | {f"without {k}": json.dumps(v).encode() for k, v in without.items()} | {f"without {k}, packed": pack(v) for k, v in without.items()}
        fates = self.run_all([("k", value) for value in cases.values()])
        wrong = {f: n for f, n in fates.items() if not f.startswith("dead_letter:")}
        if wrong:
            offs = self.road.pg.rows("select part, off, reason, kind from postrider.aside union all select part, off, coalesce(reason, '-'), fate from postrider.fate "
                                     "where subject is null and reason is not null")
            self.fail(f"not dead letters: {wrong} {offs}; {len(cases)} cases")
        self.assertEqual(self.road.count("select count(*) from postrider.dead_letter where reason = ''"), 0)

    def test_what_can_be_read_and_not_sent_is_refused_with_its_reason(self):
        cases = {
            "bad_time": [dict(time="1970-01-01T00:00:00Z"), dict(time="9999-12-31T23:59:59Z"), dict(time=now(7200)),
                         dict(time=now(-40 * 86400))],
            "bad_address": [dict(to=t) for t in ("0", "+", "++5511", "+55119x", "+5511900000007000000", "call me", "+0511900000007", "５５１１", " +5511900000007x",
                                                 "+1", "'; drop table postrider.message; --")],
            "no_recipient": [dict(to=None), dict(to="")],
            "no_rule": [dict(type="x" * 200), dict(type="order"), dict(type="order.confirmed.")],
            "no_contact": [dict(to="+5521999999999")],
            "unknown_tenant": [dict(tenant="nobody"), dict(tenant="x" * 64)],
            "expired": [dict(expirytime=now(-1)), dict(expirytime="1970-01-01T00:00:01Z")],
        }
        bad, n = [], 0
        for changes in cases.values():
            for change in changes:
                made = {k: v for k, v in (event(7, id=f"bad-{n}") | change).items() if v is not None}
                bad += [("k", json.dumps(made, ensure_ascii=False).encode()), ("k", pack(made | {"id": f"packed-{n}"}))]
                n += 1
        fates = self.run_all(bad)
        wrong = self.road.pg.rows("select reason, detail, convert_from(value, 'UTF8') from postrider.dead_letter where get_byte(value, 0) = 123")
        self.assertEqual(fates, {f"refused:{reason}": 2 * len(changes) for reason, changes in cases.items()}, wrong)

    def test_odd_but_legal_records_are_sent(self):
        r = self.road
        r.people(50)
        r.dispatcher()
        good = event(7)
        odd = [as_json(good, id="a", data=[]), as_json(good, id="b", data=None), as_json(good, id="c", **{"x-own": 5, "traceparent": "00-1"}),
               as_json(good, id="d", data=nested(6)), as_json(good, id="e", data={"name": "\u202e😀" + "é" * 500}), pack(good | {"id": "f"}),
               as_json(good, id="g" * 900), as_json(good, id="h", time=None), as_json(good, id="i", time=there_now()),
               as_json(good, id="j", data={"name": "a\n\tb    c", "number": "{{1}}"}), b"  \n" + as_json(good, id="k"),
               as_json(good, id="l", expirytime="9999-12-31T23:59:59Z"), as_json(good, id="m", data={"x": "y" * 60000})]
        r.publish([(address(7), value) for value in odd])
        r.settled(40)
        fates = r.fates()
        self.assertEqual({f: n for f, n in fates.items() if f != "sent"}, {}, r.pg.rows("select off, reason, detail from postrider.dead_letter"))
        r.check(self)

    def test_more_dead_letters_than_allowed_stop_the_intake(self):
        r = self.road
        r.people(5)
        process = r.dispatcher(intake__dead_letters_max_per_minute=50)
        r.publish([("k", b"nonsense")] * 400, partition=1)
        process.wait_for("event=intake_stopped", 30)
        env.wait_until(lambda: r.count("select count(*) from postrider.dead_letter") >= 40, 10, "about fifty are written")
        env.time.sleep(2)
        # Fifty and what was read with the last of them; as many again when a minute began meanwhile.
        self.assertLessEqual(r.count("select count(*) from postrider.dead_letter"), 240)


if __name__ == "__main__":
    env.main()
