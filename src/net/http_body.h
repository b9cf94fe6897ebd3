/* http_body: the bytes of one request body while they arrive.
 *
 * Memory grows with what has really come, never with what was announced beyond the first
 * HTTP_BODY_STEP_BYTES, and is charged to the budget of all bodies together: announcing a large
 * body costs the announcer as much as it costs us.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef NET_HTTP_BODY_H
#define NET_HTTP_BODY_H

#include "base/arena.h"

enum { HTTP_BODY_STEP_BYTES = 64 * 1024 };

struct http_body {
    struct budget *budget;
    uint8_t *ptr;
    size_t size;
    size_t capacity; /* charged to the budget */
    size_t size_max; /* no more than this will ever come */
};

void http_body_init(struct http_body *body, struct budget *budget);
void http_body_release(struct http_body *body);
/* Says how much may come at most, and takes the first step's memory if `announced`. False: no
 * memory in the budget. */
bool http_body_expect(struct http_body *body, size_t size_max, bool announced) MUST_CHECK;
/* size_max must not be exceeded. False: no memory in the budget. */
bool http_body_append(struct http_body *body, struct bytes bytes) MUST_CHECK;

#endif
