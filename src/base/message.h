/* message.h: a request and its answer as plain data: what net hands up and what service hands down.
 *
 * net turns bytes into a message and back and knows no meaning; service gives messages a meaning
 * and knows no sockets. This header is all they share.
 *
 * One exchange is one request on one connection. net fills `request` and calls the handler on its
 * loop thread. The handler, or anything it hands the exchange to, on any thread, calls
 * `exchange->respond` exactly once; from that call on the exchange belongs to net again. Until then
 * request stays valid, also when the client goes away.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include "base/arena.h"

struct message_header {
    const char *name;  /* requests: lower case */
    const char *value; /* without surrounding blanks */
};

struct message_request {
    const char *method; /* "GET" */
    const char *path;   /* percent-decoded, begins with '/', no query */
    const char *query;  /* raw, without '?'; "" if none */
    const struct message_header *headers;
    size_t header_count;
    struct bytes body;
    const char *peer; /* "127.0.0.1", without the port */
    bool tls;
};

/* Header and body memory comes from `arena` or is static. */
struct message_response {
    struct arena arena; /* init by whoever builds the response; released by net after the last byte
                           is written */
    int status;
    const char *content_type; /* NULL: no body */
    struct message_header headers[16];
    size_t header_count;
    struct bytes body;
    bool close; /* close the connection after this answer */
};

struct message_exchange {
    struct message_request request;
    struct arena arena; /* lives as long as the exchange; the request's memory is in it */
    /* Any thread, exactly once. Moves *response away (its arena with it). */
    void (*respond)(struct message_exchange *exchange, struct message_response *response);
    /* Optional, set by the handler before it returns: called at most once, on the loop thread, if
     * the client goes away before the answer. `respond` must still be called afterwards. Never
     * called once `respond` has been called. */
    void (*gone)(struct message_exchange *exchange, void *context);
    void *gone_context;
    /* Any thread, before `respond`: the body has served, its memory goes back; the request has an
     * empty one from then on. NULL: it stays until the end. */
    void (*drop_body)(struct message_exchange *exchange);
    void *handler;   /* the handler's: what it knows since the head came; NULL at first */
    void *transport; /* net's */
};

/* The value of the first header of that (lower-case) name, or NULL. */
const char *message_request_header(const struct message_request *request, const char *name);
/* The decoded value of a query parameter, in the arena; NULL if absent. With a bad escape it is
 * left as it is. *duplicate tells of a second one. */
const char *message_request_query(const struct message_request *request, const char *name,
                                  struct arena *arena, bool *duplicate);

void message_response_init(struct message_response *response, int status);
/* Copies the value; asserts that there is room. `name` must be static. */
void message_response_header(struct message_response *response, const char *name,
                             const char *value);
/* Copies the body into the arena; false when there is no memory. */
bool message_response_body(struct message_response *response, const char *content_type,
                           struct bytes body) MUST_CHECK;

#endif
