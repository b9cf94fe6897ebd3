/* attest_verify.c: `attest verify`: evidence from a file, every check by name.
 *
 * What it takes is told apart by its first byte: JSON is evidence as a node serves it (or an answer
 * that contains it), everything else is a bare report, which needs a certificate beside it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"

#include <string.h>

enum { FILE_BYTES_MAX = 256 * 1024, CERTIFICATE_FILES_MAX = 8 };

enum verify_flag {
    VERIFY_CERTS = 1,
    VERIFY_CRL,
    VERIFY_POLICY,
    VERIFY_ALLOW_SIMULATED,
    VERIFY_NONCE,
    VERIFY_AT,
    VERIFY_JSON,
};

struct verify_request {
    const char *path;
    const char *certificates[CERTIFICATE_FILES_MAX];
    size_t certificate_count;
    const char *crl;
    const char *policy;
    struct attest_root root;
    int64_t now_ms;
    uint8_t nonce[ATTEST_NONCE_BYTES_MAX + 2]; /* decoding writes whole groups of three */
    size_t nonce_size;
    bool json;
};

/* ---- Input ---- */

static bool certificates_read(const struct verify_request *request, struct buffer *out,
                              struct err *err)
{
    for (size_t i = 0; i < request->certificate_count; i++) {
        uint8_t *content = NULL;
        size_t size = 0;
        if (!cli_file_read(request->certificates[i], FILE_BYTES_MAX, &content, &size, err)) {
            return false;
        }
        bool ok = attest_certificates_add(bytes_of(content, size), out, err);
        heap_free(content);
        if (!ok) {
            return err_wrap(err, "%s", request->certificates[i]);
        }
    }
    return true;
}

static bool crl_read(const struct verify_request *request, struct attest_policy_file *policy,
                     struct err *err)
{
    uint8_t *content = NULL, *der = NULL;
    size_t size = 0, der_size = 0;
    if (request->crl == NULL) {
        return true;
    }
    if (!cli_file_read(request->crl, FILE_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    bool ok = attest_crl_read(bytes_of(content, size), &der, &der_size, err);
    heap_free(content);
    if (!ok) {
        return err_wrap(err, "%s", request->crl);
    }
    policy->policy.crl = arena_copy(&policy->arena, bytes_of(der, der_size));
    heap_free(der);
    return policy->policy.crl.ptr != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool policy_read(const struct verify_request *request, struct attest_policy_file *policy,
                        struct err *err)
{
    attest_policy_file_init(policy);
    bool ok = (request->policy == NULL || attest_policy_file_load(policy, request->policy, err)) &&
              crl_read(request, policy, err);
    policy->policy.now_ms = request->now_ms;
    attest_root_apply(&request->root, &policy->policy);
    policy->policy.nonce = bytes_of(request->nonce, request->nonce_size);
    return ok;
}

/* ---- Output ---- */

static const struct attest_check *first_failure(const struct attest_result *result)
{
    const struct attest_check *found = NULL;
    for (size_t i = 0; i < result->check_count; i++) {
        const struct attest_check *check = &result->checks[i];
        if (check->outcome == ATTEST_FAILED && (found == NULL || check->class < found->class)) {
            found = check;
        }
    }
    return found;
}

static void result_print(const struct attest_result *result)
{
    for (size_t i = 0; i < result->check_count; i++) {
        const struct attest_check *check = &result->checks[i];
        printf("%-14s  %-22s  %s\n", attest_outcome_name(check->outcome), check->name,
               check->detail);
    }
    const struct attest_check *failure = first_failure(result);
    if (failure == NULL) {
        printf("OK%s\n", result->simulated ? ": simulated, no hardware vouches for it" : "");
    } else {
        printf("REFUSED (%s): %s: %s\n", attest_class_name(failure->class), failure->name,
               failure->detail);
    }
}

static bool result_json(const struct attest_result *result)
{
    char root[2 * sizeof result->root_sha256 + 1], measurement[2 * sizeof result->measurement + 1];
    json_t *checks = json_array();
    text_hex_encode(bytes_of(result->root_sha256, sizeof result->root_sha256), root);
    text_hex_encode(bytes_of(result->measurement, sizeof result->measurement), measurement);
    for (size_t i = 0; checks != NULL && i < result->check_count; i++) {
        const struct attest_check *check = &result->checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s, s:s}", "name", check->name,
                                                "class", attest_class_name(check->class), "outcome",
                                                attest_outcome_name(check->outcome), "detail",
                                                check->detail));
    }
    const struct attest_check *failure = first_failure(result);
    return cli_print_json(
        json_pack("{s:b, s:s?, s:s?, s:s, s:b, s:s?, s:s?, s:o}", "ok", result->ok, "failure",
                  failure == NULL ? NULL : attest_class_name(failure->class), "failed_check",
                  failure == NULL ? NULL : failure->name, "provider", result->provider, "simulated",
                  result->simulated, "root_sha256", result->ok ? root : NULL, "measurement",
                  result->ok ? measurement : NULL, "checks", checks));
}

