-- What the platform says afterwards: a receipt with our callback data settles an unknown and shows that its sender is heard.

-- One receipt of an attempt: the platform had it. Whatever state the row is in, that is a fact: the outcome is written, so that nobody who comes later
-- (a take-over, a resend) takes silence for an answer. Returns whether a message that was to come back is settled by it.
create or replace function postrider.receipt_v1(p_tenant int, p_day date, p_id uuid, p_attempt int, p_wamid text) returns boolean
    language plpgsql volatile as $$
declare
    m record;
begin
    select x.* into m from postrider.message x where x.tenant = p_tenant and x.day = p_day and x.id = p_id for no key update;
    if not found then
        return false;
    end if;
    -- Not at every receipt: all receipts of a sender would wait for each other's commit.
    update postrider.sender s set receipt_at = postrider.clock()
    where s.tenant = p_tenant and s.id = m.sender and (s.receipt_at is null or s.receipt_at < postrider.clock() - interval '5 seconds');
    if m.state > 5 and m.reason is distinct from 'resolved_lost' then -- whoever said lost did not know
        return false;
    end if;
    insert into postrider.outcome (tenant, day, id, attempt, kind, code, http, sender, template, latency_ms, at, reason, wamid)
    values (p_tenant, p_day, p_id, p_attempt, 1, 0, 0, m.sender, 0, 0, postrider.clock(), 'receipt', p_wamid)
    on conflict (tenant, day, id, attempt) do update
        set kind = 1, reason = 'receipt', wamid = excluded.wamid where postrider.outcome.kind not in (1, 4);
    if m.state = 1 then -- its owner, or whoever takes it over, finds the outcome; a resend that was not handed over yet is taken back for it
        if m.resends > 0 then
            insert into postrider.control (tenant, kind, target) values (p_tenant, 'contact', m.contact::text);
        end if;
        return false;
    end if;
    update postrider.message x set state = 6, reason = 'receipt' where x.tenant = p_tenant and x.day = p_day and x.id = p_id;
    delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id;
    return true;
end $$;

-- By hand: an operator who knows says what became of an unknown ('accepted' or 'lost'); 'resend' lets it go again.
create or replace function postrider.resolve_unknown_v1(p_tenant int, p_day date, p_id uuid, p_what text) returns boolean
    language plpgsql volatile as $$
begin
    perform from postrider.message m where m.tenant = p_tenant and m.day = p_day and m.id = p_id and m.state = 4 for no key update;
    if not found then
        return false;
    end if;
    if p_what = 'resend' then
        update postrider.deferred d set due = postrider.clock(), reason = 'resolved'
        where d.tenant = p_tenant and d.day = p_day and d.id = p_id;
        if not found then
            return false; -- its record is no longer kept: nothing could be sent
        end if;
        update postrider.message m set state = 5, reason = null, resends = m.resends + 1::smallint
        where m.tenant = p_tenant and m.day = p_day and m.id = p_id;
        return true;
    end if;
    update postrider.message m set state = case p_what when 'accepted' then 6 else 7 end, reason = 'resolved_' || p_what
    where m.tenant = p_tenant and m.day = p_day and m.id = p_id;
    delete from postrider.deferred d where d.tenant = p_tenant and d.day = p_day and d.id = p_id;
    return true;
end $$;
