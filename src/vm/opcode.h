/* opcode.h: the tables that are generated from opcodes.def.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_OPCODE_H
#define VM_OPCODE_H

#include "base/bytes.h"

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
    OPCODE_MEM1, /* memarg: u32 align, u32 offset */
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
};

enum opcode {
#define OP(prefix, code, name, text, immediate, signature, gas) OP_##name,
#include "vm/opcodes.def"
#undef OP
    OPCODE_COUNT
};

struct opcode_info {
    uint8_t prefix;
    uint32_t code;
    const char *text;
    enum opcode_immediate immediate;
    const char *signature;
    uint8_t gas;
};

const struct opcode_info *opcode_info(enum opcode opcode);
/* OPCODE_COUNT if there is no such row. */
enum opcode opcode_find(uint8_t prefix, uint32_t code);

/* One decoded instruction: the only reader of instruction bytes is opcode_read; validator,
 * translator and disassembler use it. */
struct instruction {
    enum opcode opcode;
    uint32_t offset; /* in the module's bytes, of the first byte */
    union {
        uint32_t index; /* LABEL FUNC LOCAL GLOBAL TABLE ELEM DATA MEMORY REF_TYPE(byte) */
        struct {
            uint32_t first, second; /* two indices, in binary order */
        } pair;
        struct {
            uint32_t align, offset, memory;
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
    } as;
};

/* base: added to the reader's own offset to give offsets in the module. Fails with INVALID_WASM in
 * the spec's words
 * ("illegal opcode", "integer representation too long", "unexpected end", …). Structure only, no
 * typing. */
bool opcode_read(struct reader *reader, uint32_t base, struct instruction *out,
                 struct err *err) MUST_CHECK;

#endif
