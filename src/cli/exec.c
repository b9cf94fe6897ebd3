/* exec.c: `exec`: a program on a node that is verified before anything is sent to it.
 *
 * The order is the point: evidence first, then encryption to the key that the evidence vouches for,
 * then the answer, of which nothing is believed but what opens, hashes and verifies.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include "base/clock.h"
#include "base/json.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum exec_flag {
    EXEC_INVOKE = 1,
    EXEC_SERVER,
    EXEC_API_KEY,
    EXEC_GAS,
    EXEC_TIMEOUT,
    EXEC_MEMORY,
    EXEC_ARG_BYTES_FLAG,
    EXEC_ARG_STRING_FLAG,
    EXEC_RESULT_TYPE,
    EXEC_ENCRYPT_ARGUMENTS,
    EXEC_ALLOW_SIMULATED,
    EXEC_NO_ATTESTATION,
    EXEC_POLICY,
    EXEC_LOG_VKEY,
    EXEC_JSON,
    EXEC_SAVE,
    EXEC_ASYNC,
    EXEC_WEBHOOK,
    EXEC_STATE,
    EXEC_RESUME
};

enum {
    KEYS_SECONDS = 30,
    TIMEOUT_SECONDS_DEFAULT = 10,
    TIMEOUT_SECONDS_MAX = 300,
    GRACE_SECONDS = 30,
    EXECUTE_TRIES = 3
};

bool exec_hex_member(const json_t *object, const char *member, uint8_t *out, size_t size)
{
    const json_t *value = json_object_get(object, member);
    return json_is_string(value) &&
           text_hex_decode(json_string_value(value), json_string_length(value), out, size);
}

bool exec_base64_member(const json_t *object, const char *member, uint8_t *out, size_t size)
{
    const json_t *value = json_object_get(object, member);
    if (!json_is_string(value) || json_string_length(value) != text_base64_encoded_size(size)) {
        return false;
    }
    uint8_t *decoded = heap_alloc(json_string_length(value) / 4 * 3 + 1);
    size_t decoded_size = 0;
    bool ok = decoded != NULL &&
              text_base64_decode(json_string_value(value), json_string_length(value), decoded,
                                 &decoded_size) &&
              decoded_size == size;
    if (ok) {
        memcpy(out, decoded, size);
    }
    heap_free(decoded);
    return ok;
}

/* ---- POST /v1/keys ---- */

static bool key_read(struct exec *exec, struct err *err)
{
    const json_t *answer = exec->key_answer;
    const char *id = json_string_value(json_object_get(answer, "request_id"));
    bool ok = id != NULL && text_uuid_decode(id, strlen(id), exec->request_id) &&
              exec_base64_member(answer, "public_key", exec->public_key, sizeof exec->public_key) &&
              exec_base64_member(answer, "key_derivation_salt", exec->salt, sizeof exec->salt) &&
              crypto_p256_point_is_valid(exec->public_key);
    if (!ok) {
        return err_set(err, ERR_IO, "the node's answer to /v1/keys has no usable key");
    }
    text_uuid_encode(exec->request_id, exec->request_id_text);
    return true;
}

static bool key_get(struct exec *exec, struct err *err)
{
    char nonce[64];
    crypto_random(exec->nonce, sizeof exec->nonce);
    text_base64_encode(bytes_of(exec->nonce, sizeof exec->nonce), nonce);
    json_t *body = json_pack("{s:s}", "nonce", nonce);
    struct client_answer answer = {0};
    bool ok = body != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
    ok = ok && client_call(exec->client, "/v1/keys", body, KEYS_SECONDS, &answer, err);
    json_decref(body);
    if (!ok) {
        return false;
    }
    exec->key_answer = answer.body;
    if (answer.status != 201 && answer.status != 200) {
        return exec_refused(&answer, "asking for a key", err);
    }
    if (!key_read(exec, err)) {
        return false;
    }
    const char *node_id = json_string_value(json_object_get(exec->key_answer, "node_id"));
    if (node_id != NULL && !client_add_header(exec->client, "X-Node-Id", node_id, err)) {
        return false;
    }
    progress_step(&exec->progress, PROGRESS_DONE, "key of its own for request %s",
                  exec->request_id_text);
    return true;
}

/* ---- encryption ---- */

