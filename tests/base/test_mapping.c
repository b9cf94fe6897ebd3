/* test_mapping: whoever takes a mapping finds zeros, whatever was in it; the pool keeps no more
 * than its limits say and gives everything back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mapping.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

enum { KIB = 1024, SYSTEM_PAGE = 4096, USERS = 4 };

/* Is there in builds with AddressSanitizer only. */
extern int __asan_address_is_poisoned(const volatile void *address) __attribute__((weak));

static struct mapping taken(size_t size, size_t open)
{
    struct mapping mapping;
    cr_assert(mapping_take(&mapping, size));
    cr_assert(mapping_open(&mapping, open));
    return mapping;
}

static void assert_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        cr_assert_eq(bytes[i], 0, "byte %zu of %zu", i, size);
    }
}

Test(base_mapping, each_user_finds_zeros_and_the_same_range_again)
{
    static const size_t sizes[] = {1,         SYSTEM_PAGE + 8, 64 * KIB,  256 * KIB - 1,
                                   256 * KIB, 256 * KIB + 1,   320 * KIB, 4096 * KIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint8_t *base = NULL;
        for (int user = 0; user < USERS; user++) {
            struct mapping mapping = taken(sizes[i], sizes[i]);
            cr_assert_geq(mapping.reserved, sizes[i]);
            cr_assert_eq(mapping.is_reused, user > 0);
            cr_assert(base == NULL || base == mapping.base);
            base = mapping.base;
            assert_zero(mapping.base, sizes[i]);
            memset(mapping.base, 0xa5, sizes[i]);
            mapping_give(&mapping, sizes[i]);
            cr_assert_null(mapping.base);
        }
        mapping_pool_trim();
    }
}

Test(base_mapping, a_smaller_user_between_two_large_ones_leaves_nothing)
{
    static const size_t sizes[] = {1024 * KIB, 64 * KIB, 8, 1024 * KIB, 256 * KIB, 1024 * KIB};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct mapping mapping = taken(1024 * KIB, sizes[i]);
        assert_zero(mapping.base, sizes[i]);
        memset(mapping.base, 0xff, sizes[i]);
        mapping_give(&mapping, sizes[i]);
    }
    mapping_pool_trim();
}

Test(base_mapping, what_is_not_in_use_or_not_asked_for_is_poisoned_under_address_sanitizer)
{
    struct mapping mapping = taken(128 * KIB, 128 * KIB);
    const uint8_t *base = mapping.base;
    mapping_give(&mapping, 128 * KIB);
    if (__asan_address_is_poisoned != NULL) {
        cr_assert(__asan_address_is_poisoned(base));
    }
    mapping = taken(128 * KIB, SYSTEM_PAGE);
    cr_assert_eq(mapping.base, base);
    if (__asan_address_is_poisoned != NULL) {
        cr_assert_not(__asan_address_is_poisoned(base + SYSTEM_PAGE - 1));
        cr_assert(__asan_address_is_poisoned(base + SYSTEM_PAGE));
    }
    mapping_give(&mapping, SYSTEM_PAGE);
    mapping_pool_trim();
}

static size_t resident_pages(const struct mapping *mapping, size_t size)
{
    unsigned char pages[256];
    size_t count = 0;
    cr_assert_leq(size / SYSTEM_PAGE, sizeof pages);
    cr_assert_eq(mincore(mapping->base, size, pages), 0);
    for (size_t i = 0; i < size / SYSTEM_PAGE; i++) {
        count += pages[i] & 1;
    }
    return count;
}

Test(base_mapping, pages_go_back_to_the_system_but_for_a_warm_beginning)
{
    enum { SIZE = 1024 * KIB };
    for (int user = 0; user < USERS; user++) {
        struct mapping mapping = taken(SIZE, SIZE);
        struct mapping copy = mapping;
        memset(mapping.base, 1, SIZE);
        mapping_give(&mapping, SIZE);
        size_t warm = user == 0 ? 0 : MAPPING_WARM_BYTES_MAX;
        cr_assert_eq(resident_pages(&copy, SIZE), warm / SYSTEM_PAGE);
        cr_assert_eq(mapping_pool_facts().bytes, warm);
    }
    mapping_pool_trim();
    cr_assert_eq(mapping_pool_facts().bytes, 0);
}

