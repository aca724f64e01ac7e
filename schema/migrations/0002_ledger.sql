-- The ledger: one row a message, one row an attempt, and what stands beside them, by day.

-- Kafka topics by number, so that an origin takes six bytes less than its name.
create table postrider.topic (
    id         smallint generated always as identity primary key,
    name       text not null unique,
    partitions int
);

-- A dispatcher process. A higher epoch under the same name ends the claims of the lower ones.
create table postrider.instance (
    id          int generated always as identity primary key,
    name        text not null unique,
    epoch       int not null,
    lease_until timestamptz not null,
    started_at  timestamptz not null default clock_timestamp(),
    host        text not null default ''
) with (fillfactor = 50);

-- Inserted once by the claim with its final state; updated only when it leaves the lane to come back.
create table postrider.message (
    tenant   int not null,
    day      date not null,
    id       uuid not null,
    contact  bigint not null, -- 0: nobody by that address
    state    smallint not null, -- core/verdict.h: enum pr_message_state
    category smallint not null,
    gen      int not null, -- +1 whenever it leaves the lane to come back
    attempt  int not null default 0, -- POSTs before this claim
    tries    int not null default 0, -- of those, charged to the message
    resends  smallint not null default 0, -- of an unknown
    owner    int not null,
    epoch    int not null,
    claim_no bigint not null,
    pool     int not null,
    sender   int not null,
    part     int not null,
    off      bigint not null,
    topic    smallint not null,
    at       timestamptz not null, -- claimed or decided first
    event_at timestamptz not null,
    rule     text not null,
    type     text not null,
    subject  text,
    reason   text,
    primary key (tenant, day, id)
) partition by range (day);

-- Append-only: how one attempt ended.
create table postrider.outcome (
    tenant     int not null,
    day        date not null,
    id         uuid not null,
    attempt    int not null,
    kind       smallint not null, -- 1 accepted, 2 retry, 3 defer, 4 reject, 5 stop template, 6 stop sender, 7 unknown
    code       int not null,
    http       smallint not null,
    sender     int not null,
    template   int not null,
    latency_ms int not null,
    at         timestamptz not null,
    reason     text,
    wamid      text,
    primary key (tenant, day, id, attempt)
) partition by range (day);

-- Fates without a message row, by origin: no_rule, bad_address, applied, duplicates, tombstones.
create table postrider.aside (
    day    date not null, -- of Kafka's timestamp; 1970-01-01 when that is wild
    topic  smallint not null,
    part   int not null,
    off    bigint not null,
    kind   text not null check (kind in ('refused', 'applied', 'duplicate')),
    reason text not null,
    tenant int not null,
    type   text,
    id     uuid, -- of the message that a duplicate repeats
    at     timestamptz not null,
    primary key (day, topic, part, off)
) partition by range (day);

create table postrider.dead_letter (
    day          date not null,
    topic        smallint not null,
    part         int not null,
    off          bigint not null,
    reason       text not null,
    detail       text not null,
    kafka_at     timestamptz,
    key          bytea,
    value        bytea,
    header_names text[] not null,
    header_values bytea[] not null,
    at           timestamptz not null,
    primary key (day, topic, part, off)
) partition by range (day);

-- What waits to come back, with its record.
create table postrider.deferred (
    tenant      int not null,
    day         date not null,
    id          uuid not null,
    gen         int not null,
    part        int not null, -- the lane that owns this partition reads it
    due         timestamptz not null,
    is_asleep   boolean not null default false, -- waits for room in its pool; due is then its expiry
    reason      text not null,
    since       timestamptz not null, -- first deferral
    event_at    timestamptz not null,
    kafka_at    timestamptz,
    contact     bigint not null,
    category    smallint not null,
    pool        int not null,
    waited_ms   bigint not null default 0, -- waits so far that were the message's own, for the backoff
    topic       smallint not null,
    off         bigint not null,
    taken_owner int,
    taken_epoch int,
    rule        text collate "C" not null,
    subject     text collate "C",
    payload     bytea not null,
    primary key (tenant, day, id, gen)
) with (fillfactor = 70);
create index deferred_due on postrider.deferred (part, due, id);
create index deferred_of_contact on postrider.deferred (tenant, contact, rule);
create index deferred_of_subject on postrider.deferred (tenant, subject, rule) where subject is not null;
create index deferred_asleep on postrider.deferred (tenant, pool, ((category = 1)::int), since, contact) where is_asleep;
create index deferred_awake on postrider.deferred (tenant, pool, contact) where reason = 'quota' and not is_asleep;
