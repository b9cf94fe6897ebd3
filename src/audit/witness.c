/* witness.c: a witness of other logs: of each it remembers the last checkpoint that it cosigned,
 * and cosigns only what is proved to continue it (c2sp.org/tlog-witness).
 *
 *     DIRECTORY/witness-key.pem                          0600, made at the first use
 *     DIRECTORY/witness.vkey                             one line, for the others' settings
 *     DIRECTORY/<SHA-256 of the origin, hex>.checkpoint  what was cosigned last, with the log's
 *                                                        signature and ours
 *
 * The state is a note that we signed, so one that we did not write is noticed. Checking the old
 * size, writing and remembering the new one happen under one mutex, for all logs: otherwise two
 * requests at once could take the state back. The file is synced before a cosignature is given;
 * once that has failed nobody knows what is on the disk, and nothing more is cosigned until the
 * next start reads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/witness.h"

#include "audit/cosignature.h"
#include "base/arena.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_CHARS_MAX = 4096,
    ORIGIN_HASH_CHARS = 2 * CRYPTO_SHA256_BYTES,
    /* With our line it is still a checkpoint that everybody takes. */
    SUBMITTED_BYTES_MAX = AUDIT_CHECKPOINT_BYTES_MAX - AUDIT_COSIGNATURE_LINE_CHARS_MAX,
};

static const char state_temporary[] = "checkpoint.tmp";

struct witnessed_log {
    const char *origin; /* its first key's name */
    char hash[ORIGIN_HASH_CHARS + 1];
    uint64_t size; /* 0 if nothing was cosigned */
    uint8_t root[AUDIT_HASH_BYTES];
    uint64_t time_s;
    struct buffer note; /* empty if nothing was cosigned */
};

struct audit_witness {
    const struct audit_io *io;
    const struct clock *clock;
    int directory_fd;
    struct crypto_signer *signer;
    struct audit_key key;
    char vkey[AUDIT_VKEY_CHARS_MAX + 1];
    struct audit_key *keys; /* of logs */
    size_t key_count;
    pthread_mutex_t mutex; /* of what follows */
    struct witnessed_log *logs;
    size_t log_count;
    bool is_dead;
};

/* ---- opening ---- */

static bool key_path(const char *directory, char out[static PATH_CHARS_MAX], struct err *err)
{
    int size = snprintf(out, PATH_CHARS_MAX, "%s/%s", directory, AUDIT_WITNESS_KEY_FILE);
    return (size > 0 && size < PATH_CHARS_MAX) ||
           err_set(err, ERR_CONFIG, "the witness directory's name is too long");
}

static bool key_make(struct audit_witness *witness, const char *name, const char *path,
                     struct err *err)
{
    uint8_t public_key[128];
    char line[AUDIT_VKEY_CHARS_MAX + 2];
    witness->signer = crypto_signer_generate(CRYPTO_ED25519);
    if (witness->signer == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the witness key");
    }
    (void)crypto_signer_public(witness->signer, public_key);
    audit_key_init_typed(&witness->key, AUDIT_KEY_TYPE_COSIGNATURE, name, public_key);
    audit_key_format(&witness->key, witness->vkey);
    int size = snprintf(line, sizeof(line), "%s\n", witness->vkey);
    /* The verifier key comes first: without a private key it means nothing, and is replaced. */
    return audit_io_replace_file(witness->io, witness->directory_fd, AUDIT_WITNESS_VKEY_FILE,
                                 state_temporary, bytes_of(line, (size_t)size), err) &&
           crypto_signer_save(witness->signer, path, err);
}

