-- What a business asks for by category: how often a person may hear of it, and at which hours not.

create table postrider.policy (
    tenant     int not null references postrider.tenant,
    category   smallint not null check (category between 0 and 3),
    cap_n      int[] not null default '{}', -- at most so many messages to one person …
    cap_s      int[] not null default '{}', -- … in any so many seconds
    quiet_from time, -- by the recipient's clock; past midnight when it is later than quiet_to
    quiet_to   time,
    primary key (tenant, category),
    check (cardinality(cap_n) = cardinality(cap_s) and 0 < all (cap_n) and 0 < all (cap_s)),
    check ((quiet_from is null) = (quiet_to is null) and (quiet_from is null or quiet_from <> quiet_to))
);

-- What a person got of a capped category lately: the frequency cap counts it, and its row is the lock.
create table postrider.freq (
    tenant   int not null,
    contact  bigint not null,
    category smallint not null,
    at       timestamptz[] not null default '{}', -- oldest first
    id       uuid[] not null default '{}', -- the message of each hit: claimed again it counts once
    primary key (tenant, contact, category)
) with (fillfactor = 70);

-- It answers more columns now.
drop function if exists postrider.resume_v1;
