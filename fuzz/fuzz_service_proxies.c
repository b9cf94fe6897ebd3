/* fuzz_service_proxies: X-Forwarded-For. The first line is the list of trusted proxies (without one
 * that can be read: 10.0.0.0/8), the second the peer (10.0.0.1), each further one a header.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "service/proxies.h"

#include <assert.h>
#include <string.h>

enum { HEADERS_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message_header headers[HEADERS_MAX];
    struct message_request request = {.headers = headers};
    struct proxies proxies;
    struct address peer, client;
    struct arena arena;
    struct err err;
    arena_init(&arena, NULL);
    char *rest = arena_text(&arena, bytes_of(data, size));
    const char *trusted = strsep(&rest, "\n");
    request.peer = rest == NULL ? "" : strsep(&rest, "\n");
    while (rest != NULL && request.header_count < HEADERS_MAX) {
        headers[request.header_count++] =
            (struct message_header){"x-forwarded-for", strsep(&rest, "\n")};
    }
    if (!proxies_parse(trusted, &proxies, &err)) {
        assert(err.code == ERR_CONFIG && proxies_parse("10.0.0.0/8", &proxies, &err));
    }
    if (!address_parse(bytes_of_string(request.peer), &peer)) {
        assert(!proxies_client(&proxies, &request, &client));
        request.peer = "10.0.0.1";
        assert(address_parse(bytes_of_string(request.peer), &peer));
    }
    assert(proxies_client(&proxies, &request, &client));
    /* Who is not trusted cannot speak for others. */
    assert(proxies_trust(&proxies, &peer) || address_equal(&client, &peer));
    arena_release(&arena);
    return 0;
}
