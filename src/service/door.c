/* door.c: see door.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/door.h"

#include "service/proxies.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *policy;
    const char *what;
    uint32_t parties_max; /* told apart at once */
} door_kinds[DOOR_KINDS] = {
    [DOOR_EXECUTION] = {"executions", "executions with this API key", 4096},
    [DOOR_REQUEST] = {"requests", "requests with this API key", 4096},
    [DOOR_ADDRESS] = {"address", "requests from this address without an API key", 16384},
    [DOOR_BAD_KEY] = {"bad-keys", "invalid API keys from this address", 16384},
};

struct door {
    struct door_config config;
    struct proxies proxies;
    struct rate_limit *limits[DOOR_KINDS]; /* NULL: not limited */
};

bool door_open(const struct door_config *config, struct door **out, struct err *err)
{
    struct door *door = HEAP_NEW(struct door);
    if (door == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the rate limits");
    }
    door->config = *config;
    bool ok = proxies_parse(config->trusted_proxies, &door->proxies, err);
    for (size_t i = 0; i < DOOR_KINDS && ok; i++) {
        struct rate_limit_policy policy = {config->per_second[i], config->window_s};
        if (policy.per_second > 0) {
            door->limits[i] = rate_limit_new(&policy, door_kinds[i].parties_max);
            ok = door->limits[i] != NULL ||
                 err_set(err, ERR_NO_MEMORY, "no memory for the rate limits");
        }
    }
    if (!ok) {
        door_close(door);
        return false;
    }
    *out = door;
    return true;
}

void door_close(struct door *door)
{
    if (door == NULL) {
        return;
    }
    for (size_t i = 0; i < DOOR_KINDS; i++) {
        rate_limit_free(door->limits[i]);
    }
    heap_free(door);
}

/* Whose bucket; false: nobody's. */
static bool door_party(const struct door *door, enum door_kind kind, const char *key_id,
                       const struct message_request *request, struct address *out)
{
    static_assert((int)STORE_KEY_ID_CHARS == (int)ADDRESS_BYTES, "both are parties");
    if (kind == DOOR_EXECUTION || kind == DOOR_REQUEST) {
        memcpy(out->bytes, key_id, ADDRESS_BYTES);
        return true;
    }
    struct address client;
    if (!proxies_client(&door->proxies, request, &client) || address_is_loopback(&client)) {
        return false;
    }
    *out = address_group(&client);
    return true;
}

bool door_counts_peer(const struct door *door, const char *peer)
{
    struct address address;
    return address_parse(bytes_of_string(peer), &address) && !address_is_loopback(&address) &&
           !proxies_trust(&door->proxies, &address);
}

bool door_pay(struct door *door, enum door_kind kind, const char *key_id,
              const struct message_request *request, uint64_t now_ns, struct door_receipt *out,
              struct err *err)
{
    struct rate_limit *limit = door->limits[kind];
    struct address party;
    *out = (struct door_receipt){.policy = NULL};
    if (limit == NULL || !door_party(door, kind, key_id, request, &party)) {
        return true;
    }
    bool ok = rate_limit_take(limit, &party, now_ns, &out->state);
    out->policy = door_kinds[kind].policy;
    out->quota = rate_limit_quota(limit);
    out->window_s = door->config.window_s;
    if (ok) {
        return true;
    }
    (void)err_set(err, ERR_RATE_LIMITED, "too many %s (at most %" PRIu32 " a second)",
                  door_kinds[kind].what, door->config.per_second[kind]);
    err->retry_after_s = (uint32_t)out->state.retry_s;
    return false;
}

void door_headers(const struct door_receipt *receipt, struct message_response *response)
{
    char value[96];
    if (receipt->policy == NULL) {
        return;
    }
    (void)snprintf(value, sizeof(value), "\"%s\";q=%" PRIu64 ";w=%" PRIu64, receipt->policy,
                   receipt->quota, receipt->window_s);
    message_response_header(response, "RateLimit-Policy", value);
    (void)snprintf(value, sizeof(value), "\"%s\";r=%" PRIu64 ";t=%" PRIu64, receipt->policy,
                   receipt->state.remaining, receipt->state.full_s);
    message_response_header(response, "RateLimit", value);
}
