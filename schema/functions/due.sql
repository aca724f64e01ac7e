-- What comes back from `deferred`, read by the lane that owns its partition.

-- Rows that are due and nobody living has taken, in order of (due, id) behind the last one read, so that a slow sender's rows do not hide others.
create or replace function postrider.due_v1(p_parts int[], p_after_due timestamptz, p_after_id uuid, p_limit int)
    returns table (tenant int, day date, id uuid, gen int, part int, due timestamptz, reason text, since timestamptz, kafka_at timestamptz,
                   waited_ms bigint, topic smallint, off bigint, attempt int, tries int, late_ms bigint, payload bytea)
    language plpgsql volatile -- not SQL: its plan over all the ledger's days would be made at every call
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
begin
    return query
    select d.tenant, d.day, d.id, d.gen, d.part, d.due, d.reason, d.since, d.kafka_at, d.waited_ms, d.topic, d.off,
           coalesce(m.attempt, 0), coalesce(m.tries, 0), (extract(epoch from postrider.clock() - d.due) * 1000)::bigint, d.payload
    from unnest(p_parts) as p (part)
    cross join lateral (
        select x.* from postrider.deferred x
        where x.part = p.part and x.due <= (select postrider.clock()) and (x.due, x.id) > (p_after_due, p_after_id)
          and (x.taken_owner is null or not postrider.is_alive_v1(x.taken_owner, x.taken_epoch))
        order by x.due, x.id limit p_limit) d
    left join lateral (select y.attempt, y.tries from postrider.message y
                       where y.tenant = d.tenant and y.day = d.day and y.id = d.id limit 1) m on true
    order by d.due, d.id limit p_limit;
end $$;

-- Pools that somebody sleeps for.
create or replace function postrider.sleeping_pools_v1() returns table (tenant int, pool int) language sql stable
    set jit = off set enable_seqscan = off set enable_bitmapscan = off as $$
    select q.tenant, q.id from postrider.quota_pool q
    cross join lateral (select from postrider.deferred d where d.tenant = q.tenant and d.pool = q.id and d.is_asleep limit 1) x
$$;

-- The number of partitions a topic has now. True when it changed and waiting rows must be given to other partitions first.
create or replace function postrider.topic_v1(p_name text, p_partitions int)
    returns table (id smallint, was int) language plpgsql volatile as $$
#variable_conflict use_column
begin
    insert into postrider.topic (name, partitions) values (p_name, null) on conflict (name) do nothing;
    return query select t.id, t.partitions from postrider.topic t where t.name = p_name for update;
end $$;
