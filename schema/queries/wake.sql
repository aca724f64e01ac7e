-- People who sleep for quota, woken as far as their pools have room; pools that half a second was not enough for come another time.
select count(*) from (select s.tenant, s.pool from postrider.sleeping_pools_v1() s order by random()) p
cross join lateral (select postrider.wake_v1(p.tenant, p.pool) as n where clock_timestamp() < statement_timestamp() + interval '500 ms') w where w.n > 0
