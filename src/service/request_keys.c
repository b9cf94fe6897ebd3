/* request_keys.c: a table of keys and tombstones by id, oldest first in two rings.
 *
 * All keys live equally long, so those that live are ordered by expiry on the monotonic clock;
 * tombstones lie in the order in which they were buried, and one may stay for up to a key's
 * lifetime longer than it has to, behind a key that was used early. So only the heads of the rings
 * are looked at; the wall clock, which may be set, is asked about the one key wanted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/request_keys.h"

#include "base/arena.h"
#include "base/list.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum {
    KEYS_BUCKETS = 4096, /* a power of two */
    NS_PER_MS = 1000000,
};

enum key_state { KEY_LIVE, KEY_USED, KEY_EXPIRED };

struct key_owner { /* counts the live keys of one API key; exists while there are any */
    struct list link;
    char id[STORE_KEY_ID_CHARS + 1];
    uint32_t live;
};

struct key_entry {
    struct list bucket;
    struct list ring; /* in `live` or in `tombstones` */
    enum key_state state;
    struct request_key key; /* without key and epoch once it is a tombstone */
    struct key_owner *owner;
};

struct request_keys {
    struct request_keys_config config;
    pthread_mutex_t lock; /* of what follows */
    struct list live;
    struct list tombstones;
    struct list owners;
    uint32_t live_count;
    uint32_t tombstone_count;
    struct list buckets[KEYS_BUCKETS];
};

void request_key_release(struct request_key *key)
{
    crypto_p256_free(key->key);
    epoch_unref(key->epoch);
    memory_wipe(key, sizeof(*key));
}

struct request_keys *request_keys_new(const struct request_keys_config *config)
{
    struct request_keys *keys = HEAP_NEW(struct request_keys);
    if (keys == NULL) {
        return NULL;
    }
    keys->config = *config;
    pthread_mutex_init(&keys->lock, NULL);
    list_init(&keys->live);
    list_init(&keys->tombstones);
    list_init(&keys->owners);
    for (size_t i = 0; i < KEYS_BUCKETS; i++) {
        list_init(&keys->buckets[i]);
    }
    return keys;
}

/* ---- under the lock ---- */

static struct list *keys_bucket(struct request_keys *keys, const uint8_t *request_id)
{
    size_t hash = (size_t)request_id[0] << 8 | request_id[1];
    return &keys->buckets[hash & (KEYS_BUCKETS - 1)];
}

static struct key_entry *keys_find(struct request_keys *keys, const uint8_t *request_id,
                                   const char *owner)
{
    struct list *bucket = keys_bucket(keys, request_id);
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct key_entry *entry = LIST_ENTRY(link, struct key_entry, bucket);
        if (memcmp(entry->key.request_id, request_id, TEXT_UUID_BYTES) == 0) {
            return strcmp(entry->key.owner, owner) == 0 ? entry : NULL;
        }
    }
    return NULL;
}

static struct key_owner *keys_owner(struct request_keys *keys, const char *id)
{
    for (struct list *link = keys->owners.next; link != &keys->owners; link = link->next) {
        struct key_owner *owner = LIST_ENTRY(link, struct key_owner, link);
        if (strcmp(owner->id, id) == 0) {
            return owner;
        }
    }
    struct key_owner *owner = HEAP_NEW(struct key_owner);
    if (owner != NULL) {
        memcpy(owner->id, id, strlen(id) + 1);
        list_push_back(&keys->owners, &owner->link);
    }
    return owner;
}

static void keys_owner_drop(struct key_owner *owner)
{
    if (owner->live == 0) {
        list_remove(&owner->link);
        heap_free(owner);
    }
}

static void keys_forget(struct request_keys *keys, struct key_entry *entry)
{
    assert(entry->state != KEY_LIVE);
    keys->tombstone_count--;
    list_remove(&entry->ring);
    list_remove(&entry->bucket);
    heap_free(entry);
}

/* LIVE -> USED or EXPIRED. What the entry owned is the caller's, or wiped when out is NULL. */
static void keys_bury(struct request_keys *keys, struct key_entry *entry, enum key_state state,
                      struct request_key *out)
{
    assert(entry->state == KEY_LIVE && state != KEY_LIVE);
    struct request_key key = entry->key;
    entry->state = state;
    entry->key.key = NULL;
    entry->key.epoch = NULL;
    memory_wipe(entry->key.salt, sizeof(entry->key.salt));
    entry->owner->live--;
    keys_owner_drop(entry->owner);
    entry->owner = NULL;
    keys->live_count--;
    list_remove(&entry->ring);
    list_push_back(&keys->tombstones, &entry->ring);
    keys->tombstone_count++;
    if (out != NULL) {
        *out = key;
    } else {
        request_key_release(&key);
    }
    if (keys->tombstone_count > keys->config.tombstones_max) {
        keys_forget(keys, LIST_ENTRY(keys->tombstones.next, struct key_entry, ring));
    }
}

