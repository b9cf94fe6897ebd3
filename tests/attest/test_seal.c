/* test_seal.c: sealed keys: that they open again, and everything that keeps them from it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/forge.h"
#include "attest/seal.h"
#include "attest/simulated_files.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
static const uint8_t secret[ATTEST_SEALED_SECRET_BYTES] = "thirty-two bytes that are secret";

/* A processor whose derived key changes with nothing but `chip`, so that what refuses is the file's
 * own header and not only the key. */
struct processor {
    uint8_t chip;
    struct tee_derived says;
    uint64_t asked;
};

static bool derive(void *context, uint64_t fields, struct tee_derived *out, struct err *error)
{
    struct processor *processor = context;
    (void)error;
    processor->asked = fields;
    *out = processor->says;
    memset(out->key, processor->chip, sizeof out->key);
    return true;
}

static const struct processor usual = {
    .chip = 7, .says = {.root_key = "vcek", .measurement = {1, 2, 3}, .guest_policy = 0x30000}};

static struct attest_sealer *sealer_of(struct processor *processor)
{
    struct attest_sealer *sealer = NULL;
    const struct tee tee = {.name = "sev-guest", .derived_key = derive, .context = processor};
    cr_assert(attest_sealer_new(&tee, &sealer, &err), "%s", err.message);
    return sealer;
}

static void seal(struct processor processor, enum attest_seal_purpose purpose, struct buffer *out)
{
    struct attest_sealer *sealer = sealer_of(&processor);
    buffer_init(out, ATTEST_SEALED_BYTES_MAX);
    cr_assert(attest_seal(sealer, purpose, secret, out, &err), "%s", err.message);
    attest_sealer_free(sealer);
}

static bool unseal(struct processor processor, enum attest_seal_purpose purpose, struct bytes file)
{
    uint8_t out[ATTEST_SEALED_SECRET_BYTES];
    struct attest_sealer *sealer = sealer_of(&processor);
    bool ok = attest_unseal(sealer, purpose, file, out, &err);
    attest_sealer_free(sealer);
    cr_assert(!ok || memcmp(out, secret, sizeof out) == 0);
    return ok;
}

static void assert_refused(struct processor processor, enum attest_seal_purpose purpose,
                           struct bytes file, enum err_code code, const char *words)
{
    cr_assert_not(unseal(processor, purpose, file));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

Test(attest_seal, what_was_sealed_opens_again_and_is_bound_to_measurement_and_policy)
{
    struct processor processor = usual;
    struct buffer file;
    struct attest_sealer *sealer = sealer_of(&processor);
    cr_assert_eq(processor.asked, 9); /* bits 0 and 3 of the firmware's ABI */
    cr_assert_not_null(strstr(attest_sealer_bound_to(sealer), "measurement 010203000000"));
    cr_assert_not_null(strstr(attest_sealer_bound_to(sealer), "guest policy 0x30000"));
    attest_sealer_free(sealer);
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    cr_assert(unseal(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file)), "%s", err.message);
    buffer_release(&file);
}

Test(attest_seal, the_same_secret_is_never_sealed_the_same_way_twice)
{
    struct buffer one, two;
    struct sealed a, b;
    seal(usual, ATTEST_SEAL_LOG_KEY, &one);
    seal(usual, ATTEST_SEAL_LOG_KEY, &two);
    cr_assert(sealed_read(buffer_bytes(&one), &a, &err) &&
              sealed_read(buffer_bytes(&two), &b, &err));
    cr_assert_neq(memcmp(a.nonce, b.nonce, sizeof a.nonce), 0);
    cr_assert_neq(memcmp(a.ciphertext, b.ciphertext, sizeof a.ciphertext), 0);
    buffer_release(&one);
    buffer_release(&two);
}

Test(attest_seal, each_purpose_has_a_key_of_its_own)
{
    struct buffer file, renamed;
    struct sealed sealed;
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    assert_refused(usual, ATTEST_SEAL_STORE_KEY, buffer_bytes(&file), ERR_CONFIG,
                   "sealed as a log key, not as a store key");
    cr_assert(sealed_read(buffer_bytes(&file), &sealed, &err));
    sealed.purpose = ATTEST_SEAL_STORE_KEY; /* relabelled */
    buffer_init(&renamed, ATTEST_SEALED_BYTES_MAX);
    sealed_write(&sealed, &renamed);
    assert_refused(usual, ATTEST_SEAL_STORE_KEY, buffer_bytes(&renamed), ERR_TAMPERED,
                   "does not open");
    buffer_release(&file);
    buffer_release(&renamed);
}

