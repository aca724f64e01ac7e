-- What changed since the last look. $1: the oldest transaction that was still open then, null at the first look.
select c.id, c.kind, c.target, x.xmin
from (select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as xmin) x
left join postrider.control c on c.xid >= $1::bigint::text::xid8
order by c.id
