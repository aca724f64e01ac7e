-- What dispatchers that ended left unanswered, as far as their journals tell.

-- The key of the journal that the present epoch keeps; null: it keeps none.
alter table postrider.instance add column journal uuid;

-- An epoch that is over and whose journal was read: of what it claimed, only the messages below may be on their way without a recorded answer.
create table postrider.journal (
    owner int not null,
    epoch int not null,
    at    timestamptz not null,
    primary key (owner, epoch)
);

create table postrider.journal_message (
    owner int not null,
    epoch int not null,
    id    uuid not null,
    primary key (owner, epoch, id),
    foreign key (owner, epoch) references postrider.journal on delete cascade -- the list without its head says nothing, the head without its list lies
);

-- Their successors take more.
drop function if exists postrider.instance_start_v1(text, text, int);
drop function if exists postrider.verdict_v1(smallint, int, int, boolean, boolean, boolean, boolean);
