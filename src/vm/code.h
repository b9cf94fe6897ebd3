/* code.h: the internal code: what translate.c writes and the handlers read. Private to vm.
 *
 * A translated body is a stream of 8-byte aligned instructions; each begins with the address of its
 * handler, operands follow at fixed offsets. Operands are slots of the frame (u16 index, fp[slot]),
 * immediates, or registers, which the choice of the handler implies: I32_ADD_S_RI adds an immediate
 * to r0 and writes a slot. r0 (integers, references) and f0 (floats) hold a temporary, r1, r2 and
 * f1 each a pinned local: a copy of its slot, which is always written too.
 *
 *   arithmetic  handler@0  d@8  a@10  b@12 | imm32@12 | imm64@16           16 or 24 bytes
 *   branch      handler@0  a@8  b@10  rel@12  cost taken@16  cost fall@20 | imm@24
 *   load        handler@0  d@8  a@10  offset32@12 | b16@16 shift8@18 imm32@20 | imm32@16 |
 * address64@16 store       the same with v@8, the value's slot; its immediate comes last far load
 * handler@0  d@8  a@10  memory@12  offset64@16               a far store: v@8, imm64@24 select
 * handler@0  d@8  a@10  b@12  c@14 | imm64 a@16  imm64 b@24 jump        handler@0  rel@8  cost@12
 *   lane        a load or store: d@8  a@10  offset32@12  b@16  lane8@18; far: offset64@16  b@24
 * lane8@26 vectors     d@8  a@10  b@12 | c@14 | lane8@14 | imm128@16                16 or 32 bytes
 *   table       handler@0  a@10  count@12, then (count + 1) x {rel32 cost32}
 *   return      handler@0  return slot@8  a@10  count@12 | imm64@16
 *   call        handler@0  target@8..  a@16  delta@18  cost@20     the last six bytes are read by
 * the callee's return, through its pc rare        handler@0  base@10  cost@12  index@16  index@20
 * operands at fp[base..]
 *
 * rel is relative to the first byte of the instruction that holds it. A cost is the gas of the
 * straight run of instructions from the edge's target to the next control instruction; it is paid
 * when the edge is taken (docs/interpreter.md).
 *
 * A frame, from fp upwards: parameters (and, in the end, results) · one word: the pc to return to ·
 * declared locals · temporaries, a home for each value on the operand stack. A callee's frame
 * begins at its arguments, which are the caller's topmost temporaries. A v128 takes two slots, of
 * which the lower one names it; everything else takes one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_CODE_H
#define VM_CODE_H

#include "vm/module.h"
#include "vm/shapes.h"

#include <string.h>

struct code {
    const uint8_t *start;
    uint32_t size; /* bytes */
    uint32_t frame_slots;
    uint32_t entry_cost;
    uint32_t return_slot; /* of the word that holds the pc to return to */
    uint32_t zero_count;  /* slots of declared locals, from return_slot + 1 */
    uint32_t param_slots, result_slots;
    bool slots_only; /* translated so; translating again must do the same */
};

