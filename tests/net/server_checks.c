/* server_checks.c: one server for a test, and what a client expects of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "server_checks.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

struct fixture fixture;

void start(void)
{
    fixture_init(&fixture);
    fixture_start(&fixture);
}

void stop(void)
{
    fixture_stop(&fixture);
}

void expect_answer(const char *request, int status, const char *needle)
{
    char *answer = client_ask(&fixture, request);
    cr_expect_eq(client_status(answer), status, "%s\n -> %s", request, answer);
    cr_expect(strstr(answer, needle) != NULL, "%s\n -> %s", request, answer);
    heap_free(answer);
}

void expect_without(const char *request, const char *needle)
{
    char *answer = client_ask(&fixture, request);
    cr_expect(strstr(answer, needle) == NULL, "%s\n -> %s", request, answer);
    heap_free(answer);
}

void expect_next(int fd, int status, const char *needle)
{
    char *answer = client_read_answer(fd);
    cr_expect_eq(client_status(answer), status, "%s", answer != NULL ? answer : "(end)");
    cr_expect(answer != NULL && strstr(answer, needle) != NULL, "%s", answer);
    heap_free(answer);
}

void expect_end(int fd)
{
    char *rest = client_read_all(fd);
    cr_expect_str_eq(rest, "");
    heap_free(rest);
    close(fd);
}
