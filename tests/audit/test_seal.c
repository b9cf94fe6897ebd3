/* test_seal.c: logs whose private key is sealed: what opens them, what does not, and how a log
 * comes to a sealed key and away from it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/key_file.h"
#include "audit/support.h"
#include "audit/verify.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAIN, SEALED };
static const char *const key_names[] = {"signing-key.pem", "signing-key.sealed"};
static const char *const next_names[] = {"signing-key.next.pem", "signing-key.next.sealed"};

/* The context is the image: a byte that masks what is sealed and stands before it. */
static uint8_t seen_seed[CRYPTO_ED25519_SEED_BYTES];
static bool seals;

static bool fake_seal(void *context, const uint8_t seed[static CRYPTO_ED25519_SEED_BYTES],
                      struct buffer *out, struct err *err)
{
    const uint8_t *image = context;
    memcpy(seen_seed, seed, sizeof(seen_seed));
    buffer_append_u8(out, *image);
    for (size_t i = 0; i < CRYPTO_ED25519_SEED_BYTES; i++) {
        buffer_append_u8(out, seed[i] ^ *image);
    }
    return seals || err_set(err, ERR_CRYPTO, "it does not seal");
}

static bool fake_unseal(void *context, struct bytes sealed,
                        uint8_t seed[static CRYPTO_ED25519_SEED_BYTES], struct err *err)
{
    const uint8_t *image = context;
    if (sealed.size != 1 + CRYPTO_ED25519_SEED_BYTES) {
        return err_set(err, ERR_FORMAT, "this is not a sealed key");
    }
    if (sealed.ptr[0] != *image) {
        return err_set(err, ERR_FORBIDDEN, "sealed for another image");
    }
    for (size_t i = 0; i < CRYPTO_ED25519_SEED_BYTES; i++) {
        seed[i] = sealed.ptr[1 + i] ^ *image;
    }
    return true;
}

static uint8_t image_one = 0xA5;
static uint8_t image_two = 0x5A;
static const struct audit_sealing one = {fake_seal, fake_unseal, &image_one};
static const struct audit_sealing two = {fake_seal, fake_unseal, &image_two};

static char directory[PATH_BYTES];

static void setup(void)
{
    seals = true;
    directory_make(directory);
}

static void teardown(void)
{
    directory_remove(directory);
}

TestSuite(audit_seal, .init = setup, .fini = teardown);

static bool is_there(const char *name)
{
    char path[PATH_BYTES];
    path_join(path, directory, name);
    return access(path, F_OK) == 0;
}

static void make(int form)
{
    struct err err;
    const struct audit_config config = {.directory = directory,
                                        .clock = &clock_system,
                                        .sealing = &one,
                                        .seals_new_keys = form == SEALED};
    cr_assert(audit_log_make(&config, "log.example/s", &err), "%s", err.message);
}

static struct audit_log *open_as(const struct audit_sealing *sealing, int next_form,
                                 struct err *err)
{
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    const struct audit_config config = {.directory = directory,
                                        .clock = &clock_system,
                                        .sealing = sealing,
                                        .seals_new_keys = next_form == SEALED};
    return audit_log_open(&config, NULL, NULL, &log, &recovery, err) ? log : NULL;
}

static struct audit_log *open_well(int next_form)
{
    struct err err;
    struct audit_log *log = open_as(&one, next_form, &err);
    cr_assert_not_null(log, "%s", err.message);
    return log;
}

