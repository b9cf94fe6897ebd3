/* prefer.h: what a request's head asks for beside its method and path: Prefer (RFC 7240) and
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07). Private to service.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_PREFER_H
#define SERVICE_PREFER_H

#include "base/message.h"
#include "crypto/crypto.h"

enum { PREFER_WAIT_SECONDS_MAX = 60, IDEMPOTENCY_KEY_BYTES_MAX = 255 };

struct preferences {
    bool respond_async;
    uint32_t wait_seconds; /* at most PREFER_WAIT_SECONDS_MAX; 0: none asked for */
};

/* Reads all Prefer lines. A preference that is unknown or malformed counts for nothing, as the RFC
 * wants; of one that is there twice the first counts. */
void preferences_read(const struct message_request *request, struct preferences *out);

/* The hash of the Idempotency-Key, a quoted string or a bare word of 1 to 255 bytes. *found false:
 * there is none. MALFORMED_REQUEST for anything else, or two of them. */
bool idempotency_key_read(const struct message_request *request, bool *found,
                          uint8_t hash[static CRYPTO_SHA256_BYTES], struct err *err) MUST_CHECK;

#endif
