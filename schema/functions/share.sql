-- Shares of senders' rates: the sum of what processes use is never above the rate, whoever dies and whatever answer is lost.

-- One question of a process for all its senders, sorted by (tenant, sender). p_using is the most that it uses from now on until the answer: that
-- is what is held. The answer is the part by weight. If it is less, nothing is free before the process has said, in its next question, that it uses
-- less; if it is more, it is at most what nobody holds, and is held from this statement on. A process whose epoch is over gets no answer.
create or replace function postrider.share_v1(
    p_owner int, p_epoch int, p_call bigint, p_valid_ms int, p_tenant int[], p_sender int[], p_using double precision[],
    p_weight double precision[])
    returns table (tenant int, sender int, granted double precision, fair double precision)
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    j record;
    v_now timestamptz;
    v_rate double precision;
    v_held double precision; -- by others
    v_weight double precision; -- of others
    v_call bigint;
begin
    if not postrider.is_alive_v1(p_owner, p_epoch) then
        return;
    end if;
    for j in select u.* from unnest(p_tenant, p_sender, p_using, p_weight) as u (tenant, sender, used, weight)
    loop
        perform from postrider.sender_share s
        where s.tenant = j.tenant and s.sender = j.sender and s.owner = 0 and s.epoch = 0 for no key update;
        if not found then
            insert into postrider.sender_share (tenant, sender, owner, epoch) values (j.tenant, j.sender, 0, 0) on conflict do nothing;
            perform from postrider.sender_share s
            where s.tenant = j.tenant and s.sender = j.sender and s.owner = 0 and s.epoch = 0 for no key update;
        end if;
        v_now := clock_timestamp();
        select coalesce(sum(s.held) filter (where s.owner <> p_owner or s.epoch <> p_epoch), 0),
               coalesce(sum(s.weight) filter (where s.owner <> p_owner), 0),
               max(s.call) filter (where s.owner = p_owner and s.epoch = p_epoch)
        into v_held, v_weight, v_call
        from postrider.sender_share s
        where s.tenant = j.tenant and s.sender = j.sender and s.owner <> 0
          and (s.until > v_now or (s.owner = p_owner and s.epoch = p_epoch));
        continue when v_call >= p_call;
        select x.rate into v_rate from postrider.sender x where x.tenant = j.tenant and x.id = j.sender;
        v_rate := coalesce(v_rate, 0);
        tenant := j.tenant;
        sender := j.sender;
        fair := v_rate / (1 + v_weight);
        granted := least(v_rate * j.weight / (j.weight + v_weight), greatest(j.used, v_rate - v_held));
        insert into postrider.sender_share as s (tenant, sender, owner, epoch, held, weight, call, until)
        values (j.tenant, j.sender, p_owner, p_epoch, greatest(j.used, granted), j.weight, p_call, v_now + p_valid_ms * interval '1 ms')
        on conflict (tenant, sender, owner, epoch) do update
            set held = excluded.held, weight = excluded.weight, call = excluded.call, until = excluded.until;
        return next;
    end loop;
end $$;

-- A clean end: nothing is used any more.
create or replace function postrider.share_return_v1(p_owner int, p_epoch int) returns void
    language sql volatile as $$
    delete from postrider.sender_share s where s.owner = p_owner and s.epoch = p_epoch
$$;

-- Wakes what waits for a sender that was stopped: at most p_limit rows; whoever gets as many asks again.
create or replace function postrider.wake_sender_v1(p_tenant int, p_sender int, p_limit int) returns int
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
    v_n int;
begin
    update postrider.deferred d set due = v_now
    where d.ctid = any (array(
        select x.ctid from postrider.deferred x
        where x.tenant = p_tenant and x.reason in ('sender_stopped', 'sender_breaker') and x.due > v_now
          and x.taken_owner is null and not x.is_asleep
          and (select m.sender from postrider.message m where m.tenant = x.tenant and m.day = x.day and m.id = x.id) = p_sender
        order by x.due limit p_limit for update of x skip locked));
    get diagnostics v_n = row_count;
    return v_n;
end $$;

-- The same for what waits for a template, by the rules that send it; null: every tenant's, every rule's.
create or replace function postrider.wake_template_v1(p_tenant int, p_rules text[], p_limit int) returns int
    language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
    v_n int;
begin
    update postrider.deferred d set due = v_now
    where d.ctid = any (array(
        select x.ctid from postrider.deferred x
        where (p_tenant is null or x.tenant = p_tenant) and (p_rules is null or x.rule = any (p_rules)) and x.reason like 'template%'
          and x.due > v_now and x.taken_owner is null and not x.is_asleep
        limit p_limit for update skip locked));
    get diagnostics v_n = row_count;
    return v_n;
end $$;
