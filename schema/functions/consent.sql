-- Contacts and consent: what control events, imports and the platform's opt-outs change. Newest wins; on a tie a revocation.

-- The mask that the claim reads, from the history. What was lost is told to the lanes: messages already claimed are decided again.
create or replace function postrider.refresh_consent_v1(p_tenant int, p_contact bigint[]) returns void
    language plpgsql volatile as $$
declare
    v_contact bigint;
    v_was int;
    v_mask int;
    v_known int;
begin
    for v_contact in select distinct u.x from unnest(p_contact) as u (x) where u.x > 0 order by 1 loop
        select c.consent into v_was from postrider.contact c where c.tenant = p_tenant and c.id = v_contact for no key update;
        continue when not found;
        -- In the next statement, so that it sees what was committed while this waited for the contact.
        select sum(1 << h.category) filter (where h.is_granted), count(*) into v_mask, v_known
        from generate_series(0, 3) as g (category)
        cross join lateral (select y.category, y.is_granted from postrider.consent y
                            where y.tenant = p_tenant and y.contact = v_contact and y.category = g.category
                            order by y.at desc, y.is_granted limit 1) h;
        continue when v_known = 0 or v_was = coalesce(v_mask, 0);
        update postrider.contact c set consent = coalesce(v_mask, 0) where c.tenant = p_tenant and c.id = v_contact;
        if v_was & ~coalesce(v_mask, 0) <> 0 then
            insert into postrider.control (tenant, kind, target) values (p_tenant, 'contact', v_contact::text);
        end if;
    end loop;
end $$;

-- The contact's row, made when there is none.
create or replace function postrider.contact_of_v1(p_tenant int, p_address text) returns bigint
    language plpgsql volatile as $$
declare
    v_id bigint;
begin
    select c.id into v_id from postrider.contact c where c.tenant = p_tenant and c.address = p_address;
    if not found then
        insert into postrider.contact (tenant, address) values (p_tenant, p_address)
        on conflict (tenant, address) do nothing;
        select c.id into v_id from postrider.contact c where c.tenant = p_tenant and c.address = p_address;
    end if;
    return v_id;
end $$;

-- Grants or revokes categories (a mask of bits). Stored under min(p_at, now): a clock ahead of ours cannot win over what comes later.
create or replace function postrider.consent_v1(
    p_tenant int, p_address text, p_event uuid, p_categories smallint, p_is_granted boolean, p_at timestamptz, p_how text, p_evidence text,
    p_business_name text)
    returns void language plpgsql volatile as $$
declare
    v_contact bigint := postrider.contact_of_v1(p_tenant, p_address);
    v_at timestamptz := least(coalesce(p_at, postrider.clock()), postrider.clock());
begin
    perform from postrider.contact c where c.tenant = p_tenant and c.id = v_contact for update;
    insert into postrider.consent (tenant, contact, category, event, at, is_granted, how, evidence, business_name)
    select p_tenant, v_contact, g.category, p_event, v_at, p_is_granted, coalesce(p_how, ''), coalesce(p_evidence, ''), coalesce(p_business_name, '')
    from generate_series(0, 3) as g (category) where (p_categories::int >> g.category) & 1 = 1
    on conflict do nothing;
    perform postrider.refresh_consent_v1(p_tenant, array[v_contact]);
end $$;

-- contact.updated: only if later than what is stored; null leaves a field alone, and so does a zone that the database does not know.
create or replace function postrider.contact_v1(
    p_tenant int, p_address text, p_event uuid, p_at timestamptz, p_locale text, p_zone text, p_tags text[], p_is_suppressed boolean,
    p_window_until timestamptz)
    returns void language plpgsql volatile as $$
declare
    v_contact bigint := postrider.contact_of_v1(p_tenant, p_address);
    v_at timestamptz := least(coalesce(p_at, postrider.clock()), postrider.clock());
    v_was boolean;
begin
    select c.is_suppressed into v_was from postrider.contact c where c.tenant = p_tenant and c.id = v_contact for update;
    update postrider.contact c
    set locale = coalesce(p_locale, c.locale), zone = coalesce(case when postrider.zone_is_known_v1(p_zone) then p_zone end, c.zone),
        tags = coalesce(p_tags, c.tags), is_suppressed = coalesce(p_is_suppressed, c.is_suppressed),
        window_until = greatest(c.window_until, p_window_until), updated_at = v_at, updated_by = p_event
    where c.tenant = p_tenant and c.id = v_contact and c.updated_at < v_at and c.updated_by is distinct from p_event;
    if found and p_is_suppressed and not v_was then
        insert into postrider.control (tenant, kind, target) values (p_tenant, 'contact', v_contact::text);
    end if;
end $$;

-- One control event of the record stream: applied and noted by origin in one transaction. p_kind 1 contact.updated, 2 granted, 3 revoked. A zone that the
-- database does not know is named in the note; what else the event says must not be lost for it.
create or replace function postrider.apply_event_v1(
    p_kind int, p_tenant int, p_address text, p_event uuid, p_at timestamptz, p_categories smallint, p_how text, p_evidence text,
    p_business_name text, p_locale text, p_zone text, p_is_suppressed boolean, p_kafka_at timestamptz, p_topic smallint, p_part int, p_off bigint,
    p_type text)
    returns void language plpgsql volatile as $$
begin
    insert into postrider.aside (day, topic, part, off, kind, reason, tenant, type, id, at)
    values (postrider.origin_day_v1('aside', p_kafka_at), p_topic, p_part, p_off, 'applied',
            case when p_zone is null or postrider.zone_is_known_v1(p_zone) then p_type else 'unknown_zone' end, p_tenant, p_type, p_event, postrider.clock())
    on conflict do nothing;
    if not found then
        return; -- a redelivery
    end if;
    if p_kind = 1 then
        perform postrider.contact_v1(p_tenant, p_address, p_event, p_at, p_locale, p_zone, null, p_is_suppressed, null);
    else
        perform postrider.consent_v1(p_tenant, p_address, p_event, p_categories, p_kind = 2, p_at, p_how, p_evidence, p_business_name);
    end if;
end $$;
