/* opcode.c: the tables of opcodes.def, and the one reader of instruction bytes (core spec 5.4).
 *
 * A byte, or a prefix and a number, is looked up in one flat table; what follows it is told by the
 * row's immediate kind. Only structure is checked here: no index is compared with anything.
 *
 * Nearly every instruction is one byte with an immediate of one or two bytes. opcode_read, in the
 * header, reads those by itself; all others, and whatever is wrong, come here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/opcode.h"

#include "vm/module.h"

#include <assert.h>
#include <string.h>

const struct opcode_info opcode_infos[OPCODE_COUNT] = {
#define OP(prefix, code, name, text, immediate, signature, gas)                                    \
    [OP_##name] = {prefix, code, text, OPCODE_##immediate, signature, gas},
#include "vm/opcodes.def"
#undef OP
};

enum { PREFIX_MISC = 0xfc };
#define PAGE(prefix) ((prefix) == 0 ? 0 : (prefix)-PREFIX_MISC + 1)

/* How opcode_read may read what follows. */
#define SHORT_INDEX(kind)                                                                          \
    ((kind) == OPCODE_LABEL || (kind) == OPCODE_FUNC || (kind) == OPCODE_LOCAL ||                  \
     (kind) == OPCODE_GLOBAL)
#define SHORT_MEMARG(kind)                                                                         \
    ((kind) == OPCODE_MEM1 || (kind) == OPCODE_MEM2 || (kind) == OPCODE_MEM4 ||                    \
     (kind) == OPCODE_MEM8)
#define SHORT(kind)                                                                                \
    ((kind) == OPCODE_NONE ? OPCODE_SHORT                                                          \
     : SHORT_INDEX(kind)   ? OPCODE_SHORT | OPCODE_SHORT_LEB                                       \
     : (kind) == OPCODE_I32 || (kind) == OPCODE_I64                                                \
         ? OPCODE_SHORT | OPCODE_SHORT_LEB | OPCODE_SHORT_SIGNED                                   \
     : (kind) == OPCODE_BLOCK                                                                      \
         ? OPCODE_SHORT | OPCODE_SHORT_LEB | OPCODE_SHORT_SIGNED | OPCODE_SHORT_BLOCK              \
     : SHORT_MEMARG(kind) ? OPCODE_SHORT_MEMARG                                                    \
                          : 0)

