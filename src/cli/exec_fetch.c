/* exec_fetch.c: the stored answer, asked for until it is there: after a lost connection, or when
 * nobody waited for it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include <string.h>
#include <time.h>

enum {
    FETCH_WAIT_SECONDS = 30,
    FETCH_CALL_SECONDS = 60,
    FETCH_TRIES = 5, /* in a row, after 1, 2, 4 and 8 seconds; whoever resumes may do so again */
};

bool exec_refused(const struct client_answer *answer, const char *what, struct err *err)
{
    const char *code = json_string_value(json_object_get(answer->body, "error_code"));
    const char *message = json_string_value(json_object_get(answer->body, "message"));
    const char *hint =
        answer->status == 401 ? "; give an API key with --api-key or WASM_HYPERVISOR_API_KEY" : "";
    return err_set(err, ERR_IO, "%s: the node refused: %s (%d): %.300s%s", what,
                   code != NULL ? code : "no code", answer->status,
                   message != NULL ? message : "no message", hint);
}

static bool is_live(const char *state)
{
    static const char *const states[] = {"CREATED", "KEY_GENERATED", "DECRYPTING", "EXECUTING"};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(state, states[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* One look: *is_over with the answer taken, or false with what is wrong. */
static bool look(struct exec *exec, const struct client_answer *found, bool *is_over,
                 bool *is_unsent, struct err *err)
{
    json_t *answer = json_object_get(found->body, "answer");
    const char *state = json_string_value(json_object_get(found->body, "state"));
    if (found->status != 200 || state == NULL) {
        return exec_refused(found, "asking for the answer", err);
    }
    if (json_is_object(answer)) {
        exec->execute_answer = json_incref(answer);
        exec->execute_status =
            (int)json_integer_value(json_object_get(found->body, "answer_status"));
        *is_over = true;
        return true;
    }
    /* A key expires, an execution does not. */
    *is_unsent = is_live(state) && json_object_get(found->body, "expires_at") != NULL;
    if (*is_unsent) {
        return err_set(err, ERR_IO, "the node has not received the request");
    }
    return is_live(state) ||
           err_set(err, ERR_IO, "the node has no answer to it, its state is %.20s", state);
}

static bool is_sealed(const struct exec *exec, struct err *err)
{
    const struct client_answer answer = {exec->execute_status, exec->execute_answer};
    return json_is_string(json_object_get(answer.body, "encrypted_result")) ||
           exec_refused(&answer, "executing", err);
}

bool exec_fetch(struct exec *exec, bool *is_unsent, struct err *err)
{
    char path[64];
    char prefer[32];
    bool is_over = false;
    *is_unsent = false;
    snprintf(path, sizeof path, "/v1/executions/%s", exec->request_id_text);
    snprintf(prefer, sizeof prefer, "wait=%d", FETCH_WAIT_SECONDS);
    if (!client_add_header(exec->client, "Prefer", prefer, err)) {
        return false;
    }
    const unsigned tries_max = exec->request->resume != NULL ? 1 : FETCH_TRIES;
    for (unsigned tries = 1; !is_over;) {
        struct client_answer found = {0};
        if (client_call(exec->client, path, NULL, FETCH_CALL_SECONDS, &found, err)) {
            bool ok = look(exec, &found, &is_over, is_unsent, err);
            json_decref(found.body);
            if (!ok) {
                return false;
            }
            tries = 1;
        } else if (tries < tries_max && err->code != ERR_CANCELLED) {
            const struct timespec pause = {.tv_sec = (time_t)1 << (tries++ - 1)};
            nanosleep(&pause, NULL);
        } else {
            return false;
        }
    }
    if (!is_sealed(exec, err)) {
        return false;
    }
    progress_step(&exec->progress, PROGRESS_DONE, "answer %d fetched", exec->execute_status);
    return true;
}
