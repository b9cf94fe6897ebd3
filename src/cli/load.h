/* load.h: `load`, the load generator: many clients of the real protocol in one thread. Private to
 * cli.
 *
 *   load.c            the flags, and the order of things
 *   load_node.c       a node of its own, or one that runs; what it uses of the machine
 *   load_http.c       connections: requests out, answers in, each with the time it was there
 *   load_session.c    one execution: key, encryption, answer
 *   load_check.c      is the answer right, and does everything verify
 *   load_programs.c   what is executed, and what has to come out
 *   load_flow.c       streams of executions: at a rate, so many at once, or all at one moment
 *   load_scenario.c   what is shown, one function each: that which needs executions only
 *   load_trouble.c    the same for connections: slow ones, and those that break
 *   load_stats.c      histograms
 *   load_crypto.c     the bare cost of an execution's cryptography, measured beside it
 *   load_report.c     figures against goals, as text and JSON
 *
 * Open loop: an execution of a stream with a rate begins when the stream says, however late the
 * answers are, and its latency counts from that moment, so a node that stands still is not spared.
 * Checking answers is put off while there is anything to send or to receive: times are those of the
 * node and the wire, not of the checks. Nothing blocks and there is one thread: nothing is locked.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "attest/attest.h"
#include "audit/audit.h"
#include "base/list.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/progress.h"

#include <assert.h>
#include <llhttp.h>
#include <sys/socket.h>
#include <sys/types.h>

/* ---- load_stats.c: log-linear histograms, 64 steps to the doubling: at most 1.6 % wide ---- */

enum { LOAD_HISTOGRAM_BUCKETS = 64 * 36 }; /* up to 2^40 ns, some 18 minutes */

struct load_histogram {
    uint64_t buckets[LOAD_HISTOGRAM_BUCKETS];
    uint64_t count, min, max; /* min and max are exact */
    double sum;
};

void load_histogram_add(struct load_histogram *histogram, uint64_t value);
/* The smallest value that at least `part` (0..1) of all do not exceed, to the bucket's upper end;
 * 0 if there is none. */
uint64_t load_histogram_at(const struct load_histogram *histogram, double part);
double load_histogram_mean(const struct load_histogram *histogram);
/* Takes away what was in it earlier; min and max stay those of all. */
void load_histogram_take(struct load_histogram *histogram, const struct load_histogram *earlier);

/* Of count > 0 values, which it sorts; between the middle two if that is an even number. */
double load_median(double *values, size_t count);

/* A small generator for arrivals and choices: the same seed, the same load. Never for secrets. */
struct load_random {
    uint64_t state;
};
uint64_t load_random_next(struct load_random *random);
double load_random_unit(struct load_random *random); /* in (0, 1] */

/* ---- load_programs.c ---- */

enum load_program { LOAD_MIX, LOAD_SPIN, LOAD_TOUCH };

struct load_job { /* one execution, as it will be asked for */
    enum load_program program;
    uint64_t seed;
    uint32_t size; /* MIX: steps; TOUCH: pages of 64 KiB */
    unsigned timeout_seconds;
};

struct bytes load_program_wasm(enum load_program program);
const char *load_program_function(enum load_program program);
json_t *load_program_arguments(const struct load_job *job); /* a new reference; NULL: no memory */
/* The program's right result; SPIN has none. */
uint64_t load_program_result(const struct load_job *job);

/* ---- load_http.c ---- */

struct load_handle { /* what epoll hands back */
    void (*ready)(struct load_handle *handle, uint32_t events);
};

enum load_cut { /* breaking the connection on purpose */
                LOAD_CUT_NEVER,
                LOAD_CUT_SENDING, /* once cut_bytes of the request are out */
                LOAD_CUT_WAITING, /* cut_delay_ns after the request is out */
                LOAD_CUT_ANSWER,  /* when the answer's first bytes are there */
};