/* Where the fields lie. */
enum code_field {
    CODE_D = 8,
    CODE_A = 10,
    CODE_B = 12,
    CODE_C = 14,
    CODE_IMM32 = 12,
    CODE_IMM64 = 16,
    CODE_SELECT_IMM_A = 16,
    CODE_SELECT_IMM_B = 24,
    CODE_OFFSET = 12,
    CODE_ADDRESS = 16, /* the index: what an address has beside base and offset */
    CODE_SHIFT = 18,
    CODE_ADDRESS_BASE = 20, /* an immediate base, where the index is shifted */
    CODE_JUMP_REL = 8,
    CODE_JUMP_COST = 12,
    CODE_BRANCH_A = 8,
    CODE_BRANCH_B = 10,
    CODE_BRANCH_REL = 12,
    CODE_BRANCH_TAKEN = 16,
    CODE_BRANCH_FALL = 20,
    CODE_BRANCH_IMM = 24,
    CODE_TABLE_COUNT = 12,
    CODE_TABLE_ENTRIES = 16,
    CODE_RETURN_SLOT = 8,
    CODE_RETURN_COUNT = 12,
    CODE_CALL_TARGET = 8,
    CODE_CALL_TABLE = 12,
    CODE_CALL_A = 16,
    CODE_CALL_DELTA = 18,
    CODE_CALL_COST = 20,
    CODE_CALL_BYTES = 24,
    CODE_TAIL_FROM = 18, /* a tail call is laid out like a call up to here */
    CODE_TAIL_COUNT = 20,
    CODE_TAIL_RETURN = 22,
    CODE_FAR_MEMORY = 12,
    CODE_FAR_OFFSET = 16,
    CODE_FAR_IMM = 24,
    CODE_LANE = 14, /* of EXTRACT and REPLACE */
    CODE_IMM128 = 16,
    CODE_IMM128_BYTES = 32,
    CODE_LANE_B = 16,
    CODE_LANE_NUMBER = 18,
    CODE_LANE_BYTES = 24,
    CODE_FAR_LANE_B = 24,
    CODE_FAR_LANE_NUMBER = 26,
    CODE_FAR_LANE_BYTES = 32,
    CODE_RARE_COST = 12,
    CODE_RARE_X = 16,
    CODE_RARE_Y = 20,
    CODE_RARE_BYTES = 24,
};

#define CODE_READ(name, type)                                                                      \
    static inline __attribute__((always_inline)) type name(const uint8_t *pc, int at)              \
    {                                                                                              \
        type value;                                                                                \
        memcpy(&value, pc + at, sizeof value);                                                     \
        return value;                                                                              \
    }
CODE_READ(code_u16, uint16_t)
CODE_READ(code_u32, uint32_t)
CODE_READ(code_i32, int32_t)
CODE_READ(code_u64, uint64_t)
#undef CODE_READ

/* ---- The handlers ---- */

/* Operand kinds. R is the transient register: r0, or f0 for a float. P and Q are pinned locals: r1
 * and r2, or f1 (P) for a float; their slots hold the same value at any time, so P and Q may always
 * be taken for S. */
enum code_kind { CODE_R, CODE_S, CODE_I, CODE_P, CODE_Q, CODE_N, CODE_KINDS = CODE_N };

/* Address kinds: base, index, whether the index is shifted. The first ones are kinds as above. */
enum code_address {
#define ADDRESS_ROW(name, base, index, shifted) CODE_ADDRESS_##name,
    ADDRESS_KINDS(ADDRESS_ROW)
#undef ADDRESS_ROW
        CODE_ADDRESSES
};
struct code_address_row {
    uint8_t base, index; /* enum code_kind */
    bool shifted;
};
extern const struct code_address_row code_address_rows[CODE_ADDRESSES];

enum code_type { CODE_i32, CODE_i64, CODE_f32, CODE_f64, CODE_v128 };

/* Layouts, for whoever must know how long an instruction is. */
enum code_format {
    CODE_BINARY,
    CODE_UNARY,
    CODE_BRANCH,
    CODE_LOAD,
    CODE_STORE,
    CODE_FAR_LOAD,
    CODE_FAR_STORE,
    CODE_CONSTANT,
    CODE_SHUFFLE,
    CODE_EXTRACT, /* these three: what is no vector is of the layout's type */
    CODE_REPLACE,
    CODE_SHIFTED,
    CODE_TERNARY,
    CODE_LOAD_LANE,
    CODE_STORE_LANE,
    CODE_FAR_LANE,
    CODE_SELECT,
    CODE_JUMP,
    CODE_TABLE,
    CODE_RETURN,
    CODE_CALL,
    CODE_TAIL_CALL,
    CODE_RARE,
    CODE_GLOBAL,
    CODE_PIN,
    CODE_BARE, /* nothing but the handler */
};

