/* transport: the bytes of one connection: what stands between a socket and the state machine above
 * it. Plain TCP.
 *
 * The owner embeds it, and may free it only after `closed`. After transport_close no callback but
 * `closed` comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_TRANSPORT_H
#define NET_TRANSPORT_H

#include "base/bytes.h"

#include <uv.h>

enum { TRANSPORT_PEER_CHARS_MAX = 46 }; /* the longest IPv6 text and its NUL */

struct transport;

struct transport_callbacks {
    /* Where the next bytes go; ptr and size. The size must not be 0. */
    uv_buf_t (*room)(struct transport *transport);
    void (*received)(struct transport *transport, struct bytes bytes);
    /* No more bytes will come: the peer has closed its side, or (`lost`) the connection broke. */
    void (*ended)(struct transport *transport, bool lost);
    void (*written)(struct transport *transport, bool ok);
    void (*closed)(struct transport *transport);
};

struct transport {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_write_t interim;
    uv_shutdown_t shutdown;
    const struct transport_callbacks *callbacks;
    bool reading;
    char peer[TRANSPORT_PEER_CHARS_MAX];
};

enum transport_write_result {
    TRANSPORT_WRITTEN, /* all of it, no callback comes */
    TRANSPORT_WRITING, /* `written` comes; the memory must live until then */
    TRANSPORT_FAILED,  /* no callback comes */
};

/* Takes the next connection of the listener. True: transport_close must be called, also if the
 * accept failed (*accepted is false then). False: nothing is there. */
bool transport_accept(struct transport *transport, uv_stream_t *listener,
                      const struct transport_callbacks *callbacks, bool *accepted);
/* Calling either twice is fine. */
bool transport_read_start(struct transport *transport);
void transport_read_stop(struct transport *transport);
/* One at a time. */
enum transport_write_result transport_write(struct transport *transport, struct bytes head,
                                            struct bytes body);
/* Static text ahead of the next transport_write; one at a time. False if it failed. */
bool transport_write_interim(struct transport *transport, struct bytes text);
/* Bytes that the kernel has not taken yet. */
size_t transport_unsent(const struct transport *transport);
/* Ends our side, after what was written. False if it failed. */
bool transport_shutdown(struct transport *transport);
/* Asks the kernel whether the peer has ended its side or the connection is broken, for when reading
 * is stopped. */
bool transport_peer_left(struct transport *transport);
void transport_close(struct transport *transport);

#endif
