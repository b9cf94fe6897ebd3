/* session.c: the life of a session, and the table of those that live.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/session.h"

#include "base/json.h"
#include "service/internal.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum {
    TABLE_BUCKETS = 1024, /* a power of two */
    /* Beside its linear memory a run may need: the sealed and the opened program, the module made
     * of it, frames and tables. */
    SESSION_MODULE_FACTOR = 12,
    SESSION_OVERHEAD_BYTES = 32 * 1024 * 1024,
    NS_PER_MS = 1000000,
    RELEASE_BYTES_PER_STEP = 4 * 1024 * 1024,
};

/* ---- states ---- */

const char *session_state_name(enum session_state state)
{
    static const char *const names[] = {
        [SESSION_CREATED] = "CREATED",       [SESSION_KEY_GENERATED] = "KEY_GENERATED",
        [SESSION_DECRYPTING] = "DECRYPTING", [SESSION_EXECUTING] = "EXECUTING",
        [SESSION_COMPLETED] = "COMPLETED",   [SESSION_INVALID_WASM] = "INVALID_WASM",
        [SESSION_EXEC_ERROR] = "EXEC_ERROR", [SESSION_TIMEOUT] = "TIMEOUT",
        [SESSION_ERROR] = "ERROR",           [SESSION_CANCELLED] = "CANCELLED",
    };
    return names[state];
}

static bool state_may_follow(enum session_state from, enum session_state to)
{
    switch (from) {
    case SESSION_CREATED:
        return to == SESSION_KEY_GENERATED || to == SESSION_ERROR;
    case SESSION_KEY_GENERATED:
        return to == SESSION_DECRYPTING || to == SESSION_TIMEOUT || to == SESSION_CANCELLED ||
               to == SESSION_ERROR;
    case SESSION_DECRYPTING:
        return to > SESSION_DECRYPTING && to != SESSION_COMPLETED;
    case SESSION_EXECUTING:
        return to > SESSION_EXECUTING && to != SESSION_INVALID_WASM;
    case SESSION_COMPLETED:
    case SESSION_INVALID_WASM:
    case SESSION_EXEC_ERROR:
    case SESSION_TIMEOUT:
    case SESSION_ERROR:
    case SESSION_CANCELLED:
        return false;
    }
    return false;
}

/* The wall clock by the steps of the monotonic one, so that no time lies before created_ms. */
static int64_t session_now_ms(const struct session *session)
{
    uint64_t now_ns = clock_monotonic_ns(session->service->parts.clock);
    return session->created_ms + (int64_t)((now_ns - session->admitted_ns) / NS_PER_MS);
}

void session_enter(struct session *session, enum session_state state)
{
    bool may_follow = state_may_follow(session_state(session), state);
    assert(may_follow);
    (void)may_follow;
    atomic_store(&session->state, (int)state);
    if (state == SESSION_DECRYPTING) {
        atomic_store(&session->started_ms, session_now_ms(session));
    }
}

enum session_state session_state(const struct session *session)
{
    return (enum session_state)atomic_load(&session->state);
}

/* ---- life ---- */

struct session *session_new(struct service *service, const char *owner)
{
    struct session *session = HEAP_NEW(struct session);
    if (session == NULL) {
        return NULL;
    }
    const struct service_config *config = &service->config;
    session->service = service;
    list_init(&session->table_link);
    list_init(&session->waiters);
    assert(strlen(owner) < sizeof(session->owner));
    memcpy(session->owner, owner, strlen(owner) + 1);
    session->created_ms = clock_wall_ms(service->parts.clock);
    session->admitted_ns = clock_monotonic_ns(service->parts.clock);
    struct service_memory *memory = service->parts.memory;
    size_t limit = config->memory_max_bytes + SESSION_OVERHEAD_BYTES +
                   SESSION_MODULE_FACTOR * config->module_bytes_max;
    /* Who needs more than there is for all programs need not try again. */
    budget_init(&session->budget, &memory->programs,
                limit < memory->programs.limit ? limit : memory->programs.limit);
    arena_init(&session->arena, &memory->requests);
    arena_init(&session->program.arena, &session->budget);
    session->record.admit_index = UINT64_MAX;
    session->record.result_index = UINT64_MAX;
    return session;
}

