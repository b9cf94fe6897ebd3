/* batches.c: see batches.h.
 *
 * Never answers under the lock: net calls `gone` under a lock of its own, which answering takes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/batches.h"

#include "base/json.h"
#include "service/internal.h"

#include <assert.h>
#include <string.h>

enum {
    BATCHES_ANSWER_BYTES_MAX = 256 * 1024,
    BATCHES_PIECE = 32, /* answers given at once; then the loop gets a moment */
    BATCHES_TICK_MAX = 512,
};

static const uint64_t batches_pause_ns = 1000 * 1000;
static const uint64_t batches_ns_per_ms = 1000 * 1000;
static const uint64_t batches_ns_per_s = 1000 * 1000 * 1000;

struct batch_waiter { /* in the exchange's arena */
    struct list link; /* of one of the lists below, under their lock */
    struct api_call *call;
    struct bytes nonce;
    uint8_t leaf[CRYPTO_SHA256_BYTES];
    size_t index; /* in the batch that is asked for */
    uint64_t deadline_ns;
    bool is_gone;
};

struct batches {
    struct service *service;
    pthread_mutex_t lock; /* of what follows, and of the waiters' links */
    struct list gathered; /* oldest first, like the next */
    struct list asked;
    uint32_t waiting; /* in both */
};

struct batch { /* that has been asked for */
    struct audit_memory_tree *tree;
    size_t size;
    uint8_t root[CRYPTO_SHA256_BYTES];
    char *evidence; /* JSON text */
};

/* ---- waiting ---- */

static struct batch_waiter *take_first(struct batches *batches, struct list *list)
{
    struct list *link = list_pop_front(list);
    batches->waiting -= link != NULL;
    return link == NULL ? NULL : LIST_ENTRY(link, struct batch_waiter, link);
}

static void refuse(struct batch_waiter *waiter, enum err_code code, uint32_t retry_after_s,
                   const char *message)
{
    struct err err;
    (void)err_set(&err, code, "%s", message);
    err.retry_after_s = retry_after_s;
    api_answer_err(waiter->call, &err, NULL);
}

static void gone_cb(struct message_exchange *exchange, void *context)
{
    struct batch_waiter *waiter = context;
    struct batches *batches = waiter->call->service->batches;
    (void)exchange;
    pthread_mutex_lock(&batches->lock);
    waiter->is_gone = true;
    bool is_waiting = !list_is_empty(&waiter->link);
    if (is_waiting) {
        list_remove(&waiter->link);
        batches->waiting--;
    }
    pthread_mutex_unlock(&batches->lock);
    if (is_waiting) {
        refuse(waiter, ERR_CANCELLED, 0, "the client went away");
    }
}

void batches_watch(struct api_call *call)
{
    struct batch_waiter *waiter = ARENA_NEW(&call->exchange->arena, struct batch_waiter);
    call->batch = waiter;
    if (waiter != NULL) {
        list_init(&waiter->link);
        waiter->call = call;
        call->exchange->gone_context = waiter;
        call->exchange->gone = gone_cb;
    }
}

/* Only an epoch's key signs short ones. */
static bool parse(struct api_call *call, struct bytes *bytes, struct err *err)
{
    struct nonce nonce;
    if (!nonce_of_body(call, ATTEST_NONCE_BYTES_MIN, &nonce, err)) {
        return false;
    }
    *bytes = nonce.bytes;
    return nonce.text != NULL || err_set(err, ERR_MALFORMED_REQUEST, "nonce is missing");
}

static bool busy(uint64_t wait_ns, const char *message, struct err *err)
{
    (void)err_set(err, ERR_OVERLOADED, "%s", message);
    err->retry_after_s = (uint32_t)(wait_ns / batches_ns_per_s) + 1;
    return false;
}

