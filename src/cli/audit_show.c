/* audit_show.c: `audit show`: what the log says of one request, as a person reads it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/audit_find.h"

#include <inttypes.h>
#include <string.h>

/* The text of a member; "" if there is none. */
static const char *member(const struct audit_found_entry *entry, const char *name)
{
    const char *text = json_string_value(json_object_get(entry->json, name));
    return text != NULL ? text : "";
}

static json_int_t number(const struct audit_found_entry *entry, const char *name)
{
    return json_integer_value(json_object_get(entry->json, name));
}

static bool entry_time(const struct audit_found_entry *entry, int64_t *ms)
{
    const char *text = member(entry, "time");
    return entry->is_there && clock_rfc3339_decode(text, strlen(text), ms);
}

/* -1: not known. By the node's clock, from one entry to the other. */
static int64_t took_ms(const struct audit_found *found)
{
    int64_t begin = 0;
    int64_t end = 0;
    return entry_time(&found->admit, &begin) && entry_time(&found->result, &end) && end >= begin
               ? end - begin
               : -1;
}

static enum audit_verdict story_verdict(const struct audit_found *found, const char **detail)
{
    *detail = found->detail;
    if (found->verdict != AUDIT_OK) {
        return found->verdict;
    }
    if (!found->admit.is_there && !found->result.is_there) {
        *detail = "the log holds no request with that id";
        return AUDIT_NOT_FOUND;
    }
    if (!found->result.is_there && !found->recovered.is_there) {
        *detail = "it was admitted and has no result yet";
        return AUDIT_PENDING;
    }
    *detail = found->key_is_given ? "" : "with the key that the log itself names";
    return AUDIT_OK;
}

static void tell_admission(const struct audit_found *found)
{
    if (found->admit.is_there) {
        printf("admitted:   %s, entry %" PRIu64 "\n", member(&found->admit, "time"),
               found->admit.index);
        printf("            by whom the log does not say: it holds hashes, no names\n");
        printf("request:    %s\n", member(&found->admit, "request_commitment"));
    }
}

static void tell_result(const struct audit_found *found)
{
    const struct audit_found_entry *result = &found->result;
    if (found->recovered.is_there && !result->is_there) {
        printf("ended:      never: the node stopped while it ran, and said so in entry %" PRIu64
               " at %s\n",
               found->recovered.index, member(&found->recovered, "time"));
    }
    if (!result->is_there) {
        return;
    }
    int64_t ms = took_ms(found);
    printf("ended:      %s, entry %" PRIu64, member(result, "time"), result->index);
    if (ms >= 0) {
        printf(", %" PRId64 ".%03" PRId64 " s after admission", ms / 1000, ms % 1000);
    }
    printf("\noutcome:    %s%s%s\n", member(result, "status"),
           member(result, "error_code")[0] != '\0' ? ", " : "", member(result, "error_code"));
    printf("gas:        %" JSON_INTEGER_FORMAT " (schedule %" JSON_INTEGER_FORMAT ")\n",
           number(result, "gas_consumed"), number(result, "gas_schedule"));
    printf("result:     %s\n", member(result, "result_commitment"));
}

static void tell_checkpoint(const struct audit_found *found)
{
    char root[2 * AUDIT_HASH_BYTES + 1];
    if (found->checkpoint.origin[0] != '\0') {
        text_hex_encode(bytes_of(found->checkpoint.root, AUDIT_HASH_BYTES), root);
        printf("checkpoint: %s, %" PRIu64 " entries, root %s\n", found->checkpoint.origin,
               found->checkpoint.size, root);
    }
}

static void show_text(const struct audit_found *found)
{
    const char *detail;
    enum audit_verdict verdict = story_verdict(found, &detail);
    printf("id:         %s\n", found->id);
    tell_admission(found);
    tell_result(found);
    tell_checkpoint(found);
    printf("%s%s%s\n", audit_verdict_name(verdict), detail[0] != '\0' ? ": " : "", detail);
}

static bool show_json(const struct audit_found *found)
{
    char root[2 * AUDIT_HASH_BYTES + 1];
    const char *detail;
    enum audit_verdict verdict = story_verdict(found, &detail);
    int64_t ms = took_ms(found);
    text_hex_encode(bytes_of(found->checkpoint.root, AUDIT_HASH_BYTES), root);
    return cli_print_json(json_pack(
        "{s:s, s:s, s:s, s:O?, s:O?, s:O?, s:o, s:s, s:I, s:s}", "verdict",
        audit_verdict_name(verdict), "detail", detail, "request_id", found->id, "admit",
        found->admit.json, "result", found->result.json, "recovered", found->recovered.json,
        "duration_ms", ms >= 0 ? json_integer((json_int_t)ms) : json_null(), "origin",
        found->checkpoint.origin, "size", (json_int_t)found->checkpoint.size, "root", root));
}

static int show(const struct cli_command *command, const struct audit_request *request,
                const struct audit_target *target)
{
    struct audit_found found;
    struct err err;
    const char *detail;
    int code;
    if (!audit_find(target, request, request->words[0], &found, &err)) {
        code = audit_target_complain(command, target, &err);
    } else if (!request->json) {
        show_text(&found);
        code = audit_exit_of(story_verdict(&found, &detail));
    } else if (show_json(&found)) {
        code = audit_exit_of(story_verdict(&found, &detail));
    } else {
        cli_complain(command, "out of memory");
        code = CLI_INTERNAL;
    }
    audit_found_release(&found);
    return code;
}

static int audit_show_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct audit_target target;
    struct err err;
    int code = audit_request_read(command, argc, argv, 2, "which request? give its id", &request);
    if (code >= 0) {
        return code;
    }
    if (!audit_id_is_valid(request.words[0])) {
        return cli_complain_usage(command, "'%s' is not a request id", request.words[0]);
    }
    if (audit_target_open(request.words[1], &target, &err)) {
        code = show(command, &request, &target);
    } else {
        code = audit_target_complain(command, &target, &err);
    }
    audit_target_close(&target);
    return code;
}

static const struct cli_option audit_show_options[] = {
    {AUDIT_VKEY, "vkey", "KEY", "the log's public key, from somewhere else than the log"},
    {AUDIT_JSON, "json", NULL, "print one JSON object, with the entries"},
};

const struct cli_command cli_command_audit_show = {
    .name = "audit show",
    .synopsis = "ID [DIR|URL] [--vkey KEY] [--json]",
    .summary = "tell what an audit log says of one request",
    .description =
        "  Tells when the request with that id was admitted, when and how it ended, what gas it\n"
        "  took, what the log committed to, and whether that is proved, under which checkpoint.\n"
        "  A node at URL (default: $WASM_HYPERVISOR_URL, else http://127.0.0.1:3000) is asked\n"
        "  for the entries, whose proofs are then verified; in DIR they are looked for by\n"
        "  verifying all of it. The last line is the verdict; PENDING: there is no result yet.\n",
    .options = audit_show_options,
    .option_count = sizeof audit_show_options / sizeof audit_show_options[0],
    .notes = AUDIT_EXIT_HELP
    "\nEXAMPLE\n"
    "  wasm-hypervisor audit show 11111111-1111-4111-8111-111111111111 /mnt/copy/audit\n",
    .run = audit_show_main,
};
