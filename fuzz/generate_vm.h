/* generate_vm.h: random valid modules: any bytes become two modules that load, link and end.
 *
 * The first module has memory, tables, globals and functions and imports one function of the host,
 * "host" "mix" [i32 i64] -> [i64]. The second imports all that the first exports (module "first").
 * Exports "r0", "r1", ... take nothing and are what one runs; "f..." are the functions behind them,
 * "g..." the globals, "t..." the tables, "memory" is either module's own.
 *
 * A "r..." whose function gives a v128 gives nothing: not every embedder can take one.
 *
 * Every branch back and every call burns one unit of a global counter, which each "r..." sets; at 0
 * the program traps. So a module ends also on an engine that knows no gas.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef FUZZ_GENERATE_VM_H
#define FUZZ_GENERATE_VM_H

#include "vm/opcode.h"
#include "vm/vm.h"

struct generate_options {
    bool canonical_nans; /* the sign and payload of a NaN are never looked at, so that engines which
                            differ in them agree */
};

struct generated {
    struct buffer first, second;
};

/* Always succeeds; without bytes the modules are as simple as can be. */
void generate(struct bytes choices, struct generate_options options, struct generated *out);
void generated_release(struct generated *generated);

/* ---- Between generate_vm.c and generate_vm_body.c ---- */

enum {
    GENERATE_TYPES = 10,
    GENERATE_ARITY_MAX = 4, /* parameters, and results */
    GENERATE_FUNCS_MAX = 24,
    GENERATE_OWN_FUNCS_MAX = 6,
    GENERATE_TABLES = 3,
    GENERATE_GLOBALS_MAX = 16,
    GENERATE_LOCALS_MAX = 24,
    GENERATE_LABELS_MAX = 16,
    GENERATE_COUNTERS = 3, /* loops in loops */
    GENERATE_INDEXES = 4,
    GENERATE_SEGMENTS = 3,
    GENERATE_FUEL = 150, /* loops and calls of one run */
    GENERATE_BODY_INSTRUCTIONS = 400,
    GENERATE_BYTES_MAX = 1 << 20,
};

struct generate_types {
    uint32_t count;
    uint8_t types[GENERATE_ARITY_MAX];
};

struct generate_func_type {
    struct generate_types params, results;
};

struct generate_label {
    struct generate_types types; /* that a branch brings */
    bool is_loop;
};

struct generator {
    struct bytes choices;
    size_t at, end; /* of those for the function or module under way */
    bool canonical_nans;

    /* the module */
    struct generate_func_type types[GENERATE_TYPES];
    uint32_t func_types[GENERATE_FUNCS_MAX]; /* index into types */
    uint32_t func_count;                     /* that bodies may name: the "r..." come after them */
    uint8_t table_types[GENERATE_TABLES];
    uint8_t global_types[GENERATE_GLOBALS_MAX];
    bool global_is_mutable[GENERATE_GLOBALS_MAX];
    uint32_t global_count;

    /* the body */
    struct buffer *out;
    uint32_t left; /* instructions that may still be chosen freely */
    uint8_t locals[GENERATE_LOCALS_MAX];
    uint32_t local_count;     /* that any statement may write; the next ones belong to loops: */
    uint32_t loops_under_way; /* each has a counter; there are also indexes, mostly small */
    uint8_t focus;            /* what most numbers of the loops are */
    struct generate_label labels[GENERATE_LABELS_MAX];
    uint32_t label_count;
};

/* 0 when no bytes are left: whatever is simplest is choice 0. */
uint32_t generate_choose(struct generator *g, uint32_t count);
void generate_byte(struct generator *g, uint8_t byte);
void generate_u32(struct generator *g, uint32_t value); /* LEB128 */
void generate_constant(struct generator *g, uint8_t type);
/* The expression of a function of that type, including the last end; locals are set. */
void generate_body(struct generator *g, const struct generate_func_type *type);

/* generate_vm_put.c */
#define GENERATE_FROM(g, table) (table)[generate_choose(g, sizeof(table) / sizeof((table)[0]))]
void generate_op(struct generator *g, enum opcode opcode);
void generate_indexed(struct generator *g, enum opcode opcode, uint32_t index);
void generate_signed(struct generator *g, int64_t value); /* LEB128 */
void generate_i32(struct generator *g, int32_t value);
uint8_t generate_letter_type(char letter); /* of a signature of opcodes.def */
/* The first item of the type at or after a random place; count if there is none. */
uint32_t generate_find(struct generator *g, const uint8_t *types, uint32_t count, uint8_t type);
/* A local or a constant. */
void generate_leaf(struct generator *g, uint8_t type);
/* Makes the topmost value, a float, the same on all engines. */
void generate_canonical(struct generator *g, uint8_t type);
void generate_canonical_lanes(struct generator *g, bool has_doubles);
/* Divides by the counter, so that it traps at 0: a branch would settle what waits on the stack. */
void generate_burn(struct generator *g);

/* generate_vm_body.c: leaves nothing, takes nothing. */
void generate_statement(struct generator *g, uint32_t depth);
/* Makes the topmost value a part of what the module has come to: a number in a global. */
void generate_accumulate(struct generator *g, uint8_t type);

/* generate_vm_loop.c: the same, a loop in which few locals do all the work. */
void generate_loop(struct generator *g, uint32_t depth);

#endif