struct load_call { /* one request and its answer; the caller's storage */
    struct list link;
    struct load_http *http;
    void (*done)(struct load_call *call);
    bool can_wait;   /* its answer is looked at when nothing else is to do */
    bool can_repeat; /* on a fresh connection, if a kept one turns out to be closed */
    struct buffer request;
    size_t sent;
    struct buffer answer;
    int status; /* 0: lost */
    bool has_retry_after;
    uint64_t sent_ns, answered_ns; /* last byte out; answer whole */
    struct load_conn *conn;
    enum load_cut cut;
    bool is_reset, was_cut; /* with a RST instead of a FIN; it has come to it */
    size_t cut_bytes;
    uint64_t cut_delay_ns;
    struct list cutting; /* in http->cutting */
};

struct load_http {
    int epoll_fd;
    struct sockaddr_storage *address;
    socklen_t address_size;
    unsigned connections_max, connections;
    uint64_t connections_made;
    struct list idle;    /* connections */
    struct list busy;    /* connections */
    struct list waiting; /* calls, for a connection */
    struct list urgent;  /* calls, answered */
    struct list later;   /* the same, with can_wait */
    unsigned later_count;
    struct list cutting; /* calls to be cut later, all with the same delay */
};

bool load_http_open(struct load_http *http, unsigned connections_max, struct err *err) MUST_CHECK;
void load_http_close(struct load_http *http); /* calls that are still there end as lost */
void load_call_init(struct load_call *call, struct load_http *http,
                    void (*done)(struct load_call *call));
void load_call_release(struct load_call *call);
/* call->request is whole; done comes from load_http_step, never from here. */
void load_call_submit(struct load_call *call);
/* Sends, receives and does one piece of work; waits until `until_ns` if there is none of these. */
void load_http_step(struct load_http *http, uint64_t until_ns);
/* Opens connections until there are so many. */
void load_http_warm(struct load_http *http, unsigned connections);
/* Closes connections that nobody waits on. */
void load_http_cool(struct load_http *http);
/* Ends every call as lost. */
void load_http_abandon(struct load_http *http);

/* ---- load_node.c ---- */

enum { LOAD_API_KEYS_MAX = 64, LOAD_PATH_CHARS_MAX = 4096 };

struct load_node {
    char host[256];
    char port[8];
    const char *api_keys[LOAD_API_KEYS_MAX];
    size_t api_key_count;
    pid_t pid;       /* 0: not known */
    bool is_spawned; /* ours to end */
    int out_fd;
    char directory[LOAD_PATH_CHARS_MAX]; /* of a spawned one */
    bool is_temporary;                   /* and ours to remove */
    struct arena arena;
};

struct load_usage { /* of the node's process; zero where it cannot be told */
    double cpu_seconds;
    uint64_t rss_bytes, rss_peak_bytes;
    uint64_t descriptors;
};

/* "http://host:port", anything else is USAGE. */
bool load_node_address(struct load_node *node, const char *url, struct err *err) MUST_CHECK;
/* A node in `directory` (NULL: a temporary one), with fresh API keys and `arguments` for serve. */
bool load_node_spawn(struct load_node *node, const char *directory, size_t api_keys,
                     char *const *arguments, size_t argument_count, struct err *err) MUST_CHECK;
/* Ends it in good order: its exit status must be 0, and its log must verify. */
bool load_node_stop(struct load_node *node, char *said, size_t said_size,
                    struct err *err) MUST_CHECK;
void load_node_release(struct load_node *node); /* kills it, if it still runs */

struct load;
/* The text of /metrics; false if there is none for us. */
bool load_metrics_fetch(struct load *load, struct buffer *out) MUST_CHECK;
/* Of the node's process, else what its metrics say of it. */
void load_usage_read(struct load *load, struct load_usage *usage);
/* The value of a line without labels, such as "wasm_hypervisor_log_entries". */
bool load_metric_find(struct bytes text, const char *name, double *out) MUST_CHECK;

/* ---- load_session.c, load_check.c ---- */

struct load_epoch { /* evidence that was verified once, and the key that it vouches for */
    struct load_epoch *next;
    json_t *evidence;
    struct attest_result attestation;
};

struct load_trust {
    struct load_epoch *epochs;
    struct buffer note; /* the last checkpoint whose signature was verified */
    struct audit_checkpoint checkpoint;
    uint64_t size_seen;   /* the largest tree that an answer was proved in */
    uint64_t checkpoints; /* how often it grew: so many were signed, at least */
    uint64_t check_every; /* signatures and proofs of every so-manyth execution */
};

