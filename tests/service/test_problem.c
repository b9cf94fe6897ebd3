/* test_problem.c: errors as clients see them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/problem.h"

#include "base/json.h"
#include "support/fake_clock.h"

#include <criterion/criterion.h>
#include <string.h>

static struct fake_clock fake;

static json_t *respond(enum err_code code, int status, const char *request_id,
                       struct message_response *response)
{
    struct err err;
    json_t *body = NULL;
    fake_clock_init(&fake);
    (void)err_set(&err, code, "what happened");
    problem_response(response, &err, status, request_id, &fake.clock);
    cr_assert_str_eq(response->content_type, "application/problem+json");
    cr_assert(json_text_parse(response->body, &body, &err));
    return body;
}

static const char *text(const json_t *body, const char *name)
{
    const char *value = json_string_value(json_object_get(body, name));
    return value == NULL ? "(none)" : value;
}

static const char *header(const struct message_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcmp(response->headers[i].name, name) == 0) {
            return response->headers[i].value;
        }
    }
    return "(none)";
}

Test(service_problem, has_the_members_of_the_page)
{
    struct message_response response;
    json_t *body = respond(ERR_EXECUTION_TIMEOUT, 0, "some-id", &response);
    cr_expect_eq(response.status, 422);
    cr_expect_str_eq(text(body, "type"), "about:blank");
    cr_expect_str_eq(text(body, "title"), "Execution timed out");
    cr_expect_eq(json_integer_value(json_object_get(body, "status")), 422);
    cr_expect_str_eq(text(body, "error_code"), "EXECUTION_TIMEOUT");
    cr_expect_str_eq(text(body, "message"), "what happened");
    cr_expect_str_eq(text(body, "timestamp"), "2026-09-21T14:13:20.000Z");
    cr_expect_str_eq(text(body, "request_id"), "some-id");
    cr_expect_str_eq(header(&response, "Cache-Control"), "no-store");
    json_decref(body);
    arena_release(&response.arena);
}

Test(service_problem, every_public_code_is_said_and_every_internal_one_is_not)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        struct message_response response;
        json_t *body = respond((enum err_code)code, 0, NULL, &response);
        bool is_said = err_code_is_public((enum err_code)code) && code != ERR_INTERNAL;
        cr_expect_str_eq(text(body, "error_code"),
                         is_said ? err_code_name((enum err_code)code) : "INTERNAL");
        cr_expect_eq(strcmp(text(body, "message"), "what happened") == 0, is_said);
        cr_expect_eq(response.status, err_code_http_status((enum err_code)code));
        cr_expect_null(json_object_get(body, "request_id"));
        json_decref(body);
        arena_release(&response.arena);
    }
}

Test(service_problem, says_when_to_come_back_and_how_to_authenticate)
{
    struct message_response response;
    json_decref(respond(ERR_OVERLOADED, 0, NULL, &response));
    cr_expect_str_eq(header(&response, "Retry-After"), "1");
    arena_release(&response.arena);
    json_decref(respond(ERR_DRAINING, 0, NULL, &response));
    cr_expect_str_eq(header(&response, "Retry-After"), "5");
    arena_release(&response.arena);
    json_decref(respond(ERR_UNAUTHENTICATED, 0, NULL, &response));
    cr_expect_not_null(strstr(header(&response, "WWW-Authenticate"), "Bearer"));
    arena_release(&response.arena);
    json_decref(respond(ERR_NOT_FOUND, 0, NULL, &response));
    cr_expect_str_eq(header(&response, "Retry-After"), "(none)");
    arena_release(&response.arena);
}

Test(service_problem, a_status_of_http_itself_stays)
{
    struct message_response response;
    json_t *body = respond(ERR_MALFORMED_REQUEST, 431, NULL, &response);
    cr_expect_eq(response.status, 431);
    cr_expect_eq(json_integer_value(json_object_get(body, "status")), 431);
    json_decref(body);
    arena_release(&response.arena);
}

Test(service_problem, without_memory_there_is_still_an_answer)
{
    struct message_response response;
    struct err err;
    message_response_init(&response, 404);
    (void)err_set(&err, ERR_NOT_FOUND, "nothing");
    problem_fill(&response, &err, NULL);
    cr_expect_eq(response.status, 500);
    cr_expect_not_null(strstr((const char *)response.body.ptr, "INTERNAL"));
    arena_release(&response.arena);
}
