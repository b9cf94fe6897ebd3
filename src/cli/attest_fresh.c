/* attest_fresh.c: `attest fresh`: asks a node for a report that is made for a nonce of ours, and
 * verifies it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"
#include "base/text.h"
#include "cli/attest.h"
#include "cli/cli.h"
#include "cli/client.h"

/* The node waits for its firmware, for a minute at most. */
enum { TIMEOUT_SECONDS = 90, NONCE_BYTES = 32, NONCE_CHARS = 44 };

enum fresh_flag { FRESH_NODE = 1, FRESH_POLICY, FRESH_ALLOW_SIMULATED, FRESH_OUT, FRESH_JSON };

struct fresh_request {
    const char *node, *policy, *out;
    struct attest_root root;
    bool json;
};

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct fresh_request *request = context;
    const char **place = id == FRESH_NODE     ? &request->node
                         : id == FRESH_POLICY ? &request->policy
                                              : &request->out;
    if (id == CLI_OPTION_POSITIONAL) {
        cli_complain_usage(options->command, "unexpected argument '%s'", text);
        return false;
    }
    if (id == FRESH_ALLOW_SIMULATED) {
        return attest_root_take(options->command, text, &request->root);
    }
    if (id == FRESH_JSON) {
        request->json = true;
    } else {
        *place = text;
    }
    return true;
}

/* The answer, a fresh reference; CLI_OK, or what the command has to return. */
static int ask(const struct cli_command *command, const char *node, const char *nonce,
               json_t **evidence)
{
    struct client *client = NULL;
    struct client_answer answer;
    struct err err;
    int code = CLI_OK;
    if (!client_open(node, NULL, &client, &err)) {
        return cli_complain_err(command, &err);
    }
    json_t *body = json_pack("{s:s}", "nonce", nonce);
    if (body == NULL) {
        code = CLI_INTERNAL;
        cli_complain(command, "out of memory");
    } else if (!client_call(client, "/v1/attestation", body, TIMEOUT_SECONDS, &answer, &err)) {
        code = CLI_NETWORK;
        cli_complain(command, "%s", err.message);
    } else if (answer.status != 200) {
        const char *message = json_string_value(json_object_get(answer.body, "message"));
        code = CLI_NETWORK;
        cli_complain(command, "the node refused: HTTP status %d%s%.200s", answer.status,
                     message != NULL ? ": " : "", message != NULL ? message : "");
        json_decref(answer.body);
    } else {
        *evidence = answer.body;
    }
    json_decref(body);
    client_close(client);
    return code;
}

static int judge(const struct cli_command *command, const struct fresh_request *request,
                 struct attest_policy_file *policy, const json_t *evidence)
{
    static struct attest_result result;
    struct err err;
    policy->policy.now_ms = clock_wall_ms(&clock_system);
    policy->policy.nonce_in_report = true;
    attest_root_apply(&request->root, &policy->policy);
    attest_evidence_verify(evidence, &policy->policy, &result);
    if (request->out != NULL && !cli_file_write_json(request->out, evidence, &err)) {
        return cli_complain_err(command, &err);
    }
    return attest_result_tell(command, &result, request->json);
}

static int attest_fresh_main(const struct cli_command *command, int argc, char **argv)
{
    struct fresh_request request = {0};
    struct attest_policy_file policy;
    struct err err;
    uint8_t nonce[NONCE_BYTES];
    char text[NONCE_CHARS + 1];
    json_t *evidence = NULL;
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    attest_policy_file_init(&policy);
    crypto_random(nonce, sizeof nonce);
    text_base64_encode(bytes_of(nonce, sizeof nonce), text);
    policy.policy.nonce = bytes_of(nonce, sizeof nonce);
    if (request.policy != NULL && !attest_policy_file_load(&policy, request.policy, &err)) {
        code = cli_complain_err(command, &err);
    } else {
        code = ask(command, client_url(request.node), text, &evidence);
    }
    if (evidence != NULL) {
        code = judge(command, &request, &policy, evidence);
    }
    json_decref(evidence);
    attest_policy_file_release(&policy);
    return code;
}

static const struct cli_option attest_fresh_options[] = {
    {FRESH_NODE, "node", "URL",
     "the node (default: $WASM_HYPERVISOR_URL, else http://127.0.0.1:3000)"},
    {FRESH_POLICY, "policy", "FILE", "what you accept, as YAML (docs/attestation.md)"},
    {FRESH_ALLOW_SIMULATED, "allow-simulated", "SHA256",
     "accept a simulated node whose root certificate has this hash, or any\n"
     "simulated node with the word any: for trials, it proves nothing"},
    {FRESH_OUT, "out", "FILE", "keep the evidence, which holds the nonce, for 'attest verify'"},
    {FRESH_JSON, "json", NULL, "print one JSON object"},
};

const struct cli_command cli_command_attest_fresh = {
    .name = "attest fresh",
    .synopsis = "[--node URL] [--policy FILE] [--allow-simulated SHA256] [OPTIONS]",
    .summary = "have a node prove itself now, for a nonce of yours",
    .description =
        "  Sends a random nonce to a node, waits until its firmware has made a report for it, and\n"
        "  verifies that: all checks of 'attest verify', and that this nonce is in the report. So\n"
        "  the processor vouches for the node's key now, not some time in the last hour. Needs no\n"
        "  API key.\n",
    .options = attest_fresh_options,
    .option_count = sizeof attest_fresh_options / sizeof attest_fresh_options[0],
    .notes =
        "EXIT STATUS\n"
        "  0 accepted, 2 wrong usage or unreadable file, 3 the node cannot be reached or made no\n"
        "  report, 4 cryptography: nobody vouches for it, 12 policy: genuine, but not what you\n"
        "  accept, 13 format: it is no such evidence, 70 internal error\n\n"
        "EXAMPLE\n"
        "  wasm-hypervisor attest fresh --node https://node.example --policy policy.yaml\n",
    .run = attest_fresh_main,
};
