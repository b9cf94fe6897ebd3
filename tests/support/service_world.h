/* service_world.h: a whole node without sockets, and a client of it, for tests of the service.
 *
 * A world has a real audit log and store in a temporary folder, no TEE, and API keys of all kinds.
 * A call is an exchange that a condition variable answers. The client does what docs/protocol.md
 * section 11 says. Everything is static inline, so that plain stress programs can use it too; a
 * broken expectation of the world itself aborts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SUPPORT_SERVICE_WORLD_H
#define SUPPORT_SERVICE_WORLD_H

#include "base/json.h"
#include "base/text.h"
#include "service/service.h"
#include "support/new_log.h"

#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORLD_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* ---- the node ---- */

struct world_key {
    char id[STORE_KEY_ID_CHARS + 1];
    char secret[SERVICE_API_KEY_CHARS + 1];
};

typedef bool world_log_open(const struct audit_config *config,
                            void (*fatal)(void *context, const struct err *err), void *context,
                            struct audit_log **out, struct audit_recovery *recovery,
                            struct err *err);

struct world {
    char directory[64];
    const struct clock *clock;
    world_log_open *log_open;
    struct service_config config;
    struct audit_log *log;
    struct audit_recovery recovery;
    struct store *store;
    bool (*tee_new)(struct tee *out); /* set it before a world_start; NULL: none */
    struct tee tee;
    struct outgoing webhooks; /* set it before a world_start */
    struct service_memory memory;
    struct service *service;
    pthread_mutex_t loop;
    pthread_mutex_t answers; /* recursive: whoever is gone may be answered there and then */
    struct world_key user, other, admin, metrics, expired, revoked;
};

static inline void world_path(const struct world *world, const char *name, char out[static 128])
{
    (void)snprintf(out, 128, "%s/%s", world->directory, name);
}

static inline void world_add_key(struct world *world, uint32_t scopes, int64_t expires_ms,
                                 struct world_key *out)
{
    struct store_api_key key;
    struct err err;
    service_api_key_new("test", scopes, expires_ms, world->clock, &key, out->secret);
    memcpy(out->id, key.id, sizeof(out->id));
    WORLD_CHECK(store_add_api_key(world->store, &key, &err));
}

static inline void world_fatal(void *context, const struct err *err)
{
    (void)context;
    fprintf(stderr, "the log died: %s\n", err->message);
}

static inline void world_start(struct world *world)
{
    static const uint8_t config_digest[32];
    char path[128];
    struct err err;
    bool created = false;
    world_path(world, "log", path);
    struct audit_config audit = {.directory = path,
                                 .batch_delay_ms_max = 1,
                                 .batch_entries_max = 1024,
                                 .pending_entries_max = 8192,
                                 .clock = world->clock};
    WORLD_CHECK(world->log_open(&audit, world_fatal, NULL, &world->log, &world->recovery, &err));
    world_path(world, "store.db", path);
    WORLD_CHECK(store_open(path, world->clock, &world->store, &created, &err));
    if (created && world->user.id[0] == 0) {
        world_add_key(world, STORE_SCOPE_EXECUTE, 0, &world->user);
        world_add_key(world, STORE_SCOPE_EXECUTE, 0, &world->other);
        world_add_key(world, STORE_SCOPE_ADMIN, 0, &world->admin);
        world_add_key(world, STORE_SCOPE_METRICS, 0, &world->metrics);
        world_add_key(world, STORE_SCOPE_EXECUTE, clock_wall_ms(world->clock) - 1, &world->expired);
        world_add_key(world, STORE_SCOPE_EXECUTE, 0, &world->revoked);
        WORLD_CHECK(store_revoke_api_key(world->store, world->revoked.id, &err));
    }
    if (world->tee_new == NULL) {
        tee_none_new(&world->tee);
    } else {
        WORLD_CHECK(world->tee_new(&world->tee));
    }
    service_memory_init(&world->memory, world->config.memory_budget_bytes);
    struct service_parts parts = {.memory = &world->memory,
                                  .log = world->log,
                                  .store = world->store,
                                  .tee = &world->tee,
                                  .clock = world->clock,
                                  .node_id = "00112233",
                                  .build_id = "test",
                                  .config_digest = config_digest,
                                  .recovery = &world->recovery,
                                  .webhooks = world->webhooks};
    if (!service_open(&world->config, &parts, &world->service, &err)) {
        fprintf(stderr, "%s\n", err.message);
        abort();
    }
}

