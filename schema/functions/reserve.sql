-- Exact quota: who of a batch may be reached now, and the slots given back by definite failures.

-- Gives back the slots that failed messages alone made and still hold; where others keep the slot, or for a message that got no sure answer (its id is
-- then all zeros), the person is in doubt from now on. The caller holds the pool's lock.
create or replace function postrider.give_back_v1(p_tenant int, p_pool int, p_contact bigint[], p_id uuid[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    r record;
    v_minute int;
begin
    -- One row at a time: joined, an empty table's plan walks through the whole pool under its lock.
    for r in select u.contact, u.id from unnest(p_contact, p_id) as u (contact, id) order by u.contact loop
        delete from postrider.reach x
        where x.tenant = p_tenant and x.pool = p_pool and x.contact = r.contact and x.sole = r.id returning x.minute into v_minute;
        if found then
            update postrider.bucket b set n = b.n - 1 where b.tenant = p_tenant and b.pool = p_pool and b.minute = v_minute;
        else
            update postrider.reach x set in_doubt = true
            where x.tenant = p_tenant and x.pool = p_pool and x.contact = r.contact and not x.in_doubt;
        end if;
    end loop;
end $$;

-- The lock and the moment: the pool's stamp never goes back, whatever the clock does.
create or replace function postrider.lock_pool_v1(p_tenant int, p_pool int, out minute int, out people_max int, out reserve int)
    language plpgsql volatile as $$
declare
    v_last bigint;
begin
    select q.last_minute, q.people_max, ceil(q.people_max * q.reserve_pct / 100.0)
    into v_last, people_max, reserve
    from postrider.quota_pool q where q.tenant = p_tenant and q.id = p_pool for update;
    minute := greatest(ceil(extract(epoch from postrider.clock()) / 60), v_last);
    if minute <> v_last then
        update postrider.quota_pool q set last_minute = lock_pool_v1.minute where q.tenant = p_tenant and q.id = p_pool;
    end if;
end $$;

-- Minutes a hit counts: 24 h, and 3 min because the platform counts from the send, not from the claim.
create or replace function postrider.slot_minutes() returns int language sql immutable parallel safe as 'select 1443';

-- People inside the window. Own statement after the lock: a statement that locks and reads at once reads what was before the lock.
create or replace function postrider.pool_used_v1(p_tenant int, p_pool int, p_minute int) returns int
    language sql stable as $$
    select coalesce(sum(b.n), 0)::int from postrider.bucket b
    where b.tenant = p_tenant and b.pool = p_pool and b.minute > p_minute - postrider.slot_minutes()
$$;

-- Admits as many of the batch as the pool has room for and returns the minute; p_denied are positions in the arrays.
-- Contacts must be distinct. Transactional ones go first; marketing leaves the reserve alone. Whoever holds a slot costs none; but in a pool that is over
-- its limit, because that was lowered, only those pass whom the platform surely counts: their last hit is three minutes from leaving the 24 hours and not in doubt.
create or replace function postrider.reserve_v1(
    p_tenant int, p_pool int, p_contact bigint[], p_category smallint[], p_id uuid[],
    p_back_contact bigint[], p_back_id uuid[], out o_minute int, out o_denied int[])
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_pool record;
    v_used int;
    v_old int;
    v_hit boolean[];
    v_was int[];
    v_sole uuid[];
    v_doubt boolean[];
    v_room int;
    v_room_marketing int;
    v_i int;
begin
    select * into v_pool from postrider.lock_pool_v1(p_tenant, p_pool);
    o_minute := v_pool.minute;
    if coalesce(cardinality(p_back_id), 0) > 0 then
        perform postrider.give_back_v1(p_tenant, p_pool, p_back_contact, p_back_id);
    end if;
    v_old := o_minute - postrider.slot_minutes();
    v_used := postrider.pool_used_v1(p_tenant, p_pool, o_minute);

    select array_agg(coalesce(r.minute > v_old, false) order by u.ord), array_agg(r.minute order by u.ord),
           array_agg(r.sole order by u.ord), array_agg(coalesce(r.minute > v_old and r.in_doubt, false) order by u.ord)
    into v_hit, v_was, v_sole, v_doubt
    from unnest(p_contact) with ordinality as u (contact, ord)
    left join lateral (select x.minute, x.sole, x.in_doubt from postrider.reach x
                       where x.tenant = p_tenant and x.pool = p_pool and x.contact = u.contact limit 1) r on true;

    v_room := greatest(coalesce(v_pool.people_max, 2147483647) - v_used, 0);
    v_room_marketing := greatest(coalesce(v_pool.people_max - v_pool.reserve, 2147483647) - v_used, 0);
    select coalesce(array_agg(z.ord), '{}') into o_denied from (
        select y.ord, y.is_marketing, row_number() over (order by y.is_marketing, y.ord) as nth
        from (select u.ord::int, u.category = 1 as is_marketing
              from unnest(p_category, v_hit) with ordinality as u (category, hit, ord) where not u.hit) y) z
    where z.nth > case when z.is_marketing then v_room_marketing else v_room end;
    if v_used > v_pool.people_max then
        select o_denied || coalesce(array_agg(u.ord::int order by u.ord), '{}') into o_denied
        from unnest(v_hit, v_was, v_doubt) with ordinality as u (hit, was, doubt, ord)
        where u.hit and (u.doubt or u.was <= o_minute - 1437);
    end if;

    with admitted as (
        select u.contact, u.id, u.hit, u.was, u.sole, u.doubt
        from unnest(p_contact, p_id, v_hit, v_was, v_sole, v_doubt) with ordinality as u (contact, id, hit, was, sole, doubt, ord)
        where u.ord <> all (o_denied) order by u.contact),
    moved as (
        insert into postrider.reach as r (tenant, pool, contact, minute, sole, in_doubt)
        select p_tenant, p_pool, a.contact, o_minute, case when a.hit and a.sole is distinct from a.id then null else a.id end, a.doubt
        from admitted a order by a.contact
        on conflict (tenant, pool, contact) do update set minute = excluded.minute, sole = excluded.sole, in_doubt = excluded.in_doubt),
    delta as (
        select d.minute, sum(d.n)::int as n
        from (select o_minute as minute, count(*) as n from admitted
              union all
              select a.was, -count(*) from admitted a where a.hit group by a.was) d
        group by d.minute having sum(d.n) <> 0 order by d.minute)
    insert into postrider.bucket as b (tenant, pool, minute, n)
    select p_tenant, p_pool, d.minute, d.n from delta d order by d.minute
    on conflict (tenant, pool, minute) do update set n = b.n + excluded.n;

    delete from postrider.bucket b where b.tenant = p_tenant and b.pool = p_pool and b.minute <= v_old;

    -- Whoever is admitted costs nothing more today: what sleeps for them wakes.
    if exists (select from postrider.deferred d where d.tenant = p_tenant and d.pool = p_pool and d.is_asleep) then
        for v_i in 1 .. coalesce(cardinality(p_contact), 0) loop -- nobody may ask where slots are only given back
            continue when v_hit[v_i] or v_i = any (o_denied);
            update postrider.deferred d set is_asleep = false, due = postrider.clock()
            where d.ctid = any (array(select x.ctid from postrider.deferred x
                                      where x.tenant = p_tenant and x.contact = p_contact[v_i] and x.pool = p_pool and x.is_asleep
                                      for update skip locked)); -- who holds it may be waiting for this pool
        end loop;
    end if;
end $$;

-- The slots and hits of definite failures when no claim of the pool comes along to give them back. Rows of people are locked before the pool, as in the claim.
create or replace function postrider.release_v1(p_tenant int, p_pool int, p_contact bigint[], p_id uuid[]) returns void
    language plpgsql volatile as $$
begin
    if exists (select from postrider.policy p where p.tenant = p_tenant and cardinality(p.cap_n) > 0) then
        perform postrider.cap_lock_v1(p_tenant, '{}', '{}', p_contact, p_id);
        perform postrider.cap_give_back_v1(p_tenant, p_contact, p_id);
    end if;
    perform postrider.lock_pool_v1(p_tenant, p_pool);
    perform postrider.give_back_v1(p_tenant, p_pool, p_contact, p_id);
end $$;

-- The people who have slept longest, at most p_people of them; p_class 0 transactional, 1 marketing. One person has few rows, so the oldest eight
-- times as many rows are looked at; o_is_all says that there were no more.
create or replace function postrider.sleepers_v1(p_tenant int, p_pool int, p_class int, p_people int, out o_people bigint[], out o_is_all boolean)
    language plpgsql stable
    set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    v_rows bigint := least(8 * p_people::bigint, 1000000);
begin
    select coalesce(array_agg(z.contact order by z.oldest) filter (where z.nth <= p_people), '{}'), coalesce(sum(z.n), 0) < v_rows
    into o_people, o_is_all
    from (select y.contact, min(y.since) as oldest, count(*) as n, row_number() over (order by min(y.since)) as nth
          from (select d.contact, d.since from postrider.deferred d
                where d.tenant = p_tenant and d.pool = p_pool and d.is_asleep and (d.category = 1)::int = p_class
                order by d.since limit v_rows) y
          group by y.contact) z;
end $$;

-- Wakes people who sleep for quota: at most the room minus those awake already, transactional first, oldest first, each with
-- all that waits for them, and at most a thousand of them, because outcomes wait for this. A pool that another process is at is left to it.
create or replace function postrider.wake_v1(p_tenant int, p_pool int) returns bigint
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
declare
    v_most constant int := 1000;
    v_pool record;
    v_free int;
    v_awake int;
    v_people bigint[];
    v_more bigint[];
    v_is_all boolean;
    v_woken bigint := 0;
    v_n bigint;
begin
    perform from postrider.quota_pool q where q.tenant = p_tenant and q.id = p_pool for update skip locked;
    if not found then
        return 0;
    end if;
    select * into v_pool from postrider.lock_pool_v1(p_tenant, p_pool);
    v_free := coalesce(v_pool.people_max, 1000000) - postrider.pool_used_v1(p_tenant, p_pool, v_pool.minute);
    select count(distinct d.contact) into v_awake from postrider.deferred d
    where d.tenant = p_tenant and d.pool = p_pool and d.reason = 'quota' and not d.is_asleep;
    v_free := v_free - v_awake;
    if v_free <= 0 then
        return 0;
    end if;
    select * into v_people, v_is_all from postrider.sleepers_v1(p_tenant, p_pool, 0, least(v_free, v_most));
    v_free := least(v_free - cardinality(v_people) - coalesce(v_pool.reserve, 0), v_most - cardinality(v_people));
    if v_is_all and v_free > 0 then
        select * into v_more, v_is_all from postrider.sleepers_v1(p_tenant, p_pool, 1, v_free);
        v_people := v_people || v_more;
    end if;
    for v_i in 1 .. cardinality(v_people) loop
        update postrider.deferred d set is_asleep = false, due = postrider.clock()
        where d.ctid = any (array(select x.ctid from postrider.deferred x
                                  where x.tenant = p_tenant and x.contact = v_people[v_i] and x.pool = p_pool and x.is_asleep
                                  for update skip locked)); -- who holds it may be waiting for this pool
        get diagnostics v_n = row_count;
        v_woken := v_woken + v_n;
    end loop;
    return v_woken;
end $$;
