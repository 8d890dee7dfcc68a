/* The frames between scheduler and worker: what goes in comes out, and nothing else does. */
#include <check.h>
#include <stdlib.h>

#include "core/mem.h"
#include "workers/wire.h"

static struct wire_frame decode_ok(const struct buf *b)
{
    struct wire_frame f;
    size_t used;
    ck_assert_int_eq(wire_decode(b->data, b->len, WIRE_FRAME_MAX, &f, &used), 0);
    ck_assert_uint_eq(used, b->len);
    return f;
}

START_TEST(test_wire_hello_roundtrip)
{
    struct buf b = BUF_INIT;
    wire_put_hello(&b);
    struct wire_frame f = decode_ok(&b);
    ck_assert_int_eq(f.type, WIRE_HELLO);
    ck_assert_uint_eq(f.as.hello.version, WIRE_VERSION);
    buf_release(&b);
}
END_TEST

static const struct wire_run a_run = {.seq = 0x123456789abcdef0,
                                      .max_result_bytes = 1 << 20,
                                      .handler = "sha256",
                                      .input_type = "text/plain; charset=utf-8",
                                      .input = (const unsigned char *)"in\0put",
                                      .input_len = 6};

START_TEST(test_wire_run_roundtrip)
{
    struct buf b = BUF_INIT;
    ck_assert_int_eq(wire_put_run(&b, &a_run), 0);
    struct wire_frame f = decode_ok(&b);
    ck_assert_int_eq(f.type, WIRE_RUN);
    ck_assert(f.as.run.seq == a_run.seq);
    ck_assert(f.as.run.max_result_bytes == a_run.max_result_bytes);
    ck_assert_str_eq(f.as.run.handler, "sha256");
    ck_assert_str_eq(f.as.run.input_type, a_run.input_type);
    ck_assert_uint_eq(f.as.run.input_len, 6);
    ck_assert_mem_eq(f.as.run.input, "in\0put", 6);
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_result_roundtrip)
{
    struct wire_result r = {.seq = 7,
                            .class = RUN_TEMPORARY,
                            .type = "",
                            .code = "http_failed",
                            .message = "no \xc3\xa9route",
                            .body = NULL,
                            .body_len = 0};
    struct buf b = BUF_INIT;
    ck_assert_int_eq(wire_put_result(&b, &r), 0);
    struct wire_frame f = decode_ok(&b);
    ck_assert_int_eq(f.as.result.class, RUN_TEMPORARY);
    ck_assert_str_eq(f.as.result.code, "http_failed");
    ck_assert_str_eq(f.as.result.message, "no \xc3\xa9route");
    ck_assert_uint_eq(f.as.result.body_len, 0);
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_progress_roundtrip)
{
    struct buf b = BUF_INIT;
    struct wire_progress p = {.seq = 9, .fraction = 0.1, .message = "a tenth"};
    ck_assert_int_eq(wire_put_progress(&b, &p), 0);
    struct wire_frame f = decode_ok(&b);
    ck_assert_int_eq(f.type, WIRE_PROGRESS);
    ck_assert_uint_eq(f.as.progress.seq, 9);
    ck_assert(f.as.progress.fraction == 0.1);
    ck_assert_str_eq(f.as.progress.message, "a tenth");
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_progress_is_a_fraction)
{
    static const double wrong[] = {-0.1, 1.1, 1e300};
    for (size_t i = 0; i < FUT_COUNT(wrong); i++) {
        struct buf b = BUF_INIT;
        struct wire_frame f;
        size_t used;
        struct wire_progress p = {.seq = 9, .fraction = wrong[i], .message = ""};
        ck_assert_int_eq(wire_put_progress(&b, &p), 0);
        ck_assert_int_eq(wire_decode(b.data, b.len, WIRE_FRAME_MAX, &f, &used), FUT_ERR_INVAL);
        buf_release(&b);
    }
}
END_TEST

START_TEST(test_wire_log_roundtrip)
{
    struct buf b = BUF_INIT;
    struct wire_log l = {.seq = 9, .bytes = (const unsigned char *)"a\0b", .len = 3};
    ck_assert_int_eq(wire_put_log(&b, &l), 0);
    struct wire_frame f = decode_ok(&b);
    ck_assert_int_eq(f.type, WIRE_LOG);
    ck_assert_uint_eq(f.as.log.len, 3);
    ck_assert_mem_eq(f.as.log.bytes, "a\0b", 3);
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_every_prefix_is_more)
{
    struct buf b = BUF_INIT;
    struct wire_frame f;
    size_t used;
    ck_assert_int_eq(wire_put_run(&b, &a_run), 0);
    for (size_t n = 0; n < b.len; n++) {
        char *copy = xmalloc(n); /* so that ASan sees a read behind the end */
        memcpy(copy, b.data, n);
        ck_assert_int_eq(wire_decode(copy, n, WIRE_FRAME_MAX, &f, &used), FUT_ERR_AGAIN);
        free(copy);
    }
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_two_frames_in_a_row)
{
    struct buf b = BUF_INIT;
    struct wire_frame f;
    size_t used;
    wire_put_hello(&b);
    size_t first = b.len;
    ck_assert_int_eq(wire_put_run(&b, &a_run), 0);
    ck_assert_int_eq(wire_decode(b.data, b.len, WIRE_FRAME_MAX, &f, &used), 0);
    ck_assert_int_eq(f.type, WIRE_HELLO);
    ck_assert_uint_eq(used, first);
    buf_release(&b);
}
END_TEST

