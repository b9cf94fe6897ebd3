/* witnesses.c: the node's witnesses: other servers that remember how far this log was and cosign
 * what continues it (c2sp.org/tlog-witness), so that rolling back this disk does not roll back
 * everything.
 *
 * They are asked in rounds, all about one checkpoint, so that its cosignatures can stand under one
 * note. A round ends when each has answered or failed; only then may the next one begin.
 *
 *     tick -> round_begin -> submit (each) ... answered_cb (each) -> round_end
 *
 * Each is asked with the size that it knows, as far as we know; 409 tells it, and it is asked once
 * more. What a witness cannot do: stop the node once it runs, make it wait, or give it a
 * cosignature that is not good. What it can say is that it knows a larger log, or another
 * beginning (422 to a good proof). At the start that is believed, before any request is taken:
 * a false alarm costs an operator a line in the settings, a missed one a second history.
 *
 * Everything below is the mutex's, but what others ask for. The callbacks come from the sender's
 * thread, which serves only this, so it may read the log and sync a small file, both under the
 * mutex: who asks how the witnesses are, as the loop's thread does, takes shown_mutex alone, which
 * is held for copies only.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/witnesses.h"

#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
    CONNECT_MS_MAX = 2000,
    TOTAL_MS_MAX = 5000,
    ANSWER_BYTES_MAX = 64 * 1024,
    PROOF_BYTES_MAX = 64 * AUDIT_HASH_BYTES,
    NS_PER_MS = 1000000,
};

struct witness {
    struct service_witnesses *all;
    char url[OUTGOING_URL_CHARS_MAX + 1]; /* of add-checkpoint */
    struct audit_key key;
    uint64_t known_size; /* by it; 0 if we do not know either */
    bool was_asked_again;
    bool has_cosigned; /* in this round, or the last one */
    bool is_lost;      /* it was told to the operator */
};

struct service_witnesses {
    struct service_witnesses_config config;
    struct audit_key keys[AUDIT_WITNESSES_MAX];
    struct audit_policy policy;
    struct witness items[AUDIT_WITNESSES_MAX];
    size_t count;
    pthread_mutex_t mutex;
    pthread_cond_t ended; /* a round */

    bool is_running; /* a round */
    uint64_t begun_ns;
    size_t unanswered_count;
    struct audit_checkpoint checkpoint; /* of the round */
    struct buffer submitted;
    struct buffer cosigned; /* the same with the lines of the witnesses */

    uint64_t published_size;
    uint64_t reached;
    uint64_t failures;
    uint64_t contradictions;
    bool round_contradicts;
    bool is_contradicted; /* in the last round that ended */
    struct err contradiction;
    bool is_closing;
    bool has_too_few; /* it was told to the operator */

    pthread_mutex_t shown_mutex; /* of what follows; taken last */
    struct witnesses_facts shown;
    struct buffer published;
};

/* ---- settings ---- */

/* The next word of the text, or false. */
static bool word_take(const char **text, struct bytes *word)
{
    static const char blanks[] = " \t\r\n";
    *text += strspn(*text, blanks);
    *word = bytes_of(*text, strcspn(*text, blanks));
    *text += word->size;
    return word->size > 0;
}

static bool witness_init(struct service_witnesses *all, struct bytes url, struct bytes vkey,
                         struct err *err)
{
    static const char call[] = "/add-checkpoint";
    struct witness *witness = &all->items[all->count];
    while (url.size > 0 && url.ptr[url.size - 1] == '/') {
        url.size--;
    }
    if (url.size > OUTGOING_URL_CHARS_MAX - strlen(call)) {
        return err_set(err, ERR_CONFIG, "the URL of witness %zu is too long", all->count + 1);
    }
    (void)snprintf(witness->url, sizeof(witness->url), "%.*s%s", (int)url.size,
                   (const char *)url.ptr, call);
    if (!all->config.outgoing.check(all->config.outgoing.context, witness->url, err) ||
        !audit_cosigner_parse(vkey, &witness->key, err)) {
        err->code = ERR_CONFIG;
        return err_wrap(err, "audit.witnesses, witness %zu", all->count + 1);
    }
    for (size_t i = 0; i < all->count; i++) {
        if (memcmp(all->keys[i].public_key, witness->key.public_key,
                   sizeof(witness->key.public_key)) == 0) {
            return err_set(err, ERR_CONFIG, "audit.witnesses names the key of '%s' twice",
                           witness->key.name);
        }
    }
    witness->all = all;
    all->keys[all->count++] = witness->key;
    return true;
}

