/* test_witnesses.c: the node's witnesses, asked in rounds: real witnesses behind a network that can
 * lose, hold and forge what they say.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/witnesses.h"
#include "support/failing_log.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <stdatomic.h>

enum { WITNESSES = 3, QUEUE_MAX = 16, ROUND_MS = 1000 };

enum behaviour {
    GOOD,
    UNREACHABLE,
    NOT_FOUND,    /* 404 */
    EMPTY,        /* 200 without a line */
    GARBAGE,      /* 200 and no signature line */
    OTHERS_LINE,  /* 200 and another witness's cosignature */
    OTHERS_TREE,  /* 200 and its own, of what it cosigned before */
    NO_SIZE,      /* 409 and no number */
    NO_LINE_FEED, /* 409 and a number without its line feed */
    NEVER_AGREES, /* 409 and another size each time */
    LARGER,       /* 409 and more than there is */
    ANOTHER,      /* 422 to every proof */
    UNPROVEN,     /* 422 to everything */
    HOLD,         /* no answer until the end */
};

/* ---- the network: one thread that answers in order ---- */

struct sent {
    void (*done)(void *context, const struct outgoing_answer *answer);
    void *context;
    size_t witness;
    struct buffer body;
};

struct network {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread;
    struct sent queue[QUEUE_MAX];
    size_t queued, sent_count, held_count;
    struct sent held[QUEUE_MAX];
    bool is_busy, is_stopped, is_full;
    enum behaviour behaviour[WITNESSES];
    struct audit_witness *witnesses[WITNESSES];
    struct buffer last_line[WITNESSES];
};

struct fixture {
    struct world world;
    struct network network;
    char setting[4096];
    struct clock clock;
    _Atomic uint64_t now_ns;
    struct service_witnesses *witnesses;
};

static struct fixture fixture;

static bool network_check(void *context, const char *url, struct err *err)
{
    (void)context;
    return strncmp(url, "http://", 7) == 0 || err_set(err, ERR_MALFORMED_REQUEST, "no URL");
}

static bool network_send(void *context, const struct outgoing_request *request, struct err *err)
{
    struct network *network = context;
    cr_assert(strstr(request->url, "/add-checkpoint") != NULL);
    pthread_mutex_lock(&network->lock);
    bool ok = !network->is_full || err_set(err, ERR_OVERLOADED, "no room");
    if (ok) {
        cr_assert_lt(network->queued, QUEUE_MAX);
        struct sent *sent = &network->queue[network->queued++];
        *sent = (struct sent){.done = request->done, .context = request->context};
        sent->witness = (size_t)(request->url[7] - '0');
        buffer_init(&sent->body, request->body.size);
        buffer_append_bytes(&sent->body, request->body);
        network->sent_count++;
        pthread_cond_broadcast(&network->changed);
    }
    pthread_mutex_unlock(&network->lock);
    return ok;
}

static int honest_answer(struct network *network, size_t witness, struct bytes body,
                         struct buffer *out)
{
    static const int statuses[] = {
        [AUDIT_WITNESS_COSIGNED] = 200,  [AUDIT_WITNESS_MALFORMED] = 400,
        [AUDIT_WITNESS_UNTRUSTED] = 403, [AUDIT_WITNESS_UNKNOWN_LOG] = 404,
        [AUDIT_WITNESS_CONFLICT] = 409,  [AUDIT_WITNESS_UNPROVEN] = 422,
        [AUDIT_WITNESS_FAILED] = 500,
    };
    struct audit_checkpoint checkpoint;
    struct err err;
    return statuses[audit_witness_add(network->witnesses[witness], body, &checkpoint, out, &err)];
}

