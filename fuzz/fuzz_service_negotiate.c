/* fuzz_service_negotiate: the header field Accept, one line and two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "service/negotiate.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = {"application/json", "text/plain", "text/html"};
    struct arena arena;
    arena_init(&arena, NULL);
    char *value = arena_text(&arena, bytes_of(data, size));
    struct message_header headers[] = {{"accept", value}, {"accept", value}};
    struct message_request request = {.headers = headers, .header_count = 1};
    size_t chosen = negotiate_type(&request, types, 3);
    assert(chosen < 3);
    request.header_count = 2; /* saying it twice changes nothing */
    assert(negotiate_type(&request, types, 3) == chosen);
    arena_release(&arena);
    return 0;
}
