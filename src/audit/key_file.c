/* key_file.c: the log's private keys in their files, each in one of two forms:
 *
 *     signing-key.pem     signing-key.next.pem      PKCS#8, for whoever reads the disk
 *     signing-key.sealed  signing-key.next.sealed   what struct audit_sealing makes of the seed
 *
 * A key lies there in one form only. When its successor comes in the other one, the old file goes
 * first, durably, so that no crash leaves two and a question which of them counts.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/key_file.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALED_TEMPORARY "signing-key.sealed.tmp"

static const char *const names[][2] = {
    [AUDIT_KEY_CURRENT] = {"signing-key.pem", "signing-key.sealed"},
    [AUDIT_KEY_NEXT] = {"signing-key.next.pem", "signing-key.next.sealed"},
};

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

/* ---- reading ---- */

/* *form: the index of its name. Both forms, or one that others may read, are refused. */
static bool find(const struct audit_log *log, enum audit_key_slot slot, size_t *form,
                 struct err *err)
{
    struct stat status[2];
    const char *const *name = names[slot];
    bool is_there[2];
    for (size_t i = 0; i < 2; i++) {
        is_there[i] = fstatat(log->directory_fd, name[i], &status[i], 0) == 0;
    }
    if (is_there[0] && is_there[1]) {
        return err_set(err, ERR_TAMPERED, "%s has both %s and %s: keep the one that belongs there",
                       log->config.directory, name[0], name[1]);
    }
    if (!is_there[0] && !is_there[1]) {
        return err_set(err, ERR_NOT_FOUND, "%s has no %s", log->config.directory, name[0]);
    }
    *form = is_there[1];
    if ((status[*form].st_mode & 077) != 0) {
        return err_set(err, ERR_CONFIG, "%s/%s can be read by others: chmod 600 it",
                       log->config.directory, name[*form]);
    }
    return true;
}

static bool load_plain(const struct audit_log *log, const char *name, struct crypto_signer **out,
                       struct err *err)
{
    char *path = path_of(log, name, err);
    bool ok = path != NULL && crypto_signer_load(path, out, err);
    heap_free(path);
    return ok;
}

static bool load_sealed(const struct audit_log *log, const char *name, struct crypto_signer **out,
                        struct err *err)
{
    const struct audit_sealing *sealing = log->config.sealing;
    uint8_t seed[CRYPTO_ED25519_SEED_BYTES];
    struct buffer file;
    if (sealing == NULL) {
        return err_set(err, ERR_CONFIG,
                       "%s/%s is sealed to an image and a processor: it opens there alone, with "
                       "--seal on",
                       log->config.directory, name);
    }
    buffer_init(&file, AUDIT_SEALED_BYTES_MAX);
    bool ok = audit_part_read(log, name, &file, err);
    if (ok && !sealing->unseal(sealing->context, buffer_bytes(&file), seed, err)) {
        ok = err_wrap(err, "%s/%s", log->config.directory, name);
    } else if (ok) {
        *out = crypto_signer_from_seed(seed);
        ok = *out != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a signing key");
    }
    memory_wipe(seed, sizeof(seed));
    buffer_release(&file);
    return ok;
}

bool audit_key_file_load(const struct audit_log *log, enum audit_key_slot slot,
                         struct audit_private *out, struct err *err)
{
    uint8_t public_key[128];
    struct crypto_signer *signer = NULL;
    size_t form = 0;
    if (!find(log, slot, &form, err) ||
        !(form == 0 ? load_plain : load_sealed)(log, names[slot][form], &signer, err)) {
        return false;
    }
    if (crypto_signer_algorithm(signer) != CRYPTO_ED25519 ||
        crypto_signer_public(signer, public_key) != CRYPTO_ED25519_PUBLIC_BYTES) {
        crypto_signer_free(signer);
        return err_set(err, ERR_TAMPERED, "%s/%s is no key of a log: restore the right one",
                       log->config.directory, names[slot][form]);
    }
    out->signer = signer;
    out->is_sealed = form == 1;
    audit_key_init(&out->key, log->key.name, public_key);
    return true;
}

/* ---- writing ---- */

