/* opcode.h: the tables that are generated from opcodes.def.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_OPCODE_H
#define VM_OPCODE_H

#include "base/bytes.h"

#include <assert.h>
#include <string.h>

enum opcode_immediate {
    OPCODE_NONE,
    OPCODE_BLOCK,         /* block type: 0x40, a value type, or an s33 type index */
    OPCODE_LABEL,         /* u32 */
    OPCODE_BR_TABLE,      /* vec(u32), u32 */
    OPCODE_FUNC,          /* u32 */
    OPCODE_CALL_INDIRECT, /* u32 type, u32 table */
    OPCODE_REF_TYPE,      /* one byte */
    OPCODE_SELECT_TYPES,  /* vec(value type) */
    OPCODE_LOCAL,
    OPCODE_GLOBAL,
    OPCODE_TABLE,
    OPCODE_TABLE_INIT, /* u32 element segment, u32 table */
    OPCODE_TABLE_COPY, /* u32 destination, u32 source */
    OPCODE_ELEM,
    OPCODE_MEM1, /* memarg: u32 align (bit 6: a memory follows), u32 memory, u64 offset */
    OPCODE_MEM2,
    OPCODE_MEM4,
    OPCODE_MEM8,
    OPCODE_MEM16,
    OPCODE_MEMORY,      /* u32 (a zero byte before multi-memory) */
    OPCODE_MEMORY_INIT, /* u32 data segment, u32 memory */
    OPCODE_MEMORY_COPY, /* u32 destination, u32 source */
    OPCODE_DATA,
    OPCODE_I32,
    OPCODE_I64,
    OPCODE_F32,
    OPCODE_F64,
    OPCODE_V128,    /* 16 bytes */
    OPCODE_SHUFFLE, /* 16 lanes of two vectors, a byte each */
    OPCODE_LANE2,   /* one byte: a lane of so many */
    OPCODE_LANE4,
    OPCODE_LANE8,
    OPCODE_LANE16,
    OPCODE_MEM1_LANE, /* memarg, then a lane of so many bytes */
    OPCODE_MEM2_LANE,
    OPCODE_MEM4_LANE,
    OPCODE_MEM8_LANE,
};

enum opcode {
#define OP(prefix, code, name, text, immediate, signature, gas) OP_##name,
#include "vm/opcodes.def"
#undef OP
    OPCODE_COUNT
};

enum { OPCODE_PREFIX_SIMD = 0xfd };

struct opcode_info {
    uint8_t prefix;
    uint32_t code;
    const char *text;
    enum opcode_immediate immediate;
    const char *signature;
    uint8_t gas;
};

extern const struct opcode_info opcode_infos[OPCODE_COUNT];

static inline const struct opcode_info *opcode_info(enum opcode opcode)
{
    assert(opcode < OPCODE_COUNT);
    return &opcode_infos[opcode];
}

/* OPCODE_COUNT if there is no such row. */
enum opcode opcode_find(uint8_t prefix, uint32_t code);

/* One decoded instruction: the only reader of instruction bytes is opcode_read; validator,
 * translator and disassembler use it. */
struct instruction {
    enum opcode opcode;
    uint32_t offset;   /* in the module's bytes, of the first byte */
    bool names_memory; /* by anything but a zero byte, which multi_memory alone allows */
    uint8_t lane;      /* LANE, MEM_LANE */
    union {
        uint32_t index; /* LABEL FUNC LOCAL GLOBAL TABLE ELEM DATA MEMORY REF_TYPE(byte) */
        struct {
            uint32_t first, second; /* two indices, in binary order */
        } pair;
        struct {
            uint32_t align, memory;
            uint64_t offset;
            enum leb_result narrow; /* what comes of reading the offset as u32 */
        } memarg;
        int64_t
            block_type; /* >= 0 type index; else the s33 of the byte: -64 empty, -1 i32, -2 i64 … */
        struct {
            uint32_t count;      /* labels without the default; or types */
            struct bytes labels; /* BR_TABLE: the LEB128s, default last; SELECT_TYPES: the bytes */
        } vector;
        uint32_t i32;
        uint64_t i64;
        uint32_t f32;
        uint64_t f64;
        uint8_t v128[16]; /* V128, SHUFFLE */
    } as;
};

/* Two tables in one: which row a byte, or a number behind a prefix, stands for (0: none, else the
 * opcode + 1), a page for the single bytes and one for each prefix; and whether opcode_read can
 * take the usual encoding of what follows. */