/* Takes and gives `count` mappings at once. */
static void burst(size_t count, size_t used)
{
    struct mapping mappings[MAPPING_POOL_COUNT_MAX + 1];
    cr_assert_leq(count, sizeof mappings / sizeof mappings[0]);
    for (size_t i = 0; i < count; i++) {
        mappings[i] = taken(MAPPING_WARM_BYTES_MAX, used);
        memset(mappings[i].base, 7, used);
    }
    for (size_t i = 0; i < count; i++) {
        mapping_give(&mappings[i], used);
    }
}

Test(base_mapping, the_pool_keeps_as_many_as_its_limit_and_no_more)
{
    burst(MAPPING_POOL_COUNT_MAX - 1, 1);
    cr_assert_eq(mapping_pool_facts().count, MAPPING_POOL_COUNT_MAX - 1);
    burst(MAPPING_POOL_COUNT_MAX, 1);
    cr_assert_eq(mapping_pool_facts().count, MAPPING_POOL_COUNT_MAX);
    burst(MAPPING_POOL_COUNT_MAX + 1, 1);
    cr_assert_eq(mapping_pool_facts().count, MAPPING_POOL_COUNT_MAX);
    mapping_pool_trim();
    cr_assert_eq(mapping_pool_facts().count, 0);
}

Test(base_mapping, the_oldest_makes_way)
{
    struct mapping old = taken(1024 * KIB, 1);
    mapping_give(&old, 1);
    burst(MAPPING_POOL_COUNT_MAX, 1);
    struct mapping fresh = taken(1024 * KIB, 1);
    cr_assert_not(fresh.is_reused);
    mapping_give(&fresh, 1);
    mapping_pool_trim();
}

Test(base_mapping, the_pool_keeps_no_more_memory_than_its_limit)
{
    enum { FIT = MAPPING_POOL_BYTES_MAX / MAPPING_WARM_BYTES_MAX };
    burst(FIT + 1, MAPPING_WARM_BYTES_MAX);
    cr_assert_eq(mapping_pool_facts().bytes, 0);
    burst(FIT - 1, MAPPING_WARM_BYTES_MAX);
    cr_assert_eq(mapping_pool_facts().bytes, (size_t)(FIT - 1) * MAPPING_WARM_BYTES_MAX);
    burst(FIT, MAPPING_WARM_BYTES_MAX);
    cr_assert_eq(mapping_pool_facts().bytes, (size_t)MAPPING_POOL_BYTES_MAX);
    burst(FIT + 1, MAPPING_WARM_BYTES_MAX);
    cr_assert_eq(mapping_pool_facts().bytes, (size_t)MAPPING_POOL_BYTES_MAX);
    mapping_pool_trim();
}

Test(base_mapping, what_the_machine_cannot_reserve_or_open_is_refused)
{
    struct mapping mapping;
    cr_assert_not(mapping_take(&mapping, SIZE_MAX));
    cr_assert_not(mapping_take(&mapping, (size_t)1 << 60));
    mapping = taken(1, 0);
    cr_assert_eq(mapping.open, 0);
    mapping_give(&mapping, 0);
    mapping_pool_trim();
}

Test(base_mapping, shrinks_and_is_zero_for_the_next)
{
    const size_t size = (size_t)4096 * KIB;
    for (int user = 0; user < USERS; user++) {
        struct mapping mapping = taken(size, size);
        size_t kept = size;
        assert_zero(mapping.base, size);
        memset(mapping.base, 0x5a, size);
        cr_expect(mapping_shrink(&mapping, kept, 3000 * KIB + 1, &kept));
        cr_expect_eq(kept, 3008 * KIB, "whole steps of opening");
        cr_expect(mapping_shrink(&mapping, kept, 1024 * KIB, &kept));
        cr_expect_eq(kept, 1024 * KIB);
        cr_expect_not(mapping_shrink(&mapping, kept, kept - 1, &kept), "not a whole step");
        cr_expect_eq(mapping.base[kept - 1], 0x5a);
        mapping_give(&mapping, kept);
    }
}