static bool settings_read(struct service_witnesses *all, struct err *err)
{
    struct bytes url;
    struct bytes vkey;
    for (const char *text = all->config.witnesses; word_take(&text, &url);) {
        if (!word_take(&text, &vkey)) {
            return err_set(err, ERR_CONFIG,
                           "audit.witnesses holds a URL and a verifier key for each witness, with "
                           "blanks between; the last URL has no key");
        }
        if (all->count == AUDIT_WITNESSES_MAX) {
            return err_set(err, ERR_CONFIG, "audit.witnesses: more than %d", AUDIT_WITNESSES_MAX);
        }
        if (!witness_init(all, url, vkey, err)) {
            return false;
        }
    }
    if (all->config.threshold > all->count) {
        return err_set(err, ERR_CONFIG,
                       "audit.witness_threshold is %" PRIu32 ", but there are %zu witnesses",
                       all->config.threshold, all->count);
    }
    all->policy = (struct audit_policy){
        .cosigners = all->keys,
        .count = all->count,
        .threshold = all->config.threshold > 0 ? all->config.threshold : all->count / 2 + 1};
    return true;
}

/* ---- what a witness contradicts ---- */

static void contradict(struct service_witnesses *all, const struct witness *witness,
                       const struct err *what)
{
    all->contradictions++;
    if (!all->round_contradicts) {
        all->contradiction = *what;
    }
    if (!all->is_contradicted && !all->round_contradicts) {
        log_event(LOG_ERROR, "witness_contradicts",
                  LOG_FIELDS(log_text("witness", witness->key.name),
                             log_number("size", all->checkpoint.size)),
                  "%s", what->message);
    }
    all->round_contradicts = true;
}

static const char advice[] =
    "restore the newest copy of the data directory: a log that went on from here would be a second "
    "history. If the witness is wrong, take it out of audit.witnesses";

static void contradict_size(struct service_witnesses *all, const struct witness *witness,
                            uint64_t size)
{
    struct err what;
    (void)err_set(&what, ERR_TAMPERED,
                  "this log has been rolled back: witness '%.100s' has seen %" PRIu64
                  " entries of it, and here are %" PRIu64 "; %s",
                  witness->key.name, size, all->checkpoint.size, advice);
    contradict(all, witness, &what);
}

static void contradict_root(struct service_witnesses *all, const struct witness *witness)
{
    struct err what;
    (void)err_set(&what, ERR_TAMPERED,
                  "this log has been forked: its first %" PRIu64
                  " entries are not those that witness '%.100s' has seen; %s",
                  witness->known_size, witness->key.name, advice);
    contradict(all, witness, &what);
}

/* ---- a round ---- */

static void lose(struct service_witnesses *all, struct witness *witness, const char *why)
{
    all->failures++;
    if (!witness->is_lost) {
        log_event(LOG_WARN, "witness_lost", LOG_FIELDS(log_text("witness", witness->key.name)),
                  "no cosignature: %s", why);
    }
    witness->is_lost = true;
}

static void show(struct service_witnesses *all)
{
    pthread_mutex_lock(&all->shown_mutex);
    all->shown = (struct witnesses_facts){.count = all->count,
                                          .threshold = all->policy.threshold,
                                          .reached = all->reached,
                                          .cosigned_size = all->published_size,
                                          .failures = all->failures,
                                          .contradictions = all->contradictions,
                                          .is_good = !all->has_too_few && !all->is_contradicted};
    pthread_mutex_unlock(&all->shown_mutex);
}