static int forge(struct network *network, const struct sent *sent, struct buffer *out)
{
    struct buffer *last = &network->last_line[sent->witness];
    switch (network->behaviour[sent->witness]) {
    case NOT_FOUND:
        return 404;
    case EMPTY:
        return 200;
    case GARBAGE:
        buffer_append_string(out, "nothing of that form\n");
        return 200;
    case OTHERS_LINE:
        (void)honest_answer(network, (sent->witness + 1) % WITNESSES, buffer_bytes(&sent->body),
                            out);
        return 200;
    case OTHERS_TREE:
        buffer_append_bytes(out, buffer_bytes(last));
        return 200;
    case NO_SIZE:
        buffer_append_string(out, "many\n");
        return 409;
    case NO_LINE_FEED:
        buffer_append_string(out, "1");
        return 409;
    case NEVER_AGREES:
        buffer_append_string(out, "1\n");
        return 409;
    case LARGER:
        buffer_append_string(out, "1000000\n");
        return 409;
    case ANOTHER:
        if (strncmp((const char *)sent->body.ptr, "old 0\n", 6) != 0) {
            return 422;
        }
        break;
    case UNPROVEN:
        return 422;
    case GOOD:
    case UNREACHABLE:
    case HOLD:
        break;
    }
    int status = honest_answer(network, sent->witness, buffer_bytes(&sent->body), out);
    if (status == 200) {
        last->size = 0;
        buffer_append_bytes(last, buffer_bytes(out));
    }
    return status;
}

static void network_answer(struct network *network, struct sent *sent)
{
    struct buffer out;
    struct outgoing_answer answer = {.outcome = OUTGOING_ANSWERED, .problem = ""};
    buffer_init(&out, 4096);
    if (network->is_stopped) {
        answer = (struct outgoing_answer){.outcome = OUTGOING_STOPPED, .problem = "stopped"};
    } else if (network->behaviour[sent->witness] == UNREACHABLE) {
        answer = (struct outgoing_answer){.outcome = OUTGOING_UNREACHABLE, .problem = "is gone"};
    } else {
        answer.status = forge(network, sent, &out);
        answer.body = buffer_bytes(&out);
    }
    sent->done(sent->context, &answer);
    buffer_release(&out);
    buffer_release(&sent->body);
}

static bool network_take(struct network *network, struct sent *out)
{
    while (network->queued == 0 && !network->is_stopped) {
        network->is_busy = false;
        pthread_cond_broadcast(&network->changed);
        pthread_cond_wait(&network->changed, &network->lock);
    }
    if (network->queued == 0) {
        return false;
    }
    network->is_busy = true;
    *out = network->queue[0];
    network->queued--;
    memmove(network->queue, network->queue + 1, network->queued * sizeof(network->queue[0]));
    return true;
}

static void *network_run(void *context)
{
    struct network *network = context;
    struct sent sent;
    pthread_mutex_lock(&network->lock);
    while (network_take(network, &sent)) {
        if (network->behaviour[sent.witness] == HOLD && !network->is_stopped) {
            network->held[network->held_count++] = sent;
            continue;
        }
        pthread_mutex_unlock(&network->lock);
        network_answer(network, &sent);
        pthread_mutex_lock(&network->lock);
    }
    pthread_mutex_unlock(&network->lock);
    for (size_t i = 0; i < network->held_count; i++) {
        network_answer(network, &network->held[i]);
    }
    return NULL;
}

static void network_stop(void *context)
{
    struct network *network = context;
    pthread_mutex_lock(&network->lock);
    network->is_stopped = true;
    pthread_cond_broadcast(&network->changed);
    pthread_mutex_unlock(&network->lock);
    pthread_join(network->thread, NULL);
}

/* Until everything that was sent is answered or held: a round is over then, or waits for what is
 * held. */
static void network_settle(void)
{
    struct network *network = &fixture.network;
    pthread_mutex_lock(&network->lock);
    while (network->queued > 0 || network->is_busy) {
        pthread_cond_wait(&network->changed, &network->lock);
    }
    pthread_mutex_unlock(&network->lock);
}

/* ---- the log and its witnesses ---- */

static uint64_t fixture_monotonic(void *context)
{
    (void)context;
    return atomic_load(&fixture.now_ns);
}

static uint64_t grow(void);

