/* answer.c: the last part of an execution: the answer is built, sent, stored, and the session ends.
 *
 *     answer_finish: state, receipt, body -> published -> sent -> slot free -> stored -> freed
 *
 * Between sending and storing the table serves the answer, so that whoever asks for it right after
 * having received it finds it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ANSWER_EXTRA_BYTES = 3072, /* about what comes with the sealed result and the proof */
    ANSWER_BYTES_EXTRA_MAX = 256 * 1024,
    NS_PER_US = 1000,
};

/* ---- what is said in the clear ---- */

/* The clear part must tell nothing of a confidential program: one sentence per code. NULL: the
 * message does not come from the program, and may be said. */
static const char *clear_message(enum err_code code)
{
    switch ((int)code) {
    case ERR_INVALID_WASM:
        return "the program is not a valid WebAssembly module; encrypted_result has the details";
    case ERR_POLICY_VIOLATION:
        return "the program asks for imports, and programs may not import anything; "
               "encrypted_result has the details";
    case ERR_FUNCTION_NOT_FOUND:
        return "the program exports no function of that name";
    case ERR_INVALID_ARGUMENTS:
        return "the arguments do not fit the function; encrypted_result has the details";
    case ERR_EXECUTION_TRAP:
        return "the program trapped; encrypted_result has the details";
    case ERR_STACK_EXHAUSTED:
        return "the program has exhausted its call stack; encrypted_result has the details";
    case ERR_MEMORY_EXCEEDED:
        return "the program needs more memory than it may have; encrypted_result has the details";
    default:
        return NULL;
    }
}

static enum session_state final_state(const struct session *session)
{
    switch ((int)session->outcome.err.code) {
    case ERR_NONE:
        return SESSION_COMPLETED;
    case ERR_INVALID_WASM:
    case ERR_POLICY_VIOLATION:
        return SESSION_INVALID_WASM;
    case ERR_EXECUTION_TIMEOUT:
        return SESSION_TIMEOUT;
    case ERR_CANCELLED:
        return SESSION_CANCELLED;
    case ERR_FUNCTION_NOT_FOUND:
    case ERR_INVALID_ARGUMENTS:
    case ERR_EXECUTION_TRAP:
    case ERR_GAS_EXHAUSTED:
    case ERR_MEMORY_EXCEEDED:
    case ERR_STACK_EXHAUSTED:
        return SESSION_EXEC_ERROR;
    default:
        return SESSION_ERROR;
    }
}

/* ---- the body ---- */

static void put_commitment(const struct session *session, struct buffer *out)
{
    const struct session_record *record = &session->record;
    const char *origin = audit_log_origin(session->service->parts.log);
    char record_id[AUDIT_ORIGIN_CHARS_MAX + 24];
    (void)snprintf(record_id, sizeof(record_id), "%s/%" PRIu64, origin, record->result_index);
    json_put_name(out, "commitment");
    json_put_open(out);
    json_put_string(out, "record_id", record_id);
    json_put_string(out, "log_origin", origin);
    json_put_integer(out, "admit_index", (int64_t)record->admit_index);
    json_put_integer(out, "leaf_index", (int64_t)record->result_index);
    json_put_string(out, "leaf", record->leaf);
    json_put_string(out, "tlog_proof", record->tlog_proof);
    json_put_hex(out, "leaf_hash", bytes_of(record->leaf_hash, AUDIT_HASH_BYTES));
    json_put_close(out);
}

/* What both forms of the answer carry. */
static bool put_proof(const struct session *session, struct buffer *out)
{
    json_put_name(out, "execution_summary");
    result_summary(session, out);
    json_put_hex(out, "request_commitment",
                 bytes_of(session->request.commitment, CRYPTO_SHA256_BYTES));
    json_put_hex(out, "result_commitment",
                 bytes_of(session->result_commitment, CRYPTO_SHA256_BYTES));
    if (session->encrypted_result != NULL) {
        json_put_string(out, "encrypted_result", session->encrypted_result);
    }
    put_commitment(session, out);
    json_put_name(out, "receipt");
    return receipt_sign(session, out);
}

static bool put_problem(const struct session *session, const struct err *err, struct buffer *out)
{
    struct err ignored;
    json_t *problem =
        problem_json(err, 0, session->request.request_id_text, session->service->parts.clock);
    bool ok = problem != NULL && json_write(problem, out, &ignored);
    json_decref(problem);
    return ok;
}

