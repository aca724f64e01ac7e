-- The claim: decides a batch of jobs of one tenant, day and pool, and makes the decision durable before anything is sent.
-- Arrays are sorted by id and hold no id and no recipient twice. The order of the statements is the design: fences; look-ups and
-- insert; rows that were there already; frequency caps under their rows' locks; quota under the pool's lock; corrections; hits.

-- When an unknown that is not sent again now is looked at again: ever less often while its sender is not heard, at its end only when it is never resent.
create or replace function postrider.unknown_due_v1(p_tenant int, p_day date, p_id uuid, p_expiry timestamptz) returns timestamptz
    language plpgsql volatile -- not SQL: planned over all the ledger's days at every call
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
    v_end timestamptz := coalesce(p_expiry, v_now + interval '1 day'); -- without an end it is looked at all the same
    v_last timestamptz;
    m record;
begin
    select x.category, x.resends, x.at into m from postrider.message x where x.tenant = p_tenant and x.day = p_day and x.id = p_id;
    if m.resends > 0 or m.category not in (0, 2) then
        return v_end;
    end if;
    select max(o.at) into v_last from postrider.outcome o where o.tenant = p_tenant and o.day = p_day and o.id = p_id;
    return least(v_end, v_now + least(greatest((v_now - coalesce(v_last, m.at)) / 2, interval '30 seconds'), interval '15 minutes'));
end $$;

-- Rows that were there already: the verdict table, row by row, because each may need something else. Returns positions and verdicts;
-- rows to evaluate again get p_state (what the claim decided for a new row) and are ours from here on. back_pool: the pool whose slot, and
-- back_contact: the person whose hit, were taken by a claim before and reached nobody.
create or replace function postrider.resume_v1(
    p_tenant int, p_day date, p_owner int, p_epoch int, p_ord int[], p_id uuid[], p_gen int[], p_claim_no bigint[],
    p_category smallint[], p_sender int[], p_state smallint[], p_reason text[], p_until timestamptz[], p_expiry timestamptz[],
    p_pool int, p_contact bigint[])
    returns table (ord int, verdict smallint, reason text, attempt int, tries int, resends smallint, was_unknown boolean, back_pool int,
                   back_contact bigint)
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    j record;
    m record;
    v_now timestamptz := postrider.clock();
    v_definite boolean;
    v_found boolean;
    v_own boolean;
    v_alive boolean;
    v_clear boolean;
    v_verdict smallint;
    v_resend boolean;