static void publish(struct service_witnesses *all)
{
    struct err err;
    if (!audit_log_keep_cosigned(all->config.log, buffer_bytes(&all->cosigned), &err)) {
        log_event(LOG_ERROR, "cosignatures_not_kept", NULL, "%s", err.message);
    }
    pthread_mutex_lock(&all->shown_mutex);
    struct buffer old = all->published;
    all->published = all->cosigned;
    all->cosigned = old;
    pthread_mutex_unlock(&all->shown_mutex);
    all->published_size = all->checkpoint.size;
}

static void round_end(struct service_witnesses *all)
{
    size_t reached = 0;
    for (size_t i = 0; i < all->count; i++) {
        reached += all->items[i].has_cosigned;
    }
    all->reached = reached;
    all->is_contradicted = all->round_contradicts;
    bool has_too_few = reached < all->policy.threshold;
    if (has_too_few && !all->has_too_few) {
        log_event(LOG_WARN, "witnesses_too_few",
                  LOG_FIELDS(log_number("reached", reached),
                             log_number("threshold", all->policy.threshold)),
                  "fewer witnesses than wanted have cosigned the log");
    } else if (!has_too_few && all->has_too_few) {
        log_event(LOG_INFO, "witnesses_enough", LOG_FIELDS(log_number("reached", reached)),
                  "enough witnesses cosign the log again");
    }
    all->has_too_few = has_too_few;
    if (!has_too_few) {
        publish(all);
    }
    all->is_running = false;
    pthread_cond_broadcast(&all->ended);
}

static void answered_cb(void *context, const struct outgoing_answer *answer);

static bool submit(struct service_witnesses *all, struct witness *witness, struct err *err)
{
    static const struct message_header headers[] = {{"Content-Type", "text/plain; charset=utf-8"}};
    struct buffer proof;
    struct buffer body;
    bool ok = true;
    buffer_init(&proof, PROOF_BYTES_MAX);
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    if (witness->known_size > 0) {
        ok = audit_log_prove_between(all->config.log, witness->known_size, all->checkpoint.size,
                                     &proof, err);
    }
    if (ok && !audit_add_checkpoint_format(witness->known_size, buffer_bytes(&proof),
                                           buffer_bytes(&all->submitted), &body)) {
        ok = err_set(err, ERR_NO_MEMORY, "no memory for a request to a witness");
    }
    const struct outgoing_request request = {.url = witness->url,
                                             .headers = headers,
                                             .header_count = 1,
                                             .body = buffer_bytes(&body),
                                             .connect_ms_max = CONNECT_MS_MAX,
                                             .total_ms_max = TOTAL_MS_MAX,
                                             .answer_bytes_max = ANSWER_BYTES_MAX,
                                             .done = answered_cb,
                                             .context = witness};
    ok = ok && all->config.outgoing.send(all->config.outgoing.context, &request, err);
    buffer_release(&proof);
    buffer_release(&body);
    return ok;
}

static void answered_200(struct service_witnesses *all, struct witness *witness,
                         struct bytes answer)
{
    if (audit_cosignature_add(answer, &witness->key, &all->cosigned) != AUDIT_OK) {
        lose(all, witness, "what it answered is no good cosignature by its key");
        return;
    }
    if (witness->is_lost) {
        log_event(LOG_INFO, "witness_back", LOG_FIELDS(log_text("witness", witness->key.name)),
                  "it cosigns again");
    }
    witness->is_lost = false;
    witness->has_cosigned = true;
    witness->known_size = all->checkpoint.size;
}

/* Decimal and a line feed. */
static bool size_parse(struct bytes answer, uint64_t *size)
{
    return answer.size > 1 && answer.ptr[answer.size - 1] == '\n' &&
           text_u64_decode((const char *)answer.ptr, answer.size - 1, size);
}

