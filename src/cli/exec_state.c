/* exec_state.c: what opens and verifies an answer that comes later, in a file of the user's alone.
 *
 * One JSON object. It holds the exporter secret of the request's HPKE context, which opens the
 * answer and nothing else, and what was decided about the node when the program was sealed: the
 * evidence is verified again, for the time at which that was done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 1024 * 1024, STATE_VERSION = 1, BASE64_CHARS_MAX = 128 };

/* ---- saving ---- */

static bool set_base64(json_t *state, const char *member, const uint8_t *ptr, size_t size)
{
    char text[BASE64_CHARS_MAX];
    text_base64_encode(bytes_of(ptr, size), text);
    bool ok = json_object_set_new(state, member, json_string(text)) == 0;
    memory_wipe(text, sizeof text);
    return ok;
}

static bool set_trust(json_t *state, const struct exec_request *request)
{
    char root[2 * CRYPTO_SHA256_BYTES + 1] = "any";
    if (request->root.is_named) {
        text_hex_encode(bytes_of(request->root.sha256, sizeof request->root.sha256), root);
    }
    bool has_root = request->root.is_named || request->root.is_any;
    return json_object_set_new(state, "allow_simulated",
                               has_root ? json_string(root) : json_null()) == 0 &&
           json_object_set_new(state, "no_attestation", json_boolean(request->no_attestation)) ==
               0 &&
           json_object_set_new(state, "log_vkey",
                               request->log_vkey != NULL ? json_string(request->log_vkey)
                                                         : json_null()) == 0;
}

/* NULL: no memory. */
static json_t *state_make(const struct exec *exec)
{
    json_t *state = json_pack("{s:i, s:s, s:s%, s:O, s:I}", "version", STATE_VERSION, "server",
                              exec->request->server, "function", exec->function_name.ptr,
                              exec->function_name.size, "key", exec->key_answer, "judged_ms",
                              (json_int_t)exec->judged_ms);
    bool ok = state != NULL && set_trust(state, exec->request) &&
              set_base64(state, "nonce", exec->nonce, sizeof exec->nonce) &&
              set_base64(state, "enc", exec->enc, sizeof exec->enc) &&
              set_base64(state, "program_hash", exec->program_hash, sizeof exec->program_hash) &&
              set_base64(state, "request_commitment", exec->request_commitment,
                         sizeof exec->request_commitment) &&
              set_base64(state, "exporter_secret", exec->hpke.exporter_secret,
                         sizeof exec->hpke.exporter_secret);
    if (!ok) {
        json_decref(state);
        return NULL;
    }
    return state;
}

static bool write_private(const char *path, struct bytes content, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return err_set(err, ERR_FORMAT, "cannot make '%s': %s", path, strerror(errno));
    }
    size_t written = 0;
    ssize_t size = 1;
    while (size > 0 && written < content.size) {
        size = write(fd, content.ptr + written, content.size - written);
        written += size > 0 ? (size_t)size : 0;
    }
    bool ok = written == content.size && fsync(fd) == 0;
    int cause = errno;
    close(fd);
    if (!ok) {
        unlink(path);
        return err_set(err, ERR_FORMAT, "cannot write '%s': %s", path, strerror(cause));
    }
    return true;
}

bool exec_state_save(const struct exec *exec, struct err *err)
{
    json_t *state = state_make(exec);
    char *text = state != NULL ? json_dumps(state, JSON_INDENT(1)) : NULL;
    json_decref(state);
    if (text == NULL) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    bool ok = write_private(exec->request->state, bytes_of_string(text), err);
    memory_wipe(text, strlen(text));
    heap_free(text);
    return ok;
}

/* ---- loading ---- */

static const char *text_of(const json_t *state, const char *member)
{
    return json_string_value(json_object_get(state, member));
}

/* Flags on the command line come first. */
static bool load_trust(const json_t *state, struct exec_request *request)
{
    const char *root = text_of(state, "allow_simulated");
    bool is_said = request->root.is_named || request->root.is_any;
    request->no_attestation =
        request->no_attestation || json_is_true(json_object_get(state, "no_attestation"));
    request->log_vkey = request->log_vkey != NULL ? request->log_vkey : text_of(state, "log_vkey");
    request->server = request->server != NULL ? request->server : text_of(state, "server");
    return request->server != NULL &&
           (is_said || root == NULL || attest_root_read(root, &request->root));
}

static bool load_members(struct exec *exec, const json_t *state)
{
    const json_t *name = json_object_get(state, "function");
    exec->key_answer = json_incref(json_object_get(state, "key"));
    exec->judged_ms = json_integer_value(json_object_get(state, "judged_ms"));
    exec->function_name = bytes_of(json_string_value(name), json_string_length(name));
    return json_integer_value(json_object_get(state, "version")) == STATE_VERSION &&
           json_is_string(name) && json_is_object(exec->key_answer) &&
           exec_base64_member(state, "nonce", exec->nonce, sizeof exec->nonce) &&
           exec_base64_member(state, "enc", exec->enc, sizeof exec->enc) &&
           exec_base64_member(state, "program_hash", exec->program_hash,
                              sizeof exec->program_hash) &&
           exec_base64_member(state, "request_commitment", exec->request_commitment,
                              sizeof exec->request_commitment) &&
           exec_base64_member(state, "exporter_secret", exec->hpke.exporter_secret,
                              sizeof exec->hpke.exporter_secret);
}

bool exec_state_load(struct exec *exec, struct exec_request *request, struct err *err)
{
    uint8_t *text = NULL;
    size_t size = 0;
    if (!cli_file_read(request->resume, STATE_BYTES_MAX, &text, &size, err)) {
        return false;
    }
    bool ok = json_text_parse(bytes_of(text, size), &exec->state, err) &&
              load_members(exec, exec->state) && load_trust(exec->state, request);
    memory_wipe(text, size);
    heap_free(text);
    return ok || err_set(err, ERR_FORMAT, "'%s' is no file that --state has made", request->resume);
}