/* The name is in the verifier key; the rest of it follows from the private one. */
static bool key_load(struct audit_witness *witness, const char *path, struct err *err)
{
    uint8_t public_key[128];
    struct buffer line;
    bool ok = false;
    buffer_init(&line, AUDIT_VKEY_CHARS_MAX + 1);
    if (!crypto_signer_load(path, &witness->signer, err) ||
        !audit_io_read_file(witness->io, witness->directory_fd, AUDIT_WITNESS_VKEY_FILE, &line,
                            err)) {
        goto out;
    }
    if (crypto_signer_algorithm(witness->signer) != CRYPTO_ED25519 || line.size == 0 ||
        !audit_cosigner_parse(bytes_of(line.ptr, line.size - 1), &witness->key, err)) {
        err_set(err, ERR_TAMPERED, "%s is not the witness's", AUDIT_WITNESS_VKEY_FILE);
        goto out;
    }
    (void)crypto_signer_public(witness->signer, public_key);
    if (memcmp(public_key, witness->key.public_key, sizeof(witness->key.public_key)) != 0) {
        err_set(err, ERR_TAMPERED, "%s is not that of %s", AUDIT_WITNESS_VKEY_FILE,
                AUDIT_WITNESS_KEY_FILE);
        goto out;
    }
    audit_key_format(&witness->key, witness->vkey);
    ok = true;
out:
    buffer_release(&line);
    return ok;
}

static bool key_open(struct audit_witness *witness, const struct audit_witness_config *config,
                     struct err *err)
{
    char path[PATH_CHARS_MAX];
    if (!audit_name_is_valid(bytes_of_string(config->name))) {
        return err_set(err, ERR_CONFIG, "'%s' is no name for a witness", config->name);
    }
    if (!key_path(config->directory, path, err)) {
        return false;
    }
    int fd = witness->io->open(witness->io->context, witness->directory_fd, AUDIT_WITNESS_KEY_FILE,
                               O_RDONLY, 0);
    if (fd < 0 && errno == ENOENT) {
        return key_make(witness, config->name, path, err);
    }
    if (fd >= 0) {
        close(fd);
    }
    return key_load(witness, path, err);
}

static bool directory_open(struct audit_witness *witness, const char *directory, struct err *err)
{
    const struct audit_io *io = witness->io;
    if (io->make_directory(io->context, AT_FDCWD, directory, 0700) != 0 && errno != EEXIST) {
        return err_set(err, ERR_IO, "%s: %s", directory, strerror(errno));
    }
    witness->directory_fd = io->open(io->context, AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0);
    return witness->directory_fd >= 0 || err_set(err, ERR_IO, "%s: %s", directory, strerror(errno));
}

static struct witnessed_log *log_find(struct audit_witness *witness, const char *origin)
{
    for (size_t i = 0; i < witness->log_count; i++) {
        if (strcmp(witness->logs[i].origin, origin) == 0) {
            return &witness->logs[i];
        }
    }
    return NULL;
}

static void log_init(struct witnessed_log *log, const char *origin)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of_string(origin), hash);
    *log = (struct witnessed_log){.origin = origin};
    text_hex_encode(bytes_of(hash, sizeof(hash)), log->hash);
    buffer_init(&log->note, AUDIT_CHECKPOINT_BYTES_MAX);
}

/* One key per word. */
static bool logs_read(struct audit_witness *witness, const char *text, struct err *err)
{
    static const char blanks[] = " \t\r\n";
    for (text += strspn(text, blanks); *text != '\0'; text += strspn(text, blanks)) {
        size_t size = strcspn(text, blanks);
        if (witness->key_count == AUDIT_WITNESS_LOG_KEYS_MAX) {
            return err_set(err, ERR_CONFIG, "more than %d logs to witness",
                           AUDIT_WITNESS_LOG_KEYS_MAX);
        }
        struct audit_key *key = &witness->keys[witness->key_count];
        if (!audit_key_parse(bytes_of(text, size), key, err)) {
            err->code = ERR_CONFIG;
            return err_wrap(err, "'%.*s', log %zu to witness", (int)(size < 80 ? size : 80), text,
                            witness->key_count + 1);
        }
        witness->key_count++;
        if (log_find(witness, key->name) == NULL) {
            log_init(&witness->logs[witness->log_count++], key->name);
        }
        text += size;
    }
    return true;
}

static void state_name(const struct witnessed_log *log, char out[static ORIGIN_HASH_CHARS + 16])
{
    (void)snprintf(out, ORIGIN_HASH_CHARS + 16, "%s.checkpoint", log->hash);
}

