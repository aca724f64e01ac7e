-- A person who holds a slot although a message of theirs got no sure answer may be nobody the platform counts.
alter table postrider.reach add column in_doubt boolean not null default false;