void session_release_json(struct session *session)
{
    struct session_program *program = &session->program;
    json_parser_free(program->json);
    budget_release(&session->budget, program->json_charged);
    program->json = NULL;
    program->json_charged = 0;
}

void session_release_program(struct session *session)
{
    struct session_program *program = &session->program;
    vm_run_free(program->run);
    vm_store_free(program->store);
    vm_module_unref(program->module);
    vm_loader_free(program->loader);
    arena_release_wiped(&program->arena);
    crypto_opening_free(program->opening.opening);
    crypto_sha256_free(program->opening.hash);
    json_parser_free(program->opening.parser);
    budget_release(&session->budget, program->opening.charged);
    session_release_json(session);
    arena_release_wiped(&program->rest);
    memset(program, 0, sizeof(*program));
    crypto_p256_free(session->key.key);
    session->key.key = NULL;
    execute_request_release(&session->request);
}

bool session_release_some(struct session *session)
{
    struct session_program *program = &session->program;
    vm_run_free(program->run);
    program->run = NULL;
    if (program->store != NULL) {
        if (!vm_store_release_some(program->store, RELEASE_BYTES_PER_STEP)) {
            return false;
        }
        vm_store_free(program->store);
        program->store = NULL;
    }
    if (!arena_release_some(&program->rest, RELEASE_BYTES_PER_STEP)) {
        return false;
    }
    if (program->module != NULL) {
        vm_module_unref_to(program->module, &program->rest);
        program->module = NULL;
    }
    if (program->loader != NULL) {
        if (!vm_loader_release_some(program->loader, RELEASE_BYTES_PER_STEP)) {
            return false;
        }
        vm_loader_free(program->loader);
        program->loader = NULL;
    }
    return arena_release_some(&program->rest, RELEASE_BYTES_PER_STEP) &&
           arena_release_some(&program->arena, RELEASE_BYTES_PER_STEP) &&
           arena_release_some(&session->request.sealed, RELEASE_BYTES_PER_STEP);
}

void session_release_arena(struct session *session)
{
    arena_release_wiped(&session->arena);
    session->request.function_name = (struct bytes){NULL, 0};
    session->request.metadata = NULL;
    session->webhook_url = NULL;
}

void session_free(struct session *session)
{
    if (session == NULL) {
        return;
    }
    assert(list_is_empty(&session->waiters));
    idempotency_release(&session->claim);
    session_release_program(session);
    crypto_hpke_release(&session->hpke);
    request_key_release(&session->key);
    result_drop(session);
    heap_free(session->encrypted_result);
    heap_free(session->record.leaf);
    heap_free(session->record.tlog_proof);
    heap_free(session->answer);
    webhook_free(session->webhook);
    session_release_arena(session);
    budget_release(&session->service->parts.memory->answers, session->answer_charged);
    assert(budget_used(&session->budget) == 0);
    memory_wipe(session, sizeof(*session));
    heap_free(session);
}

/* ---- the table ---- */

struct session_table {
    pthread_mutex_t lock;
    struct list buckets[TABLE_BUCKETS];
};

struct session_table *session_table_new(void)
{
    struct session_table *table = HEAP_NEW(struct session_table);
    if (table == NULL) {
        return NULL;
    }
    pthread_mutex_init(&table->lock, NULL);
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        list_init(&table->buckets[i]);
    }
    return table;
}

void session_table_free(struct session_table *table)
{
    if (table == NULL) {
        return;
    }
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        assert(list_is_empty(&table->buckets[i]));
    }
    pthread_mutex_destroy(&table->lock);
    heap_free(table);
}

/* Ids are random and of our making, so their first bytes serve as hash. */
static struct list *table_bucket(struct session_table *table, const uint8_t *request_id)
{
    size_t hash = (size_t)request_id[0] << 8 | request_id[1];
    return &table->buckets[hash & (TABLE_BUCKETS - 1)];
}

void session_table_add(struct session_table *table, struct session *session)
{
    pthread_mutex_lock(&table->lock);
    list_push_back(table_bucket(table, session->request.request_id), &session->table_link);
    pthread_mutex_unlock(&table->lock);
}

