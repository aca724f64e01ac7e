-- Day partitions: made ahead, dropped when the retention is over. Runs as its owner, so that the dispatcher's role need own nothing.

create or replace function postrider.partition_make_v1(p_retention_days int, p_ahead_days int) returns int
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_table text;
    v_day date;
    v_name text;
    v_made int := 0;
    v_today date := (postrider.clock() at time zone 'UTC')::date;
begin
    if not pg_try_advisory_xact_lock(7236832, 1) then
        return 0; -- somebody else is at it
    end if;
    foreach v_table in array array['message', 'outcome', 'aside', 'dead_letter'] loop
        for v_day in select date '1970-01-01' where v_table in ('aside', 'dead_letter')
                     union all select d::date from generate_series(v_today - p_retention_days, v_today + p_ahead_days, interval '1 day') d
        loop
            v_name := v_table || '_' || to_char(v_day, 'YYYYMMDD');
            if to_regclass('postrider.' || v_name) is null then
                execute format('create table postrider.%I (like postrider.%I including all)', v_name, v_table);
                execute format('alter table postrider.%I set (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000000)', v_name);
                execute format('alter table postrider.%I attach partition postrider.%I for values from (%L) to (%L)',
                               v_table, v_name, v_day, v_day + 1);
                v_made := v_made + 1;
            end if;
        end loop;
    end loop;
    return v_made;
end $$;

-- Whole days from today (UTC) for which partitions exist; under 2 is an alarm.
create or replace function postrider.partition_ahead_v1() returns int
    language sql stable as $$
    select count(*)::int - 1 from generate_series(0, 30) as g (n)
    where to_regclass('postrider.message_' || to_char((postrider.clock() at time zone 'UTC')::date + g.n, 'YYYYMMDD')) is not null
$$;

-- Drops one partition older than the retention, none of a day for which something still waits; returns how many (0 or 1), so that each is a
-- transaction of its own. Detaching wants a short exclusive lock, so it gives up after a second and the next hour tries again: DETACH CONCURRENTLY,
-- which would not wait, cannot run inside a function, and the dispatcher's role owns no table.
create or replace function postrider.partition_drop_v1(p_retention_days int) returns int
    language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set lock_timeout = '1s' as $$
declare
    r record;
    v_oldest date := least((postrider.clock() at time zone 'UTC')::date - p_retention_days, (select min(d.day) from postrider.deferred d));
begin
    if not pg_try_advisory_xact_lock(7236832, 1) then
        return 0;
    end if;
    select p.relname as parent, c.relname as name into r
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    join pg_class p on p.oid = i.inhparent
    join pg_namespace n on n.oid = p.relnamespace and n.nspname = 'postrider'
    where p.relname in ('message', 'outcome', 'aside', 'dead_letter')
      and right(c.relname, 8) < to_char(v_oldest, 'YYYYMMDD') and right(c.relname, 8) <> '19700101'
    order by c.relname limit 1;
    if not found then
        return 0;
    end if;
    execute format('alter table postrider.%I detach partition postrider.%I', r.parent, r.name);
    execute format('drop table postrider.%I', r.name);
    return 1;
exception when lock_not_available then
    return 0;
end $$;
