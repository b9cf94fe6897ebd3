/* test_module_cache.c: programs are found again by the key that sent them and by nobody else,
 * within a number of bytes, and never freed under somebody who runs them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/module_cache.h"

#include "service/auth.h"
#include "support/fake_clock.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

/* ---- The cache by itself ---- */

static struct fake_clock fake;
static struct budget loading; /* what modules are charged to before they are cached */

static void open_budget(void)
{
    fake_clock_init(&fake);
    budget_init(&loading, NULL, (size_t)1 << 30);
}

static void close_budget(void)
{
    cr_expect_eq(budget_used(&loading), 0);
}

TestSuite(service_module_cache, .init = open_budget, .fini = close_budget);

struct program {
    uint8_t wasm[16];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    struct vm_module *module;
};

/* The number makes it another one: it stands in a custom section. */
static struct program program_of(uint8_t number)
{
    struct program program = {.wasm = {0, 'a', 's', 'm', 1, 0, 0, 0, 0, 6, 1, 'n', number}};
    struct err err;
    struct bytes wasm = bytes_of(program.wasm, sizeof program.wasm);
    cr_assert(vm_module_load(wasm, &vm_limits_default, &loading, &program.module, &err));
    crypto_sha256(wasm, program.hash);
    return program;
}

/* Puts program `number` in and lets go of it. */
static void put(struct module_cache *cache, const char *owner, uint8_t number)
{
    struct program program = program_of(number);
    module_cache_put(cache, owner, program.hash, program.module);
    vm_module_unref(program.module);
}

static bool has(struct module_cache *cache, const char *owner, uint8_t number)
{
    struct program program = program_of(number);
    struct vm_module *found = module_cache_get(cache, owner, program.hash);
    cr_expect_neq(found, program.module);
    vm_module_unref(program.module);
    vm_module_unref(found);
    return found != NULL;
}

static struct module_cache_facts facts_of(struct module_cache *cache)
{
    struct module_cache_facts facts;
    module_cache_facts(cache, &facts);
    return facts;
}

/* What one such program takes. */
static size_t unit(void)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    put(cache, "a", 0);
    size_t bytes = facts_of(cache).bytes;
    cr_assert_gt(bytes, 0);
    module_cache_free(cache);
    return bytes;
}

Test(service_module_cache, a_program_is_found_again_by_its_owner_only)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    cr_assert_not(has(cache, "a", 1));
    put(cache, "a", 1);
    cr_assert(has(cache, "a", 1));
    cr_assert_not(has(cache, "b", 1));
    cr_assert_not(has(cache, "a", 2));
    cr_assert_not(has(cache, "", 1));
    put(cache, "b", 1);
    cr_assert(has(cache, "b", 1));
    struct module_cache_facts facts = facts_of(cache);
    cr_assert_eq(facts.hits, 2);
    cr_assert_eq(facts.misses, 4);
    cr_assert_eq(facts.count, 2);
    module_cache_free(cache);
}

Test(service_module_cache, what_it_holds_is_charged_to_it_and_no_longer_to_who_loaded_it)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    struct program program = program_of(1);
    struct vm_module_facts facts;
    vm_module_facts(program.module, &facts);
    cr_assert_eq(budget_used(&loading), facts.memory_bytes);
    module_cache_put(cache, "a", program.hash, program.module);
    cr_assert_eq(budget_used(&loading), 0);
    cr_assert_geq(facts_of(cache).bytes, facts.memory_bytes);
    vm_module_unref(program.module);
    module_cache_free(cache);
}

Test(service_module_cache, the_longest_unused_makes_way_when_bytes_run_out)
{
    size_t size = unit();
    struct module_cache *cache = module_cache_new(2 * size, &fake.clock);
    put(cache, "a", 1);
    put(cache, "a", 2);
    cr_assert_eq(facts_of(cache).evictions, 0);
    cr_assert_eq(facts_of(cache).bytes, 2 * size);
    cr_assert(has(cache, "a", 1));
    put(cache, "b", 3);
    cr_assert_eq(facts_of(cache).evictions, 1);
    cr_assert(has(cache, "a", 1));
    cr_assert_not(has(cache, "a", 2));
    cr_assert(has(cache, "b", 3));
    module_cache_free(cache);
}

Test(service_module_cache, a_byte_less_holds_one_less)
{
    size_t size = unit();
    struct module_cache *cache = module_cache_new(2 * size - 1, &fake.clock);
    put(cache, "a", 1);
    put(cache, "a", 2);
    cr_assert_eq(facts_of(cache).count, 1);
    cr_assert_eq(facts_of(cache).bytes, size);
    module_cache_free(cache);
    cache = module_cache_new(size, &fake.clock);
    put(cache, "a", 1);
    cr_assert(has(cache, "a", 1));
    module_cache_free(cache);
    cache = module_cache_new(size - 1, &fake.clock);
    put(cache, "a", 1);
    cr_assert_not(has(cache, "a", 1));
    cr_assert_eq(facts_of(cache).bytes, 0);
    module_cache_free(cache);
}

