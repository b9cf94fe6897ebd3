/* test_tee.c: the providers: the simulated signer and its directory, and none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/chain.h"
#include "attest/forge.h"
#include "attest/inspection.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/wh-tee-XXXXXX";
static struct err err;
static struct tee provider;

static int64_t later_ms(void *context)
{
    (void)context;
    return clock_wall_ms(&clock_system) + 8 * 365 * FORGE_DAY_MS;
}

static uint64_t no_time(void *context)
{
    (void)context;
    return 0;
}

/* A copy of the shared signer in a directory of this test's own. */
static void setup(void)
{
    char command[4096];
    cr_assert(tee_simulated_new(forge_simulated_directory(), &clock_system, &provider, &err), "%s",
              err.message);
    provider.free(provider.context);
    cr_assert_not_null(mkdtemp(directory));
    snprintf(command, sizeof command, "cp -p %s/* %s/", forge_simulated_directory(), directory);
    cr_assert_eq(system(command), 0);
}

static void teardown(void)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(attest_tee, .init = setup, .fini = teardown);

static const char *path_of(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void assert_refused(enum err_code code)
{
    cr_assert_not(tee_simulated_new(directory, &clock_system, &provider, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
}

Test(attest_tee, simulated_report_verifies_and_echoes)
{
    uint8_t user_data[ATTEST_USER_DATA_BYTES], raw[ATTEST_REPORT_BYTES];
    struct bytes certificates[CHAIN_CERTIFICATES_MAX];
    struct buffer chain;
    struct report report;
    struct attest_result result;
    size_t count = 0;
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err), "%s", err.message);
    cr_assert_str_eq(provider.name, "simulated");
    crypto_random(user_data, sizeof user_data);
    buffer_init(&chain, ATTEST_CERTIFICATES_BYTES_MAX);
    cr_assert(provider.report(provider.context, user_data, raw, &chain, &err), "%s", err.message);
    report_parse(raw, &report);
    cr_assert_arr_eq(report.report_data, user_data, sizeof user_data);
    cr_assert(chain_split(buffer_bytes(&chain), certificates, &count));
    cr_assert_eq(count, 3);
    const struct attest_policy policy = {.allow_any_simulated_root = true,
                                         .now_ms = clock_wall_ms(&clock_system)};
    attest_report_verify("simulated", bytes_of(raw, sizeof raw), certificates, count, &policy,
                         &result);
    forge_assert_result_ok(&result);
    attest_report_verify("sev-guest", bytes_of(raw, sizeof raw), certificates, count, &policy,
                         &result);
    cr_assert_eq(forge_check(&result, "root_pinned")->outcome, ATTEST_FAILED);
    buffer_release(&chain);
    provider.free(provider.context);
}

Test(attest_tee, simulated_signer_is_made_once_and_kept_private)
{
    struct stat status;
    uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0}, raw[ATTEST_REPORT_BYTES];
    struct buffer first, second;
    buffer_init(&first, ATTEST_CERTIFICATES_BYTES_MAX);
    buffer_init(&second, ATTEST_CERTIFICATES_BYTES_MAX);
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err));
    cr_assert(provider.report(provider.context, user_data, raw, &first, &err));
    provider.free(provider.context);
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err));
    cr_assert(provider.report(provider.context, user_data, raw, &second, &err));
    provider.free(provider.context);
    cr_assert(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    buffer_release(&first);
    buffer_release(&second);
    cr_assert_eq(stat(forge_simulated_directory(), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0700);
    cr_assert_eq(stat(path_of("vcek-key.pem"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(stat(path_of("certificates.bin"), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
}

Test(attest_tee, certificates_without_a_key_are_made_anew)
{
    struct buffer before, after;
    uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0}, raw[ATTEST_REPORT_BYTES];
    buffer_init(&before, ATTEST_CERTIFICATES_BYTES_MAX);
    buffer_init(&after, ATTEST_CERTIFICATES_BYTES_MAX);
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err));
    cr_assert(provider.report(provider.context, user_data, raw, &before, &err));
    provider.free(provider.context);
    cr_assert_eq(unlink(path_of("vcek-key.pem")),
                 0); /* as a crash before the last step leaves it */
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err), "%s", err.message);
    cr_assert(provider.report(provider.context, user_data, raw, &after, &err));
    provider.free(provider.context);
    cr_assert_not(bytes_equal(buffer_bytes(&before), buffer_bytes(&after)));
    buffer_release(&before);
    buffer_release(&after);
}

Test(attest_tee, directory_open_to_others_is_refused)
{
    const mode_t modes[] = {0701, 0710, 0750, 0755, 0777};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        cr_assert_eq(chmod(directory, modes[i]), 0);
        assert_refused(ERR_FORBIDDEN);
    }
    cr_assert_eq(chmod(directory, 0700), 0);
}

