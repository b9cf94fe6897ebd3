/* server_checks.h: one server for a test, and what a client expects of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_NET_SERVER_CHECKS_H
#define TESTS_NET_SERVER_CHECKS_H

#include "server_fixture.h"

#define HOST "Host: a.example\r\n"
#define CLOSE HOST "Connection: close\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define GET_CLOSE(path) "GET " path " HTTP/1.1\r\n" CLOSE "\r\n"

extern struct fixture fixture; /* of the running test: Criterion gives each a process of its own */

void start(void);
void stop(void);
/* Asks on a connection of its own. */
void expect_answer(const char *request, int status, const char *needle);
void expect_without(const char *request, const char *needle);
/* On an open one. */
void expect_next(int fd, int status, const char *needle);
void expect_end(int fd);

#endif
