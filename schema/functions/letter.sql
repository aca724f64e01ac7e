-- Dead letters: written with their bytes, sent back, emptied.

-- How often a record was redriven, as the header says that `postrider deadletter redrive` puts on it; 0 when none does.
create or replace function postrider.redrives_of_v1(p_names bytea[], p_values bytea[]) returns int language sql immutable as $$
    select coalesce(max(encode(h.value, 'escape')::int), 0) from unnest(p_names, p_values) as h (name, value)
    where h.name = convert_to('postrider-redrives', 'UTF8') and encode(h.value, 'escape') ~ '^[0-9]{1,6}$'
$$;

-- One dead letter with its bytes and headers. p_id: the message whose deferred row (p_gen) it ends, null otherwise; owner, epoch and number are those of
-- the claim that was refused. Dead is only what cannot have been sent. A message that was redriven and failed again finds the letter of its origin
-- there, which is open again; nothing else changes a letter that is there.
create or replace function postrider.dead_v1(
    p_kafka_at timestamptz, p_topic smallint, p_part int, p_off bigint, p_reason text, p_detail text, p_key bytea, p_value bytea,
    p_header_names bytea[], p_header_values bytea[], p_type text, p_tenant int, p_day date, p_id uuid, p_gen int, p_owner int, p_epoch int,
    p_claim_no bigint)
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    m record;
    v_part int := p_part;
    v_state smallint;
    v_has_row boolean := false;
begin
    if p_id is not null then
        select x.* into m from postrider.message x
        where x.tenant = p_tenant and x.day = p_day and x.id = p_id and x.gen = p_gen for no key update;
        v_state := case when m.state in (2, 3, 5) or m.state = 1 and m.owner = p_owner and m.epoch = p_epoch and m.claim_no = p_claim_no then 10
                        when m.state = 4 or m.state = 1 and not postrider.is_alive_v1(m.owner, m.epoch) then 4 end;
        if v_state is not null then
            v_has_row := true;
            if p_gen > 0 then
                v_part := m.part; -- what waited may have moved to another partition since; its origin did not
            end if;
            update postrider.message x set state = v_state, reason = case when v_state = 10 then p_reason when m.state = 1 then 'unknown' else x.reason end
            where x.tenant = p_tenant and x.day = p_day and x.id = p_id;
        end if;
        if v_has_row or m.state is distinct from 1 then -- else somebody who lives has it in work
            delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen;
        end if;
    end if;
    insert into postrider.dead_letter as l (day, topic, part, off, reason, detail, kafka_at, key, value, header_names, header_values, at,
                                            tenant, type, message_day, message, redrives)
    values (postrider.origin_day_v1('dead_letter', p_kafka_at), p_topic, v_part, p_off, p_reason, p_detail, p_kafka_at, p_key, p_value,
            p_header_names, p_header_values, postrider.clock(), p_tenant, p_type, case when v_has_row then p_day end,
            case when v_has_row then p_id end, postrider.redrives_of_v1(p_header_names, p_header_values))
    on conflict (day, topic, part, off) do update
        set reason = excluded.reason, detail = excluded.detail, at = excluded.at, redriven_at = null, message_day = excluded.message_day,
            message = excluded.message, purged_at = null, -- a letter that was emptied meanwhile gets its record back
            key = case when l.purged_at is null then l.key else excluded.key end,
            value = case when l.purged_at is null then l.value else excluded.value end,
            header_names = case when l.purged_at is null then l.header_names else excluded.header_names end,
            header_values = case when l.purged_at is null then l.header_values else excluded.header_values end
        where v_has_row;
end $$;

-- Sends the message of a letter back to its lane, in one transaction: p_payload, its record, waits as due; the row says so. Returns what was done:
-- 'redriven'; 'often': p_most times already; 'settled': it is no longer dead, or was redriven, or its letter purged; 'gone': no such letter or message.
-- The message is locked before its letter, as in dead_v1.
create or replace function postrider.redrive_v1(p_day date, p_topic smallint, p_part int, p_off bigint, p_payload bytea, p_most int)
    returns text language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    l record;
    m record;
    v_now timestamptz := postrider.clock();
