/* writer.h: the store's inside: its connections, its writer thread, and the jobs it takes.
 *
 * A job is one change. Jobs run in the order in which they came, as many as wait in one
 * transaction. A job that fails for a reason of its own (NOT_FOUND, say) changed nothing and lets
 * the others go on; a failure of the database undoes the transaction and fails all of them. The
 * store goes on after that: it is no witness, the log is.
 *
 * Patient jobs, which nobody waits for, lie for a moment so that one transaction and its sync serve
 * many. A job that is not patient takes all that lie before it along at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "base/list.h"
#include "store/database.h"
#include "store/store.h"

#include <pthread.h>

enum {
    STORE_TRANSACTION_JOBS_MAX = 512,
    STORE_QUEUE_JOBS_MAX = 16384,
    STORE_QUEUE_BYTES_MAX = 64 * 1024 * 1024,
    STORE_GATHER_MS = 50, /* a patient job lies at most so long */
};

struct store_job;

struct store_job {
    struct list link;
    /* Makes the change. False with *err, and *own true if the failure is the job's own. */
    bool (*run)(const struct database *database, struct store_job *job, bool *own, struct err *err);
    /* After the commit (err NULL) or the failure. Ends the job's life. */
    void (*finish)(struct store_job *job, const struct err *err);
    size_t size; /* bytes that it holds in the queue */
    bool is_patient;
    bool failed; /* of its own; *err tells */
    struct err err;
};

struct store {
    char *path;
    const struct clock *clock;
    bool seals;
    uint8_t answer_key[STORE_KEY_BYTES]; /* if so */

    struct database write; /* the writer thread's */
    pthread_t writer;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list queue;
    size_t queue_count;
    size_t queue_bytes;
    size_t impatient_count; /* of those in the queue */
    struct histogram transactions;
    bool closing;

    pthread_mutex_t read_mutex;
    struct database read;
};

bool store_writer_start(struct store *store, struct err *err) MUST_CHECK;
/* Runs what is queued, then ends. */
void store_writer_stop(struct store *store);
/* Takes the job, or fails with OVERLOADED (then finish is not called). */
bool store_writer_queue(struct store *store, struct store_job *job, struct err *err) MUST_CHECK;

/* A change that nobody waits for; embed as the first member of a block of the heap. */
struct store_put {
    struct store_job job;
    void (*done)(void *context, bool ok); /* after the commit or the failure; NULL: nobody */
    void *context;
};
/* Queues it, run and size are set; takes it in any case. */
bool store_writer_put(struct store *store, struct store_put *put, struct err *err) MUST_CHECK;

/* A change whose caller waits for it; embed as the first member. */
struct store_call {
    struct store_job job;
    pthread_mutex_t mutex;
    pthread_cond_t done_condition;
    bool done;
    bool ok;
};
/* Queues, waits, and gives back what came out. The call lives on the caller's stack; run is set. */
bool store_writer_call(struct store *store, struct store_call *call, struct err *err) MUST_CHECK;

#endif
