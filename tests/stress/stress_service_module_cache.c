/* stress_service_module_cache.c: threads of two owners load, look up and put the same few programs
 * in a cache that holds only some of them, for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/module_cache.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 6, ROUNDS = 400, PROGRAMS = 8, CACHE_BYTES = 5 * 5000 };

static struct module_cache *cache;
static struct budget loading;

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "stress_service_module_cache: %s\n", what);
        exit(1);
    }
}

/* In a custom section: the owner's one is longer or shorter, and holds the program's number. */
static void use_program(const char *owner, uint8_t number)
{
    uint8_t spare = owner[0] == 'b';
    uint8_t wasm[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 0, (uint8_t)(3 + spare), 1, 'n', number, 0};
    uint8_t hash[CRYPTO_SHA256_BYTES];
    struct bytes bytes = bytes_of(wasm, sizeof wasm - 1 + spare);
    struct vm_module_facts facts;
    struct err err;
    crypto_sha256(bytes_of(&number, 1), hash); /* the same for both owners */
    struct vm_module *module = module_cache_get(cache, owner, hash);
    if (module == NULL) {
        check(vm_module_load(bytes, &vm_limits_default, &loading, &module, &err), "no module");
        module_cache_put(cache, owner, hash, module);
    }
    vm_module_facts(module, &facts);
    check(facts.wasm_bytes == bytes.size, "a module of somebody else");
    vm_module_unref(module);
}

static void *thread_run(void *context)
{
    unsigned number = *(const unsigned *)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        use_program(number % 2 == 0 ? "a" : "b", (uint8_t)((i * (number + 1)) % PROGRAMS));
        if (i % 50 == number) {
            module_cache_expire(cache);
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    struct module_cache_facts facts;
    budget_init(&loading, NULL, (size_t)1 << 30);
    cache = module_cache_new(CACHE_BYTES, &clock_system);
    check(cache != NULL, "no cache");
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        check(pthread_create(&threads[i], NULL, thread_run, &numbers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    module_cache_facts(cache, &facts);
    check(facts.hits + facts.misses == (uint64_t)THREADS * ROUNDS, "lost count");
    check(facts.bytes <= CACHE_BYTES, "over its bytes");
    module_cache_free(cache);
    check(budget_used(&loading) == 0, "charged for ever");
    puts("stress_service_module_cache: ok");
    return 0;
}