static void keys_expire(struct request_keys *keys)
{
    uint64_t now_ns = clock_monotonic_ns(keys->config.clock);
    uint64_t tombstone_ns = keys->config.tombstone_ms * NS_PER_MS;
    while (!list_is_empty(&keys->live)) {
        struct key_entry *entry = LIST_ENTRY(keys->live.next, struct key_entry, ring);
        if (entry->key.expires_ns > now_ns) {
            break;
        }
        keys_bury(keys, entry, KEY_EXPIRED, NULL);
    }
    while (!list_is_empty(&keys->tombstones)) {
        struct key_entry *entry = LIST_ENTRY(keys->tombstones.next, struct key_entry, ring);
        if (entry->key.expires_ns + tombstone_ns > now_ns) {
            break;
        }
        keys_forget(keys, entry);
    }
}

static struct key_entry *keys_find_live(struct request_keys *keys, const uint8_t *request_id,
                                        const char *owner, struct err *err)
{
    keys_expire(keys);
    struct key_entry *entry = keys_find(keys, request_id, owner);
    if (entry == NULL) {
        (void)err_set(err, ERR_NOT_FOUND, "request_id names no key");
        return NULL;
    }
    if (entry->state == KEY_LIVE && entry->key.expires_ms <= clock_wall_ms(keys->config.clock)) {
        keys_bury(keys, entry, KEY_EXPIRED, NULL);
    }
    if (entry->state == KEY_USED) {
        (void)err_set(err, ERR_KEY_ALREADY_USED,
                      "the key of this request_id has been used: a key serves one execution");
        return NULL;
    }
    if (entry->state == KEY_EXPIRED) {
        (void)err_set(err, ERR_KEY_EXPIRED,
                      "the key of this request_id has expired, or was given up");
        return NULL;
    }
    return entry;
}

static bool keys_have_room(struct request_keys *keys, const struct key_owner *owner,
                           struct err *err)
{
    if (keys->live_count >= keys->config.live_max) {
        return err_set(err, ERR_OVERLOADED, "too many request keys are outstanding on this node");
    }
    if (owner->live >= keys->config.live_per_owner_max) {
        return err_set(err, ERR_RATE_LIMITED,
                       "too many request keys of this API key are outstanding (at most %u)",
                       keys->config.live_per_owner_max);
    }
    return true;
}

/* ---- the interface ---- */

static void keys_random_uuid(uint8_t out[static TEXT_UUID_BYTES])
{
    crypto_random(out, TEXT_UUID_BYTES);
    out[6] = (uint8_t)((out[6] & 0x0f) | 0x40); /* version 4 */
    out[8] = (uint8_t)((out[8] & 0x3f) | 0x80); /* variant 10 */
}

/* Asked before a key is made, which costs more than all else: whoever has too many is refused
 * cheaply. What is decided is decided by keys_insert. */
static bool keys_may_insert(struct request_keys *keys, const char *owner_id, struct err *err)
{
    pthread_mutex_lock(&keys->lock);
    keys_expire(keys);
    struct key_owner *owner = keys_owner(keys, owner_id);
    bool ok = owner == NULL || keys_have_room(keys, owner, err);
    if (owner != NULL) {
        keys_owner_drop(owner);
    }
    pthread_mutex_unlock(&keys->lock);
    return ok;
}

static bool keys_insert(struct request_keys *keys, struct key_entry *entry, struct err *err)
{
    pthread_mutex_lock(&keys->lock);
    keys_expire(keys);
    struct key_owner *owner = keys_owner(keys, entry->key.owner);
    bool ok = owner != NULL && keys_have_room(keys, owner, err);
    if (owner == NULL) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for a request key");
    } else if (ok) {
        entry->owner = owner;
        owner->live++;
        keys->live_count++;
        list_push_back(&keys->live, &entry->ring);
        list_push_back(keys_bucket(keys, entry->key.request_id), &entry->bucket);
    } else {
        keys_owner_drop(owner);
    }
    pthread_mutex_unlock(&keys->lock);
    return ok;
}

static void key_copy_public(const struct request_key *key, struct request_key *out)
{
    *out = *key;
    out->key = NULL;
    out->epoch = NULL;
}

