/* sign_file.c: signing keys in files: PKCS#8 PEM, unencrypted, for the owner's eyes only.
 *
 * What is read or written is secret, so it lives in buffers that are wiped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "crypto/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

enum { KEY_FILE_BYTES_MAX = 16 * 1024, KEY_FILE_MODE = 0600 };

static bool io_failed(struct err *err, const char *what, const char *path)
{
    return err_set(err, ERR_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* *size is what was there, at most `capacity`. */
static bool read_whole(int fd, uint8_t *out, size_t capacity, size_t *size)
{
    size_t done = 0;
    while (done < capacity) {
        ssize_t got = read(fd, out + done, capacity - done);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            return false;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    *size = done;
    return true;
}

static bool write_whole(int fd, struct bytes in)
{
    size_t done = 0;
    while (done < in.size) {
        ssize_t put = write(fd, in.ptr + done, in.size - done);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool check_and_read(int fd, const char *path, uint8_t *out, size_t *size, struct err *err)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return io_failed(err, "look at", path);
    }
    if (!S_ISREG(status.st_mode)) {
        return err_set(err, ERR_FORMAT, "%s is not a regular file", path);
    }
    if ((status.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
        return err_set(err, ERR_FORBIDDEN,
                       "%s holds a private key but its mode is %03o; make it 600 (chmod 600)", path,
                       (unsigned)status.st_mode & 0777U);
    }
    if (!read_whole(fd, out, KEY_FILE_BYTES_MAX, size)) {
        return io_failed(err, "read", path);
    }
    return true;
}

/* An encrypted key is refused rather than asked about on the terminal. */
static int no_passphrase_cb(char *out, int size, int writing, void *context)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

static bool parse(struct bytes pem, const char *path, struct crypto_signer **out, struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.size);
    EVP_PKEY *native =
        bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase_cb, NULL);
    BIO_free(bio);
    struct crypto_signer *signer = crypto_signer_of(native);
    if (signer == NULL) {
        (void)crypto_fail();
        return err_set(err, ERR_FORMAT,
                       "%s is not an unencrypted PKCS#8 PEM key of a kind that is used here", path);
    }
    *out = signer;
    return true;
}

bool crypto_signer_load(const char *path, struct crypto_signer **out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return io_failed(err, "open", path);
    }
    size_t size = 0;
    uint8_t *pem = heap_alloc(KEY_FILE_BYTES_MAX);
    bool ok = pem != NULL || err_set(err, ERR_NO_MEMORY, "no memory to read %s", path);
    ok = ok && check_and_read(fd, path, pem, &size, err) &&
         parse(bytes_of(pem, size), path, out, err);
    if (pem != NULL) {
        memory_wipe(pem, KEY_FILE_BYTES_MAX);
    }
    heap_free(pem);
    close(fd);
    return ok;
}

/* The file's name is durable only once its directory is. */
static bool sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    char *directory = heap_strdup(slash == NULL ? "." : path);
    if (directory == NULL) {
        errno = ENOMEM;
        return false;
    }
    if (slash != NULL) {
        directory[size == 0 ? 1 : size] = '\0'; /* the root keeps its slash */
    }
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    heap_free(directory);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool save(struct bytes pem, const char *path, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, KEY_FILE_MODE);
    if (fd < 0) {
        return io_failed(err, "create", path);
    }
    bool ok = write_whole(fd, pem) && fsync(fd) == 0;
    ok = close(fd) == 0 && ok && sync_directory_of(path);
    if (!ok) {
        (void)io_failed(err, "write", path);
        (void)unlink(path); /* half a key is of no use */
    }
    return ok;
}

bool crypto_signer_save(const struct crypto_signer *signer, const char *path, struct err *err)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    long size = 0;
    if (bio != NULL &&
        PEM_write_bio_PKCS8PrivateKey(bio, signer->native, NULL, NULL, 0, NULL, NULL) == 1) {
        size = BIO_get_mem_data(bio, &text);
    }
    bool ok = size > 0 ? save(bytes_of(text, (size_t)size), path, err)
                       : err_set(err, ERR_CRYPTO, "cannot encode the key for %s", path);
    BIO_free(bio);
    (void)crypto_fail();
    return ok;
}
