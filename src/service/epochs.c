/* epochs.c: making and renewing epochs.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/epochs.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/text.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

enum { EPOCHS_EXTRA_BYTES = 2048 }; /* about what comes with the evidence */
static const uint64_t epochs_ns_per_ms = 1000 * 1000;

struct epochs {
    struct epochs_config config;
    pthread_mutex_t lock; /* of what follows */
    struct epoch *current;
    bool told_over; /* that the current one is */
};

void epoch_evidence_open(const char *evidence, struct buffer *out)
{
    size_t size = strlen(evidence);
    assert(size > 2 && evidence[size - 1] == '}');
    buffer_expect(out, size + EPOCHS_EXTRA_BYTES);
    buffer_append(out, evidence, size - 1);
}

struct epoch *epoch_ref(struct epoch *epoch)
{
    atomic_fetch_add(&epoch->references, 1);
    return epoch;
}

void epoch_unref(struct epoch *epoch)
{
    if (epoch == NULL || atomic_fetch_sub(&epoch->references, 1) != 1) {
        return;
    }
    attest_epoch_unref(epoch->attest);
    heap_free(epoch->evidence);
    heap_free(epoch);
}

static void epochs_leaf_committed_cb(void *context, const struct audit_commit *commit)
{
    (void)context;
    if (!commit->ok) {
        log_write(LOG_ERROR, "epoch_not_logged", NULL,
                  "the audit log died before the epoch's leaf was written");
    }
}

/* The leaf that says since when, in the order of the log, this epoch signs. */
static bool epochs_log(struct epochs *epochs, const struct attest_epoch *epoch, struct err *err)
{
    char digest[2 * ATTEST_EPOCH_DIGEST_BYTES + 1];
    char not_after[CLOCK_RFC3339_CHARS + 1];
    text_hex_encode(bytes_of(attest_epoch_digest(epoch), ATTEST_EPOCH_DIGEST_BYTES), digest);
    clock_rfc3339_encode(attest_epoch_not_after_ms(epoch), not_after);
    json_t *fields = json_pack("{s:s, s:s, s:s}", "epoch", digest, "not_after", not_after,
                               "provider", attest_epoch_provider(epoch));
    bool ok = fields != NULL ? audit_log_submit(epochs->config.log, AUDIT_EPOCH, fields,
                                                epochs_leaf_committed_cb, NULL, err)
                             : err_set(err, ERR_NO_MEMORY, "no memory for the epoch's leaf");
    json_decref(fields);
    return ok;
}

static bool epochs_make(struct epochs *epochs, const struct attest_epoch *previous,
                        struct epoch **out, struct err *err)
{
    const struct epochs_config *config = &epochs->config;
    struct epoch *epoch = HEAP_NEW(struct epoch);
    if (epoch == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for an epoch");
    }
    atomic_init(&epoch->references, 1);
    epoch->made_ns = clock_monotonic_ns(config->clock);
    epoch->made_ms = clock_wall_ms(config->clock);
    if (!attest_epoch_open(attester_tee(config->attester), &config->facts, previous, config->clock,
                           config->signing_ms + config->trailing_ms, &epoch->attest, err)) {
        heap_free(epoch);
        return false;
    }
    json_t *evidence = attest_epoch_evidence(epoch->attest);
    epoch->evidence = evidence == NULL ? NULL : json_dumps(evidence, JSON_COMPACT);
    json_decref(evidence);
    if (epoch->evidence == NULL) {
        epoch_unref(epoch);
        return err_set(err, ERR_NO_MEMORY, "no memory for the evidence");
    }
    if (!epochs_log(epochs, epoch->attest, err)) {
        epoch_unref(epoch);
        return false;
    }
    *out = epoch;
    return true;
}

/* ---- until when ---- */

/* How much of its time an epoch has had, by the clock that says more: both may stop it, neither
 * can prolong it. */
static uint64_t age_ms(const struct epochs *epochs, const struct epoch *epoch)
{
    const struct clock *clock = epochs->config.clock;
    uint64_t age = (clock_monotonic_ns(clock) - epoch->made_ns) / epochs_ns_per_ms;
    int64_t wall = clock_wall_ms(clock) - epoch->made_ms;
    return wall > 0 && (uint64_t)wall > age ? (uint64_t)wall : age;
}