begin
    select x.tenant, x.message_day, x.message into l from postrider.dead_letter x
    where x.day = p_day and x.topic = p_topic and x.part = p_part and x.off = p_off and x.message is not null;
    if not found then
        return 'gone';
    end if;
    select x.* into m from postrider.message x
    where x.tenant = l.tenant and x.day = l.message_day and x.id = l.message for no key update;
    if not found then
        return 'gone';
    end if;
    select x.* into l from postrider.dead_letter x
    where x.day = p_day and x.topic = p_topic and x.part = p_part and x.off = p_off for no key update;
    if not found or l.redriven_at is not null or l.purged_at is not null or m.state not in (4, 10) then
        return 'settled';
    end if;
    if exists (select from postrider.outcome o where o.tenant = m.tenant and o.day = m.day and o.id = m.id and o.kind = 1) then
        return 'settled';
    end if;
    if m.state = 4 and exists (select from postrider.deferred d where d.tenant = m.tenant and d.day = m.day and d.id = m.id) then
        return 'settled';
    end if;
    if l.redrives >= p_most then
        return 'often';
    end if;
    -- An unknown waits as one: whether it may be sent again is for the verdict to say, not for us.
    update postrider.message x
    set gen = x.gen + 1, state = case m.state when 4 then 4 else 5 end, reason = case m.state when 4 then x.reason end
    where x.tenant = m.tenant and x.day = m.day and x.id = m.id;
    insert into postrider.deferred (tenant, day, id, gen, part, due, reason, since, event_at, kafka_at, contact, category, pool, topic, off, rule,
                                    subject, payload)
    values (m.tenant, m.day, m.id, m.gen + 1, m.part, v_now, case m.state when 4 then 'unknown' else 'redriven' end, v_now, m.event_at, l.kafka_at,
            m.contact, m.category, m.pool, m.topic, m.off, m.rule, m.subject, p_payload);
    update postrider.dead_letter x set redriven_at = v_now, redrives = x.redrives + 1
    where x.day = p_day and x.topic = p_topic and x.part = p_part and x.off = p_off;
    return 'redriven';
end $$;

-- Letters that are on Kafka again. Returns how many were still open.
create or replace function postrider.redriven_v1(p_day date[], p_topic smallint[], p_part int[], p_off bigint[])
    returns int language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_n int := 0;
    r record;
begin
    for r in select u.* from unnest(p_day, p_topic, p_part, p_off) as u (day, topic, part, off) order by 1, 2, 3, 4 loop
        update postrider.dead_letter l set redriven_at = postrider.clock(), redrives = l.redrives + 1
        where l.day = r.day and l.topic = r.topic and l.part = r.part and l.off = r.off and l.redriven_at is null;
        v_n := v_n + found::int;
    end loop;
    return v_n;
end $$;

-- Empties letters: bytes, headers and the sentence about them go. The row stays until its day is dropped, because the offset's fate is that it was a
-- dead letter, and because a record that is read again must not come back as a new one. Returns how many were not empty yet.
create or replace function postrider.purge_v1(p_day date[], p_topic smallint[], p_part int[], p_off bigint[])
    returns int language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_n int := 0;
    r record;
begin
    for r in select u.* from unnest(p_day, p_topic, p_part, p_off) as u (day, topic, part, off) order by 1, 2, 3, 4 loop
        update postrider.dead_letter l
        set key = null, value = null, header_names = '{}', header_values = '{}', detail = '', purged_at = postrider.clock()
        where l.day = r.day and l.topic = r.topic and l.part = r.part and l.off = r.off and l.purged_at is null;
        v_n := v_n + found::int;
    end loop;
    return v_n;
end $$;
