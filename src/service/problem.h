/* problem.h: errors as clients see them: application/problem+json (RFC 9457) with error_code,
 * message, timestamp and request_id on top (docs/protocol.md section 9). Private to service.
 *
 * An internal code (second block of err_codes.def) becomes INTERNAL with a fixed message; its cause
 * goes to the operator's log and nowhere else.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_PROBLEM_H
#define SERVICE_PROBLEM_H

#include "base/clock.h"
#include "base/message.h"

#include <jansson.h>

/* Replaces an internal error by INTERNAL, after logging it. Public ones stay as they are. */
void problem_publish(struct err *err, const char *request_id);
/* The members of the answer. status 0: the code's own. request_id may be NULL. NULL: no memory. */
json_t *problem_json(const struct err *err, int status, const char *request_id,
                     const struct clock *clock);
/* Retry-After, if that code has one: known_s, or the least that is sensible. */
void problem_retry_after(struct message_response *response, enum err_code code, uint32_t known_s);
/* Fills an initialised response with `body` (stolen; NULL stands for "no memory") and the headers
 * that go with the code: Retry-After, WWW-Authenticate. */
void problem_fill(struct message_response *response, const struct err *err, json_t *body);
/* All of it: publish, build, fill. Initialises the response. */
void problem_response(struct message_response *response, const struct err *err, int status,
                      const char *request_id, const struct clock *clock);

#endif
