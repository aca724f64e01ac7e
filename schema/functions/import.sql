-- Batches of contacts and of consent from files: the same rules as for one (consent.sql), a few statements for some thousand rows.

-- Rows for addresses that have none; returns the new ones. In key order, as every multi-row write, so that two imports cannot deadlock.
create or replace function postrider.contacts_make_v1(p_tenant int, p_address text[]) returns bigint[]
    language plpgsql volatile set jit = off as $$
declare
    v_made bigint[];
begin
    with made as (
        insert into postrider.contact (tenant, address)
        select p_tenant, u.address from (select distinct x.address from unnest(p_address) as x (address)) u
        where not exists (select from postrider.contact c where c.tenant = p_tenant and c.address = u.address)
        order by u.address collate "C"
        on conflict (tenant, address) do nothing returning id)
    select coalesce(array_agg(made.id), '{}') into v_made from made;
    return v_made;
end $$;

-- Addresses must be distinct; null leaves a field alone, tags come as one text separated by '|'. Applied only where p_at is later than what is stored.
create or replace function postrider.contact_import_v1(
    p_tenant int, p_address text[], p_locale text[], p_zone text[], p_tags text[], p_is_suppressed boolean[], p_at timestamptz,
    out created int, out changed int)
    language plpgsql volatile set jit = off as $$
declare
    v_at timestamptz := least(coalesce(p_at, postrider.clock()), postrider.clock());
begin
    with u as (select * from unnest(p_address, p_locale, p_zone, p_tags, p_is_suppressed) as x (address, locale, zone, tags, is_suppressed)),
    made as (
        insert into postrider.contact (tenant, address, locale, zone, tags, is_suppressed, updated_at)
        select p_tenant, u.address, u.locale, u.zone, coalesce(string_to_array(u.tags, '|'), '{}'), coalesce(u.is_suppressed, false), v_at from u
        where not exists (select from postrider.contact c where c.tenant = p_tenant and c.address = u.address)
        order by u.address collate "C"
        on conflict (tenant, address) do nothing returning id)
    select count(*) into created from made;
    changed := 0;
    if created = cardinality(p_address) then
        return;
    end if;
    perform from postrider.contact c where c.tenant = p_tenant and c.address = any (p_address) order by c.id for update;
    with u as (
        select c.id, c.is_suppressed as was_suppressed,
               coalesce(x.locale, c.locale) as locale, coalesce(x.zone, c.zone) as zone,
               coalesce(string_to_array(x.tags, '|'), c.tags) as tags, coalesce(x.is_suppressed, c.is_suppressed) as is_suppressed
        from unnest(p_address, p_locale, p_zone, p_tags, p_is_suppressed) as x (address, locale, zone, tags, is_suppressed)
        join postrider.contact c on c.tenant = p_tenant and c.address = x.address
        where c.updated_at < v_at),
    done as (
        update postrider.contact c
        set locale = u.locale, zone = u.zone, tags = u.tags, is_suppressed = u.is_suppressed, updated_at = v_at
        from u where c.tenant = p_tenant and c.id = u.id
          and (c.locale, c.zone, c.tags, c.is_suppressed) is distinct from (u.locale, u.zone, u.tags, u.is_suppressed)
        returning c.id, c.is_suppressed and not u.was_suppressed as is_stopped),
    told as (
        insert into postrider.control (tenant, kind, target)
        select p_tenant, 'contact', d.id::text from done d where d.is_stopped order by d.id)
    select count(*) into changed from done d;
end $$;

-- One row a statement of consent; contacts that are not there yet are made. A row that is there already (same contact, category, event) is passed
-- over. Lanes are told of people who lost a consent: what is claimed for them is dropped. A grant concerns only what comes.
create or replace function postrider.consent_import_v1(
    p_tenant int, p_address text[], p_event uuid[], p_categories smallint[], p_is_granted boolean[], p_at timestamptz[], p_how text[],
    p_evidence text[], p_business_name text[], out recorded int, out created int, out changed int)
    language plpgsql volatile set jit = off as $$
declare
    v_new bigint[] := postrider.contacts_make_v1(p_tenant, p_address);
    v_contact bigint[];
    v_now timestamptz := postrider.clock();
begin
    created := cardinality(v_new);
    select array_agg(l.id) into v_contact
    from (select c.id from postrider.contact c where c.tenant = p_tenant and c.address = any (p_address) order by c.id for update) l;

    insert into postrider.consent (tenant, contact, category, event, at, is_granted, how, evidence, business_name)
    select p_tenant, c.id, g.category, x.event, least(x.at, v_now), x.is_granted, coalesce(x.how, ''), coalesce(x.evidence, ''),
           coalesce(x.business_name, '')
    from unnest(p_address, p_event, p_categories, p_is_granted, p_at, p_how, p_evidence, p_business_name)
         as x (address, event, categories, is_granted, at, how, evidence, business_name)
    join postrider.contact c on c.tenant = p_tenant and c.address = x.address
    cross join generate_series(0, 3) as g (category)
    where (x.categories::int >> g.category) & 1 = 1
    order by c.id, g.category, x.event
    on conflict do nothing;
    get diagnostics recorded = row_count;
    changed := 0;
    if recorded = 0 then
        return;
    end if;

    with n as (
        select u.contact, coalesce(sum(1 << h.category) filter (where h.is_granted), 0)::smallint as mask
        from unnest(v_contact) as u (contact)
        cross join generate_series(0, 3) as g (category)
        cross join lateral (select y.category, y.is_granted from postrider.consent y
                            where y.tenant = p_tenant and y.contact = u.contact and y.category = g.category
                            order by y.at desc, y.is_granted limit 1) h
        group by u.contact),
    was as (select c.id, c.consent from postrider.contact c where c.tenant = p_tenant and c.id = any (v_contact)),
    done as (
        update postrider.contact c set consent = n.mask
        from n join was on was.id = n.contact
        where c.tenant = p_tenant and c.id = n.contact and c.consent <> n.mask
        returning c.id, was.consent::int & ~n.mask::int <> 0 as is_less),
    told as (
        insert into postrider.control (tenant, kind, target)
        select p_tenant, 'contact', d.id::text from done d where d.is_less order by d.id)
    select count(*) into changed from done d;
end $$;
