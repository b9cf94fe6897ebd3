/* transport.c: see transport.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "transport.h"

#include "base/list.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- opening and closing ---- */

/* "::ffff:192.0.2.1", an IPv4 peer on a socket for both, is "192.0.2.1" like everywhere else. */
static void transport_set_peer(struct transport *transport)
{
    static const char mapped[] = "::ffff:";
    struct sockaddr_storage address;
    int size = sizeof(address);
    char *peer = transport->peer;
    if (uv_tcp_getpeername(&transport->tcp, (struct sockaddr *)&address, &size) != 0 ||
        uv_ip_name((struct sockaddr *)&address, peer, sizeof(transport->peer)) != 0) {
        (void)snprintf(peer, sizeof(transport->peer), "unknown");
        return;
    }
    if (strncmp(peer, mapped, strlen(mapped)) == 0 && strchr(peer, '.') != NULL) {
        (void)memmove(peer, peer + strlen(mapped), strlen(peer) - strlen(mapped) + 1);
    }
}

bool transport_accept(struct transport *transport, uv_stream_t *listener,
                      const struct transport_callbacks *callbacks, bool *accepted)
{
    if (uv_tcp_init(listener->loop, &transport->tcp) != 0) {
        return false;
    }
    transport->callbacks = callbacks;
    *accepted = uv_accept(listener, (uv_stream_t *)&transport->tcp) == 0;
    if (*accepted) {
        (void)uv_tcp_nodelay(&transport->tcp, 1); /* answers are written whole */
        transport_set_peer(transport);
    }
    return true;
}

static struct transport *transport_of(void *tcp)
{
    return LIST_ENTRY(tcp, struct transport, tcp);
}

static void transport_close_cb(uv_handle_t *handle)
{
    struct transport *transport = transport_of(handle);
    transport->callbacks->closed(transport);
}

void transport_close(struct transport *transport)
{
    uv_close((uv_handle_t *)&transport->tcp, transport_close_cb);
}

static bool transport_is_open(struct transport *transport)
{
    return !uv_is_closing((uv_handle_t *)&transport->tcp);
}

/* ---- reading ---- */

static void transport_alloc_cb(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buf)
{
    struct transport *transport = transport_of(handle);
    (void)suggested_size;
    *buf = transport->callbacks->room(transport);
}

static void transport_read_cb(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct transport *transport = transport_of(stream);
    if (size > 0) {
        transport->callbacks->received(transport, bytes_of(buf->base, (size_t)size));
    } else if (size < 0) {
        transport_read_stop(transport);
        transport->callbacks->ended(transport, size != UV_EOF);
    }
}

bool transport_read_start(struct transport *transport)
{
    if (!transport->reading) {
        transport->reading = uv_read_start((uv_stream_t *)&transport->tcp, transport_alloc_cb,
                                           transport_read_cb) == 0;
    }
    return transport->reading;
}

void transport_read_stop(struct transport *transport)
{
    if (transport->reading) {
        transport->reading = false;
        (void)uv_read_stop((uv_stream_t *)&transport->tcp);
    }
}

bool transport_peer_left(struct transport *transport)
{
    uv_os_fd_t fd;
    if (uv_fileno((uv_handle_t *)&transport->tcp, &fd) != 0) {
        return true;
    }
    struct pollfd pollfd = {.fd = fd, .events = POLLRDHUP};
    return poll(&pollfd, 1, 0) == 1 && (pollfd.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* ---- writing ---- */

static void transport_write_cb(uv_write_t *request, int status)
{
    struct transport *transport = LIST_ENTRY(request, struct transport, write);
    if (transport_is_open(transport)) {
        transport->callbacks->written(transport, status == 0);
    }
}

/* libuv does not write through this pointer. */
static uv_buf_t transport_buf(struct bytes bytes)
{
    union {
        const uint8_t *borrowed;
        char *base;
    } ptr = {.borrowed = bytes.ptr};
    return (uv_buf_t){.base = ptr.base, .len = bytes.size};
}

static void transport_skip(uv_buf_t *buf, size_t *size)
{
    size_t skip = *size < buf->len ? *size : buf->len;
    buf->base = skip > 0 ? buf->base + skip : buf->base;
    buf->len -= skip;
    *size -= skip;
}

enum transport_write_result transport_write(struct transport *transport, struct bytes head,
                                            struct bytes body)
{
    uv_buf_t bufs[2] = {transport_buf(head), transport_buf(body)};
    unsigned count = body.size > 0 ? 2 : 1;
    uv_stream_t *stream = (uv_stream_t *)&transport->tcp;
    int result = uv_try_write(stream, bufs, count);
    if (result < 0 && result != UV_EAGAIN) {
        return TRANSPORT_FAILED;
    }
    size_t sent = result > 0 ? (size_t)result : 0;
    if (sent == head.size + body.size) {
        return TRANSPORT_WRITTEN;
    }
    transport_skip(&bufs[0], &sent);
    transport_skip(&bufs[1], &sent);
    unsigned done = bufs[0].len == 0 ? 1 : 0;
    result = uv_write(&transport->write, stream, bufs + done, count - done, transport_write_cb);
    return result == 0 ? TRANSPORT_WRITING : TRANSPORT_FAILED;
}

/* A failure here is the next write's failure too. */
static void transport_interim_cb(uv_write_t *request, int status)
{
    (void)request;
    (void)status;
}

bool transport_write_interim(struct transport *transport, struct bytes text)
{
    uv_buf_t buf = transport_buf(text);
    return uv_write(&transport->interim, (uv_stream_t *)&transport->tcp, &buf, 1,
                    transport_interim_cb) == 0;
}

size_t transport_unsent(const struct transport *transport)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&transport->tcp);
}

static void transport_shutdown_cb(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status;
}

bool transport_shutdown(struct transport *transport)
{
    return uv_shutdown(&transport->shutdown, (uv_stream_t *)&transport->tcp,
                       transport_shutdown_cb) == 0;
}