enum load_outcome {
    LOAD_RIGHT,   /* what the program has to give, and everything verified */
    LOAD_REFUSED, /* an error code that the job may be answered with */
    LOAD_LOST,    /* no answer */
    LOAD_CUT,     /* none, because we broke the connection on purpose */
    LOAD_WRONG,   /* anything else */
};

struct load_tally { /* what became of the executions of a stream */
    uint64_t started, ended, checked, lost, wrong, early;
    uint64_t right;                 /* within or out of the window */
    uint64_t codes[ERR_CODE_COUNT]; /* answers with an error, by code */
    uint64_t without_retry_after;   /* of the refusals that should say when to come back */
    uint64_t answered_in_window;
    uint64_t first_answer_ns, last_answer_ns;
    uint64_t cut;                          /* ended by ourselves, by breaking the connection */
    enum err_code refusal;                 /* the first that is not in order */
    char complaint[ERR_MESSAGE_BYTES_MAX]; /* the first */
    struct load_histogram latency;         /* intended start to answer, ns */
    struct load_histogram round_trip;      /* of the execute call alone */
    struct load_histogram service;         /* queue_time_ms + execution_time_ms */
    struct load_histogram execution;       /* execution_time_ms */
    struct load_histogram overrun_outside; /* of those that timed out: after the deadline */
    struct load_histogram overrun_inside;  /* the same, by the node's own figures */
    size_t request_bytes, result_bytes;    /* sealed module and plaintext result, the last */
};

struct load_flow;

struct load_session {
    struct load_call call;
    struct load_flow *flow;
    struct load_job job;
    const char *api_key;
    uint64_t intended_ns;
    bool is_checked;           /* in full */
    enum load_cut execute_cut; /* of the second call */
    const struct load_epoch *epoch;
    uint8_t nonce[16];
    char nonce_text[32];
    uint8_t request_id[TEXT_UUID_BYTES];
    char request_id_text[TEXT_UUID_CHARS + 1];
    uint8_t public_key[CRYPTO_P256_POINT_BYTES];
    uint8_t salt[CRYPTO_REQUEST_SALT_BYTES];
    struct crypto_hpke hpke;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint8_t request_commitment[CRYPTO_SHA256_BYTES];
    struct list held; /* in flow->ready */
};

/* Begins with the key; ends in load_flow_ended. */
bool load_session_start(struct load_flow *flow, const struct load_job *job, uint64_t intended_ns);
/* Sends what was held back. */
void load_session_fire(struct load_session *session);
void load_session_free(struct load_session *session);

/* Does the answer to /v1/keys give a key that the node's epoch vouches for? Fills the session. */
bool load_check_key(struct load_trust *trust, struct load_session *session, const json_t *answer,
                    struct err *err) MUST_CHECK;

struct load_answer {    /* what the answer to /v1/execute turned out to be */
    enum err_code code; /* ERR_NONE: the right result */
    bool has_times;
    double queue_ms, execution_ms;
    size_t result_bytes;
};
/* False if anything about it is wrong; a failure that is committed and verifies is an answer. */
bool load_check_answer(struct load_trust *trust, const struct load_session *session,
                       const json_t *body, struct load_answer *out, struct err *err) MUST_CHECK;
void load_trust_release(struct load_trust *trust);

/* ---- load_flow.c ---- */

struct load_flow {
    struct load *load;
    const char *name;
    void (*job)(struct load_flow *flow, struct load_job *job); /* fills in the next */
    double rate;                                               /* a second; 0: closed loop */
    bool is_uniform;      /* arrivals at equal distances, else Poisson */
    unsigned concurrency; /* closed loop: so many at once */
    uint64_t ramp_ns;     /* closed loop: this long until they are so many */
    uint64_t begin_ns;
    void (*started)(struct load_flow *flow, struct load_session *session); /* optional */
    uint32_t steps;                                                        /* for its jobs to use */
    uint64_t count_max; /* executions in all; 0: until the end of time */
    uint64_t allowed;   /* errors that are in order, as bits 1 << code; a right result always is */
    bool is_held;       /* sealed, then held back until load_flow_fire */
    uint64_t next_ns, measure_ns, end_ns; /* the window is [measure_ns, end_ns) */
    struct load_random random;
    unsigned in_flight;
    struct list ready; /* sessions held back */
    unsigned ready_count;
    struct load_tally *tally;
};