Test(attest_seal, another_image_policy_or_processor_is_told_apart)
{
    struct buffer file;
    struct processor other = usual;
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    other.says.measurement[47] = 0xFE;
    assert_refused(other, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file), ERR_CONFIG,
                   "sealed for measurement 0102030000000000000000000000000000000000000000000000000"
                   "00000000000000000000000000000000000000000, this VM measures 010203");
    cr_assert_not_null(strstr(err.message, "00fe"), "%s", err.message);
    other = usual;
    other.says.guest_policy = 0xB0000;
    assert_refused(other, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file), ERR_CONFIG,
                   "sealed for guest policy 0x30000, this VM has 0xb0000");
    other = usual;
    other.says.root_key = "simulated";
    assert_refused(other, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file), ERR_CONFIG,
                   "sealed under the root key vcek, this VM has simulated");
    other = usual;
    other.chip = 8;
    assert_refused(other, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file), ERR_TAMPERED,
                   "another processor");
    buffer_release(&file);
}

Test(attest_seal, other_guest_fields_are_refused)
{
    struct buffer file, changed;
    struct sealed sealed;
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    cr_assert(sealed_read(buffer_bytes(&file), &sealed, &err));
    sealed.fields = 8;
    buffer_init(&changed, ATTEST_SEALED_BYTES_MAX);
    sealed_write(&sealed, &changed);
    assert_refused(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&changed), ERR_CONFIG,
                   "guest fields 0x8");
    buffer_release(&file);
    buffer_release(&changed);
}

Test(attest_seal, no_bit_of_a_file_can_be_changed)
{
    struct buffer file;
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    for (size_t bit = 0; bit < 8 * file.size; bit++) {
        file.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
        cr_assert_not(unseal(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file)), "bit %zu", bit);
        file.ptr[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    cr_assert(unseal(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file)));
    buffer_release(&file);
}

Test(attest_seal, a_file_has_one_spelling)
{
    struct buffer file, other;
    seal(usual, ATTEST_SEAL_LOG_KEY, &file);
    for (size_t size = 0; size < file.size; size++) {
        assert_refused(usual, ATTEST_SEAL_LOG_KEY, bytes_of(file.ptr, size), ERR_FORMAT,
                       "not a sealed key");
    }
    buffer_init(&other, 2 * ATTEST_SEALED_BYTES_MAX);
    buffer_append_bytes(&other, buffer_bytes(&file));
    buffer_append_u8(&other, '\n');
    assert_refused(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&other), ERR_FORMAT, "not a sealed");
    other.size = 0;
    buffer_append_string(&other, "{\"more\":1,");
    buffer_append(&other, file.ptr + 1, file.size - 1);
    assert_refused(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&other), ERR_FORMAT, "not a sealed");
    other.size = 0;
    buffer_append_string(&other, "{ ");
    buffer_append(&other, file.ptr + 1, file.size - 1);
    assert_refused(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&other), ERR_FORMAT, "not a sealed");
    while (!other.failed && other.size <= ATTEST_SEALED_BYTES_MAX) {
        buffer_append_u8(&other, ' ');
    }
    assert_refused(usual, ATTEST_SEAL_LOG_KEY, buffer_bytes(&other), ERR_FORMAT, "not a sealed");
    buffer_release(&file);
    buffer_release(&other);
}

Test(attest_seal, every_lack_of_memory_is_one)
{
    struct processor processor = usual;
    const struct tee tee = {.name = "sev-guest", .derived_key = derive, .context = &processor};
    uint8_t out[ATTEST_SEALED_SECRET_BYTES];
    size_t failures = 0;
    bool ok = false;
    for (size_t n = 1; !ok; n++) {
        struct attest_sealer *sealer = NULL;
        struct buffer file;
        buffer_init(&file, ATTEST_SEALED_BYTES_MAX);
        heap_fail_after(n);
        ok = attest_sealer_new(&tee, &sealer, &err) &&
             attest_seal(sealer, ATTEST_SEAL_LOG_KEY, secret, &file, &err) &&
             attest_unseal(sealer, ATTEST_SEAL_LOG_KEY, buffer_bytes(&file), out, &err);
        heap_fail_after(0);
        cr_assert(ok || err.code == ERR_NO_MEMORY, "allocation %zu: %s", n, err.message);
        failures += !ok;
        buffer_release(&file);
        attest_sealer_free(sealer);
    }
    cr_assert_gt(failures, 3);
    cr_assert_arr_eq(out, secret, sizeof out);
}

