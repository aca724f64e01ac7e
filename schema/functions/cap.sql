-- Frequency caps: how many messages of a category one person may get in a moving window, whatever pool, lane or dispatcher they go by.

-- A hit is of the claim, the platform's acceptance comes up to a minute later (a short retry waits in the lane): the window is longer by that.
create or replace function postrider.cap_slack() returns interval language sql immutable parallel safe as $$ select interval '1 minute' $$;

-- Locks the rows of those who ask and of those who give back, in key order, and makes what is not there. A conflict that updates nothing
-- locks all the same, and one statement for both kinds cannot meet another one crosswise.
create or replace function postrider.cap_lock_v1(
    p_tenant int, p_contact bigint[], p_category smallint[], p_back_contact bigint[], p_back_id uuid[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
begin
    insert into postrider.freq as f (tenant, contact, category)
    select p_tenant, k.contact, k.category
    from (select u.contact, u.category from unnest(p_contact, p_category) as u (contact, category)
          union
          select b.contact, h.category from unnest(p_back_contact, p_back_id) as b (contact, id)
          cross join lateral (select x.category from postrider.freq x
                              where x.tenant = p_tenant and x.contact = b.contact and b.id = any (x.id) limit 4) h) k
    order by k.contact, k.category
    on conflict (tenant, contact, category) do update set contact = excluded.contact where false;
end $$;

-- The hits of definite failures. The caller has their rows locked.
create or replace function postrider.cap_give_back_v1(p_tenant int, p_contact bigint[], p_id uuid[]) returns void
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    r record;
begin
    for r in select u.contact, u.id from unnest(p_contact, p_id) as u (contact, id) loop
        update postrider.freq f
        set at = array(select h.at from unnest(f.at, f.id) with ordinality as h (at, id, ord) where h.id <> r.id order by h.ord),
            id = array_remove(f.id, r.id)
        where f.tenant = p_tenant and f.contact = r.contact and r.id = any (f.id);
    end loop;
end $$;

-- Whom the caps refuse now, and the moment that lets them go. Of each cap it is the hit that must leave its window first.
create or replace function postrider.cap_until_v1(p_tenant int, p_contact bigint[], p_category smallint[], p_id uuid[])
    returns table (ord int, until timestamptz) language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_category smallint[];
    v_n int[];
    v_lasts interval[];
begin
    select array_agg(p.category), array_agg(c.n), array_agg(c.s * interval '1 second' + postrider.cap_slack()) into v_category, v_n, v_lasts
    from postrider.policy p cross join lateral unnest(p.cap_n, p.cap_s) as c (n, s) where p.tenant = p_tenant;
    return query
    select u.ord::int, max(w.at + c.lasts)
    from unnest(p_contact, p_category, p_id) with ordinality as u (contact, category, id, ord)
    cross join lateral (select x.at, x.id from postrider.freq x
                        where x.tenant = p_tenant and x.contact = u.contact and x.category = u.category limit 1) f
    cross join lateral unnest(v_category, v_n, v_lasts) as c (category, n, lasts)
    cross join lateral (select h.at from unnest(f.at, f.id) as h (at, id) where h.id <> u.id order by h.at desc offset c.n - 1 limit 1) w
    where c.category = u.category and cardinality(f.at) >= c.n and w.at + c.lasts > postrider.clock()
    group by u.ord;
end $$;

-- The same for a batch of the claim, under the locks of its people: contacts and categories must be distinct pairs. The hits of definite failures are given
-- back first.
create or replace function postrider.cap_v1(
    p_tenant int, p_contact bigint[], p_category smallint[], p_id uuid[], p_back_contact bigint[], p_back_id uuid[])
    returns table (ord int, until timestamptz) language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
begin
    perform postrider.cap_lock_v1(p_tenant, p_contact, p_category, p_back_contact, p_back_id);
    if coalesce(cardinality(p_back_id), 0) > 0 then
        perform postrider.cap_give_back_v1(p_tenant, p_back_contact, p_back_id);
    end if;
    -- In a statement behind the lock, so that it sees what was committed while this waited.
    return query select c.* from postrider.cap_until_v1(p_tenant, p_contact, p_category, p_id) c;
end $$;

-- A hit for each who was admitted in the end. The rows are locked by cap_v1; what no window needs any more leaves them. A hit is never older than the
-- newest that is there, whatever the clock does.
create or replace function postrider.cap_hit_v1(p_tenant int, p_contact bigint[], p_category smallint[], p_id uuid[]) returns void
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
    v_oldest timestamptz[]; -- that a window of the category needs; by category + 1
begin
    select array_agg(v_now - c.lasts - postrider.cap_slack() order by g.category) into v_oldest
    from generate_series(0, 3) as g (category)
    left join lateral (select max(s.s) * interval '1 second' as lasts from postrider.policy p, unnest(p.cap_s) as s (s)
                       where p.tenant = p_tenant and p.category = g.category) c on true;
    insert into postrider.freq as f (tenant, contact, category, at, id)
    select p_tenant, u.contact, u.category, h.at || greatest(v_now, h.at[cardinality(h.at)]), h.id || u.id
    from unnest(p_contact, p_category, p_id) as u (contact, category, id)
    cross join lateral (select coalesce(array_agg(k.at order by k.ord), '{}') as at, coalesce(array_agg(k.id order by k.ord), '{}') as id
                        from postrider.freq x, unnest(x.at, x.id) with ordinality as k (at, id, ord)
                        where x.tenant = p_tenant and x.contact = u.contact and x.category = u.category
                          and k.id <> u.id and k.at > v_oldest[u.category + 1]) h
    order by u.contact, u.category
    on conflict (tenant, contact, category) do update set at = excluded.at, id = excluded.id;
end $$;

-- What no window needs any more. Rows that a claim has locked are left for the next time: they are in use.
create or replace function postrider.cap_tidy_v1() returns void language sql volatile as $$
    delete from postrider.freq f
    where f.ctid = any (array(
        select x.ctid from postrider.freq x
        left join (select p.tenant, p.category, (select max(c.s) from unnest(p.cap_s) as c (s)) * interval '1 second' as lasts
                   from postrider.policy p) w using (tenant, category)
        where coalesce(x.at[cardinality(x.at)] <= postrider.clock() - w.lasts - postrider.cap_slack(), true)
        for update of x skip locked))
$$;