static bool state_load(struct audit_witness *witness, struct witnessed_log *log, struct err *err)
{
    char name[ORIGIN_HASH_CHARS + 16];
    struct audit_checkpoint checkpoint;
    struct bytes text;
    struct bytes lines;
    struct err why;
    state_name(log, name);
    if (!audit_io_read_file(witness->io, witness->directory_fd, name, &log->note, &why)) {
        if (why.code != ERR_NOT_FOUND) {
            *err = why;
        }
        return why.code == ERR_NOT_FOUND;
    }
    struct bytes note = buffer_bytes(&log->note);
    if (audit_cosignature_verify(note, &witness->key, &log->time_s) != AUDIT_OK ||
        !audit_note_split(note, &text, &lines) || !audit_checkpoint_parse(text, &checkpoint) ||
        strcmp(checkpoint.origin, log->origin) != 0) {
        return err_set(err, ERR_TAMPERED,
                       "%s is not what this witness cosigned for '%s': restore it from a backup "
                       "no older than the last cosignature, or take the log out of witness.logs",
                       name, log->origin);
    }
    log->size = checkpoint.size;
    memcpy(log->root, checkpoint.root, sizeof(log->root));
    return true;
}

bool audit_witness_open_with(const struct audit_io *io, const struct audit_witness_config *config,
                             struct audit_witness **out, struct err *err)
{
    struct audit_witness *witness = HEAP_NEW(struct audit_witness);
    if (witness == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the witness");
    }
    witness->io = io;
    witness->clock = config->clock;
    witness->directory_fd = -1;
    pthread_mutex_init(&witness->mutex, NULL);
    witness->keys = heap_alloc(AUDIT_WITNESS_LOG_KEYS_MAX * sizeof(*witness->keys));
    witness->logs = heap_alloc(AUDIT_WITNESS_LOG_KEYS_MAX * sizeof(*witness->logs));
    bool ok = (witness->keys != NULL && witness->logs != NULL) ||
              err_set(err, ERR_NO_MEMORY, "no memory for the witness");
    ok = ok && directory_open(witness, config->directory, err) && key_open(witness, config, err) &&
         logs_read(witness, config->logs, err);
    for (size_t i = 0; ok && i < witness->log_count; i++) {
        ok = state_load(witness, &witness->logs[i], err);
    }
    if (!ok) {
        audit_witness_close(witness);
        return false;
    }
    *out = witness;
    return true;
}

bool audit_witness_open(const struct audit_witness_config *config, struct audit_witness **out,
                        struct err *err)
{
    return audit_witness_open_with(&audit_io_system, config, out, err);
}

void audit_witness_close(struct audit_witness *witness)
{
    if (witness == NULL) {
        return;
    }
    for (size_t i = 0; i < witness->log_count; i++) {
        buffer_release(&witness->logs[i].note);
    }
    if (witness->directory_fd >= 0) {
        close(witness->directory_fd);
    }
    crypto_signer_free(witness->signer);
    pthread_mutex_destroy(&witness->mutex);
    heap_free(witness->keys);
    heap_free(witness->logs);
    heap_free(witness);
}

const char *audit_witness_vkey(const struct audit_witness *witness)
{
    return witness->vkey;
}

/* ---- a submitted checkpoint ---- */

struct submission {
    struct audit_add_checkpoint request;
    struct audit_checkpoint *checkpoint;
    struct bytes text;
    struct bytes lines;
    struct buffer note; /* as it will be kept: the text, the log's good lines, then ours */
};

static enum audit_witness_answer refuse(enum audit_witness_answer answer, struct err *err,
                                        const char *why)
{
    static const enum err_code codes[] = {
        [AUDIT_WITNESS_MALFORMED] = ERR_MALFORMED_REQUEST,
        [AUDIT_WITNESS_UNTRUSTED] = ERR_FORBIDDEN,
        [AUDIT_WITNESS_UNKNOWN_LOG] = ERR_NOT_FOUND,
        [AUDIT_WITNESS_CONFLICT] = ERR_MALFORMED_REQUEST,
        [AUDIT_WITNESS_UNPROVEN] = ERR_INVALID_ARGUMENTS,
    };
    (void)err_set(err, codes[answer], "%s", why);
    return answer;
}

