/* test_arena: budgets charge all ancestors or none, arenas give zeroed aligned memory and give
 * everything back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

Test(base_arena, budget_is_exact_at_below_and_above_its_limit)
{
    struct budget budget;
    budget_init(&budget, NULL, 100);
    cr_assert(budget_charge(&budget, 99));
    cr_assert(budget_charge(&budget, 1));
    cr_assert_not(budget_charge(&budget, 1));
    cr_assert(budget_charge(&budget, 0));
    budget_release(&budget, 100);
    cr_assert_eq(budget_used(&budget), 0);
    cr_assert_not(budget_charge(&budget, SIZE_MAX));
}

Test(base_arena, a_refused_charge_leaves_every_ancestor_as_it_was)
{
    struct budget server, tenant, guest;
    budget_init(&server, NULL, 50);
    budget_init(&tenant, &server, 1000);
    budget_init(&guest, &tenant, 1000);
    cr_assert(budget_charge(&guest, 40));
    cr_assert_not(budget_charge(&guest, 11));
    cr_assert_eq(budget_used(&guest), 40);
    cr_assert_eq(budget_used(&tenant), 40);
    cr_assert_eq(budget_used(&server), 40);
}

Test(base_arena, memory_is_zero_and_aligned_and_distinct)
{
    struct arena arena;
    arena_init(&arena, NULL);
    uint8_t *previous = NULL;
    for (size_t alignment = 1; alignment <= 64; alignment *= 2) {
        uint8_t *at = arena_alloc(&arena, 100, alignment);
        cr_assert_eq((uintptr_t)at % alignment, 0);
        for (size_t i = 0; i < 100; i++) {
            cr_assert_eq(at[i], 0);
        }
        memset(at, 0xff, 100);
        cr_assert(previous == NULL || at >= previous + 100 || at + 100 <= previous);
        previous = at;
    }
    arena_release(&arena);
}

Test(base_arena, a_wish_larger_than_a_block_gets_its_own)
{
    struct arena arena;
    arena_init(&arena, NULL);
    uint8_t *large = arena_alloc(&arena, 5 * 1024 * 1024, 8);
    cr_assert_not_null(large);
    large[5 * 1024 * 1024 - 1] = 1;
    cr_assert_not_null(arena_alloc(&arena, 10, 1));
    arena_release_wiped(&arena);
}

Test(base_arena, charges_its_budget_and_gives_it_all_back)
{
    struct budget budget;
    budget_init(&budget, NULL, 20000);
    struct arena arena;
    arena_init(&arena, &budget);
    size_t count = 0;
    while (arena_alloc(&arena, 1000, 8) != NULL) {
        count++;
    }
    cr_assert(count >= 10 && count < 20, "%zu", count);
    arena_release(&arena);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(base_arena, array_sizes_that_overflow_are_refused)
{
    struct arena arena;
    arena_init(&arena, NULL);
    cr_assert_null(arena_alloc_array(&arena, SIZE_MAX / 2, 3, 1));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX - 8, 1));
    arena_release(&arena);
}

Test(base_arena, copies_end_with_a_nul_where_they_are_texts)
{
    struct arena arena;
    arena_init(&arena, NULL);
    cr_assert_str_eq(arena_text(&arena, bytes_of("abc", 2)), "ab");
    cr_assert_str_eq(arena_strdup(&arena, ""), "");
    struct bytes copy = arena_copy(&arena, bytes_of("xyz", 3));
    cr_assert_eq(memcmp(copy.ptr, "xyz", 3), 0);
    cr_assert_eq(arena_copy(&arena, bytes_of("", 0)).size, 0);
    arena_release(&arena);
}

Test(base_arena, the_fault_switch_fails_the_nth_allocation_and_all_after)
{
    heap_fail_after(2);
    void *first = heap_alloc(8);
    void *second = heap_alloc(8);
    void *third = heap_alloc(8);
    struct arena arena;
    arena_init(&arena, NULL);
    void *fourth = arena_alloc(&arena, 8, 8);
    heap_fail_after(0);
    cr_assert_not_null(first);
    cr_assert_null(second);
    cr_assert_null(third);
    cr_assert_null(fourth);
    void *fifth = heap_alloc(8);
    cr_assert_not_null(fifth);
    heap_free(first);
    heap_free(fifth);
    arena_release(&arena);
}

Test(base_arena, an_arena_whose_block_fails_charges_nothing)
{
    struct budget budget;
    budget_init(&budget, NULL, 100000);
    struct arena arena;
    arena_init(&arena, &budget);
    heap_fail_after(1);
    void *none = arena_alloc(&arena, 8, 8);
    heap_fail_after(0);
    cr_assert_null(none);
    cr_assert_eq(budget_used(&budget), 0);
}

Test(base_arena, wiping_overwrites)
{
    char secret[] = "secret";
    memory_wipe(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++) {
        cr_assert_eq(secret[i], 0);
    }
    memory_wipe(NULL, 0);
}

Test(base_arena, tells_whose_limit_refused_the_last_charge)
{
    struct budget shared, own;
    budget_init(&shared, NULL, 50);
    budget_init(&own, &shared, 40);
    cr_expect_eq(budget_refusal(&own), BUDGET_NOT_REFUSED);
    cr_assert(budget_charge(&own, 40));
    cr_expect_eq(budget_refusal(&own), BUDGET_NOT_REFUSED);
    cr_assert_not(budget_charge(&own, 1));
    cr_expect_eq(budget_refusal(&own), BUDGET_REFUSED_HERE);
    budget_release(&own, 40);
    cr_assert(budget_charge(&shared, 20));
    cr_assert_not(budget_charge(&own, 31));
    cr_expect_eq(budget_refusal(&own), BUDGET_REFUSED_ABOVE);
    cr_expect_eq(budget_refusal(&shared), BUDGET_NOT_REFUSED, "it was not asked itself");
    cr_assert(budget_charge(&own, 30));
    cr_expect_eq(budget_refusal(&own), BUDGET_REFUSED_ABOVE, "success forgets nothing");
    budget_forget_refusal(&own);
    cr_expect_eq(budget_refusal(&own), BUDGET_NOT_REFUSED);
    budget_forget_refusal(NULL);
    cr_expect_eq(budget_refusal(NULL), BUDGET_NOT_REFUSED);
}

struct giver {
    struct budget *budget;
    size_t has;
    int asked;
};

static bool give_way(void *context, size_t size)
{
    struct giver *giver = context;
    giver->asked++;
    size_t given = giver->has < 10 ? giver->has : 10;
    cr_expect_gt(size, 0);
    budget_release(giver->budget, given);
    giver->has -= given;
    return given > 0;
}

Test(base_arena, a_short_budget_asks_for_some_back_until_the_charge_fits)
{
    struct budget shared, own;
    budget_init(&shared, NULL, 100);
    budget_init(&own, &shared, 1000);
    struct giver giver = {.budget = &shared, .has = 50};
    cr_assert(budget_charge(&shared, giver.has));
    budget_on_shortage(&shared, give_way, &giver);
    cr_assert(budget_charge(&own, 50));
    cr_expect_eq(giver.asked, 0);
    cr_assert(budget_charge(&own, 15));
    cr_expect_eq(giver.asked, 2);
    cr_expect_eq(giver.has, 30);
    cr_assert_not(budget_charge(&own, 101), "more than there will ever be");
    cr_expect_eq(giver.asked, 2);
    cr_assert_not(budget_charge(&own, 36));
    cr_expect_eq(giver.has, 0);
    cr_expect_eq(budget_refusal(&own), BUDGET_REFUSED_ABOVE);
    cr_assert(budget_charge(&own, 35));
    cr_expect_eq(budget_used(&shared), 100);
    budget_on_shortage(&shared, NULL, NULL);
    int asked = giver.asked;
    cr_assert_not(budget_charge(&own, 1));
    cr_expect_eq(giver.asked, asked);
}

static void count_release(void *context)
{
    ++*(int *)context;
}

Test(base_arena, tells_when_something_was_given_back)
{
    struct budget budget;
    int told = 0;
    budget_init(&budget, NULL, 100);
    budget_on_release(&budget, count_release, &told);
    cr_assert(budget_charge(&budget, 60));
    cr_assert_not(budget_charge(&budget, 60));
    budget_release(&budget, 0);
    cr_expect_eq(told, 0);
    budget_release(&budget, 10);
    budget_release(&budget, 40);
    cr_expect_eq(told, 2);
    budget_on_release(&budget, NULL, NULL);
    budget_release(&budget, 10);
    budget_release(NULL, 10);
    cr_expect_eq(told, 2);
}

Test(base_arena, takes_over_what_somebody_has_charged_for_it)
{
    struct budget budget;
    struct arena arena;
    budget_init(&budget, NULL, 1 << 20);
    arena_init(&arena, NULL);
    cr_assert_not_null(arena_alloc(&arena, 10000, 1));
    size_t charged = arena.charged - 1;
    cr_assert(budget_charge(&budget, charged));
    arena_take_charge(&arena, &budget, &charged);
    cr_expect_null(arena.budget, "too little was charged");
    cr_assert(budget_charge(&budget, 100));
    charged += 100;
    arena_take_charge(&arena, &budget, &charged);
    cr_expect_eq(charged, 99);
    arena_release(&arena);
    cr_expect_eq(budget_used(&budget), 99);
}

Test(base_arena, is_released_in_pieces_down_to_nothing)
{
    struct budget budget;
    struct arena arena;
    budget_init(&budget, NULL, 64 << 20);
    arena_init(&arena, &budget);
    cr_assert_not_null(arena_alloc(&arena, 3000, 1));
    cr_assert_not_null(arena_alloc(&arena, 10 << 20, 1));
    cr_assert_not_null(arena_alloc(&arena, 100, 1));
    size_t used = budget_used(&budget);
    size_t steps = 1;
    for (; !arena_release_some(&arena, 1 << 20); steps++) {
        cr_expect_lt(budget_used(&budget), used);
        cr_expect_leq(used - budget_used(&budget), (1 << 20) + 1000);
        used = budget_used(&budget);
    }
    cr_expect_gt(steps, 10);
    cr_expect_eq(budget_used(&budget), 0);
    cr_expect(arena_release_some(&arena, 1));
}

Test(base_arena, the_pages_of_a_piece_go_back_with_it)
{
    struct arena arena;
    arena_init(&arena, NULL);
    const size_t size = 8 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *block = arena_alloc(&arena, size, 1);
    cr_assert_not_null(block);
    memset(block, 1, size);
    cr_assert_not(arena_release_some(&arena, size / 2));
    uint8_t *first = block + size / 2 + 2 * page; /* the block's own bytes shift it a little */
    first -= (uintptr_t)first % page;
    for (uint8_t *at = first; at + 2 * page < block + size; at += page) {
        unsigned char is_there = 1;
        cr_assert_eq(mincore(at, page, &is_there), 0);
        cr_assert_eq(is_there & 1, 0);
    }
    arena_release(&arena);
}

Test(base_arena, what_is_left_of_pieces_is_released_whole)
{
    struct budget budget;
    struct arena arena;
    budget_init(&budget, NULL, 64 << 20);
    arena_init(&arena, &budget);
    cr_assert_not_null(arena_alloc(&arena, 5 << 20, 1));
    cr_assert_not(arena_release_some(&arena, 1 << 20));
    arena_release_wiped(&arena);
    cr_expect_eq(budget_used(&budget), 0);
}