/* True: it is asked again. */
static bool answered_409(struct service_witnesses *all, struct witness *witness,
                         struct bytes answer)
{
    uint64_t size = 0;
    struct err err;
    if (!size_parse(answer, &size)) {
        lose(all, witness, "it answered 409 and no size");
    } else if (size > all->checkpoint.size) {
        lose(all, witness, "it knows more of this log than there is");
        contradict_size(all, witness, size);
    } else if (witness->was_asked_again) {
        lose(all, witness, "it does not stay with the size that it told");
    } else {
        witness->was_asked_again = true;
        witness->known_size = size;
        if (submit(all, witness, &err)) {
            return true;
        }
        lose(all, witness, err.message);
    }
    return false;
}

/* True: it is asked again. */
static bool answer_take(struct service_witnesses *all, struct witness *witness,
                        const struct outgoing_answer *answer)
{
    char why[64];
    if (answer->outcome != OUTGOING_ANSWERED) {
        lose(all, witness, answer->problem);
        return false;
    }
    switch (answer->status) {
    case 200:
        answered_200(all, witness, answer->body);
        return false;
    case 409:
        return answered_409(all, witness, answer->body);
    case 422:
        lose(all, witness, "it does not take the consistency proof");
        if (witness->known_size > 0) { /* else there was nothing to prove */
            contradict_root(all, witness);
        }
        return false;
    default:
        (void)snprintf(why, sizeof(why), "it answered %d", answer->status);
        lose(all, witness, why);
        return false;
    }
}

static void answered_cb(void *context, const struct outgoing_answer *answer)
{
    struct witness *witness = context;
    struct service_witnesses *all = witness->all;
    pthread_mutex_lock(&all->mutex);
    all->is_closing = all->is_closing || answer->outcome == OUTGOING_STOPPED;
    bool goes_on = !all->is_closing && answer_take(all, witness, answer);
    if (!goes_on && --all->unanswered_count == 0 && !all->is_closing) {
        round_end(all);
    }
    show(all);
    pthread_mutex_unlock(&all->mutex);
}

/* False: there is no memory for the checkpoint, or the log has none. */
static bool round_checkpoint(struct service_witnesses *all)
{
    all->submitted.size = 0;
    all->cosigned.size = 0;
    if (!audit_log_checkpoint(all->config.log, &all->submitted)) {
        buffer_release(&all->submitted);
        return false;
    }
    struct bytes note = buffer_bytes(&all->submitted);
    buffer_append_bytes(&all->cosigned, note);
    /* Our own, just now: by which of our keys does not matter here. */
    return audit_checkpoint_verify(note, "", &all->checkpoint) != AUDIT_TAMPERED;
}

/* Nobody is asked yet, so no answer can end the round before the last one is. */
static void round_begin(struct service_witnesses *all)
{
    struct err err;
    all->begun_ns = clock_monotonic_ns(all->config.clock);
    if (!round_checkpoint(all)) {
        return;
    }
    all->is_running = true;
    all->round_contradicts = false;
    all->unanswered_count = all->count;
    for (size_t i = 0; i < all->count; i++) {
        all->items[i].has_cosigned = false;
        all->items[i].was_asked_again = false;
    }
    for (size_t i = 0; i < all->count; i++) {
        if (!submit(all, &all->items[i], &err)) {
            lose(all, &all->items[i], err.message);
            all->unanswered_count--;
        }
    }
    if (all->unanswered_count == 0) {
        round_end(all);
    }
}

void witnesses_tick(struct service_witnesses *all)
{
    if (all == NULL) {
        return;
    }
    uint64_t size = audit_log_size(all->config.log);
    uint64_t now_ns = clock_monotonic_ns(all->config.clock);
    pthread_mutex_lock(&all->mutex);
    bool is_new = size != all->checkpoint.size || all->reached < all->count;
    bool is_due = now_ns - all->begun_ns >= all->config.interval_ms * NS_PER_MS;
    if (!all->is_running && is_new && is_due) {
        round_begin(all);
        show(all);
    }
    pthread_mutex_unlock(&all->mutex);
}

