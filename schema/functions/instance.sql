-- Liveness of dispatcher processes: epochs and leases, always on the real clock.

-- Starts a process under its name: older claims of that name are orphans from now on.
create or replace function postrider.instance_start_v1(p_name text, p_host text, p_lease_ms int)
    returns table (id int, epoch int, now timestamptz)
    language sql volatile as $$
    insert into postrider.instance as i (name, epoch, lease_until, host)
    values (p_name, 1, clock_timestamp() + p_lease_ms * interval '1 ms', p_host)
    on conflict (name) do update
        set epoch = i.epoch + 1, lease_until = excluded.lease_until, host = excluded.host, started_at = clock_timestamp()
    returning i.id, i.epoch, postrider.clock()
$$;

-- Prolongs the lease; no row when the epoch is over. A lease that ran out may be taken up again by the same epoch only while nobody raised it.
create or replace function postrider.instance_beat_v1(p_id int, p_epoch int, p_lease_ms int)
    returns table (now timestamptz)
    language sql volatile as $$
    update postrider.instance set lease_until = clock_timestamp() + p_lease_ms * interval '1 ms'
    where id = p_id and epoch = p_epoch and lease_until > clock_timestamp()
    returning postrider.clock()
$$;

-- A clean end: the lease is given back, so that nobody waits for it to run out.
create or replace function postrider.instance_stop_v1(p_id int, p_epoch int) returns void
    language sql volatile as $$
    update postrider.instance set lease_until = clock_timestamp() where id = p_id and epoch = p_epoch
$$;

create or replace function postrider.is_alive_v1(p_owner int, p_epoch int) returns boolean
    language sql stable as $$
    select exists (select from postrider.instance i
                   where i.id = p_owner and i.epoch = p_epoch and i.lease_until > clock_timestamp())
$$;

-- Our own lease, looked at inside the statement that relies on it. SQLSTATE PR001 tells the lane that it is fenced.
create or replace function postrider.check_lease_v1(p_owner int, p_epoch int) returns void
    language plpgsql volatile as $$
begin
    perform from postrider.instance i where i.id = p_owner and i.epoch = p_epoch and i.lease_until > clock_timestamp();
    if not found then
        raise exception 'lease of instance % epoch % is over', p_owner, p_epoch using errcode = 'PR001';
    end if;
end $$;
