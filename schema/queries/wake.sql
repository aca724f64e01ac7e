-- People who sleep for quota, woken as far as their pools have room.
select count(*) from postrider.sleeping_pools_v1() p cross join lateral postrider.wake_v1(p.tenant, p.pool) w where w > 0
