-- Quiet hours: by the clock on the recipient's wall, looked at when a message is claimed.

-- Whether the database can tell the time there. A name with a digit could be a rule in POSIX's way, which any typing error with a digit is;
-- no place's name has one.
create or replace function postrider.zone_is_known_v1(p_zone text) returns boolean
    language plpgsql stable as $$
begin
    perform timestamptz 'epoch' at time zone p_zone;
    return p_zone is not null and (p_zone !~ '[0-9]' or p_zone like 'Etc/%');
exception when invalid_parameter_value then
    return false;
end $$;

-- Past midnight when it begins later than it ends. The moment of the beginning is quiet, that of the end is not.
create or replace function postrider.is_quiet_v1(p_at time, p_from time, p_to time) returns boolean
    language sql immutable parallel safe as $$
    select case when p_from < p_to then p_at >= p_from and p_at < p_to else p_at >= p_from or p_at < p_to end
$$;

-- The next moment that is not quiet in the zone; null when it is not quiet now. SQLSTATE 22023 when the database does not know the zone.
create or replace function postrider.quiet_until_v1(p_at timestamptz, p_zone text, p_from time, p_to time) returns timestamptz
    language plpgsql stable as $$
declare
    v_local timestamp := p_at at time zone p_zone;
    v_end timestamp := v_local::date + p_to;
    v_until timestamptz;
begin
    if not postrider.is_quiet_v1(v_local::time, p_from, p_to) then
        return null;
    end if;
    if v_end <= v_local then
        v_end := v_end + interval '1 day';
    end if;
    v_until := v_end at time zone p_zone;
    if v_until - p_at = v_end - v_local and v_until at time zone p_zone = v_end then
        return v_until;
    end if;
    -- The clocks change before: the end may be skipped, or come twice. Minute by minute, on two nights of a year.
    return (select min(g.at) from generate_series(date_trunc('minute', v_until) - interval '3 hours', v_until + interval '3 hours', interval '1 minute')
                                 as g (at)
            where g.at > p_at and not postrider.is_quiet_v1((g.at at time zone p_zone)::time, p_from, p_to));
end $$;

-- The same in the first zone of a list that the database knows: a name that it forgot, or never knew, must not fail the claim.
create or replace function postrider.quiet_there_v1(p_at timestamptz, p_zones text[], p_from time, p_to time) returns timestamptz
    language plpgsql stable as $$
declare
    v_zone text;
begin
    foreach v_zone in array p_zones loop
        continue when v_zone is null;
        begin
            return postrider.quiet_until_v1(p_at, v_zone, p_from, p_to);
        exception when invalid_parameter_value then
            null; -- the next one
        end;
    end loop;
    return null;
end $$;

-- Which of a batch (those of p_state 1) have quiet hours now, and until when. Once a zone and category, so that what the zone costs, a subtransaction
-- included, is not paid for each message. What ends at one moment is spread over the five minutes behind it, by the message's id.
create or replace function postrider.quiet_v1(p_tenant int, p_at timestamptz, p_contact bigint[], p_category smallint[], p_state smallint[], p_id uuid[])
    returns table (ord int, until timestamptz, due timestamptz) language plpgsql stable
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
#variable_conflict use_column
declare
    v_zone text := (select t.time_zone from postrider.tenant t where t.id = p_tenant);
    v_until timestamptz;
    r record;
begin
    for r in select p.quiet_from, p.quiet_to, z.zone, array_agg(u.ord::int) as ords
             from unnest(p_contact, p_category, p_state) with ordinality as u (contact, category, state, ord)
             cross join lateral (select x.quiet_from, x.quiet_to from postrider.policy x
                                 where x.tenant = p_tenant and x.category = u.category and x.quiet_from is not null limit 1) p
             left join lateral (select c.zone from postrider.contact c where c.tenant = p_tenant and c.id = u.contact limit 1) z on true
             where u.state = 1
             group by p.quiet_from, p.quiet_to, z.zone
    loop
        v_until := postrider.quiet_there_v1(p_at, array[r.zone, v_zone, 'UTC'], r.quiet_from, r.quiet_to);
        if v_until is not null then
            return query select o.ord, v_until, v_until + (uuid_hash(p_id[o.ord]) & 2147483647) % 300 * interval '1 second'
                         from unnest(r.ords) as o (ord);
        end if;
    end loop;
end $$;