/* The whole body; what cannot be committed must not be said, so that is INTERNAL. */
static bool answer_body(const struct session *session, int *status, struct buffer *out)
{
    struct err err = session->outcome.err;
    if (!session->record.is_committed) {
        (void)err_set(&err, ERR_INTERNAL, "the result could not be committed to the audit log");
        *status = err_code_http_status(err.code);
        return put_problem(session, &err, out);
    }
    size_t sealed_size = session->encrypted_result == NULL ? 0 : strlen(session->encrypted_result);
    buffer_expect(out, sealed_size + strlen(session->record.tlog_proof) + ANSWER_EXTRA_BYTES);
    if (err.code != ERR_NONE && clear_message(err.code) != NULL) {
        (void)err_set(&err, err.code, "%s", clear_message(err.code));
    }
    *status = err.code == ERR_NONE ? 200 : err_code_http_status(err.code);
    if (err.code == ERR_NONE) {
        json_put_open(out);
        json_put_string(out, "request_id", session->request.request_id_text);
    } else if (put_problem(session, &err, out)) {
        out->size--; /* the brace: there is more to say */
    } else {
        return false;
    }
    bool ok = put_proof(session, out);
    json_put_close(out);
    return ok && !out->failed;
}

/* NULL: no memory for it. */
static uint8_t *answer_text(const struct session *session, int *status, size_t *size)
{
    struct buffer out;
    buffer_init(&out, 2 * session->service->config.result_bytes_max + ANSWER_BYTES_EXTRA_MAX);
    bool ok = answer_body(session, status, &out);
    uint8_t *text = ok ? buffer_detach(&out, size) : NULL;
    buffer_release(&out);
    return text;
}

/* ---- memory ---- */

bool answer_reserve(struct session *session)
{
    size_t bytes = buffers_result_bytes(session) * ANSWER_FACTOR;
    if (bytes <= (size_t)ANSWER_FREE_BYTES * ANSWER_FACTOR || session->answer_charged > 0) {
        return true;
    }
    if (!budget_charge(&session->service->parts.memory->answers, bytes)) {
        return false;
    }
    session->answer_charged = bytes;
    return true;
}

/* What remains is the answer and the store's copy of it. */
static void answer_settle(struct session *session)
{
    size_t bytes = 2 * session->answer_size;
    if (session->answer_charged > bytes) {
        budget_release(&session->service->parts.memory->answers, session->answer_charged - bytes);
        session->answer_charged = bytes;
    }
}

/* ---- sending ---- */

/* `session`, of an answer that is said for the first time, has its memory charged already. */
static void send_text(struct api_call *call, int status, struct bytes text, struct session *session)
{
    struct message_response response;
    struct budget *answers = &call->service->parts.memory->answers;
    message_response_init(&response, status);
    if (session == NULL && text.size > ANSWER_FREE_BYTES) {
        arena_init(&response.arena, answers);
    }
    if (status == err_code_http_status(ERR_OVERLOADED)) {
        problem_retry_after(&response, ERR_OVERLOADED, atomic_load(&call->service->queue_wait_s));
    }
    if (call->is_replay) {
        message_response_header(&response, "Idempotent-Replayed", "true");
    }
    message_response_header(&response, "Cache-Control", "no-store");
    const char *type = status == 200 ? "application/json" : "application/problem+json";
    if (!message_response_body(&response, type, text)) {
        arena_release(&response.arena);
        api_answer_no_memory(call);
        return;
    }
    if (call->is_replay) {
        metric_add(call->service->metrics.replayed, 1);
    }
    if (session != NULL) {
        arena_take_charge(&response.arena, answers, &session->answer_charged);
    }
    api_answer(call, &response);
}

void answer_send_again(struct api_call *call, int status, struct bytes text)
{
    send_text(call, status, text, NULL);
}

/* Nobody may be waiting for it. */
static void send_answer(struct session *session, struct bytes text, int status)
{
    struct api_call *call = session->call;
    session->call = NULL;
    if (call != NULL) {
        send_text(call, status, text, session);
    }
}

static void count_outcome(const struct session *session, enum err_code code)
{
    struct metrics *metrics = &session->service->metrics;
    const struct session_outcome *outcome = &session->outcome;
    metric_add(&metrics->executions[metric_code(code)], 1);
    metric_add(metrics->gas, outcome->gas_consumed);
    histogram_add(metrics->execution_wait, outcome->queue_ns);
    histogram_add(metrics->execution_run, outcome->execution_ns);
    histogram_add(metrics->execution_duration, outcome->queue_ns + outcome->execution_ns);
}

