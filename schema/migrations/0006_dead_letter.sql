-- Dead letters know the message they ended, and what was done about them.

-- Names of headers are a stranger's bytes too: as text, one that is no UTF-8 could not be kept.
create function pg_temp.bytes_of(p_names text[]) returns bytea[] language sql as $$
    select coalesce(array_agg(convert_to(u.name, 'UTF8') order by u.n), '{}') from unnest(p_names) with ordinality as u (name, n)
$$;
alter table postrider.dead_letter
    alter column header_names type bytea[] using pg_temp.bytes_of(header_names),
    add column tenant      int,
    add column type        text, -- null: it could not be decoded
    add column message_day date, -- with `message`: the row that the letter ended; null: it has none, and goes back through Kafka
    add column message     uuid,
    add column redrives    int not null default 0,
    add column redriven_at timestamptz, -- the last time, unless it came back since
    add column purged_at   timestamptz; -- its bytes are gone; the row still says what became of its offset

drop function if exists postrider.dead_v1(timestamptz, smallint, int, bigint, text, text, bytea, bytea, text[], bytea[], int, date, uuid, int);
