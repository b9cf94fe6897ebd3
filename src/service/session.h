/* session.h: one execution, from admission to the stored answer. Private to service.
 *
 * The session owns everything of it: the parsed request, the private key, the HPKE context, the
 * program and its instance, the outcome, the answer. It is freed whole, secrets wiped first, when
 * it has been answered and the answer is stored. Until then the table finds it by request id.
 *
 * Who may touch it: the thread that is at it (parsing job, log writer's callback, worker), one at a
 * time, handed over through the scheduler or the log. Others go through the table and see `state`,
 * and `answer` once it is published, under the table's lock.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_SESSION_H
#define SERVICE_SESSION_H

#include "service/execute_request.h"
#include "service/idempotency.h"
#include "service/request_keys.h"
#include "service/scheduler.h"
#include "service/service.h"
#include "service/trace.h"
#include "service/values.h"

enum session_state { /* docs/protocol.md section 1 */
                     SESSION_CREATED,
                     SESSION_KEY_GENERATED,
                     SESSION_DECRYPTING,
                     SESSION_EXECUTING,
                     SESSION_COMPLETED,
                     SESSION_INVALID_WASM,
                     SESSION_EXEC_ERROR,
                     SESSION_TIMEOUT,
                     SESSION_ERROR,
                     SESSION_CANCELLED,
};

const char *session_state_name(enum session_state state); /* "KEY_GENERATED" */

enum session_phase { /* what the next step does; execute.c */
                     PHASE_ESTABLISH,
                     PHASE_DECRYPT,
                     PHASE_DECRYPT_ARGUMENTS,
                     PHASE_PARSE_ARGUMENTS,
                     PHASE_LOAD,
                     PHASE_READ_BUFFERS,
                     PHASE_LINK,
                     PHASE_START,
                     PHASE_ALLOCATE,
                     PHASE_COPY,
                     PHASE_CALL,
                     PHASE_OUTPUTS, /* from here on nothing ends it early */
                     PHASE_RELEASE,
                     PHASE_SEAL,
                     PHASE_COMMIT,
};

struct session_opening { /* the program, then the arguments, while they are read piece by piece */
    struct crypto_opening *opening;
    struct crypto_sha256 *hash; /* of the program */
    struct bytes sealed;
    uint8_t *out; /* the same place */
    size_t done;
    struct json_parser *parser; /* of the arguments */
    size_t charged;             /* for what the parser makes */
};

struct session_program { /* all NULL until made; released in reverse */
    struct session_opening opening;
    struct vm_limits limits; /* the engine may keep a pointer to it */
    struct bytes wasm;       /* opened; in the request's `sealed`, until it is loaded */
    struct vm_loader *loader;
    uint8_t *copy;    /* the loader's, of `wasm` */
    size_t copied;    /* bytes of it */
    bool loads_again; /* for want of memory, once the loader is given back */
    struct vm_module *module;
    bool is_cached; /* the module came from the cache */
    struct vm_store *store;
    struct vm_instance *instance;
    struct vm_run *run;
    bool is_suspended; /* a stop has to interrupt it */
    struct vm_func_type type;
    const struct vm_func *function;
    struct arena arena;       /* secret: of the next ones */
    struct json_parser *json; /* of the arguments that were sealed, until they are read */
    size_t json_charged;
    struct values_argument *arguments;
    uint32_t argument_count;
    uint32_t buffer;    /* the next argument to look at in PHASE_ALLOCATE */
    uint32_t *pointers; /* of the buffers, by argument */
    bool is_allocated;  /* there is room for it, where `sent` of its bytes are */
    size_t sent;
    struct arena rest; /* of the module, while it is given back */
};

struct session_outcome {
    struct err err;    /* code NONE: success. What is said in the sealed part */
    const char *limit; /* "time", "gas", "memory", "stack", or NULL */
    bool has_trap;
    char trap[48]; /* its name */
    char function_name[128];
    bool has_location;
    uint32_t function_index;
    uint32_t offset;
    uint64_t gas_consumed;
    uint64_t memory_used_bytes;
    uint64_t execution_ns, queue_ns;
};

enum session_result_stage {
    RESULT_BEGIN,
    RESULT_OUTPUTS,
    RESULT_END,
    RESULT_COMMIT,
    RESULT_SEAL,
    RESULT_ENCODE,
};

struct session_result {    /* what is sealed, while it is made, piece by piece */
    struct bytes source;   /* of an output that is a buffer: in the program's memory */
    struct buffer outputs; /* canonical JSON; empty unless the program has succeeded */
    enum session_result_stage stage;
    struct crypto_sha256 *hash; /* of the outputs, then of the document */
    size_t done;                /* of what is being read: source, outputs, document, sealed */
    struct buffer document;
    uint8_t *sealed;
    size_t sealed_size;
    char *text; /* base64 of it */
};