/* Seals the next message of the HPKE context into body[member]. */
static bool seal_member(struct exec *exec, const uint8_t *header_hash, struct bytes plain,
                        const char *member, struct buffer *sealed, struct err *err)
{
    size_t size = plain.size + CRYPTO_AEAD_TAG_BYTES;
    uint8_t *out = heap_alloc(size);
    char *text = heap_alloc(text_base64_encoded_size(size) + 1);
    bool ok = out != NULL && text != NULL &&
              crypto_hpke_seal(&exec->hpke, bytes_of(header_hash, CRYPTO_SHA256_BYTES), plain, out);
    if (ok) {
        text_base64_encode(bytes_of(out, size), text);
        buffer_append(sealed, out, size);
        ok = !sealed->failed && json_object_set_new(exec->body, member, json_string(text)) == 0;
    }
    heap_free(out);
    heap_free(text);
    return ok || err_set(err, ERR_CRYPTO, "the %s cannot be encrypted", member);
}

static bool header_make(struct exec *exec, json_t *arguments, struct err *err)
{
    const struct exec_request *request = exec->request;
    json_t *body = json_pack("{s:s, s:s%}", "request_id", exec->request_id_text, "function_name",
                             (const char *)exec->function_name.ptr, exec->function_name.size);
    bool ok = body != NULL;
    exec->body = body;
    if (ok && !request->encrypt_arguments) {
        ok = json_object_set(body, "arguments", arguments) == 0;
    }
    if (ok && request->gas_limit > 0) {
        ok = json_object_set_new(body, "gas_limit", json_integer((json_int_t)request->gas_limit)) ==
             0;
    }
    if (ok && request->timeout_seconds > 0) {
        ok = json_object_set_new(body, "timeout_seconds",
                                 json_integer((json_int_t)request->timeout_seconds)) == 0;
    }
    if (ok && request->memory_bytes > 0) {
        ok = json_object_set_new(body, "memory_limit_bytes",
                                 json_integer((json_int_t)request->memory_bytes)) == 0;
    }
    if (ok && request->result_type != NULL) {
        ok = json_object_set_new(body, "result_type", json_string(request->result_type)) == 0;
    }
    return ok || err_set(err, ERR_USAGE, "the function's name is not valid UTF-8");
}

static bool seal_all(struct exec *exec, json_t *arguments, const uint8_t *header_hash,
                     struct buffer *wasm, struct buffer *sealed_arguments, struct err *err)
{
    if (!seal_member(exec, header_hash, bytes_of(exec->module.wasm, exec->module.size),
                     "encrypted_wasm", wasm, err)) {
        return false;
    }
    if (!exec->request->encrypt_arguments) {
        return true;
    }
    char *text = json_dumps(arguments, JSON_COMPACT);
    bool ok = text != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
    ok = ok && seal_member(exec, header_hash, bytes_of_string(text), "encrypted_arguments",
                           sealed_arguments, err);
    if (text != NULL) {
        memory_wipe(text, strlen(text));
    }
    heap_free(text);
    return ok;
}

static bool public_members_add(struct exec *exec, struct err *err)
{
    char point[2 * CRYPTO_P256_POINT_BYTES], hash[2 * CRYPTO_SHA256_BYTES + 1];
    text_base64_encode(bytes_of(exec->enc, sizeof exec->enc), point);
    text_hex_encode(bytes_of(exec->request_commitment, sizeof exec->request_commitment), hash);
    return (json_object_set_new(exec->body, "public_key", json_string(point)) == 0 &&
            json_object_set_new(exec->body, "request_hash", json_string(hash)) == 0) ||
           err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool request_seal(struct exec *exec, json_t *arguments, struct err *err)
{
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES], header_hash[CRYPTO_SHA256_BYTES];
    crypto_request_info(exec->request_id, exec->salt, info);
    if (!header_make(exec, arguments, err) ||
        !crypto_request_header_hash(exec->body, header_hash, err)) {
        return false;
    }
    if (!crypto_hpke_send(&exec->hpke, exec->public_key, bytes_of(info, sizeof info), NULL,
                          exec->enc)) {
        return err_set(err, ERR_CRYPTO, "the node's key cannot be used");
    }
    struct buffer wasm, sealed_arguments;
    buffer_init(&wasm, SIZE_MAX / 2);
    buffer_init(&sealed_arguments, SIZE_MAX / 2);
    bool ok = seal_all(exec, arguments, header_hash, &wasm, &sealed_arguments, err);
    if (ok) {
        crypto_request_commitment(header_hash, buffer_bytes(&wasm), buffer_bytes(&sealed_arguments),
                                  exec->enc, exec->request_commitment);
        ok = public_members_add(exec, err);
    }
    buffer_release(&wasm);
    buffer_release(&sealed_arguments);
    if (ok) {
        progress_step(&exec->progress, PROGRESS_DONE, "program encrypted (%zu bytes)%s",
                      exec->module.size, exec->request->encrypt_arguments ? ", arguments too" : "");
    }
    return ok;
}

