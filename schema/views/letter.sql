-- Dead letters in the words of `postrider deadletter … --where`. The last two, partition and off are its key in the ledger.
create or replace view postrider.letter as
select case when l.purged_at is not null then 'purged' when l.redriven_at is not null then 'redriven' else 'open' end as state,
       l.reason, l.detail, t.name as topic, l.part as partition, l.off, t.name || '/' || l.part || '/' || l.off as origin,
       (l.at at time zone 'UTC')::date as day, l.at, l.kafka_at, n.name as tenant, l.type, l.message, l.redrives, l.redriven_at, l.purged_at,
       encode(l.key, 'escape') as key, l.value, coalesce(length(l.value), 0) as bytes,
       -- Whose message goes on is counted as that message and not as a dead letter.
       coalesce((select m.state <> 10 from postrider.message m
                 where m.tenant = l.tenant and m.day = l.message_day and m.id = l.message), false) as goes_on,
       l.day as ledger_day, l.topic as ledger_topic
from postrider.dead_letter l
left join postrider.topic t on t.id = l.topic
left join postrider.tenant n on n.id = l.tenant;