begin
    for j in select u.* from unnest(p_ord, p_id, p_gen, p_claim_no, p_category, p_sender, p_state, p_reason, p_until, p_expiry, p_contact)
                 as u (ord, id, gen, claim_no, category, sender, state, reason, until, expiry, contact)
    loop
        select x.* into m from postrider.message x
        where x.tenant = p_tenant and x.day = p_day and x.id = j.id for no key update;
        v_found := found;
        v_own := v_found and m.owner = p_owner and m.epoch = p_epoch and m.claim_no = j.claim_no;
        v_alive := v_found and m.state = 1 and postrider.is_alive_v1(m.owner, m.epoch);
        v_clear := v_found and m.state = 1 and not v_alive and postrider.is_wire_clear_v1(m.owner, m.epoch, j.id);
        -- A resend that never left, of a dead owner or of our own claim that is repeated, is the unknown again that it was, and what holds for
        -- unknowns holds for it.
        if v_found and m.state = 1 and m.resends > 0 and (v_own or v_clear) and m.gen = j.gen then
            m.state := postrider.state_back_v1(p_tenant, p_day, j.id, j.gen, m.resends);
            m.resends := m.resends - (m.state = 4)::int::smallint;
            m.reason := 'unknown';
            update postrider.message x set state = m.state, resends = m.resends, reason = m.reason
            where x.tenant = p_tenant and x.day = p_day and x.id = j.id;
        end if;
        v_definite := v_found and m.state in (1, 2, 4) and exists (
            select from postrider.outcome o
            where o.tenant = p_tenant and o.day = p_day and o.id = j.id and o.kind in (1, 4));
        v_resend := v_found and m.state = 4 and m.resends = 0 and m.category in (0, 2) and exists (
            select from postrider.sender s
            where s.tenant = p_tenant and s.id = m.sender and s.receipt_at > v_now - interval '1 minute');
        v_verdict := postrider.verdict_v1(coalesce(m.state, 0::smallint), coalesce(m.gen, 0), j.gen, v_own, v_alive, v_clear, v_resend,
                                          v_definite);
        ord := j.ord; verdict := v_verdict; reason := m.reason; was_unknown := coalesce(m.state = 4, false);
        attempt := case when v_found then greatest(m.attempt, (select max(o.attempt) from postrider.outcome o
                                                               where o.tenant = p_tenant and o.day = p_day and o.id = j.id)) else 0 end;
        tries := coalesce(m.tries, 0);
        resends := coalesce(m.resends, 0::smallint);
        back_pool := null; back_contact := null;
        -- Our own claim, whose answer never reached the lane: nothing was handed over, so it is decided by what holds now.
        if v_verdict = 11 and m.state = 1 then
            v_verdict := 0;
            verdict := 0;
        end if;
        -- What may have been sent is sent again or stays unknown; it is not deferred, refused or cancelled as if it had not been.
        if v_verdict = 0 and m.state = 4 and j.state <> 1 then
            v_verdict := 9;
            verdict := 9;
        elsif v_verdict = 0 and m.resends > 0 and j.state in (7, 8, 9) then -- let go by a person, and cannot go any more
            v_verdict := 9;
            verdict := 9;
            update postrider.message x set state = 4, reason = 'unknown' where x.tenant = p_tenant and x.day = p_day and x.id = j.id;
        end if;
        if v_verdict = 0 then
            resends := m.resends + (m.state = 4)::int::smallint;
            update postrider.message x
            set state = j.state, reason = j.reason, owner = p_owner, epoch = p_epoch, claim_no = j.claim_no, pool = p_pool,
                sender = j.sender, category = j.category, contact = j.contact, resends = resume_v1.resends
            where x.tenant = p_tenant and x.day = p_day and x.id = j.id;
            reason := j.reason;
            -- Claimed before, taken back, and now refused: what it held reached nobody. Given back later, by the caller, in the order of locks.
            if j.state in (7, 8, 9) and m.pool > 0 and m.state <> 4 and m.resends = 0 then
                back_pool := m.pool; back_contact := m.contact;
            end if;
        elsif v_verdict = 11 then
            verdict := case m.state when 7 then 3 when 8 then 4 when 9 then 5 else 2 end;
        end if;
        if j.gen > 0 then
            if verdict = 0 and j.state = 1 then
                update postrider.deferred d set taken_owner = p_owner, taken_epoch = p_epoch, pool = p_pool, is_asleep = false,
                       due = least(d.due, v_now)
                where d.tenant = p_tenant and d.day = p_day and d.id = j.id and d.gen = j.gen;
            elsif verdict = 0 and j.state = 3 then
                update postrider.deferred d
                set taken_owner = null, taken_epoch = null, due = j.until, pool = p_pool, is_asleep = false,
                    reason = case when d.reason = 'resolved' then d.reason else j.reason end
                where d.tenant = p_tenant and d.day = p_day and d.id = j.id and d.gen = j.gen;
            elsif verdict in (0, 2) or (verdict = 9 and j.expiry <= v_now) then
                delete from postrider.deferred d
                where d.tenant = p_tenant and d.day = p_day and d.id = j.id and d.gen = j.gen;
            elsif verdict = 9 then
                update postrider.deferred d
                set due = greatest(postrider.unknown_due_v1(p_tenant, p_day, j.id, j.expiry), j.until), taken_owner = null, taken_epoch = null,
                    is_asleep = false, reason = 'unknown'
                where d.tenant = p_tenant and d.day = p_day and d.id = j.id and d.gen = j.gen;
            end if;
        end if;
        return next;
    end loop;
