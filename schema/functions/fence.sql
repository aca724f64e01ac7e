-- Fences: what cancels and what supersedes, written before anything of the same batch is decided.

-- One entry a fence: p_address names the recipient for kinds 1 and 4, p_key the subject for 2 and 3.
create or replace function postrider.fence_v1(
    p_tenant int, p_kind smallint[], p_address text[], p_key text[], p_grp text[], p_at timestamptz[], p_rank int[], p_id uuid[])
    returns void language plpgsql volatile
    set jit = off set enable_seqscan = off set enable_bitmapscan = off set plan_cache_mode = force_generic_plan as $$
declare
    v_now timestamptz := postrider.clock();
begin
    if coalesce(cardinality(p_kind), 0) = 0 then
        return;
    end if;
    insert into postrider.fence as f (tenant, kind, key, grp, at, rank, id)
    select distinct on (x.kind, x.key, x.grp) p_tenant, x.kind, x.key, x.grp, x.at, x.rank, x.id
    from (select u.kind, case when u.kind in (1, 4) then c.id::text else u.key end as key, u.grp, u.at, u.rank, u.id
          from unnest(p_kind, p_address, p_key, p_grp, p_at, p_rank, p_id) as u (kind, address, key, grp, at, rank, id)
          left join lateral (select k.id from postrider.contact k
                             where k.tenant = p_tenant and k.address = u.address limit 1) c on true) x
    where x.key is not null
    order by x.kind, x.key, x.grp, x.at desc, x.rank desc, x.id desc
    on conflict (tenant, kind, key, grp) do update
        set at = excluded.at, rank = excluded.rank, id = excluded.id
        where (excluded.at, excluded.rank, excluded.id) > (f.at, f.rank, f.id);

    -- What waits and is not claimed goes at once; a taken row is past the point of no return.
    with f as materialized (
        select u.kind, u.grp, u.at, u.rank, u.id, u.key as subject, c.id as contact
        from unnest(p_kind, p_address, p_key, p_grp, p_at, p_rank, p_id) as u (kind, address, key, grp, at, rank, id)
        left join lateral (select k.id from postrider.contact k
                           where k.tenant = p_tenant and k.address = u.address limit 1) c on true),
    hit as (
        select d.day, d.id, d.gen, f.kind from f cross join lateral (
            select q.day, q.id, q.gen from postrider.deferred q
            where f.kind in (1, 4) and q.tenant = p_tenant and q.contact = f.contact and q.rule = f.grp
              and q.taken_owner is null and q.reason not in ('unknown', 'resolved')
              and (case when f.kind = 1 then q.event_at <= f.at else q.event_at < f.at end)) d
        union
        select d.day, d.id, d.gen, f.kind from f cross join lateral (
            select q.day, q.id, q.gen from postrider.deferred q
            where f.kind in (2, 3) and q.tenant = p_tenant and q.subject = f.subject and q.rule = f.grp
              and q.taken_owner is null and q.reason not in ('unknown', 'resolved')
              and (case when f.kind = 2 then q.event_at <= f.at else q.event_at < f.at end)) d),
    gone as (
        delete from postrider.deferred d using hit
        where d.tenant = p_tenant and d.day = hit.day and d.id = hit.id and d.gen = hit.gen
          and d.taken_owner is null -- again: a claim may have committed while this waited for the row
        returning d.day, d.id, d.gen, hit.kind)
    update postrider.message m
    set state = case when m.resends > 0 then 4 when gone.kind in (1, 2) then 8 else 9 end, -- what may have been sent was not cancelled
        reason = case when m.resends > 0 then 'unknown' when gone.kind in (1, 2) then 'cancelled' else 'superseded' end, at = v_now
    from gone where m.tenant = p_tenant and m.day = gone.day and m.id = gone.id and m.gen = gone.gen;
end $$;
