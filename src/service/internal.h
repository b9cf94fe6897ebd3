/* internal.h: the service as its own files see it: the parts, the calls under way, and the steps of
 * an execution by the file that holds them. Private to service.
 *
 *     api.c -> admit.c -> commit.c (ADMIT) -> execute.c -> result.c -> commit.c (RESULT) ->
 * answer.c
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_INTERNAL_H
#define SERVICE_INTERNAL_H

#include "service/auth.h"
#include "service/batches.h"
#include "service/door.h"
#include "service/metrics.h"
#include "service/module_cache.h"
#include "service/prefer.h"
#include "service/problem.h"
#include "service/session.h"
#include "service/trace.h"
#include "service/witnesses.h"

#include <pthread.h>

struct service {
    struct service_config config;
    struct service_parts parts;
    struct auth *auth;
    struct door *door;
    struct request_keys *keys;
    struct attester *attester;
    struct epochs *epochs;
    struct batches *batches;
    struct scheduler *scheduler;
    struct session_table *sessions;
    struct idempotency *idempotency;
    struct module_cache *modules;
    struct metrics metrics;
    char *openapi; /* openapi_text, made once */
    uint64_t started_ns;
    uint64_t ended_count, ended_per_4s; /* of executions; the tick's */
    _Atomic uint32_t queue_wait_s;      /* how long the queue takes, as far as is known */
    _Atomic bool is_draining;
    _Atomic bool log_is_dead;
    _Atomic bool store_is_behind; /* a row is missing: the next start reads it from the log */
    pthread_mutex_t gone_lock;    /* of api_call.is_gone and has_session */
    struct scheduler_job tick_job;
    _Atomic bool tick_is_running;
    uint64_t marked_ns; /* when the store's index was last marked; the tick job's */
    uint64_t expired_ns;
    struct {
        uint64_t logged_ns; /* when it was last looked whether there were any; the tick job's */
        int64_t since_ms;   /* the next entry counts from here on */
        uint64_t counts[AUTH_FAILURE_KINDS]; /* that are in the log */
    } failures;
    _Atomic uint32_t webhooks_pending;
    _Atomic uint64_t ended; /* executions, so far */
    uint64_t ended_at_tick; /* the tick job's, as the next */
    bool is_trimmed;
};

struct route;

struct api_call { /* one request; lives in the exchange's arena */
    struct service *service;
    struct message_exchange *exchange;
    const struct route *route; /* NULL: OPTIONS, or none */
    uint64_t started_ns;       /* when the whole request was there; 0: it never was */
    struct identity identity;
    struct door_receipt receipt;
    struct trace trace;
    const char *parameter; /* what stands for {id} or {+tile}; NULL if the route has none */
    struct scheduler_job job;
    struct preferences preferences;
    bool outlives_client; /* what is admitted goes on without it */
    bool is_replay;       /* answered as a request with its Idempotency-Key was before */
    bool needs_disk;      /* it must not be handled on the loop's thread */
    struct session_waiter waiter;
    struct batch_waiter *batch;            /* of a fresh proof; NULL: none, or no memory */
    void (*resume)(struct api_call *call); /* what goes on when waiting is over */
    bool is_gone;
    bool has_session;
    uint8_t request_id[TEXT_UUID_BYTES];
};

/* ---- api.c ---- */

struct route {
    const char *method;
    const char *path; /* without /v1; may end in "{id}", or in "{+tile}", which takes '/' too */
    uint32_t scope;   /* of enum store_scope; 0: public */
    bool takes_json;  /* the body, if there is one, must be application/json */
    size_t inline_bytes_max; /* a shorter body is handled on the loop's thread; 0: never */
    void (*watch)(struct api_call *call); /* on the loop's thread, before handle; may be NULL */
    void (*handle)(struct api_call *call);
    const char *summary;
    const char *const *headers; /* of the request, that it heeds, for its description; or NULL */
};

extern const struct route api_routes[];
extern const size_t api_route_count;

/* Each answers the call: it must not be touched afterwards. */
void api_answer_json(struct api_call *call, int status, json_t *body); /* body is stolen */
void api_answer_text(struct api_call *call, int status, const char *content_type,
                     struct bytes body);