static inline void world_locks_init(struct world *world)
{
    pthread_mutexattr_t recursive;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&world->loop, NULL);
    pthread_mutex_init(&world->answers, &recursive);
    pthread_mutexattr_destroy(&recursive);
}

/* config NULL: the default with two workers. clock NULL: the system's. A world_start has to follow.
 */
static inline void world_prepare(struct world *world, const struct service_config *config,
                                 const struct clock *clock, world_log_open *open_log)
{
    char path[128];
    struct err err;
    memset(world, 0, sizeof(*world));
    world_locks_init(world);
    world->log_open = open_log;
    world->clock = clock != NULL ? clock : &clock_system;
    world->config = config != NULL ? *config : service_config_default;
    if (config == NULL) {
        world->config.workers = 2;
    }
    (void)snprintf(world->directory, sizeof(world->directory), "/tmp/wh-service-XXXXXX");
    WORLD_CHECK(mkdtemp(world->directory) != NULL);
    world_path(world, "log", path);
    WORLD_CHECK(new_log(path, "test.example/log", world->clock, &err));
}

static inline void world_open_with(struct world *world, const struct service_config *config,
                                   const struct clock *clock, world_log_open *open_log)
{
    world_prepare(world, config, clock, open_log);
    world_start(world);
}

static inline void world_open(struct world *world, const struct service_config *config,
                              const struct clock *clock)
{
    world_open_with(world, config, clock, audit_log_open);
}

static inline void world_stop(struct world *world)
{
    bool is_back = service_close(world->service);
    audit_log_close(world->log);
    store_close(world->store);
    if (is_back) { /* the firmware has nothing of the tee any more */
        world->tee.free(world->tee.context);
    }
    world->service = NULL;
}

static inline int world_remove(const char *path, const struct stat *stat, int flag,
                               struct FTW *walk)
{
    (void)stat;
    (void)flag;
    (void)walk;
    return remove(path);
}

