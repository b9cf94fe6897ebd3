/* sign_file.c: signing keys in files: PKCS#8 PEM, unencrypted, for the owner's eyes only.
 *
 * What is read or written is secret, so it lives in buffers that are wiped.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/file.h"
#include "crypto/sign.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

enum { KEY_FILE_BYTES_MAX = 16 * 1024 };

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

bool crypto_signer_save(const struct crypto_signer *signer, const char *path, struct err *err)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
    long size = 0;
    if (bio != NULL &&
        PEM_write_bio_PKCS8PrivateKey(bio, signer->native, NULL, NULL, 0, NULL, NULL) == 1) {
        size = BIO_get_mem_data(bio, &text);
    }
    bool ok = size > 0 ? file_create(path, bytes_of(text, (size_t)size), err)
                       : err_set(err, ERR_CRYPTO, "cannot encode the key for %s", path);
    BIO_free(bio);
    (void)crypto_fail();
    return ok;
}