/* Under the lock. */
static void session_wake_all(struct session *session)
{
    struct list *link;
    while ((link = list_pop_front(&session->waiters)) != NULL) {
        struct session_waiter *waiter = LIST_ENTRY(link, struct session_waiter, link);
        waiter->wake(waiter);
    }
}

void session_table_remove(struct session_table *table, struct session *session)
{
    pthread_mutex_lock(&table->lock);
    list_remove(&session->table_link);
    session_wake_all(session); /* an answer has woken them already, but not all end with one */
    pthread_mutex_unlock(&table->lock);
}

void session_table_admitted(struct session_table *table, struct session *session,
                            uint64_t admit_index)
{
    pthread_mutex_lock(&table->lock);
    session->record.admit_index = admit_index;
    pthread_mutex_unlock(&table->lock);
}

void session_table_publish(struct session_table *table, struct session *session,
                           enum session_state state, uint8_t *answer, size_t answer_size,
                           int answer_status)
{
    pthread_mutex_lock(&table->lock);
    session_enter(session, state);
    session->answer = answer;
    session->answer_size = answer_size;
    session->answer_status = answer_status;
    session->ended_ms = session_now_ms(session);
    session_wake_all(session);
    pthread_mutex_unlock(&table->lock);
}

/* Under the lock. */
static struct session *table_find(struct session_table *table, const uint8_t *request_id)
{
    struct list *bucket = table_bucket(table, request_id);
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct session *session = LIST_ENTRY(link, struct session, table_link);
        if (memcmp(session->request.request_id, request_id, TEXT_UUID_BYTES) == 0) {
            return session;
        }
    }
    return NULL;
}

bool session_table_with(struct session_table *table,
                        const uint8_t request_id[static TEXT_UUID_BYTES],
                        void (*visit)(void *context, struct session *session), void *context)
{
    pthread_mutex_lock(&table->lock);
    struct session *session = table_find(table, request_id);
    if (session != NULL) {
        visit(context, session);
    }
    pthread_mutex_unlock(&table->lock);
    return session != NULL;
}

bool session_table_wait(struct session_table *table,
                        const uint8_t request_id[static TEXT_UUID_BYTES],
                        struct session_waiter *waiter)
{
    pthread_mutex_lock(&table->lock);
    struct session *session = table_find(table, request_id);
    bool ok = session != NULL && session->ended_ms == 0 && !waiter->is_off;
    if (ok) {
        list_push_back(&session->waiters, &waiter->link);
    }
    pthread_mutex_unlock(&table->lock);
    return ok;
}

void session_table_call_off(struct session_table *table, struct session_waiter *waiter)
{
    pthread_mutex_lock(&table->lock);
    waiter->is_off = true;
    if (!list_is_empty(&waiter->link)) {
        list_remove(&waiter->link);
        waiter->wake(waiter);
    }
    pthread_mutex_unlock(&table->lock);
}

/* Under the lock. */
static void session_wake_overdue(struct session *session, uint64_t now_ns)
{
    struct list *next;
    for (struct list *link = session->waiters.next; link != &session->waiters; link = next) {
        struct session_waiter *waiter = LIST_ENTRY(link, struct session_waiter, link);
        next = link->next;
        if (waiter->deadline_ns <= now_ns) {
            list_remove(&waiter->link);
            waiter->wake(waiter);
        }
    }
}

void session_table_tick(struct session_table *table, uint64_t now_ns)
{
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        struct list *bucket = &table->buckets[i];
        for (struct list *link = bucket->next; link != bucket; link = link->next) {
            session_wake_overdue(LIST_ENTRY(link, struct session, table_link), now_ns);
        }
    }
    pthread_mutex_unlock(&table->lock);
}

uint64_t session_table_oldest_admit(struct session_table *table, uint64_t otherwise)
{
    uint64_t oldest = otherwise;
    pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < TABLE_BUCKETS; i++) {
        struct list *bucket = &table->buckets[i];
        for (struct list *link = bucket->next; link != bucket; link = link->next) {
            const struct session_record *record =
                &LIST_ENTRY(link, struct session, table_link)->record;
            uint64_t index =
                record->admit_index == UINT64_MAX ? record->admit_floor : record->admit_index;
            oldest = index < oldest ? index : oldest;
        }
    }
    pthread_mutex_unlock(&table->lock);
    return oldest;
}
