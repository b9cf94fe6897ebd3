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

#define RETRY_NS (UINT64_C(30) * 1000 * 1000 * 1000)

struct epochs {
    struct epochs_config config;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    struct epoch *current;
    bool is_due;
    uint64_t retry_ns; /* not before, after a renewal that failed; 0: none has */
    bool is_closing;
};

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
    if (!attest_epoch_open(config->tee, &config->facts, previous, config->clock,
                           config->lifetime_ms, &epoch->attest, err)) {
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

/* A failed renewal keeps the epoch that there is, which says itself until when it is valid; a tick
 * tries again when RETRY_NS have passed. So the firmware, which all VMs of the machine share, is
 * asked once an epoch, and when it fails twice a minute. */
static void epochs_renew(struct epochs *epochs)
{
    struct epoch *old = epochs_current(epochs);
    struct epoch *epoch = NULL;
    struct err err;
    if (!epochs_make(epochs, old->attest, &epoch, &err)) {
        pthread_mutex_lock(&epochs->lock);
        epochs->retry_ns = clock_monotonic_ns(epochs->config.clock) + RETRY_NS;
        pthread_mutex_unlock(&epochs->lock);
        log_write(LOG_ERROR, "epoch_renewal_failed", NULL, "%s", err.message);
        epoch_unref(old);
        return;
    }
    pthread_mutex_lock(&epochs->lock);
    struct epoch *replaced = epochs->current;
    epochs->current = epoch;
    epochs->retry_ns = 0;
    pthread_mutex_unlock(&epochs->lock);
    epoch_unref(replaced);
    epoch_unref(old);
    log_write(LOG_INFO, "epoch_renewed", NULL, "a new signing epoch has begun");
}

static void *epochs_main(void *context)
{
    struct epochs *epochs = context;
    pthread_mutex_lock(&epochs->lock);
    while (!epochs->is_closing) {
        if (!epochs->is_due) {
            pthread_cond_wait(&epochs->wake, &epochs->lock);
            continue;
        }
        pthread_mutex_unlock(&epochs->lock);
        epochs_renew(epochs);
        pthread_mutex_lock(&epochs->lock);
        epochs->is_due = false;
    }
    pthread_mutex_unlock(&epochs->lock);
    return NULL;
}

bool epochs_open(const struct epochs_config *config, struct epochs **out, struct err *err)
{
    struct epochs *epochs = HEAP_NEW(struct epochs);
    if (epochs == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the epochs");
    }
    epochs->config = *config;
    if (!epochs_make(epochs, NULL, &epochs->current, err)) {
        heap_free(epochs);
        return err_wrap(err, "the first signing epoch");
    }
    pthread_mutex_init(&epochs->lock, NULL);
    pthread_cond_init(&epochs->wake, NULL);
    if (pthread_create(&epochs->thread, NULL, epochs_main, epochs) != 0) {
        epoch_unref(epochs->current);
        heap_free(epochs);
        return err_set(err, ERR_NO_MEMORY, "cannot start the epochs' thread");
    }
    *out = epochs;
    return true;
}

void epochs_close(struct epochs *epochs)
{
    if (epochs == NULL) {
        return;
    }
    pthread_mutex_lock(&epochs->lock);
    epochs->is_closing = true;
    pthread_cond_signal(&epochs->wake);
    pthread_mutex_unlock(&epochs->lock);
    pthread_join(epochs->thread, NULL);
    epoch_unref(epochs->current);
    pthread_cond_destroy(&epochs->wake);
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

void epochs_tick(struct epochs *epochs)
{
    int64_t quarter_ms = (int64_t)(epochs->config.lifetime_ms / 4);
    pthread_mutex_lock(&epochs->lock);
    int64_t left_ms =
        attest_epoch_not_after_ms(epochs->current->attest) - clock_wall_ms(epochs->config.clock);
    if (left_ms <= quarter_ms && clock_monotonic_ns(epochs->config.clock) >= epochs->retry_ns) {
        epochs->is_due = true;
        pthread_cond_signal(&epochs->wake);
    }
    pthread_mutex_unlock(&epochs->lock);
}