/* Whoever would wait in vain is told at once. */
static bool check_firmware(const struct service *service, struct err *err)
{
    struct attester_facts facts;
    if (atomic_load(&service->is_draining)) {
        return service_refuse_draining(err);
    }
    if (strcmp(service->parts.tee->name, "none") == 0) {
        return err_set(err, ERR_NOT_FOUND, "this node has nobody who makes reports about it");
    }
    attester_facts(service->attester, &facts);
    uint64_t wait_max_ns = service->config.fresh_wait_max_ms * batches_ns_per_ms;
    if (facts.wait_ns > wait_max_ns || facts.under_way_ns > wait_max_ns) {
        return busy(facts.wait_ns, "the processor's firmware makes no reports at the moment", err);
    }
    return true;
}

/* From then on the call is the attester's, or whoever's finds it first. */
static bool gather(struct batches *batches, struct batch_waiter *waiter, struct err *err)
{
    struct service *service = batches->service;
    const struct service_config *config = &service->config;
    attest_batch_leaf(waiter->nonce, waiter->leaf);
    waiter->deadline_ns =
        clock_monotonic_ns(service->parts.clock) + config->fresh_wait_max_ms * batches_ns_per_ms;
    pthread_mutex_lock(&batches->lock);
    bool is_full = batches->waiting >= config->fresh_waiting_max;
    bool ok = !is_full && !waiter->is_gone;
    if (ok) {
        list_push_back(&batches->gathered, &waiter->link);
        batches->waiting++;
    }
    pthread_mutex_unlock(&batches->lock);
    if (!ok) {
        return is_full ? busy(0, "too many clients wait for a fresh proof", err)
                       : err_set(err, ERR_CANCELLED, "the client went away");
    }
    attester_ask(service->attester, ATTESTER_BATCH);
    return true;
}

void batches_ask(struct api_call *call)
{
    struct err err;
    struct batch_waiter *waiter = call->batch;
    bool ok = (waiter != NULL ||
               err_set(&err, ERR_OVERLOADED, "this node has no memory left for the request")) &&
              parse(call, &waiter->nonce, &err) && check_firmware(call->service, &err) &&
              gather(call->service->batches, waiter, &err);
    if (!ok) {
        api_answer_err(call, &err, NULL);
    }
}

/* ---- answering ---- */

static bool answer_text(const struct batch *batch, struct bytes nonce, size_t index,
                        struct buffer *out)
{
    struct attest_batch place = {.nonce = nonce, .index = index, .size = batch->size};
    memcpy(place.root, batch->root, sizeof place.root);
    place.path_count = audit_memory_tree_prove(batch->tree, index, place.path);
    epoch_evidence_open(batch->evidence, out);
    attest_batch_put(&place, out);
    json_put_close(out);
    return !out->failed;
}

static void answer_one(const struct batch *batch, struct batch_waiter *waiter)
{
    struct service *service = waiter->call->service;
    struct buffer text;
    buffer_init(&text, BATCHES_ANSWER_BYTES_MAX);
    if (answer_text(batch, waiter->nonce, waiter->index, &text)) {
        metric_add(service->metrics.fresh_proofs, 1);
        api_answer_text(waiter->call, 200, "application/json", buffer_bytes(&text));
    } else {
        refuse(waiter, ERR_OVERLOADED, 0, "this node has no memory left for the answer");
    }
    buffer_release(&text);
}

/* batch NULL: there is no report; `err` says what they are told. */
static void answer_asked(struct batches *batches, const struct batch *batch, const struct err *err)
{
    for (size_t given = 1;; given++) {
        pthread_mutex_lock(&batches->lock);
        struct batch_waiter *waiter = take_first(batches, &batches->asked);
        pthread_mutex_unlock(&batches->lock);
        if (waiter == NULL) {
            return;
        }
        if (batch != NULL) {
            answer_one(batch, waiter);
        } else {
            refuse(waiter, err->code, err->retry_after_s, err->message);
        }
        if (given % BATCHES_PIECE == 0) {
            attester_pause(batches->service->attester, batches_pause_ns);
        }
    }
}

