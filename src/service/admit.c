/* admit.c: POST /v1/execute up to the moment when the log has to answer.
 *
 *     first time? -> parse and check -> key known? -> room? -> key taken -> ADMIT submitted
 *
 * A request that is refused on the way leaves its key as it was, so that the client may try again
 * with it; from ADMIT on the key is used.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <string.h>

enum { NS_PER_S = 1000000000, PARSE_FREE_BYTES = 16384 };

/* ---- a client that goes away ---- */

static void admit_cancel_visit(void *context, struct session *session)
{
    struct service *service = context;
    scheduler_stop(service->scheduler, &session->run, SCHEDULER_CANCEL);
}

/* On the loop's thread, at any time before the answer; what it needs lives as long as the
 * exchange. */
static void admit_gone_cb(struct message_exchange *exchange, void *context)
{
    (void)exchange;
    struct api_call *call = context;
    struct service *service = call->service;
    if (call->outlives_client) {
        session_table_call_off(service->sessions, &call->waiter);
        return;
    }
    pthread_mutex_lock(&service->gone_lock);
    call->is_gone = true;
    bool has_session = call->has_session;
    pthread_mutex_unlock(&service->gone_lock);
    if (has_session) {
        (void)session_table_with(service->sessions, call->request_id, admit_cancel_visit, service);
    }
}

static void admit_link_call(struct session *session)
{
    struct service *service = session->service;
    struct api_call *call = session->call;
    pthread_mutex_lock(&service->gone_lock);
    memcpy(call->request_id, session->request.request_id, sizeof(call->request_id));
    call->has_session = true;
    bool is_gone = call->is_gone;
    pthread_mutex_unlock(&service->gone_lock);
    if (is_gone) {
        scheduler_stop(service->scheduler, &session->run, SCHEDULER_CANCEL);
    }
}

/* ---- admission ---- */

static bool admit_submit(struct session *session, struct err *err)
{
    struct service *service = session->service;
    session->run.step = execute_step;
    session->run.deadline_ns =
        session->admitted_ns + (uint64_t)session->request.timeout_seconds * NS_PER_S;
    session_enter(session, SESSION_KEY_GENERATED);
    session->record.admit_floor = audit_log_size(service->parts.log);
    session_table_add(service->sessions, session);
    admit_link_call(session);
    if (commit_admit(session, err)) {
        return true; /* the session is the log's now */
    }
    session_table_remove(service->sessions, session);
    request_keys_return(service->keys, &session->key);
    return false;
}

static bool admit_session(struct session *session, struct err *err)
{
    struct service *service = session->service;
    const uint8_t *id = session->request.request_id;
    if (!request_keys_peek(service->keys, id, session->owner, NULL, err) ||
        !scheduler_reserve(service->scheduler, session->owner, &session->run.tenant, err)) {
        return false;
    }
    if (!request_keys_take(service->keys, id, session->owner, &session->key, err) ||
        !admit_submit(session, err)) {
        scheduler_unreserve(service->scheduler, session->run.tenant);
        return false;
    }
    return true;
}

/* ---- the body, piece by piece ---- */

enum { ADMIT_BYTES_PER_STEP = 131072 };

struct admission { /* lives in the exchange's arena */
    struct api_call *call;
    struct session *session;
    struct execute_intake *intake;
    size_t charged; /* to the share of requests, for what parsing makes */
};

static void admit_refuse(struct admission *admission, struct err *err)
{
    struct session *session = admission->session;
    if (err->code == ERR_NO_MEMORY) {
        (void)err_set(err, ERR_OVERLOADED, "this node has no memory left for the request");
    }
    char id[TEXT_UUID_CHARS + 1] = "";
    if (session != NULL) {
        memcpy(id, session->request.request_id_text, sizeof(id));
    }
    session_free(session);
    api_answer_err(admission->call, err, id[0] != 0 ? id : NULL);
}

