/* keys.c: the log's keys: reading them, and replacing the one that signs.
 *
 * The new key is used only when it is certain that it will be found:
 *
 *     1. signing-key.next.pem   the new private key, synced
 *     2. KEY_ROTATE             an entry that both keys signed; synced like any other. From here on
 *                               the log's key is the new one
 *     3. checkpoint             covers that entry, and is signed by both
 *     4. log.vkey               the new key in the first line, before all that were
 *     5. signing-key.pem        renamed from signing-key.next.pem; the old private key is gone
 *
 * Either may be sealed instead (key_file.h), and a change of the key is how that changes.
 *
 * A crash before 2 leaves a next key that no entry names: opening removes it. A crash after 2
 * leaves one that the last KEY_ROTATE names: opening goes on from 3.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/key_file.h"

#include "base/arena.h"
#include "base/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool audit_part_missing(const struct audit_log *log, const char *name, struct err *err)
{
    return err_set(err, ERR_TAMPERED,
                   "%s has no %s: if no log was ever kept there, empty it and run `wasm-hypervisor "
                   "audit init`; else a part of the log is gone, so " AUDIT_ADVICE,
                   log->config.directory, name);
}

/* A small file of the log; its absence is a missing log. */
bool audit_part_read(const struct audit_log *log, const char *name, struct buffer *out,
                     struct err *err)
{
    if (audit_io_read_file(log->io, log->directory_fd, name, out, err)) {
        return true;
    }
    if (err->code == ERR_NOT_FOUND) {
        return audit_part_missing(log, name, err);
    }
    if (err->code == ERR_FORMAT) {
        return err_set(err, ERR_TAMPERED, "%s/%s is too long: " AUDIT_ADVICE, log->config.directory,
                       name);
    }
    return err_wrap(err, "%s", log->config.directory);
}

/* ---- reading ---- */

static bool keys_equal(const struct audit_key *a, const struct audit_key *b)
{
    return strcmp(a->name, b->name) == 0 &&
           memcmp(a->public_key, b->public_key, sizeof(a->public_key)) == 0;
}

bool audit_key_set(struct audit_log *log, const struct audit_key *key, struct err *err)
{
    struct audit_vkey *vkey = HEAP_NEW(struct audit_vkey);
    if (vkey == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the verifier key");
    }
    audit_key_format(key, vkey->text);
    pthread_mutex_lock(&log->mutex);
    log->key = *key;
    vkey->older = atomic_load(&log->vkey);
    atomic_store(&log->vkey, vkey);
    pthread_mutex_unlock(&log->mutex);
    return true;
}

/* The last line is the log's first key: from there up, so that the current one is taken last. */
static bool take_vkeys(struct audit_log *log, struct bytes text, struct err *err)
{
    struct err why;
    struct audit_key key;
    size_t end = text.size;
    bool is_good = end > 0 && text.ptr[end - 1] == '\n';
    while (is_good && end > 0) {
        const uint8_t *before = memrchr(text.ptr, '\n', end - 1);
        size_t begin = before == NULL ? 0 : (size_t)(before - text.ptr) + 1;
        is_good = audit_key_parse(bytes_of(text.ptr + begin, end - 1 - begin), &key, &why);
        if (is_good && !audit_key_set(log, &key, err)) {
            return false;
        }
        end = begin;
    }
    return is_good ||
           err_set(err, ERR_TAMPERED,
                   "%s/%s holds something else than verifier keys: restore it from a copy",
                   log->config.directory, AUDIT_VKEY_FILE);
}

static bool read_vkeys(struct audit_log *log, struct err *err)
{
    struct buffer text;
    buffer_init(&text, AUDIT_VKEYS_BYTES_MAX);
    bool ok = audit_part_read(log, AUDIT_VKEY_FILE, &text, err) &&
              take_vkeys(log, buffer_bytes(&text), err);
    buffer_release(&text);
    return ok;
}

