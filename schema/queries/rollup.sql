-- The lane's counts of the last second, added to its own rows.
insert into postrider.stat_minute as s (minute, tenant, sender, category, fate, reason, instance, lane, n)
select u.minute, u.tenant, u.sender, u.category, u.fate, u.reason, $1, $2, u.n
from unnest($3::int[], $4::int[], $5::int[], $6::smallint[], $7::text[], $8::text[], $9::bigint[])
     as u (minute, tenant, sender, category, fate, reason, n)
order by u.minute, u.tenant, u.sender, u.category, u.fate, u.reason
on conflict (minute, tenant, sender, category, fate, reason, instance, lane) do update set n = s.n + excluded.n