end $$;

-- The second day of ids near midnight: the key is put there too. Returns the ids that the other day already has.
create or replace function postrider.shadow_v1(p_tenant int, p_day date, p_other date, p_id uuid[])
    returns uuid[] language plpgsql volatile
    set jit = off set enable_seqscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_taken uuid[];
begin
    with ins as (
        insert into postrider.message (tenant, day, id, contact, state, category, gen, owner, epoch, claim_no, pool, sender, part, off,
                                       topic, at, event_at, rule, type)
        select m.tenant, p_other, m.id, 0, 11, m.category, m.gen, m.owner, m.epoch, m.claim_no, m.pool, m.sender, m.part, m.off,
               m.topic, m.at, m.event_at, m.rule, m.type
        from unnest(p_id) as u (id)
        cross join lateral (select x.* from postrider.message x
                            where x.tenant = p_tenant and x.day = p_day and x.id = u.id limit 1) m
        order by m.id
        on conflict do nothing returning id)
    select coalesce(array_agg(u.id), '{}') into v_taken from unnest(p_id) as u (id) where u.id not in (select ins.id from ins);
    for i in 1 .. cardinality(v_taken) loop
        delete from postrider.message m where m.tenant = p_tenant and m.day = p_day and m.id = v_taken[i];
    end loop;
    return v_taken;
end $$;

-- Corrects the row of one message that a limit refused after it was written as to be sent, and what waits of it; its verdict. p_until null: it sleeps
-- until its pool wakes it. A limit that ends after the message does is a refusal at once.
create or replace function postrider.deny_v1(
    p_tenant int, p_day date, p_id uuid, p_gen int, p_pool int, p_reason text, p_until timestamptz, p_expiry timestamptz, p_was_unknown boolean)
    returns smallint language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_is_late boolean := coalesce(p_expiry <= p_until, false);
    v_is_resend boolean := exists (select from postrider.message m where m.tenant = p_tenant and m.day = p_day and m.id = p_id and m.resends > 0);
begin
    -- It may not be sent again now: it stays unknown and is asked again. One that a person let go and that cannot go any more may have been sent, too.
    if p_was_unknown or v_is_resend and v_is_late then
        update postrider.message m set state = 4, reason = 'unknown', resends = m.resends - p_was_unknown::int::smallint
        where m.tenant = p_tenant and m.day = p_day and m.id = p_id;
        update postrider.deferred d
        set taken_owner = null, taken_epoch = null, due = greatest(p_until, postrider.unknown_due_v1(p_tenant, p_day, p_id, p_expiry))
        where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen;
        return 9;
    end if;
    update postrider.message m set state = case when v_is_late then 7 else 3 end, reason = p_reason
    where m.tenant = p_tenant and m.day = p_day and m.id = p_id;
    if p_gen > 0 and v_is_late then
        delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen;
    elsif p_gen > 0 then
        update postrider.deferred d
        set taken_owner = null, taken_epoch = null, reason = p_reason, is_asleep = p_until is null, pool = p_pool,
            due = coalesce(p_until, p_expiry, 'infinity')
        where d.tenant = p_tenant and d.day = p_day and d.id = p_id and d.gen = p_gen;
    end if;
    return case when v_is_late then 3 else 6 end;
end $$;

