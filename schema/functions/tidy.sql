-- Small tables stay small: what no look-up needs any more goes.
create or replace function postrider.tidy_v1(p_retention_days int) returns void
    language plpgsql volatile as $$
begin
    delete from postrider.control c where c.at < clock_timestamp() - interval '1 day';
    delete from postrider.fence f where f.at < postrider.clock() - p_retention_days * interval '1 day';
    delete from postrider.sender_share s where s.owner <> 0 and s.until < clock_timestamp() - interval '1 hour';
    delete from postrider.reach r using postrider.quota_pool q
    where r.tenant = q.tenant and r.pool = q.id and r.minute < q.last_minute - 7 * 1440;
end $$;
