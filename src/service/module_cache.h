/* module_cache.h: translated programs that a tenant sent before, so that sending them again costs
 * no translation. Private to service.
 *
 * A module is found by the API key that sent it and the SHA-256 of its bytes: nobody is ever given
 * what another key sent, not even the time it saved. All of the cache together holds at most its
 * number of bytes, charged to a budget of its own; what has not been used longest makes way. A
 * module that somebody runs is not freed, and keeps its place until they are done. Any thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_MODULE_CACHE_H
#define SERVICE_MODULE_CACHE_H

#include "base/clock.h"
#include "crypto/crypto.h"
#include "store/store.h"
#include "vm/vm.h"

enum {
    MODULE_CACHE_COUNT_MAX = 1024,
    MODULE_CACHE_IDLE_S = 3600, /* what nobody has sent for so long goes */
};

struct module_cache;

struct module_cache_facts {
    uint64_t hits, misses; /* since the start, as the next */
    uint64_t evictions;    /* to make room */
    size_t count, bytes;   /* now */
};

/* bytes_max 0: it never keeps anything. NULL: no memory. */
struct module_cache *module_cache_new(size_t bytes_max, const struct clock *clock);
/* Charges what it holds to `programs`, too, and gives way when that is short: what has not been
 * used longest goes, as much as is asked for. Before the first module. */
void module_cache_share(struct module_cache *cache, struct budget *programs);
/* All that it holds is wiped; nobody may use one of its modules any more. */
void module_cache_free(struct module_cache *cache);
/* A reference of the caller's, or NULL. */
struct vm_module *module_cache_get(struct module_cache *cache, const char *owner,
                                   const uint8_t hash[static CRYPTO_SHA256_BYTES]);
/* Offers a module that loaded well, and that only the caller refers to. If it is kept, what it
 * holds is charged to the cache from now on, else nothing has changed. */
void module_cache_put(struct module_cache *cache, const char *owner,
                      const uint8_t hash[static CRYPTO_SHA256_BYTES], struct vm_module *module);
/* Drops what has been idle for too long. */
void module_cache_expire(struct module_cache *cache);
/* Takes no lock: the loop's thread asks. */
void module_cache_facts(struct module_cache *cache, struct module_cache_facts *out);

#endif
