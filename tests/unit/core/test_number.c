/* Numbers as people and programs write them. */
#include <check.h>

#include "core/mem.h"
#include "core/number.h"
#include "tests/support/suite.h"

static const struct {
    const char *text;
    bool ok;
    double value;
} numbers[] = {
    {"0", true, 0},        {"-0", true, 0},     {"29.999993562698364", true, 29.999993562698364},
    {"1e-3", true, 0.001}, {"1E+2", true, 100}, {".5", true, 0.5},
    {"-.5e1", true, -5},   {"007", true, 7},    {"0.30000000000000004", true, 0.30000000000000004},
    {"", false, 0},        {"-", false, 0},     {".", false, 0},
    {"5.", false, 0},      {"+1", false, 0},    {" 1", false, 0},
    {"1 ", false, 0},      {"1s", false, 0},    {"1e", false, 0},
    {"1e+", false, 0},     {"1.2.3", false, 0}, {"0x10", false, 0},
    {"-0x10", false, 0},   {"inf", false, 0},   {"nan", false, 0},
    {"1e999", false, 0},
};

START_TEST(test_number_parse)
{
    double v = -7;
    ck_assert_int_eq(number_parse(numbers[_i].text, &v), numbers[_i].ok);
    ck_assert_double_eq(v, numbers[_i].ok ? numbers[_i].value : -7);
}
END_TEST

START_TEST(test_number_scan_stops_behind_the_number)
{
    const char *end;
    double v;
    ck_assert(number_scan("1.5e3KB", &end, &v) && v == 1500);
    ck_assert_str_eq(end, "KB");
    ck_assert(number_scan("0x10", &end, &v) && v == 0);
    ck_assert_str_eq(end, "x10");
}
END_TEST

static const struct {
    const char *text;
    uint64_t max;
    bool ok;
    uint64_t value;
} whole[] = {
    {"1000", 1000, true, 1000},
    {"1001", 1000, false, 0},
    {"1e3", 1000, true, 1000},
    {"2.0", 9, true, 2},
    {"2.5", 9, false, 0},
    {"-1", 9, false, 0},
    {"", 9, false, 0},
    {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, false, 0},
    {"99999999999999999999", 1000, false, 0},
    {"1e300", UINT64_MAX, false, 0},
};

START_TEST(test_number_parse_uint)
{
    uint64_t v = 77;
    ck_assert_int_eq(number_parse_uint(whole[_i].text, whole[_i].max, &v), whole[_i].ok);
    ck_assert_uint_eq(v, whole[_i].ok ? whole[_i].value : 77);
}
END_TEST

static const struct {
    const char *text;
    int64_t ms; /* -7: refused */
} seconds[] = {
    {"0", 0},        {"2", 2000},     {"0.25", 250},       {"0.0001", 1},
    {"1.001", 1001}, {"2.003", 2003}, {"1.0000001", 1001}, {"29.999993562698364", 30000},
    {"1e-3", 1},     {"1e-9", 1},     {".5", 500},         {"0.30000000000000004", 300},
    {"-1", -7},      {"1e7", -7},     {"86400.001", -7},   {"86400", 86400000},
};

START_TEST(test_number_parse_seconds)
{
    int64_t ms = -7;
    ck_assert_int_eq(number_parse_seconds(seconds[_i].text, 86400000, &ms), seconds[_i].ms != -7);
    ck_assert_int_eq(ms, seconds[_i].ms);
}
END_TEST

int main(void)
{
    const struct suite_row rows[] = {
        {test_number_parse, FUT_COUNT(numbers)},
        {test_number_scan_stops_behind_the_number, 0},
        {test_number_parse_uint, FUT_COUNT(whole)},
        {test_number_parse_seconds, FUT_COUNT(seconds)},
    };
    return suite_run_rows("number", SUITE_TIMEOUT_S, NULL, NULL, rows, FUT_COUNT(rows));
}
