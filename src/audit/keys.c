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
 * A crash before 2 leaves a next key that no entry names: opening removes it. A crash after 2
 * leaves one that the last KEY_ROTATE names: opening goes on from 3.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

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

/* "directory/name", to be freed. */
static char *path_of(const struct audit_log *log, const char *name, struct err *err)
{
    struct buffer path;
    buffer_init(&path, 64 * 1024);
    buffer_printf(&path, "%s/%s", log->config.directory, name);
    buffer_append_u8(&path, '\0');
    char *text = (char *)buffer_detach(&path, &(size_t){0});
    if (text == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a path");
    }
    return text;
}

/* A private key that must be ours alone. */
static bool read_signer(const struct audit_log *log, const char *name, struct crypto_signer **out,
                        struct audit_key *key, struct err *err)
{
    uint8_t public_key[128];
    struct stat status;
    bool ok = false;
    char *path = path_of(log, name, err);
    if (path == NULL) {
        return false;
    }
    if (fstatat(log->directory_fd, name, &status, 0) != 0) {
        audit_part_missing(log, name, err);
        goto out;
    }
    if ((status.st_mode & 077) != 0) {
        err_set(err, ERR_CONFIG, "%s can be read by others: chmod 600 it", path);
        goto out;
    }
    if (!crypto_signer_load(path, out, err)) {
        goto out;
    }
    if (crypto_signer_algorithm(*out) != CRYPTO_ED25519 ||
        crypto_signer_public(*out, public_key) != CRYPTO_ED25519_PUBLIC_BYTES) {
        err_set(err, ERR_TAMPERED, "%s is no key of a log: restore the right one", path);
        goto out;
    }
    audit_key_init(key, log->key.name, public_key);
    ok = true;
out:
    heap_free(path);
    return ok;
}

/* Step 5: the next key's file becomes the key's. */
static bool next_key_rename(struct audit_log *log, struct err *err)
{
    const struct audit_io *io = log->io;
    return (io->rename(io->context, log->directory_fd, AUDIT_NEXT_KEY_FILE, AUDIT_KEY_FILE) == 0 &&
            io->sync(io->context, log->directory_fd) == 0) ||
           err_set(err, ERR_IO, "%s: rename: %s", AUDIT_KEY_FILE, strerror(errno));
}

static void next_key_take(struct audit_log *log)
{
    crypto_signer_free(log->signer);
    log->signer = log->next_signer;
    log->next_signer = NULL;
}

bool audit_keys_read(struct audit_log *log, struct err *err)
{
    struct audit_key key;
    struct stat status;
    if (!read_vkeys(log, err) || !read_signer(log, AUDIT_KEY_FILE, &log->signer, &key, err)) {
        return false;
    }
    if (fstatat(log->directory_fd, AUDIT_NEXT_KEY_FILE, &status, 0) == 0 &&
        !read_signer(log, AUDIT_NEXT_KEY_FILE, &log->next_signer, &log->next_key, err)) {
        return false;
    }
    if (keys_equal(&key, &log->key)) {
        return true;
    }
    if (log->next_signer == NULL || !keys_equal(&log->next_key, &log->key)) {
        return err_set(err, ERR_TAMPERED,
                       "%s/%s is not the key that %s names: restore the right one",
                       log->config.directory, AUDIT_KEY_FILE, AUDIT_VKEY_FILE);
    }
    next_key_take(log); /* a crash came between the last two steps */
    return next_key_rename(log, err);
}

bool audit_keys_settle(struct audit_log *log, const struct audit_key *last, struct err *err)
{
    if (log->next_signer != NULL && (last == NULL || !keys_equal(last, &log->next_key))) {
        crypto_signer_free(log->next_signer);
        log->next_signer = NULL;
        if (log->io->unlink(log->io->context, log->directory_fd, AUDIT_NEXT_KEY_FILE) != 0) {
            return err_set(err, ERR_IO, "%s: unlink: %s", AUDIT_NEXT_KEY_FILE, strerror(errno));
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
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    if (!crypto_signer_sign(signer, text, signature, &size) ||
        size != CRYPTO_ED25519_SIGNATURE_BYTES ||
        !crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                       bytes_of(signature, size))) {
        return err_set(err, ERR_CRYPTO, "the change of the key could not be signed");
    }
    text_base64_encode(bytes_of(signature, size), out);
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
    if (!text.failed &&
        sign_base64(log->signer, &log->key, buffer_bytes(&text), old_signature, err) &&
        sign_base64(log->next_signer, &log->next_key, buffer_bytes(&text), new_signature, err)) {
        fields =
            json_pack("{s:s, s:s, s:s, s:s}", "old_vkey", audit_log_vkey(log), "new_vkey", new_vkey,
                      "old_signature", old_signature, "new_signature", new_signature);
    }
    if (fields == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a log entry");
    }
    buffer_release(&text);
    return fields;
}

void audit_key_abandon(struct audit_log *log)
{
    crypto_signer_free(log->next_signer);
    log->next_signer = NULL;
    /* If it stays, opening removes it. */
    (void)log->io->unlink(log->io->context, log->directory_fd, AUDIT_NEXT_KEY_FILE);
}

bool audit_key_begin(struct audit_log *log, struct err *err)
{
    uint8_t public_key[128];
    bool ok = false;
    char *path = path_of(log, AUDIT_NEXT_KEY_FILE, err);
    if (path == NULL) {
        return false;
    }
    log->next_signer = crypto_signer_generate(CRYPTO_ED25519);
    if (log->next_signer == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for a signing key");
        goto out;
    }
    if (!crypto_signer_save(log->next_signer, path, err)) {
        goto out;
    }
    if (log->io->sync(log->io->context, log->directory_fd) != 0) {
        err_set(err, ERR_IO, "%s: fsync of the directory: %s", AUDIT_NEXT_KEY_FILE,
                strerror(errno));
        goto out;
    }
    (void)crypto_signer_public(log->next_signer, public_key);
    audit_key_init(&log->next_key, log->key.name, public_key);
    ok = true;
out:
    heap_free(path);
    return ok;
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
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    const struct audit_key *key = &log->next_key;
    struct bytes text = buffer_bytes(&log->text);
    if (!crypto_signer_sign(log->next_signer, text, signature, &size) ||
        size != CRYPTO_ED25519_SIGNATURE_BYTES ||
        !crypto_verify(CRYPTO_ED25519, bytes_of(key->public_key, sizeof(key->public_key)), text,
                       bytes_of(signature, size))) {
        return err_set(err, ERR_CRYPTO, "the checkpoint could not be signed by the new key");
    }
    audit_signature_append(key, bytes_of(signature, size), &log->note);
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
    if (!audit_log_save(log, err) || !vkeys_replace(log, err) || !next_key_rename(log, err) ||
        !audit_key_set(log, &log->next_key, err)) {
        return false;
    }
    pthread_mutex_lock(&log->mutex);
    next_key_take(log);
    log->is_rotating_key = false;
    pthread_mutex_unlock(&log->mutex);
    return true;
}
