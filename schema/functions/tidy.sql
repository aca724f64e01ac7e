-- Small tables stay small: what no look-up needs any more goes, at most ten thousand rows of a table at once and none that somebody is at, because
-- a claim would wait for the end of all. Returns how many went of those that may be many: it is asked again until none did.
drop function if exists postrider.tidy_v1(int); -- it returned nothing once
create or replace function postrider.tidy_v1(p_retention_days int) returns bigint
    language plpgsql volatile as $$
declare
    v_fences bigint;
    v_people bigint;
begin
    delete from postrider.control c where c.at < clock_timestamp() - interval '1 day';
    delete from postrider.fence f where f.ctid = any (array(
        select x.ctid from postrider.fence x where x.at < postrider.clock() - p_retention_days * interval '1 day' limit 10000 for update skip locked));
    get diagnostics v_fences = row_count;
    perform postrider.cap_tidy_v1();
    delete from postrider.sender_share s where s.owner <> 0 and s.until < clock_timestamp() - interval '1 hour';
    delete from postrider.reach r where r.ctid = any (array(
        select x.ctid from postrider.reach x join postrider.quota_pool q on q.tenant = x.tenant and q.id = x.pool
        where x.minute < q.last_minute - 7 * 1440 limit 10000 for update of x skip locked));
    get diagnostics v_people = row_count;
    -- No claim of an epoch that ended so long ago is in the ledger any more; where one is all the same, it counts as an orphan again.
    delete from postrider.journal j where j.at < postrider.clock() - (p_retention_days + 2) * interval '1 day';
    return v_fences + v_people;
end $$;
