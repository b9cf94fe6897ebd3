/* tee_simulated.c: a software signer that writes reports of the exact form that the hardware
 * writes.
 *
 * It proves nothing: whoever holds the directory can sign what he likes. It is there so that
 * everything around a report runs where there is no such hardware, and verifiers refuse it unless
 * its root is named.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/chain.h"
#include "attest/inspection.h"
#include "attest/simulated_files.h"

#include "base/arena.h"

#include <string.h>

struct simulated {
    struct simulated_files files;
    struct report template; /* everything but the user data */
    char *directory;
};

static void template_fill(struct report *report, const struct simulated_files *files)
{
    *report = (struct report){
        .version = 3,
        .policy = REPORT_POLICY_RESERVED_ONE | UINT64_C(1) << 16, /* SMT allowed */
        .signature_algorithm = REPORT_ALGORITHM_ECDSA_P384_SHA384,
        .current_tcb = SIMULATED_TCB,
        .reported_tcb = SIMULATED_TCB,
        .committed_tcb = SIMULATED_TCB,
        .launch_tcb = SIMULATED_TCB,
        .key_info = REPORT_KEY_VCEK << 2,
        .cpu_family = SIMULATED_CPU_FAMILY,
        .cpu_model = SIMULATED_CPU_MODEL,
        .cpu_stepping = SIMULATED_CPU_STEPPING,
        .current_version = {1, 55, 1},
        .committed_version = {1, 55, 1},
    };
    crypto_sha384(bytes_of_string("wasm-hypervisor simulated measurement"), report->measurement);
    crypto_random(report->report_id, sizeof report->report_id);
    memset(report->report_id_ma, 0xFF, sizeof report->report_id_ma); /* no migration agent */
    memcpy(report->chip_id, files->chip_id, sizeof report->chip_id);
}

static bool sign(const struct simulated *simulated, uint8_t raw[static ATTEST_REPORT_BYTES])
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    if (!crypto_signer_sign_p1363(simulated->files.key, bytes_of(raw, REPORT_SIGNED_BYTES),
                                  signature, &size) ||
        size != REPORT_P1363_BYTES) {
        return false;
    }
    report_signature_put(raw, signature);
    return true;
}

static bool report(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *out, struct buffer *certificates, struct err *err)
{
    const struct simulated *simulated = context;
    struct report report = simulated->template;
    memcpy(report.report_data, user_data, sizeof report.report_data);
    report_build(&report, out);
    if (!sign(simulated, out)) {
        return err_set(err, ERR_CRYPTO, "cannot sign the simulated report");
    }
    buffer_append_bytes(certificates, buffer_bytes(&simulated->files.certificates));
    return !certificates->failed || err_set(err, ERR_NO_MEMORY, "no room for certificates");
}

/* As the processor does it: a secret of its own, and what the caller wants it bound to. */
static bool derived_key(void *context, uint64_t fields, struct tee_derived *out, struct err *err)
{
    const struct simulated *simulated = context;
    uint8_t secret[SIMULATED_SECRET_BYTES];
    struct buffer info;
    if (!simulated_secret_open(simulated->directory, secret, err)) {
        return err_wrap(err, "the simulated signer");
    }
    buffer_init(&info, 256);
    buffer_append_string(&info, "wasm-hypervisor/1 simulated derived key");
    buffer_append_u64be(&info, fields);
    if ((fields & TEE_BIND_MEASUREMENT) != 0) {
        buffer_append(&info, simulated->template.measurement, sizeof out->measurement);
    }
    if ((fields & TEE_BIND_POLICY) != 0) {
        buffer_append_u64be(&info, simulated->template.policy);
    }
    bool ok = !info.failed && crypto_hkdf_expand(bytes_of(secret, sizeof secret),
                                                 buffer_bytes(&info), out->key, sizeof out->key);
    out->root_key = "simulated";
    out->guest_policy = simulated->template.policy;
    memcpy(out->measurement, simulated->template.measurement, sizeof out->measurement);
    memory_wipe(secret, sizeof secret);
    buffer_release(&info);
    return ok || err_set(err, ERR_NO_MEMORY, "no memory for a derived key");
}

static void release(void *context)
{
    struct simulated *simulated = context;
    heap_free(simulated->directory);
    simulated_files_release(&simulated->files);
    heap_free(simulated);
}

/* A report made with what was loaded must verify: key and leaf belong together, nothing has
 * expired. */
static bool try_out(struct simulated *simulated, const char *directory, int64_t now_ms,
                    struct err *err)
{
    const struct attest_policy policy = {.allow_any_simulated_root = true, .now_ms = now_ms};
    const uint8_t user_data[ATTEST_USER_DATA_BYTES] = {0};
    struct attest_result result;
    struct bytes certificates[CHAIN_CERTIFICATES_MAX];
    uint8_t raw[ATTEST_REPORT_BYTES];
    size_t count = 0;
    struct buffer chain;
    buffer_init(&chain, ATTEST_CERTIFICATES_BYTES_MAX);
    bool ok = report(simulated, user_data, raw, &chain, err);
    ok = ok && (chain_split(buffer_bytes(&chain), certificates, &count) ||
                err_set(err, ERR_FORMAT, "the certificates in %s are malformed", directory));
    if (ok) {
        attest_report_verify("simulated", bytes_of(raw, sizeof raw), certificates, count, &policy,
                             &result);
    }
    for (size_t i = 0; ok && i < result.check_count; i++) {
        if (result.checks[i].outcome == ATTEST_FAILED) {
            ok =
                err_set(err, ERR_TAMPERED,
                        "the simulated signer in %s does not verify (%s: %s); remove the directory "
                        "to have a new one made",
                        directory, result.checks[i].name, result.checks[i].detail);
        }
    }
    buffer_release(&chain);
    return ok;
}

bool tee_simulated_new(const char *directory, const struct clock *clock, struct tee *out,
                       struct err *err)
{
    int64_t now_ms = clock_wall_ms(clock);
    struct simulated *simulated = HEAP_NEW(struct simulated);
    if (simulated == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the simulated signer");
    }
    if (!simulated_files_open(&simulated->files, directory, now_ms, err)) {
        heap_free(simulated);
        return err_wrap(err, "the simulated signer");
    }
    simulated->directory = heap_strdup(directory);
    if (simulated->directory == NULL) {
        release(simulated);
        return err_set(err, ERR_NO_MEMORY, "no memory for the simulated signer");
    }
    template_fill(&simulated->template, &simulated->files);
    if (!try_out(simulated, directory, now_ms, err)) {
        release(simulated);
        return false;
    }
    *out = (struct tee){.name = "simulated",
                        .report = report,
                        .derived_key = derived_key,
                        .free = release,
                        .context = simulated};
    return true;
}
