/* accept.c: what an execution that outlives its client has more than others: its rows are in the
 * store before it begins, so that whoever asks finds it after a crash, too; and an asynchronous one
 * is answered now.
 *
 *     ADMIT durable -> rows durable -> 202 -> ready queue
 *
 * If the store fails the execution goes on all the same: its ADMIT is in the log.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/log.h"

enum { NS_PER_S = 1000000000 };

/* ---- waiting for an answer ---- */

static void wait_job(void *context)
{
    struct api_call *call = context;
    call->resume(call);
}

static void wait_wake(struct session_waiter *waiter)
{
    struct api_call *call = LIST_ENTRY(waiter, struct api_call, waiter);
    call->job = (struct scheduler_job){.run = wait_job, .context = call};
    scheduler_post(call->service->scheduler, &call->job);
}

bool accept_wait(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                 void (*resume)(struct api_call *call))
{
    struct service *service = call->service;
    uint64_t seconds = call->preferences.wait_seconds;
    call->preferences.wait_seconds = 0; /* once */
    call->resume = resume;
    call->waiter.wake = wait_wake;
    call->waiter.deadline_ns = clock_monotonic_ns(service->parts.clock) + seconds * NS_PER_S;
    return seconds > 0 && session_table_wait(service->sessions, id, &call->waiter);
}

static void wait_gone_cb(struct message_exchange *exchange, void *context)
{
    (void)exchange;
    struct api_call *call = context;
    session_table_call_off(call->service->sessions, &call->waiter);
}

void accept_watch_wait(struct api_call *call)
{
    preferences_read(&call->exchange->request, &call->preferences);
    list_init(&call->waiter.link);
    call->exchange->gone_context = call;
    call->exchange->gone = wait_gone_cb;
}

/* ---- accepting ---- */

static void accept_respond(struct api_call *call)
{
    if (!accept_wait(call, call->request_id, accept_respond)) {
        executions_waited(call, call->request_id);
    }
}

/* From scheduler_add on the session may end, and be gone, at any time; who did not ask to wait is
 * told 202 all the same. */
static void accept_job(void *context)
{
    struct session *session = context;
    struct api_call *call = session->is_async ? session->call : NULL;
    if (call != NULL) {
        session->call = NULL;
    }
    scheduler_add(session->service->scheduler, &session->run);
    if (call == NULL) {
        return;
    }
    if (call->preferences.wait_seconds > 0) {
        accept_respond(call);
    } else {
        executions_accepted(call, call->request_id);
    }
}

static void accept_post(struct session *session)
{
    session->job = (struct scheduler_job){.run = accept_job, .context = session};
    scheduler_post(session->service->scheduler, &session->job);
}

static void accept_stored_cb(void *context, bool ok)
{
    struct session *session = context;
    if (!ok) {
        log_write(LOG_ERROR, "not_stored", session->request.request_id_text,
                  "the admission could not be stored; the log has it");
    }
    accept_post(session);
}

static bool accept_store(struct session *session, struct err *err)
{
    const struct service *service = session->service;
    struct store *store = service->parts.store;
    struct store_execution row = answer_store_row(session);
    bool has_claim = session->claim.table != NULL;
    if (!store_put_execution(store, &row, has_claim ? NULL : accept_stored_cb, session, err)) {
        return false;
    }
    struct store_idempotency record = session->claim.record;
    record.expires_ms = session->created_ms + (int64_t)service->config.result_retention_ms;
    return !has_claim ||
           store_put_idempotency(store, &record, service->config.idempotency_keys_per_api_key_max,
                                 accept_stored_cb, session, err);
}

void accept_session(struct session *session)
{
    struct err err;
    session->is_stored = true;
    idempotency_name(&session->claim, session->request.request_id);
    if (!accept_store(session, &err)) {
        log_write(LOG_ERROR, "not_stored", session->request.request_id_text, "%s", err.message);
        accept_post(session);
    }
}
