#!/usr/bin/env python3
"""Makes the sample business, its people and its events; the same files each time. All of it is invented.

Phone numbers belong to nobody: no Brazilian network gives out mobile numbers whose eight digits behind the 9 begin with 0.

    ./make.py            writes the files beside this script
    ./make.py --check    fails when a file would change
    ./make.py --counts   says what should become of the events
"""

import argparse
import csv
import io
import json
import pathlib
import random
import sys
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).resolve().parent

PEOPLE = 320
WITHOUT_CONSENT = 32      # one in ten
BUYERS = 240              # with consent, in one or more orders: they and one more fill the messaging limit but for 9
VISITORS = 22             # with consent, asked for feedback only, at the end: marketing finds no room left

NAMES = ("Ana Beatriz Bruno Caio Camila Carla Clara Davi Diego Eduarda Elisa Felipe Fernanda Gabriel Helena Heitor Igor Isabela "
         "João Joaquim Júlia Lara Larissa Leandro Letícia Lorena Lucas Luiza Manuela Marcos Maria Mariana Mateus Miguel Natália Nina "
         "Otávio Paula Pedro Rafael Raquel Renata Rodrigo Rosa Samuel Sofia Tiago Valentina Vicente Vitória Yasmin").split()
ITEMS = ("caneca azul", "luminária de mesa", "almofada de linho", "vaso de cerâmica", "tapete de sisal", "quadro abstrato", "chaleira",
         "conjunto de taças", "manta de tricô", "relógio de parede")
AREAS = (11, 21, 31, 41, 51, 61, 71, 81, 85, 91)
CARRIERS = ("Correios", "Jadlog", "Loggi")
START = datetime(2026, 11, 2, 12, 0, tzinfo=timezone.utc)
CONSENT_AT = datetime(2026, 8, 1, 12, 0, tzinfo=timezone.utc)


