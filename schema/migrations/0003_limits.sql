-- What decides when and whether: fences, quota, control, roll-ups.

-- Moved only forward: an event that cancels or supersedes leaves its mark for those claimed after it.
create table postrider.fence (
    tenant int not null,
    kind   smallint not null, -- 1 cancels by recipient, 2 cancels by subject, 3 supersedes by subject, 4 supersedes by recipient
    key    text collate "C" not null, -- contact id or subject
    grp    text collate "C" not null, -- the rule whose messages it ends
    at     timestamptz not null,
    rank   int not null,
    id     uuid not null,
    primary key (tenant, kind, key, grp)
) with (fillfactor = 70);

-- The people inside the moving 24 hours of a pool.
create table postrider.reach (
    tenant  int not null,
    pool    int not null,
    contact bigint not null,
    minute  int not null, -- of the last hit, rounded up
    sole    uuid, -- the message that alone made the slot
    primary key (tenant, pool, contact)
) with (fillfactor = 70);

create table postrider.bucket (
    tenant int not null,
    pool   int not null,
    minute int not null,
    n      int not null, -- people whose last hit is in this minute
    primary key (tenant, pool, minute)
) with (fillfactor = 50);

-- Append-only; read by transaction number, because a sequence would miss what commits late.
create table postrider.control (
    id     bigint generated always as identity primary key,
    xid    xid8 not null default pg_current_xact_id(),
    tenant int not null, -- 0: all
    kind   text not null check (kind in ('reload', 'contact', 'template', 'sender')),
    target text not null, -- contact id, template id or sender id; '' for reload
    body   text not null default '',
    at     timestamptz not null default clock_timestamp()
);
create index control_xid on postrider.control (xid);

-- Written once a second by each lane from its own counters; no two writers share a row.
create table postrider.stat_minute (
    minute   int not null,
    tenant   int not null,
    sender   int not null,
    category smallint not null,
    fate     text not null,
    reason   text not null,
    instance int not null,
    lane     smallint not null,
    n        bigint not null,
    primary key (minute, tenant, sender, category, fate, reason, instance, lane)
) with (fillfactor = 50);
