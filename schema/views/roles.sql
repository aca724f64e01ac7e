-- What each role may do. The roles themselves are made by `postrider migrate` when it may, and are the administrator's otherwise.
do $$
declare
    r record;
begin
    for r in select * from (values
        ('postrider_dispatcher', 'usage', 'select, insert, update, delete'),
        ('postrider_webhook', 'usage', 'select')) as x (role, schema_right, table_right)
    loop
        continue when not exists (select from pg_roles where rolname = r.role);
        execute format('grant %s on schema postrider to %I', r.schema_right, r.role);
        execute format('grant %s on all tables in schema postrider to %I', r.table_right, r.role);
        execute format('grant execute on all functions in schema postrider to %I', r.role);
        execute format('alter default privileges in schema postrider grant %s on tables to %I', r.table_right, r.role);
    end loop;
    if exists (select from pg_roles where rolname = 'postrider_webhook') then
        grant update on postrider.sender, postrider.message to postrider_webhook;
        grant insert, update on postrider.outcome to postrider_webhook;
        grant insert on postrider.control to postrider_webhook;
        grant delete on postrider.deferred to postrider_webhook;
    end if;
    -- Whoever may drop partitions may drop the ledger.
    revoke execute on function postrider.partition_make_v1(int, int), postrider.partition_drop_v1(int) from public;
    if exists (select from pg_roles where rolname = 'postrider_webhook') then
        revoke execute on function postrider.partition_make_v1(int, int), postrider.partition_drop_v1(int) from postrider_webhook;
    end if;
    if exists (select from pg_roles where rolname = 'postrider_dashboard') then
        grant usage on schema capacity to postrider_dashboard;
        grant select on all tables in schema capacity to postrider_dashboard;
    end if;
end $$;
