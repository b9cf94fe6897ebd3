/* fuzz_net_http: a request whole and in pieces (the last byte is their size) comes to the same end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http_parser.h"

#include <assert.h>

static enum http_event feed(struct bytes input, size_t piece, size_t *used)
{
    struct budget budget;
    struct arena arena;
    struct http_body body;
    struct http_parser parser;
    struct message_request request = {0};
    enum http_event event = HTTP_EVENT_MORE;
    budget_init(&budget, NULL, 100 * 1000);
    arena_init(&arena, &budget);
    http_body_init(&body, &budget);
    http_parser_init(&parser, &net_limits_default);
    http_parser_start(&parser, &request, &arena, &body);
    while (event == HTTP_EVENT_HEAD || (event == HTTP_EVENT_MORE && *used < input.size)) {
        size_t left = input.size - *used, taken = 0;
        struct bytes next = bytes_of(input.ptr + *used, left < piece ? left : piece);
        event = http_parser_feed(&parser, next, &taken);
        *used += taken;
    }
    http_parser_release(&parser);
    http_body_release(&body);
    arena_release(&arena);
    assert(budget_used(&budget) == 0);
    return event;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole = 0, cut = 0;
    struct bytes input = bytes_of(data, size > 0 ? size - 1 : 0);
    enum http_event event = feed(input, SIZE_MAX, &whole);
    assert(feed(input, size > 0 ? data[size - 1] + 1U : 1, &cut) == event);
    assert(event == HTTP_EVENT_REFUSED || whole == cut);
    return 0;
}
