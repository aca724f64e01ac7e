-- Time as the database sees it: the one function that quota, expiry and due dates ask, and that a test replaces.
create or replace function postrider.clock() returns timestamptz
    language sql volatile parallel safe as 'select clock_timestamp()';
