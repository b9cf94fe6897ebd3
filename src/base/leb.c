/* leb.c: LEB128 as WebAssembly restricts it (core spec 5.2.2): at most ceil(N/7) bytes, and the
 * unused bits of a last byte must extend the number: zeros when unsigned, copies of the sign when
 * signed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

/* Gathers the groups of 7 bits of a number of `bits` bits. *last is the final byte; *shift its
 * position. */
static enum leb_result leb_gather(struct reader *reader, unsigned bits, uint64_t *out,
                                  uint8_t *last, unsigned *shift)
{
    struct reader at = *reader;
    uint64_t value = 0;
    for (unsigned position = 0; position < bits; position += 7) {
        uint8_t byte;
        if (!reader_u8(&at, &byte)) {
            return LEB_TOO_SHORT;
        }
        value |= (uint64_t)(byte & 0x7f) << position;
        if ((byte & 0x80) == 0) {
            *out = value;
            *last = byte;
            *shift = position;
            *reader = at;
            return LEB_OK;
        }
    }
    return LEB_TOO_LONG;
}

static enum leb_result leb_unsigned(struct reader *reader, unsigned bits, uint64_t *out)
{
    struct reader at = *reader;
    uint64_t value;
    uint8_t last;
    unsigned shift;
    enum leb_result result = leb_gather(&at, bits, &value, &last, &shift);
    if (result != LEB_OK) {
        return result;
    }
    unsigned used = bits - shift; /* bits of the last byte that belong to the number */
    if (used < 7 && last >> used != 0) {
        return LEB_TOO_LARGE;
    }
    *out = value;
    *reader = at;
    return LEB_OK;
}

static enum leb_result leb_signed(struct reader *reader, unsigned bits, int64_t *out)
{
    struct reader at = *reader;
    uint64_t value;
    uint8_t last;
    unsigned shift;
    enum leb_result result = leb_gather(&at, bits, &value, &last, &shift);
    if (result != LEB_OK) {
        return result;
    }
    unsigned used = bits - shift;
    if (used < 7) {
        /* From the sign bit of the number up to bit 6, all bits must be equal. */
        uint8_t extension = (uint8_t)(last >> (used - 1));
        uint8_t ones = (uint8_t)(0x7f >> (used - 1));
        if (extension != 0 && extension != ones) {
            return LEB_TOO_LARGE;
        }
    }
    unsigned filled = shift + 7;
    if (filled < 64 && (last & 0x40) != 0) {
        value |= ~(uint64_t)0 << filled;
    }
    *out = (int64_t)value;
    *reader = at;
    return LEB_OK;
}

enum leb_result reader_leb_u32(struct reader *reader, uint32_t *out)
{
    if (reader->ptr < reader->end && *reader->ptr < 0x80) { /* one byte: nearly always */
        *out = *reader->ptr++;
        return LEB_OK;
    }
    uint64_t value;
    enum leb_result result = leb_unsigned(reader, 32, &value);
    if (result == LEB_OK) {
        *out = (uint32_t)value;
    }
    return result;
}

enum leb_result reader_leb_u64(struct reader *reader, uint64_t *out)
{
    return leb_unsigned(reader, 64, out);
}

enum leb_result reader_leb_s32(struct reader *reader, int32_t *out)
{
    int64_t value;
    enum leb_result result = leb_signed(reader, 32, &value);
    if (result == LEB_OK) {
        *out = (int32_t)value;
    }
    return result;
}

enum leb_result reader_leb_s33(struct reader *reader, int64_t *out)
{
    return leb_signed(reader, 33, out);
}

enum leb_result reader_leb_s64(struct reader *reader, int64_t *out)
{
    return leb_signed(reader, 64, out);
}
