-- The ends of jobs: outcomes of attempts, what leaves the lane to come back, what is written back, fates without a message row.

-- Outcomes of one tenant and day. A definite answer is a fact and is written whoever owns the row. p_gen over 0 with a final kind ends the
-- deferred row of that gen. p_opt_out: contacts who stopped marketing, with the category's bit taken away.
create or replace function postrider.settle_v1(
    p_tenant int, p_day date, p_id uuid[], p_attempt int[], p_kind smallint[], p_code int[], p_http smallint[], p_sender int[],
    p_template int[], p_latency_ms int[], p_reason text[], p_wamid text[], p_gen int[], p_opt_out bigint[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
begin
    insert into postrider.outcome (tenant, day, id, attempt, kind, code, http, sender, template, latency_ms, at, reason, wamid)
    select p_tenant, p_day, u.id, u.attempt, u.kind, u.code, u.http, u.sender, u.template, u.latency_ms, v_now, u.reason, u.wamid
    from unnest(p_id, p_attempt, p_kind, p_code, p_http, p_sender, p_template, p_latency_ms, p_reason, p_wamid)
         as u (id, attempt, kind, code, http, sender, template, latency_ms, reason, wamid)
    order by u.id, u.attempt
    on conflict do nothing;

    delete from postrider.deferred d using unnest(p_id, p_gen, p_kind) as u (id, gen, kind)
    where u.gen > 0 and u.kind in (1, 4) and d.tenant = p_tenant and d.day = p_day and d.id = u.id and d.gen = u.gen;

    if cardinality(p_opt_out) > 0 then
        insert into postrider.consent (tenant, contact, category, event, at, is_granted, how)
        select p_tenant, u.contact, 1, u.id, v_now, false, 'platform'
        from unnest(p_opt_out, p_id) as u (contact, id) where u.contact > 0
        on conflict do nothing;
        perform postrider.refresh_consent_v1(p_tenant, p_opt_out);
    end if;
end $$;

-- Jobs that were decided after the claim without an attempt: rendering refused them. Only the owner may.
create or replace function postrider.refuse_v1(p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[], p_reason text[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    update postrider.message m set state = 7, reason = u.reason
    from unnest(p_id, p_gen, p_reason) as u (id, gen, reason)
    where m.tenant = p_tenant and m.day = p_day and m.id = u.id and m.gen = u.gen and m.state = 1
      and m.owner = p_owner and m.epoch = p_epoch;
    delete from postrider.deferred d using unnest(p_id, p_gen) as u (id, gen)
    where u.gen > 0 and d.tenant = p_tenant and d.day = p_day and d.id = u.id and d.gen = u.gen;
end $$;

-- Leaves the lane to come back: message row and payload in one transaction. p_state 3 (deferred) or 4 (unknown) is written only while the row is ours
-- and of our gen; p_orphan says that the row is a dead epoch's instead. Due null: asleep until the pool wakes it. A row that moved on stays as it is.
create or replace function postrider.park_v1(
    p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[], p_state smallint[], p_orphan boolean[], p_reason text[],
    p_due timestamptz[], p_wait_ms bigint[], p_expiry timestamptz[], p_since timestamptz[], p_kafka_at timestamptz[], p_attempt int[],
    p_tries int[], p_waited_ms bigint[], p_payload bytea[])
    returns table (id uuid) language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_now timestamptz := postrider.clock();
begin
    return query
    with work as (
        select u.* from unnest(p_id, p_gen, p_state, p_orphan, p_reason, p_due, p_wait_ms, p_expiry, p_since, p_kafka_at, p_attempt, p_tries,
                               p_waited_ms, p_payload)
            as u (id, gen, state, orphan, reason, due, wait_ms, expiry, since, kafka_at, attempt, tries, waited_ms, payload)
        order by u.id),
    moved as (
        update postrider.message m
        set gen = m.gen + 1, state = w.state, reason = w.reason, tries = greatest(m.tries, w.tries),
            attempt = case when w.orphan then 1 + greatest(m.attempt, coalesce((
                          select max(o.attempt) from postrider.outcome o
                          where o.tenant = p_tenant and o.day = p_day and o.id = m.id), 0))
                      else greatest(m.attempt, w.attempt) end
        from work w
        where m.tenant = p_tenant and m.day = p_day and m.id = w.id and m.gen = w.gen
          and case when w.orphan then m.state = 1 and not postrider.is_alive_v1(m.owner, m.epoch)
                   else m.state in (1, 3) and m.owner = p_owner and m.epoch = p_epoch end
        returning m.*),
    gone as (
        delete from postrider.deferred d using moved
        where moved.gen > 1 and d.tenant = p_tenant and d.day = p_day and d.id = moved.id and d.gen = moved.gen - 1),
    kept as (
        insert into postrider.deferred (tenant, day, id, gen, part, due, is_asleep, reason, since, event_at, kafka_at, contact, category, pool,
                                        waited_ms, topic, off, rule, subject, payload)
        select p_tenant, p_day, m.id, m.gen, m.part,
               case when w.reason = 'quota' then coalesce(w.expiry, 'infinity')
                    else coalesce(w.due, v_now + w.wait_ms * interval '1 ms') end,
               w.reason = 'quota', w.reason, coalesce(w.since, v_now), m.event_at, w.kafka_at, m.contact, m.category, m.pool, w.waited_ms,
               m.topic, m.off, m.rule, m.subject, w.payload
        from moved m join work w on w.id = m.id
        returning id)
    select kept.id from kept;
end $$;

-- Claimed and not handed to curl: gen kept, taken mark cleared, no offset settled.
create or replace function postrider.unclaim_v1(p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    update postrider.message m set state = 2
    from unnest(p_id, p_gen) as u (id, gen)
    where m.tenant = p_tenant and m.day = p_day and m.id = u.id and m.gen = u.gen and m.state = 1
      and m.owner = p_owner and m.epoch = p_epoch;
    update postrider.deferred d set taken_owner = null, taken_epoch = null
    from unnest(p_id, p_gen) as u (id, gen)
    where d.tenant = p_tenant and d.day = p_day and d.id = u.id and d.gen = u.gen and d.taken_owner = p_owner and d.taken_epoch = p_epoch;
end $$;

-- Fates without a message row, keyed by origin, so that a redelivery adds nothing.
create or replace function postrider.aside_v1(
    p_kafka_at timestamptz[], p_topic smallint[], p_part int[], p_off bigint[], p_kind text[], p_reason text[], p_tenant int[], p_type text[],
    p_id uuid[])
    returns void language sql volatile as $$
    insert into postrider.aside (day, topic, part, off, kind, reason, tenant, type, id, at)
    select postrider.origin_day_v1(u.kafka_at), u.topic, u.part, u.off, u.kind, u.reason, u.tenant, u.type, u.id, postrider.clock()
    from unnest(p_kafka_at, p_topic, p_part, p_off, p_kind, p_reason, p_tenant, p_type, p_id)
         as u (kafka_at, topic, part, off, kind, reason, tenant, type, id)
    order by u.topic, u.part, u.off
    on conflict do nothing
$$;

-- One dead letter with its bytes and headers. p_id: the message whose deferred row (p_gen) it ends, null otherwise.
create or replace function postrider.dead_v1(
    p_kafka_at timestamptz, p_topic smallint, p_part int, p_off bigint, p_reason text, p_detail text, p_key bytea, p_value bytea,
    p_header_names text[], p_header_values bytea[], p_tenant int, p_day date, p_id uuid, p_gen int)
    returns void language plpgsql volatile as $$
begin
    insert into postrider.dead_letter (day, topic, part, off, reason, detail, kafka_at, key, value, header_names, header_values, at)
    values (postrider.origin_day_v1(p_kafka_at), p_topic, p_part, p_off, p_reason, p_detail, p_kafka_at, p_key, p_value, p_header_names,
            p_header_values, postrider.clock())
    on conflict do nothing;
    if p_id is not null then
        update postrider.message m set state = 10, reason = p_reason
        where m.tenant = p_tenant and m.day = p_day and m.id = p_id and m.gen = p_gen and m.state in (1, 2, 3, 5);
        delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen;
    end if;
end $$;

-- The partition of an origin: the day of Kafka's timestamp, or the undated one when a publisher's clock was wild.
create or replace function postrider.origin_day_v1(p_kafka_at timestamptz) returns date
    language sql stable as $$
    select case when p_kafka_at between now() - interval '29 days' and now() + interval '1 day'
                then (p_kafka_at at time zone 'UTC')::date else date '1970-01-01' end
$$;
