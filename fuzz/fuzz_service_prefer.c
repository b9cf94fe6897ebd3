/* fuzz_service_prefer: the header fields Prefer and Idempotency-Key, one line each.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "service/prefer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    struct preferences preferences;
    struct arena arena;
    struct err err;
    bool found = false;
    arena_init(&arena, NULL);
    char *value = arena_text(&arena, bytes_of(data, size));
    struct message_header headers[] = {{"prefer", value}, {"idempotency-key", value}};
    struct message_request request = {.headers = headers, .header_count = 2};
    preferences_read(&request, &preferences);
    assert(preferences.wait_seconds <= PREFER_WAIT_SECONDS_MAX);
    bool ok = idempotency_key_read(&request, &found, hash, &err);
    assert(ok == found);
    arena_release(&arena);
    return 0;
}
