-- Who sends what to whom: tenants, pools, senders, templates, rules, contacts and their consent.

create table postrider.tenant (
    id           int generated always as identity primary key,
    name         text not null unique check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    display_name text not null,
    locale       text not null default 'en_US',
    time_zone    text not null default 'UTC',
    country      text not null default ''
);

-- A messaging limit: of a portfolio (today's rule) or of one number (the older one). people_max null: unlimited.
create table postrider.quota_pool (
    tenant      int not null references postrider.tenant,
    id          int generated always as identity,
    name        text not null,
    tier        text not null,
    people_max  int check (people_max > 0),
    reserve_pct int not null default 10 check (reserve_pct between 0 and 100),
    last_minute bigint not null default 0, -- the latest minute stamped; time never goes behind it
    primary key (tenant, id),
    unique (tenant, name)
) with (fillfactor = 10);

create table postrider.sender (
    tenant     int not null,
    id         int generated always as identity,
    name       text not null,
    pool       int not null,
    provider   text not null check (provider in ('cloud-api', '360dialog')),
    address    text not null, -- the business's own number
    account    text not null, -- phone_number_id; '' for 360dialog
    waba       text not null default '',
    rate       double precision not null check (rate > 0), -- messages a second
    secret     text not null, -- the name of its secret, never the secret
    status     text not null default 'connected',
    quality    text not null default 'unknown',
    receipt_at timestamptz, -- when a receipt of this sender last arrived
    primary key (tenant, id),
    unique (tenant, name),
    foreign key (tenant, pool) references postrider.quota_pool
) with (fillfactor = 50);

create table postrider.template (
    tenant     int not null references postrider.tenant,
    id         int generated always as identity,
    name       text not null,
    language   text not null,
    category   smallint not null, -- core/template.h: enum pr_category
    status     text not null,
    definition text not null, -- the Graph API's object, as JSON
    primary key (tenant, id),
    unique (tenant, name, language)
);

create table postrider.rule (
    tenant     int not null references postrider.tenant,
    name       text not null,
    position   int not null, -- its place in the file
    file       text not null,
    line       int not null,
    definition text not null, -- the rule's object, as JSON
    primary key (tenant, name)
);

-- The only place where addresses stand. What the claim reads is kept here; the history is in consent.
create table postrider.contact (
    tenant        int not null references postrider.tenant,
    id            bigint generated always as identity,
    address       text collate "C" not null,
    locale        text,
    zone          text,
    tags          text[] not null default '{}',
    window_until  timestamptz, -- customer service window
    consent       smallint not null default 0, -- bit 1 << category
    is_suppressed boolean not null default false,
    updated_at    timestamptz not null default '-infinity', -- of the newest contact.updated
    updated_by    uuid, -- that event: a copy of it whose time lies ahead changes nothing again
    primary key (tenant, id),
    unique (tenant, address)
) with (fillfactor = 90);

-- Append-only: every grant and revocation with its evidence. The newest by (at, revocation first) is what holds.
create table postrider.consent (
    tenant        int not null,
    contact       bigint not null,
    category      smallint not null,
    event         uuid not null, -- of the record or line that said so: a replay finds itself
    at            timestamptz not null,
    is_granted    boolean not null,
    how           text not null default '', -- SMS, website, chat, IVR, in person, on paper
    evidence      text not null default '',
    business_name text not null default '', -- as it was shown
    recorded_at   timestamptz not null default clock_timestamp(),
    primary key (tenant, contact, category, event)
);
create index consent_newest on postrider.consent (tenant, contact, category, at desc, is_granted);