static void log_outcome(const struct session *session, enum err_code code)
{
    const struct session_outcome *outcome = &session->outcome;
    const struct session_record *record = &session->record;
    struct log_field leaf = {.name = "leaf_index", .kind = LOG_TEXT}; /* left out */
    if (record->is_committed) {
        leaf = log_number("leaf_index", record->result_index);
    }
    log_event(code == ERR_INTERNAL ? LOG_ERROR : LOG_INFO, "execution",
              LOG_FIELDS(log_text("request_id", session->request.request_id_text),
                         log_text("outcome", code == ERR_NONE ? "SUCCESS" : err_code_name(code)),
                         log_text("api_key", session->owner[0] != 0 ? session->owner : NULL),
                         log_number("gas", outcome->gas_consumed),
                         log_number("memory_bytes", outcome->memory_used_bytes),
                         log_number("run_us", outcome->execution_ns / NS_PER_US),
                         log_number("wait_us", outcome->queue_ns / NS_PER_US), leaf,
                         TRACE_LOG_FIELDS(&session->trace),
                         log_text("metadata", session->request.metadata)),
              "an execution ended");
}

/* ---- storing ---- */

struct store_execution answer_store_row(const struct session *session)
{
    struct store_execution row = {
        .admit_index = session->record.admit_index,
        .result_index = UINT64_MAX,
        .created_ms = session->created_ms,
        .started_ms = atomic_load(&session->started_ms),
    };
    memcpy(row.request_id, session->request.request_id, sizeof(row.request_id));
    memcpy(row.api_key_id, session->owner, sizeof(row.api_key_id));
    memcpy(row.request_commitment, session->request.commitment, sizeof(row.request_commitment));
    const char *state = session_state_name(session_state(session));
    memcpy(row.state, state, strlen(state) + 1);
    return row;
}

void answer_store_admitted(struct session *session)
{
    struct err err;
    struct store_execution row = answer_store_row(session);
    if (!store_put_execution(session->service->parts.store, &row, NULL, NULL, &err)) {
        log_write(LOG_WARN, "not_stored", session->request.request_id_text, "%s", err.message);
    }
}

static void session_end(struct session *session)
{
    struct service *service = session->service;
    struct scheduler_tenant *tenant = session->run.tenant;
    session_table_remove(service->sessions, session);
    session_free(session);
    atomic_fetch_add_explicit(&service->ended, 1, memory_order_relaxed);
    scheduler_unreserve(service->scheduler, tenant);
}

static void stored_cb(void *context, bool ok)
{
    struct session *session = context;
    if (!ok) {
        atomic_store(&session->service->store_is_behind, true);
        log_write(LOG_ERROR, "not_stored", session->request.request_id_text,
                  "the answer could not be stored; the log has its commitment");
    }
    if (ok) {
        webhook_send(session);
    }
    session_end(session);
}

/* The session's end comes from the store's writer, or at once if that takes nothing any more. */
static void store_answer(struct session *session)
{
    struct err err;
    struct store_execution row = answer_store_row(session);
    row.result_index = session->record.result_index;
    memcpy(row.result_commitment, session->result_commitment, sizeof(row.result_commitment));
    row.expires_ms = session->created_ms + (int64_t)session->service->config.result_retention_ms;
    row.answer = bytes_of(session->answer, session->answer_size);
    row.answer_status = session->answer_status;
    row.ended_ms = session->ended_ms;
    if (!store_put_execution(session->service->parts.store, &row, stored_cb, session, &err)) {
        atomic_store(&session->service->store_is_behind, true);
        log_write(LOG_ERROR, "not_stored", session->request.request_id_text, "%s", err.message);
        session_end(session);
    }
}

/* ---- the end ---- */

void answer_finish(struct session *session)
{
    struct service *service = session->service;
    int status = 0;
    size_t size = 0;
    uint8_t *text = answer_text(session, &status, &size);
    if (text == NULL) {
        struct err err;
        struct buffer problem;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the answer");
        problem_publish(&err, session->request.request_id_text);
        buffer_init(&problem, ANSWER_BYTES_EXTRA_MAX);
        text = put_problem(session, &err, &problem) ? buffer_detach(&problem, &size) : NULL;
        buffer_release(&problem);
        status = 500;
    }
    enum err_code code = status == 500 ? ERR_INTERNAL : session->outcome.err.code;
    enum session_state state = status == 500 ? SESSION_ERROR : final_state(session);
    struct bytes answer = bytes_of(text, size);
    session_table_publish(service->sessions, session, state, text, size, status);
    count_outcome(session, code);
    log_outcome(session, code);
    send_answer(session, answer, status);
    webhook_make(session);
    heap_free(session->encrypted_result);
    session->encrypted_result = NULL;
    answer_settle(session);
    session_release_arena(session);
    scheduler_leave(service->scheduler, &session->run);
    store_answer(session);
}

void answer_unadmitted(struct session *session, const struct err *err)
{
    struct api_call *call = session->call;
    session->call = NULL;
    if (call != NULL) {
        api_answer_err(call, err, session->request.request_id_text);
    }
    session_end(session);
}