bool request_keys_issue(struct request_keys *keys, const char *owner, struct epoch *epoch,
                        struct request_key *out, uint8_t point[static CRYPTO_P256_POINT_BYTES],
                        struct err *err)
{
    if (!keys_may_insert(keys, owner, err)) {
        return false;
    }
    struct key_entry *entry = HEAP_NEW(struct key_entry);
    if (entry == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a request key");
    }
    struct request_key *key = &entry->key;
    keys_random_uuid(key->request_id);
    assert(strlen(owner) < sizeof(key->owner));
    memcpy(key->owner, owner, strlen(owner) + 1);
    crypto_random(key->salt, sizeof(key->salt));
    key->created_ms = clock_wall_ms(keys->config.clock);
    key->expires_ms = key->created_ms + (int64_t)keys->config.lifetime_ms;
    key->expires_ns = clock_monotonic_ns(keys->config.clock) + keys->config.lifetime_ms * NS_PER_MS;
    key->epoch = epoch_ref(epoch);
    key->key = crypto_p256_generate();
    bool ok = key->key != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a request key");
    if (ok) {
        crypto_p256_public(key->key, point);
        key_copy_public(key, out);
        ok = keys_insert(keys, entry, err);
    }
    if (!ok) {
        request_key_release(key);
        heap_free(entry);
    }
    return ok;
}

bool request_keys_peek(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err)
{
    pthread_mutex_lock(&keys->lock);
    struct key_entry *entry = keys_find_live(keys, request_id, owner, err);
    if (entry != NULL && out != NULL) {
        key_copy_public(&entry->key, out);
    }
    pthread_mutex_unlock(&keys->lock);
    return entry != NULL;
}

bool request_keys_take(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err)
{
    pthread_mutex_lock(&keys->lock);
    struct key_entry *entry = keys_find_live(keys, request_id, owner, err);
    if (entry != NULL) {
        keys_bury(keys, entry, KEY_USED, out);
    }
    pthread_mutex_unlock(&keys->lock);
    return entry != NULL;
}

bool request_keys_drop(struct request_keys *keys, const uint8_t request_id[static TEXT_UUID_BYTES],
                       const char *owner, struct request_key *out, struct err *err)
{
    pthread_mutex_lock(&keys->lock);
    struct key_entry *entry = keys_find_live(keys, request_id, owner, err);
    if (entry != NULL) {
        keys_bury(keys, entry, KEY_EXPIRED, NULL);
    } else if (err->code == ERR_KEY_EXPIRED) {
        entry = keys_find(keys, request_id, owner);
    }
    if (entry != NULL) {
        key_copy_public(&entry->key, out);
    }
    pthread_mutex_unlock(&keys->lock);
    return entry != NULL;
}

/* The link of `live` before which a key of that expiry belongs. */
static struct list *keys_ring_place(struct request_keys *keys, uint64_t expires_ns)
{
    struct list *link = keys->live.next;
    while (link != &keys->live &&
           LIST_ENTRY(link, struct key_entry, ring)->key.expires_ns < expires_ns) {
        link = link->next;
    }
    return link;
}

void request_keys_return(struct request_keys *keys, struct request_key *key)
{
    pthread_mutex_lock(&keys->lock);
    struct key_entry *entry = keys_find(keys, key->request_id, key->owner);
    struct key_owner *owner = entry == NULL ? NULL : keys_owner(keys, key->owner);
    if (owner != NULL) {
        entry->state = KEY_LIVE;
        entry->key = *key;
        *key = (struct request_key){0}; /* transferred */
        entry->owner = owner;
        owner->live++;
        keys->live_count++;
        keys->tombstone_count--;
        list_remove(&entry->ring);
        list_push_back(keys_ring_place(keys, entry->key.expires_ns), &entry->ring);
    }
    pthread_mutex_unlock(&keys->lock);
    request_key_release(key);
}

void request_keys_expire(struct request_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    keys_expire(keys);
    pthread_mutex_unlock(&keys->lock);
}

uint32_t request_keys_live(struct request_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    uint32_t live = keys->live_count;
    pthread_mutex_unlock(&keys->lock);
    return live;
}

void request_keys_free(struct request_keys *keys)
{
    if (keys == NULL) {
        return;
    }
    while (!list_is_empty(&keys->live)) {
        struct key_entry *entry = LIST_ENTRY(keys->live.next, struct key_entry, ring);
        keys_bury(keys, entry, KEY_EXPIRED, NULL);
    }
    while (!list_is_empty(&keys->tombstones)) {
        keys_forget(keys, LIST_ENTRY(keys->tombstones.next, struct key_entry, ring));
    }
    pthread_mutex_destroy(&keys->lock);
    heap_free(keys);
}