static bool is_over(const struct epochs *epochs, const struct epoch *epoch)
{
    return age_ms(epochs, epoch) >= epochs->config.signing_ms;
}

static bool is_due(const struct epochs *epochs, const struct epoch *epoch)
{
    return age_ms(epochs, epoch) >= epochs->config.signing_ms / 4 * 3;
}

/* ---- the duty ---- */

/* The old epoch stays until there is a new one, and says itself until when it is valid. */
static bool renew(void *context, struct err *err)
{
    struct epochs *epochs = context;
    struct epoch *old = epochs->current == NULL ? NULL : epochs_current(epochs);
    struct epoch *epoch = NULL;
    if (old != NULL && !is_due(epochs, old)) { /* asked for once more while it was made */
        epoch_unref(old);
        return true;
    }
    bool ok = epochs_make(epochs, old == NULL ? NULL : old->attest, &epoch, err);
    if (ok) {
        pthread_mutex_lock(&epochs->lock);
        struct epoch *replaced = epochs->current;
        epochs->current = epoch;
        epochs->told_over = false;
        pthread_mutex_unlock(&epochs->lock);
        epoch_unref(replaced);
        if (old != NULL) {
            log_write(LOG_INFO, "epoch_renewed", NULL, "a new signing epoch has begun");
        }
    }
    epoch_unref(old);
    return ok;
}

bool epochs_open(const struct epochs_config *config, struct epochs **out, struct err *err)
{
    struct epochs *epochs = HEAP_NEW(struct epochs);
    if (epochs == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the epochs");
    }
    epochs->config = *config;
    pthread_mutex_init(&epochs->lock, NULL);
    attester_set_duty(config->attester, ATTESTER_EPOCH,
                      (struct attester_duty){.run = renew, .context = epochs});
    if (!attester_do(config->attester, ATTESTER_EPOCH, err)) {
        epochs_close(epochs);
        return err_wrap(err, "the first signing epoch");
    }
    *out = epochs;
    return true;
}

void epochs_close(struct epochs *epochs)
{
    if (epochs == NULL) {
        return;
    }
    epoch_unref(epochs->current);
    pthread_mutex_destroy(&epochs->lock);
    heap_free(epochs);
}

struct epoch *epochs_current(struct epochs *epochs)
{
    pthread_mutex_lock(&epochs->lock);
    struct epoch *epoch = epoch_ref(epochs->current);
    pthread_mutex_unlock(&epochs->lock);
    return epoch;
}

bool epochs_signing(struct epochs *epochs, struct epoch **out, struct err *err)
{
    struct attester_facts facts;
    struct epoch *epoch = epochs_current(epochs);
    if (!is_over(epochs, epoch)) {
        *out = epoch;
        return true;
    }
    epoch_unref(epoch);
    attester_facts(epochs->config.attester, &facts);
    (void)err_set(err, ERR_OVERLOADED,
                  "the time of this node's signing key is over, and the processor's firmware has "
                  "not vouched for a new one yet");
    err->retry_after_s = (uint32_t)(facts.wait_ns / epochs_ns_per_ms / 1000) + 1;
    return false;
}

bool epochs_is_over(struct epochs *epochs)
{
    struct epoch *epoch = epochs_current(epochs);
    bool over = is_over(epochs, epoch);
    epoch_unref(epoch);
    return over;
}

int64_t epochs_until_ms(struct epochs *epochs)
{
    struct epoch *epoch = epochs_current(epochs);
    int64_t until_ms = epoch->made_ms + (int64_t)epochs->config.signing_ms;
    epoch_unref(epoch);
    return until_ms;
}

void epochs_tick(struct epochs *epochs)
{
    pthread_mutex_lock(&epochs->lock);
    bool due = is_due(epochs, epochs->current);
    bool news = is_over(epochs, epochs->current) && !epochs->told_over;
    epochs->told_over = epochs->told_over || news;
    pthread_mutex_unlock(&epochs->lock);
    if (due) {
        attester_ask(epochs->config.attester, ATTESTER_EPOCH);
    }
    if (news) {
        log_write(LOG_ERROR, "epoch_over", NULL,
                  "the signing key's time is over and there is no new one: request keys are "
                  "refused");
    }
}