static void setup(void)
{
    struct err err;
    size_t used = 0;
    memset(&fixture, 0, sizeof(fixture));
    world_open_with(&fixture.world, NULL, NULL, failing_log_open);
    fixture.clock =
        (struct clock){.monotonic_ns = fixture_monotonic, .wall_ms = clock_system.wall_ms};
    atomic_store(&fixture.now_ns, 1000000000);
    (void)grow(); /* and with it the epoch that the world's service enters */
    for (size_t i = 0; i < WITNESSES; i++) {
        char name[32];
        char directory[128];
        (void)snprintf(name, sizeof(name), "witness-%zu", i);
        world_path(&fixture.world, name, directory);
        const struct audit_witness_config config = {.directory = directory,
                                                    .name = name,
                                                    .logs = audit_log_vkey(fixture.world.log),
                                                    .clock = &clock_system};
        cr_assert(audit_witness_open(&config, &fixture.network.witnesses[i], &err), "%s",
                  err.message);
        buffer_init(&fixture.network.last_line[i], 4096);
        used += (size_t)snprintf(fixture.setting + used, sizeof(fixture.setting) - used,
                                 " http://%zu.example// \n%s\t", i,
                                 audit_witness_vkey(fixture.network.witnesses[i]));
    }
}

static void network_start(void)
{
    struct network *network = &fixture.network;
    network->is_stopped = false;
    network->held_count = 0;
    network->sent_count = 0;
    pthread_mutex_init(&network->lock, NULL);
    pthread_cond_init(&network->changed, NULL);
    pthread_create(&network->thread, NULL, network_run, network);
}

static bool try_open(uint32_t threshold, bool must_reach, struct err *err)
{
    const struct service_witnesses_config config = {.witnesses = fixture.setting,
                                                    .threshold = threshold,
                                                    .interval_ms = ROUND_MS,
                                                    .must_reach = must_reach,
                                                    .log = fixture.world.log,
                                                    .clock = &fixture.clock,
                                                    .outgoing = {.check = network_check,
                                                                 .send = network_send,
                                                                 .stop = network_stop,
                                                                 .context = &fixture.network}};
    network_start();
    return service_witnesses_open(&config, &fixture.witnesses, err);
}

static void open_witnesses(uint32_t threshold)
{
    struct err err;
    cr_assert(try_open(threshold, false, &err), "%s", err.message);
}

static void close_witnesses(void)
{
    service_witnesses_close(fixture.witnesses);
    fixture.witnesses = NULL;
}

static void teardown(void)
{
    close_witnesses();
    for (size_t i = 0; i < WITNESSES; i++) {
        audit_witness_close(fixture.network.witnesses[i]);
        buffer_release(&fixture.network.last_line[i]);
    }
    world_close(&fixture.world);
}

TestSuite(service_witnesses, .init = setup, .fini = teardown);

/* A key request leaves no entry; an execution does, but needs a program: an unanswered ADMIT is
 * enough here. */
struct grown {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_done;
};

static void grown_cb(void *context, const struct audit_commit *commit)
{
    struct grown *grown = context;
    cr_assert(commit->ok);
    pthread_mutex_lock(&grown->lock);
    grown->is_done = true;
    pthread_cond_signal(&grown->changed);
    pthread_mutex_unlock(&grown->lock);
}

static uint64_t grow(void)
{
    struct grown grown = {.is_done = false};
    struct err err;
    json_t *fields = json_pack("{s:i}", "n", 1);
    pthread_mutex_init(&grown.lock, NULL);
    pthread_cond_init(&grown.changed, NULL);
    cr_assert(audit_log_submit(fixture.world.log, AUDIT_EPOCH, fields, grown_cb, &grown, &err));
    pthread_mutex_lock(&grown.lock);
    while (!grown.is_done) {
        pthread_cond_wait(&grown.changed, &grown.lock);
    }
    pthread_mutex_unlock(&grown.lock);
    pthread_cond_destroy(&grown.changed);
    pthread_mutex_destroy(&grown.lock);
    json_decref(fields);
    return audit_log_size(fixture.world.log);
}

static void wait_ms(uint64_t ms)
{
    atomic_fetch_add(&fixture.now_ns, ms * 1000000);
}

