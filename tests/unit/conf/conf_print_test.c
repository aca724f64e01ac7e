/* The texts made from a table: each has every option, and the sample file is the defaults. */
#include "unit/conf/conf_fixture.h"

static void the_sample_file_is_the_defaults(void **state) {
    (void)state;
    struct pr_buf out;
    struct loaded l;
    pr_buf_init(&out, 65536);
    pr_conf_sample(&table, &out);
    assert_false(out.failed);
    load_text(&l, pr_buf_text(&out));
    expect_ok(&l);
    assert_int_equal(l.conf.values[2].source, PR_CONF_FROM_DEFAULT);
    pr_conf_free(&l.conf);
    for (char *c = out.p; *c; c++) { /* "#key = …" is an option, "# text" is not */
        if (*c == '#' && c[1] != ' ') {
            *c = ' ';
        }
    }
    load_text(&l, pr_buf_text(&out));
    expect_ok(&l);
    expect_defaults(&l.t);
    for (size_t i = 2; i < table.n; i++) {
        assert_int_equal(l.conf.values[i].source, PR_CONF_FROM_FILE);
    }
    pr_conf_free(&l.conf);
    pr_buf_free(&out);
}

static void help_and_manual_have_every_option(void **state) {
    (void)state;
    struct pr_buf help;
    struct pr_buf mdoc;
    pr_buf_init(&help, 65536);
    pr_buf_init(&mdoc, 65536);
    pr_conf_help(&table, "  --flag\n", &help);
    pr_conf_mdoc(&table, &mdoc);
    for (size_t i = 0; i < table.n; i++) {
        char item[64];
        (void)snprintf(item, sizeof item, "  --%s=", rows[i].name);
        assert_non_null(strstr(pr_buf_text(&help), item));
        (void)snprintf(item, sizeof item, ".It Ic %s\n", strchr(rows[i].name, '.') + 1);
        assert_non_null(strstr(pr_buf_text(&mdoc), item));
    }
    assert_non_null(strstr(pr_buf_text(&help), "  --flag\n"));
    assert_non_null(strstr(pr_buf_text(&mdoc), "\n\\&.Starts with a dot.\n"));
    assert_non_null(strstr(pr_buf_text(&mdoc), "A name.\nBack\\eslash.\n"));
    pr_buf_free(&help);
    pr_buf_free(&mdoc);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_file_is_the_defaults),
        cmocka_unit_test(help_and_manual_have_every_option),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