class Person:
    def __init__(self, number):
        self.number = number
        self.name = NAMES[number % len(NAMES)]
        self.to = f"+55{AREAS[number % len(AREAS)]}90{number:07d}"
        self.has_consent = number % (PEOPLE // WITHOUT_CONSENT) != 7


class Events:
    """Collects events by person as stories, whose own order is kept when they are shuffled into one another."""

    def __init__(self):
        self.order = 1000
        self.fates = {}

    def expect(self, fate, n=1):
        self.fates[fate] = self.fates.get(fate, 0) + n

    def event(self, kind, person, fate, data=None, *, source="/shop/orders", key=None, subject=None, to=None, **attributes):
        self.expect(fate)
        record = {"specversion": "1.0", "id": f"{key or 'order'}-{subject or person.number}-{kind.split('.')[1]}", "source": source, "type": kind}
        if subject:
            record["subject"] = subject
        record["time"] = None  # by its line, when all is in order
        to = to if to is not None else person and person.to
        if to:
            record["to"] = to
        record.update(attributes)
        if data is not None:
            record["data"] = data
        return record

    def number(self):
        self.order += 1
        return str(self.order)

    def data(self, person, number, **more):
        n = int(number)
        order = {"number": number, "total": round(19.9 + n * 37 % 4200 / 10, 2), "currency": "BRL", "items": n % 4 + 1, "first_item": ITEMS[n % len(ITEMS)],
                 "url_token": f"p{n * 7919 % 999983:06d}"}
        return {"customer": {"first_name": person.name}, "order": order, **more}

    def confirmed(self, person, fate="sent", number=None, **attributes):
        number = number or self.number()
        data = self.data(person, number, invoice={"url": f"https://loja.example/nota/{number}.pdf", "name": f"nota-{number}.pdf"})
        data["order"]["estimated_delivery"] = (START + timedelta(days=3 + int(number) % 20)).date().isoformat()
        return self.event("order.confirmed", person, fate, data, subject=number, **attributes)

    def status(self, kind, person, text, fate="sent", number=None):
        number = number or self.number()
        data = self.data(person, number)
        data["order"]["status"] = text
        return self.event(kind, person, fate, data, subject=number)

    def payment(self, kind, person, fate="sent", number=None):
        number = number or self.number()
        return self.event(kind, person, fate, self.data(person, number), source="/shop/payments", subject=number)

    def shipping(self, step, person, number, fate="sent", **attributes):
        n = int(number)
        shipment = {"carrier": CARRIERS[n % len(CARRIERS)], "tracking": f"BR{n * 104729 % 10**9:09d}", "eta": (START + timedelta(days=5)).date().isoformat()}
        return self.event("shipping." + step, person, fate, self.data(person, number, shipment=shipment), source="/warehouse", key="parcel",
                          subject=number, **attributes)

    def cart(self, person, fate):
        number = self.number()
        cart = {"items": int(number) % 4 + 1, "total": 149.9, "currency": "BRL", "url_token": f"c{number}"}
        data = {"customer": {"first_name": person.name}, "cart": cart}
        return self.event("cart.abandoned", person, fate, data, source="/shop/carts", key="cart", subject=number)

    def feedback(self, person, fate="sent", number=None):
        number = number or self.number()
        return self.event("feedback.requested", person, fate, self.data(person, number), source="/shop/feedback", subject=number)

    def control(self, kind, person, **data):
        return self.event(kind, person, "applied", data, source="/shop/accounts", key="account")


def stories_of_buyers(e, buyers):
    """Each buyer gets at least one message that is sent; the first 75 have a longer story."""
    stories = []
    for i, person in enumerate(buyers):
        number = e.number()
        if i < 12:  # the parcel is on the road before its first message may go out: only the newer state is told
            story = [e.shipping("dispatched", person, number, "superseded", notbefore="+2h"), e.shipping("out_for_delivery", person, number)]
        elif i < 30:  # bought before the reminder was due
            story = [e.cart(person, "cancelled"), e.confirmed(person)]
        elif i < 37:  # the backend published twice
            story = [e.confirmed(person, number=number)]
            e.expect("duplicates")
            story.append(dict(story[0]))
        elif i < 41:
            story = [e.payment("payment.pending", person, number=number), e.confirmed(person, number=number)]
        elif i < 45:
            story = [e.payment("payment.expiring", person, number=number)]
        elif i < 51:
            story = [e.shipping("dispatched", person, number), e.shipping("delivered", person, number)]
        elif i < 55:
            story = [e.status("order.ready_for_pickup", person, "pronto para retirada na loja do centro")]
        elif i < 59:
            story = [e.status("order.cancelled", person, "cancelado a seu pedido"), e.status("payment.refunded", person, "valor devolvido")]
        elif i < 62:
            story = [e.status("shipping.delayed", person, "a entrega atrasou dois dias", number=number), e.shipping("delivered", person, number)]
        elif i < 73:
            story = [e.confirmed(person, number=number), e.feedback(person, number=number)]
        else:
            story = [e.confirmed(person, number=number)]
        stories.append(story)
    return stories


def stories_of_refusals(e, buyers, others, without):
    stories = [[e.confirmed(person, "refused:no_consent")] for person in without[:28]]
    late = without[31]  # comes to an agreement first
    stories.append([e.control("consent.granted", late, categories=["utility"], how="website", evidence="account page", business_name="Loja Aurora"),
                    e.confirmed(late)])
    for person in buyers[100:103]:  # opts out of marketing, still hears about the order
        stories.append([e.confirmed(person), e.control("consent.revoked", person, categories=["marketing"], how="chat"),
                        e.feedback(person, "refused:no_consent")])
    for person in others[:6]:
        stories.append([e.payment("payment.failed", person, "refused:template_paused")])
    for person in buyers[110:113]:  # no order number in it
        event = e.confirmed(person, "refused:missing_parameter")
        del event["data"]["order"]["number"]
        stories.append([event])
    for person in buyers[113:115]:
        stories.append([e.payment("payment.expiring", person, "refused:expired") | {"expirytime": "-10m"}])
    person = others[6]
    stories.append([e.control("contact.updated", person, suppressed=True), e.confirmed(person, "refused:suppressed")])
    stranger = Person(PEOPLE)
    stories += [[e.confirmed(stranger, "refused:no_contact")], [e.confirmed(Person(PEOPLE + 1), "refused:no_contact")]]
    stories += [[e.confirmed(stranger, "refused:bad_address", to=to)] for to in ("11 9 0000-0000", "+55", "ana@loja.example")]
    stories.append([e.event("order.confirmed", None, "refused:no_recipient", e.data(stranger, "9001"), subject="9001")])
    for item in range(4):
        stories.append([e.event("stock.low", None, "refused:no_rule", {"sku": f"A-{item + 1}", "left": 2}, source="/warehouse", key="stock",
                                subject=f"A-{item + 1}")])
    return stories


def stories_of_others(e, buyers, others):
    stories = [[e.cart(person, "deferred:not_before")] for person in others[7:16]]
    stories += [[e.control("contact.updated", person, locale="pt_PT", time_zone="Europe/Lisbon"), e.feedback(person)] for person in buyers[120:124]]
    stories += [[e.control("contact.updated", others[16], locale="en_US")]]
    stories += [[e.control("consent.granted", person, categories=["utility", "marketing"], how="in person", evidence="form 12", business_name="Loja Aurora")]
                for person in others[17:19]]
    return stories


BROKEN = ("this line is no record at all", '{"specversion":"1.0","id":"order-9901-confirmed","source":"/shop/orders","type":"order.con',
          '{"specversion":"1.0","id":"order-9902-confirmed","source":"/shop/orders","time":"2026-11-02T12:00:00Z","to":"+5511900000001","data":{}}')


def shuffled(stories, chance):
    """All events in one list: stories mixed, each in its own order, as a shop's would come."""
    queues = [list(story) for story in stories]
    tickets = [i for i, story in enumerate(queues) for _ in story]
    chance.shuffle(tickets)
    return [queues[i].pop(0) for i in tickets]


def shifted(at, text):
    sign = -1 if text[0] == "-" else 1
    amount = {"m": timedelta(minutes=1), "h": timedelta(hours=1)}[text[-1]] * int(text[1:-1])
    return stamp(at + sign * amount)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def lines_of(events, chance):
    lines = []
    for i, event in enumerate(events):
        at = START + timedelta(seconds=40 * i)
        event = dict(event, time=stamp(at))
        for name in ("notbefore", "expirytime"):
            if name in event:
                event[name] = shifted(at, event[name])
        lines.append(json.dumps(event, ensure_ascii=False, separators=(",", ":")))
    for text in BROKEN:
        lines.insert(chance.randrange(len(lines)), text)
    return lines


def make_events(people):
    chance = random.Random("loja aurora")
    e = Events()
    willing = [p for p in people if p.has_consent]
    without = [p for p in people if not p.has_consent]
    buyers, visitors, others = willing[:BUYERS], willing[BUYERS:BUYERS + VISITORS], willing[BUYERS + VISITORS:]
    first = shuffled(stories_of_buyers(e, buyers), chance)
    second = shuffled(stories_of_refusals(e, buyers, others, without) + stories_of_others(e, buyers, others), chance)
    last = [e.feedback(person, "deferred:quota") for person in visitors]
    e.expect("dead_letters", len(BROKEN))
    return lines_of(first + second + last, chance), e.fates


def csv_text(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def files():
    people = [Person(i) for i in range(PEOPLE)]
    lines, fates = make_events(people)
    contacts = [("to", "locale", "time_zone", "tags")]
    contacts += [(p.to, "pt_BR", "America/Sao_Paulo", "vip" if p.number % 16 == 0 else "") for p in people]
    consent = [("to", "category", "action", "how", "evidence", "business_name", "at")]
    consent += [(p.to, category, "grant", "website", "checkout box v3", "Loja Aurora", stamp(CONSENT_AT + timedelta(minutes=p.number)))
                for p in people if p.has_consent for category in ("utility", "marketing")]
    return {"events.ndjson": "\n".join(lines) + "\n", "contacts.csv": csv_text(contacts), "consent.csv": csv_text(consent)}, fates


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--counts", action="store_true")
    arguments = parser.parse_args()
    texts, fates = files()
    if arguments.counts:
        print(json.dumps({"events_in": sum(fates.values()), **dict(sorted(fates.items()))}, indent=2))
        return 0
    stale = [name for name, text in texts.items() if not (HERE / name).exists() or (HERE / name).read_text(encoding="utf-8") != text]
    if arguments.check:
        for name in stale:
            print(f"{name}: is not what make.py makes", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        (HERE / name).write_text(texts[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
