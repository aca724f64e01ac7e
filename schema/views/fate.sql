-- What became of each message: the one place that joins the claim's row with its definite outcome.
create or replace view postrider.fate as
select m.tenant, m.day, m.id, m.contact, m.category, m.sender, m.rule, m.type, m.subject, m.gen, m.attempt, m.tries, m.resends, m.at, m.event_at,
       m.topic, m.part, m.off, m.state,
       case when o.kind = 1 or m.state = 6 then 'sent'
            when o.kind = 4 or m.state = 7 then 'refused'
            when m.state in (1, 2) then 'claimed'
            when m.state in (3, 5) then 'deferred'
            when m.state = 4 then 'unknown'
            when m.state = 8 then 'cancelled'
            when m.state = 9 then 'superseded'
            when m.state = 10 then 'dead' end as fate,
       case when o.kind is not null then o.reason else m.reason end as reason,
       o.wamid, o.code, o.at as answered_at
from postrider.message m
left join lateral (select x.kind, x.reason, x.wamid, x.code, x.at from postrider.outcome x
                   where m.state in (1, 2, 4, 6) and x.tenant = m.tenant and x.day = m.day and x.id = m.id and x.kind in (1, 4)
                   order by x.kind, x.attempt limit 1) o on true
where m.state <> 11;
