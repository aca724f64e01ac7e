/* Tests of the key hash against the vectors of Kafka's own test suite and of librdkafka's. */
#include "core/partition.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))

static void the_vectors_of_kafkas_java_client_come_out(void **state) {
    (void)state;
    /* org.apache.kafka.common.utils.UtilsTest.testMurmur2 */
    static const struct {
        const char *key;
        int32_t hash;
    } vectors[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < ARRAY_N(vectors); i++) {
        assert_int_equal(pr_partition_murmur2(pr_span_of(vectors[i].key)), (uint32_t)vectors[i].hash);
    }
}

static void the_vectors_of_librdkafka_come_out(void **state) {
    (void)state;
    /* librdkafka src/rdmurmur2.c unittest_murmur2; the long keys use each length of the tail. */
    static const struct {
        const char *key;
        uint32_t hash;
    } vectors[] = {
        {"kafka", 0xd067cf64},
        {"giberish123456789", 0x8f552b0c},
        {"1234", 0x9fc97b14},
        {"234", 0xe7c009ca},
        {"34", 0x873930da},
        {"4", 0x5a4b5ca1},
        {"PreAmbleWillBeRemoved,ThePrePartThatIs", 0x78424f1c},
        {"reAmbleWillBeRemoved,ThePrePartThatIs", 0x4a62b377},
        {"eAmbleWillBeRemoved,ThePrePartThatIs", 0xe0e4e09e},
        {"AmbleWillBeRemoved,ThePrePartThatIs", 0x62b8b43f},
        {"", 0x106e08d9},
    };
    for (size_t i = 0; i < ARRAY_N(vectors); i++) {
        assert_int_equal(pr_partition_murmur2(pr_span_of(vectors[i].key)), vectors[i].hash);
    }
}

static void bytes_over_127_are_not_sign_extended(void **state) {
    (void)state;
    static const char high[] = "\xff\xfe\xfd\xfc\xfb\xfa\xf9";
    static const char low[] = "\x7f\x7e\x7d\x7c\x7b\x7a\x79";
    uint32_t hash = pr_partition_murmur2(pr_span_make(high, 7));
    assert_int_not_equal(hash, pr_partition_murmur2(pr_span_make(low, 7)));
    assert_int_equal(hash, 0xf6176f45);
}

static void a_partition_is_the_hash_without_its_sign_modulo_the_count(void **state) {
    (void)state;
    struct pr_span key = PR_SPAN("foobar"); /* a negative hash */
    assert_int_equal(pr_partition_of(key, 1), 0);
    assert_int_equal(pr_partition_of(key, 12), ((uint32_t)-790332482 & 0x7fffffff) % 12);
    assert_int_equal(pr_partition_of(key, INT32_MAX), ((uint32_t)-790332482 & 0x7fffffff) % INT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_kafkas_java_client_come_out),
        cmocka_unit_test(the_vectors_of_librdkafka_come_out),
        cmocka_unit_test(bytes_over_127_are_not_sign_extended),
        cmocka_unit_test(a_partition_is_the_hash_without_its_sign_modulo_the_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