/* ---- POST /v1/execute ---- */

/* The request id names the request for repeats: so it may be sent again, and goes on without us. */
static bool execute_headers(struct exec *exec, struct err *err)
{
    return client_add_header(exec->client, "Idempotency-Key", exec->request_id_text, err) &&
           (!exec->request->is_async ||
            client_add_header(exec->client, "Prefer", "respond-async", err)) &&
           (exec->request->webhook == NULL ||
            client_add_header(exec->client, "Webhook-Url", exec->request->webhook, err));
}

static bool answer_take(struct exec *exec, const struct client_answer *answer, struct err *err)
{
    exec->execute_answer = answer->body;
    exec->execute_status = answer->status;
    if (exec->request->is_async && answer->status == 202) {
        progress_step(&exec->progress, PROGRESS_DONE,
                      "accepted; 'wasm-hypervisor exec --resume %s' fetches the answer",
                      exec->request->state);
        return true;
    }
    if (!json_is_string(json_object_get(answer->body, "encrypted_result"))) {
        return exec_refused(answer, "executing", err);
    }
    progress_step(&exec->progress, PROGRESS_DONE, "executed, answer %d", answer->status);
    return true;
}

/* libcurl repeats a request by itself when a kept connection turns out to be closed: the first may
 * have arrived all the same. */
static bool is_in_flight(const struct client_answer *answer, struct err *err)
{
    const char *code = json_string_value(json_object_get(answer->body, "error_code"));
    return code != NULL && strcmp(code, "IDEMPOTENCY_IN_FLIGHT") == 0 &&
           !err_set(err, ERR_IO, "the node has the request already");
}

static bool execute(struct exec *exec, struct err *err)
{
    uint64_t seconds = exec->request->timeout_seconds > 0 ? exec->request->timeout_seconds
                                                          : TIMEOUT_SECONDS_DEFAULT;
    if (!execute_headers(exec, err)) {
        return false;
    }
    if (!exec->request->is_async) {
        exec_cancel_watch(exec);
    }
    for (int tries = 0; tries < EXECUTE_TRIES; tries++) {
        struct client_answer answer = {0};
        bool is_unsent = false;
        if (client_call(exec->client, "/v1/execute", exec->body, (unsigned)seconds + GRACE_SECONDS,
                        &answer, err) &&
            !is_in_flight(&answer, err)) {
            return answer_take(exec, &answer, err);
        }
        json_decref(answer.body);
        if (err->code == ERR_CANCELLED) {
            return false;
        }
        progress_step(&exec->progress, PROGRESS_NOTE, "the connection was lost: %s", err->message);
        if (exec_fetch(exec, &is_unsent, err)) {
            return true;
        }
        if (!is_unsent) {
            return false;
        }
    }
    return false;
}

/* ---- the whole ---- */

static bool exec_open(struct exec *exec, json_t **arguments, struct err *err)
{
    struct vm_limits limits = vm_limits_default;
    const struct exec_request *request = exec->request;
    struct vm_export function;
    if (!cli_module_open(&exec->module, request->path, &limits, err) ||
        !cli_module_function(exec->module.module, request->function, &function, err)) {
        return false;
    }
    exec->function_name = function.name;
    exec->judged_ms = clock_wall_ms(&clock_system);
    crypto_sha256(bytes_of(exec->module.wasm, exec->module.size), exec->program_hash);
    return exec_args_json(request, &function.type.func, arguments, err) &&
           client_open(request->server, request->api_key, &exec->client, err);
}

static void exec_release(struct exec *exec)
{
    crypto_hpke_release(&exec->hpke);
    if (exec->plaintext != NULL) {
        memory_wipe(exec->plaintext, exec->plaintext_size);
    }
    heap_free(exec->plaintext);
    json_decref(exec->key_answer);
    json_decref(exec->body);
    json_decref(exec->execute_answer);
    json_decref(exec->result);
    json_decref(exec->state);
    client_close(exec->client);
    cli_module_close(&exec->module);
}