Test(service_module_cache, no_bytes_and_no_key_mean_no_cache)
{
    struct module_cache *cache = module_cache_new(0, &fake.clock);
    put(cache, "a", 1);
    cr_assert_not(has(cache, "a", 1));
    module_cache_free(cache);
    cache = module_cache_new((size_t)1 << 20, &fake.clock);
    put(cache, AUTH_ANONYMOUS, 1);
    cr_assert_not(has(cache, AUTH_ANONYMOUS, 1));
    cr_assert_eq(facts_of(cache).count, 0);
    module_cache_free(cache);
}

Test(service_module_cache, a_program_in_use_keeps_its_place_and_its_memory)
{
    size_t size = unit();
    struct module_cache *cache = module_cache_new(size, &fake.clock);
    struct program program = program_of(1);
    module_cache_put(cache, "a", program.hash, program.module);
    put(cache, "a", 2); /* finds no room */
    cr_assert_not(has(cache, "a", 2));
    cr_assert(has(cache, "a", 1));
    struct vm_module_facts facts;
    vm_module_facts(program.module, &facts);
    cr_assert_eq(facts.wasm_bytes, sizeof program.wasm);
    vm_module_unref(program.module);
    put(cache, "a", 2);
    cr_assert(has(cache, "a", 2));
    cr_assert_not(has(cache, "a", 1));
    module_cache_free(cache);
}

Test(service_module_cache, of_two_that_load_the_same_the_first_one_stays)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    struct program first = program_of(1);
    struct program second = program_of(1);
    module_cache_put(cache, "a", first.hash, first.module);
    module_cache_put(cache, "a", second.hash, second.module);
    cr_assert_eq(facts_of(cache).count, 1);
    struct vm_module *found = module_cache_get(cache, "a", first.hash);
    cr_assert_eq(found, first.module);
    vm_module_unref(found);
    vm_module_unref(first.module);
    vm_module_unref(second.module);
    module_cache_free(cache);
}

Test(service_module_cache, there_are_no_more_entries_than_its_limit)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 30, &fake.clock);
    char owner[8];
    for (int i = 0; i <= MODULE_CACHE_COUNT_MAX; i++) {
        (void)snprintf(owner, sizeof owner, "%d", i);
        put(cache, owner, 1);
        size_t count = i < MODULE_CACHE_COUNT_MAX ? (size_t)i + 1 : MODULE_CACHE_COUNT_MAX;
        cr_assert_eq(facts_of(cache).count, count);
    }
    cr_assert_not(has(cache, "0", 1));
    cr_assert(has(cache, "1", 1));
    module_cache_free(cache);
}

Test(service_module_cache, what_is_idle_for_too_long_goes)
{
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    put(cache, "a", 1);
    put(cache, "a", 2);
    fake_clock_advance(&fake, MODULE_CACHE_IDLE_S * 1000 - 1);
    module_cache_expire(cache);
    cr_assert_eq(facts_of(cache).count, 2);
    cr_assert(has(cache, "a", 1));
    fake_clock_advance(&fake, 1);
    module_cache_expire(cache);
    cr_assert(has(cache, "a", 1));
    cr_assert_not(has(cache, "a", 2));
    cr_assert_eq(facts_of(cache).evictions, 0);
    module_cache_free(cache);
}

static struct module_cache *counted;
static struct module_cache_facts counts;

static void *count(void *context)
{
    (void)context;
    counts = facts_of(counted);
    return NULL;
}

/* The cache asks for the time under its lock: another thread counts meanwhile. */
static uint64_t counting_clock_ns(void *context)
{
    pthread_t thread;
    (void)context;
    cr_assert_eq(pthread_create(&thread, NULL, count, NULL), 0);
    pthread_join(thread, NULL);
    return 1;
}

Test(service_module_cache, who_counts_waits_for_nobody)
{
    const struct clock clock = {.monotonic_ns = counting_clock_ns};
    counted = module_cache_new((size_t)1 << 20, &clock);
    put(counted, "a", 1);
    cr_assert(has(counted, "a", 1));
    cr_expect_eq(counts.count, 1);
    cr_expect_eq(counts.bytes, facts_of(counted).bytes);
    module_cache_free(counted);
}

