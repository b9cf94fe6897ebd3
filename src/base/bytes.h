/* bytes.h: borrowed byte ranges, a bounded reader over foreign bytes, and a growing buffer that
 * knows its maximum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes: valid for the call unless a header says otherwise. ptr may be NULL only when size
 * is 0. */
struct bytes {
    const uint8_t *ptr;
    size_t size;
};

struct bytes bytes_of(const void *ptr, size_t size);
struct bytes bytes_of_string(const char *text);   /* without the NUL */
bool bytes_equal(struct bytes a, struct bytes b); /* not for secrets: see crypto_equal */

/* A cursor over foreign bytes. Nothing else in the code base does `ptr++` over input.
 * Every read checks first; on failure the reader does not move and false is returned. */
struct reader {
    const uint8_t *start;
    const uint8_t *ptr;
    const uint8_t *end;
};

struct reader reader_of(struct bytes input);
bool reader_u8(struct reader *reader, uint8_t *out) MUST_CHECK;
bool reader_u32le(struct reader *reader, uint32_t *out) MUST_CHECK;
bool reader_u64le(struct reader *reader, uint64_t *out) MUST_CHECK;
bool reader_u16be(struct reader *reader, uint16_t *out) MUST_CHECK;
bool reader_take(struct reader *reader, size_t size, struct bytes *out) MUST_CHECK;

static inline size_t reader_left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->ptr);
}

/* Bytes consumed since start. */
static inline size_t reader_offset(const struct reader *reader)
{
    return (size_t)(reader->ptr - reader->start);
}

/* WebAssembly's LEB128 (core spec 5.2.2): unused bits of the last byte must be a proper extension.
 */
enum leb_result { LEB_OK, LEB_TOO_SHORT, LEB_TOO_LONG, LEB_TOO_LARGE };
enum leb_result reader_leb_u32(struct reader *reader, uint32_t *out) MUST_CHECK;
enum leb_result reader_leb_u64(struct reader *reader, uint64_t *out) MUST_CHECK;
enum leb_result reader_leb_s32(struct reader *reader, int32_t *out) MUST_CHECK;
enum leb_result reader_leb_s33(struct reader *reader, int64_t *out) MUST_CHECK;
enum leb_result reader_leb_s64(struct reader *reader, int64_t *out) MUST_CHECK;

/* A growing buffer, made with its maximum. The first append that fails sets `failed`, and every
 * later append is a no-op, so a sequence of appends is checked once, at its end. */
struct buffer {
    uint8_t *ptr;
    size_t size;
    size_t capacity;
    size_t size_max;
    bool failed;    /* over size_max, or no memory */
    bool no_memory; /* it was that */
};

void buffer_init(struct buffer *buffer, size_t size_max);
void buffer_release(struct buffer *buffer); /* frees; the buffer is empty and usable again */
void buffer_release_wiped(
    struct buffer *buffer); /* overwrites the contents first (growing wipes what it leaves, too) */
/* Takes room for so many more bytes at once. */
void buffer_expect(struct buffer *buffer, size_t size);
/* So many more bytes, for the caller to write, with room for a NUL behind them; NULL if they do not
 * fit. */
uint8_t *buffer_extend(struct buffer *buffer, size_t size);
void buffer_append(struct buffer *buffer, const void *ptr, size_t size);
void buffer_append_bytes(struct buffer *buffer, struct bytes bytes);
void buffer_append_string(struct buffer *buffer, const char *text);
void buffer_append_u8(struct buffer *buffer, uint8_t value);
void buffer_append_u16be(struct buffer *buffer, uint16_t value);
void buffer_append_u32be(struct buffer *buffer, uint32_t value);
void buffer_append_u64be(struct buffer *buffer, uint64_t value);
void buffer_printf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
struct bytes buffer_bytes(const struct buffer *buffer); /* borrowed until the next append */
/* Hands the memory over (NUL-terminated one past *size, for convenience); free with heap_free. NULL
 * if failed. */
uint8_t *buffer_detach(struct buffer *buffer, size_t *size);

#endif
