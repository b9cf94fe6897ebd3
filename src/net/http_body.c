/* http_body.c: see http_body.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_body.h"

#include <assert.h>
#include <string.h>

static size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

void http_body_init(struct http_body *body, struct budget *budget)
{
    *body = (struct http_body){.budget = budget};
}

void http_body_release(struct http_body *body)
{
    heap_free(body->ptr);
    budget_release(body->budget, body->capacity);
    http_body_init(body, body->budget);
}

static bool http_body_grow(struct http_body *body, size_t capacity)
{
    size_t more = capacity - body->capacity;
    if (!budget_charge(body->budget, more)) {
        return false;
    }
    uint8_t *ptr = heap_resize(body->ptr, capacity);
    if (ptr == NULL) {
        budget_release(body->budget, more);
        return false;
    }
    body->ptr = ptr;
    body->capacity = capacity;
    return true;
}

bool http_body_expect(struct http_body *body, size_t size_max, bool announced)
{
    assert(body->capacity == 0);
    body->size_max = size_max;
    size_t first = announced ? size_min(size_max, HTTP_BODY_STEP_BYTES) : 0;
    return first == 0 || http_body_grow(body, first);
}

bool http_body_append(struct http_body *body, struct bytes bytes)
{
    assert(bytes.size <= body->size_max - body->size);
    size_t needed = body->size + bytes.size;
    if (needed > body->capacity) {
        size_t capacity = body->capacity < SIZE_MAX / 2 ? body->capacity * 2 : needed;
        capacity = capacity < HTTP_BODY_STEP_BYTES ? HTTP_BODY_STEP_BYTES : capacity;
        capacity = capacity < needed ? needed : capacity;
        if (!http_body_grow(body, size_min(capacity, body->size_max))) {
            return false;
        }
    }
    if (bytes.size > 0) {
        (void)memcpy(body->ptr + body->size, bytes.ptr, bytes.size);
    }
    body->size = needed;
    return true;
}