/* HANDLER(name, layout, body): every handler there is, in handlers.def's order. */
enum handler {
#define HANDLER(name, layout, body) HANDLER_##name,
#include "vm/handlers.def"
#undef HANDLER
    HANDLER_COUNT
};

struct handler_layout {
    const char *name; /* "I32_ADD_S_RI" */
    uint8_t format;   /* enum code_format */
    uint8_t type;     /* enum code_type, of the operands */
    uint8_t d, a, b;  /* enum code_kind; of a LOAD or STORE, a is an enum code_address */
};

extern const struct handler_layout handler_layouts[HANDLER_COUNT];

/* The handler that does what `first` and then `second`, which follows it in the code, do;
 * HANDLER_COUNT: none. It takes the first one's place; see fusions.def. */
enum handler handler_fused(enum handler first, enum handler second);
/* Whether it is such a one: what follows its instruction is not dispatched by itself. */
bool handler_is_fused(enum handler handler);

uint32_t code_instruction_bytes(const struct handler_layout *layout, const uint8_t *pc);
/* The word that an instruction of that handler begins with. */
uint64_t handler_word(enum handler handler);
/* The other way round, for printing; HANDLER_COUNT if it is none. */
enum handler handler_of_word(uint64_t word);

/* What the translator must know of an instruction to choose a handler. */
enum family {
    FAMILY_NONE,
    FAMILY_BINARY,
    FAMILY_COMPARE,
    FAMILY_TEST,
    FAMILY_UNARY,
    FAMILY_LOAD,
    FAMILY_STORE,
    FAMILY_CONSTANT, /* this and the next are of vectors only: translate_simd.c */
    FAMILY_SHUFFLE,
    FAMILY_TERNARY,
    FAMILY_LOAD_LANE,
    FAMILY_STORE_LANE,
};

/* How far a family knows pinned locals; see shapes.h. Those before P do not. */
enum shape_pins {
    SHAPE_NONE,
    SHAPE_V,
    SHAPE_SHIFT,
    SHAPE_REPLACE,
    SHAPE_P,
    SHAPE_PQ,
    SHAPE_SCALED,
    SHAPES
};

struct family_row {
    uint8_t family;
    uint8_t in, out;     /* enum code_type of operands and result */
    bool ordered;        /* may not be written with its operands swapped */
    uint8_t pins;        /* enum shape_pins */
    uint8_t addresses;   /* the same, of a LOAD's or STORE's address */
    uint16_t far;        /* LOAD, STORE: enum handler: the first for memories that are no plain 0 */
    uint16_t first;      /* enum handler: the first destination and combination of operands */
    uint16_t branch;     /* the first branch on it; 0: none */
    uint16_t branch_not; /* the first branch on its contrary; 0: use `inverse` */
    uint16_t swapped;    /* enum opcode with the same result when the operands change places */
    uint16_t inverse;    /* enum opcode of the contrary */
};

extern const struct family_row family_rows[OPCODE_COUNT];

/* A shape as a table: how many combinations, and each one's place, counted from 1; 0: none. */
struct pair_shape {
    uint8_t count;
    uint8_t place[CODE_KINDS][CODE_KINDS];
};
struct kind_shape {
    uint8_t count;
    uint8_t place[CODE_KINDS];
};
struct address_shape {
    uint8_t count;
    uint8_t place[CODE_ADDRESSES];
};
extern const struct pair_shape pair_shapes[2][SHAPES]; /* [is it ordered] */
extern const struct kind_shape kind_shapes[SHAPES];    /* destinations, single operands */
extern const struct kind_shape value_shapes[SHAPES];   /* what is stored */
extern const struct address_shape address_shapes[SHAPES];

/* The first select of two vectors. */
#if VM_PINS
#define SIMD_SELECT_FIRST HANDLER_SELECT_v128_R_RS_R
#else
#define SIMD_SELECT_FIRST HANDLER_SELECT_v128_S_SS_R
#endif

#endif