/* 200, with what caches may do. */
void api_answer_cached(struct api_call *call, const char *content_type, const char *cache_control,
                       struct bytes body);
void api_answer_err(struct api_call *call, const struct err *err, const char *request_id);
/* The same with another HTTP status than the code's. */
void api_answer_err_as(struct api_call *call, const struct err *err, int status);
/* OVERLOADED, for want of memory for the answer that was due. */
void api_answer_no_memory(struct api_call *call);
void api_answer(struct api_call *call, struct message_response *response);

/* ---- the endpoints, by file ---- */

void keys_create(struct api_call *call);
/* From here on a client that goes away cancels its execution. */
void admit_watch_client(struct api_call *call);
void admit_execute(struct api_call *call);
void executions_show(struct api_call *call);
/* 202 with the state of an execution. */
void executions_accepted(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES]);
/* After a wait for it: its answer if that is there, else 202. */
void executions_waited(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES]);
/* Answers a request that has come again as the first, `id`, was answered. False: there is nothing
 * to say it with, the call is not answered (IDEMPOTENCY_IN_FLIGHT, KEY_ALREADY_USED). */
bool executions_replay(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                       struct err *err) MUST_CHECK;
void executions_cancel(struct api_call *call);
void verify_show(struct api_call *call);
void log_read_checkpoint(struct api_call *call);
void log_read_tile(struct api_call *call);
void log_read_witnessed(struct api_call *call);
void witness_add(struct api_call *call);
void witness_show(struct api_call *call);
void health_show(struct api_call *call);
void health_live(struct api_call *call);
void health_ready(struct api_call *call);
void health_root(struct api_call *call);
void health_attestation(struct api_call *call);
void health_openapi(struct api_call *call);
void metrics_show(struct api_call *call);

/* ---- openapi.c ---- */

/* What GET /openapi.json answers; the caller frees it. NULL: no memory. */
char *openapi_text(void);

/* ---- what several endpoints say and take ---- */

/* service.c: DRAINING. Always returns false. */
bool service_refuse_draining(struct err *err);

/* nonce.c: of what an epoch's key signs; a report takes no short ones. */
enum { NONCE_BYTES_MIN = 8, NONCE_BYTES_MAX = 64 };
struct nonce {
    const char *text; /* as it was sent, in the exchange's arena like the bytes; NULL: none was */
    struct bytes bytes;
};
/* The one thing that the body, if there is one, may hold. MALFORMED_REQUEST, INVALID_ARGUMENTS,
 * NO_MEMORY. */
bool nonce_of_body(struct api_call *call, size_t bytes_min, struct nonce *out,
                   struct err *err) MUST_CHECK;
/* *text: NULL if there is none. INVALID_ARGUMENTS. */
bool nonce_of_query(struct api_call *call, const char **text, struct err *err) MUST_CHECK;

/* ---- the steps of an execution ---- */

enum {
    ANSWER_FREE_BYTES = 16384, /* no account is kept of smaller ones; connections bound them */
    /* What a result takes while its answer is made: texts and copies, some in buffers that double.
     */
    ANSWER_FACTOR = 12,
};

/* memory.c: makes what one program and one result may have no more than the shares allow: who waits
 * for memory must be able to get it. */
void service_memory_fit(const struct service_memory *memory, struct service_config *config);
/* What clients cause at the moment, without the module cache. */
size_t service_memory_used(const struct service *service);

/* idempotency.c: claims the request's Idempotency-Key, if it has one, for session->claim. A repeat
 * is answered (*is_answered: session->call is gone) or refused. */
bool idempotency_admit(struct session *session, bool *is_answered, struct err *err) MUST_CHECK;

/* accept.c: an admitted session that outlives its client is stored, then it goes its way. */
void accept_session(struct session *session);
/* Reads what the client prefers, and notices when it goes away while it waits. */
void accept_watch_wait(struct api_call *call);
/* Waits for the end of that execution as long as the client prefers, then resumes the call. False:
 * there is nothing to wait for. True: the call is not the caller's any more. */
bool accept_wait(struct api_call *call, const uint8_t id[static TEXT_UUID_BYTES],
                 void (*resume)(struct api_call *call)) MUST_CHECK;

