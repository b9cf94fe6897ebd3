/* simulated_files.c: keeps the simulated signer in a directory (0700):
 *
 *   certificates.bin   the chain (chain.h), 0600
 *   vcek-key.pem       the VCEK's private key, 0600; written last, so that it stands for the whole
 *   sealing-secret.bin the root of derived keys, 32 bytes, 0600; there once one was asked for
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/simulated_files.h"

#include "attest/certificate.h"
#include "attest/chain.h"
#include "attest/simulated_make.h"
#include "base/arena.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES_MAX = 4096, DIRECTORY_MODE = 0700 };

struct paths {
    char key[PATH_BYTES_MAX];
    char certificates[PATH_BYTES_MAX];
    char secret[PATH_BYTES_MAX];
};

static bool io_failed(struct err *err, const char *what, const char *path)
{
    return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

static bool path_join(const char *directory, const char *name, char out[static PATH_BYTES_MAX],
                      struct err *err)
{
    int size = snprintf(out, PATH_BYTES_MAX, "%s/%s", directory, name);
    return (size > 0 && size < PATH_BYTES_MAX) || err_set(err, ERR_LIMIT, "the path is too long");
}

static bool paths_of(struct paths *paths, const char *directory, struct err *err)
{
    return path_join(directory, "vcek-key.pem", paths->key, err) &&
           path_join(directory, "certificates.bin", paths->certificates, err) &&
           path_join(directory, "sealing-secret.bin", paths->secret, err);
}

/* The directory's descriptor, locked, and the paths of what is in it; or -1. */
static int directory_open(const char *directory, struct paths *paths, struct err *err)
{
    struct stat status;
    if (!paths_of(paths, directory, err)) {
        return -1;
    }
    if (mkdir(directory, DIRECTORY_MODE) != 0 && errno != EEXIST) {
        (void)io_failed(err, "make the directory", directory);
        return -1;
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        (void)io_failed(err, "open the directory", directory);
        return -1;
    }
    if (fstat(fd, &status) != 0 || flock(fd, LOCK_EX) != 0) {
        (void)io_failed(err, "lock the directory", directory);
    } else if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        (void)err_set(err, ERR_FORBIDDEN,
                      "%s holds a private key but its mode is %03o; make it 700", directory,
                      (unsigned)status.st_mode & 0777U);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static bool make(const struct paths *paths, int64_t now_ms, struct err *err)
{
    struct buffer chain;
    buffer_init(&chain, ATTEST_CERTIFICATES_BYTES_MAX);
    struct crypto_signer *key = crypto_signer_generate(CRYPTO_ECDSA_P384_SHA384);
    bool ok = key != NULL || err_set(err, ERR_CRYPTO, "cannot make the simulated signer's key");
    ok = ok && simulated_make(key, now_ms, &chain, err) &&
         file_replace(paths->certificates, buffer_bytes(&chain), err) &&
         crypto_signer_save(key, paths->key, err);
    crypto_signer_free(key);
    buffer_release(&chain);
    return ok;
}

static bool certificates_read(const char *path, struct buffer *out, struct err *err)
{
    uint8_t bytes[ATTEST_CERTIFICATES_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return io_failed(err, "open", path);
    }
    ssize_t size = read(fd, bytes, sizeof bytes);
    bool ok = size >= 0 || io_failed(err, "read", path);
    close(fd);
    if (ok) {
        buffer_append(out, bytes, (size_t)size);
    }
    return ok && (!out->failed || err_set(err, ERR_NO_MEMORY, "no memory for certificates"));
}

static bool chip_id_read(struct simulated_files *files, struct err *err)
{
    struct bytes certificates[CHAIN_CERTIFICATES_MAX];
    struct bytes id;
    size_t count = 0;
    struct x509_st *leaf = NULL;
    if (chain_split(buffer_bytes(&files->certificates), certificates, &count) && count > 0) {
        leaf = certificate_parse(certificates[0]);
    }
    bool ok = leaf != NULL && certificate_extension(leaf, CERTIFICATE_HARDWARE_ID, &id) &&
              id.size == sizeof files->chip_id;
    if (ok) {
        memcpy(files->chip_id, id.ptr, id.size);
    }
    certificate_free(leaf);
    return ok || err_set(err, ERR_FORMAT, "certificates.bin is not a simulated signer's chain");
}

bool simulated_files_open(struct simulated_files *files, const char *directory, int64_t now_ms,
                          struct err *err)
{
    struct paths paths;
    int fd = directory_open(directory, &paths, err);
    if (fd < 0) {
        return false;
    }
    files->key = NULL;
    buffer_init(&files->certificates, ATTEST_CERTIFICATES_BYTES_MAX);
    bool ok = access(paths.key, F_OK) == 0 || make(&paths, now_ms, err);
    ok = ok && crypto_signer_load(paths.key, &files->key, err) &&
         certificates_read(paths.certificates, &files->certificates, err) &&
         chip_id_read(files, err);
    close(fd); /* and with it the lock */
    if (!ok) {
        simulated_files_release(files);
    }
    return ok;
}

void simulated_files_release(struct simulated_files *files)
{
    crypto_signer_free(files->key);
    files->key = NULL;
    buffer_release(&files->certificates);
}

static bool secret_make(const char *path, struct err *err)
{
    uint8_t secret[SIMULATED_SECRET_BYTES];
    crypto_random(secret, sizeof secret);
    bool ok = file_create(path, bytes_of(secret, sizeof secret), err);
    memory_wipe(secret, sizeof secret);
    return ok;
}

static bool secret_read(const char *path, uint8_t out[static SIMULATED_SECRET_BYTES],
                        struct err *err)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return io_failed(err, "open", path);
    }
    bool ok = fstat(fd, &status) == 0 || io_failed(err, "look at", path);
    ok = ok && ((status.st_mode & (S_IRWXG | S_IRWXO)) == 0 ||
                err_set(err, ERR_FORBIDDEN, "%s holds a secret but its mode is %03o; make it 600",
                        path, (unsigned)status.st_mode & 0777U));
    ok = ok && ((status.st_size == SIMULATED_SECRET_BYTES &&
                 read(fd, out, SIMULATED_SECRET_BYTES) == SIMULATED_SECRET_BYTES) ||
                err_set(err, ERR_FORMAT, "%s is not a simulated signer's secret", path));
    close(fd);
    return ok;
}

bool simulated_secret_open(const char *directory, uint8_t out[static SIMULATED_SECRET_BYTES],
                           struct err *err)
{
    struct paths paths;
    int fd = directory_open(directory, &paths, err);
    if (fd < 0) {
        return false;
    }
    bool ok = (access(paths.secret, F_OK) == 0 || secret_make(paths.secret, err)) &&
              secret_read(paths.secret, out, err);
    close(fd);
    return ok;
}
