/* guest.h: what the example programs share: an allocator for the host, results, and a little text.
 *
 * A program imports nothing. A buffer argument arrives as pointer and length in memory that `alloc`
 * gave out; a buffer result leaves as one i64, pointer << 32 | length. Nothing is ever freed: one
 * instance serves one call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef EXAMPLES_GUEST_H
#define EXAMPLES_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { PAGE_BYTES = 65536 };

extern uint8_t __heap_base; /* the linker puts it behind data and stack */

static uintptr_t heap_end;

/* Makes memory usable up to `end`. Traps at the memory limit: without memory there is no result. */
static inline void heap_reach(uintptr_t end)
{
    uintptr_t have = __builtin_wasm_memory_size(0) * PAGE_BYTES;
    if (end > have) {
        size_t pages = (end - have + PAGE_BYTES - 1) / PAGE_BYTES;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) {
            __builtin_trap();
        }
    }
    heap_end = end;
}

EXPORT("alloc") void *alloc(int32_t size)
{
    if (heap_end == 0) {
        heap_end = (uintptr_t)&__heap_base;
    }
    uintptr_t start = (heap_end + 15) & ~(uintptr_t)15;
    if (size < 0 || start + (uint32_t)size < start) {
        __builtin_trap();
    }
    heap_reach(start + (uint32_t)size);
    return (void *)start;
}

static inline int64_t result(const void *ptr, size_t size)
{
    return (int64_t)((uint64_t)(uintptr_t)ptr << 32 | size);
}

/* Text that grows at the heap's end; nothing else may allocate until it is finished. */
struct text {
    char *ptr;
    size_t size;
};

static inline struct text text_new(void)
{
    return (struct text){alloc(0), 0};
}

static inline void text_char(struct text *text, char c)
{
    heap_reach((uintptr_t)text->ptr + text->size + 1);
    text->ptr[text->size++] = c;
}

static inline void text_bytes(struct text *text, const char *ptr, size_t size)
{
    for (size_t index = 0; index < size; index++) {
        text_char(text, ptr[index]);
    }
}

static inline void text_string(struct text *text, const char *string)
{
    while (*string != 0) {
        text_char(text, *string++);
    }
}

static inline void text_u64(struct text *text, uint64_t value)
{
    if (value >= 10) {
        text_u64(text, value / 10);
    }
    text_char(text, (char)('0' + value % 10));
}

/* Six decimals, rounded half away from zero; numbers up to about 9e12. */
static inline void text_f64(struct text *text, double value)
{
    if (value < 0) {
        text_char(text, '-');
        value = -value;
    }
    uint64_t millionths = (uint64_t)(value * 1e6 + 0.5);
    text_u64(text, millionths / 1000000);
    text_char(text, '.');
    for (uint64_t unit = 100000; unit > 0; unit /= 10) {
        text_char(text, (char)('0' + millionths / unit % 10));
    }
}

static inline int64_t text_result(struct text text)
{
    return result(text.ptr, text.size);
}

/* A decimal number at *ptr, which moves past it; false (and no move) if there is none. */
static inline bool read_f64(const char **ptr, const char *end, double *out)
{
    const char *at = *ptr;
    bool negative = at < end && *at == '-';
    at += negative;
    const char *digits = at;
    double value = 0;
    while (at < end && *at >= '0' && *at <= '9') {
        value = value * 10 + (*at++ - '0');
    }
    if (at == digits) {
        return false;
    }
    if (at < end && *at == '.') {
        double divisor = 1;
        for (at++; at < end && *at >= '0' && *at <= '9'; at++) {
            value = value * 10 + (*at - '0');
            divisor *= 10;
        }
        value /= divisor;
    }
    *out = negative ? -value : value;
    *ptr = at;
    return true;
}

#endif
