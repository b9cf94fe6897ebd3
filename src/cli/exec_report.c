/* exec_report.c: what `exec` prints and keeps once everything has been looked at.
 *
 * stdout gets the result and the two lines that say how far it can be believed. A result is shown
 * only if it was decrypted; whether it was verified is said beside it and in the exit code.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include "base/json.h"

#include <inttypes.h>
#include <string.h>

enum { PATH_CHARS_MAX = 4096 };

static const char *outcome_name(enum exec_outcome outcome)
{
    static const char *const names[] = {"unchecked", "verified", "failed"};
    return names[outcome];
}

static bool attestation_is_verified(const struct exec *exec)
{
    return exec->findings[EXEC_CHECK_ATTESTATION].outcome == EXEC_VERIFIED;
}

/* ---- JSON ---- */

static json_t *checks_json(const struct exec *exec)
{
    json_t *checks = json_object();
    for (enum exec_check i = 0; checks != NULL && i < EXEC_CHECK_COUNT; i++) {
        const struct exec_finding *finding = &exec->findings[i];
        json_t *row = json_pack("{s:s, s:s}", "outcome", outcome_name(finding->outcome), "detail",
                                finding->detail);
        if (json_object_set_new(checks, exec_check_name(i), row) != 0) {
            json_decref(checks);
            return NULL;
        }
    }
    return checks;
}

static json_t *attestation_json(const struct exec *exec)
{
    const struct attest_result *result = &exec->attestation;
    char root[2 * sizeof result->root_sha256 + 1], measurement[2 * sizeof result->measurement + 1];
    text_hex_encode(bytes_of(result->root_sha256, sizeof result->root_sha256), root);
    text_hex_encode(bytes_of(result->measurement, sizeof result->measurement), measurement);
    json_t *checks = json_array();
    for (size_t i = 0; checks != NULL && i < result->check_count; i++) {
        const struct attest_check *check = &result->checks[i];
        json_array_append_new(checks, json_pack("{s:s, s:s, s:s}", "name", check->name, "outcome",
                                                attest_outcome_name(check->outcome), "detail",
                                                check->detail));
    }
    bool is_verified = attestation_is_verified(exec);
    return json_pack("{s:s, s:b, s:b, s:s?, s:s?, s:s?, s:o}", "provider", result->provider,
                     "simulated", result->simulated, "verified", is_verified, "root_sha256",
                     is_verified ? root : NULL, "measurement", is_verified ? measurement : NULL,
                     "node_id", is_verified ? result->node_id : NULL, "checks", checks);
}

static json_t *audit_json(const struct exec *exec)
{
    const json_t *commitment = json_object_get(exec->execute_answer, "commitment");
    bool is_verified = exec->findings[EXEC_CHECK_AUDIT_PROOF].outcome == EXEC_VERIFIED;
    return json_pack("{s:b, s:o, s:o, s:s?, s:s?}", "verified", is_verified, "leaf_index",
                     is_verified ? json_integer((json_int_t)exec->leaf_index) : json_null(),
                     "tree_size",
                     is_verified ? json_integer((json_int_t)exec->checkpoint.size) : json_null(),
                     "log_origin", is_verified ? exec->checkpoint.origin : NULL, "leaf_hash",
                     json_string_value(json_object_get(commitment, "leaf_hash")));
}

static bool report_json(const struct exec *exec)
{
    const json_t *answer = exec->execute_answer;
    json_t *result = exec->result != NULL ? json_incref(exec->result) : json_null();
    json_t *report = json_pack(
        "{s:s, s:s?, s:b, s:o, s:s?, s:s?, s:o, s:o, s:o, s:f}", "request_id",
        exec->request_id_text, "status", json_string_value(json_object_get(exec->result, "status")),
        "verified", !exec_has_failed(exec) && attestation_is_verified(exec), "result", result,
        "request_commitment", json_string_value(json_object_get(answer, "request_commitment")),
        "result_commitment", json_string_value(json_object_get(answer, "result_commitment")),
        "checks", checks_json(exec), "attestation", attestation_json(exec), "audit",
        audit_json(exec), "total_ms", exec->milliseconds);
    return cli_print_json(report);
}

/* ---- text ---- */

static void outputs_print(const struct exec *exec)
{
    const json_t *outputs = json_object_get(exec->result, "outputs");
    printf("%.*s:", (int)exec->function_name.size, (const char *)exec->function_name.ptr);
    size_t i = 0;
    json_t *output = NULL;
    json_array_foreach (outputs, i, output) {
        const json_t *value = json_object_get(output, "value");
        const char *type = json_string_value(json_object_get(output, "type"));
        printf("%s %s ", i > 0 ? "," : "", type != NULL ? type : "?");
        if (json_is_string(value)) {
            fwrite(json_string_value(value), 1, json_string_length(value), stdout);
        } else if (value != NULL) {
            (void)cli_write_json(value);
        }
    }
    printf("%s\n", i == 0 ? " returned" : "");
}

