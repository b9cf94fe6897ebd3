/* module_cache.c: the modules, oldest use first, found through buckets by their hash.
 *
 * Whoever counts on few modules in one bucket counts on senders not choosing their bytes: they may,
 * so the walk through a bucket is bounded by MODULE_CACHE_COUNT_MAX.
 *
 * Wiping a large module takes milliseconds. What has expired is wiped when nobody can find it any
 * more, without the lock; what makes way is wiped under it, as its bytes are wanted at once. So
 * the loop's thread, which only counts, takes no lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/module_cache.h"

#include "base/list.h"
#include "service/auth.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { BUCKETS = 256 };

struct cached {
    struct list by_hash, by_use;
    char owner[STORE_KEY_ID_CHARS + 1];
    uint8_t hash[CRYPTO_SHA256_BYTES];
    struct vm_module *module;
    uint64_t used_ns;
};

struct module_cache {
    const struct clock *clock;
    struct budget budget; /* modules and entries */
    pthread_mutex_t lock; /* recursive: charging for a module may make others give way */
    struct list buckets[BUCKETS];
    struct list uses; /* the longest unused first */
    /* Read by whoever asks for facts, without the lock. */
    _Atomic size_t count;
    _Atomic uint64_t hits, misses, evictions;
};

struct module_cache *module_cache_new(size_t bytes_max, const struct clock *clock)
{
    struct module_cache *cache = HEAP_NEW(struct module_cache);
    if (cache == NULL) {
        return NULL;
    }
    cache->clock = clock;
    budget_init(&cache->budget, NULL, bytes_max);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&cache->lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    list_init(&cache->uses);
    for (size_t i = 0; i < BUCKETS; i++) {
        list_init(&cache->buckets[i]);
    }
    return cache;
}

static void count_one(_Atomic uint64_t *number)
{
    atomic_fetch_add_explicit(number, 1, memory_order_relaxed);
}

/* Nobody finds it any more. */
static void unlink_entry(struct module_cache *cache, struct cached *entry)
{
    list_remove(&entry->by_hash);
    list_remove(&entry->by_use);
    atomic_fetch_sub_explicit(&cache->count, 1, memory_order_relaxed);
}

/* Of what nobody finds any more. Wipes the module unless somebody runs it. */
static void free_entry(struct module_cache *cache, struct cached *entry)
{
    vm_module_unref(entry->module);
    heap_free(entry);
    budget_release(&cache->budget, sizeof(*entry));
}

static void drop(struct module_cache *cache, struct cached *entry)
{
    unlink_entry(cache, entry);
    free_entry(cache, entry);
}

void module_cache_free(struct module_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    while (!list_is_empty(&cache->uses)) {
        drop(cache, LIST_ENTRY(cache->uses.next, struct cached, by_use));
    }
    assert(budget_used(&cache->budget) == 0);
    if (cache->budget.parent != NULL) {
        budget_on_shortage(cache->budget.parent, NULL, NULL);
    }
    pthread_mutex_destroy(&cache->lock);
    heap_free(cache);
}

static struct cached *find(struct module_cache *cache, const char *owner, const uint8_t *hash)
{
    struct list *bucket = &cache->buckets[hash[0]];
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct cached *entry = LIST_ENTRY(link, struct cached, by_hash);
        if (memcmp(entry->hash, hash, CRYPTO_SHA256_BYTES) == 0 &&
            strcmp(entry->owner, owner) == 0) {
            return entry;
        }
    }
    return NULL;
}

/* Callers without a key share a name, but are not one tenant. */
static bool is_open_to(const struct module_cache *cache, const char *owner)
{
    return cache->budget.limit > 0 && strcmp(owner, AUTH_ANONYMOUS) != 0;
}

struct vm_module *module_cache_get(struct module_cache *cache, const char *owner,
                                   const uint8_t hash[static CRYPTO_SHA256_BYTES])
{
    struct vm_module *module = NULL;
    if (!is_open_to(cache, owner)) {
        return NULL;
    }
    pthread_mutex_lock(&cache->lock);
    struct cached *entry = find(cache, owner, hash);
    if (entry != NULL) {
        list_remove(&entry->by_use);
        list_push_back(&cache->uses, &entry->by_use);
        entry->used_ns = clock_monotonic_ns(cache->clock);
        module = vm_module_ref(entry->module);
        count_one(&cache->hits);
    } else {
        count_one(&cache->misses);
    }
    pthread_mutex_unlock(&cache->lock);
    return module;
}