struct session_record {   /* what the log said */
    uint64_t admit_index; /* written under the table's lock; UINT64_MAX: not known yet */
    uint64_t admit_floor; /* it is not less: the log's size before it was submitted */
    bool is_committed;    /* the RESULT leaf */
    uint64_t result_index;
    int64_t time_ms;
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    char *leaf;
    char *tlog_proof;
};

struct session_waiter { /* in an api_call: it is answered again when the session's answer is there
                         */
    struct list link;   /* of the session's waiters, under the table's lock; initialised */
    bool is_off;        /* nobody wants to wait any more */
    uint64_t deadline_ns;
    void (*wake)(struct session_waiter *waiter); /* under the lock; afterwards it is the waiter's */
};

struct webhook;

struct session {
    struct service *service;
    struct scheduler_run run;
    struct scheduler_job job;
    struct list table_link;
    struct api_call *call; /* NULL once answered */
    bool outlives_client;  /* it goes on when nobody is connected any more */
    bool is_async;         /* the call is answered when the session is admitted */
    struct idempotency_claim claim;

    struct budget budget; /* of what runs, inside the share of programs */
    struct arena arena;   /* of the request, inside the share of requests */
    struct execute_request request;
    struct request_key key;
    char owner[STORE_KEY_ID_CHARS + 1];
    struct trace trace; /* of the request that began it */
    int64_t created_ms;
    uint64_t admitted_ns;
    _Atomic int state;          /* enum session_state */
    _Atomic int64_t started_ms; /* 0: not yet */

    enum session_phase phase;
    struct crypto_hpke hpke;
    bool is_established;   /* hpke can seal */
    bool is_opened;        /* the program's hash is known */
    bool waits_for_memory; /* since its last step */
    bool has_waited_for_memory;
    bool is_stored; /* as admitted */
    uint8_t program_hash[CRYPTO_SHA256_BYTES];
    struct session_program program;
    struct session_outcome outcome;
    struct session_result result;
    char *encrypted_result;  /* base64; NULL: none */
    size_t answer_charged;   /* to the share of answers */
    const char *webhook_url; /* in the arena; NULL: nobody is told */
    struct webhook *webhook; /* made at the end, until it is sent; or NULL */
    uint8_t result_commitment[CRYPTO_SHA256_BYTES];
    struct session_record record;

    /* Under the table's lock. */
    uint8_t *answer;
    size_t answer_size;
    int answer_status;
    int64_t ended_ms; /* 0: not yet */
    struct list waiters;
};

/* NULL: no memory. */
struct session *session_new(struct service *service, const char *owner);
/* Wipes and frees all of it. */
void session_free(struct session *session);
/* The only writer of `state`; asserts that the transition is one of the protocol's. */
void session_enter(struct session *session, enum session_state state);
enum session_state session_state(const struct session *session);
/* Gives back what only a running program needs: instance, module, private key, arguments. */
void session_release_program(struct session *session);
/* What reading the sealed arguments held, once they are read. */
void session_release_json(struct session *session);
/* A piece of it; true when nothing large is left, and session_release_program is quick. */
bool session_release_some(struct session *session);
/* Wipes and gives back the arena, with all that the request was: before the slot is given on. */
void session_release_arena(struct session *session);

/* ---- the table of live sessions ---- */

struct session_table;

struct session_table *session_table_new(void);
void session_table_free(struct session_table *table); /* must be empty */
void session_table_add(struct session_table *table, struct session *session);
void session_table_remove(struct session_table *table, struct session *session);
/* Notes the index of the session's ADMIT. */
void session_table_admitted(struct session_table *table, struct session *session,
                            uint64_t admit_index);
/* Makes the final state, the answer and its time visible to session_table_with, all at once, and
 * wakes those that wait for it. Copies nothing: the session owns it. */
void session_table_publish(struct session_table *table, struct session *session,
                           enum session_state state, uint8_t *answer, size_t answer_size,
                           int answer_status);
/* Calls `visit` with the session of that id under the lock; false if there is none. */
bool session_table_with(struct session_table *table,
                        const uint8_t request_id[static TEXT_UUID_BYTES],
                        void (*visit)(void *context, struct session *session), void *context);
/* Until the session of that id has its answer, or the waiter's deadline is over, or it is called
 * off. False, and wake will not come: there is none, it has its answer, or the waiter is off. */
bool session_table_wait(struct session_table *table,
                        const uint8_t request_id[static TEXT_UUID_BYTES],
                        struct session_waiter *waiter) MUST_CHECK;
void session_table_call_off(struct session_table *table, struct session_waiter *waiter);
/* Wakes those whose deadline is over. */
void session_table_tick(struct session_table *table, uint64_t now_ns);
/* No ADMIT of a session in the table has a lesser index; `otherwise` if there are none. The log may
 * hold an ADMIT before its session knows the index. */
uint64_t session_table_oldest_admit(struct session_table *table, uint64_t otherwise);

#endif
