/* bytes.c: byte ranges, the bounded reader and the growing buffer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BUFFER_BYTES_MIN = 256 };

struct bytes bytes_of(const void *ptr, size_t size)
{
    return (struct bytes){ptr, size};
}

struct bytes bytes_of_string(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.ptr, b.ptr, a.size) == 0);
}

/* ---- reader ---- */

struct reader reader_of(struct bytes input)
{
    static const uint8_t nothing;
    const uint8_t *start = input.ptr != NULL ? input.ptr : &nothing;
    return (struct reader){start, start, start + input.size};
}

bool reader_take(struct reader *reader, size_t size, struct bytes *out)
{
    if (reader_left(reader) < size) {
        return false;
    }
    *out = (struct bytes){reader->ptr, size};
    reader->ptr += size;
    return true;
}

bool reader_u8(struct reader *reader, uint8_t *out)
{
    if (reader->ptr == reader->end) {
        return false;
    }
    *out = *reader->ptr++;
    return true;
}

bool reader_u16be(struct reader *reader, uint16_t *out)
{
    struct bytes in;
    if (!reader_take(reader, 2, &in)) {
        return false;
    }
    *out = (uint16_t)(in.ptr[0] << 8 | in.ptr[1]);
    return true;
}

bool reader_u32le(struct reader *reader, uint32_t *out)
{
    struct bytes in;
    if (!reader_take(reader, 4, &in)) {
        return false;
    }
    *out = 0;
    for (size_t i = 4; i-- > 0;) {
        *out = *out << 8 | in.ptr[i];
    }
    return true;
}

bool reader_u64le(struct reader *reader, uint64_t *out)
{
    struct bytes in;
    if (!reader_take(reader, 8, &in)) {
        return false;
    }
    *out = 0;
    for (size_t i = 8; i-- > 0;) {
        *out = *out << 8 | in.ptr[i];
    }
    return true;
}

/* ---- buffer ---- */

void buffer_init(struct buffer *buffer, size_t size_max)
{
    *buffer = (struct buffer){.size_max = size_max};
}

void buffer_release(struct buffer *buffer)
{
    heap_free(buffer->ptr);
    buffer_init(buffer, buffer->size_max);
}

void buffer_release_wiped(struct buffer *buffer)
{
    memory_wipe(buffer->ptr, buffer->capacity);
    buffer_release(buffer);
}

/* The old memory is wiped: what it holds may be a secret. */
static bool buffer_move(struct buffer *buffer, size_t capacity)
{
    uint8_t *ptr = heap_alloc(capacity);
    if (ptr == NULL) {
        buffer->failed = buffer->no_memory = true;
        return false;
    }
    if (buffer->size > 0) {
        (void)memcpy(ptr, buffer->ptr, buffer->size);
    }
    memory_wipe(buffer->ptr, buffer->size);
    heap_free(buffer->ptr);
    buffer->ptr = ptr;
    buffer->capacity = capacity;
    return true;
}

/* Room for `size` more bytes and a NUL. */
static bool buffer_reserve(struct buffer *buffer, size_t size)
{
    if (buffer->failed || size > buffer->size_max - buffer->size) {
        buffer->failed = true;
        return false;
    }
    size_t needed = buffer->size + size + 1;
    if (needed <= buffer->capacity) {
        return true;
    }
    size_t capacity = buffer->capacity > BUFFER_BYTES_MIN ? buffer->capacity : BUFFER_BYTES_MIN;
    while (capacity < needed) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
    }
    return buffer_move(buffer, capacity);
}

void buffer_expect(struct buffer *buffer, size_t size)
{
    size_t room = buffer->size_max - buffer->size;
    size = size < room ? size : room;
    if (!buffer->failed && buffer->capacity - buffer->size <= size) {
        (void)buffer_move(buffer, buffer->size + size + 1);
    }
}

uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    if (!buffer_reserve(buffer, size)) {
        return NULL;
    }
    buffer->size += size;
    return buffer->ptr + buffer->size - size;
}

void buffer_append(struct buffer *buffer, const void *ptr, size_t size)
{
    if (size > 0 && buffer_reserve(buffer, size)) {
        (void)memcpy(buffer->ptr + buffer->size, ptr, size);
        buffer->size += size;
    }
}

void buffer_append_bytes(struct buffer *buffer, struct bytes bytes)
{
    buffer_append(buffer, bytes.ptr, bytes.size);
}

void buffer_append_string(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_u8(struct buffer *buffer, uint8_t value)
{
    buffer_append(buffer, &value, 1);
}

static void buffer_append_be(struct buffer *buffer, uint64_t value, size_t size)
{
    uint8_t out[8];
    for (size_t i = size; i-- > 0;) {
        out[i] = (uint8_t)value;
        value >>= 8;
    }
    buffer_append(buffer, out, size);
}

void buffer_append_u16be(struct buffer *buffer, uint16_t value)
{
    buffer_append_be(buffer, value, 2);
}

void buffer_append_u32be(struct buffer *buffer, uint32_t value)
{
    buffer_append_be(buffer, value, 4);
}

void buffer_append_u64be(struct buffer *buffer, uint64_t value)
{
    buffer_append_be(buffer, value, 8);
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        buffer->failed = true;
    } else if (buffer_reserve(buffer, (size_t)size)) {
        (void)vsnprintf((char *)buffer->ptr + buffer->size, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
}

struct bytes buffer_bytes(const struct buffer *buffer)
{
    return (struct bytes){buffer->ptr, buffer->size};
}

uint8_t *buffer_detach(struct buffer *buffer, size_t *size)
{
    if (!buffer_reserve(buffer, 0)) {
        buffer_release(buffer);
        return NULL;
    }
    uint8_t *ptr = buffer->ptr;
    ptr[buffer->size] = 0;
    *size = buffer->size;
    buffer_init(buffer, buffer->size_max); /* transferred */
    return ptr;
}
