/* stress_service_witnesses.c: rounds with witnesses while the log grows, others ask how they are,
 * strangers post to them, and the end comes in the middle; for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/witnesses.h"
#include "support/service_world.h"

#include <stdatomic.h>

enum { WITNESSES = 3, TICKERS = 2, READERS = 2, GROWN = 150, QUEUE_MAX = 64, RUNS = 3 };

struct sent {
    void (*done)(void *context, const struct outgoing_answer *answer);
    void *context;
    size_t witness;
    struct buffer body;
};

static struct world world;
static struct audit_witness *cosigners[WITNESSES];
static struct service_witnesses *witnesses;
static _Atomic bool is_over;
static _Atomic unsigned committed;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t sender;
static struct sent queue[QUEUE_MAX];
static size_t queued;
static bool is_stopped;

/* ---- the network ---- */

static bool network_check(void *context, const char *url, struct err *err)
{
    (void)context;
    (void)url;
    (void)err;
    return true;
}

static bool network_send(void *context, const struct outgoing_request *request, struct err *err)
{
    (void)context;
    (void)err;
    pthread_mutex_lock(&lock);
    WORLD_CHECK(queued < QUEUE_MAX);
    struct sent *sent = &queue[queued++];
    *sent = (struct sent){.done = request->done, .context = request->context};
    sent->witness = (size_t)(request->url[7] - '0');
    buffer_init(&sent->body, request->body.size);
    buffer_append_bytes(&sent->body, request->body);
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    return true;
}

static void deliver(struct sent *sent, bool is_late)
{
    struct audit_checkpoint checkpoint;
    struct err err;
    struct buffer out;
    buffer_init(&out, 4096);
    struct outgoing_answer answer = {.outcome = OUTGOING_STOPPED, .problem = "stopped"};
    if (!is_late) {
        enum audit_witness_answer said = audit_witness_add(
            cosigners[sent->witness], buffer_bytes(&sent->body), &checkpoint, &out, &err);
        answer = (struct outgoing_answer){.outcome = OUTGOING_ANSWERED,
                                          .status = said == AUDIT_WITNESS_COSIGNED ? 200 : 409,
                                          .body = buffer_bytes(&out),
                                          .problem = ""};
    }
    sent->done(sent->context, &answer);
    buffer_release(&out);
    buffer_release(&sent->body);
}

static void *sender_run(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (queued == 0 && !is_stopped) {
            pthread_cond_wait(&changed, &lock);
        }
        if (queued == 0) {
            break;
        }
        struct sent sent = queue[--queued];
        bool is_late = is_stopped;
        pthread_mutex_unlock(&lock);
        deliver(&sent, is_late);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void network_stop(void *context)
{
    (void)context;
    pthread_mutex_lock(&lock);
    is_stopped = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(sender, NULL);
}

/* ---- everybody else ---- */

static void *ticker_run(void *context)
{
    (void)context;
    while (!atomic_load(&is_over)) {
        witnesses_tick(witnesses);
    }
    return NULL;
}

static void *reader_run(void *context)
{
    (void)context;
    struct witnesses_facts facts;
    struct audit_checkpoint checkpoint;
    struct buffer out;
    struct err err;
    buffer_init(&out, AUDIT_CHECKPOINT_BYTES_MAX);
    while (!atomic_load(&is_over)) {
        out.size = 0;
        witnesses_facts(witnesses, &facts);
        WORLD_CHECK(facts.reached <= WITNESSES && facts.contradictions == 0);
        if (witnesses_checkpoint(witnesses, &out)) {
            WORLD_CHECK(audit_checkpoint_verify(buffer_bytes(&out), audit_log_vkey(world.log),
                                                &checkpoint) == AUDIT_OK);
        }
        WORLD_CHECK(audit_witness_add(cosigners[0], buffer_bytes(&out), &checkpoint, &out, &err) ==
                    AUDIT_WITNESS_MALFORMED);
    }
    buffer_release(&out);
    return NULL;
}

static void committed_cb(void *context, const struct audit_commit *commit)
{
    (void)context;
    WORLD_CHECK(commit->ok);
    atomic_fetch_add(&committed, 1);
}

static void grow(void)
{
    struct err err;
    for (int i = 0; i < GROWN; i++) {
        json_t *fields = json_pack("{s:i}", "n", i);
        WORLD_CHECK(audit_log_submit(world.log, AUDIT_EPOCH, fields, committed_cb, NULL, &err));
        json_decref(fields);
    }
    while (atomic_load(&committed) < GROWN) {
        witnesses_tick(witnesses);
    }
}

static void run(const char *setting)
{
    pthread_t threads[TICKERS + READERS];
    struct err err;
    struct service_witnesses_config config = {
        .witnesses = setting,
        .log = world.log,
        .clock = &clock_system,
        .outgoing = {.check = network_check, .send = network_send, .stop = network_stop}};
    atomic_store(&is_over, false);
    atomic_store(&committed, 0);
    is_stopped = false;
    pthread_create(&sender, NULL, sender_run, NULL);
    WORLD_CHECK(service_witnesses_open(&config, &witnesses, &err));
    for (size_t i = 0; i < TICKERS + READERS; i++) {
        pthread_create(&threads[i], NULL, i < TICKERS ? ticker_run : reader_run, NULL);
    }
    grow();
    atomic_store(&is_over, true);
    for (size_t i = 0; i < TICKERS + READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    service_witnesses_close(witnesses); /* a round may be under way */
}

int main(void)
{
    char setting[2048];
    size_t used = 0;
    struct err err;
    world_open(&world, NULL, NULL);
    for (size_t i = 0; i < WITNESSES; i++) {
        char name[32];
        char directory[128];
        (void)snprintf(name, sizeof(name), "witness-%zu", i);
        world_path(&world, name, directory);
        const struct audit_witness_config config = {.directory = directory,
                                                    .name = name,
                                                    .logs = audit_log_vkey(world.log),
                                                    .clock = &clock_system};
        WORLD_CHECK(audit_witness_open(&config, &cosigners[i], &err));
        used += (size_t)snprintf(setting + used, sizeof(setting) - used, "http://%zu %s ", i,
                                 audit_witness_vkey(cosigners[i]));
    }
    for (int i = 0; i < RUNS; i++) {
        run(setting);
    }
    for (size_t i = 0; i < WITNESSES; i++) {
        audit_witness_close(cosigners[i]);
    }
    world_close(&world);
    printf("1 passed, 0 failed, 0 skipped\n");
    return 0;
}
