-- All that a lane must know of the businesses, in one statement and so in one snapshot. Columns: see pr_book_new.
select 1 as kind, t.id as tenant, 0 as id, 0 as pool, 0::float8 as rate, t.name as a, t.locale as b, '' as c, '' as d, '' as e, '' as f
from postrider.tenant t
union all
select 2, s.tenant, s.id, s.pool, s.rate, s.name, s.provider, s.address, s.account, s.secret, s.status from postrider.sender s
union all
select 3, p.tenant, p.id, p.category, 0, p.name, p.language, p.status, p.definition, '', '' from postrider.template p
union all
select 4, r.tenant, 0, r.line, r.position, r.name, r.definition, '', '', '', '' from postrider.rule r
order by kind, tenant, rate, id