/* The longest unused that nobody runs: dropping another would free nothing. */
static bool evict_one(struct module_cache *cache)
{
    for (struct list *link = cache->uses.next; link != &cache->uses; link = link->next) {
        struct cached *entry = LIST_ENTRY(link, struct cached, by_use);
        if (!vm_module_is_shared(entry->module)) {
            drop(cache, entry);
            count_one(&cache->evictions);
            return true;
        }
    }
    return false;
}

/* When what runs needs the memory. */
static bool give_way(void *context, size_t size)
{
    struct module_cache *cache = context;
    pthread_mutex_lock(&cache->lock);
    size_t before = budget_used(&cache->budget);
    bool is_less = false;
    while (before - budget_used(&cache->budget) < size && evict_one(cache)) {
        is_less = true;
    }
    pthread_mutex_unlock(&cache->lock);
    return is_less;
}

void module_cache_share(struct module_cache *cache, struct budget *programs)
{
    cache->budget.parent = programs;
    budget_on_shortage(programs, give_way, cache);
}

/* Charges an entry and what its module holds to the cache; others make way. */
static bool make_room(struct module_cache *cache, struct vm_module *module)
{
    struct vm_module_facts facts;
    vm_module_facts(module, &facts);
    size_t needed = facts.memory_bytes + sizeof(struct cached);
    if (needed > cache->budget.limit) {
        return false;
    }
    while (cache->count >= MODULE_CACHE_COUNT_MAX ||
           needed > cache->budget.limit - budget_used(&cache->budget)) {
        if (!evict_one(cache)) {
            return false;
        }
    }
    if (!budget_charge(&cache->budget, sizeof(struct cached))) {
        return false;
    }
    /* For a moment it is charged twice: that may be more than programs have left. */
    bool is_charged = vm_module_charge_to(module, &cache->budget);
    if (!is_charged) {
        budget_release(&cache->budget, sizeof(struct cached));
    }
    return is_charged;
}

static void insert(struct module_cache *cache, const char *owner, const uint8_t *hash,
                   struct vm_module *module)
{
    struct cached *entry = HEAP_NEW(struct cached);
    if (entry == NULL) {
        return;
    }
    if (!make_room(cache, module)) {
        heap_free(entry);
        return;
    }
    assert(strlen(owner) < sizeof(entry->owner));
    memcpy(entry->owner, owner, strlen(owner) + 1);
    memcpy(entry->hash, hash, CRYPTO_SHA256_BYTES);
    entry->module = vm_module_ref(module);
    entry->used_ns = clock_monotonic_ns(cache->clock);
    list_push_back(&cache->buckets[hash[0]], &entry->by_hash);
    list_push_back(&cache->uses, &entry->by_use);
    atomic_fetch_add_explicit(&cache->count, 1, memory_order_relaxed);
}

void module_cache_put(struct module_cache *cache, const char *owner,
                      const uint8_t hash[static CRYPTO_SHA256_BYTES], struct vm_module *module)
{
    if (!is_open_to(cache, owner)) {
        return;
    }
    pthread_mutex_lock(&cache->lock);
    /* Two may have loaded the same at the same time: the first one stays. */
    if (find(cache, owner, hash) == NULL) {
        insert(cache, owner, hash, module);
    }
    pthread_mutex_unlock(&cache->lock);
}

void module_cache_expire(struct module_cache *cache)
{
    const uint64_t idle_ns = (uint64_t)MODULE_CACHE_IDLE_S * 1000000000;
    uint64_t now_ns = clock_monotonic_ns(cache->clock);
    struct list expired, *link;
    list_init(&expired);
    pthread_mutex_lock(&cache->lock);
    for (link = cache->uses.next; link != &cache->uses;) {
        struct cached *entry = LIST_ENTRY(link, struct cached, by_use);
        link = link->next;
        if (now_ns - entry->used_ns < idle_ns) {
            break;
        }
        if (!vm_module_is_shared(entry->module)) {
            unlink_entry(cache, entry);
            list_push_back(&expired, &entry->by_use);
        }
    }
    pthread_mutex_unlock(&cache->lock);
    while ((link = list_pop_front(&expired)) != NULL) {
        free_entry(cache, LIST_ENTRY(link, struct cached, by_use));
    }
}

void module_cache_facts(struct module_cache *cache, struct module_cache_facts *out)
{
    *out = (struct module_cache_facts){
        .hits = atomic_load_explicit(&cache->hits, memory_order_relaxed),
        .misses = atomic_load_explicit(&cache->misses, memory_order_relaxed),
        .evictions = atomic_load_explicit(&cache->evictions, memory_order_relaxed),
        .count = atomic_load_explicit(&cache->count, memory_order_relaxed),
        .bytes = budget_used(&cache->budget),
    };
}