static void next_key_take(struct audit_log *log)
{
    crypto_signer_free(log->signer);
    log->signer = log->next_signer;
    log->key_is_sealed = log->next_is_sealed;
    log->next_signer = NULL;
}

/* The one that is being brought in, if there is one. */
static bool read_next(struct audit_log *log, struct err *err)
{
    struct audit_private next;
    struct err why;
    if (!audit_key_file_load(log, AUDIT_KEY_NEXT, &next, &why)) {
        if (why.code != ERR_NOT_FOUND) {
            *err = why;
        }
        return why.code == ERR_NOT_FOUND;
    }
    log->next_signer = next.signer;
    log->next_key = next.key;
    log->next_is_sealed = next.is_sealed;
    return true;
}

/* A crash came between the last two steps. */
static bool next_key_is_due(const struct audit_log *log)
{
    return log->next_signer != NULL && keys_equal(&log->next_key, &log->key);
}

static bool next_key_finish(struct audit_log *log, struct err *err)
{
    next_key_take(log);
    return audit_key_file_promote(log, log->key_is_sealed, err);
}

bool audit_keys_read(struct audit_log *log, struct err *err)
{
    struct audit_private current = {.signer = NULL};
    if (!read_vkeys(log, err) || !read_next(log, err)) {
        return false;
    }
    if (!audit_key_file_load(log, AUDIT_KEY_CURRENT, &current, err)) {
        if (err->code != ERR_NOT_FOUND) {
            return false;
        }
        return next_key_is_due(log) ? next_key_finish(log, err)
                                    : audit_part_missing(log, "signing-key.pem", err);
    }
    log->signer = current.signer;
    log->key_is_sealed = current.is_sealed;
    if (keys_equal(&current.key, &log->key)) {
        return true;
    }
    return next_key_is_due(log)
               ? next_key_finish(log, err)
               : err_set(err, ERR_TAMPERED,
                         "%s holds another private key than %s names: restore the right one",
                         log->config.directory, AUDIT_VKEY_FILE);
}

bool audit_keys_settle(struct audit_log *log, const struct audit_key *last, struct err *err)
{
    if (log->next_signer != NULL && (last == NULL || !keys_equal(last, &log->next_key))) {
        crypto_signer_free(log->next_signer);
        log->next_signer = NULL;
        if (!audit_key_file_remove_next(log, log->next_is_sealed, err)) {
            return false;
        }
    }
    if (last != NULL && log->next_signer == NULL && !keys_equal(last, &log->key)) {
        return err_set(err, ERR_TAMPERED,
                       "%s/%s is not the key that the log's entries name last: " AUDIT_ADVICE,
                       log->config.directory, AUDIT_VKEY_FILE);
    }
    return true;
}

/* ---- replacing ---- */

static bool sign_base64(const struct crypto_signer *signer, const struct audit_key *key,
                        struct bytes text, char out[static 96], struct err *err)
{
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_BYTES];
    if (!audit_sign(text, key, signer, signature)) {
        return err_set(err, ERR_CRYPTO, "the change of the key could not be signed");
    }
    text_base64_encode(bytes_of(signature, sizeof(signature)), out);
    return true;
}

/* The members of the KEY_ROTATE entry that comes next. */
static json_t *rotate_fields(const struct audit_log *log, struct err *err)
{
    char new_vkey[AUDIT_VKEY_CHARS_MAX + 1];
    char old_signature[96];
    char new_signature[96];
    struct buffer text;
    json_t *fields = NULL;
    audit_key_format(&log->next_key, new_vkey);
    buffer_init(&text, 4096);
    buffer_printf(&text, "wasm-hypervisor/1 key rotation\n%s\n%" PRIu64 "\n%s\n%s\n", log->key.name,
                  log->next_index, audit_log_vkey(log), new_vkey);
    bool ok = !text.failed || err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    ok = ok && sign_base64(log->signer, &log->key, buffer_bytes(&text), old_signature, err) &&
         sign_base64(log->next_signer, &log->next_key, buffer_bytes(&text), new_signature, err);
    if (ok) {
        fields =
            json_pack("{s:s, s:s, s:s, s:s}", "old_vkey", audit_log_vkey(log), "new_vkey", new_vkey,
                      "old_signature", old_signature, "new_signature", new_signature);
    }
    if (ok && fields == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    }
    buffer_release(&text);
    return fields;
}

