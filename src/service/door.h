/* door.h: may this one come in now? Private to service.
 *
 * Every request pays one token before its body is read. Whose, and of which kind, depends on who
 * asks: a request with a valid API key pays from the key's bucket for executions or from that for
 * everything else; one without a key, from its address's bucket; one with a bad key, from the
 * address's much smaller bucket for those. So nobody is kept out by what others do with bad keys
 * from the same address.
 *
 * The address is the client's, as far as trusted proxies tell. Addresses of the loopback are not
 * counted: behind them is this machine itself, or a proxy that is not trusted to say who asks.
 *
 * For the loop's thread.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_DOOR_H
#define SERVICE_DOOR_H

#include "service/auth.h"
#include "service/rate_limit.h"

enum door_kind { DOOR_EXECUTION, DOOR_REQUEST, DOOR_ADDRESS, DOOR_BAD_KEY, DOOR_KINDS };

struct door_config {
    uint32_t per_second[DOOR_KINDS]; /* 0: not limited */
    uint32_t window_s;
    const char *trusted_proxies; /* see proxies.h */
};

struct door;

/* What was paid; a zeroed one: nothing, because nothing is limited. */
struct door_receipt {
    const char *policy; /* its name in the headers; NULL: none */
    uint64_t quota, window_s;
    struct rate_limit_state state;
};

/* CONFIG, NO_MEMORY. */
bool door_open(const struct door_config *config, struct door **out, struct err *err) MUST_CHECK;
void door_close(struct door *door);
/* key_id: of the valid API key, for the first two kinds. False: RATE_LIMITED, with the time to come
 * back. */
bool door_pay(struct door *door, enum door_kind kind, const char *key_id,
              const struct message_request *request, uint64_t now_ns, struct door_receipt *out,
              struct err *err) MUST_CHECK;
/* Is that peer one party, and not this machine or a proxy that many come through? */
bool door_counts_peer(const struct door *door, const char *peer);
/* RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10). */
void door_headers(const struct door_receipt *receipt, struct message_response *response);

#endif
