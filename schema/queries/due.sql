-- Rows of `deferred` that are due in these partitions, behind the last one read. The lane reads the columns by their place.
select tenant, day, id, gen, part, due, since, kafka_at, waited_ms, topic, off, attempt, tries, late_ms, payload
from postrider.due_v1($1, $2, $3, $4)
