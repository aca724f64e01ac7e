-- The verdict table: mirrors pr_verdict_of in common/core/verdict.c; a test compares the two cell by cell.
create or replace function postrider.verdict_v1(
    p_state smallint, p_row_gen int, p_gen int, p_is_own boolean, p_is_alive boolean, p_is_wire_clear boolean,
    p_is_resend_allowed boolean, p_has_definite boolean) returns smallint
    language sql immutable parallel safe as $$
    select (case
        when p_state not between 0 and 11 then 10 -- of a newer schema: never sent, kept for a person to see
        when p_state = 0 then case when p_gen = 0 then 0 else 10 end -- evaluate, no ledger row
        when p_gen < p_row_gen then 2 -- duplicate
        when p_state = 11 then 2
        when p_gen > p_row_gen then 10
        when p_state in (1, 2, 4) and p_has_definite then 2
        when p_state in (6, 7, 8, 9, 10) then case when p_is_own then 11 else 2 end
        when p_state = 1 and p_is_own then 11 -- its stored verdict again
        when p_state in (2, 3, 5) then 0
        when p_state = 4 then case when p_is_resend_allowed then 0 else 9 end -- waiting
        when p_is_alive then 7 -- held
        when p_is_wire_clear then 0 -- claimed and never handed over: as good as written back
        else 8 -- orphan
    end)::smallint
$$;