create or replace function postrider.claim_v1(
    p_tenant int, p_day date, p_other date, p_pool int, p_owner int, p_epoch int,
    p_id uuid[], p_gen int[], p_claim_no bigint[], p_address text[], p_category smallint[], p_rule text[], p_type text[],
    p_subject text[], p_rank int[], p_event_at timestamptz[], p_not_before timestamptz[], p_expiry timestamptz[], p_sender int[],
    p_refusal text[], p_hold timestamptz[], p_hold_reason text[], p_topic smallint[], p_part int[], p_off bigint[],
    p_fence_kind smallint[], p_fence_address text[], p_fence_key text[], p_fence_grp text[], p_fence_at timestamptz[],
    p_fence_rank int[], p_fence_id uuid[], p_back_contact bigint[], p_back_id uuid[])
    returns table (ord int, verdict smallint, reason text, until timestamptz, contact bigint, locale text, attempt int, tries int,
                   resends smallint, expires_ms bigint, in_window boolean, known_off bigint, known_part int, known_topic smallint)
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set enable_memoize = off
    set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_now timestamptz;
    v_n int := cardinality(p_id);
    v_contact bigint[];
    v_locale text[];
    v_window boolean[];
    v_state smallint[];
    v_reason text[];
    v_until timestamptz[];
    v_verdict smallint[];
    v_attempt int[] := array_fill(0, array[v_n]);
    v_tries int[] := array_fill(0, array[v_n]);
    v_resends smallint[] := array_fill(0::smallint, array[v_n]);
    v_new uuid[];
    v_taken uuid[];
    v_old int[];
    v_unknown boolean[] := array_fill(false, array[v_n]);
    v_ask int[];
    v_got record;
    v_has_quiet boolean;
    v_capped smallint[];
    v_cap_ask int[] := '{}';
    v_back_contact bigint[] := coalesce(p_back_contact, '{}');
    v_back_id uuid[] := coalesce(p_back_id, '{}');
    v_back_pool int[] := array_fill(p_pool, array[coalesce(cardinality(p_back_id), 0)]);
    r record;
    i int;