static inline void world_close(struct world *world)
{
    world_stop(world);
    WORLD_CHECK(nftw(world->directory, world_remove, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

/* A thread that ticks all the time. */
struct world_ticker {
    struct world *world;
    pthread_t thread;
    _Atomic bool is_over;
};

static inline void *world_tick(void *context)
{
    struct world_ticker *ticker = context;
    while (!atomic_load(&ticker->is_over)) {
        service_tick(ticker->world->service);
        sched_yield();
    }
    return NULL;
}

static inline void world_ticker_start(struct world_ticker *ticker, struct world *world)
{
    ticker->world = world;
    atomic_init(&ticker->is_over, false);
    WORLD_CHECK(pthread_create(&ticker->thread, NULL, world_tick, ticker) == 0);
}

static inline void world_ticker_stop(struct world_ticker *ticker)
{
    atomic_store(&ticker->is_over, true);
    pthread_join(ticker->thread, NULL);
}

/* ---- calls ---- */

/* What an exchange may hold beside its body: net's bound, with its default limits. */
enum { WORLD_EXCHANGE_BYTES_MAX = 2 * (8192 + 16384 + 101 * 16) + 65536 };

struct world_call {
    struct message_exchange exchange;
    struct budget budget; /* of the exchange's arena */
    struct arena body;
    struct world *world;
    pthread_cond_t answered; /* with the world's lock of answers, as the next two */
    bool is_answered;
    struct message_response response;
};

struct reply {
    int status;
    json_t *json; /* NULL if the body is no JSON */
    char *text;
    struct message_response response;
};

static inline void world_respond(struct message_exchange *exchange,
                                 struct message_response *response)
{
    struct world_call *call = exchange->transport;
    pthread_mutex_t *answers = &call->world->answers;
    pthread_mutex_lock(answers);
    WORLD_CHECK(!call->is_answered);
    call->response = *response;
    call->is_answered = true;
    pthread_cond_signal(&call->answered);
    pthread_mutex_unlock(answers);
}

static inline bool world_is_answered(struct world_call *call)
{
    pthread_mutex_lock(&call->world->answers);
    bool is_answered = call->is_answered;
    pthread_mutex_unlock(&call->world->answers);
    return is_answered;
}

/* The client goes away, once; as net tells it: on the loop's thread, and not after the answer. */
static inline void world_leave(struct world_call *call)
{
    struct message_exchange *exchange = &call->exchange;
    struct world *world = call->world;
    pthread_mutex_lock(&world->loop);
    pthread_mutex_lock(&world->answers);
    if (!call->is_answered && exchange->gone != NULL) {
        exchange->gone(exchange, exchange->gone_context);
    }
    pthread_mutex_unlock(&world->answers);
    pthread_mutex_unlock(&world->loop);
}

/* As net does it: on one thread, its loop's, for which a lock stands. */
static inline void world_send(struct world *world, struct world_call *call)
{
    struct message_exchange *exchange = &call->exchange;
    struct message_response response;
    exchange->respond = world_respond;
    exchange->transport = call;
    pthread_mutex_lock(&world->loop);
    if (service_accept(world->service, exchange, &response)) {
        service_handle(world->service, exchange);
    } else {
        exchange->respond(exchange, &response);
    }
    pthread_mutex_unlock(&world->loop);
}

/* target: path, or path?query. secret NULL: no API key. body NULL: none. `more` headers, with lower
 * case names, live as long as the call. */
static inline struct world_call *world_begin_with(struct world *world, const char *method,
                                                  const char *target, const char *secret,
                                                  struct bytes body, const char *content_type,
                                                  const struct message_header *more,
                                                  size_t more_count)
{
    struct world_call *call = HEAP_NEW(struct world_call);
    WORLD_CHECK(call != NULL);
    call->world = world;
    pthread_cond_init(&call->answered, NULL);
    struct message_exchange *exchange = &call->exchange;
    budget_init(&call->budget, NULL, WORLD_EXCHANGE_BYTES_MAX);
    arena_init(&exchange->arena, &call->budget);
    arena_init(&call->body, NULL);
    struct message_header *headers =
        ARENA_ARRAY(&exchange->arena, struct message_header, 2 + more_count);
    struct message_request *request = &exchange->request;
    size_t path_size = strcspn(target, "?");
    request->method = arena_strdup(&exchange->arena, method);
    request->path = arena_text(&exchange->arena, bytes_of(target, path_size));
    request->query =
        arena_strdup(&exchange->arena, target[path_size] == '?' ? target + path_size + 1 : "");
    request->headers = headers;
    if (secret != NULL) {
        headers[request->header_count++] =
            (struct message_header){"x-api-key", arena_strdup(&exchange->arena, secret)};
    }
    if (content_type != NULL) {
        headers[request->header_count++] = (struct message_header){"content-type", content_type};
    }
    for (size_t i = 0; i < more_count; i++) {
        headers[request->header_count++] = more[i];
    }
    request->body = arena_copy(&call->body, body);
    request->peer = "127.0.0.1";
    world_send(world, call);
    return call;
}

static inline struct world_call *world_begin(struct world *world, const char *method,
                                             const char *target, const char *secret,
                                             struct bytes body, const char *content_type)
{
    return world_begin_with(world, method, target, secret, body, content_type, NULL, 0);
}

static inline struct reply world_end(struct world_call *call)
{
    pthread_mutex_lock(&call->world->answers);
    while (!call->is_answered) {
        pthread_cond_wait(&call->answered, &call->world->answers);
    }
    pthread_mutex_unlock(&call->world->answers);
    struct err err;
    struct reply reply = {.status = call->response.status, .response = call->response};
    reply.text = heap_alloc(reply.response.body.size + 1);
    if (reply.response.body.size > 0) {
        memcpy(reply.text, reply.response.body.ptr, reply.response.body.size);
        if (!json_text_parse(reply.response.body, &reply.json, &err)) {
            reply.json = NULL; /* a text answer */
        }
    }
    arena_release(&call->exchange.arena);
    arena_release(&call->body);
    pthread_cond_destroy(&call->answered);
    heap_free(call);
    return reply;
}

static inline void reply_release(struct reply *reply)
{
    json_decref(reply->json);
    heap_free(reply->text);
    arena_release(&reply->response.arena);
    memset(reply, 0, sizeof(*reply));
}

static inline struct reply world_ask(struct world *world, const char *method, const char *target,
                                     const char *secret, const char *body)
{
    struct bytes bytes = body == NULL ? (struct bytes){NULL, 0} : bytes_of_string(body);
    return world_end(world_begin(world, method, target, secret, bytes,
                                 body == NULL ? NULL : "application/json"));
}

static inline const char *reply_text(const struct reply *reply, const char *member)
{
    const char *text = json_string_value(json_object_get(reply->json, member));
    return text == NULL ? "" : text;
}

static inline const char *reply_header(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->response.header_count; i++) {
        if (strcmp(reply->response.headers[i].name, name) == 0) {
            return reply->response.headers[i].value;
        }
    }
    return "";
}

/* What is signed and hashed has only one form. */
static inline bool world_is_canonical(struct bytes text)
{
    struct err err;
    struct buffer canonical;
    json_t *value = NULL;
    WORLD_CHECK(json_text_parse(text, &value, &err));
    buffer_init(&canonical, text.size + 1);
    bool is_same =
        json_canonical(value, &canonical, &err) && bytes_equal(buffer_bytes(&canonical), text);
    buffer_release(&canonical);
    json_decref(value);
    return is_same;
}

/* ---- the client ---- */

struct prepared {
    json_t *body;
    struct crypto_hpke hpke;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint8_t commitment[CRYPTO_SHA256_BYTES];
    char id[TEXT_UUID_CHARS + 1];
};

static inline size_t world_unbase64(const char *text, uint8_t *out)
{
    size_t size = 0;
    WORLD_CHECK(text != NULL && text_base64_decode(text, strlen(text), out, &size));
    return size;
}

static inline void world_set_base64(json_t *object, const char *name, struct bytes bytes)
{
    char *text = heap_alloc(text_base64_encoded_size(bytes.size) + 1);
    text_base64_encode(bytes, text);
    WORLD_CHECK(json_object_set_new(object, name, json_string(text)) == 0);
    heap_free(text);
}

static inline void client_seal(struct prepared *prepared, const uint8_t *header_hash,
                               const char *member, struct bytes plaintext, struct bytes *sealed)
{
    size_t size = plaintext.size + CRYPTO_AEAD_TAG_BYTES;
    uint8_t *out = heap_alloc(size);
    WORLD_CHECK(crypto_hpke_seal(&prepared->hpke, bytes_of(header_hash, CRYPTO_SHA256_BYTES),
                                 plaintext, out));
    *sealed = bytes_of(out, size);
    world_set_base64(prepared->body, member, *sealed);
}

/* A request to run `function`: arguments and extra members as JSON text (NULL: none); private:
 * the arguments go sealed. */
static inline void client_prepare(struct world *world, const char *secret, struct bytes wasm,
                                  const char *function, const char *arguments, const char *extra,
                                  bool private, struct prepared *out)
{
    struct reply key = world_ask(world, "POST", "/v1/keys", secret, NULL);
    if (key.status != 201) {
        fprintf(stderr, "%s\n", key.text);
    }
    WORLD_CHECK(key.status == 201);
    uint8_t point[128], salt[64], id[TEXT_UUID_BYTES], info[CRYPTO_REQUEST_INFO_BYTES];
    uint8_t header_hash[CRYPTO_SHA256_BYTES];
    WORLD_CHECK(world_unbase64(reply_text(&key, "public_key"), point) == CRYPTO_P256_POINT_BYTES);
    WORLD_CHECK(world_unbase64(reply_text(&key, "key_derivation_salt"), salt) == 32);
    (void)snprintf(out->id, sizeof(out->id), "%s", reply_text(&key, "request_id"));
    WORLD_CHECK(text_uuid_decode(out->id, strlen(out->id), id));
    crypto_request_info(id, salt, info);
    WORLD_CHECK(crypto_hpke_send(&out->hpke, point, bytes_of(info, sizeof(info)), NULL, out->enc));
    struct err err;
    out->body = json_pack("{s:s, s:s}", "request_id", out->id, "function_name", function);
    json_t *parsed = NULL;
    if (arguments != NULL && !private) {
        WORLD_CHECK(json_text_parse(bytes_of_string(arguments), &parsed, &err));
        (void)json_object_set_new(out->body, "arguments", parsed);
    }
    if (extra != NULL) {
        WORLD_CHECK(json_text_parse(bytes_of_string(extra), &parsed, &err));
        (void)json_object_update(out->body, parsed);
        json_decref(parsed);
    }
    WORLD_CHECK(crypto_request_header_hash(out->body, header_hash, &err));
    struct bytes sealed_wasm, sealed_arguments = {NULL, 0};
    client_seal(out, header_hash, "encrypted_wasm", wasm, &sealed_wasm);
    if (private) {
        client_seal(out, header_hash, "encrypted_arguments", bytes_of_string(arguments),
                    &sealed_arguments);
    }
    world_set_base64(out->body, "public_key", bytes_of(out->enc, sizeof(out->enc)));
    crypto_request_commitment(header_hash, sealed_wasm, sealed_arguments, out->enc,
                              out->commitment);
    char hash[2 * CRYPTO_SHA256_BYTES + 1];
    text_hex_encode(bytes_of(out->commitment, sizeof(out->commitment)), hash);
    (void)json_object_set_new(out->body, "request_hash", json_string(hash));
    heap_free((void *)(uintptr_t)sealed_wasm.ptr);
    heap_free((void *)(uintptr_t)sealed_arguments.ptr);
    reply_release(&key);
}

static inline struct world_call *client_begin(struct world *world, const char *secret,
                                              const struct prepared *prepared)
{
    char *text = json_dumps(prepared->body, JSON_COMPACT);
    struct world_call *call = world_begin(world, "POST", "/v1/execute", secret,
                                          bytes_of_string(text), "application/json");
    heap_free(text);
    return call;
}

static inline struct reply client_send(struct world *world, const char *secret,
                                       const struct prepared *prepared)
{
    return world_end(client_begin(world, secret, prepared));
}

/* The opened result; NULL if there is none or it does not open. Checks its commitment. */
static inline json_t *client_open(const struct prepared *prepared, const struct reply *reply)
{
    const char *text = reply_text(reply, "encrypted_result");
    size_t room = strlen(text) / 4 * 3 + 1;
    uint8_t *sealed = heap_alloc(room);
    uint8_t *plain = heap_alloc(room);
    json_t *result = NULL;
    struct err err;
    if (text[0] != 0) {
        size_t size = world_unbase64(text, sealed);
        WORLD_CHECK(size >= CRYPTO_RESPONSE_OVERHEAD_BYTES);
        if (crypto_response_open(&prepared->hpke, prepared->enc,
                                 bytes_of(prepared->commitment, CRYPTO_SHA256_BYTES),
                                 bytes_of(sealed, size), plain)) {
            struct bytes opened = bytes_of(plain, size - CRYPTO_RESPONSE_OVERHEAD_BYTES);
            uint8_t hash[CRYPTO_SHA256_BYTES];
            char hash_text[2 * CRYPTO_SHA256_BYTES + 1];
            crypto_sha256(opened, hash);
            text_hex_encode(bytes_of(hash, sizeof(hash)), hash_text);
            WORLD_CHECK(strcmp(hash_text, reply_text(reply, "result_commitment")) == 0);
            WORLD_CHECK(world_is_canonical(opened));
            WORLD_CHECK(json_text_parse(opened, &result, &err));
        }
    }
    heap_free(sealed);
    heap_free(plain);
    return result;
}

static inline void prepared_release(struct prepared *prepared)
{
    json_decref(prepared->body);
    crypto_hpke_release(&prepared->hpke);
}

#endif