static bool save_plain(const struct audit_log *log, const char *name,
                       const struct crypto_signer *signer, struct err *err)
{
    char *path = path_of(log, name, err);
    bool ok = path != NULL && crypto_signer_save(signer, path, err);
    heap_free(path);
    return ok;
}

static bool save_sealed(const struct audit_log *log, const char *name,
                        const struct crypto_signer *signer, struct err *err)
{
    const struct audit_sealing *sealing = log->config.sealing;
    const struct audit_io *io = log->io;
    uint8_t seed[CRYPTO_ED25519_SEED_BYTES];
    struct buffer file;
    buffer_init(&file, AUDIT_SEALED_BYTES_MAX);
    crypto_signer_seed(signer, seed);
    bool ok = sealing->seal(sealing->context, seed, &file, err);
    memory_wipe(seed, sizeof(seed));
    if (ok && io->unlink(io->context, log->directory_fd, SEALED_TEMPORARY) != 0 &&
        errno != ENOENT) {
        ok = err_set(err, ERR_IO, "%s: unlink: %s", SEALED_TEMPORARY, strerror(errno));
    }
    ok = ok && audit_io_create_file(io, log->directory_fd, SEALED_TEMPORARY, 0600,
                                    buffer_bytes(&file), err);
    if (ok && io->rename(io->context, log->directory_fd, SEALED_TEMPORARY, name) != 0) {
        ok = err_set(err, ERR_IO, "%s: rename: %s", name, strerror(errno));
    }
    buffer_release(&file);
    return ok;
}

bool audit_key_file_save(const struct audit_log *log, enum audit_key_slot slot,
                         const struct audit_private *private, struct err *err)
{
    const char *name = names[slot][private->is_sealed];
    struct stat status;
    assert(!private->is_sealed || log->config.sealing != NULL);
    for (size_t i = 0; i < 2; i++) {
        if (fstatat(log->directory_fd, names[slot][i], &status, AT_SYMLINK_NOFOLLOW) == 0) {
            return err_set(err, ERR_IO, "%s/%s is in the way", log->config.directory,
                           names[slot][i]);
        }
    }
    if (!(private->is_sealed ? save_sealed : save_plain)(log, name, private->signer, err)) {
        return false;
    }
    return log->io->sync(log->io->context, log->directory_fd) == 0 ||
           err_set(err, ERR_IO, "%s: fsync of the directory: %s", name, strerror(errno));
}

bool audit_key_file_promote(const struct audit_log *log, bool is_sealed, struct err *err)
{
    const struct audit_io *io = log->io;
    const char *other = names[AUDIT_KEY_CURRENT][!is_sealed];
    const char *name = names[AUDIT_KEY_CURRENT][is_sealed];
    struct stat status;
    if (fstatat(log->directory_fd, other, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        (io->unlink(io->context, log->directory_fd, other) != 0 ||
         io->sync(io->context, log->directory_fd) != 0)) {
        return err_set(err, ERR_IO, "%s: unlink: %s", other, strerror(errno));
    }
    return (io->rename(io->context, log->directory_fd, names[AUDIT_KEY_NEXT][is_sealed], name) ==
                0 &&
            io->sync(io->context, log->directory_fd) == 0) ||
           err_set(err, ERR_IO, "%s: rename: %s", name, strerror(errno));
}

bool audit_key_file_remove_next(const struct audit_log *log, bool is_sealed, struct err *err)
{
    const char *name = names[AUDIT_KEY_NEXT][is_sealed];
    return log->io->unlink(log->io->context, log->directory_fd, name) == 0 ||
           err_set(err, ERR_IO, "%s: unlink: %s", name, strerror(errno));
}

/* ---- from outside ---- */

static bool is_there(const char *directory, const char *name)
{
    char path[4096 + 64];
    struct stat status;
    int size = snprintf(path, sizeof(path), "%s/%s", directory, name);
    return size > 0 && (size_t)size < sizeof(path) && stat(path, &status) == 0;
}

void audit_log_key_forms(const char *directory, bool *plain, bool *sealed)
{
    *plain = is_there(directory, names[AUDIT_KEY_CURRENT][0]) ||
             is_there(directory, names[AUDIT_KEY_NEXT][0]);
    *sealed = is_there(directory, names[AUDIT_KEY_CURRENT][1]) ||
              is_there(directory, names[AUDIT_KEY_NEXT][1]);
}
