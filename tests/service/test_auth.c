/* test_auth.c: API keys: their text, and who gets in.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/auth.h"

#include "support/fake_clock.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct fake_clock fake;
static struct world world;
static struct auth *auth;

static void open_auth(void)
{
    struct err err;
    fake_clock_init(&fake);
    world_open(&world, NULL, &fake.clock);
    cr_assert(auth_open(world.store, world.clock, true, &auth, &err));
}

static void close_auth(void)
{
    auth_close(auth);
    world_close(&world);
}

TestSuite(service_auth, .init = open_auth, .fini = close_auth);

static enum err_code check(const char *api_key, const char *authorization, struct identity *out)
{
    struct message_header headers[2];
    struct message_request request = {.headers = headers};
    struct err err;
    if (api_key != NULL) {
        headers[request.header_count++] = (struct message_header){"x-api-key", api_key};
    }
    if (authorization != NULL) {
        headers[request.header_count++] = (struct message_header){"authorization", authorization};
    }
    return auth_check(auth, &request, out, &err) ? ERR_NONE : err.code;
}

Test(service_auth, a_key_has_the_documented_form)
{
    const char *secret = world.user.secret;
    cr_expect_eq(strlen(secret), 63);
    cr_expect_eq(strncmp(secret, "wh_", 3), 0);
    cr_expect_eq(strncmp(secret + 3, world.user.id, 16), 0);
    cr_expect_eq(secret[19], '_');
    cr_expect_eq(
        strspn(secret + 20, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        43);
}

Test(service_auth, takes_a_good_key_from_either_header)
{
    struct identity who;
    char bearer[80];
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", world.user.secret);
    cr_expect_eq(check(world.user.secret, NULL, &who), ERR_NONE);
    cr_expect_str_eq(who.key_id, world.user.id);
    cr_expect_eq(who.scopes, STORE_SCOPE_EXECUTE);
    cr_expect_eq(check(NULL, bearer, &who), ERR_NONE);
    cr_expect_eq(check(world.user.secret, bearer, &who), ERR_NONE);
    (void)snprintf(bearer, sizeof(bearer), "bearer %s", world.metrics.secret);
    cr_expect_eq(check(NULL, bearer, &who), ERR_NONE);
    cr_expect_eq(who.scopes, STORE_SCOPE_METRICS);
    cr_expect_eq(auth_failures(auth), 0);
}

Test(service_auth, refuses_everything_else_and_counts_it)
{
    struct identity who = {0};
    char wrong[80], bearer[80];
    (void)snprintf(wrong, sizeof(wrong), "%s", world.user.secret);
    wrong[62] = wrong[62] == 'A' ? 'B' : 'A';
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", world.other.secret);
    cr_expect_eq(check(NULL, NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(auth_failures(auth), 0, "no key is not a bad key");
    cr_expect_eq(check("x", NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(wrong, NULL, &who), ERR_UNAUTHENTICATED);
    wrong[5] = wrong[5] == '0' ? '1' : '0';
    cr_expect_eq(check(wrong, NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(world.expired.secret, NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(world.revoked.secret, NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(world.user.secret, bearer, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(NULL, "Basic eDp5", &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(auth_failures(auth), 7);
    cr_expect_str_empty(who.key_id);
}

Test(service_auth, a_key_ends_at_its_time)
{
    struct world_key short_lived;
    struct identity who;
    struct err err;
    world_add_key(&world, STORE_SCOPE_EXECUTE, clock_wall_ms(&fake.clock) + 10, &short_lived);
    cr_assert(auth_reload(auth, &err));
    cr_expect_eq(check(short_lived.secret, NULL, &who), ERR_NONE);
    fake_clock_advance(&fake, 9);
    cr_expect_eq(check(short_lived.secret, NULL, &who), ERR_NONE);
    fake_clock_advance(&fake, 1);
    cr_expect_eq(check(short_lived.secret, NULL, &who), ERR_UNAUTHENTICATED);
}

Test(service_auth, learns_of_new_and_revoked_keys)
{
    struct identity who;
    struct err err;
    cr_assert(store_revoke_api_key(world.store, world.user.id, &err));
    struct world_key added;
    world_add_key(&world, STORE_SCOPE_ADMIN, 0, &added);
    cr_assert(auth_reload(auth, &err));
    cr_expect_eq(check(world.user.secret, NULL, &who), ERR_UNAUTHENTICATED);
    cr_expect_eq(check(added.secret, NULL, &who), ERR_NONE);
}

Test(service_auth, where_no_key_is_demanded_a_bad_one_is_still_bad)
{
    struct auth *open = NULL;
    struct identity who;
    struct err err;
    struct message_header headers[1] = {{"x-api-key", "bad"}};
    struct message_request request = {.headers = headers};
    cr_assert(auth_open(world.store, world.clock, false, &open, &err));
    cr_assert(auth_check(open, &request, &who, &err));
    cr_expect_str_eq(who.key_id, AUTH_ANONYMOUS);
    cr_expect_eq(who.scopes, STORE_SCOPE_EXECUTE | STORE_SCOPE_METRICS);
    request.header_count = 1;
    cr_expect_not(auth_check(open, &request, &who, &err));
    auth_close(open);
}
