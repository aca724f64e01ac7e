-- Who may send how much by a sender, and finding what waits for a sender or template that was stopped.

-- What one process may use of a sender's rate. A row counts until its validity has passed, by the real clock, whatever became of its process; the
-- row of owner 0 belongs to nobody: it is what callers lock.
create table postrider.sender_share (
    tenant int not null,
    sender int not null,
    owner  int not null, -- instance
    epoch  int not null,
    held   double precision not null default 0, -- messages a second
    weight double precision not null default 0, -- its part against the others'
    call   bigint not null default 0, -- number of the question; one that arrives late changes nothing
    until  timestamptz not null default '-infinity',
    primary key (tenant, sender, owner, epoch)
) with (fillfactor = 50);

create index deferred_of_sender on postrider.deferred (tenant, due) where reason in ('sender_stopped', 'sender_breaker');
create index deferred_of_template on postrider.deferred (tenant, rule) where reason like 'template%';