/* Network and refusals are one exit code; what the machine or the user did wrong are others. */
static int exec_complain(const struct cli_command *command, const struct err *err, bool is_remote)
{
    int code = cli_complain_err(command, err);
    return is_remote && (err->code == ERR_IO || err->code == ERR_LIMIT) ? CLI_NETWORK : code;
}

static int exec_go(const struct cli_command *command, struct exec *exec)
{
    struct err err;
    json_t *arguments = NULL;
    uint64_t begin_ns = clock_monotonic_ns(&clock_system);
    if (!exec_open(exec, &arguments, &err)) {
        json_decref(arguments);
        return exec_complain(command, &err, false);
    }
    if (client_is_exposed(exec->client)) {
        progress_step(&exec->progress, PROGRESS_NOTE,
                      "warning: plain http to another machine, the API key travels unencrypted");
    }
    bool ok = key_get(exec, &err);
    bool is_trusted = ok && exec_verify_key(exec);
    if (is_trusted) {
        ok = request_seal(exec, arguments, &err) &&
             (exec->request->state == NULL || exec_state_save(exec, &err)) && execute(exec, &err);
    }
    json_decref(arguments);
    if (!ok && exec_cancel_is_due()) {
        exec_cancel(exec);
        return CLI_NETWORK; /* nobody sees it: exec_cancel_end */
    }
    if (!ok) {
        return exec_complain(command, &err, true);
    }
    if (is_trusted && exec->execute_status == 202) {
        return exec_report_accepted(exec);
    }
    if (is_trusted) {
        (void)exec_verify_answer(exec);
    }
    exec->milliseconds = (double)(clock_monotonic_ns(&clock_system) - begin_ns) / 1e6;
    return exec_report(command, exec);
}

/* The answer of an execution that was begun before. */
static int exec_resume(const struct cli_command *command, struct exec *exec,
                       struct exec_request *request)
{
    struct err err;
    bool is_unsent = false;
    uint64_t begin_ns = clock_monotonic_ns(&clock_system);
    if (!exec_state_load(exec, request, &err) || !key_read(exec, &err) ||
        !client_open(request->server, request->api_key, &exec->client, &err)) {
        return exec_complain(command, &err, false);
    }
    bool is_trusted = exec_verify_key(exec);
    if (is_trusted && !exec_fetch(exec, &is_unsent, &err)) {
        return exec_complain(command, &err, true);
    }
    if (is_trusted) {
        (void)exec_verify_answer(exec);
    }
    exec->milliseconds = (double)(clock_monotonic_ns(&clock_system) - begin_ns) / 1e6;
    return exec_report(command, exec);
}

/* ---- flags ---- */

static bool add_arg(const struct cli_command *command, struct exec_request *request,
                    enum exec_arg_kind kind, const char *text)
{
    if (request->arg_count == EXEC_ARGS_MAX) {
        cli_complain_usage(command, "more than %d arguments", EXEC_ARGS_MAX);
        return false;
    }
    request->args[request->arg_count++] = (struct exec_arg){kind, text};
    return true;
}

static bool add_positional(const struct cli_command *command, struct exec_request *request,
                           const char *text)
{
    if (request->path == NULL) {
        request->path = text;
        return true;
    }
    bool is_file = text[0] == '@';
    return add_arg(command, request, is_file ? EXEC_ARG_FILE : EXEC_ARG_TEXT,
                   text + (is_file ? 1 : 0));
}

