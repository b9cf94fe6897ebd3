/* service.h: what a request means: keys, sessions, policy, scheduling, results, receipts. No
 * sockets.
 *
 * message in -> api.c (route, authenticate, parse) -> admit -> ADMIT leaf durable -> ready queue ->
 * worker: decrypt, load, slices, seal -> RESULT leaf durable -> receipt, answer kept -> message
 * out. One struct session owns everything of one execution.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "attest/attest.h"
#include "audit/audit.h"
#include "base/message.h"
#include "base/outgoing.h"
#include "store/store.h"
#include "vm/vm.h"

struct service_config {             /* everything has a default, and is what an operator sets */
    uint32_t workers;               /* threads that run guests; 0: one per core */
    uint32_t memory_max_bytes;      /* linear memory of one run */
    size_t memory_budget_bytes;     /* of all that clients cause */
    uint32_t execution_seconds_max; /* the cap on timeout_seconds */
    uint32_t execution_seconds_default;
    uint64_t gas_max;                   /* the cap on gas_limit, and its default */
    uint32_t concurrent_executions_max; /* running or ready */
    uint32_t express_executions_max;    /* beside them: for the first milliseconds of new ones */
    uint32_t queued_executions_max;     /* behind them; then OVERLOADED */
    uint64_t queue_wait_max_ms;         /* for a slot; then OVERLOADED; 0: until the timeout */
    uint32_t api_key_percent;           /* of places in the queue, and of express ones, for one */
    uint32_t request_keys_max;          /* outstanding, then OVERLOADED */
    uint32_t request_keys_per_api_key_max;
    uint64_t request_key_lifetime_ms; /* at most 1 h */
    uint64_t result_retention_ms;
    uint32_t idempotency_keys_per_api_key_max; /* remembered; the oldest are forgotten first */
    size_t module_bytes_max;
    size_t module_cache_bytes;  /* of translated programs kept for the next time; 0: none are */
    size_t result_bytes_max;    /* of the plaintext */
    uint32_t slice_us;          /* aim for the length of a slice */
    uint64_t epoch_lifetime_ms; /* how long an epoch vouches for new request keys */
    uint32_t attester_calls_per_minute; /* of the firmware, at most */
    uint32_t attester_burst;            /* so many of them at once */
    uint64_t attester_retry_ms;         /* none for so long after one that failed */
    uint64_t fresh_wait_max_ms;         /* for a fresh proof; then OVERLOADED */
    uint32_t fresh_waiting_max;         /* so many callers at once; then OVERLOADED */
    uint64_t webhook_retry_ms;          /* before the second try; six times that before the third */
    bool require_api_key;
    /* Requests per second, each 0: not limited. A quota is what limit_window_s of them bring. */
    uint32_t executions_per_second_per_key;
    uint32_t requests_per_second_per_key;     /* all others */
    uint32_t requests_per_second_per_address; /* without a key */
    uint32_t bad_keys_per_second_per_address;
    uint32_t limit_window_s;
    const char *trusted_proxies; /* whose X-Forwarded-For is believed: "10.0.0.1, 10.1.0.0/16" */
};

extern const struct service_config service_config_default;

/* A new API key: its row for the store, and its secret's text "wh_<16 hex>_<43 base64url>", which
 * is shown once and kept nowhere. name: at most 64 bytes; expires_ms 0: never. */
enum { SERVICE_API_KEY_CHARS = 63 };
void service_api_key_new(const char *name, uint32_t scopes, int64_t expires_ms,
                         const struct clock *clock, struct store_api_key *out,
                         char secret[static SERVICE_API_KEY_CHARS + 1]);

/* All memory that clients cause, in one budget (docs/memory.md). Each share is there for its
 * purpose alone, so that what runs cannot keep an answer from being made, nor what arrives a
 * program from running. Outlives service and net. */
struct service_memory {
    struct budget node;     /* the shares together */
    struct budget requests; /* bodies as they arrive, parsed requests until they have run */
    struct budget programs; /* plaintexts, modules (the cache's too), memories, tables, stacks */
    struct budget answers;  /* large results, from the program's end until stored and sent */
};

void service_memory_init(struct service_memory *memory, size_t bytes);
/* The largest body that can be taken in beside what parsing makes of it. */
size_t service_memory_body_max(const struct service_memory *memory);

struct service_connections { /* since the start, but for open */
    uint64_t accepted, open, open_max;
    uint64_t surplus_of_address, surplus; /* of those accepted: not served */
    uint64_t refused;                     /* requests answered by net alone */
};

/* The node as a client of witnesses (witnesses.c): they cosign its log, and remember how far it
 * was. */
struct service_witnesses;

struct service_witnesses_config {
    const char *witnesses; /* for each its URL and its verifier key, blanks between all */
    uint32_t threshold;    /* how many must cosign; 0: more than half */
    uint64_t interval_ms;
    bool must_reach; /* opening fails if fewer answer */
    struct audit_log *log;
    const struct clock *clock;
    struct outgoing outgoing; /* its own; stopped by close */
};

/* Asks them all, and waits: TAMPERED if one of them has seen more of this log than there is, or
 * another beginning; nothing is to be written to the log then. CONFIG: no such setting, or too few
 * answered. */
bool service_witnesses_open(const struct service_witnesses_config *config,
                            struct service_witnesses **out, struct err *err) MUST_CHECK;
void service_witnesses_close(struct service_witnesses *witnesses);

struct service_parts { /* opened by main, outlive the service */
    struct service_memory *memory;
    struct audit_log *log;
    struct store *store;
    const struct tee *tee;
    const struct clock *clock;
    const char *node_id; /* hex */
    const char *build_id;
    const uint8_t *config_digest; /* 32 bytes */
    const struct audit_recovery *recovery;
    /* What the sockets' side has counted, for the metrics; any thread. NULL: nobody knows. */
    void (*connections)(void *context, struct service_connections *out);
    void *connections_context;
    struct outgoing webhooks; /* the service's own; stopped by service_close. send NULL: none */
    struct audit_witness *witness;       /* NULL: this node is none */
    struct service_witnesses *witnesses; /* NULL: it has none */
};

struct service;

/* Starts the workers, opens the first epoch, brings the store's index up to the log. */
bool service_open(const struct service_config *config, const struct service_parts *parts,
                  struct service **out, struct err *err) MUST_CHECK;
/* From now on executions are refused with DRAINING; `drained` comes (any thread) when the last
 * running one has been answered. */
void service_drain(struct service *service, void (*drained)(void *context), void *context);
/* Cancels what still runs, answers it, joins the threads, wipes all keys. False: a call of the
 * firmware has not come back; a thread is left in it that ends with the process, and the parts' tee
 * must not be freed. */
bool service_close(struct service *service);

/* The functions of net_handler, with the service as context. */
bool service_accept(void *service, struct message_exchange *exchange,
                    struct message_response *response);
void service_handle(void *service, struct message_exchange *exchange);
void service_refuse(void *service, int status, const char *reason,
                    struct message_response *response);
bool service_counts_peer(void *service, const char *peer);

/* Called by main about once a second: expiry of keys and answers, epoch rotation, reload of API
 * keys. Does not block. */
void service_tick(struct service *service);

/* A result as docs/protocol.md section 6 writes it: {"type": "i64", "value": "-1"}. A new
 * reference, NULL: no memory. Local runs print the same. */
json_t *service_value_to_json(const struct vm_value *value);

#endif
