/* attest_show.c: `attest show` and `attest report`: a report in words, and a node's evidence.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"
#include "cli/client.h"

#include <string.h>

enum { FILE_BYTES_MAX = 256 * 1024, TEXT_BYTES_MAX = 64 * 1024, TIMEOUT_SECONDS = 30 };

enum show_flag { SHOW_NODE = 1, SHOW_OUT, SHOW_NONCE };

struct show_request {
    const char *path;
    const char *node;
    const char *out;
    const char *nonce;
};

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct show_request *request = context;
    switch (id) {
    case SHOW_NODE:
        request->node = text;
        return true;
    case SHOW_OUT:
        request->out = text;
        return true;
    case SHOW_NONCE:
        request->nonce = text;
        return true;
    default:
        return cli_options_word(options, text, &request->path);
    }
}

/* ---- attest show ---- */

/* The report's bytes: the file's, or those in evidence; *decoded is the caller's to free. */
static bool report_find(struct bytes content, uint8_t **decoded, struct bytes *out, struct err *err)
{
    json_t *json = NULL;
    size_t size = 0;
    *out = content;
    if (content.size == 0 || content.ptr[0] != '{') {
        return true;
    }
    if (!json_text_parse(content, &json, err)) {
        return false;
    }
    const json_t *member = json_object_get(json, "attestation");
    const json_t *report = json_object_get(member != NULL ? member : json, "report");
    bool ok = json_is_string(report);
    if (ok) {
        *decoded = heap_alloc(json_string_length(report) / 4 * 3 + 1);
        ok = *decoded != NULL && text_base64_decode(json_string_value(report),
                                                    json_string_length(report), *decoded, &size);
        *out = bytes_of(*decoded, size);
    }
    json_decref(json);
    return ok || err_set(err, ERR_FORMAT, "there is no report in this evidence");
}

static int attest_show_main(const struct cli_command *command, int argc, char **argv)
{
    struct show_request request = {0};
    struct buffer text;
    struct bytes report;
    struct err err;
    uint8_t *content = NULL, *decoded = NULL;
    size_t size = 0;
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.path == NULL) {
        return cli_complain_usage(command, "which report? name a file, or - for standard input");
    }
    if (!cli_file_read(request.path, FILE_BYTES_MAX, &content, &size, &err)) {
        return cli_complain_err(command, &err);
    }
    buffer_init(&text, TEXT_BYTES_MAX);
    code = CLI_OK;
    if (!report_find(bytes_of(content, size), &decoded, &report, &err) ||
        !attest_report_describe(report, &text, &err)) {
        (void)cli_complain_err(command, &err);
        code = err.code == ERR_NO_MEMORY ? CLI_INTERNAL : CLI_MALFORMED;
    } else {
        fwrite(text.ptr, 1, text.size, stdout);
    }
    buffer_release(&text);
    heap_free(decoded);
    heap_free(content);
    return code;
}

const struct cli_command cli_command_attest_show = {
    .name = "attest show",
    .synopsis = "REPORT",
    .summary = "print a report in words, field by field",
    .description =
        "  Prints every field of REPORT, a bare SEV-SNP report or evidence in JSON, and what each\n"
        "  bit of the guest's policy and of the platform means. It judges nothing, not even the\n"
        "  signature: 'attest verify' does.\n",
    .options = NULL,
    .option_count = 0,
    .notes =
        "EXIT STATUS\n"
        "  0 printed, 2 wrong usage or unreadable file, 13 it is no report, 70 internal error\n\n"
        "EXAMPLE\n"
        "  wasm-hypervisor attest show report.bin\n",
    .run = attest_show_main,
};

/* ---- attest report ---- */

/* A nonce in base64 in a query: '+', '/' and '=' have other meanings there. */
static bool path_make(const char *nonce, char *out, size_t size)
{
    size_t used = (size_t)snprintf(out, size, "/v1/attestation%s", nonce != NULL ? "?nonce=" : "");
    for (; nonce != NULL && *nonce != '\0' && used + 4 < size; nonce++) {
        bool plain = strchr("+/=", *nonce) == NULL;
        used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "%%%02X",
                                 (unsigned char)*nonce);
    }
    return nonce == NULL || *nonce == '\0';
}

static bool evidence_save(const struct show_request *request, json_t *evidence, struct err *err)
{
    if (request->out == NULL) {
        return cli_print_json(evidence) || err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    bool ok = cli_file_write_json(request->out, evidence, err);
    json_decref(evidence);
    return ok;
}

static int attest_report_main(const struct cli_command *command, int argc, char **argv)
{
    struct show_request request = {0};
    struct client *client = NULL;
    struct client_answer answer;
    struct err err;
    char path[512];
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.path != NULL) {
        return cli_complain_usage(command, "one argument too many: '%s'", request.path);
    }
    if (!path_make(request.nonce, path, sizeof path)) {
        return cli_complain_usage(command, "the nonce is longer than 64 bytes");
    }
    if (!client_open(client_url(request.node), NULL, &client, &err)) {
        return cli_complain_err(command, &err);
    }
    if (!client_call(client, path, NULL, TIMEOUT_SECONDS, &answer, &err)) {
        cli_complain(command, "%s", err.message);
        code = CLI_NETWORK;
    } else if (answer.status != 200) {
        cli_complain(command, "the node refused: HTTP status %d", answer.status);
        json_decref(answer.body);
        code = CLI_NETWORK;
    } else {
        code =
            evidence_save(&request, answer.body, &err) ? CLI_OK : cli_complain_err(command, &err);
    }
    client_close(client);
    return code;
}

static const struct cli_option attest_report_options[] = {
    {SHOW_NODE, "node", "URL",
     "the node (default: $WASM_HYPERVISOR_URL, else http://127.0.0.1:3000)"},
    {SHOW_NONCE, "nonce", "BASE64",
     "8 to 64 bytes of yours, which the node signs with its attested key:\n"
     "shows that it has the key now"},
    {SHOW_OUT, "out", "FILE", "write there instead of standard output"},
};

const struct cli_command cli_command_attest_report = {
    .name = "attest report",
    .synopsis = "[--node URL] [--nonce BASE64] [--out FILE]",
    .summary = "fetch a node's evidence",
    .description =
        "  Asks a node for its evidence: report, certificates and the statement that the "
        "report is\n"
        "  about, as one JSON object. It is printed as it came, unverified: give it to\n"
        "  'attest verify'. Needs no API key.\n",
    .options = attest_report_options,
    .option_count = sizeof attest_report_options / sizeof attest_report_options[0],
    .notes = "EXIT STATUS\n"
             "  0 fetched, 2 wrong usage or a file that cannot be written, 3 the node cannot be\n"
             "  reached or refused, 70 internal error\n\n"
             "EXAMPLE\n"
             "  wasm-hypervisor attest report --node https://node.example --out evidence.json\n",
    .run = attest_report_main,
};