static bool take_result_type(const struct cli_command *command, struct exec_request *request,
                             const char *text)
{
    request->result_type = text;
    bool ok =
        strcmp(text, "values") == 0 || strcmp(text, "bytes") == 0 || strcmp(text, "string") == 0;
    if (!ok) {
        cli_complain_usage(command, "--result-type takes values, bytes or string, not '%s'", text);
    }
    return ok;
}

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct exec_request *request = context;
    const struct cli_command *command = options->command;
    switch (id) {
    case EXEC_INVOKE:
        request->function = text;
        return true;
    case EXEC_SERVER:
        request->server = text;
        return true;
    case EXEC_API_KEY:
        request->api_key = text;
        return true;
    case EXEC_GAS:
        return cli_options_number(options, "gas", text, 1, UINT64_C(9007199254740991),
                                  &request->gas_limit);
    case EXEC_TIMEOUT:
        return cli_options_number(options, "timeout", text, 1, TIMEOUT_SECONDS_MAX,
                                  &request->timeout_seconds);
    case EXEC_MEMORY:
        return cli_options_number(options, "memory", text, 1, UINT32_MAX, &request->memory_bytes);
    case EXEC_ARG_BYTES_FLAG:
        return add_arg(command, request, EXEC_ARG_FILE, text);
    case EXEC_ARG_STRING_FLAG:
        return add_arg(command, request, EXEC_ARG_STRING, text);
    case EXEC_RESULT_TYPE:
        return take_result_type(command, request, text);
    case EXEC_ENCRYPT_ARGUMENTS:
        request->encrypt_arguments = true;
        return true;
    case EXEC_ALLOW_SIMULATED:
        return attest_root_take(command, text, &request->root);
    case EXEC_POLICY:
        request->policy_path = text;
        return true;
    case EXEC_NO_ATTESTATION:
        request->no_attestation = true;
        return true;
    case EXEC_LOG_VKEY:
        request->log_vkey = text;
        return true;
    case EXEC_JSON:
        request->json = true;
        return true;
    case EXEC_SAVE:
        request->save = text;
        return true;
    case EXEC_ASYNC:
        request->is_async = true;
        return true;
    case EXEC_WEBHOOK:
        request->webhook = text;
        return true;
    case EXEC_STATE:
        request->state = text;
        return true;
    case EXEC_RESUME:
        request->resume = text;
        return true;
    default:
        assert(id == CLI_OPTION_POSITIONAL);
        return add_positional(command, request, text);
    }
}

static bool request_check(const struct cli_command *command, struct exec_request *request)
{
    if (request->resume != NULL && (request->path != NULL || request->is_async)) {
        cli_complain_usage(command, "--resume takes no module, and waits for the answer");
        return false;
    }
    if (request->resume == NULL && request->path == NULL) {
        cli_complain_usage(command, "which module? name a .wasm file, or - for standard input");
        return false;
    }
    if (request->is_async && request->state == NULL) {
        cli_complain_usage(command,
                           "--async needs --state FILE: what opens the answer is kept in it");
        return false;
    }
    if (request->webhook != NULL && !request->is_async) {
        cli_complain_usage(command, "--webhook goes with --async: who waits is not called");
        return false;
    }
    if (request->resume == NULL) {
        request->server = client_url(request->server);
    } else if (request->server != NULL && request->server[0] == '\0') {
        request->server = NULL; /* the file knows it */
    }
    return true;
}

static int exec_main(const struct cli_command *command, int argc, char **argv)
{
    static struct exec_request request;
    request = (struct exec_request){.server = getenv("WASM_HYPERVISOR_URL"),
                                    .api_key = getenv("WASM_HYPERVISOR_API_KEY")};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    struct err err;
    attest_policy_file_init(&request.policy_file);
    if (!request_check(command, &request)) {
        return CLI_USAGE;
    }
    if (request.policy_path != NULL &&
        !attest_policy_file_load(&request.policy_file, request.policy_path, &err)) {
        attest_policy_file_release(&request.policy_file);
        return cli_complain_err(command, &err);
    }
    static struct exec exec;
    exec = (struct exec){.request = &request};
    progress_init(&exec.progress, request.json);
    code = request.resume != NULL ? exec_resume(command, &exec, &request) : exec_go(command, &exec);
    exec_release(&exec);
    attest_policy_file_release(&request.policy_file);
    exec_cancel_end();
    return code;
}