static int exit_code(const struct attest_result *result)
{
    static const int codes[] = {
        [ATTEST_FORMAT] = CLI_MALFORMED,
        [ATTEST_CRYPTOGRAPHY] = CLI_UNVERIFIED,
        [ATTEST_POLICY] = CLI_REFUSED,
    };
    return result->ok ? CLI_OK : codes[result->failure];
}

int attest_result_tell(const struct cli_command *command, const struct attest_result *result,
                       bool as_json)
{
    if (!as_json) {
        result_print(result);
    } else if (!result_json(result)) {
        cli_complain(command, "out of memory");
        return CLI_INTERNAL;
    }
    return exit_code(result);
}

/* ---- The command ---- */

static bool is_json(struct bytes content)
{
    size_t i = 0;
    while (i < content.size && strchr(" \t\r\n", content.ptr[i]) != NULL && content.ptr[i] != 0) {
        i++;
    }
    return i < content.size && content.ptr[i] == '{';
}

/* Of an answer to POST /v1/keys, as `exec --save` keeps it, the key is verified as well. */
static void evidence_verify(struct bytes content, const struct attest_policy *policy,
                            struct attest_result *result)
{
    json_t *json = NULL;
    struct err err;
    if (!json_text_parse(content, &json, &err)) {
        json = NULL; /* and evidence_format says so */
    }
    attest_evidence_verify(json, policy, result);
    json_decref(json);
}

static bool has_failed(const struct attest_result *result, const char *name)
{
    for (size_t i = 0; i < result->check_count; i++) {
        if (strcmp(result->checks[i].name, name) == 0) {
            return result->checks[i].outcome == ATTEST_FAILED;
        }
    }
    return false;
}

/* A bare report does not say who made it: it is hardware's, unless its root is not AMD's and a
 * simulated one was allowed. */
static void report_verify(struct bytes report, struct bytes certificates,
                          const struct attest_policy *policy, struct attest_result *result)
{
    attest_report_verify_collected("sev-guest", report, certificates, policy, result);
    if ((policy->allowed_simulated_root != NULL || policy->allow_any_simulated_root) &&
        has_failed(result, "root_pinned")) {
        attest_report_verify_collected("simulated", report, certificates, policy, result);
    }
}

static bool verify(const struct verify_request *request, struct attest_result *result,
                   struct err *err)
{
    struct attest_policy_file policy;
    struct buffer certificates;
    uint8_t *content = NULL;
    size_t size = 0;
    buffer_init(&certificates, FILE_BYTES_MAX);
    bool ok = policy_read(request, &policy, err) &&
              certificates_read(request, &certificates, err) &&
              cli_file_read(request->path, FILE_BYTES_MAX, &content, &size, err);
    if (ok && is_json(bytes_of(content, size))) {
        evidence_verify(bytes_of(content, size), &policy.policy, result);
    } else if (ok) {
        report_verify(bytes_of(content, size), buffer_bytes(&certificates), &policy.policy, result);
    }
    heap_free(content);
    buffer_release(&certificates);
    attest_policy_file_release(&policy);
    return ok;
}

static bool take_time(const struct cli_command *command, const char *text, int64_t *out)
{
    char whole[64];
    int size = strlen(text) == strlen("2026-11-21")
                   ? snprintf(whole, sizeof whole, "%sT00:00:00Z", text)
                   : snprintf(whole, sizeof whole, "%s", text);
    if (size < 0 || (size_t)size >= sizeof whole ||
        !clock_rfc3339_decode(whole, strlen(whole), out)) {
        cli_complain_usage(command, "--at takes 2026-11-21 or 2026-11-21T12:00:00Z, not '%s'",
                           text);
        return false;
    }
    return true;
}

bool attest_root_read(const char *text, struct attest_root *out)
{
    out->is_any = strcmp(text, "any") == 0;
    out->is_named = text_hex_decode(text, strlen(text), out->sha256, sizeof out->sha256);
    return out->is_any || out->is_named;
}

bool attest_root_take(const struct cli_command *command, const char *text, struct attest_root *out)
{
    bool ok = attest_root_read(text, out);
    if (!ok) {
        cli_complain_usage(command,
                           "--allow-simulated takes 64 hexadecimal digits, the SHA-256 of "
                           "the simulator's root certificate, or any; not '%s'",
                           text);
    }
    return ok;
}

void attest_root_apply(const struct attest_root *root, struct attest_policy *policy)
{
    policy->allowed_simulated_root = root->is_named ? root->sha256 : NULL;
    policy->allow_any_simulated_root = root->is_any;
}