Test(attest_tee, key_open_to_others_is_refused)
{
    cr_assert_eq(chmod(path_of("vcek-key.pem"), 0644), 0);
    assert_refused(ERR_FORBIDDEN);
}

Test(attest_tee, directory_that_is_none_is_refused)
{
    cr_assert_not(tee_simulated_new("/nonexistent/simulated", &clock_system, &provider, &err));
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_not(tee_simulated_new(path_of("vcek-key.pem"), &clock_system, &provider, &err));
    cr_assert_eq(err.code, ERR_IO);
    char path[5000];
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    cr_assert_not(tee_simulated_new(path, &clock_system, &provider, &err));
    cr_assert(err.code == ERR_LIMIT || err.code == ERR_IO, "%s", err.message);
}

static void overwrite(const char *name, const void *bytes, size_t size)
{
    int fd = open(path_of(name), O_WRONLY | O_TRUNC);
    cr_assert(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

Test(attest_tee, corrupt_files_are_refused)
{
    uint8_t bytes[ATTEST_CERTIFICATES_BYTES_MAX];
    int fd = open(path_of("certificates.bin"), O_RDONLY);
    ssize_t size = read(fd, bytes, sizeof bytes);
    close(fd);
    cr_assert(size > 1000);
    overwrite("certificates.bin", "", 0);
    assert_refused(ERR_FORMAT);
    overwrite("certificates.bin", bytes, (size_t)size - 1);
    assert_refused(ERR_FORMAT);
    bytes[size - 1] ^= 1; /* the root's signature */
    overwrite("certificates.bin", bytes, (size_t)size);
    assert_refused(ERR_TAMPERED);
    bytes[size - 1] ^= 1;
    overwrite("certificates.bin", bytes, (size_t)size);
    cr_assert(tee_simulated_new(directory, &clock_system, &provider, &err), "%s", err.message);
    provider.free(provider.context);
    cr_assert_eq(unlink(path_of("certificates.bin")), 0);
    assert_refused(ERR_IO);
    overwrite("vcek-key.pem", "garbage", 7);
    assert_refused(ERR_FORMAT);
}

Test(attest_tee, another_key_than_the_leafs_is_refused)
{
    cr_assert_eq(unlink(path_of("vcek-key.pem")), 0);
    struct crypto_signer *other = crypto_signer_generate(CRYPTO_ECDSA_P384_SHA384);
    cr_assert(crypto_signer_save(other, path_of("vcek-key.pem"), &err));
    crypto_signer_free(other);
    assert_refused(ERR_TAMPERED);
    cr_assert_not_null(strstr(err.message, "report_signature"), "%s", err.message);
    cr_assert_eq(unlink(path_of("vcek-key.pem")), 0);
    other = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert(crypto_signer_save(other, path_of("vcek-key.pem"), &err));
    crypto_signer_free(other);
    assert_refused(ERR_CRYPTO);
}

Test(attest_tee, expired_signer_is_refused)
{
    const struct clock later = {.monotonic_ns = no_time, .wall_ms = later_ms, .context = NULL};
    cr_assert_not(tee_simulated_new(directory, &later, &provider, &err));
    cr_assert_eq(err.code, ERR_TAMPERED);
    cr_assert_not_null(strstr(err.message, "certificate_time"), "%s", err.message);
}

Test(attest_tee, none_makes_no_reports)
{
    uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0}, raw[ATTEST_REPORT_BYTES];
    struct buffer chain;
    buffer_init(&chain, ATTEST_CERTIFICATES_BYTES_MAX);
    tee_none_new(&provider);
    cr_assert_str_eq(provider.name, "none");
    cr_assert_not(provider.report(provider.context, user_data, raw, &chain, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    provider.free(provider.context);
}

Test(attest_chain, splits_what_was_appended_and_nothing_else)
{
    struct bytes out[CHAIN_CERTIFICATES_MAX];
    struct buffer chain;
    size_t count = 99;
    buffer_init(&chain, 4096);
    cr_assert(chain_split(buffer_bytes(&chain), out, &count));
    cr_assert_eq(count, 0);
    for (int i = 0; i < CHAIN_CERTIFICATES_MAX; i++) {
        chain_append(&chain, bytes_of_string("abc"));
    }
    cr_assert(chain_split(buffer_bytes(&chain), out, &count));
    cr_assert_eq(count, CHAIN_CERTIFICATES_MAX);
    cr_assert(bytes_equal(out[7], bytes_of_string("abc")));
    for (size_t cut = 1; cut < 7; cut++) {
        struct bytes whole = buffer_bytes(&chain);
        cr_assert_not(chain_split(bytes_of(whole.ptr, whole.size - cut), out, &count));
    }
    chain_append(&chain, bytes_of_string("one too many"));
    cr_assert_not(chain_split(buffer_bytes(&chain), out, &count));
    buffer_release(&chain);
}
