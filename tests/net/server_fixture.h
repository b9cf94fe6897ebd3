/* server_fixture: a server on 127.0.0.1 whose loop runs in a thread of the test, a handler with a
 * few paths, and a plain blocking client.
 *
 *     /hello     "hello"                     /echo    the body
 *     /describe  the request as text         /large   response_bytes bytes
 *     /later     waits for fixture_release   /async   answered by another thread at once
 *     /204 /304  those statuses              /close   response.close
 *     /inject    a header with a line end    /deny    accept says 401
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_NET_SERVER_FIXTURE_H
#define TESTS_NET_SERVER_FIXTURE_H

#include "net/net.h"

enum { FIXTURE_LATER_MAX = 256 };

struct fixture {
    struct net_limits limits;
    const char *host;
    size_t response_bytes;
    bool trusts_peer; /* connections_per_address_max does not hold */

    uv_thread_t thread;
    uv_sem_t ready;
    uv_loop_t loop;
    uv_async_t command;
    struct net_server *server;
    uint16_t port;
    bool open;
    struct err err;
    _Atomic uint64_t handled_count; /* requests handed to the handler */

    uv_mutex_t mutex; /* of what follows */
    uv_cond_t changed;
    struct message_exchange *later[FIXTURE_LATER_MAX];
    size_t later_count;
    size_t gone_count, drained_count, closed_count;
    bool want_drain, want_close;
    uv_thread_t responders[FIXTURE_LATER_MAX];
    size_t responder_count;
};

/* Limits are the defaults; to be changed before fixture_start. */
void fixture_init(struct fixture *fixture);
void fixture_start(struct fixture *fixture);
void fixture_stop(struct fixture *fixture); /* closes the server and checks that all is freed */

void fixture_wait_later(struct fixture *fixture, size_t count);
void fixture_wait_gone(struct fixture *fixture, size_t count);
void fixture_wait_drained(struct fixture *fixture);
void fixture_wait_open(struct fixture *fixture, uint64_t connections);
/* Answers all that wait, from the calling thread, in the order of their coming. */
void fixture_release(struct fixture *fixture);
void fixture_drain(struct fixture *fixture);
void fixture_close(struct fixture *fixture);

int client_connect(struct fixture *fixture);
void client_send(int fd, const char *text);
void client_send_bytes(int fd, const void *ptr, size_t size);
/* What comes until the end of the stream, or until the connection breaks. */
char *client_read_all(int fd);
/* One answer: head and as many bytes as its Content-Length says. NULL at the end of the stream. */
char *client_read_answer(int fd);
int client_status(const char *answer);
/* Connects, sends, reads all, closes. */
char *client_ask(struct fixture *fixture, const char *text);
/* The status of client_ask's first answer. */
int client_ask_status(struct fixture *fixture, const char *text);

#endif