Test(service_module_cache, without_memory_nothing_is_kept)
{
    heap_fail_after(1);
    cr_assert_null(module_cache_new((size_t)1 << 20, &fake.clock));
    heap_fail_after(0);
    struct module_cache *cache = module_cache_new((size_t)1 << 20, &fake.clock);
    struct program program = program_of(1);
    heap_fail_after(1);
    module_cache_put(cache, "a", program.hash, program.module);
    heap_fail_after(0);
    cr_assert_eq(facts_of(cache).count, 0);
    vm_module_unref(program.module);
    module_cache_free(cache);
    module_cache_free(NULL);
}

/* ---- In a node ---- */

static struct world world;

static long metric_of(const char *name)
{
    char line[96];
    struct reply reply = world_ask(&world, "GET", "/v1/metrics", world.metrics.secret, NULL);
    (void)snprintf(line, sizeof line, "\nwasm_hypervisor_%s ", name);
    const char *found = strstr(reply.text, line);
    cr_assert_not_null(found, "%s", line);
    long value = strtol(found + strlen(line), NULL, 10);
    reply_release(&reply);
    return value;
}

/* The status, and the gas that was spent if that is 200. */
static int execute(const char *secret, struct bytes wasm, const char *function, json_int_t *gas)
{
    struct prepared prepared;
    client_prepare(&world, secret, wasm, function, "[7]", NULL, false, &prepared);
    struct reply reply = client_send(&world, secret, &prepared);
    json_t *result = client_open(&prepared, &reply);
    int status = reply.status;
    json_t *summary = json_object_get(result, "execution_summary");
    *gas = json_integer_value(json_object_get(summary, "gas_consumed"));
    json_decref(result);
    reply_release(&reply);
    prepared_release(&prepared);
    return status;
}

Test(service_module_cache, a_node_translates_once_for_each_key)
{
    struct bytes wasm = bytes_of(program_kitchen, sizeof(program_kitchen));
    json_int_t first, second, other;
    world_open(&world, NULL, NULL);
    cr_assert_eq(execute(world.user.secret, wasm, "i64", &first), 200);
    cr_assert_eq(metric_of("module_cache_hits_total"), 0);
    cr_assert_eq(metric_of("module_cache_entries"), 1);
    cr_assert_eq(execute(world.other.secret, wasm, "i64", &other), 200);
    cr_assert_eq(metric_of("module_cache_hits_total"), 0);
    cr_assert_eq(metric_of("module_cache_misses_total"), 2);
    cr_assert_eq(execute(world.user.secret, wasm, "i64", &second), 200);
    cr_assert_eq(metric_of("module_cache_hits_total"), 1);
    cr_assert_gt(first, 0);
    cr_assert_eq(first, second);
    cr_assert_eq(first, other);
    cr_assert_gt(metric_of("module_cache_bytes"), (long)wasm.size);
    world_close(&world);
}

Test(service_module_cache, a_request_that_fails_on_a_cached_program_fails_as_ever)
{
    struct bytes wasm = bytes_of(program_kitchen, sizeof(program_kitchen));
    json_int_t gas;
    world_open(&world, NULL, NULL);
    cr_assert_eq(execute(world.user.secret, wasm, "no such function", &gas), 422);
    cr_assert_eq(metric_of("module_cache_entries"), 1); /* the program is good */
    cr_assert_eq(execute(world.user.secret, wasm, "no such function", &gas), 422);
    cr_assert_eq(metric_of("module_cache_hits_total"), 1);
    world_close(&world);
}

Test(service_module_cache, programs_that_may_not_run_are_not_kept)
{
    static const uint8_t broken[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 99};
    static const uint8_t importing[] = {0, 'a', 's', 'm', 1, 0, 0,   0, 1,   4, 1, 0x60,
                                        0, 0,   2,   7,   1, 1, 'a', 1, 'b', 0, 0};
    json_int_t gas;
    world_open(&world, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(execute(world.user.secret, bytes_of(broken, sizeof broken), "f", &gas), 422);
        (void)execute(world.user.secret, bytes_of(importing, sizeof importing), "f", &gas);
    }
    cr_assert_eq(metric_of("module_cache_entries"), 0);
    cr_assert_eq(metric_of("module_cache_hits_total"), 0);
    cr_assert_eq(metric_of("module_cache_misses_total"), 4);
    world_close(&world);
}

Test(service_module_cache, a_node_without_a_cache_works_the_same)
{
    struct bytes wasm = bytes_of(program_kitchen, sizeof(program_kitchen));
    struct service_config config = service_config_default;
    json_int_t first, second;
    config.workers = 2;
    config.module_cache_bytes = 0;
    world_open(&world, &config, NULL);
    cr_assert_eq(execute(world.user.secret, wasm, "i64", &first), 200);
    cr_assert_eq(execute(world.user.secret, wasm, "i64", &second), 200);
    cr_assert_eq(first, second);
    cr_assert_eq(metric_of("module_cache_entries"), 0);
    cr_assert_eq(metric_of("module_cache_limit_bytes"), 0);
    world_close(&world);
}
