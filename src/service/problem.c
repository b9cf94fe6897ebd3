/* problem.c: struct err -> problem+json.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/problem.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char problem_type[] = "application/problem+json";
/* What is said when there is no memory to say anything else. */
static const char problem_static[] =
    "{\"type\":\"about:blank\",\"title\":\"Internal error\",\"status\":500,\"error_code\":"
    "\"INTERNAL\",\"message\":\"the node is out of memory\"}";

void problem_publish(struct err *err, const char *request_id)
{
    if (err_code_is_public(err->code) && err->code != ERR_INTERNAL) {
        return;
    }
    log_write(LOG_ERROR, "internal_error", request_id, "%s: %s", err_code_name(err->code),
              err->message);
    (void)err_set(err, ERR_INTERNAL, "something failed on this node; its log has the cause");
}

json_t *problem_json(const struct err *err, int status, const char *request_id,
                     const struct clock *clock)
{
    char now[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(clock_wall_ms(clock), now);
    json_t *problem = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s}", "type", "about:blank", "title", err_code_title(err->code),
        "status", status != 0 ? status : err_code_http_status(err->code), "error_code",
        err_code_name(err->code), "message", err->message, "timestamp", now);
    if (problem != NULL && request_id != NULL &&
        json_object_set_new(problem, "request_id", json_string(request_id)) != 0) {
        json_decref(problem);
        return NULL;
    }
    return problem;
}

void problem_retry_after(struct message_response *response, enum err_code code, uint32_t known_s)
{
    char text[16];
    if (code != ERR_OVERLOADED && code != ERR_RATE_LIMITED && code != ERR_DRAINING &&
        code != ERR_IDEMPOTENCY_IN_FLIGHT) {
        return;
    }
    /* A node that stops is back when it has been started again, if it is. */
    uint32_t least_s = code == ERR_DRAINING ? 5 : 1;
    (void)snprintf(text, sizeof(text), "%" PRIu32, known_s < least_s ? least_s : known_s);
    message_response_header(response, "Retry-After", text);
}

void problem_fill(struct message_response *response, const struct err *err, json_t *body)
{
    enum err_code code = err->code;
    problem_retry_after(response, code, err->retry_after_s);
    if (code == ERR_UNAUTHENTICATED) {
        message_response_header(response, "WWW-Authenticate", "Bearer realm=\"wasm-hypervisor\"");
    }
    message_response_header(response, "Cache-Control", "no-store");
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    if (text == NULL || !message_response_body(response, problem_type, bytes_of_string(text))) {
        response->status = 500;
        response->content_type = problem_type;
        response->body = bytes_of_string(problem_static);
    }
    heap_free(text);
    json_decref(body);
}

void problem_response(struct message_response *response, const struct err *err, int status,
                      const char *request_id, const struct clock *clock)
{
    struct err public_err = *err;
    problem_publish(&public_err, request_id);
    message_response_init(response, status != 0 ? status : err_code_http_status(public_err.code));
    problem_fill(response, &public_err, problem_json(&public_err, status, request_id, clock));
}