enum { OPCODE_PAGE_ENTRIES = 256 };
enum opcode_short {
    OPCODE_SHORT = 1,        /* nothing follows, or */
    OPCODE_SHORT_LEB = 2,    /* one LEB128 number */
    OPCODE_SHORT_SIGNED = 4, /* which has a sign */
    OPCODE_SHORT_BLOCK = 8,  /* and is a block type */
    OPCODE_SHORT_MEMARG = 16,
};
struct opcode_entry {
    uint16_t row;
    uint8_t shape; /* of enum opcode_short; 0: opcode_read_any sees to it */
};
extern const struct opcode_entry opcode_pages[][OPCODE_PAGE_ENTRIES];

bool opcode_read_any(struct reader *reader, uint32_t base, struct instruction *out,
                     struct err *err) MUST_CHECK;

enum { OPCODE_SHORT_BYTES = 8 }; /* more than opcode_read looks at without asking */

/* A LEB128 of at most four bytes: how many it has, 5 if it has more. */
static inline uint32_t opcode_short_leb(const uint8_t *at, uint32_t *out)
{
    uint32_t word;
    *out = at[0];
    if (at[0] < 0x80) {
        return 1;
    }
    memcpy(&word, at, sizeof word); /* little-endian: numeric.h insists */
    uint32_t last = ~word & 0x80808080u;
    uint32_t bits = last == 0 ? 32 : (uint32_t)__builtin_ctz(last) + 1;
    word &= UINT32_MAX >> (32 - bits);
    *out = (word & 0x7f) | (word >> 1 & 0x3f80) | (word >> 2 & 0x1fc000) | (word >> 3 & 0xfe00000);
    return last == 0 ? 5 : bits / 8;
}

/* Whether a number follows or not is chosen without a branch: it is hard to predict. 0: not short.
 */
static inline uint32_t opcode_short_number(const uint8_t *at, uint32_t shape,
                                           struct instruction *out)
{
    uint32_t number = at[0];
    uint32_t size = (shape & OPCODE_SHORT_LEB) / OPCODE_SHORT_LEB;
    uint32_t bits = 7; /* of the number */
    if (number >= 0x80 && size > 0) {
        size = opcode_short_leb(at, &number);
        bits = 7 * size;
        if (size > 4 || (shape & OPCODE_SHORT_BLOCK) != 0) {
            return 0;
        }
    }
    int64_t with_sign = (int32_t)(number << (32 - bits)) >> (32 - bits);
    out->as.i64 = (shape & OPCODE_SHORT_SIGNED) != 0 ? (uint64_t)with_sign : number;
    /* A block type is 0x40 or a number type: as s33 the byte with its sign spread. */
    bool is_odd = (shape & OPCODE_SHORT_BLOCK) != 0 && at[0] != 0x40 && at[0] < 0x7c;
    return is_odd ? 0 : 1 + size;
}

static inline uint32_t opcode_short_memarg(const uint8_t *at, struct instruction *out)
{
    uint32_t offset;
    uint32_t size = opcode_short_leb(at + 1, &offset);
    out->as.memarg.offset = offset;
    out->as.memarg.narrow = LEB_OK;
    out->as.memarg.align = at[0];
    out->as.memarg.memory = 0;
    return at[0] >= 32 || size > 4 ? 0 : 2 + size;
}

/* base: added to the reader's own offset to give offsets in the module. Fails with INVALID_WASM in
 * the spec's words
 * ("illegal opcode", "integer representation too long", "unexpected end", …). Structure only, no
 * typing. */
static inline MUST_CHECK bool opcode_read(struct reader *reader, uint32_t base,
                                          struct instruction *out, struct err *err)
{
    const uint8_t *at = reader->ptr;
    if (reader_left(reader) >= OPCODE_SHORT_BYTES) {
        struct opcode_entry entry = opcode_pages[0][at[0]];
        uint32_t size = 0;
        if ((entry.shape & OPCODE_SHORT) != 0) {
            size = opcode_short_number(at + 1, entry.shape, out);
        } else if (entry.shape != 0) {
            size = opcode_short_memarg(at + 1, out);
        }
        if (size != 0) {
            out->opcode = (enum opcode)(entry.row - 1);
            out->offset = base + (uint32_t)reader_offset(reader);
            out->names_memory = false;
            reader->ptr = at + size;
            return true;
        }
    }
    return opcode_read_any(reader, base, out, err);
}

#endif