static bool submission_parse(struct bytes body, struct submission *submission)
{
    return audit_add_checkpoint_parse(body, &submission->request) &&
           submission->request.note.size <= SUBMITTED_BYTES_MAX &&
           audit_note_split(submission->request.note, &submission->text, &submission->lines) &&
           audit_checkpoint_parse(submission->text, submission->checkpoint);
}

static bool is_by_log(const struct audit_witness *witness, const struct witnessed_log *log,
                      const struct audit_signature *signature)
{
    for (size_t i = 0; i < witness->key_count; i++) {
        if (strcmp(witness->keys[i].name, log->origin) == 0 &&
            audit_signature_is_by(signature, &witness->keys[i])) {
            return true;
        }
    }
    return false;
}

/* Keeps the lines by the log's keys. False for a bad form. */
static bool lines_keep(const struct audit_witness *witness, const struct witnessed_log *log,
                       struct submission *submission)
{
    struct audit_signature signature;
    struct bytes left = submission->lines;
    buffer_append_bytes(&submission->note, submission->text);
    buffer_append_u8(&submission->note, '\n');
    for (size_t count = 0; left.size > 0; count++) {
        struct bytes line = left;
        if (count == AUDIT_SIGNATURE_LINES_MAX || !audit_signature_take(&left, &signature)) {
            return false;
        }
        line.size -= left.size;
        if (is_by_log(witness, log, &signature)) {
            buffer_append_bytes(&submission->note, line);
        }
    }
    return true;
}

/* Signed by at least one of the log's keys, and badly by none. */
static bool is_signed(const struct audit_witness *witness, const struct witnessed_log *log,
                      struct bytes note)
{
    bool is_good = false;
    for (size_t i = 0; i < witness->key_count; i++) {
        struct bytes text;
        if (strcmp(witness->keys[i].name, log->origin) != 0) {
            continue;
        }
        enum audit_verdict verdict = audit_note_verify(note, &witness->keys[i], &text);
        if (verdict == AUDIT_TAMPERED) {
            return false;
        }
        is_good = is_good || verdict == AUDIT_OK;
    }
    return is_good;
}

static bool is_continuation(const struct witnessed_log *log, const struct submission *submission)
{
    const struct audit_checkpoint *checkpoint = submission->checkpoint;
    const struct audit_add_checkpoint *request = &submission->request;
    uint8_t empty[AUDIT_HASH_BYTES];
    crypto_sha256(bytes_of(NULL, 0), empty);
    if (checkpoint->size == 0 && memcmp(checkpoint->root, empty, sizeof(empty)) != 0) {
        return false;
    }
    if (request->old_size == 0) {
        return request->hash_count == 0;
    }
    return audit_consistency_verify(
        log->size, checkpoint->size,
        bytes_of(request->proof, request->hash_count * AUDIT_HASH_BYTES),
        bytes_of(log->root, AUDIT_HASH_BYTES), bytes_of(checkpoint->root, AUDIT_HASH_BYTES));
}

/* Not before what was said last, whatever the clock does. */
static uint64_t time_now_s(const struct audit_witness *witness, const struct witnessed_log *log)
{
    int64_t now_s = clock_wall_ms(witness->clock) / 1000;
    uint64_t floor_s = log->time_s > 0 ? log->time_s : 1;
    return now_s > 0 && (uint64_t)now_s > floor_s ? (uint64_t)now_s : floor_s;
}

/* What is said again is on the disk already. */
static bool state_keep(struct audit_witness *witness, struct witnessed_log *log,
                       const struct submission *submission, struct err *err)
{
    char name[ORIGIN_HASH_CHARS + 16];
    if (log->note.size > 0 && submission->checkpoint->size == log->size) {
        return true;
    }
    state_name(log, name);
    if (!audit_io_replace_file(witness->io, witness->directory_fd, name, state_temporary,
                               buffer_bytes(&submission->note), err)) {
        witness->is_dead = true;
        return err_wrap(err, "the witness stops: its state could not be written");
    }
    return true;
}