static bool refuse(void *context, uint64_t fields, struct tee_derived *out, struct err *error)
{
    (void)context;
    (void)fields;
    (void)out;
    return err_set(error, ERR_BUSY, "the host is busy");
}

Test(attest_seal, without_a_derived_key_there_is_no_sealer)
{
    struct attest_sealer *sealer = NULL;
    struct tee tee = {.name = "sev-guest", .derived_key = refuse};
    cr_assert_not(attest_sealer_new(&tee, &sealer, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    tee_none_new(&tee);
    cr_assert_not(attest_sealer_new(&tee, &sealer, &err));
    cr_assert_eq(err.code, ERR_CONFIG);
    cr_assert_not_null(strstr(err.message, "\"none\" derives no keys"));
    cr_assert_null(sealer);
}

/* ---- the simulator ---- */

static char directory[] = "/tmp/wh-seal-XXXXXX";

static const char *secret_path(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/sealing-secret.bin", directory);
    return path;
}

static void copy_signer(void)
{
    char command[4096];
    struct tee tee;
    cr_assert(tee_simulated_new(forge_simulated_directory(), &clock_system, &tee, &err), "%s",
              err.message);
    tee.free(tee.context);
    cr_assert_not_null(mkdtemp(directory));
    snprintf(command, sizeof command, "cp -p %s/*.pem %s/*.bin %s/", forge_simulated_directory(),
             forge_simulated_directory(), directory);
    cr_assert_eq(system(command), 0);
}

static void remove_signer(void)
{
    char command[4096];
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
}

static bool simulate(uint64_t fields, struct tee_derived *out)
{
    struct tee tee;
    cr_assert(tee_simulated_new(directory, &clock_system, &tee, &err), "%s", err.message);
    bool ok = tee.derived_key(tee.context, fields, out, &err);
    tee.free(tee.context);
    return ok;
}

Test(attest_seal, the_simulator_derives_one_key_for_each_binding, .init = copy_signer,
     .fini = remove_signer)
{
    struct tee_derived one, two;
    struct stat status;
    cr_assert_neq(access(secret_path(), F_OK), 0);
    cr_assert(simulate(SEAL_FIELDS, &one) && simulate(SEAL_FIELDS, &two));
    cr_assert_arr_eq(one.key, two.key, sizeof one.key);
    cr_assert_str_eq(one.root_key, "simulated");
    cr_assert_eq(one.guest_policy, 0x30000);
    cr_assert_eq(stat(secret_path(), &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0600);
    for (uint64_t fields = 0; fields < SEAL_FIELDS; fields++) {
        cr_assert(simulate(fields, &two));
        cr_assert_neq(memcmp(one.key, two.key, sizeof one.key), 0);
    }
    cr_assert_eq(unlink(secret_path()), 0); /* another simulator */
    cr_assert(simulate(SEAL_FIELDS, &two));
    cr_assert_neq(memcmp(one.key, two.key, sizeof one.key), 0);
}

Test(attest_seal, a_simulators_secret_that_is_open_or_cut_is_refused, .init = copy_signer,
     .fini = remove_signer)
{
    struct tee_derived derived;
    cr_assert(simulate(SEAL_FIELDS, &derived));
    cr_assert_eq(chmod(secret_path(), 0640), 0);
    cr_assert_not(simulate(SEAL_FIELDS, &derived));
    cr_assert_eq(err.code, ERR_FORBIDDEN, "%s", err.message);
    cr_assert_eq(chmod(secret_path(), 0600), 0);
    for (off_t size = 0; size <= SIMULATED_SECRET_BYTES + 1; size++) {
        cr_assert_eq(truncate(secret_path(), size), 0);
        cr_assert_eq(simulate(SEAL_FIELDS, &derived), size == SIMULATED_SECRET_BYTES);
        cr_assert(size == SIMULATED_SECRET_BYTES || err.code == ERR_FORMAT, "%s", err.message);
    }
}