/* A row that repeats another's bytes does not compile (initializer overridden). */
const struct opcode_entry opcode_pages[][OPCODE_PAGE_ENTRIES] = {
#define OP(prefix, code, name, text, immediate, signature, gas)                                    \
    [PAGE(prefix)][code] = {OP_##name + 1, (prefix) == 0 ? SHORT(OPCODE_##immediate) : 0},
#include "vm/opcodes.def"
#undef OP
};

static bool is_prefix(uint8_t byte)
{
    return byte >= PREFIX_MISC && (size_t)PAGE(byte) < sizeof opcode_pages / sizeof opcode_pages[0];
}

enum opcode opcode_find(uint8_t prefix, uint32_t code)
{
    if (code >= OPCODE_PAGE_ENTRIES || (prefix != 0 && !is_prefix(prefix))) {
        return OPCODE_COUNT;
    }
    uint16_t entry = opcode_pages[PAGE(prefix)][code].row;
    return entry == 0 ? OPCODE_COUNT : (enum opcode)(entry - 1);
}

/* ---- Reading ---- */

struct source { /* what every helper below needs */
    struct reader *reader;
    uint32_t base;
    struct err *err;
};

static bool source_fail(const struct source *source, const char *text)
{
    return err_set(source->err, ERR_INVALID_WASM, "%s at offset 0x%zx", text,
                   source->base + reader_offset(source->reader));
}

static bool source_leb(const struct source *source, enum leb_result result)
{
    switch (result) {
    case LEB_OK:
        return true;
    case LEB_TOO_SHORT:
        return source_fail(source, "unexpected end of section or function");
    case LEB_TOO_LONG:
        return source_fail(source, "integer representation too long");
    case LEB_TOO_LARGE:
        break;
    }
    return source_fail(source, "integer too large");
}

static bool source_u8(const struct source *source, uint8_t *out)
{
    return reader_u8(source->reader, out) ||
           source_fail(source, "unexpected end of section or function");
}

static bool source_u32(const struct source *source, uint32_t *out)
{
    /* Nearly every index is below 128: one byte. */
    if (reader_left(source->reader) > 0 && *source->reader->ptr < 0x80) {
        uint8_t byte = 0;
        bool is_read = reader_u8(source->reader, &byte);
        *out = byte;
        return is_read;
    }
    return source_leb(source, reader_leb_u32(source->reader, out));
}

/* Before multi_memory a zero byte stood here, not a number. */
static bool source_memory(const struct source *source, struct instruction *out, uint32_t *index)
{
    out->names_memory =
        out->names_memory || (reader_left(source->reader) > 0 && *source->reader->ptr != 0);
    return source_u32(source, index);
}

/* A negative s33 stands for one byte: 0x40 (empty) or a value type. */
static bool source_block_type(const struct source *source, int64_t *out)
{
    size_t left = reader_left(source->reader);
    if (!source_leb(source, reader_leb_s33(source->reader, out))) {
        return false;
    }
    if (*out >= 0) {
        return true;
    }
    bool is_one_byte = left - reader_left(source->reader) == 1;
    uint8_t byte = (uint8_t)(*out & 0x7f);
    return (is_one_byte && (byte == 0x40 || vm_type_is_value(byte))) ||
           source_fail(source, "malformed block type");
}

static bool source_reference_type(const struct source *source, uint32_t *out)
{
    uint8_t byte;
    if (!source_u8(source, &byte)) {
        return false;
    }
    *out = byte;
    return vm_type_is_reference(byte) || source_fail(source, "malformed reference type");
}

/* A u64, which without memory64 has to be a u32. */
static bool source_offset(const struct source *source, struct instruction *out)
{
    struct reader at = *source->reader;
    uint32_t narrow = 0;
    enum leb_result result = reader_leb_u32(source->reader, &narrow);
    out->as.memarg.narrow = result;
    out->as.memarg.offset = narrow;
    if (result == LEB_OK) {
        return true;
    }
    *source->reader = at;
    enum leb_result wide = reader_leb_u64(source->reader, &out->as.memarg.offset);
    if (wide == LEB_TOO_LARGE && result == LEB_TOO_LONG) { /* both are true, of one width each */
        return source_fail(source, "integer too large, integer representation too long");
    }
    return source_leb(source, wide);
}

enum { MEMARG_MEMORY = 64 };

static bool source_memarg(const struct source *source, struct instruction *out)
{
    uint32_t flags;
    if (!source_u32(source, &flags)) {
        return false;
    }
    if (flags >= 2 * MEMARG_MEMORY) {
        return source_fail(source, "malformed memop flags");
    }
    out->as.memarg.align = flags % MEMARG_MEMORY;
    out->as.memarg.memory = 0;
    if (flags >= MEMARG_MEMORY) {
        out->names_memory = true;
        if (!source_u32(source, &out->as.memarg.memory)) {
            return false;
        }
    }
    return source_offset(source, out);
}

static bool source_br_table(const struct source *source, struct instruction *out)
{
    uint32_t count;
    if (!source_u32(source, &count)) {
        return false;
    }
    struct reader *reader = source->reader;
    const uint8_t *start = reader->ptr;
    for (uint64_t i = 0; i <= count; i++) { /* ends with the input at the latest */
        uint32_t label;
        if (!source_u32(source, &label)) {
            return false;
        }
    }
    out->as.vector.count = count;
    out->as.vector.labels = bytes_of(start, (size_t)(reader->ptr - start));
    return true;
}

static bool source_select_types(const struct source *source, struct instruction *out)
{
    if (!source_u32(source, &out->as.vector.count)) {
        return false;
    }
    if (!reader_take(source->reader, out->as.vector.count, &out->as.vector.labels)) {
        return source_fail(source, "unexpected end of section or function");
    }
    for (size_t i = 0; i < out->as.vector.labels.size; i++) {
        if (!vm_type_is_value(out->as.vector.labels.ptr[i])) {
            return source_fail(source, "malformed value type");
        }
    }
    return true;
}

static bool source_i32(const struct source *source, struct instruction *out)
{
    int32_t value = 0;
    bool is_read = source_leb(source, reader_leb_s32(source->reader, &value));
    out->as.i32 = (uint32_t)value;
    return is_read;
}

static bool source_i64(const struct source *source, struct instruction *out)
{
    int64_t value = 0;
    bool is_read = source_leb(source, reader_leb_s64(source->reader, &value));
    out->as.i64 = (uint64_t)value;
    return is_read;
}

static bool source_end(const struct source *source)
{
    return source_fail(source, "unexpected end of section or function");
}

static bool source_v128(const struct source *source, struct instruction *out)
{
    struct bytes bytes;
    if (!reader_take(source->reader, sizeof out->as.v128, &bytes)) {
        return source_end(source);
    }
    memcpy(out->as.v128, bytes.ptr, sizeof out->as.v128);
    return true;
}

static bool source_immediate(const struct source *source, enum opcode_immediate immediate,
                             struct instruction *out)
{
    switch (immediate) {
    case OPCODE_NONE:
        return true;
    case OPCODE_LABEL:
    case OPCODE_FUNC:
    case OPCODE_LOCAL:
    case OPCODE_GLOBAL:
    case OPCODE_TABLE:
    case OPCODE_ELEM:
    case OPCODE_DATA:
        return source_u32(source, &out->as.index);
    case OPCODE_BLOCK:
        return source_block_type(source, &out->as.block_type);
    case OPCODE_BR_TABLE:
        return source_br_table(source, out);
    case OPCODE_REF_TYPE:
        return source_reference_type(source, &out->as.index);
    case OPCODE_SELECT_TYPES:
        return source_select_types(source, out);
    case OPCODE_CALL_INDIRECT:
    case OPCODE_TABLE_INIT:
    case OPCODE_TABLE_COPY:
        return source_u32(source, &out->as.pair.first) && source_u32(source, &out->as.pair.second);
    case OPCODE_MEM1:
    case OPCODE_MEM2:
    case OPCODE_MEM4:
    case OPCODE_MEM8:
    case OPCODE_MEM16:
        return source_memarg(source, out);
    case OPCODE_MEMORY:
        return source_memory(source, out, &out->as.index);
    case OPCODE_MEMORY_INIT:
        return source_u32(source, &out->as.pair.first) &&
               source_memory(source, out, &out->as.pair.second);
    case OPCODE_MEMORY_COPY:
        return source_memory(source, out, &out->as.pair.first) &&
               source_memory(source, out, &out->as.pair.second);
    case OPCODE_I32:
        return source_i32(source, out);
    case OPCODE_I64:
        return source_i64(source, out);
    case OPCODE_F32:
        return reader_u32le(source->reader, &out->as.f32) || source_end(source);
    case OPCODE_F64:
        return reader_u64le(source->reader, &out->as.f64) || source_end(source);
    case OPCODE_V128:
    case OPCODE_SHUFFLE:
        return source_v128(source, out);
    case OPCODE_LANE2:
    case OPCODE_LANE4:
    case OPCODE_LANE8:
    case OPCODE_LANE16:
        return source_u8(source, &out->lane);
    case OPCODE_MEM1_LANE:
    case OPCODE_MEM2_LANE:
    case OPCODE_MEM4_LANE:
    case OPCODE_MEM8_LANE:
        return source_memarg(source, out) && source_u8(source, &out->lane);
    }
    assert(false && "an immediate kind without a reader");
    return false;
}

bool opcode_read_any(struct reader *reader, uint32_t base, struct instruction *out, struct err *err)
{
    const struct source source = {reader, base, err};
    out->offset = base + (uint32_t)reader_offset(reader);
    out->names_memory = false;
    uint8_t byte;
    if (!source_u8(&source, &byte)) {
        return false;
    }
    uint32_t code = byte;
    if (is_prefix(byte) && !source_u32(&source, &code)) {
        return false;
    }
    out->opcode = opcode_find(is_prefix(byte) ? byte : 0, code);
    if (out->opcode == OPCODE_COUNT) {
        return is_prefix(byte)
                   ? err_set(err, ERR_INVALID_WASM, "illegal opcode 0x%02x 0x%02x at offset 0x%x",
                             byte, code, out->offset)
                   : err_set(err, ERR_INVALID_WASM, "illegal opcode 0x%02x at offset 0x%x", byte,
                             out->offset);
    }
    return source_immediate(&source, opcode_infos[out->opcode].immediate, out);
}