/* ---- opening ---- */

/* What was cosigned before is served until the first round ends, and must be of this log. */
static bool kept_load(struct service_witnesses *all, struct err *err)
{
    struct audit_checkpoint kept;
    bool continues = false;
    struct err why;
    if (!audit_log_read_cosigned(all->config.log, &all->published, &why)) {
        buffer_release(&all->published);
        return true; /* there is none, or it cannot be read: the next round makes it anew */
    }
    if (audit_checkpoint_verify(buffer_bytes(&all->published), audit_log_vkey(all->config.log),
                                &kept) == AUDIT_TAMPERED) {
        log_event(LOG_WARN, "cosignatures_unreadable", NULL,
                  "checkpoint.witnessed is no checkpoint of this log, and is made anew");
        buffer_release(&all->published);
        return true;
    }
    if (!audit_log_continues(all->config.log, &kept, &continues, err)) {
        return false;
    }
    if (!continues) {
        return err_set(
            err, ERR_TAMPERED,
            "this log has been rolled back or forked: checkpoint.witnessed is of %" PRIu64
            " entries, which are not the first ones of the %" PRIu64 " here; %s",
            kept.size, audit_log_size(all->config.log), advice);
    }
    all->published_size = kept.size;
    return true;
}

static bool first_round(struct service_witnesses *all, struct err *err)
{
    pthread_mutex_lock(&all->mutex);
    round_begin(all);
    while (all->is_running) {
        pthread_cond_wait(&all->ended, &all->mutex);
    }
    show(all);
    bool ok = true;
    if (all->is_contradicted) {
        *err = all->contradiction;
        ok = false;
    } else if (all->config.must_reach && all->has_too_few) {
        ok = err_set(err, ERR_CONFIG,
                     "%" PRIu64 " of %zu witnesses have cosigned the log, and audit.witness_start "
                     "wants %zu: see that they can be reached, or set it to warn",
                     all->reached, all->count, all->policy.threshold);
    }
    pthread_mutex_unlock(&all->mutex);
    return ok;
}

bool service_witnesses_open(const struct service_witnesses_config *config,
                            struct service_witnesses **out, struct err *err)
{
    struct service_witnesses *all = HEAP_NEW(struct service_witnesses);
    if (all == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the witnesses");
    }
    all->config = *config;
    pthread_mutex_init(&all->mutex, NULL);
    pthread_mutex_init(&all->shown_mutex, NULL);
    pthread_cond_init(&all->ended, NULL);
    buffer_init(&all->submitted, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&all->cosigned, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&all->published, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!settings_read(all, err) || !kept_load(all, err) || !first_round(all, err)) {
        service_witnesses_close(all);
        return false;
    }
    *out = all;
    return true;
}

void service_witnesses_close(struct service_witnesses *all)
{
    if (all == NULL) {
        return;
    }
    all->config.outgoing.stop(all->config.outgoing.context);
    buffer_release(&all->submitted);
    buffer_release(&all->cosigned);
    buffer_release(&all->published);
    pthread_cond_destroy(&all->ended);
    pthread_mutex_destroy(&all->shown_mutex);
    pthread_mutex_destroy(&all->mutex);
    heap_free(all);
}

/* ---- what others ask ---- */

void witnesses_facts(struct service_witnesses *all, struct witnesses_facts *out)
{
    *out = (struct witnesses_facts){.is_good = true};
    if (all == NULL) {
        return;
    }
    pthread_mutex_lock(&all->shown_mutex);
    *out = all->shown;
    pthread_mutex_unlock(&all->shown_mutex);
}

bool witnesses_checkpoint(struct service_witnesses *all, struct buffer *out)
{
    if (all == NULL) {
        return false;
    }
    pthread_mutex_lock(&all->shown_mutex);
    bool has_one = all->published.size > 0;
    buffer_append_bytes(out, buffer_bytes(&all->published));
    pthread_mutex_unlock(&all->shown_mutex);
    return has_one && !out->failed;
}