static void expect_refused(const struct audit_sealing *sealing, enum err_code code,
                           const char *words)
{
    struct err err;
    cr_assert_null(open_as(sealing, SEALED, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

static void expect_one_key(int form)
{
    bool plain, sealed;
    audit_log_key_forms(directory, &plain, &sealed);
    cr_assert(plain == (form == PLAIN) && sealed == (form == SEALED));
    cr_assert(is_there(key_names[form]) && !is_there(key_names[!form]));
    cr_assert_not(is_there(next_names[PLAIN]) || is_there(next_names[SEALED]));
    cr_assert_not(is_there("signing-key.sealed.tmp"));
}

static void expect_nowhere(const void *secret, size_t secret_size)
{
    DIR *listing = opendir(directory);
    size_t looked_at = 0;
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        size_t size = 0;
        uint8_t *content =
            entry->d_type == DT_REG ? file_read(directory, entry->d_name, &size) : NULL;
        if (content != NULL) {
            looked_at++;
            cr_assert_null(memmem(content, size, secret, secret_size), "%s", entry->d_name);
        }
        heap_free(content);
    }
    closedir(listing);
    cr_assert_geq(looked_at, 3);
}

Test(audit_seal, a_sealed_log_goes_on_where_it_was_sealed_and_its_key_is_in_no_file)
{
    struct stat status;
    char path[PATH_BYTES];
    make(SEALED);
    for (int i = 0; i < 3; i++) {
        struct audit_log *log = open_well(SEALED);
        log_result(log, log_admit(log, i));
        audit_log_close(log);
    }
    expect_one_key(SEALED);
    expect_nowhere(seen_seed, sizeof(seen_seed));
    expect_nowhere("PRIVATE KEY", 11);
    path_join(path, directory, "signing-key.sealed");
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_eq(log_verdict(directory), AUDIT_OK);
}

Test(audit_seal, a_sealed_key_opens_nowhere_else_and_nothing_takes_its_place)
{
    char path[PATH_BYTES];
    size_t size = 0;
    make(SEALED);
    path_join(path, directory, "signing-key.sealed");
    expect_refused(NULL, ERR_CONFIG, "is sealed to an image and a processor");
    expect_refused(&two, ERR_FORBIDDEN, "signing-key.sealed: sealed for another image");
    cr_assert_eq(chmod(path, 0640), 0);
    expect_refused(&one, ERR_CONFIG, "can be read by others");
    cr_assert_eq(chmod(path, 0600), 0);
    uint8_t *key = file_read(directory, "signing-key.sealed", &size);
    cr_assert_eq(truncate(path, (off_t)size - 1), 0);
    expect_refused(&one, ERR_FORMAT, "not a sealed key");
    key[5] ^= 1; /* this fake notices nothing, but it is another key */
    file_write(directory, "signing-key.sealed", key, size);
    cr_assert_eq(chmod(path, 0600), 0);
    expect_refused(&one, ERR_TAMPERED, "another private key");
    cr_assert_eq(unlink(path), 0);
    expect_refused(&one, ERR_TAMPERED, "has no signing-key");
    cr_assert_not(is_there("signing-key.sealed") || is_there("signing-key.pem"));
    key[5] ^= 1;
    file_write(directory, "signing-key.sealed", key, size);
    cr_assert_eq(chmod(path, 0600), 0);
    file_write(directory, "signing-key.pem", "x", 1);
    expect_refused(&one, ERR_TAMPERED, "has both signing-key.pem and signing-key.sealed");
    cr_assert_eq(unlink((path_join(path, directory, "signing-key.pem"), path)), 0);
    audit_log_close(open_well(SEALED));
    heap_free(key);
}

Test(audit_seal, a_change_of_the_key_seals_it_unseals_it_or_keeps_it_as_it_is)
{
    static const int forms[] = {PLAIN, SEALED, SEALED, PLAIN, PLAIN};
    char first[512];
    make(forms[0]);
    for (size_t i = 1; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct audit_log *log = open_well(forms[i]);
        snprintf(first, sizeof(first), "%s", audit_log_first_vkey(log));
        log_result(log, log_admit(log, (int)i));
        log_rotate_key(log);
        log_result(log, log_admit(log, (int)i));
        audit_log_close(log);
        expect_one_key(forms[i]);
    }
    struct audit_report report;
    struct err err;
    cr_assert(
        audit_verify_directory(directory, first, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_assert_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_assert_eq(report.rotation_count, 4);
}

static void copy_to(const char *to, const char *from, const char *name, const char *as)
{
    size_t size = 0;
    char path[PATH_BYTES];
    uint8_t *content = file_read(from, name, &size);
    cr_assert_not_null(content, "%s", name);
    file_write(to, as, content, size);
    path_join(path, to, as);
    cr_assert_eq(chmod(path, 0600), 0);
    heap_free(content);
}

/* The directory as a crash between the steps of a change to the other form leaves it. */
static void crash_after(int steps, int from, const char *before, const char *after)
{
    static const char *const parts[] = {"entries/000000000000.log", "checkpoint", "log.vkey"};
    char path[PATH_BYTES];
    log_copy(before, directory);
    if (steps < 5) { /* else the old key is gone */
        copy_to(directory, before, key_names[from], key_names[from]);
    } else {
        unlink((path_join(path, directory, key_names[from]), path));
    }
    copy_to(directory, after, key_names[!from], steps < 6 ? next_names[!from] : key_names[!from]);
    for (int i = 0; i < 3 && steps >= 2 + i; i++) {
        copy_to(directory, after, parts[i], parts[i]);
    }
}

/* The one that will sign counts already. */
static void expect_forms(bool plain, bool sealed, int step)
{
    bool is_plain, is_sealed;
    audit_log_key_forms(directory, &is_plain, &is_sealed);
    cr_assert(is_plain == plain && is_sealed == sealed, "step %d: %d %d", step, is_plain,
              is_sealed);
}

static void crash_in_a_change(int from)
{
    char before[PATH_BYTES], after[PATH_BYTES], vkeys[2][512];
    directory_make(before);
    directory_make(after);
    make(from);
    log_copy(directory, before);
    copy_to(before, directory, key_names[from], key_names[from]);
    struct audit_log *log = open_well(!from);
    snprintf(vkeys[0], sizeof(vkeys[0]), "%s", audit_log_vkey(log));
    log_rotate_key(log);
    snprintf(vkeys[1], sizeof(vkeys[1]), "%s", audit_log_vkey(log));
    audit_log_close(log);
    log_copy(directory, after);
    copy_to(after, directory, key_names[!from], key_names[!from]);
    for (int steps = 1; steps <= 6; steps++) {
        directory_remove(directory);
        directory_make(directory);
        crash_after(steps, from, before, after);
        expect_forms(from == SEALED || steps < 5, from == PLAIN || steps < 5, steps);
        log = open_well(from);
        cr_assert_str_eq(audit_log_vkey(log), vkeys[steps >= 2], "step %d", steps);
        log_result(log, log_admit(log, 1));
        audit_log_close(log);
        expect_one_key(steps >= 2 ? !from : from);
        cr_assert_eq(log_verdict(directory), AUDIT_OK, "step %d", steps);
    }
    directory_remove(before);
    directory_remove(after);
}

Test(audit_seal, a_crash_while_a_key_is_sealed_is_mended)
{
    crash_in_a_change(PLAIN);
}

Test(audit_seal, a_crash_while_a_key_is_unsealed_is_mended)
{
    crash_in_a_change(SEALED);
}

Test(audit_seal, what_cannot_be_sealed_is_not_used)
{
    struct err err;
    make(SEALED);
    struct audit_log *log = open_well(SEALED);
    char vkey[512];
    snprintf(vkey, sizeof(vkey), "%s", audit_log_vkey(log));
    seals = false;
    cr_assert_not(audit_log_rotate_key(log, NULL, NULL, &err));
    cr_assert_eq(err.code, ERR_CRYPTO, "%s", err.message);
    log_result(log, log_admit(log, 1));
    cr_assert_str_eq(audit_log_vkey(log), vkey);
    audit_log_close(log);
    expect_one_key(SEALED);
    directory_remove(directory);
    const struct audit_config config = {
        .directory = directory, .clock = &clock_system, .sealing = &one, .seals_new_keys = true};
    cr_assert_not(audit_log_make(&config, NULL, &err));
    cr_assert_eq(err.code, ERR_CRYPTO);
    cr_assert_not(is_there(key_names[PLAIN]) || is_there(key_names[SEALED]));
}
