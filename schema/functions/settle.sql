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
    v_row record;
    v_who bigint[] := array(select distinct u.x from unnest(p_opt_out) as u (x) where u.x > 0 order by 1);
begin
    insert into postrider.outcome as o (tenant, day, id, attempt, kind, code, http, sender, template, latency_ms, at, reason, wamid)
    select p_tenant, p_day, u.id, u.attempt, u.kind, u.code, u.http, u.sender, u.template, u.latency_ms, v_now, u.reason, u.wamid
    from unnest(p_id, p_attempt, p_kind, p_code, p_http, p_sender, p_template, p_latency_ms, p_reason, p_wamid)
         as u (id, attempt, kind, code, http, sender, template, latency_ms, reason, wamid)
    order by u.id, u.attempt
    on conflict (tenant, day, id, attempt) do update -- a receipt was faster: the answer knows more
        set kind = excluded.kind, code = excluded.code, http = excluded.http, template = excluded.template, latency_ms = excluded.latency_ms,
            reason = excluded.reason, wamid = coalesce(excluded.wamid, o.wamid)
        where o.reason = 'receipt' and excluded.kind = 1 or o.kind = 7 and excluded.kind in (1, 4);

    for v_row in select u.id, u.gen from unnest(p_id, p_gen, p_kind) as u (id, gen, kind) where u.gen > 0 and u.kind in (1, 4) loop
        delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = v_row.id and d.gen = v_row.gen;
    end loop;

    if cardinality(v_who) > 0 then
        insert into postrider.consent (tenant, contact, category, event, at, is_granted, how)
        select p_tenant, u.contact, 1, u.id, v_now, false, 'platform'
        from unnest(p_opt_out, p_id) as u (contact, id) where u.contact > 0
        on conflict do nothing;
        perform postrider.refresh_consent_v1(p_tenant, v_who);
    end if;
end $$;

