-- What capacity dashboards read: from roll-ups and small tables only, never from the ledger. These views are stable; no addresses.
create schema if not exists capacity;

create or replace view capacity.minute as
select to_timestamp(s.minute * 60.0) as minute, t.name as tenant, coalesce(n.name, '') as sender,
       case s.category when 0 then 'utility' when 1 then 'marketing' when 2 then 'authentication' when 3 then 'service' else '' end as category,
       s.fate, s.reason, sum(s.n)::bigint as n
from postrider.stat_minute s
join postrider.tenant t on t.id = s.tenant
left join postrider.sender n on n.tenant = s.tenant and n.id = s.sender
group by s.minute, t.name, n.name, s.category, s.fate, s.reason;

create or replace view capacity.pool as
select t.name as tenant, q.name as portfolio, q.tier, q.people_max, q.reserve_pct,
       (select coalesce(sum(b.n), 0)::bigint from postrider.bucket b
        where b.tenant = q.tenant and b.pool = q.id
          and b.minute > extract(epoch from postrider.clock()) / 60 - postrider.slot_minutes()) as people_now
from postrider.quota_pool q
join postrider.tenant t on t.id = q.tenant;

create or replace view capacity.dispatcher as
select i.name, i.epoch, i.host, i.started_at, i.lease_until > clock_timestamp() as is_alive from postrider.instance i;