/* policy.c: what a program may be and use. */
struct vm_limits policy_limits(const struct session *session);
/* POLICY_VIOLATION naming the first import. */
bool policy_check(const struct vm_module *module, struct err *err) MUST_CHECK;
/* Turns the engine's MEMORY_EXCEEDED (a limit of the program's) and NO_MEMORY (a charge refused, or
 * the system) into what the client is told: MEMORY_EXCEEDED if the program's own limit or budget is
 * to blame, OVERLOADED if what it shares with others is. Always returns false. */
bool policy_memory_error(const struct session *session, struct err *err);

/* execute.c: the step of a session's scheduler_run. */
enum scheduler_verdict execute_step(struct scheduler_run *run, struct scheduler_slice *slice);

/* buffers.c: arguments and results that lie in the program's memory. */
/* Is the result type possible for a function of that type? INVALID_ARGUMENTS. */
bool buffers_check_result(const struct session *session, const struct vm_func_type *type,
                          struct err *err) MUST_CHECK;
/* Begins the allocator's call for program.buffer. */
bool buffers_begin_allocate(struct session *session, struct err *err) MUST_CHECK;
/* After it has returned: copies about so many bytes; *is_done when they are there. */
bool buffers_copy(struct session *session, size_t bytes, bool *is_done, struct err *err) MUST_CHECK;
/* The size of the finished call's result, if it is a buffer that may be one; else 0. */
size_t buffers_result_bytes(const struct session *session);
/* The results of the finished call as outputs, canonical, in pieces: *is_done when all are there.
 * After a failure there are none. */
bool buffers_outputs(struct session *session, bool *is_done, struct err *err) MUST_CHECK;

enum { RESULT_MEMBERS_BYTES_MAX = 8192 }; /* of the document, beside result_bytes_max */

/* result.c: the plaintext result, its commitment, its sealed form, in pieces. INTERNAL errors only,
 * after which, as after drop, it begins anew. */
bool result_seal(struct session *session, bool *is_done, struct err *err) MUST_CHECK;
/* The outputs, too. */
void result_drop(struct session *session);
/* "success", "timeout", "resource_exhausted", "cancelled", "error". */
const char *result_status(const struct session *session);
/* Appends the summary, canonical. */
void result_summary(const struct session *session, struct buffer *out);

/* commit.c: the two leaves. Afterwards the session is the log's until its callback. */
bool commit_admit(struct session *session, struct err *err) MUST_CHECK;
void commit_result(struct session *session);

/* receipt.c: appends the signed receipt of a committed session. False: no memory. */
bool receipt_sign(const struct session *session, struct buffer *out) MUST_CHECK;

/* webhook.c: a receiver that is told when an asynchronous execution has ended. */
/* Reads the request's Webhook-Url, if it has one. MALFORMED_REQUEST, NO_MEMORY. */
bool webhook_admit(struct session *session, struct err *err) MUST_CHECK;
/* Makes the message of a session that has ended and is still whole, for session->webhook. */
void webhook_make(struct session *session);
/* The answer is stored: sends it. Afterwards it is not the session's any more. */
void webhook_send(struct session *session);
void webhook_free(struct webhook *webhook);

/* answer.c: says the outcome, stores it, ends the session. */
void answer_finish(struct session *session);
/* Charges what a large result will take until it is stored and sent; false: not now. Again after it
 * was charged is fine. */
bool answer_reserve(struct session *session) MUST_CHECK;
/* The same for a session whose ADMIT did not come to be. */
void answer_unadmitted(struct session *session, const struct err *err);
/* The session's row as far as it has come, without an answer. */
struct store_execution answer_store_row(const struct session *session);
/* Says a stored or published answer as it was said first. */
void answer_send_again(struct api_call *call, int status, struct bytes text);
/* Puts the session's row, without an answer, into the store. */
void answer_store_admitted(struct session *session);

/* failures.c: from here on they are counted. */
void failures_begin(struct service *service);
/* Writes an AUTH_FAILURES entry if API keys were refused since the last one. Without an entry they
 * are in the next one. */
void failures_log(struct service *service);

/* rebuild.c: brings the store's index up to the log. */
bool rebuild_index(struct service *service, struct err *err) MUST_CHECK;

#endif