static bool take_nonce(const struct cli_command *command, const char *text,
                       struct verify_request *request)
{
    size_t chars = strlen(text);
    if (chars > text_base64_encoded_size(ATTEST_NONCE_BYTES_MAX) ||
        !text_base64_decode(text, chars, request->nonce, &request->nonce_size) ||
        request->nonce_size == 0 || request->nonce_size > ATTEST_NONCE_BYTES_MAX) {
        cli_complain_usage(command, "--nonce takes up to %d bytes in base64, not '%s'",
                           ATTEST_NONCE_BYTES_MAX, text);
        return false;
    }
    return true;
}

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct verify_request *request = context;
    switch (id) {
    case VERIFY_CERTS:
        if (request->certificate_count == CERTIFICATE_FILES_MAX) {
            cli_complain_usage(options->command, "--certs takes %d files at most",
                               CERTIFICATE_FILES_MAX);
            return false;
        }
        request->certificates[request->certificate_count++] = text;
        return true;
    case VERIFY_CRL:
        return cli_options_word(options, text, &request->crl);
    case VERIFY_POLICY:
        return cli_options_word(options, text, &request->policy);
    case VERIFY_ALLOW_SIMULATED:
        return attest_root_take(options->command, text, &request->root);
    case VERIFY_NONCE:
        return take_nonce(options->command, text, request);
    case VERIFY_AT:
        return take_time(options->command, text, &request->now_ms);
    case VERIFY_JSON:
        request->json = true;
        return true;
    default:
        return cli_options_word(options, text, &request->path);
    }
}

static int attest_verify_main(const struct cli_command *command, int argc, char **argv)
{
    struct verify_request request = {.now_ms = clock_wall_ms(&clock_system)};
    static struct attest_result result;
    struct err err;
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.path == NULL) {
        return cli_complain_usage(command, "which report? name a file, or - for standard input");
    }
    if (!verify(&request, &result, &err)) {
        (void)cli_complain_err(command, &err);
        return err.code == ERR_NO_MEMORY ? CLI_INTERNAL : CLI_USAGE;
    }
    return attest_result_tell(command, &result, request.json);
}

static const struct cli_option attest_verify_options[] = {
    {VERIFY_CERTS, "certs", "FILE",
     "certificates for a bare report, in DER, PEM or a host's table; may be\n"
     "repeated. AMD's own authorities are known: the leaf is enough"},
    {VERIFY_CRL, "crl", "FILE", "AMD's revocation list for that line, in DER or PEM"},
    {VERIFY_POLICY, "policy", "FILE",
     "what you accept, as YAML (docs/attestation.md); without it the strict\n"
     "default: genuine, not debuggable, not migratable, committed firmware"},
    {VERIFY_ALLOW_SIMULATED, "allow-simulated", "SHA256",
     "accept a simulated node whose root certificate has this hash, or any\n"
     "simulated node with the word any: for trials, it proves nothing"},
    {VERIFY_NONCE, "nonce", "BASE64",
     "the nonce that was sent: it must be the one that was signed"},
    {VERIFY_AT, "at", "TIME", "judge as of this time, 2026-11-21T12:00:00Z (default: now)"},
    {VERIFY_JSON, "json", NULL, "print one JSON object"},
};

const struct cli_command cli_command_attest_verify = {
    .name = "attest verify",
    .synopsis = "REPORT [--certs FILE]... [--policy FILE] [--allow-simulated SHA256] [OPTIONS]",
    .summary = "check a node's evidence, every check by name",
    .description =
        "  Verifies REPORT: a bare SEV-SNP report of 1184 bytes with --certs, or evidence in JSON\n"
        "  as a node serves it (GET /v1/attestation), or an answer to POST /v1/keys, of which it\n"
        "  verifies the request key as well. Needs no network and asks nobody. Prints one line "
        "for\n"
        "  each check: passed, failed, skipped (what it looks at is missing because another "
        "failed)\n"
        "  or not applicable (not asked for), and why. The last line is the verdict.\n",
    .options = attest_verify_options,
    .option_count = sizeof attest_verify_options / sizeof attest_verify_options[0],
    .notes =
        "EXIT STATUS\n"
        "  0 accepted, 2 wrong usage or unreadable file, 4 cryptography: nobody vouches for it,\n"
        "  12 policy: genuine, but not what you accept, 13 format: it is no such evidence,\n"
        "  70 internal error\n\n"
        "EXAMPLES\n"
        "  wasm-hypervisor attest verify report.bin --certs vcek.der --policy policy.yaml\n"
        "  wasm-hypervisor attest report --node http://127.0.0.1:3000 | \\\n"
        "      wasm-hypervisor attest verify - --allow-simulated any\n"
        "  wasm-hypervisor attest verify kept/key.json --allow-simulated any\n",
    .run = attest_verify_main,
};