static void round_of(enum behaviour last_one)
{
    fixture.network.behaviour[WITNESSES - 1] = last_one;
    wait_ms(ROUND_MS);
    witnesses_tick(fixture.witnesses);
    network_settle();
}

static struct witnesses_facts facts(void)
{
    struct witnesses_facts out;
    witnesses_facts(fixture.witnesses, &out);
    return out;
}

/* By how many witnesses the served checkpoint is cosigned, and of what size it is. */
static size_t served(uint64_t *size)
{
    struct buffer note;
    struct audit_checkpoint checkpoint;
    size_t good = 0;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    *size = 0;
    if (witnesses_checkpoint(fixture.witnesses, &note)) {
        cr_assert_eq(audit_checkpoint_verify(buffer_bytes(&note), audit_log_vkey(fixture.world.log),
                                             &checkpoint),
                     AUDIT_OK);
        *size = checkpoint.size;
    }
    for (size_t i = 0; i < WITNESSES; i++) {
        struct audit_key key;
        struct err err;
        uint64_t time_s = 0;
        const char *vkey = audit_witness_vkey(fixture.network.witnesses[i]);
        cr_assert(audit_cosigner_parse(bytes_of_string(vkey), &key, &err));
        good += note.size > 0 &&
                audit_cosignature_verify(buffer_bytes(&note), &key, &time_s) == AUDIT_OK;
    }
    buffer_release(&note);
    return good;
}

/* ---- the tests ---- */

Test(service_witnesses, the_start_already_has_all_cosign)
{
    uint64_t size = 0;
    open_witnesses(0);
    cr_expect_eq(fixture.network.sent_count, WITNESSES);
    cr_expect_eq(served(&size), WITNESSES);
    cr_expect_eq(size, audit_log_size(fixture.world.log));
    struct witnesses_facts now = facts();
    cr_expect_eq(now.count, WITNESSES);
    cr_expect_eq(now.threshold, 2, "more than half");
    cr_expect_eq(now.reached, WITNESSES);
    cr_expect_eq(now.cosigned_size, size);
    cr_expect(now.is_good);
    cr_expect_eq(now.failures + now.contradictions, 0);
}

Test(service_witnesses, what_they_know_already_is_learned_and_asked_for_once)
{
    open_witnesses(0);
    close_witnesses();
    grow();
    open_witnesses(0);
    cr_expect_eq(fixture.network.sent_count, 2 * WITNESSES, "with old size 0, then with theirs");
    cr_expect_eq(facts().reached, WITNESSES);
    grow();
    round_of(GOOD);
    cr_expect_eq(fixture.network.sent_count, 3 * WITNESSES);
    cr_expect_eq(facts().cosigned_size, audit_log_size(fixture.world.log));
}

Test(service_witnesses, they_are_asked_when_it_is_time_and_there_is_something_new)
{
    open_witnesses(0);
    wait_ms(ROUND_MS);
    witnesses_tick(fixture.witnesses);
    network_settle();
    cr_expect_eq(fixture.network.sent_count, WITNESSES, "nothing new");
    grow();
    atomic_fetch_sub(&fixture.now_ns, 1);
    witnesses_tick(fixture.witnesses);
    network_settle();
    cr_expect_eq(fixture.network.sent_count, WITNESSES, "a nanosecond too early");
    atomic_fetch_add(&fixture.now_ns, 1);
    witnesses_tick(fixture.witnesses);
    network_settle();
    cr_expect_eq(fixture.network.sent_count, 2 * WITNESSES);
    round_of(UNREACHABLE);
    cr_expect_eq(fixture.network.sent_count, 2 * WITNESSES);
    grow();
    round_of(UNREACHABLE);
    round_of(UNREACHABLE);
    cr_expect_eq(fixture.network.sent_count, 4 * WITNESSES, "one is missing: all are asked again");
}

