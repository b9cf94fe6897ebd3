/* conn: one connection, a state machine (see conn.c). Private to net.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "server.h"

struct conn;

/* Takes the listener's next connection. It frees itself when it is closed. */
void conn_accept(struct net_server *server);
/* conn->exchange, which is `exchange`, has been responded to. */
void conn_answer(struct conn *conn);
/* Time has passed. */
void conn_tick(struct conn *conn, uint64_t now_ms);
/* Is its deadline over? In states that have one. */
bool conn_is_late(const struct conn *conn, uint64_t now_ms);
/* Ends the connection if no request is under way on it. */
void conn_drain(struct conn *conn);
/* Ends it whatever is under way. */
void conn_close(struct conn *conn);
struct conn *conn_of_link(struct list *link);

#endif
