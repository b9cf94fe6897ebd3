/* server: what a server's connections share. Private to net.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_SERVER_H
#define NET_SERVER_H

#include "base/list.h"
#include "exchange.h"
#include "http_writer.h"
#include "net.h"
#include "peers.h"

enum { NET_READ_BYTES = 64 * 1024 };

enum conn_state {
    CONN_FRESH,     /* nothing has come yet: the header timeout runs */
    CONN_HEAD,      /* a head has begun: the header timeout runs */
    CONN_IDLE,      /* between requests: the keep-alive timeout runs */
    CONN_BODY,      /* the body comes: the minimum rate holds */
    CONN_HANDLING,  /* the handler owes a response */
    CONN_WRITING,   /* the answer is being sent: the write timeout runs */
    CONN_LINGERING, /* the answer is sent, our side is shut */
    CONN_CLOSING,   /* waits for libuv */
    CONN_STATES,
};

struct net_server {
    uv_loop_t *loop;
    uv_tcp_t listener;
    uv_timer_t tick;  /* looks at the connections' deadlines; runs while there are any */
    uv_poll_t wakeup; /* on answers.wake_fd */
    struct answers answers;
    struct net_limits limits;
    struct net_handler handler;
    struct net_stats stats;
    struct budget bodies;
    struct list conns[CONN_STATES]; /* by state, the longest in it first */
    uint32_t conn_count;
    uint32_t open_count; /* of them, not CLOSING */
    struct peers peers;
    size_t handled_count; /* exchanges that the handler owes a response */
    uint16_t port;
    unsigned handles; /* of ours that libuv has not closed yet */
    bool listening;
    bool accept_waits; /* a connection is in libuv's hands for want of memory */
    bool draining;
    bool closing;
    bool finishing; /* tick and wakeup are being closed */
    void (*drained)(void *context);
    void *drained_context;
    void (*closed)(void *context);
    void *closed_context;
    struct http_date date;
    char read_buffer[NET_READ_BYTES]; /* what is read is parsed at once, so one is enough */
};

/* Every libuv callback of net runs between these two; leave delivers the answers that have come. */
void server_enter(struct net_server *server);
void server_leave(struct net_server *server);

/* A new connection, its link in none of the lists yet. */
void server_conn_opened(struct net_server *server);
/* Its memory is about to go. */
void server_conn_closed(struct net_server *server, struct list *link);
/* There is no memory for the listener's next connection: it is asked for again later. */
void server_conn_postponed(struct net_server *server);
const char *server_date(struct net_server *server);

#endif
