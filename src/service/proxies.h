/* proxies.h: whose word is taken for where a request comes from. Private to service.
 *
 * A proxy writes the address that it sees behind those that it was told, into X-Forwarded-For. So
 * the client is the last one there that is not itself a trusted proxy: what stands before it, the
 * client may have made up. Without trusted proxies the header is not looked at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_PROXIES_H
#define SERVICE_PROXIES_H

#include "base/address.h"
#include "base/message.h"

enum { PROXIES_MAX = 32 };

struct proxies {
    struct address_range ranges[PROXIES_MAX];
    size_t count;
};

/* "10.0.0.1, 2001:db8::/32", or "" for none. CONFIG. */
bool proxies_parse(const char *text, struct proxies *out, struct err *err) MUST_CHECK;
bool proxies_trust(const struct proxies *proxies, const struct address *address);
/* The client's address; false if not even the peer has one. */
bool proxies_client(const struct proxies *proxies, const struct message_request *request,
                    struct address *out) MUST_CHECK;

#endif
