/* stress_vm_pool.c: many threads make memories and runs at once and look for what others left in
 * them, for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/mapping.h"
#include "vm/vm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, ROUNDS = 300, LOOK_EVERY = 64, PAGES_MAX = 6, TRIM_EVERY = 100 };

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "stress_vm_pool: %s\n", what);
        exit(1);
    }
}

static void use_memory(struct vm_store *store, uint64_t pages, uint8_t mark)
{
    uint8_t *bytes = NULL;
    struct vm_memory *memory = vm_store_host_memory(store, pages, PAGES_MAX);
    check(memory != NULL, "no memory");
    uint64_t size = vm_memory_bytes(memory);
    check(vm_memory_range(memory, 0, size, &bytes), "no range");
    for (uint64_t i = 0; i < size; i += LOOK_EVERY) {
        check(bytes[i] == 0, "somebody else's bytes");
        bytes[i] = mark;
    }
}

static void *thread_run(void *context)
{
    unsigned number = *(const unsigned *)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
        check(store != NULL, "no store");
        use_memory(store, 1 + (i + number) % PAGES_MAX, (uint8_t)(number + 1));
        struct vm_run *run = vm_run_new(store, 1);
        check(run != NULL, "no run");
        vm_run_free(run);
        vm_store_free(store);
        if (i % TRIM_EVERY == number) {
            mapping_pool_trim();
        }
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        check(pthread_create(&threads[i], NULL, thread_run, &numbers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    mapping_pool_trim();
    puts("stress_vm_pool: ok");
    return 0;
}
