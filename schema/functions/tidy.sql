-- Small tables stay small: what no look-up needs any more goes.
create or replace function postrider.tidy_v1(p_retention_days int) returns void
    language plpgsql volatile as $$
begin
    delete from postrider.control c where c.at < clock_timestamp() - interval '1 day';
    delete from postrider.fence f where f.at < postrider.clock() - p_retention_days * interval '1 day';
    perform postrider.cap_tidy_v1();
    delete from postrider.sender_share s where s.owner <> 0 and s.until < clock_timestamp() - interval '1 hour';
    delete from postrider.reach r using postrider.quota_pool q
    where r.tenant = q.tenant and r.pool = q.id and r.minute < q.last_minute - 7 * 1440;
    -- No claim of an epoch that ended so long ago is in the ledger any more; where one is all the same, it counts as an orphan again.
    delete from postrider.journal j where j.at < postrider.clock() - (p_retention_days + 2) * interval '1 day';
end $$;
