/* list, heap, map, buf and arena: what everything above relies on. */
#include <check.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/arena.h"
#include "core/buf.h"
#include "core/heap.h"
#include "core/list.h"
#include "core/map.h"
#include "core/mem.h"
#include "tests/support/suite.h"

struct item {
    struct list_node link;
    struct heap_node timer;
    struct map_node by_key;
    int n;
};

START_TEST(test_list_keeps_order_and_length)
{
    struct list l, other;
    struct item items[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
    list_init(&l);
    list_init(&other);
    for (int i = 1; i < 4; i++)
        list_push_back(&l, &items[i].link);
    list_push_front(&l, &items[0].link);
    list_remove(&l, &items[2].link);
    ck_assert(!list_is_linked(&items[2].link));
    ck_assert_uint_eq(l.len, 3);
    list_take_all(&other, &l);
    ck_assert(list_is_empty(&l));
    static const int expected[] = {0, 1, 3};
    for (size_t i = 0; i < 3; i++) {
        struct item *it = FUT_CONTAINER(list_front(&other), struct item, link);
        ck_assert_int_eq(it->n, expected[i]);
        ck_assert_ptr_eq(list_pop_front(&other), &it->link);
    }
    ck_assert_ptr_null(list_pop_front(&other));
}
END_TEST

START_TEST(test_heap_gives_the_smallest_after_moves_and_removals)
{
    enum { N = 500 };
    struct heap h;
    struct item *items = xcalloc(N, sizeof(*items));
    heap_init(&h);
    srand(1);
    for (int round = 0; round < 5000; round++) {
        struct item *it = &items[rand() % N];
        if (rand() % 3)
            heap_put(&h, &it->timer, rand() % 1000);
        else
            heap_remove(&h, &it->timer);
    }
    int64_t last = -1;
    struct heap_node *n;
    while ((n = heap_min(&h))) {
        ck_assert_int_ge(n->key, last);
        last = n->key;
        heap_remove(&h, n);
        ck_assert(!heap_is_linked(n));
    }
    heap_release(&h);
    free(items);
}
END_TEST

START_TEST(test_map_finds_all_and_only_what_is_there)
{
    enum { N = 1000 };
    struct map m;
    struct item *items = xcalloc(N, sizeof(*items));
    map_init(&m);
    for (int i = 0; i < N; i++)
        map_put(&m, &items[i].by_key, (uint64_t)i << 16);
    for (int i = 0; i < N; i += 2)
        map_remove(&m, &items[i].by_key);
    map_remove(&m, &items[0].by_key); /* twice is nothing */
    for (int i = 0; i < N; i++)
        ck_assert_ptr_eq(map_get(&m, (uint64_t)i << 16), i % 2 ? &items[i].by_key : NULL);
    ck_assert_uint_eq(m.len, N / 2);
    map_release(&m);
    free(items);
}
END_TEST

START_TEST(test_map_walks_the_nodes_of_one_key)
{
    struct map m;
    struct item items[6] = {0};
    unsigned seen = 0;
    map_init(&m);
    for (unsigned i = 0; i < 6; i++)
        map_put(&m, &items[i].by_key, i % 2);
    for (struct map_node *n = map_get(&m, 1); n; n = map_next_same(n))
        seen |= 1u << (FUT_CONTAINER(n, struct item, by_key) - items);
    ck_assert_uint_eq(seen, 1u << 1 | 1u << 3 | 1u << 5);
    map_release(&m);
}
END_TEST

/* Walking the chain for each removal would be 20 billion steps here: the time-out of the test. */
START_TEST(test_map_nodes_of_one_key_leave_in_constant_time)
{
    enum { N = 200000 };
    struct map m;
    struct map_node *nodes = xcalloc(N, sizeof(*nodes));
    map_init(&m);
    for (int i = 0; i < N; i++)
        map_put(&m, &nodes[i], 7);
    for (int i = 0; i < N; i += 2)
        map_remove(&m, &nodes[i]);
    size_t remaining = 0;
    for (struct map_node *n = map_get(&m, 7); n; n = map_next_same(n), remaining++)
        ck_assert((n - nodes) % 2 == 1 && map_is_linked(n));
    ck_assert_uint_eq(remaining, N / 2);
    for (int i = N - 1; i > 0; i -= 2)
        map_remove(&m, &nodes[i]);
    ck_assert_ptr_null(map_get(&m, 7));
    ck_assert_uint_eq(m.len, 0);
    map_release(&m);
    free(nodes);
}
END_TEST

START_TEST(test_buf_numbers)
{
    struct buf b = BUF_INIT;
    const int64_t numbers[] = {0, 7, -10, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < FUT_COUNT(numbers); i++) {
        buf_put_int(&b, numbers[i]);
        buf_putc(&b, ' ');
    }
    buf_put_uint(&b, UINT64_MAX);
    ck_assert_str_eq(b.data,
                     "0 7 -10 9223372036854775807 -9223372036854775808 18446744073709551615");
    buf_release(&b);
}
END_TEST

START_TEST(test_buf_grows_prints_and_hands_over)
{
    struct buf b = BUF_INIT;
    size_t len;
    buf_printf(&b, "%0200d", 7);
    buf_puts(&b, "tail");
    buf_consume(&b, 199);
    ck_assert_str_eq(b.data, "7tail");
    char *taken = buf_take(&b, &len);
    ck_assert_uint_eq(len, 5);
    ck_assert_ptr_null(b.data);
    free(taken);
    buf_release(&b);
}
END_TEST

START_TEST(test_arena_gives_zeroed_aligned_memory)
{
    struct arena a;
    arena_init(&a);
    for (size_t n = 1; n < 5000; n += 77) {
        unsigned char *p = arena_alloc(&a, n);
        ck_assert_uint_eq((uintptr_t)p % sizeof(void *), 0);
        for (size_t i = 0; i < n; i++)
            ck_assert_uint_eq(p[i], 0);
        memset(p, 0xff, n);
    }
    ck_assert_str_eq(arena_strndup(&a, "hello", 4), "hell");
    arena_release(&a);
}
END_TEST

START_TEST(test_arena_is_as_new_after_a_reset)
{
    struct arena a;
    arena_init(&a);
    for (size_t n = 1; n < 9000; n += 371) {
        for (size_t size = n; size; size /= 2) {
            unsigned char *p = arena_alloc(&a, size);
            for (size_t i = 0; i < size; i++)
                ck_assert_uint_eq(p[i], 0);
            memset(p, 0xff, size);
        }
        arena_reset(&a);
    }
    arena_reset(&a);
    arena_reset(&a);
    arena_release(&a);
    ck_assert_ptr_null(a.blocks);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, test_list_keeps_order_and_length);
    tcase_add_test(tc, test_heap_gives_the_smallest_after_moves_and_removals);
    tcase_add_test(tc, test_map_finds_all_and_only_what_is_there);
    tcase_add_test(tc, test_map_walks_the_nodes_of_one_key);
    tcase_add_test(tc, test_map_nodes_of_one_key_leave_in_constant_time);
    tcase_add_test(tc, test_buf_numbers);
    tcase_add_test(tc, test_buf_grows_prints_and_hands_over);
    tcase_add_test(tc, test_arena_gives_zeroed_aligned_memory);
    tcase_add_test(tc, test_arena_is_as_new_after_a_reset);
    return suite_run_cases("containers", tc, NULL);
}