/* What parsing makes of a large body is charged, too; a small one's is not worth it. */
static bool admit_charge(struct admission *admission)
{
    struct budget *requests = &admission->call->service->parts.memory->requests;
    size_t size = admission->call->exchange->request.body.size;
    size_t copied = size < JSON_COPIED_BYTES_MAX ? size : JSON_COPIED_BYTES_MAX;
    size_t parsing = size > PARSE_FREE_BYTES ? json_parse_memory_max(copied) : 0;
    if (!budget_charge(requests, parsing)) {
        return false;
    }
    admission->charged = parsing;
    return true;
}

/* The body has served. */
static void admit_end_reading(struct admission *admission)
{
    struct message_exchange *exchange = admission->call->exchange;
    execute_intake_free(admission->intake);
    admission->intake = NULL;
    budget_release(&admission->call->service->parts.memory->requests, admission->charged);
    if (exchange->drop_body != NULL) {
        exchange->drop_body(exchange);
    }
}

static bool admit_is_gone(struct api_call *call)
{
    pthread_mutex_lock(&call->service->gone_lock);
    bool is_gone = call->is_gone;
    pthread_mutex_unlock(&call->service->gone_lock);
    return is_gone;
}

/* Reads a piece, and comes again in another job if that was not all. */
static void admit_read(void *context)
{
    struct admission *admission = context;
    struct api_call *call = admission->call;
    bool is_done = false;
    struct err err;
    size_t read = 0;
    bool ok = true;
    for (; ok && !is_done && read < ADMIT_BYTES_PER_STEP; read += ADMIT_BYTES_PER_STEP / 4) {
        ok = execute_intake_step(admission->intake, ADMIT_BYTES_PER_STEP / 4, &is_done, &err);
    }
    ok = ok &&
         (is_done || !admit_is_gone(call) || err_set(&err, ERR_CANCELLED, "the client went away"));
    if (ok && !is_done) {
        call->job = (struct scheduler_job){.run = admit_read, .context = admission};
        scheduler_post(call->service->scheduler, &call->job);
        return;
    }
    admit_end_reading(admission);
    if (ok && admit_session(admission->session, &err)) {
        return; /* the session is the log's now, and soon there may be no exchange */
    }
    admit_refuse(admission, &err);
}

/* What comes before the body is read. *is_answered: the call is, from an earlier request. */
static bool admit_begin(struct admission *admission, bool *is_answered, struct err *err)
{
    struct api_call *call = admission->call;
    struct session *session = session_new(call->service, call->identity.key_id);
    if (session == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a session");
    }
    admission->session = session;
    session->call = call;
    session->trace = call->trace;
    session->is_async = call->preferences.respond_async;
    session->run.is_patient = session->is_async;
    session->outlives_client = call->outlives_client;
    if (!webhook_admit(session, err) || !idempotency_admit(session, is_answered, err)) {
        return false;
    }
    if (*is_answered) {
        session_free(session); /* there may be no exchange any more */
        return true;
    }
    if (!admit_charge(admission)) {
        return err_set(err, ERR_NO_MEMORY, "no memory to parse the body");
    }
    admission->intake = execute_intake_new(call->exchange->request.body, &call->service->config,
                                           &session->arena, &session->request);
    return admission->intake != NULL || err_set(err, ERR_NO_MEMORY, "no memory to parse the body");
}

void admit_execute(struct api_call *call)
{
    struct err err;
    struct admission none = {.call = call};
    struct admission *admission = ARENA_NEW(&call->exchange->arena, struct admission);
    if (admission == NULL) {
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for a request");
        admit_refuse(&none, &err);
        return;
    }
    bool is_answered = false;
    *admission = none;
    if (!admit_begin(admission, &is_answered, &err)) {
        admit_end_reading(admission);
        admit_refuse(admission, &err);
    } else if (!is_answered) {
        admit_read(admission);
    }
}

void admit_watch_client(struct api_call *call)
{
    const struct message_request *request = &call->exchange->request;
    preferences_read(request, &call->preferences);
    call->needs_disk = message_request_header(request, "idempotency-key") != NULL;
    call->outlives_client = call->preferences.respond_async || call->needs_disk;
    list_init(&call->waiter.link);
    call->exchange->gone_context = call;
    call->exchange->gone = admit_gone_cb;
}