#define BYTES(s) s, sizeof(s) - 1
static const struct {
    const char *bytes;
    size_t n;
    int rc;
} bad[] = {
    {BYTES("\xff\xff\xff\xff"), FUT_ERR_TOO_BIG},
    {BYTES("\x00\x00\x00\x00"), FUT_ERR_INVAL},                     /* no type */
    {BYTES("\x01\x00\x00\x00\x09"), FUT_ERR_INVAL},                 /* no such type */
    {BYTES("\x01\x00\x00\x00\x01"), FUT_ERR_INVAL},                 /* hello without fields */
    {BYTES("\x07\x00\x00\x00\x01XXXX\x01\x00"), FUT_ERR_INVAL},     /* wrong magic */
    {BYTES("\x08\x00\x00\x00\x01UTF1\x01\x00\x00"), FUT_ERR_INVAL}, /* a byte too many */
    {BYTES("\x11\x00\x00\x00\x03\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0"), FUT_ERR_INVAL}, /* class 7 */
};

START_TEST(test_wire_refuses)
{
    struct wire_frame f = {0};
    size_t used = 99;
    ck_assert_int_eq(wire_decode(bad[_i].bytes, bad[_i].n, 1 << 20, &f, &used), bad[_i].rc);
    ck_assert_uint_eq(used, 99);
}
END_TEST

START_TEST(test_wire_refuses_nul_inside_a_string)
{
    struct buf b = BUF_INIT;
    struct wire_frame f;
    size_t used;
    ck_assert_int_eq(wire_put_run(&b, &a_run), 0);
    char *at = memmem(b.data, b.len, "sha256", 6);
    ck_assert_ptr_nonnull(at);
    at[2] = '\0';
    ck_assert_int_eq(wire_decode(b.data, b.len, WIRE_FRAME_MAX, &f, &used), FUT_ERR_INVAL);
    buf_release(&b);
}
END_TEST

START_TEST(test_wire_too_long_a_name)
{
    struct buf b = BUF_INIT;
    struct wire_run run = a_run;
    char *name = xmalloc(WIRE_STRING_MAX + 1);
    memset(name, 'a', WIRE_STRING_MAX);
    name[WIRE_STRING_MAX] = '\0';
    run.handler = name;
    ck_assert_int_eq(wire_put_run(&b, &run), FUT_ERR_TOO_BIG);
    ck_assert_uint_eq(b.len, 0);
    free(name);
    buf_release(&b);
}
END_TEST

/* Deterministic damage: any outcome but a crash, a read behind the end or a wild pointer. */
START_TEST(test_wire_survives_damage)
{
    struct buf b = BUF_INIT;
    uint32_t seed = 12345;
    ck_assert_int_eq(wire_put_run(&b, &a_run), 0);
    for (int round = 0; round < 20000; round++) {
        char *copy = xmalloc(b.len);
        struct wire_frame f;
        size_t used;
        memcpy(copy, b.data, b.len);
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            copy[(seed >> 8) % b.len] = (char)(seed >> 24);
        }
        int rc = wire_decode(copy, b.len, 4096, &f, &used);
        if (rc == 0)
            ck_assert_uint_le(used, b.len);
        if (rc == 0 && f.type == WIRE_RUN)
            ck_assert_uint_le(strlen(f.as.run.handler) + f.as.run.input_len, b.len);
        free(copy);
    }
    buf_release(&b);
}
END_TEST

int main(void)
{
    TCase *t = tcase_create("wire");
    tcase_add_test(t, test_wire_hello_roundtrip);
    tcase_add_test(t, test_wire_run_roundtrip);
    tcase_add_test(t, test_wire_result_roundtrip);
    tcase_add_test(t, test_wire_progress_roundtrip);
    tcase_add_test(t, test_wire_progress_is_a_fraction);
    tcase_add_test(t, test_wire_log_roundtrip);
    tcase_add_test(t, test_wire_every_prefix_is_more);
    tcase_add_test(t, test_wire_two_frames_in_a_row);
    tcase_add_loop_test(t, test_wire_refuses, 0, (int)FUT_COUNT(bad));
    tcase_add_test(t, test_wire_refuses_nul_inside_a_string);
    tcase_add_test(t, test_wire_too_long_a_name);
    tcase_add_test(t, test_wire_survives_damage);
    Suite *s = suite_create("wire");
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