Test(service_witnesses, one_that_fails_or_lies_takes_nothing_from_the_others)
{
    static const enum behaviour bad[] = {UNREACHABLE, NOT_FOUND,    EMPTY,   GARBAGE,
                                         OTHERS_LINE, OTHERS_TREE,  NO_SIZE, NO_LINE_FEED,
                                         LARGER,      NEVER_AGREES, ANOTHER};
    open_witnesses(2);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t size = 0;
        uint64_t failures = facts().failures;
        uint64_t contradictions = facts().contradictions;
        bool contradicts = bad[i] == LARGER || bad[i] == ANOTHER;
        uint64_t grown = grow();
        round_of(bad[i]);
        cr_expect_eq(served(&size), WITNESSES - 1, "behaviour %d", (int)bad[i]);
        cr_expect_eq(size, grown);
        cr_expect_eq(facts().reached, WITNESSES - 1);
        cr_expect_eq(facts().failures, failures + 1, "behaviour %d", (int)bad[i]);
        cr_expect_eq(facts().contradictions, contradictions + contradicts);
        cr_expect_eq(facts().is_good, !contradicts, "behaviour %d", (int)bad[i]);
        round_of(GOOD);
        cr_expect_eq(served(&size), WITNESSES);
        cr_expect(facts().is_good);
    }
}

Test(service_witnesses, with_too_few_the_last_cosigned_checkpoint_stays)
{
    uint64_t size = 0;
    open_witnesses(3);
    uint64_t before = audit_log_size(fixture.world.log);
    grow();
    round_of(UNREACHABLE);
    cr_expect_eq(served(&size), WITNESSES);
    cr_expect_eq(size, before);
    cr_expect_not(facts().is_good);
    cr_expect_eq(facts().reached, WITNESSES - 1);
    fixture.network.is_full = true;
    round_of(GOOD);
    cr_expect_eq(facts().reached, 0, "nothing could be sent");
    fixture.network.is_full = false;
    round_of(GOOD);
    cr_expect_eq(served(&size), WITNESSES);
    cr_expect_eq(size, before + 1);
    cr_expect(facts().is_good);
}

Test(service_witnesses, one_that_does_not_answer_holds_up_neither_the_node_nor_the_end)
{
    open_witnesses(2);
    grow();
    round_of(HOLD);
    cr_expect_eq(fixture.network.held_count, 1);
    size_t sent = fixture.network.sent_count;
    grow();
    round_of(HOLD);
    cr_expect_eq(fixture.network.sent_count, sent, "the round is not over");
    cr_expect_eq(facts().count, WITNESSES, "and yet it answers");
    close_witnesses(); /* returns */
}

static _Atomic unsigned asked;

/* On the thread that keeps what was cosigned: it would wait for itself. */
static void ask_while_it_is_kept(const char *to)
{
    uint64_t size = 0;
    if (strcmp(to, "checkpoint.witnessed") == 0) {
        cr_expect_eq(facts().count, WITNESSES);
        cr_expect_eq(served(&size), WITNESSES);
        cr_expect_eq(size, facts().cosigned_size);
        cr_expect_eq(size + 1, audit_log_size(fixture.world.log), "the one before");
        atomic_fetch_add(&asked, 1);
    }
}

Test(service_witnesses, who_asks_for_them_does_not_wait_for_the_disk)
{
    uint64_t size = 0;
    open_witnesses(0);
    uint64_t grown = grow();
    failing_log_on_rename(ask_while_it_is_kept);
    round_of(GOOD);
    failing_log_on_rename(NULL);
    cr_expect_eq(atomic_load(&asked), 1);
    cr_expect_eq(served(&size), WITNESSES);
    cr_expect_eq(size, grown);
}

Test(service_witnesses, at_the_start_too_few_are_a_warning_or_a_refusal)
{
    struct err err;
    for (size_t i = 0; i < WITNESSES; i++) {
        fixture.network.behaviour[i] = i == 0 ? GOOD : UNREACHABLE;
    }
    cr_expect_not(try_open(0, true, &err));
    cr_expect_eq(err.code, ERR_CONFIG);
    cr_expect_not_null(strstr(err.message, "1 of 3 witnesses"), "%s", err.message);
    cr_assert(try_open(0, false, &err));
    cr_expect_not(facts().is_good);
    close_witnesses();
    cr_assert(try_open(1, true, &err));
}

