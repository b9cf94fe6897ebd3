/* net.h: sockets in, messages out. HTTP/1.1 on libuv and llhttp, requests to others on libcurl;
 * knows no meaning.
 *
 * The server lives on the loop it is given; all functions but net_server_stats are for the loop's
 * thread. Messages are handed to one handler; its answers may come from any thread
 * (base/message.h).
 *
 * What a handler may rely on: one request at a time per connection, answered in order; path "/" for
 * `OPTIONS *`; in the absolute form the target's authority is the value of "host"; header names are
 * lower case and unique as far as framing goes (Host, Content-Length, Transfer-Encoding, Expect);
 * trailers are dropped. Date, Content-Length and Connection of the answer are net's; a HEAD request
 * is answered like GET and the body is left out here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_NET_H
#define NET_NET_H

#include "base/message.h"
#include "base/outgoing.h"

#include <uv.h>

struct net_limits { /* every one has a test at, below and above */
    /* When all are taken, a new one takes the place of the one that has waited longest with nothing
     * under way; if there is none, it is refused: 503. */
    uint32_t connections_max;
    uint32_t silent_ms_max; /* then a connection that has said nothing makes way before idle ones */
    uint32_t connections_per_address_max; /* of those that handler->counts_peer: 429; 0: no limit */
    uint32_t request_line_bytes_max;      /* without its CRLF: 414 */
    uint32_t header_bytes_max;            /* header lines and trailers, each with its CRLF: 431 */
    uint32_t header_count_max;            /* header lines and trailers: 431 */
    size_t body_bytes_max;                /* 413 */
    size_t bodies_bytes_max;              /* of all requests together: 503 */
    struct budget *budget;                /* which bodies are charged to as well; NULL: none */
    uint32_t header_timeout_ms;   /* from accept to the first byte, and from that to the end of the
                                     headers, whatever trickles in: 408 */
    uint32_t body_rate_bytes_min; /* per second, after a grace of body_grace_ms: 408 */
    uint32_t body_grace_ms;
    uint32_t keep_alive_timeout_ms;   /* between requests; then the connection is closed */
    uint32_t keep_alive_requests_max; /* the last one is answered with Connection: close */
    uint32_t write_timeout_ms;     /* no progress in sending an answer: the connection is dropped */
    uint32_t write_rate_bytes_min; /* per second, after a grace of write_timeout_ms: the same */
};

extern const struct net_limits net_limits_default;

struct net_handler {
    /* The headers are complete and the body is still to come (or there is none). Once per request,
     * on the loop thread, must not block. May allocate from the exchange's arena and leave
     * something in exchange->handler for `handle`; must not respond. Return false and fill
     * *response to refuse at once (before any 100 Continue; the connection closes unless there is
     * no body). */
    bool (*accept)(void *context, struct message_exchange *exchange,
                   struct message_response *response);
    /* A whole request that was accepted. Must lead to exactly one exchange->respond. net holds a
     * lock while it calls exchange->gone, so do not call respond with a lock held that gone takes.
     */
    void (*handle)(void *context, struct message_exchange *exchange);
    /* Builds the answer to a request that net refuses by itself (400, 408, 413, 414, 417, 429, 431,
     * 501, 503, 505), so that its body looks like all the others. `reason` is one sentence. */
    void (*refuse)(void *context, int status, const char *reason,
                   struct message_response *response);
    /* Does connections_per_address_max hold for that peer ("192.0.2.1")? NULL: for all. */
    bool (*counts_peer)(void *context, const char *peer);
    void *context;
};

struct net_server;

struct net_stats {
    _Atomic uint64_t connections_accepted, connections_open;
    /* Of those accepted: one too many of its address, or no room. Told so, or just closed. */
    _Atomic uint64_t surplus_of_address, surplus;
    _Atomic uint64_t refused; /* requests answered by net itself, through `refuse` */
};

/* Listens. host is an address or name (of several addresses the first IPv4 one is taken), port 0
 * picks a free one. Fails with IO ("address already in use: 127.0.0.1:3000 …"). *limits and
 * *handler are copied. Makes the process ignore SIGPIPE. After a failure there is nothing to close,
 * but the loop must run once more before uv_loop_close, because libuv lets go of handles only
 * there. */
bool net_server_open(uv_loop_t *loop, const char *host, uint16_t port,
                     const struct net_limits *limits, const struct net_handler *handler,
                     struct net_server **out, struct err *err) MUST_CHECK;
uint16_t net_server_port(const struct net_server *server);
const struct net_stats *net_server_stats(const struct net_server *server);
/* Stops accepting, lets requests in flight end, closes idle connections; `drained` comes when the
 * last connection is gone. After it, or with force, net_server_close. Neither may be called from
 * `accept` or `refuse`. */
void net_server_drain(struct net_server *server, void (*drained)(void *context), void *context);
/* Drops what is left and frees the server when libuv has closed everything and every exchange that
 * was handed to the handler has been responded to; then calls `closed`. A `drained` that is still
 * to come does not come any more. */
void net_server_close(struct net_server *server, void (*closed)(void *context), void *context);

/* ---- requests to others (outgoing.c): a thread of its own, on libcurl ---- */

struct net_outgoing_limits {
    uint32_t running_max; /* at once; one party has a quarter of them */
    uint32_t waiting_max; /* for their turn or their time; one party has half of them */
    /* False: nothing is connected to but public addresses of the internet (address_is_public),
     * whatever a name stands for at that moment. */
    bool allow_private;
};

struct net_outgoing;

/* Starts the thread. IO, NO_MEMORY. */
bool net_outgoing_open(const struct net_outgoing_limits *limits, struct net_outgoing **out,
                       struct err *err) MUST_CHECK;
/* What to hand to the one user of it. Valid until close. */
struct outgoing net_outgoing_of(struct net_outgoing *outgoing);
/* Stops it, if its user has not, and joins the thread. NULL is fine. */
void net_outgoing_close(struct net_outgoing *outgoing);

#endif
