/* init.c: making a log: directory, keys, entry file, and the INIT leaf under the first checkpoint.
 *
 * The checkpoint comes last, so what a crash leaves half made is refused by opening and by a second
 * init; it holds nothing yet, and a person removes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/key_file.h"

#include "base/arena.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NODE_ID_BYTES = 8 };

/* An existing directory is fine if it is empty. */
static bool directory_make(const struct audit_io *io, const char *directory, struct err *err)
{
    if (io->make_directory(io->context, AT_FDCWD, directory, 0700) == 0) {
        return true;
    }
    if (errno != EEXIST) {
        return err_set(err, ERR_IO, "%s: %s", directory, strerror(errno));
    }
    DIR *listing = opendir(directory);
    if (listing == NULL) {
        return err_set(err, ERR_IO, "%s: %s", directory, strerror(errno));
    }
    const struct dirent *entry;
    bool empty = true;
    while (empty && (entry = readdir(listing)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    closedir(listing);
    return empty ||
           err_set(err, ERR_BUSY, "%s is not empty: a log is made in a new directory", directory);
}

static void origin_make(char out[static AUDIT_ORIGIN_CHARS_MAX + 1])
{
    uint8_t id[NODE_ID_BYTES];
    char hex[2 * NODE_ID_BYTES + 1];
    crypto_random(id, sizeof(id));
    text_hex_encode(bytes_of(id, sizeof(id)), hex);
    (void)snprintf(out, AUDIT_ORIGIN_CHARS_MAX + 1, "wasm-hypervisor.local/%s", hex);
}

static bool keys_make(struct audit_log *log, const char *origin, struct err *err)
{
    uint8_t public_key[128];
    struct audit_key key;
    struct buffer line;
    bool ok = false;
    buffer_init(&line, AUDIT_VKEY_CHARS_MAX + 1);
    if (log->signer == NULL) {
        log->signer = crypto_signer_generate(CRYPTO_ED25519);
    }
    if (log->signer == NULL) {
        err_set(err, ERR_NO_MEMORY, "no memory for the signing key");
        goto out;
    }
    (void)crypto_signer_public(log->signer, public_key);
    audit_key_init(&key, origin, public_key);
    if (!audit_key_set(log, &key, err)) {
        goto out;
    }
    buffer_printf(&line, "%s\n", audit_log_vkey(log));
    if (line.failed) {
        err_set(err, ERR_NO_MEMORY, "no memory for the verifier key");
        goto out;
    }
    const struct audit_private private = {.signer = log->signer,
                                          .is_sealed = log->config.seals_new_keys};
    ok = audit_key_file_save(log, AUDIT_KEY_CURRENT, &private, err) &&
         audit_io_create_file(log->io, log->directory_fd, AUDIT_VKEY_FILE, 0644,
                              buffer_bytes(&line), err);
out:
    buffer_release(&line);
    return ok;
}

static bool entries_make(struct audit_log *log, struct err *err)
{
    if (log->io->make_directory(log->io->context, log->directory_fd, AUDIT_ENTRIES_DIRECTORY,
                                0700) != 0) {
        return err_set(err, ERR_IO, "%s: %s", AUDIT_ENTRIES_DIRECTORY, strerror(errno));
    }
    return audit_segment_begin(log, err);
}

static bool first_commit(struct audit_log *log, struct err *err)
{
    struct audit_pending *pending = NULL;
    struct list batch;
    bool ok = false;
    json_t *fields = json_object();
    list_init(&batch);
    if (json_object_set_new(fields, "origin", json_string(log->key.name)) != 0 ||
        json_object_set_new(fields, "vkey", json_string(audit_log_vkey(log))) != 0) {
        err_set(err, ERR_NO_MEMORY, "no memory for the first log entry");
        goto out;
    }
    if (!audit_pending_new(log, AUDIT_INIT, fields, &pending, err)) {
        goto out;
    }
    list_push_back(&batch, &pending->link);
    ok = audit_log_commit(log, &batch, err);
    audit_log_answer(log, &batch, ok);
out:
    json_decref(fields);
    return ok;
}

/* The new directory's own name has to survive, too. */
static bool parent_sync(const struct audit_io *io, const char *directory, struct err *err)
{
    bool ok = false;
    struct buffer parent;
    buffer_init(&parent, 64 * 1024);
    buffer_printf(&parent, "%s/..", directory);
    buffer_append_u8(&parent, '\0');
    if (parent.failed) {
        buffer_release(&parent);
        return err_set(err, ERR_NO_MEMORY, "no memory for a path");
    }
    int fd = io->open(io->context, AT_FDCWD, (const char *)parent.ptr, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0) {
        ok = io->sync(io->context, fd) == 0;
    }
    if (!ok) {
        err_set(err, ERR_IO, "%s: %s", (const char *)parent.ptr, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    buffer_release(&parent);
    return ok;
}

bool audit_log_init_with(const struct audit_io *io, const struct audit_config *config,
                         const char *origin, struct crypto_signer *signer, struct err *err)
{
    char made[AUDIT_ORIGIN_CHARS_MAX + 1];
    struct audit_log *log = NULL;
    if (origin == NULL) {
        origin_make(made);
        origin = made;
    }
    if (!audit_name_is_valid(bytes_of_string(origin))) {
        crypto_signer_free(signer);
        return err_set(err, ERR_CONFIG,
                       "a log's origin has 1 to %d characters, no blanks and no '+'",
                       AUDIT_ORIGIN_CHARS_MAX);
    }
    if (!directory_make(io, config->directory, err) || !audit_log_new(io, config, &log, err)) {
        crypto_signer_free(signer);
        return false;
    }
    log->signer = signer; /* transferred */
    bool ok = keys_make(log, origin, err) && entries_make(log, err) && first_commit(log, err) &&
              audit_log_save(log, err) && parent_sync(io, config->directory, err);
    audit_log_free(log);
    return ok;
}

bool audit_log_make(const struct audit_config *config, const char *origin, struct err *err)
{
    return audit_log_init_with(&audit_io_system, config, origin, NULL, err);
}