void load_flow_init(struct load_flow *flow, struct load *load, const char *name,
                    void (*job)(struct load_flow *flow, struct load_job *job),
                    struct load_tally *tally);
/* Runs the flows until all have ended; what has no answer some time after the end is lost. */
void load_flows_run(struct load *load, struct load_flow *const *flows, size_t count);
/* Seals `count_max` executions, sends them at one moment, and waits for all. */
void load_flow_volley(struct load_flow *flow);
/* A session's end, whatever it was. */
void load_flow_ended(struct load_session *session, enum load_outcome outcome,
                     const struct load_answer *answer, const char *complaint);

/* ---- load_crypto.c ---- */

enum { LOAD_CRYPTO_OPERATIONS_MAX = 16 };

struct load_crypto_row {
    const char *name;
    double us; /* of one */
    double count;
};

struct load_crypto {
    struct load_crypto_row rows[LOAD_CRYPTO_OPERATIONS_MAX];
    size_t count;
    double total_us;
};

/* Performs what a node's cryptography does for one execution with a module and a result of these
 * sizes and that many checkpoints, and takes its processor time in this thread. */
bool load_crypto_measure(size_t module_bytes, size_t result_bytes, double checkpoints,
                         struct load_crypto *out, struct err *err) MUST_CHECK;

/* ---- the whole ---- */

struct load_options {
    const char *url;
    const char *scenarios; /* names separated by commas, or all */
    const char *api_key;
    const char *data_dir;
    const char *json_path;
    bool is_list, is_spawned, is_strict, is_quick, is_uniform;
    double rate;                    /* 0: the scenario's own */
    double seconds, warmup_seconds; /* 0: the scenario's own */
    uint64_t concurrency, connections, seed, check_every, pid, count;
    char *const *node_arguments;
    size_t node_argument_count;
};

enum { LOAD_FIGURES_MAX = 256 };

struct load_figure { /* a line of the report */
    const char *scenario;
    char name[64];
    double value;
    const char *unit; /* "us", "ms", "/s", "MiB", "%", "x", "" */
    bool has_goal, is_minimum, is_met;
    double goal;
};

struct load {
    const struct load_options *options;
    struct progress progress;
    struct load_node node;
    struct load_http http;
    struct load_trust trust;
    struct load_random random;
    uint64_t sequence; /* of executions: who checks, which API key */
    const char *scenario;
    struct load_figure figures[LOAD_FIGURES_MAX];
    size_t figure_count;
    struct load_crypto crypto;
    uint64_t started, right, refused, cut, lost, wrong, early, checked;
    bool goals_missed;
    uint64_t (*tick)(struct load *load, uint64_t now_ns); /* optional: beside the flows, its next */
    void *tick_context;
    char complaint[ERR_MESSAGE_BYTES_MAX]; /* the first */
};

struct load_scenario {
    const char *name;
    const char *summary;
    bool (*run)(struct load *load, struct err *err);
};

extern const struct load_scenario load_scenarios[];
extern const size_t load_scenario_count;
bool load_slow_clients(struct load *load, struct err *err);
bool load_disconnects(struct load *load, struct err *err);
/* For scenarios: a program of an instant, and streams of it that must all be answered right. */
void load_small_job(struct load_flow *flow, struct load_job *job);
bool load_afterwards(struct load *load, struct err *err);
/* One execution, before anything else: IO if the node does not take it. */
bool load_preflight(struct load *load, struct err *err);
const struct load_scenario *load_scenario_find(const char *name, size_t size);

/* load_report.c */
void load_figure_add(struct load *load, const char *name, double value, const char *unit);
/* The same, with what it ought to be at most (at least, if is_minimum). */
void load_figure_goal(struct load *load, const char *name, double value, const char *unit,
                      double goal, bool is_minimum);
/* Adds a tally to the counts of the whole; its counts and percentiles to the report. */
void load_tally_count(struct load *load, const struct load_tally *tally);
void load_tally_report(struct load *load, const char *name, const struct load_tally *tally);
/* Prints all, and writes --json. */
bool load_report(struct load *load, struct err *err) MUST_CHECK;

#endif