-- Jobs that were decided after the claim without an attempt: rendering refused them. Only the owner may. Row by row, as all that follows: a join on a
-- partition that was never analysed becomes a scan of it (measured: 230 ms for 1,000 rows in a partition of 600,000, and growing).
create or replace function postrider.refuse_v1(p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[], p_reason text[],
    p_claim_no bigint[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_state smallint;
begin
    for i in 1 .. cardinality(p_id) loop
        update postrider.message m
        set state = case when m.resends = 0 then 7 else 4 end, reason = case when m.resends = 0 then p_reason[i] else 'unknown' end
        where m.tenant = p_tenant and m.day = p_day and m.id = p_id[i] and m.gen = p_gen[i] and m.state = 1
          and m.owner = p_owner and m.epoch = p_epoch and m.claim_no = p_claim_no[i]
        returning m.state into v_state;
        if v_state = 4 then -- a resend: its first attempt may have reached the person, whatever stands against another one
            update postrider.deferred d
            set taken_owner = null, taken_epoch = null, reason = 'unknown', due = postrider.clock() + interval '30 seconds'
            where d.tenant = p_tenant and d.day = p_day and d.id = p_id[i] and d.gen = p_gen[i];
        elsif v_state = 7 and p_gen[i] > 0 then
            delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id[i] and d.gen = p_gen[i];
        end if;
    end loop;
end $$;

-- The state of a claimed row whose claim came to nothing: written back. But a resend is again what it was: an unknown, or one that a person let go.
create or replace function postrider.state_back_v1(p_tenant int, p_day date, p_id uuid, p_gen int, p_resends smallint) returns smallint
    language sql stable as $$
    select (case when p_resends = 0 then 2
                 when exists (select from postrider.deferred d
                              where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen and d.reason = 'resolved') then 5
                 else 4 end)::smallint
$$;

-- Leaves the lane to come back: message row and payload in one transaction. p_state 3 (deferred) or 4 (unknown) is written only while the row is ours
-- and of our gen; p_orphan says that the row is a dead epoch's instead. Due null: p_wait_ms from now. Asleep until the pool wakes it when the
-- reason is quota. A resend that is put off is no ordinary deferral: it is the unknown again that it was. A row that moved on stays as it is. Returns
-- the ids that were moved.
--
-- All rows at once, for bulk is put off by the hundred thousand: an update of each takes 60 us, nearly all of it to open every day's partition. It is
-- written as an upsert, of rows that are there and locked, because that finds them by the key; an update joined to a list reads a whole partition when
-- that was never analysed.
create or replace function postrider.park_v1(
    p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[], p_state smallint[], p_orphan boolean[], p_reason text[],
    p_due timestamptz[], p_wait_ms bigint[], p_expiry timestamptz[], p_since timestamptz[], p_kafka_at timestamptz[], p_attempt int[],
    p_tries int[], p_waited_ms bigint[], p_payload bytea[], p_claim_no bigint[])
    returns table (id uuid) language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_now timestamptz := postrider.clock();
    v_moved postrider.message[];
    m postrider.message;
begin
    with moved as (
        insert into postrider.message as x (tenant, day, id, contact, state, category, gen, attempt, tries, resends, owner, epoch, claim_no, pool,
                                            sender, part, off, topic, at, event_at, rule, type, subject, reason)
        select m.tenant, m.day, m.id, m.contact, s.state, m.category, m.gen + 1, greatest(m.attempt + u.orphan::int, a.attempt),
               greatest(m.tries, u.tries), m.resends - (u.state = 3 and s.state = 4)::int::smallint, m.owner, m.epoch, m.claim_no, m.pool,
               m.sender, m.part, m.off, m.topic, m.at, m.event_at, m.rule, m.type, m.subject,
               case when s.state = u.state then u.reason when s.state = 4 then 'unknown' else 'resolved' end
        from (select * from unnest(p_id, p_gen, p_claim_no, p_orphan, p_state, p_reason, p_tries, p_attempt)
                  as u (id, gen, claim_no, orphan, state, reason, tries, attempt) order by u.id) u
        cross join lateral (select x.* from postrider.message x
                            where x.tenant = p_tenant and x.day = p_day and x.id = u.id and x.gen = u.gen
                              and case when u.orphan then x.state = 1 and not postrider.is_alive_v1(x.owner, x.epoch)
                                       else x.state in (1, 3) and x.owner = p_owner and x.epoch = p_epoch and x.claim_no = u.claim_no end
                            limit 1 for no key update) m
        cross join lateral (select case when u.state = 3 and u.gen > 0 and m.resends > 0
                                        then postrider.state_back_v1(p_tenant, p_day, u.id, u.gen, m.resends) else u.state end as state) s
        -- Of an orphan the attempts are known only as far as they were recorded; one more may have been under way.
        cross join lateral (select case when u.orphan then 1 + coalesce((select max(o.attempt) from postrider.outcome o
                                                                         where o.tenant = p_tenant and o.day = p_day and o.id = u.id), 0)
                                        else u.attempt end as attempt) a
        on conflict (tenant, day, id) do update
            set gen = excluded.gen, state = excluded.state, reason = excluded.reason, attempt = excluded.attempt, tries = excluded.tries,
                resends = excluded.resends
        returning x as row)
    select array_agg(moved.row) into v_moved from moved;

    for m in select u.* from unnest(v_moved) as u where u.gen > 1 loop
        delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = m.id and d.gen = m.gen - 1;
    end loop;
    -- Those whose receipt came first do not come back. Looked for under the rows' locks, which a receipt takes too.
    for m in select u.* from unnest(v_moved) as u cross join lateral (
        select from postrider.outcome o where o.tenant = p_tenant and o.day = p_day and o.id = u.id and o.kind = 1 limit 1) o
    loop
        update postrider.message x set state = 6, reason = 'receipt' where x.tenant = p_tenant and x.day = p_day and x.id = m.id;
        v_moved := array_remove(v_moved, m);
    end loop;
    return query
    insert into postrider.deferred (tenant, day, id, gen, part, due, is_asleep, reason, since, event_at, kafka_at, contact, category, pool,
                                    waited_ms, topic, off, rule, subject, payload)
    select p_tenant, p_day, m.id, m.gen, m.part,
           case when m.reason = 'quota' then coalesce(u.expiry, 'infinity') else coalesce(u.due, v_now + u.wait_ms * interval '1 ms') end,
           m.reason = 'quota', m.reason, coalesce(u.since, v_now), m.event_at, u.kafka_at, m.contact, m.category, m.pool,
           u.waited_ms, m.topic, m.off, m.rule, m.subject, u.payload
    from unnest(p_id, p_gen, p_due, p_wait_ms, p_expiry, p_since, p_kafka_at, p_waited_ms, p_payload)
         as u (id, gen, due, wait_ms, expiry, since, kafka_at, waited_ms, payload)
    join unnest(v_moved) as m on m.id = u.id and m.gen = u.gen + 1
    returning deferred.id;
end $$;

-- Others took a message for perhaps sent while its owner was frozen; the owner, awake again, says that it never was. It waits no longer, unless somebody
-- has claimed it since. A resend stays unknown: what came before it may have been sent.
create or replace function postrider.not_sent_v1(p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid, p_gen int, p_claim_no bigint)
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
begin
    update postrider.message m set state = 3, reason = 'unclaimed'
    where m.tenant = p_tenant and m.day = p_day and m.id = p_id and m.gen = p_gen + 1 and m.state = 4 and m.resends = 0
      and m.owner = p_owner and m.epoch = p_epoch and m.claim_no = p_claim_no;
    if found then
        update postrider.deferred d set due = postrider.clock(), reason = 'unclaimed'
        where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen + 1;
    end if;
end $$;

-- Claimed and not handed to curl: gen kept, taken mark cleared, no offset settled. A resend is again what it was. By the claim's number, not by the
-- owner alone: another lane of the same process may have claimed the id since, and may have it on the wire.
create or replace function postrider.unclaim_v1(
    p_tenant int, p_day date, p_owner int, p_epoch int, p_id uuid[], p_gen int[], p_claim_no bigint[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_resends smallint;
begin
    for i in 1 .. cardinality(p_id) loop
        update postrider.message m set state = 2
        where m.tenant = p_tenant and m.day = p_day and m.id = p_id[i] and m.gen = p_gen[i] and m.state = 1
          and m.owner = p_owner and m.epoch = p_epoch and m.claim_no = p_claim_no[i]
        returning m.resends into v_resends;
        if not found then
            perform postrider.not_sent_v1(p_tenant, p_day, p_owner, p_epoch, p_id[i], p_gen[i], p_claim_no[i]);
            continue;
        end if;
        if v_resends > 0 then
            update postrider.message m
            set state = b.state, resends = m.resends - (b.state = 4)::int::smallint, reason = case b.state when 4 then 'unknown' else m.reason end
            from postrider.state_back_v1(p_tenant, p_day, p_id[i], p_gen[i], v_resends) as b (state)
            where m.tenant = p_tenant and m.day = p_day and m.id = p_id[i];
        end if;
        if p_gen[i] > 0 then
            update postrider.deferred d set taken_owner = null, taken_epoch = null
            where d.tenant = p_tenant and d.day = p_day and d.id = p_id[i] and d.gen = p_gen[i]
              and d.taken_owner = p_owner and d.taken_epoch = p_epoch;
        end if;
    end loop;
end $$;

-- Fates without a message row, keyed by origin, so that a redelivery adds nothing.
create or replace function postrider.aside_v1(
    p_kafka_at timestamptz[], p_topic smallint[], p_part int[], p_off bigint[], p_kind text[], p_reason text[], p_tenant int[], p_type text[],
    p_id uuid[])
    returns void language sql volatile as $$
    insert into postrider.aside (day, topic, part, off, kind, reason, tenant, type, id, at)
    select postrider.origin_day_v1('aside', u.kafka_at), u.topic, u.part, u.off, u.kind, u.reason, u.tenant, u.type, u.id, postrider.clock()
    from unnest(p_kafka_at, p_topic, p_part, p_off, p_kind, p_reason, p_tenant, p_type, p_id)
         as u (kafka_at, topic, part, off, kind, reason, tenant, type, id)
    order by u.topic, u.part, u.off
    on conflict do nothing
$$;

-- The partition of an origin: the day of Kafka's timestamp, or the undated one when there is none for it: a publisher's clock was wild.
create or replace function postrider.origin_day_v1(p_table text, p_kafka_at timestamptz) returns date
    language sql stable as $$
    select case when to_regclass('postrider.' || p_table || '_' || to_char(p_kafka_at at time zone 'UTC', 'YYYYMMDD')) is not null
                then (p_kafka_at at time zone 'UTC')::date else date '1970-01-01' end
$$;