void audit_key_abandon(struct audit_log *log)
{
    struct err ignored;
    crypto_signer_free(log->next_signer);
    log->next_signer = NULL;
    /* If it stays, opening removes it. */
    (void)!audit_key_file_remove_next(log, log->next_is_sealed, &ignored);
}

bool audit_key_begin(struct audit_log *log, struct err *err)
{
    uint8_t public_key[128];
    struct audit_private next = {.signer = crypto_signer_generate(CRYPTO_ED25519),
                                 .is_sealed = log->config.seals_new_keys};
    log->next_signer = next.signer;
    log->next_is_sealed = next.is_sealed;
    if (next.signer == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a signing key");
    }
    if (!audit_key_file_save(log, AUDIT_KEY_NEXT, &next, err)) {
        return false;
    }
    (void)crypto_signer_public(next.signer, public_key);
    audit_key_init(&log->next_key, log->key.name, public_key);
    return true;
}

bool audit_key_place(struct audit_log *log, struct audit_pending **rotating, struct err *err)
{
    json_t *fields = rotate_fields(log, err);
    if (fields == NULL) {
        return false;
    }
    bool ok = audit_pending_new(log, AUDIT_KEY_ROTATE, fields, rotating, err);
    json_decref(fields);
    if (ok) {
        (*rotating)->after = AUDIT_AFTER_SWITCH_KEY;
    }
    return ok;
}

bool audit_key_cosign(struct audit_log *log, struct err *err)
{
    uint8_t signature[CRYPTO_ED25519_SIGNATURE_BYTES];
    if (!audit_sign(buffer_bytes(&log->text), &log->next_key, log->next_signer, signature)) {
        return err_set(err, ERR_CRYPTO, "the checkpoint could not be signed by the new key");
    }
    audit_signature_append(&log->next_key, bytes_of(signature, sizeof(signature)), &log->note);
    return !log->note.failed || err_set(err, ERR_NO_MEMORY, "no memory for the checkpoint");
}

/* Step 4. */
static bool vkeys_replace(struct audit_log *log, struct err *err)
{
    char new_vkey[AUDIT_VKEY_CHARS_MAX + 1];
    struct buffer old;
    struct buffer text;
    bool ok = false;
    buffer_init(&old, AUDIT_VKEYS_BYTES_MAX);
    buffer_init(&text, AUDIT_VKEYS_BYTES_MAX);
    audit_key_format(&log->next_key, new_vkey);
    if (!audit_part_read(log, AUDIT_VKEY_FILE, &old, err)) {
        goto out;
    }
    buffer_printf(&text, "%s\n", new_vkey);
    buffer_append_bytes(&text, buffer_bytes(&old));
    if (text.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for the verifier keys");
        goto out;
    }
    ok = audit_io_replace_file(log->io, log->directory_fd, AUDIT_VKEY_FILE, AUDIT_VKEY_TEMPORARY,
                               buffer_bytes(&text), err);
out:
    buffer_release(&old);
    buffer_release(&text);
    return ok;
}

bool audit_key_switch(struct audit_log *log, struct err *err)
{
    assert(log->next_signer != NULL);
    if (!audit_log_save(log, err) || !vkeys_replace(log, err) ||
        !audit_key_file_promote(log, log->next_is_sealed, err) ||
        !audit_key_set(log, &log->next_key, err)) {
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    next_key_take(log);
    log->is_rotating_key = false;
    pthread_mutex_unlock(&log->mutex);
    return true;
}