static const struct cli_option exec_options[] = {
    {EXEC_INVOKE, "invoke", "FN",
     "the exported function to call (default: _start, else main, else the\nonly one)"},
    {EXEC_SERVER, "server", "URL",
     "the node (default: $WASM_HYPERVISOR_URL, else http://127.0.0.1:3000)"},
    {EXEC_API_KEY, "api-key", "KEY",
     "who you are (default: $WASM_HYPERVISOR_API_KEY). Other users of this\n"
     "machine can see flags, not the environment"},
    {EXEC_ARG_BYTES_FLAG, "arg-bytes", "FILE",
     "the next argument is a buffer with the content of FILE; it takes two\n"
     "i32 parameters, pointer and length. @FILE as an ARG is the same"},
    {EXEC_ARG_STRING_FLAG, "arg-string", "TEXT", "the same with TEXT"},
    {EXEC_ENCRYPT_ARGUMENTS, "encrypt-arguments", NULL,
     "send the arguments encrypted, too, not in the clear"},
    {EXEC_RESULT_TYPE, "result-type", "T",
     "values (default); bytes or string: the function returns pointer and\nlength of a buffer"},
    {EXEC_GAS, "gas", "N", "stop the program after N units of gas (default: the node's cap)"},
    {EXEC_TIMEOUT, "timeout", "S", "stop it after S seconds, 1 to 300 (default: the node's, 10)"},
    {EXEC_MEMORY, "memory", "BYTES", "linear memory it may have (default: the node's cap)"},
    {EXEC_ALLOW_SIMULATED, "allow-simulated", "SHA256",
     "accept a simulated node whose root certificate has this hash, or any\n"
     "simulated node with the word any: for trials, it proves nothing"},
    {EXEC_POLICY, "attestation-policy", "FILE",
     "what evidence you accept, as YAML (docs/attestation.md): which programs,\n"
     "chips, firmware; without it the strict default of 'attest verify'"},
    {EXEC_NO_ATTESTATION, "no-attestation", NULL,
     "go on with a node that nothing vouches for; the answer is then only as\n"
     "good as the connection, and the result says NOT verified"},
    {EXEC_LOG_VKEY, "log-vkey", "VKEY",
     "the key of the node's audit log, name+hash+base64, which you know\n"
     "(default: the one in the verified attestation)"},
    {EXEC_STATE, "state", "FILE",
     "keep in FILE, which is made for you alone, what fetches and opens the\nanswer; it holds a "
     "secret"},
    {EXEC_ASYNC, "async", NULL,
     "do not wait for the answer: print the request id as soon as the node has\naccepted; needs "
     "--state"},
    {EXEC_WEBHOOK, "webhook", "URL",
     "with --async: the node POSTs to URL when the program has ended, if its operator\nallows "
     "that"},
    {EXEC_RESUME, "resume", "FILE", "fetch, verify and open the answer that FILE was kept for"},
    {EXEC_SAVE, "save", "DIR", "keep result, evidence and proof in DIR, which is made"},
    {EXEC_JSON, "json", NULL, "print one JSON object instead of text"},
};

const struct cli_command cli_command_exec = {
    .name = "exec",
    .synopsis = "FILE [ARG...] [--invoke FN] [--server URL] [--api-key KEY] [OPTIONS]\n"
                "  wasm-hypervisor exec --resume FILE [--api-key KEY] [OPTIONS]",
    .summary = "run a module on a node, encrypted, and verify what comes back",
    .description =
        "  Asks the node for a key, verifies the evidence that this key belongs to the node's\n"
        "  program on its hardware, encrypts FILE (- is standard input) to it, has it executed,\n"
        "  decrypts the result, and checks everything that can be checked: both commitments, the\n"
        "  result's own hashes, the entry in the audit log and its proof, and the signed receipt.\n"
        "  If the evidence does not verify, nothing of the program is sent.\n\n"
        "  An ARG is read by the type of its parameter, as 'wasm-hypervisor run' reads it; @FILE "
        "is\n"
        "  a buffer. Modules with imports are refused by nodes.\n\n"
        "  If the connection is lost the program goes on, and the answer is asked for again.\n"
        "  Ctrl-C cancels it; a second one does not wait for that.\n",
    .options = exec_options,
    .option_count = sizeof exec_options / sizeof exec_options[0],
    .notes =
        "OUTPUT\n"
        "  The steps on stderr. On stdout the result, 'fac: i64 120', and two lines:\n"
        "    attestation: AMD SEV-SNP, verified | simulated, verified | none, NOT verified\n"
        "    audit proof: verified (leaf N of M)\n"
        "  A failed program is answered with a proof of its failure, which is verified alike.\n\n"
        "EXIT STATUS\n"
        "  0 the program returned and everything verified, 1 the program failed (trap, gas,\n"
        "  memory, time, not valid) and that verified, 2 wrong usage or unreadable file, 3 the "
        "node\n"
        "  cannot be reached or refused, 4 something did not verify, 70 internal error\n\n"
        "ENVIRONMENT\n"
        "  WASM_HYPERVISOR_URL, WASM_HYPERVISOR_API_KEY, NO_COLOR, and what libcurl reads\n"
        "  (http_proxy, SSL_CERT_FILE)\n\n"
        "EXAMPLES\n"
        "  wasm-hypervisor exec fac.wasm --invoke fac 20 --allow-simulated any\n"
        "  wasm-hypervisor exec sum.wasm --invoke sum @data.bin --encrypt-arguments --json\n"
        "  wasm-hypervisor exec long.wasm --async --state long.state --timeout 300\n"
        "  wasm-hypervisor exec --resume long.state\n",
    .run = exec_main,
};