/* ---- the attester's duty ---- */

/* Moves those that have come on; their leaves are in the order of the list. */
static size_t begin(struct batches *batches, uint8_t *leaves, size_t count_max)
{
    size_t count = 0;
    struct list *link;
    pthread_mutex_lock(&batches->lock);
    assert(list_is_empty(&batches->asked));
    while (count < count_max && (link = list_pop_front(&batches->gathered)) != NULL) {
        struct batch_waiter *waiter = LIST_ENTRY(link, struct batch_waiter, link);
        list_push_back(&batches->asked, link);
        memcpy(leaves + count * sizeof waiter->leaf, waiter->leaf, sizeof waiter->leaf);
        waiter->index = ++count; /* the node's own nonce is number 0 */
    }
    pthread_mutex_unlock(&batches->lock);
    return count;
}

/* A look at the evidence as the first caller of the batch gets it; with a nonce of our own, as that
 * caller may be gone. */
static bool check_evidence(const struct batches *batches, const struct batch *batch,
                           struct bytes nonce, struct err *err)
{
    struct buffer text;
    json_t *evidence = NULL;
    buffer_init(&text, BATCHES_ANSWER_BYTES_MAX);
    bool ok = answer_text(batch, nonce, 0, &text) ||
              err_set(err, ERR_NO_MEMORY, "no memory for fresh evidence");
    ok = ok && json_text_parse(buffer_bytes(&text), &evidence, err) &&
         attest_evidence_check(evidence, clock_wall_ms(batches->service->parts.clock), err);
    json_decref(evidence);
    buffer_release(&text);
    return ok;
}

static bool prove(const struct batches *batches, const struct epoch *epoch, struct bytes nonce,
                  const uint8_t *leaves, struct batch *out, struct err *err)
{
    uint8_t user_data[ATTEST_USER_DATA_BYTES];
    json_t *evidence = NULL;
    out->tree = audit_memory_tree_new(leaves, out->size);
    if (out->tree == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a batch of %zu nonces", out->size);
    }
    audit_memory_tree_root(out->tree, out->root);
    attest_batch_user_data(attest_epoch_digest(epoch->attest), out->size, out->root, user_data);
    if (!attest_epoch_report(epoch->attest, attester_tee(batches->service->attester), user_data,
                             &evidence, err)) {
        return false;
    }
    out->evidence = json_dumps(evidence, JSON_COMPACT);
    json_decref(evidence);
    return (out->evidence != NULL || err_set(err, ERR_NO_MEMORY, "no memory for fresh evidence")) &&
           check_evidence(batches, out, nonce, err);
}

static void refuse_gathered(struct batches *batches, const struct err *err)
{
    uint8_t leaves[BATCHES_PIECE * CRYPTO_SHA256_BYTES];
    while (begin(batches, leaves, BATCHES_PIECE) > 0) {
        answer_asked(batches, NULL, err);
    }
}

/* The node's own nonce is the first leaf: so there is one that surely stays until the report has
 * been looked at. */
static bool make(struct batches *batches, const struct epoch *epoch, uint8_t *leaves,
                 size_t count_max, struct err *err)
{
    uint8_t own[ATTEST_NONCE_BYTES_MIN];
    struct batch batch = {0};
    struct err told;
    crypto_random(own, sizeof own);
    attest_batch_leaf(bytes_of(own, sizeof own), leaves);
    batch.size = 1 + begin(batches, leaves + CRYPTO_SHA256_BYTES, count_max);
    bool ok =
        batch.size == 1 || prove(batches, epoch, bytes_of(own, sizeof own), leaves, &batch, err);
    if (!ok) {
        (void)busy(batches->service->config.attester_retry_ms * batches_ns_per_ms,
                   "the processor's firmware made no report", &told);
    }
    answer_asked(batches, ok ? &batch : NULL, &told);
    if (!ok) {
        refuse_gathered(batches, &told); /* nobody is asked again while they wait */
    }
    audit_memory_tree_free(batch.tree);
    heap_free(batch.evidence);
    return ok;
}

