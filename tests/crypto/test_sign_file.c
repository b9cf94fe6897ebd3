/* test_sign_file.c: signing keys in files: round trips, and every file that must be refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/wh-sign-XXXXXX";
static char path[64];
static struct err err;
static struct crypto_signer *signer;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/key.pem", directory);
}

static void teardown(void)
{
    crypto_signer_free(signer);
    (void)unlink(path);
    (void)rmdir(directory);
}

TestSuite(crypto_sign_file, .init = setup, .fini = teardown);

static void write_file(const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void assert_load_fails(enum err_code code)
{
    cr_assert_not(crypto_signer_load(path, &signer, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_null(signer);
}

static void assert_round_trip(enum crypto_signature_algorithm algorithm)
{
    uint8_t before[97], after[97], signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    struct crypto_signer *made = crypto_signer_generate(algorithm);
    cr_assert(crypto_signer_save(made, path, &err), "%s", err.message);
    struct stat status;
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert(crypto_signer_load(path, &signer, &err), "%s", err.message);
    cr_assert_eq(crypto_signer_algorithm(signer), algorithm);
    size_t key_size = crypto_signer_public(made, before);
    cr_assert_eq(crypto_signer_public(signer, after), key_size);
    cr_assert_arr_eq(before, after, key_size);
    cr_assert(crypto_signer_sign(signer, bytes_of_string("x"), signature, &size));
    cr_assert(crypto_verify(algorithm, bytes_of(before, key_size), bytes_of_string("x"),
                            bytes_of(signature, size)));
    crypto_signer_free(made);
}

Test(crypto_sign_file, ed25519_comes_back)
{
    assert_round_trip(CRYPTO_ED25519);
}

Test(crypto_sign_file, p256_comes_back)
{
    assert_round_trip(CRYPTO_ECDSA_P256_SHA256);
}

Test(crypto_sign_file, p384_comes_back)
{
    assert_round_trip(CRYPTO_ECDSA_P384_SHA384);
}

Test(crypto_sign_file, save_never_overwrites)
{
    char text[8] = {0};
    write_file("mine", 0600);
    struct crypto_signer *made = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert_not(crypto_signer_save(made, path, &err));
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_not_null(strstr(err.message, strerror(EEXIST)));
    FILE *file = fopen(path, "r");
    cr_assert_eq(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    cr_assert_str_eq(text, "mine");
    crypto_signer_free(made);
}

Test(crypto_sign_file, save_into_no_directory_is_an_error)
{
    struct crypto_signer *made = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert_not(crypto_signer_save(made, "/nonexistent-directory/key.pem", &err));
    cr_assert_eq(err.code, ERR_IO);
    crypto_signer_free(made);
}

Test(crypto_sign_file, load_of_a_missing_file_is_an_error)
{
    assert_load_fails(ERR_IO);
}

Test(crypto_sign_file, load_refuses_a_directory)
{
    cr_assert_not(crypto_signer_load(directory, &signer, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
}

Test(crypto_sign_file, load_refuses_keys_that_others_can_read)
{
    struct crypto_signer *made = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert(crypto_signer_save(made, path, &err));
    crypto_signer_free(made);
    const mode_t open_modes[] = {0604, 0602, 0601, 0620, 0666};
    for (size_t i = 0; i < sizeof open_modes / sizeof open_modes[0]; i++) {
        cr_assert_eq(chmod(path, open_modes[i]), 0);
        assert_load_fails(ERR_FORBIDDEN);
    }
    const mode_t closed_modes[] = {0400, 0600, 0440, 0640};
    for (size_t i = 0; i < sizeof closed_modes / sizeof closed_modes[0]; i++) {
        struct crypto_signer *loaded = NULL;
        cr_assert_eq(chmod(path, closed_modes[i]), 0);
        cr_assert(crypto_signer_load(path, &loaded, &err), "%s", err.message);
        crypto_signer_free(loaded);
    }
}

Test(crypto_sign_file, load_refuses_what_is_no_key)
{
    static const char *const texts[] = {
        "",
        "garbage",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
        /* a public key */
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
        "-----END PUBLIC KEY-----\n",
        /* X25519: a key, but none that signs */
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
        "-----END PRIVATE KEY-----\n",
        /* encrypted: must not ask anybody for a passphrase */
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjQdbPvBDWZ0wICCAAw\n"
        "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEGh0T2dHoD2yT7wYpR1W1UgEQPaJ\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_file(texts[i], 0600);
        assert_load_fails(ERR_FORMAT);
    }
}
