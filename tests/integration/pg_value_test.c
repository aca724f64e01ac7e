/* Every type there and back through a real server. */
#include "integration/pg_fixture.h"

static void on_types(void *arg, const struct pr_pg_result *result) {
    const PGresult *r = result->rows;
    *(int *)arg = 1;
    if (result->class != PR_PG_OK) {
        fail_msg("%s", result->message);
    }
    assert_int_equal(pr_pg_int2(r, 0, 0), -2);
    assert_int_equal(pr_pg_int4(r, 0, 1), INT32_MIN);
    assert_int_equal(pr_pg_int8(r, 0, 2), INT64_MIN);
    assert_true(pr_pg_bool(r, 0, 3));
    assert_true(pr_span_is(pr_pg_bytes(r, 0, 4), "a\"b\\{},é"));
    assert_true(pr_span_is(pr_pg_bytes(r, 0, 5), "\x01\xff"));
    assert_int_equal(pr_pg_bytes(r, 0, 6).n, 16);
    assert_int_equal(pr_pg_bytes(r, 0, 6).p[15], 15);
    assert_int_equal(pr_pg_time_us(r, 0, 7), INT64_C(1795190400123456));
    assert_int_equal(pr_pg_date_days(r, 0, 8), 20777);
    assert_true(pr_pg_is_null(r, 0, 9));
    assert_int_equal(pr_pg_time_us(r, 0, 9), PR_TIME_NONE);
    assert_int_equal(pr_pg_time_us(r, 0, 10), INT64_MAX);
    assert_true(pr_pg_float8(r, 0, 11) > 0.249 && pr_pg_float8(r, 0, 11) < 0.251);
    assert_true(pr_span_is(pr_pg_bytes(r, 0, 12), "2026-11-20 2026-11-20 16:00:00.123456+00"));
    assert_int_equal(pr_pg_bytes(r, 0, 13).n, 0);
    assert_false(pr_pg_is_null(r, 0, 13));
    assert_int_equal(pr_pg_time_us(r, 0, 14), INT64_MIN + 1);
}

static void every_scalar_type_goes_there_and_back(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "set timezone = 'UTC'", 5000);
    assert_true(run_until_ready(pg, 5000));
    struct pr_uuid uuid;
    for (uint8_t i = 0; i < 16; i++) {
        uuid.b[i] = i;
    }
    struct pr_params params;
    pr_params_init(&params, 4096);
    pr_params_int2(&params, -2);
    pr_params_int4(&params, INT32_MIN);
    pr_params_int8(&params, INT64_MIN);
    pr_params_bool(&params, true);
    pr_params_text(&params, PR_SPAN("a\"b\\{},é"));
    pr_params_bytea(&params, PR_SPAN("\x01\xff"));
    pr_params_uuid(&params, &uuid);
    pr_params_time(&params, INT64_C(1795190400123456));
    pr_params_date(&params, 20777);
    pr_params_time(&params, PR_TIME_NONE);
    pr_params_time(&params, INT64_MAX);
    pr_params_text(&params, PR_SPAN(""));
    pr_params_time(&params, INT64_MIN + 1);
    int done = 0;
    assert_true(pr_pg_send(
        pg, "types", "select $1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11, 0.25::float8, $9::text || ' ' || $8::text, $12, $13",
        &params, on_types, &done, pr_clock_mono_ns()));
    pr_params_free(&params);
    for (int i = 0; i < 100 && !done; i++) {
        turn(pg, 50);
    }
    assert_true(done);
    pr_pg_free(pg);
}

static void on_text(void *arg, const struct pr_pg_result *result) {
    if (result->class != PR_PG_OK) {
        fail_msg("%s", result->message);
    }
    struct pr_span text = pr_pg_bytes(result->rows, 0, 0);
    (void)snprintf(arg, 512, "%.*s", PR_SPAN_ARG(text));
}

static void every_array_type_arrives_as_meant(void **state) {
    (void)state;
    struct pr_pg *pg = open_with(conninfo, "set timezone = 'UTC'", 5000);
    assert_true(run_until_ready(pg, 5000));
    struct pr_uuid uuid = {{0}};
    struct pr_params params;
    pr_params_init(&params, 4096);
    pr_params_array(&params, PR_OID_INT2);
    pr_item_int2(&params, -1);
    pr_params_array(&params, PR_OID_INT4);
    pr_item_int4(&params, 4);
    pr_item_null(&params);
    pr_params_array(&params, PR_OID_INT8);
    pr_params_array(&params, PR_OID_BOOL);
    pr_item_bool(&params, false);
    pr_item_bool(&params, true);
    pr_params_array(&params, PR_OID_TEXT);
    pr_item_text(&params, PR_SPAN("x"));
    pr_item_text(&params, PR_SPAN(""));
    pr_item_text(&params, (struct pr_span){NULL, 0});
    pr_params_array(&params, PR_OID_BYTEA);
    pr_item_text(&params, PR_SPAN("\x02"));
    pr_params_array(&params, PR_OID_UUID);
    pr_item_uuid(&params, &uuid);
    pr_params_array(&params, PR_OID_TIMESTAMPTZ);
    pr_item_time(&params, 0);
    pr_item_time(&params, PR_TIME_NONE);
    pr_params_array(&params, PR_OID_DATE);
    pr_item_date(&params, 0);
    pr_params_null(&params, PR_OID_INT4_ARRAY);
    char text[512] = "";
    assert_true(pr_pg_send(pg, "arrays",
                           "select concat_ws(' ', $1::text, $2::text, $3::text, cardinality($3), $4::text, $5::text, "
                           "$6::text, $7::text, $8::text, $9::text,"
                           " $10::int4[] is null)",
                           &params, on_text, text, pr_clock_mono_ns()));
    pr_params_free(&params);
    for (int i = 0; i < 100 && !text[0]; i++) {
        turn(pg, 50);
    }
    assert_string_equal(text,
                        "{-1} {4,NULL} {} 0 {f,t} {x,\"\",NULL} {\"\\\\x02\"} {00000000-0000-0000-0000-000000000000} "
                        "{\"1970-01-01 00:00:00+00\",NULL} {1970-01-01} t");
    pr_pg_free(pg);
}

int main(void) {
    if (!has_server()) {
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_type_goes_there_and_back),
        cmocka_unit_test(every_array_type_arrives_as_meant),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
