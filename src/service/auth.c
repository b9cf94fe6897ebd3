/* auth.c: API keys: their text, the cache of their rows, and the check of a request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/auth.h"

#include "crypto/crypto.h"
#include "service/service.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { AUTH_SECRET_BYTES = 32, AUTH_PREFIX_CHARS = 3, AUTH_ID_BYTES = STORE_KEY_ID_CHARS / 2 };

static const char auth_prefix[] = "wh_";

struct auth {
    struct store *store;
    const struct clock *clock;
    bool required;
    pthread_mutex_t lock; /* of what follows */
    struct arena arena;
    struct store_api_key *keys; /* by id */
    size_t key_count;
    uint64_t version;
    _Atomic uint64_t failures[AUTH_FAILURE_KINDS];
};

/* ---- the text of a secret ---- */

/* Base64 with the URL alphabet and no padding (RFC 4648 section 5). */
static void auth_base64url(const uint8_t secret[static AUTH_SECRET_BYTES], char *out)
{
    char text[48];
    text_base64_encode(bytes_of(secret, AUTH_SECRET_BYTES), text);
    size_t size = strcspn(text, "=");
    for (size_t i = 0; i < size; i++) {
        out[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    out[size] = 0;
    memory_wipe(text, sizeof(text));
}

void service_api_key_new(const char *name, uint32_t scopes, int64_t expires_ms,
                         const struct clock *clock, struct store_api_key *out,
                         char secret[static SERVICE_API_KEY_CHARS + 1])
{
    uint8_t id[AUTH_ID_BYTES];
    uint8_t random[AUTH_SECRET_BYTES];
    crypto_random(id, sizeof(id));
    crypto_random(random, sizeof(random));
    *out = (struct store_api_key){
        .scopes = scopes, .created_ms = clock_wall_ms(clock), .expires_ms = expires_ms};
    text_hex_encode(bytes_of(id, sizeof(id)), out->id);
    assert(strlen(name) < sizeof(out->name));
    memcpy(out->name, name, strlen(name) + 1);
    memcpy(secret, auth_prefix, AUTH_PREFIX_CHARS);
    memcpy(secret + AUTH_PREFIX_CHARS, out->id, STORE_KEY_ID_CHARS);
    secret[AUTH_PREFIX_CHARS + STORE_KEY_ID_CHARS] = '_';
    auth_base64url(random, secret + AUTH_PREFIX_CHARS + STORE_KEY_ID_CHARS + 1);
    assert(strlen(secret) == SERVICE_API_KEY_CHARS);
    crypto_sha256(bytes_of_string(secret), out->secret_hash);
    memory_wipe(random, sizeof(random));
}

/* ---- the cache ---- */

static int auth_compare(const void *a, const void *b)
{
    const struct store_api_key *left = a;
    const struct store_api_key *right = b;
    return memcmp(left->id, right->id, STORE_KEY_ID_CHARS);
}

static bool auth_load(struct auth *auth, uint64_t version, struct err *err)
{
    struct arena arena;
    arena_init(&arena, NULL);
    struct store_api_key *keys = NULL;
    size_t count = 0;
    if (!store_list_api_keys(auth->store, &arena, &keys, &count, err)) {
        arena_release(&arena);
        return false;
    }
    if (count > 0) {
        qsort(keys, count, sizeof(*keys), auth_compare);
    }
    pthread_mutex_lock(&auth->lock);
    struct arena old = auth->arena;
    auth->arena = arena;
    auth->keys = keys;
    auth->key_count = count;
    auth->version = version;
    pthread_mutex_unlock(&auth->lock);
    arena_release(&old);
    return true;
}

bool auth_reload(struct auth *auth, struct err *err)
{
    /* The version is read first: a change between the two reads is seen next time. */
    uint64_t version = 0;
    if (!store_api_keys_version(auth->store, &version, err)) {
        return false;
    }
    pthread_mutex_lock(&auth->lock);
    bool is_current = version == auth->version;
    pthread_mutex_unlock(&auth->lock);
    return is_current || auth_load(auth, version, err);
}

bool auth_open(struct store *store, const struct clock *clock, bool required, struct auth **out,
               struct err *err)
{
    struct auth *auth = HEAP_NEW(struct auth);
    if (auth == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the API keys");
    }
    auth->store = store;
    auth->clock = clock;
    auth->required = required;
    arena_init(&auth->arena, NULL);
    pthread_mutex_init(&auth->lock, NULL);
    uint64_t version = 0;
    if (!store_api_keys_version(store, &version, err) || !auth_load(auth, version, err)) {
        auth_close(auth);
        return false;
    }
    *out = auth;
    return true;
}

void auth_close(struct auth *auth)
{
    if (auth == NULL) {
        return;
    }
    arena_release_wiped(&auth->arena);
    pthread_mutex_destroy(&auth->lock);
    heap_free(auth);
}

/* ---- the check ---- */

bool auth_is_presented(const struct message_request *request)
{
    const char *key = message_request_header(request, "x-api-key");
    return (key != NULL && key[0] != 0) || message_request_header(request, "authorization") != NULL;
}

/* The presented secret; "" if there is none. False: two that differ, or a form that is not ours. */
static bool auth_presented(const struct message_request *request, const char **out, struct err *err)
{
    static const char scheme[] = "Bearer ";
    const char *key = message_request_header(request, "x-api-key");
    const char *authorization = message_request_header(request, "authorization");
    *out = key == NULL ? "" : key;
    if (authorization == NULL) {
        return true;
    }
    if (strncasecmp(authorization, scheme, strlen(scheme)) != 0) {
        return err_set(err, ERR_UNAUTHENTICATED,
                       "the Authorization header must be of the form: Bearer <API key>");
    }
    const char *bearer = authorization + strlen(scheme);
    if (key != NULL && strcmp(key, bearer) != 0) {
        return err_set(err, ERR_UNAUTHENTICATED,
                       "X-API-Key and Authorization present different keys");
    }
    *out = bearer;
    return true;
}

/* The row with that id, or a row of zeros, so that both cases cost the same comparison. */
static struct store_api_key auth_find(struct auth *auth, const char *secret)
{
    struct store_api_key found = {0};
    if (strlen(secret) != SERVICE_API_KEY_CHARS ||
        strncmp(secret, auth_prefix, AUTH_PREFIX_CHARS) != 0) {
        return found;
    }
    struct store_api_key wanted = {0};
    memcpy(wanted.id, secret + AUTH_PREFIX_CHARS, STORE_KEY_ID_CHARS);
    pthread_mutex_lock(&auth->lock);
    const struct store_api_key *key =
        auth->key_count == 0
            ? NULL
            : bsearch(&wanted, auth->keys, auth->key_count, sizeof(wanted), auth_compare);
    if (key != NULL) {
        found = *key;
    }
    pthread_mutex_unlock(&auth->lock);
    return found;
}

static bool auth_has_expired(const struct auth *auth, const struct store_api_key *key)
{
    return key->expires_ms != 0 && key->expires_ms <= clock_wall_ms(auth->clock);
}

static bool auth_is_live(const struct auth *auth, const struct store_api_key *key)
{
    return key->id[0] != 0 && key->revoked_ms == 0 && !auth_has_expired(auth, key);
}

static void auth_count(struct auth *auth, enum auth_failure kind)
{
    atomic_fetch_add_explicit(&auth->failures[kind], 1, memory_order_relaxed);
}

/* Of a key that is_live does not call live, or whose secret is wrong. */
static void auth_count_refused(struct auth *auth, const struct store_api_key *key, bool is_equal)
{
    if (!is_equal || key->id[0] == 0) {
        auth_count(auth, AUTH_FAILURE_UNKNOWN_KEY);
    } else {
        auth_count(auth,
                   key->revoked_ms != 0 ? AUTH_FAILURE_REVOKED_KEY : AUTH_FAILURE_EXPIRED_KEY);
    }
}

bool auth_check(struct auth *auth, const struct message_request *request, struct identity *out,
                struct err *err)
{
    const char *secret = "";
    if (!auth_presented(request, &secret, err)) {
        auth_count(auth, AUTH_FAILURE_MALFORMED);
        return false;
    }
    if (secret[0] == 0) {
        if (auth->required) {
            return err_set(err, ERR_UNAUTHENTICATED,
                           "an API key is needed, as X-API-Key or Authorization: Bearer");
        }
        *out = (struct identity){AUTH_ANONYMOUS, STORE_SCOPE_EXECUTE | STORE_SCOPE_METRICS};
        return true;
    }
    struct store_api_key key = auth_find(auth, secret);
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of_string(secret), hash);
    bool is_equal = crypto_equal(bytes_of(hash, sizeof(hash)),
                                 bytes_of(key.secret_hash, sizeof(key.secret_hash)));
    if (!is_equal || !auth_is_live(auth, &key)) {
        auth_count_refused(auth, &key, is_equal);
        return err_set(err, ERR_UNAUTHENTICATED, "the API key is not valid");
    }
    memcpy(out->key_id, key.id, sizeof(out->key_id));
    out->scopes = key.scopes;
    return true;
}

void auth_count_missing_scope(struct auth *auth)
{
    auth_count(auth, AUTH_FAILURE_MISSING_SCOPE);
}

void auth_failures_by_kind(const struct auth *auth, uint64_t out[static AUTH_FAILURE_KINDS])
{
    for (size_t i = 0; i < AUTH_FAILURE_KINDS; i++) {
        out[i] = atomic_load_explicit(&auth->failures[i], memory_order_relaxed);
    }
}

uint64_t auth_failures(const struct auth *auth)
{
    uint64_t kinds[AUTH_FAILURE_KINDS];
    uint64_t count = 0;
    auth_failures_by_kind(auth, kinds);
    for (size_t i = 0; i < AUTH_FAILURE_KINDS; i++) {
        count += i == AUTH_FAILURE_MISSING_SCOPE ? 0 : kinds[i];
    }
    return count;
}

uint64_t auth_key_count(struct auth *auth)
{
    uint64_t count = 0;
    pthread_mutex_lock(&auth->lock);
    for (size_t i = 0; i < auth->key_count; i++) {
        count += auth_is_live(auth, &auth->keys[i]);
    }
    pthread_mutex_unlock(&auth->lock);
    return count;
}
