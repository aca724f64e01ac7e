-- Liveness of dispatcher processes: epochs and leases, always on the real clock.

-- Starts a process under its name: older claims of that name are orphans from now on. p_journal: the key of the journal that the new epoch keeps, null
-- for none. p_left_…: the epoch that the name's journal was kept for, its key, and the messages it has. If that is the epoch which ends here, whatever
-- else it claimed was not handed over, or its answer is recorded, and that is known from the same moment on.
create or replace function postrider.instance_start_v1(
    p_name text, p_host text, p_lease_ms int, p_journal uuid default null, p_left_owner int default null, p_left_epoch int default null,
    p_left_journal uuid default null, p_left_id uuid[] default null)
    returns table (id int, epoch int, now timestamptz, is_journal_taken boolean)
    language plpgsql volatile as $$
#variable_conflict use_column
declare
    v_is_taken boolean;
begin
    perform from postrider.instance i where i.name = p_name for update;
    v_is_taken := exists (
        select from postrider.instance i
        where i.name = p_name and i.id = p_left_owner and i.epoch = p_left_epoch and i.journal = p_left_journal);
    if v_is_taken then
        insert into postrider.journal (owner, epoch, at) values (p_left_owner, p_left_epoch, postrider.clock());
        insert into postrider.journal_message (owner, epoch, id)
        select distinct p_left_owner, p_left_epoch, u.id from unnest(p_left_id) as u (id) order by u.id;
    end if;
    return query
    insert into postrider.instance as i (name, epoch, lease_until, host, journal)
    values (p_name, 1, clock_timestamp() + p_lease_ms * interval '1 ms', p_host, p_journal)
    on conflict (name) do update
        set epoch = i.epoch + 1, lease_until = excluded.lease_until, host = excluded.host, journal = excluded.journal,
            started_at = clock_timestamp()
    returning i.id, i.epoch, postrider.clock(), v_is_taken;
end $$;

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

-- Whether nothing of a dead owner's claim can be on its way: its epoch's journal is known and does not have the message.
create or replace function postrider.is_wire_clear_v1(p_owner int, p_epoch int, p_id uuid) returns boolean
    language sql stable as $$
    select exists (select from postrider.journal j where j.owner = p_owner and j.epoch = p_epoch)
       and not exists (select from postrider.journal_message x where x.owner = p_owner and x.epoch = p_epoch and x.id = p_id)
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