Test(service_witnesses, who_takes_no_proof_where_none_is_needed_says_nothing_of_the_log)
{
    fixture.network.behaviour[1] = UNPROVEN;
    open_witnesses(2);
    cr_expect_eq(facts().reached, WITNESSES - 1);
    cr_expect_eq(facts().contradictions, 0);
}

Test(service_witnesses, at_the_start_a_larger_log_or_another_one_is_believed)
{
    static const struct {
        enum behaviour behaviour;
        const char *said;
    } rows[] = {{LARGER, "rolled back"}, {ANOTHER, "forked"}};
    open_witnesses(0);
    close_witnesses();
    for (size_t i = 0; i < 2; i++) {
        struct err err;
        fixture.network.behaviour[1] = rows[i].behaviour;
        cr_expect_not(try_open(1, false, &err));
        cr_expect_eq(err.code, ERR_TAMPERED);
        cr_expect_not_null(strstr(err.message, rows[i].said), "%s", err.message);
        cr_expect_not_null(strstr(err.message, "'witness-1'"), "%s", err.message);
        cr_expect_not_null(strstr(err.message, "take it out of audit.witnesses"), "whole");
    }
}

Test(service_witnesses, what_was_cosigned_is_served_before_they_can_be_reached_again)
{
    uint64_t size = 0;
    open_witnesses(0);
    uint64_t before = audit_log_size(fixture.world.log);
    close_witnesses();
    grow();
    for (size_t i = 0; i < WITNESSES; i++) {
        fixture.network.behaviour[i] = UNREACHABLE;
    }
    open_witnesses(0);
    cr_expect_eq(served(&size), WITNESSES);
    cr_expect_eq(size, before);
    cr_expect_eq(facts().cosigned_size, before);
    close_witnesses();
    struct err err;
    cr_assert(audit_log_keep_cosigned(fixture.world.log, bytes_of_string("no checkpoint\n"), &err));
    open_witnesses(0);
    cr_expect_eq(served(&size), 0, "what cannot be read is left alone");
}

Test(service_witnesses, a_kept_checkpoint_of_another_log_than_this_is_refused)
{
    struct err err;
    char note[512];
    /* Nobody's signature: what cannot be verified may have been signed by a later key. */
    (void)snprintf(note, sizeof(note),
                   "%s\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n"
                   "\xe2\x80\x94 nobody AAAAAAAAAAAA\n",
                   audit_log_origin(fixture.world.log));
    cr_assert(audit_log_keep_cosigned(fixture.world.log, bytes_of_string(note), &err));
    cr_expect_not(try_open(0, false, &err));
    cr_expect_eq(err.code, ERR_TAMPERED);
    cr_expect_not_null(strstr(err.message, "checkpoint.witnessed"), "%s", err.message);
}

Test(service_witnesses, settings_are_pairs_of_a_url_and_a_key)
{
    static const char *const wrong[] = {"http://a", "ftp://a KEY", "http://a nonsense",
                                        "http://a KEY http://b", "http://a KEY http://b KEY"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct err err;
        char *out = fixture.setting;
        *out = '\0';
        for (const char *at = wrong[i]; *at != '\0'; at++) {
            bool is_key = strncmp(at, "KEY", 3) == 0;
            out += snprintf(out, 512, "%.*s", is_key ? 400 : 1,
                            is_key ? audit_witness_vkey(fixture.network.witnesses[0]) : at);
            at += is_key ? 2 : 0;
        }
        cr_expect_not(try_open(0, false, &err), "row %zu", i);
        cr_expect_eq(err.code, ERR_CONFIG, "row %zu: %s", i, err.message);
    }
}

Test(service_witnesses, a_node_without_witnesses_is_well)
{
    struct witnesses_facts none;
    struct buffer out;
    buffer_init(&out, 1024);
    witnesses_facts(NULL, &none);
    cr_expect(none.is_good);
    cr_expect_eq(none.count, 0);
    witnesses_tick(NULL);
    cr_expect_not(witnesses_checkpoint(NULL, &out));
    buffer_release(&out);
}
