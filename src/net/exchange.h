/* exchange: net's side of one message_exchange, and the queue on which answers come back.
 *
 * An exchange is made for every request that begins, on the loop thread, and freed there. Between
 * `handle` and `respond` it belongs to the handler: if its connection dies meanwhile, `conn`
 * becomes NULL and the exchange lives on until it is responded to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_EXCHANGE_H
#define NET_EXCHANGE_H

#include "base/list.h"
#include "base/message.h"
#include "http_body.h"

#include <uv.h>

struct conn;

/* Answers on their way from any thread to the loop. */
struct answers {
    uv_mutex_t mutex; /* recursive: gone, called under it, may respond */
    struct list queue;
    int wake_fd;             /* an eventfd: readable when the loop has to look */
    _Atomic unsigned wakers; /* threads that are about to write to it */
};

struct exchange {
    struct message_exchange message; /* first: the handler sees nothing else */
    struct answers *answers;
    struct conn *conn;
    struct list link; /* in answers->queue */
    struct budget budget;
    struct http_body body;
    struct message_response response;
    char peer[46];    /* the longest IPv6 text; the connection may be gone before the request */
    bool answered;    /* under answers->mutex */
    bool gone_called; /* loop thread */
};

bool answers_init(struct answers *answers) MUST_CHECK;
void answers_release(struct answers *answers);
/* On the loop thread, when wake_fd is readable: it is not any more. */
void answers_awake(struct answers *answers);
/* Moves all answers that are there to `out`, in the order in which they came. */
void answers_take(struct answers *answers, struct list *out);
/* Between these two, on this thread, a response needs no wakeup: the caller takes the answers. */
void answers_enter(struct answers *answers);
void answers_leave(void);

/* NULL: no memory. bytes_max bounds the message's arena; bodies are charged to `bodies`. */
struct exchange *exchange_new(struct answers *answers, struct conn *conn, const char *peer,
                              size_t bytes_max, struct budget *bodies);
void exchange_free(struct exchange *exchange);
/* The client has left before the answer: tells the handler, once, if it is still at work. */
void exchange_gone(struct exchange *exchange);

#endif