/* Everything is checked; the mutex is held. */
static bool cosign(struct audit_witness *witness, struct witnessed_log *log,
                   struct submission *submission, struct buffer *out, struct err *err)
{
    size_t start = submission->note.size;
    uint64_t time_s = time_now_s(witness, log);
    if (!audit_cosign(submission->text, time_s, &witness->key, witness->signer, &submission->note,
                      err) ||
        !state_keep(witness, log, submission, err)) {
        return false;
    }
    log->size = submission->checkpoint->size;
    log->time_s = time_s;
    memcpy(log->root, submission->checkpoint->root, sizeof(log->root));
    buffer_append(out, submission->note.ptr + start, submission->note.size - start);
    struct buffer old = log->note;
    log->note = submission->note;
    submission->note = old;
    return !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for the cosignature");
}

static enum audit_witness_answer decide(struct audit_witness *witness, struct witnessed_log *log,
                                        struct submission *submission, struct buffer *out,
                                        struct err *err)
{
    if (witness->is_dead) {
        (void)err_set(err, ERR_CLOSED, "the witness's state could not be written");
        return AUDIT_WITNESS_FAILED;
    }
    if (submission->request.old_size != log->size) {
        buffer_printf(out, "%" PRIu64 "\n", log->size);
        return refuse(AUDIT_WITNESS_CONFLICT, err, "the old size is not that of the last tree");
    }
    if (!is_continuation(log, submission)) {
        return refuse(AUDIT_WITNESS_UNPROVEN, err,
                      "the tree is not shown to continue the one that was cosigned last");
    }
    return cosign(witness, log, submission, out, err) ? AUDIT_WITNESS_COSIGNED
                                                      : AUDIT_WITNESS_FAILED;
}

static enum audit_witness_answer submission_answer(struct audit_witness *witness, struct bytes body,
                                                   struct submission *submission,
                                                   struct buffer *out, struct err *err)
{
    if (!submission_parse(body, submission)) {
        return refuse(AUDIT_WITNESS_MALFORMED, err,
                      "the body is not an old size, a proof, an empty line and a checkpoint");
    }
    struct witnessed_log *log = log_find(witness, submission->checkpoint->origin);
    if (log == NULL) {
        return refuse(AUDIT_WITNESS_UNKNOWN_LOG, err, "this witness does not know that log");
    }
    if (!lines_keep(witness, log, submission)) {
        return refuse(AUDIT_WITNESS_MALFORMED, err, "a signature line is malformed");
    }
    if (!is_signed(witness, log, submission->request.note)) {
        return refuse(AUDIT_WITNESS_UNTRUSTED, err, "the checkpoint is not signed by that log");
    }
    if (submission->request.old_size > submission->checkpoint->size) {
        return refuse(AUDIT_WITNESS_MALFORMED, err, "the old size is larger than the checkpoint's");
    }
    pthread_mutex_lock(&witness->mutex);
    enum audit_witness_answer result = decide(witness, log, submission, out, err);
    pthread_mutex_unlock(&witness->mutex);
    return result;
}

enum audit_witness_answer audit_witness_add(struct audit_witness *witness, struct bytes body,
                                            struct audit_checkpoint *checkpoint, struct buffer *out,
                                            struct err *err)
{
    struct submission submission = {.checkpoint = checkpoint};
    memset(checkpoint, 0, sizeof(*checkpoint));
    buffer_init(&submission.note, AUDIT_CHECKPOINT_BYTES_MAX);
    enum audit_witness_answer result = submission_answer(witness, body, &submission, out, err);
    buffer_release(&submission.note);
    return result;
}

bool audit_witness_latest(struct audit_witness *witness, const char *origin_hash,
                          struct buffer *out)
{
    bool found = false;
    pthread_mutex_lock(&witness->mutex);
    for (size_t i = 0; i < witness->log_count && !found; i++) {
        const struct witnessed_log *log = &witness->logs[i];
        found = log->note.size > 0 && strcmp(log->hash, origin_hash) == 0;
        if (found) {
            buffer_append_bytes(out, buffer_bytes(&log->note));
        }
    }
    pthread_mutex_unlock(&witness->mutex);
    return found && !out->failed;
}