static void failure_print(const struct exec *exec)
{
    const json_t *error = json_object_get(exec->result, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    const char *function = json_string_value(json_object_get(error, "function"));
    printf("%.*s: failed: %s: %s", (int)exec->function_name.size,
           (const char *)exec->function_name.ptr, code != NULL ? code : "no code",
           message != NULL ? message : "no message");
    if (function != NULL) {
        printf(" (in '%s', at byte %" JSON_INTEGER_FORMAT " of the module)", function,
               json_integer_value(json_object_get(error, "offset")));
    }
    putchar('\n');
}

static void attestation_print(const struct exec *exec)
{
    const struct attest_result *result = &exec->attestation;
    const char *who =
        strcmp(result->provider, "configfs-tsm") == 0 || strcmp(result->provider, "sev-guest") == 0
            ? "AMD SEV-SNP"
        : result->provider[0] != '\0' ? result->provider
                                      : "none";
    printf("attestation: %s, %s\n", who,
           attestation_is_verified(exec) ? "verified" : "NOT verified");
}

static void report_text(const struct exec *exec)
{
    if (exec->result != NULL && json_object_get(exec->result, "outputs") != NULL) {
        outputs_print(exec);
    } else if (exec->result != NULL) {
        failure_print(exec);
    }
    attestation_print(exec);
    const struct exec_finding *proof = &exec->findings[EXEC_CHECK_AUDIT_PROOF];
    if (proof->outcome == EXEC_VERIFIED) {
        printf("audit proof: verified (%s)\n", proof->detail);
    } else if (exec->execute_answer != NULL) {
        printf("audit proof: NOT verified%s%s\n", proof->detail[0] != '\0' ? ": " : "",
               proof->detail);
    }
}

/* ---- files ---- */

static bool path_make(const char *directory, const char *name, char out[static PATH_CHARS_MAX],
                      struct err *err)
{
    int size = snprintf(out, PATH_CHARS_MAX, "%s/%s", directory, name);
    return (size > 0 && size < PATH_CHARS_MAX) ||
           err_set(err, ERR_USAGE, "the directory's name is too long");
}

static bool save_file(const char *directory, const char *name, struct bytes content,
                      struct err *err)
{
    char path[PATH_CHARS_MAX];
    return path_make(directory, name, path, err) &&
           (content.ptr == NULL || cli_file_write(path, content, err));
}

static bool save_json(const char *directory, const char *name, const json_t *value, struct err *err)
{
    char path[PATH_CHARS_MAX];
    return path_make(directory, name, path, err) &&
           (value == NULL || cli_file_write_json(path, value, err));
}

static struct bytes text_member(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    return bytes_of(json_string_value(value), json_string_length(value));
}

/* A result of type bytes or string, as the bytes that it stands for. */
static bool save_output(const struct exec *exec, struct err *err)
{
    const json_t *output = json_array_get(json_object_get(exec->result, "outputs"), 0);
    const char *type = json_string_value(json_object_get(output, "type"));
    struct bytes text = text_member(output, "value");
    if (type == NULL || text.ptr == NULL) {
        return true;
    }
    if (strcmp(type, "string") == 0) {
        return save_file(exec->request->save, "output.bin", text, err);
    }
    if (strcmp(type, "bytes") != 0) {
        return true;
    }
    size_t size = 0;
    uint8_t *content = heap_alloc(text.size / 4 * 3 + 1);
    bool ok = content != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
    if (ok && text_base64_decode((const char *)text.ptr, text.size, content, &size)) {
        ok = save_file(exec->request->save, "output.bin", bytes_of(content, size), err);
    }
    heap_free(content);
    return ok;
}

static bool save_all(const struct exec *exec, struct err *err)
{
    const char *directory = exec->request->save;
    const json_t *commitment = json_object_get(exec->execute_answer, "commitment");
    return cli_directory_make(directory, 0755, err) &&
           save_json(directory, "key.json", exec->key_answer, err) &&
           (exec->body == NULL || save_json(directory, "request.json", exec->body, err)) &&
           save_json(directory, "answer.json", exec->execute_answer, err) &&
           save_file(directory, "result.json", bytes_of(exec->plaintext, exec->plaintext_size),
                     err) &&
           save_file(directory, "leaf.json", text_member(commitment, "leaf"), err) &&
           save_file(directory, "proof.tlog", text_member(commitment, "tlog_proof"), err) &&
           save_output(exec, err);
}

int exec_report_accepted(const struct exec *exec)
{
    if (!exec->request->json) {
        printf("%s\n", exec->request_id_text);
        return CLI_OK;
    }
    json_t *report = json_pack("{s:s, s:s}", "request_id", exec->request_id_text, "state_file",
                               exec->request->state);
    return cli_print_json(report) ? CLI_OK : CLI_INTERNAL;
}

int exec_report(const struct cli_command *command, struct exec *exec)
{
    struct err err;
    if (!exec->request->json) {
        report_text(exec);
    } else if (!report_json(exec)) {
        cli_complain(command, "out of memory");
        return CLI_INTERNAL;
    }
    if (exec->request->save != NULL && !save_all(exec, &err)) {
        return cli_complain_err(command, &err);
    }
    if (exec_has_failed(exec)) {
        cli_complain(command, "%s",
                     exec->execute_answer == NULL
                         ? "the node does not verify, nothing was sent to it"
                         : "the answer does not verify, do not rely on it");
        return CLI_UNVERIFIED;
    }
    return json_object_get(exec->result, "outputs") != NULL ? CLI_OK : CLI_PROGRAM_FAILED;
}