static bool duty(void *context, struct err *err)
{
    struct batches *batches = context;
    struct epoch *epoch = NULL;
    struct err told;
    size_t count_max = batches_waiting(batches);
    if (count_max == 0) {
        return true;
    }
    count_max = count_max < ATTEST_BATCH_NONCES_MAX ? count_max : ATTEST_BATCH_NONCES_MAX - 1;
    if (!epochs_signing(batches->service->epochs, &epoch, &told)) {
        refuse_gathered(batches, &told);
        return true; /* no failure of a batch */
    }
    uint8_t *leaves = heap_alloc_array(count_max + 1, CRYPTO_SHA256_BYTES);
    bool ok = leaves != NULL;
    if (!ok) {
        (void)err_set(err, ERR_NO_MEMORY, "no memory for a batch of %zu nonces", count_max);
        (void)busy(0, "this node has no memory left for a batch", &told);
        refuse_gathered(batches, &told);
    } else {
        ok = make(batches, epoch, leaves, count_max, err);
    }
    heap_free(leaves);
    epoch_unref(epoch);
    if (batches_waiting(batches) > 0) {
        attester_ask(batches->service->attester, ATTESTER_BATCH);
    }
    return ok;
}

/* ---- the interface ---- */

struct batches *batches_new(struct service *service)
{
    struct batches *batches = HEAP_NEW(struct batches);
    if (batches == NULL) {
        return NULL;
    }
    batches->service = service;
    pthread_mutex_init(&batches->lock, NULL);
    list_init(&batches->gathered);
    list_init(&batches->asked);
    attester_set_duty(service->attester, ATTESTER_BATCH,
                      (struct attester_duty){.run = duty, .context = batches});
    return batches;
}

void batches_close(struct batches *batches)
{
    if (batches == NULL) {
        return;
    }
    struct list *const lists[] = {&batches->asked, &batches->gathered};
    struct err err;
    (void)service_refuse_draining(&err);
    for (size_t i = 0; i < 2; i++) {
        struct batch_waiter *waiter;
        while ((waiter = take_first(batches, lists[i])) != NULL) {
            refuse(waiter, err.code, 0, err.message);
        }
    }
    pthread_mutex_destroy(&batches->lock);
    heap_free(batches);
}

/* All wait equally long, so the first of each list is the first whose time is over. */
static struct batch_waiter *take_overdue(struct batches *batches, uint64_t now_ns)
{
    struct list *const lists[] = {&batches->asked, &batches->gathered};
    struct batch_waiter *waiter = NULL;
    pthread_mutex_lock(&batches->lock);
    for (size_t i = 0; waiter == NULL && i < 2; i++) {
        struct batch_waiter *first = LIST_ENTRY(lists[i]->next, struct batch_waiter, link);
        if (!list_is_empty(lists[i]) && first->deadline_ns <= now_ns) {
            waiter = take_first(batches, lists[i]);
        }
    }
    pthread_mutex_unlock(&batches->lock);
    return waiter;
}

void batches_tick(struct batches *batches)
{
    uint64_t now_ns = clock_monotonic_ns(batches->service->parts.clock);
    struct batch_waiter *waiter;
    for (size_t i = 0; i < BATCHES_TICK_MAX && (waiter = take_overdue(batches, now_ns)) != NULL;
         i++) {
        refuse(waiter, ERR_OVERLOADED, 1, "the processor's firmware did not make a report in time");
    }
}

uint32_t batches_waiting(struct batches *batches)
{
    pthread_mutex_lock(&batches->lock);
    uint32_t waiting = batches->waiting;
    pthread_mutex_unlock(&batches->lock);
    return waiting;
}