begin
    perform postrider.check_lease_v1(p_owner, p_epoch);
    perform postrider.fence_v1(p_tenant, p_fence_kind, p_fence_address, p_fence_key, p_fence_grp, p_fence_at, p_fence_rank, p_fence_id);
    if v_n = 0 then
        return;
    end if;
    v_now := postrider.clock();
    select bool_or(p.quiet_from is not null), array_agg(p.category) filter (where cardinality(p.cap_n) > 0) into v_has_quiet, v_capped
    from postrider.policy p where p.tenant = p_tenant;

    -- What each job would be if it were new. `why` orders the checks; 0 may be sent.
    select array_agg(coalesce(w.contact, 0) order by w.ord), array_agg(w.locale order by w.ord), array_agg(w.in_window order by w.ord),
           array_agg((case when w.why = 0 then 1 when w.why = 2 then 8 when w.why = 3 then 9 when w.why >= 10 then 3 else 7 end)::smallint
                     order by w.ord),
           array_agg(case w.why when 0 then null when 1 then 'expired' when 2 then 'cancelled' when 3 then 'superseded'
                         when 4 then w.refusal when 5 then 'no_contact' when 6 then 'suppressed' when 7 then 'outside_window'
                         when 8 then 'no_consent' when 10 then 'not_before' else w.hold_reason end order by w.ord),
           array_agg(case w.why when 10 then w.not_before when 11 then w.hold end order by w.ord)
    into v_contact, v_locale, v_window, v_state, v_reason, v_until
    from (select j.ord, c.id as contact, c.locale, coalesce(c.window_until > v_now, false) as in_window, j.refusal, j.not_before, j.hold,
                 j.hold_reason,
                 case when j.expiry <= v_now then 1
                      when cr.at >= j.event_at or cs.at >= j.event_at then 2
                      when (sp.at, sp.rank, sp.id) > (j.event_at, j.rank, j.id) then 3
                      when j.refusal is not null then 4
                      when c.id is null then 5
                      when c.is_suppressed then 6
                      when j.category = 3 and coalesce(c.window_until <= v_now, true) then 7
                      when j.category <> 3 and (c.consent::int >> j.category::int) & 1 = 0 then 8
                      when j.not_before > v_now then 10
                      when j.hold is not null then 11 -- over or not: who holds it has no room to send it in
                      else 0 end as why
          from unnest(p_id, p_address, p_category, p_rule, p_subject, p_rank, p_event_at, p_not_before, p_expiry, p_refusal, p_hold,
                      p_hold_reason) with ordinality
               as j (id, address, category, rule, subject, rank, event_at, not_before, expiry, refusal, hold, hold_reason, ord)
          left join lateral (select k.id, k.locale, k.window_until, k.consent, k.is_suppressed from postrider.contact k
                             where k.tenant = p_tenant and k.address = j.address limit 1) c on true
          left join lateral (select f.at from postrider.fence f
                             where f.tenant = p_tenant and f.kind = 1 and f.key = c.id::text and f.grp = j.rule limit 1) cr on true
          left join lateral (select f.at from postrider.fence f
                             where f.tenant = p_tenant and f.kind = 2 and f.key = j.subject and f.grp = j.rule limit 1) cs on true
          left join lateral (select f.at, f.rank, f.id from postrider.fence f
                             where j.rank >= 0 and f.tenant = p_tenant and f.kind = case when j.subject is null then 4 else 3 end
                               and f.key = coalesce(j.subject, c.id::text) and f.grp = j.rule limit 1) sp on true) w;

    -- Quiet hours are a wait like the two above. One that outlasts the message is its end, at once: nobody should wait for nothing.
    if v_has_quiet then
        for r in select q.* from postrider.quiet_v1(p_tenant, v_now, v_contact, p_category, v_state, p_id) q loop
            i := r.ord;
            v_state[i] := case when p_expiry[i] <= r.until then 7 else 3 end;
            v_reason[i] := 'quiet_hours';
            v_until[i] := case when p_expiry[i] <= r.due then r.until else r.due end;
        end loop;
    end if;

    -- Near midnight the key stands in both days, in the earlier first, so that two that come from both sides meet there and wait for each other
    -- in one direction only.
    v_taken := '{}';
    if p_other < p_day then
        with ins as (
            insert into postrider.message (tenant, day, id, contact, state, category, gen, owner, epoch, claim_no, pool, sender, part, off,
                                           topic, at, event_at, rule, type)
            select p_tenant, p_other, j.id, 0, 11, j.category, 0, p_owner, p_epoch, j.claim_no, p_pool, j.sender, j.part, j.off, j.topic,
                   v_now, j.event_at, j.rule, j.type
            from unnest(p_id, p_category, p_gen, p_claim_no, p_sender, p_part, p_off, p_topic, p_event_at, p_rule, p_type)
                 as j (id, category, gen, claim_no, sender, part, off, topic, event_at, rule, type)
            where j.gen = 0
            order by j.id
            on conflict do nothing returning id)
        select coalesce(array_agg(u.id), '{}') into v_taken
        from unnest(p_id, p_gen) as u (id, gen) where u.gen = 0 and u.id not in (select ins.id from ins);
        -- Those that have a row here as well are decided by it.
        select coalesce(array_agg(u.id), '{}') into v_taken from unnest(v_taken) as u (id)
        left join lateral (select true as is_there from postrider.message x
                           where x.tenant = p_tenant and x.day = p_day and x.id = u.id limit 1) h on true
        where h.is_there is null;
    end if;
    with ins as (
        insert into postrider.message as m (tenant, day, id, contact, state, category, gen, owner, epoch, claim_no, pool, sender, part,
                                            off, topic, at, event_at, rule, type, subject, reason)
        select p_tenant, p_day, j.id, j.contact, j.state, j.category, 0, p_owner, p_epoch, j.claim_no, p_pool, j.sender, j.part, j.off,
               j.topic, v_now, j.event_at, j.rule, j.type, j.subject, j.reason
        from unnest(p_id, v_contact, v_state, p_category, p_gen, p_claim_no, p_sender, p_part, p_off, p_topic, p_event_at, p_rule, p_type,
                    p_subject, v_reason) as j (id, contact, state, category, gen, claim_no, sender, part, off, topic, event_at, rule, type,
                                               subject, reason)
        where j.gen = 0 and j.id <> all (v_taken)
        order by j.id
        on conflict do nothing returning m.id)
    select coalesce(array_agg(ins.id), '{}') into v_new from ins;
    if p_other > p_day and cardinality(v_new) > 0 then
        v_taken := postrider.shadow_v1(p_tenant, p_day, p_other, v_new);
        select coalesce(array_agg(u.id), '{}') into v_new from unnest(v_new) as u (id) where u.id <> all (v_taken);
    end if;
    select array_agg((case when u.id = any (v_taken) then 2 when s.state = 1 then 1 when s.state = 3 then 6 when s.state = 8 then 4
                           when s.state = 9 then 5 else 3 end)::smallint order by u.ord)
    into v_verdict
    from unnest(p_id) with ordinality as u (id, ord) join unnest(v_state) with ordinality as s (state, ord) using (ord);

    if cardinality(v_new) + cardinality(v_taken) < v_n then
        select array_agg(u.ord::int order by u.ord) into v_old from unnest(p_id) with ordinality as u (id, ord)
        where u.id not in (select n.id from unnest(v_new) as n (id)) and u.id <> all (v_taken);
        for r in select o.* from postrider.resume_v1(p_tenant, p_day, p_owner, p_epoch, v_old,
                    (select array_agg(p_id[x] order by x) from unnest(v_old) x), (select array_agg(p_gen[x] order by x) from unnest(v_old) x),
                    (select array_agg(p_claim_no[x] order by x) from unnest(v_old) x),
                    (select array_agg(p_category[x] order by x) from unnest(v_old) x),
                    (select array_agg(p_sender[x] order by x) from unnest(v_old) x),
                    (select array_agg(v_state[x] order by x) from unnest(v_old) x),
                    (select array_agg(v_reason[x] order by x) from unnest(v_old) x),
                    (select array_agg(v_until[x] order by x) from unnest(v_old) x),
                    (select array_agg(p_expiry[x] order by x) from unnest(v_old) x), p_pool,
                    (select array_agg(v_contact[x] order by x) from unnest(v_old) x)) o
        loop
            i := r.ord;
            if r.verdict <> 0 then
                v_verdict[i] := r.verdict;
                v_reason[i] := r.reason;
            end if;
            v_attempt[i] := r.attempt; v_tries[i] := r.tries; v_resends[i] := r.resends; v_unknown[i] := r.was_unknown;
            if r.back_pool is not null then
                v_back_contact := v_back_contact || r.back_contact; v_back_id := v_back_id || p_id[i]; v_back_pool := v_back_pool || r.back_pool;
            end if;
        end loop;
    end if;

    -- Caps before quota, so that the locks of people come before the pool's, which everybody wants. Without a cap nothing of it is touched.
    if v_capped is not null then
        select coalesce(array_agg(u.ord::int order by u.ord), '{}') into v_cap_ask
        from unnest(v_verdict, p_category) with ordinality as u (verdict, category, ord) where u.verdict = 1 and u.category = any (v_capped);
        if cardinality(v_cap_ask) > 0 or cardinality(v_back_id) > 0 then
            for r in select c.* from postrider.cap_v1(p_tenant,
                        (select array_agg(v_contact[x] order by n) from unnest(v_cap_ask) with ordinality as a (x, n)),
                        (select array_agg(p_category[x] order by n) from unnest(v_cap_ask) with ordinality as a (x, n)),
                        (select array_agg(p_id[x] order by n) from unnest(v_cap_ask) with ordinality as a (x, n)), v_back_contact, v_back_id) c
            loop
                i := v_cap_ask[r.ord];
                v_reason[i] := 'frequency_cap'; v_until[i] := r.until;
                v_verdict[i] := postrider.deny_v1(p_tenant, p_day, p_id[i], p_gen[i], p_pool, 'frequency_cap', r.until, p_expiry[i], v_unknown[i]);
                if v_verdict[i] = 3 and v_resends[i] = 0 and i = any (v_old) then -- a slot that an earlier claim of it took reached nobody
                    v_back_contact := v_back_contact || v_contact[i]; v_back_id := v_back_id || p_id[i]; v_back_pool := v_back_pool || p_pool;
                end if;
            end loop;
        end if;
    end if;

    -- Quota: those to be sent outside an open window, and not a claim of ours that is answered again.
    select coalesce(array_agg(u.ord::int order by u.ord), '{}') into v_ask
    from unnest(v_verdict, v_window) with ordinality as u (verdict, win, ord)
    where u.verdict = 1 and not u.win;
    if p_pool <> any (v_back_pool) then -- more than one pool: their locks in order, too
        perform from postrider.quota_pool q where q.tenant = p_tenant and (q.id = p_pool or q.id = any (v_back_pool)) order by q.id for update;
        for r in select u.pool, array_agg(u.contact) as contacts, array_agg(u.id) as ids from unnest(v_back_pool, v_back_contact, v_back_id)
                     as u (pool, contact, id) where u.pool <> p_pool group by u.pool
        loop
            perform postrider.give_back_v1(p_tenant, r.pool, r.contacts, r.ids);
        end loop;
    end if;
    if cardinality(v_ask) > 0 or cardinality(v_back_id) > 0 then
        select * into v_got from postrider.reserve_v1(p_tenant, p_pool,
            (select array_agg(v_contact[x] order by n) from unnest(v_ask) with ordinality as a (x, n)),
            (select array_agg(p_category[x] order by n) from unnest(v_ask) with ordinality as a (x, n)),
            -- A resend is nobody's alone: what came before it may have reached the person, so its failure frees no slot.
            (select array_agg(case when v_resends[x] = 0 then p_id[x] end order by n) from unnest(v_ask) with ordinality as a (x, n)),
            v_back_contact, v_back_id);
        -- One row at a time: on a partition that was never analysed a join of the whole batch becomes a scan of it, under the pool's lock.
        foreach i in array v_got.o_denied loop
            i := v_ask[i];
            v_reason[i] := 'quota'; v_until[i] := null;
            v_verdict[i] := postrider.deny_v1(p_tenant, p_day, p_id[i], p_gen[i], p_pool, 'quota', null, p_expiry[i], v_unknown[i]);
        end loop;
    end if;
    if cardinality(v_cap_ask) > 0 then -- what quota denied is no hit
        perform postrider.cap_hit_v1(p_tenant, array_agg(v_contact[x]), array_agg(p_category[x]), array_agg(p_id[x]))
        from unnest(v_cap_ask) x where v_verdict[x] = 1;
    end if;

    if 2 <> all (v_verdict) then -- without duplicates nobody asks whose the rows are
        return query
        select u.ord::int, u.verdict, u.reason, u.until, u.contact, u.locale, u.attempt, u.tries, u.resends,
               (extract(epoch from u.expiry - v_now) * 1000)::bigint, u.win, null::bigint, null::int, null::smallint
        from unnest(v_verdict, v_reason, v_until, v_contact, v_locale, v_attempt, v_tries, v_resends, p_expiry, v_window)
            with ordinality as u (verdict, reason, until, contact, locale, attempt, tries, resends, expiry, win, ord);
        return;
    end if;
    return query
    select u.ord::int, u.verdict, u.reason, u.until, u.contact, u.locale, u.attempt, u.tries, u.resends,
           (extract(epoch from u.expiry - v_now) * 1000)::bigint, u.win, k.off, k.part, k.topic
    from unnest(v_verdict, v_reason, v_until, v_contact, v_locale, v_attempt, v_tries, v_resends, p_expiry, v_window, p_id)
        with ordinality as u (verdict, reason, until, contact, locale, attempt, tries, resends, expiry, win, id, ord)
    left join lateral (select x.off, x.part, x.topic from postrider.message x
                       where u.verdict = 2 and x.tenant = p_tenant and x.day = p_day and x.id = u.id limit 1) k on true;
end $$;
