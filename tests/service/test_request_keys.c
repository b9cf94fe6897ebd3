/* test_request_keys.c: request keys: one use, expiry, bounds, owners, under a clock that stands
 * still.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/request_keys.h"

#include "base/arena.h"
#include "support/fake_clock.h"

#include <criterion/criterion.h>
#include <string.h>

static struct fake_clock fake;
static struct epoch epoch = {.references = 1000};
static struct request_keys *keys;

static void open_keys(void)
{
    fake_clock_init(&fake);
    struct request_keys_config config = {.live_max = 5,
                                         .live_per_owner_max = 3,
                                         .tombstones_max = 4,
                                         .tombstone_ms = 2000,
                                         .lifetime_ms = 1000,
                                         .clock = &fake.clock};
    keys = request_keys_new(&config);
    cr_assert_not_null(keys);
}

static void close_keys(void)
{
    request_keys_free(keys);
    cr_expect_eq(epoch.references, 1000, "every reference has been given back");
}

TestSuite(service_request_keys, .init = open_keys, .fini = close_keys);

static struct request_key issue(const char *owner)
{
    struct request_key key;
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    struct err err;
    cr_assert(request_keys_issue(keys, owner, &epoch, &key, point, &err), "%s", err.message);
    cr_assert(crypto_p256_point_is_valid(point));
    return key;
}

static enum err_code take(const struct request_key *key, const char *owner)
{
    struct request_key taken;
    struct err err;
    if (!request_keys_take(keys, key->request_id, owner, &taken, &err)) {
        return err.code;
    }
    cr_expect_not_null(taken.key);
    cr_expect_arr_eq(taken.salt, key->salt, sizeof(taken.salt));
    request_key_release(&taken);
    return ERR_NONE;
}

Test(service_request_keys, serves_once)
{
    struct request_key key = issue("a");
    cr_expect_eq(key.request_id[6] >> 4, 4);
    cr_expect_eq(key.request_id[8] >> 6, 2);
    cr_expect_eq(key.expires_ms - key.created_ms, 1000);
    cr_expect_eq(request_keys_live(keys), 1);
    cr_expect_eq(take(&key, "a"), ERR_NONE);
    cr_expect_eq(take(&key, "a"), ERR_KEY_ALREADY_USED);
    cr_expect_eq(request_keys_live(keys), 0);
}

Test(service_request_keys, does_not_exist_for_others)
{
    struct request_key key = issue("a");
    struct err mine, unknown;
    uint8_t id[TEXT_UUID_BYTES] = {0};
    cr_expect_not(request_keys_peek(keys, key.request_id, "b", NULL, &mine));
    cr_expect_not(request_keys_peek(keys, id, "b", NULL, &unknown));
    cr_expect_eq(mine.code, ERR_NOT_FOUND);
    cr_expect_str_eq(mine.message, unknown.message);
    cr_expect_eq(take(&key, "b"), ERR_NOT_FOUND);
    cr_expect_eq(take(&key, "a"), ERR_NONE);
    cr_expect_eq(take(&key, "b"), ERR_NOT_FOUND, "a used one neither");
}

Test(service_request_keys, expires_at_its_time_and_is_remembered_for_a_while)
{
    struct request_key key = issue("a");
    fake_clock_advance(&fake, 999);
    struct err err;
    cr_expect(request_keys_peek(keys, key.request_id, "a", NULL, &err));
    fake_clock_advance(&fake, 1);
    cr_expect_eq(take(&key, "a"), ERR_KEY_EXPIRED);
    cr_expect_eq(request_keys_live(keys), 0);
    fake_clock_advance(&fake, 1999);
    request_keys_expire(keys);
    cr_expect_eq(take(&key, "a"), ERR_KEY_EXPIRED);
    fake_clock_advance(&fake, 1);
    cr_expect_eq(take(&key, "a"), ERR_NOT_FOUND);
}

Test(service_request_keys, are_bounded_per_owner_and_in_total)
{
    struct request_key key, first = issue("a");
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    struct err err;
    issue("a");
    issue("a");
    cr_expect_not(request_keys_issue(keys, "a", &epoch, &key, point, &err));
    cr_expect_eq(err.code, ERR_RATE_LIMITED);
    issue("b");
    issue("b");
    cr_expect_not(request_keys_issue(keys, "b", &epoch, &key, point, &err));
    cr_expect_eq(err.code, ERR_OVERLOADED);
    cr_expect_eq(request_keys_live(keys), 5);
    cr_expect_eq(take(&first, "a"), ERR_NONE);
    issue("a");
    fake_clock_advance(&fake, 1000);
    issue("a");
    cr_expect_eq(request_keys_live(keys), 1, "the others have expired");
}

Test(service_request_keys, forgets_the_oldest_tombstones_first)
{
    struct request_key used[6];
    for (int i = 0; i < 6; i++) {
        used[i] = issue("a");
        cr_expect_eq(take(&used[i], "a"), ERR_NONE);
    }
    cr_expect_eq(take(&used[0], "a"), ERR_NOT_FOUND);
    cr_expect_eq(take(&used[1], "a"), ERR_NOT_FOUND);
    for (int i = 2; i < 6; i++) {
        cr_expect_eq(take(&used[i], "a"), ERR_KEY_ALREADY_USED);
    }
}

Test(service_request_keys, can_be_given_back_and_keep_their_time)
{
    struct request_key first = issue("a");
    fake_clock_advance(&fake, 500);
    struct request_key second = issue("a");
    struct request_key taken;
    struct err err;
    cr_assert(request_keys_take(keys, second.request_id, "a", &taken, &err));
    request_keys_return(keys, &taken);
    cr_expect_null(taken.key);
    cr_expect_eq(request_keys_live(keys), 2);
    fake_clock_advance(&fake, 500);
    cr_expect_eq(take(&first, "a"), ERR_KEY_EXPIRED);
    cr_expect_eq(take(&second, "a"), ERR_NONE);
    cr_expect_eq(take(&second, "a"), ERR_KEY_ALREADY_USED);
}

Test(service_request_keys, given_back_after_their_tombstone_is_gone_are_wiped)
{
    struct request_key key = issue("a");
    struct request_key taken;
    struct err err;
    cr_assert(request_keys_take(keys, key.request_id, "a", &taken, &err));
    for (int i = 0; i < 4; i++) {
        struct request_key other = issue("b");
        cr_expect_eq(take(&other, "b"), ERR_NONE);
    }
    request_keys_return(keys, &taken);
    cr_expect_null(taken.key);
    cr_expect_eq(request_keys_live(keys), 0);
    cr_expect_eq(take(&key, "a"), ERR_NOT_FOUND);
}

Test(service_request_keys, without_memory_nothing_is_issued)
{
    struct request_key key;
    uint8_t point[CRYPTO_P256_POINT_BYTES];
    for (size_t n = 1; n < 3; n++) {
        struct err err;
        heap_fail_after(n);
        bool ok = request_keys_issue(keys, "a", &epoch, &key, point, &err);
        heap_fail_after(0);
        cr_expect_not(ok);
        cr_expect_eq(err.code, ERR_NO_MEMORY);
        cr_expect_eq(request_keys_live(keys), 0);
    }
}

Test(service_request_keys, live_no_longer_when_the_wall_clock_is_set_back)
{
    struct request_key old = issue("a");
    fake_clock_step_wall(&fake, -5000);
    struct request_key young = issue("a");
    cr_expect_lt(young.expires_ms, old.expires_ms);
    fake_clock_advance(&fake, 999);
    request_keys_expire(keys);
    cr_expect_eq(request_keys_live(keys), 2);
    fake_clock_advance(&fake, 1);
    cr_expect_eq(take(&old, "a"), ERR_KEY_EXPIRED);
    cr_expect_eq(take(&young, "a"), ERR_KEY_EXPIRED);
    cr_expect_eq(request_keys_live(keys), 0);
}

Test(service_request_keys, are_over_at_the_time_that_was_told)
{
    struct request_key key = issue("a");
    fake_clock_step_wall(&fake, 999);
    struct err err;
    cr_expect(request_keys_peek(keys, key.request_id, "a", NULL, &err));
    fake_clock_step_wall(&fake, 1);
    cr_expect_eq(take(&key, "a"), ERR_KEY_EXPIRED);
    cr_expect_eq(request_keys_live(keys), 0);
    fake_clock_step_wall(&fake, -1000);
    cr_expect_eq(take(&key, "a"), ERR_KEY_EXPIRED, "and stay over");
}
