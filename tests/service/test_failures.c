/* test_failures.c: what the audit log says of refused API keys: how many, why, and no more than
 * once a minute.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "support/fake_clock.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <sched.h>

static struct fake_clock fake;
static struct world world;

static void open_world(void)
{
    fake_clock_init(&fake);
    world_open(&world, NULL, &fake.clock);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_failures, .init = open_world, .fini = close_world);

/* As the seconds pass, until what they cause is done. */
static void tick_after(uint64_t ms)
{
    fake_clock_advance(&fake, ms);
    service_tick(world.service);
    while (atomic_load(&world.service->tick_is_running) || audit_log_pending(world.log) > 0) {
        sched_yield();
    }
}

static int ask(const char *target, const char *secret)
{
    struct reply reply = world_ask(&world, "GET", target, secret, NULL);
    int status = reply.status;
    reply_release(&reply);
    return status;
}

static bool take_failures(void *context, uint64_t index, struct bytes leaf)
{
    json_t *entries = context;
    json_t *entry = NULL;
    struct err err;
    (void)index;
    cr_assert(json_text_parse(leaf, &entry, &err));
    if (strcmp(json_string_value(json_object_get(entry, "type")), "AUTH_FAILURES") == 0) {
        json_array_append(entries, entry);
    }
    json_decref(entry);
    return true;
}

static json_t *entries_read(void)
{
    json_t *entries = json_array();
    struct err err;
    cr_assert(audit_log_each(world.log, 0, take_failures, entries, &err));
    return entries;
}

static size_t entry_count(void)
{
    json_t *entries = entries_read();
    size_t count = json_array_size(entries);
    json_decref(entries);
    return count;
}

static int64_t number_of(size_t entry, const char *member)
{
    json_t *entries = entries_read();
    const json_t *value = json_object_get(json_array_get(entries, entry), member);
    cr_assert(json_is_integer(value), "%s", member);
    int64_t number = json_integer_value(value);
    json_decref(entries);
    return number;
}

static void expect_time(size_t entry, const char *member, int64_t expected_ms)
{
    json_t *entries = entries_read();
    char text[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(expected_ms, text);
    cr_expect_str_eq(json_string_value(json_object_get(json_array_get(entries, entry), member)),
                     text, "%s", member);
    json_decref(entries);
}

static void expect_verified(void)
{
    struct audit_report report;
    struct err err;
    char path[128];
    world_stop(&world);
    world_path(&world, "log", path);
    cr_assert(audit_verify_directory(path, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_expect_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    world_start(&world);
}

Test(service_failures, without_any_nothing_is_written)
{
    cr_expect_eq(ask("/metrics", world.metrics.secret), 200);
    cr_expect_eq(ask("/metrics", NULL), 401, "no key was refused");
    for (int i = 0; i < 3; i++) {
        tick_after(60 * 1000);
    }
    expect_verified();
    cr_expect_eq(entry_count(), 0);
}

Test(service_failures, one_entry_counts_each_reason)
{
    static const struct message_header basic[] = {{"authorization", "Basic eDp5"}};
    char wrong[80];
    int64_t begin_ms = clock_wall_ms(&fake.clock);
    (void)snprintf(wrong, sizeof(wrong), "%s", world.user.secret);
    wrong[62] = wrong[62] == 'A' ? 'B' : 'A';
    cr_expect_eq(ask("/metrics", "x"), 401);
    cr_expect_eq(ask("/metrics", wrong), 401);
    cr_expect_eq(ask("/metrics", world.expired.secret), 401);
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(ask("/metrics", world.revoked.secret), 401);
    }
    cr_expect_eq(ask("/metrics", world.user.secret), 403);
    struct reply reply = world_end(
        world_begin_with(&world, "GET", "/metrics", NULL, (struct bytes){NULL, 0}, NULL, basic, 1));
    cr_expect_eq(reply.status, 401);
    reply_release(&reply);
    tick_after(59999);
    cr_expect_eq(entry_count(), 0, "the minute is not over");
    tick_after(1);
    cr_expect_eq(entry_count(), 1);
    cr_expect_eq(number_of(0, "unknown_key"), 2);
    cr_expect_eq(number_of(0, "expired_key"), 1);
    cr_expect_eq(number_of(0, "revoked_key"), 3);
    cr_expect_eq(number_of(0, "missing_scope"), 1);
    cr_expect_eq(number_of(0, "malformed"), 1);
    cr_expect_eq(number_of(0, "count"), 8);
    expect_time(0, "from_time", begin_ms);
    expect_time(0, "to_time", begin_ms + 60000);
    expect_verified();
    cr_expect_eq(entry_count(), 1);
}

Test(service_failures, each_minute_has_its_own)
{
    int64_t begin_ms = clock_wall_ms(&fake.clock);
    cr_expect_eq(ask("/metrics", "x"), 401);
    tick_after(60000);
    tick_after(60000);
    cr_expect_eq(ask("/metrics", "x"), 401);
    cr_expect_eq(ask("/metrics", world.user.secret), 403);
    tick_after(60000);
    cr_expect_eq(entry_count(), 2);
    cr_expect_eq(number_of(0, "count"), 1);
    cr_expect_eq(number_of(1, "count"), 2);
    cr_expect_eq(number_of(1, "unknown_key"), 1);
    expect_time(1, "from_time", begin_ms + 120000);
    expect_time(1, "to_time", begin_ms + 180000);
    expect_verified();
}

Test(service_failures, a_flood_costs_one_entry_a_minute)
{
    enum { PER_SECOND = 50, SECONDS = 120 };
    for (int second = 0; second < SECONDS; second++) {
        for (int i = 0; i < PER_SECOND; i++) {
            (void)ask("/metrics", "x"); /* 401, and 429 when the address has asked too often */
        }
        tick_after(1000);
    }
    cr_expect_eq(entry_count(), 2);
    cr_expect_eq(number_of(0, "count") + number_of(1, "count"), PER_SECOND * SECONDS);
    expect_verified();
    cr_expect_eq(entry_count(), 2);
}

Test(service_failures, the_last_ones_are_written_at_the_end)
{
    cr_expect_eq(ask("/metrics", "x"), 401);
    world_stop(&world);
    world_start(&world);
    cr_expect_eq(entry_count(), 1);
    cr_expect_eq(number_of(0, "count"), 1);
    expect_verified();
    cr_expect_eq(entry_count(), 1);
}

Test(service_failures, a_clock_that_is_set_back_breaks_no_log)
{
    cr_expect_eq(ask("/metrics", "x"), 401);
    fake_clock_step_wall(&fake, -3600 * 1000);
    tick_after(60000);
    cr_expect_eq(entry_count(), 1);
    expect_verified();
}
