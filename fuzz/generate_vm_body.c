/* generate_vm_body.c: random expressions and statements; see generate_vm.h.
 *
 * value() leaves one value of a type, generate_statement() nothing; both know only what lies above
 * the point where they began, so whatever they are nested in stays on the operand stack meanwhile:
 * values wait there across branches, calls and writes to the locals that they were read from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "generate_vm.h"

#include "vm/opcode.h"

#include <assert.h>
#include <string.h>

enum { DEPTH_MAX = 6, ADDRESS_MASK = 0xffff, TABLE_MASK = 15, SIZE_MASK = 63 };

static void value(struct generator *g, uint8_t type, uint32_t depth);

static uint32_t find_mutable_global(struct generator *g, uint8_t type)
{
    for (uint32_t i = 1; i < g->global_count; i++) {
        if (g->global_types[i] == type && g->global_is_mutable[i]) {
            return i;
        }
    }
    return g->global_count;
}

void generate_accumulate(struct generator *g, uint8_t type)
{
    bool is_wide = type == VM_I64 || type == VM_F64 || type == VM_V128;
    uint32_t global = find_mutable_global(g, is_wide ? VM_I64 : VM_I32);
    if (type == VM_FUNCREF || type == VM_EXTERNREF) {
        generate_op(g, OP_REF_IS_NULL);
    } else if (type == VM_V128) {
        generate_op(g, OP_I64X2_EXTRACT_LANE);
        generate_byte(g, (uint8_t)generate_choose(g, 2));
    } else if (type == VM_F32 || type == VM_F64) {
        if (g->canonical_nans) {
            generate_canonical(g, type);
        }
        generate_op(g, is_wide ? OP_I64_REINTERPRET_F64 : OP_I32_REINTERPRET_F32);
    }
    generate_indexed(g, OP_GLOBAL_GET, global);
    generate_op(g, is_wide ? OP_I64_CONST : OP_I32_CONST);
    generate_signed(g, 31);
    generate_op(g, is_wide ? OP_I64_MUL : OP_I32_MUL);
    generate_op(g, is_wide ? OP_I64_ADD : OP_I32_ADD);
    generate_indexed(g, OP_GLOBAL_SET, global);
}

/* Takes the topmost value away: into a local, a global, what has come so far, or nowhere. */
static void consume(struct generator *g, uint8_t type)
{
    uint32_t local = generate_find(g, g->locals, g->local_count, type);
    uint32_t global = find_mutable_global(g, type);
    uint32_t choice = generate_choose(g, 6);
    if (choice > 3) {
        generate_accumulate(g, type);
    } else if (local < g->local_count && choice > 1) {
        generate_indexed(g, OP_LOCAL_SET, local);
    } else if (global < g->global_count && choice == 1) {
        generate_indexed(g, OP_GLOBAL_SET, global);
    } else {
        generate_op(g, OP_DROP);
    }
}

static void values(struct generator *g, const struct generate_types *types, uint32_t depth)
{
    for (uint32_t i = 0; i < types->count; i++) {
        value(g, types->types[i], depth);
    }
}

static void consume_all(struct generator *g, const struct generate_types *types, uint32_t from)
{
    for (uint32_t i = types->count; i > from; i--) {
        consume(g, types->types[i - 1]);
    }
}

static void masked(struct generator *g, uint32_t depth, int32_t mask)
{
    value(g, VM_I32, depth);
    if (generate_choose(g, 100) != 99) {
        generate_i32(g, mask);
        generate_op(g, OP_I32_AND);
    }
}

/* ---- Numeric instructions, loads and stores: any that opcodes.def has ---- */

static bool is_memory(enum opcode opcode)
{
    enum opcode_immediate immediate = opcode_info(opcode)->immediate;
    return (immediate >= OPCODE_MEM1 && immediate <= OPCODE_MEM16) ||
           (immediate >= OPCODE_MEM1_LANE && immediate <= OPCODE_MEM8_LANE);
}

/* How many lanes there are to choose from. */
static uint32_t lane_count(enum opcode_immediate immediate)
{
    switch ((int)immediate) {
    case OPCODE_LANE2:
    case OPCODE_MEM8_LANE:
        return 2;
    case OPCODE_LANE4:
    case OPCODE_MEM4_LANE:
        return 4;
    case OPCODE_LANE8:
    case OPCODE_MEM2_LANE:
        return 8;
    case OPCODE_LANE16:
    case OPCODE_MEM1_LANE:
        return 16;
    default:
        return 0;
    }
}

static bool is_simple(enum opcode opcode)
{
    enum opcode_immediate immediate = opcode_info(opcode)->immediate;
    return is_memory(opcode) || immediate == OPCODE_NONE || immediate == OPCODE_SHUFFLE ||
           lane_count(immediate) > 0;
}

static bool is_trapping(enum opcode opcode)
{
    return (opcode >= OP_I32_TRUNC_F32_S && opcode <= OP_I32_TRUNC_F64_U) ||
           (opcode >= OP_I64_TRUNC_F32_S && opcode <= OP_I64_TRUNC_F64_U);
}

static bool is_division(enum opcode opcode)
{
    return (opcode >= OP_I32_DIV_S && opcode <= OP_I32_REM_U) ||
           (opcode >= OP_I64_DIV_S && opcode <= OP_I64_REM_U);
}

/* Which looks at the sign or payload of its last operand. */
static bool is_observer(enum opcode opcode)
{
    const char *result = strchr(opcode_info(opcode)->signature, ':');
    return opcode == OP_F32_COPYSIGN || opcode == OP_F64_COPYSIGN || opcode == OP_F32_STORE ||
           opcode == OP_F64_STORE || opcode == OP_I32_REINTERPRET_F32 ||
           opcode == OP_I64_REINTERPRET_F64 || (result != NULL && result[1] == 'v');
}

/* Whose result has lanes that may be a NaN of its own making. */
static bool makes_nans(enum opcode opcode)
{
    return (opcode >= OP_F32X4_CEIL && opcode <= OP_F32X4_NEAREST) ||
           (opcode >= OP_F32X4_SQRT && opcode <= OP_F32X4_MAX) || opcode == OP_F64X2_CEIL ||
           opcode == OP_F64X2_FLOOR || opcode == OP_F64X2_TRUNC || opcode == OP_F64X2_NEAREST ||
           (opcode >= OP_F64X2_SQRT && opcode <= OP_F64X2_MAX) ||
           opcode == OP_F32X4_DEMOTE_F64X2_ZERO || opcode == OP_F64X2_PROMOTE_LOW_F32X4;
}

/* Of signature "...:type", or of "...:" where type is 0. */
static enum opcode choose_simple(struct generator *g, uint8_t type)
{
    uint32_t first = generate_choose(g, OPCODE_COUNT);
    bool has_vectors = type == VM_V128 || generate_choose(g, 6) == 5;
    for (uint32_t i = 0; i < OPCODE_COUNT; i++) {
        enum opcode opcode = (enum opcode)((first + i) % OPCODE_COUNT);
        const char *result = strchr(opcode_info(opcode)->signature, ':');
        if (result == NULL || !is_simple(opcode) || result == opcode_info(opcode)->signature ||
            (!has_vectors && strchr(opcode_info(opcode)->signature, 'v') != NULL)) {
            continue;
        }
        if (type == 0 ? result[1] == '\0'
                      : result[1] != '\0' && generate_letter_type(result[1]) == type) {
            return is_trapping(opcode) && generate_choose(g, 4) > 0 ? choose_simple(g, type)
                                                                    : opcode;
        }
    }
    return OPCODE_COUNT;
}

static void put_immediate(struct generator *g, enum opcode opcode)
{
    enum opcode_immediate immediate = opcode_info(opcode)->immediate;
    if (is_memory(opcode)) {
        generate_u32(g, 0); /* alignment */
        uint32_t choice = generate_choose(g, 128);
        generate_u32(g, choice == 127 ? UINT32_MAX : choice == 126 ? 65530 : choice % 32);
    }
    if (lane_count(immediate) > 0) {
        generate_byte(g, (uint8_t)generate_choose(g, lane_count(immediate)));
    }
    for (uint32_t i = 0; immediate == OPCODE_SHUFFLE && i < 16; i++) {
        generate_byte(g, (uint8_t)generate_choose(g, 32));
    }
}

static void simple(struct generator *g, uint8_t type, uint32_t depth)
{
    enum opcode opcode = choose_simple(g, type);
    const char *operand = opcode_info(opcode)->signature;
    assert(opcode != OPCODE_COUNT);
    if (is_memory(opcode)) {
        masked(g, depth, ADDRESS_MASK);
        operand++;
    }
    for (; *operand != ':'; operand++) {
        value(g, generate_letter_type(*operand), depth);
        bool is_float = *operand == 'f' || *operand == 'F';
        if (g->canonical_nans && is_float && is_observer(opcode)) {
            generate_canonical(g, generate_letter_type(*operand));
        }
    }
    if (is_division(opcode) && generate_choose(g, 16) != 15) {
        generate_byte(g, type == VM_I32 ? 0x41 : 0x42);
        generate_signed(g, 1 + (int64_t)generate_choose(g, 40));
        generate_op(g, type == VM_I32 ? OP_I32_OR : OP_I64_OR);
    }
    generate_op(g, opcode);
    put_immediate(g, opcode);
    if (g->canonical_nans && makes_nans(opcode)) {
        generate_canonical_lanes(g, strstr(opcode_info(opcode)->text, "f64x2.") != NULL);
    }
}

/* ---- Branches ---- */

static bool is_same(const struct generate_types *a, const struct generate_types *b)
{
    return a->count == b->count && memcmp(a->types, b->types, a->count) == 0;
}

static struct generate_label *choose_label(struct generator *g, uint32_t *depth)
{
    *depth = generate_choose(g, g->label_count);
    return &g->labels[g->label_count - 1 - *depth];
}

static void branch_table(struct generator *g, const struct generate_types *types, uint32_t depth)
{
    uint32_t count = generate_choose(g, 6);
    masked(g, depth, 7);
    generate_indexed(g, OP_BR_TABLE, count);
    for (uint32_t i = 0; i <= count; i++) {
        uint32_t label = generate_choose(g, g->label_count);
        while (!is_same(&g->labels[g->label_count - 1 - label].types, types)) {
            label = (label + 1) % g->label_count;
        }
        generate_u32(g, label);
    }
}

/* Leaves for good: what follows is dead. */
static void branch(struct generator *g, uint32_t depth)
{
    uint32_t label;
    const struct generate_label target = *choose_label(g, &label);
    uint32_t choice = generate_choose(g, 4);
    generate_burn(g);
    if (generate_choose(g, 2) == 1) { /* something to throw away */
        value(g, VM_I64, depth);
    }
    if (choice == 3) {
        values(g, &g->labels[0].types, depth);
        generate_op(g, OP_RETURN);
        return;
    }
    values(g, &target.types, depth);
    if (choice == 2) {
        branch_table(g, &target.types, depth);
    } else {
        generate_indexed(g, OP_BR, label);
    }
}

/* Brings the label's values, which stay if the branch is not taken. */
static struct generate_types branch_if(struct generator *g, uint32_t depth)
{
    uint32_t label;
    const struct generate_label target = *choose_label(g, &label);
    if (target.is_loop) {
        generate_burn(g);
    }
    values(g, &target.types, depth);
    value(g, VM_I32, depth);
    generate_indexed(g, OP_BR_IF, label);
    return target.types;
}

/* ---- Blocks ---- */

/* Inside a block that has taken `params`: some of them may stay as results. */
static void block_contents(struct generator *g, const struct generate_types *params,
                           const struct generate_types *results, uint32_t depth)
{
    uint32_t same = 0;
    while (same < params->count && same < results->count &&
           params->types[same] == results->types[same]) {
        same++;
    }
    uint32_t kept = generate_choose(g, same + 1);
    for (uint32_t i = generate_choose(g, 3); i > 0; i--) {
        generate_statement(g, depth);
    }
    consume_all(g, params, kept);
    for (uint32_t i = generate_choose(g, 3); i > 0; i--) {
        generate_statement(g, depth);
    }
    for (uint32_t i = kept; i < results->count; i++) {
        value(g, results->types[i], depth);
    }
}

static void put_block_type(struct generator *g, uint32_t type)
{
    const struct generate_func_type *func_type = &g->types[type];
    if (func_type->params.count == 0 && func_type->results.count == 0) {
        generate_byte(g, 0x40);
    } else {
        generate_u32(g, type);
    }
}

/* Takes the parameters of g->types[type], which are there, and leaves its results. */
static void block(struct generator *g, uint32_t type, uint32_t depth)
{
    const struct generate_func_type *types = &g->types[type];
    uint32_t choice = generate_choose(g, 3);
    struct generate_label *label = &g->labels[g->label_count];
    if (g->label_count == GENERATE_LABELS_MAX) {
        consume_all(g, &types->params, 0);
        values(g, &types->results, 0);
        return;
    }
    if (choice == 2) {
        value(g, VM_I32, depth);
    }
    generate_op(g, choice == 0 ? OP_BLOCK : choice == 1 ? OP_LOOP : OP_IF);
    put_block_type(g, type);
    *label = (struct generate_label){.types = choice == 1 ? types->params : types->results,
                                     .is_loop = choice == 1};
    g->label_count++;
    block_contents(g, &types->params, &types->results, depth);
    if (choice == 2 && (!is_same(&types->params, &types->results) || generate_choose(g, 2) == 1)) {
        generate_op(g, OP_ELSE);
        block_contents(g, &types->params, &types->results, depth);
    }
    generate_op(g, OP_END);
    g->label_count--;
}

/* ---- Calls ---- */

static void put_call(struct generator *g, uint32_t func, uint32_t depth, bool is_tail)
{
    if (generate_choose(g, 3) != 2) {
        generate_indexed(g, is_tail ? OP_RETURN_CALL : OP_CALL, func);
        return;
    }
    if (generate_choose(g, 4) > 0) { /* the function that is meant to be there */
        generate_i32(g, (int32_t)func - 1);
    } else {
        masked(g, depth, TABLE_MASK);
    }
    generate_indexed(g, is_tail ? OP_RETURN_CALL_INDIRECT : OP_CALL_INDIRECT, g->func_types[func]);
    generate_u32(g, generate_choose(g, 8) == 7 ? 2 : 0);
}

/* Leaves the function for one that gives the same results, if there is one; else does nothing. */
static void tail_call(struct generator *g, uint32_t depth)
{
    uint32_t first = generate_choose(g, g->func_count);
    for (uint32_t i = 0; i < g->func_count; i++) {
        uint32_t func = (first + i) % g->func_count;
        const struct generate_func_type *type = &g->types[g->func_types[func]];
        if (is_same(&type->results, &g->labels[0].types)) {
            generate_burn(g);
            values(g, &type->params, depth);
            put_call(g, func, depth, true);
            return;
        }
    }
}

/* The type that was called: its results are there. */
static const struct generate_func_type *call(struct generator *g, uint32_t depth)
{
    uint32_t func = generate_choose(g, g->func_count);
    const struct generate_func_type *type = &g->types[g->func_types[func]];
    generate_burn(g);
    values(g, &type->params, depth);
    put_call(g, func, depth, false);
    return type;
}

/* ---- Values and statements ---- */

/* Of several values only the first stays, which must be of that type. */
static bool keep_first(struct generator *g, const struct generate_types *types, uint8_t type,
                       uint32_t depth)
{
    if (types->count > 0 && types->types[0] == type) {
        consume_all(g, types, 1);
        return true;
    }
    consume_all(g, types, 0);
    value(g, type, depth);
    return false;
}

static void value_of_table_or_memory(struct generator *g, uint8_t type, uint32_t depth)
{
    if (type == VM_FUNCREF || type == VM_EXTERNREF) {
        masked(g, depth, 7);
        generate_indexed(g, OP_TABLE_GET, type == VM_FUNCREF ? 2 * generate_choose(g, 2) : 1);
        return;
    }
    if (type != VM_I32) {
        simple(g, type, depth);
        return;
    }
    uint32_t table = generate_choose(g, GENERATE_TABLES);
    switch (generate_choose(g, 5)) {
    case 0:
        generate_indexed(g, OP_MEMORY_SIZE, 0);
        return;
    case 1:
        masked(g, depth, 1);
        generate_indexed(g, OP_MEMORY_GROW, 0);
        return;
    case 2:
        generate_indexed(g, OP_TABLE_SIZE, table);
        return;
    case 3:
        value(g, g->table_types[table], depth);
        masked(g, depth, 3);
        generate_indexed(g, OP_TABLE_GROW, table);
        return;
    default:
        value(g, generate_choose(g, 2) == 0 ? VM_FUNCREF : VM_EXTERNREF, depth);
        generate_op(g, OP_REF_IS_NULL);
        return;
    }
}

static void choose_between(struct generator *g, uint8_t type, uint32_t depth)
{
    value(g, type, depth);
    value(g, type, depth);
    value(g, VM_I32, depth);
    if (type == VM_FUNCREF || type == VM_EXTERNREF || generate_choose(g, 4) == 3) {
        generate_indexed(g, OP_SELECT_T, 1);
        generate_byte(g, type);
    } else {
        generate_op(g, OP_SELECT);
    }
}

static void value_of_variable(struct generator *g, uint8_t type, uint32_t depth)
{
    uint32_t local = generate_find(g, g->locals, g->local_count, type);
    uint32_t global = generate_find(g, g->global_types, g->global_count, type);
    if (generate_choose(g, 3) == 0 && global < g->global_count) {
        generate_indexed(g, OP_GLOBAL_GET, global);
    } else if (local < g->local_count) {
        value(g, type, depth);
        generate_indexed(g, OP_LOCAL_TEE, local);
    } else {
        generate_leaf(g, type);
    }
}

static void value_of_block(struct generator *g, uint8_t type, uint32_t depth)
{
    uint32_t block_type = generate_choose(g, GENERATE_TYPES);
    values(g, &g->types[block_type].params, depth);
    block(g, block_type, depth);
    keep_first(g, &g->types[block_type].results, type, depth);
}

static void value(struct generator *g, uint8_t type, uint32_t depth)
{
    bool is_number = type != VM_FUNCREF && type != VM_EXTERNREF;
    if (depth == 0 || g->left == 0) {
        generate_leaf(g, type);
        return;
    }
    g->left--;
    depth--;
    switch (generate_choose(g, 24)) {
    case 0:
    case 1:
        generate_leaf(g, type);
        return;
    case 2:
    case 3:
    case 4:
        value_of_variable(g, type, depth);
        return;
    case 5:
        choose_between(g, type, depth);
        return;
    case 6:
    case 7:
        value_of_block(g, type, depth);
        return;
    case 8:
        keep_first(g, &call(g, depth)->results, type, depth);
        return;
    case 9: {
        struct generate_types types = branch_if(g, depth);
        keep_first(g, &types, type, depth);
        return;
    }
    case 10:
        value_of_table_or_memory(g, type, depth);
        return;
    case 11:
        value(g, type, depth);
        generate_statement(g, depth);
        return;
    case 12:
        generate_statement(g, depth);
        value(g, type, depth);
        return;
    case 13:
        if (generate_choose(g, 4) == 3) {
            branch(g, depth);
        }
        value(g, type, depth);
        return;
    default:
        is_number ? simple(g, type, depth) : value_of_table_or_memory(g, type, depth);
        return;
    }
}

static void bulk(struct generator *g, uint32_t depth)
{
    static const enum opcode opcodes[] = {OP_MEMORY_FILL, OP_MEMORY_COPY, OP_MEMORY_INIT,
                                          OP_TABLE_COPY,  OP_TABLE_INIT,  OP_TABLE_FILL};
    enum opcode opcode = GENERATE_FROM(g, opcodes);
    bool is_table = opcode >= OP_TABLE_INIT && opcode <= OP_TABLE_FILL;
    uint32_t table = opcode == OP_TABLE_FILL ? generate_choose(g, GENERATE_TABLES) : 0;
    masked(g, depth, is_table ? 7 : ADDRESS_MASK);
    if (opcode == OP_TABLE_FILL) {
        value(g, g->table_types[table], depth);
    } else {
        masked(g, depth, is_table || opcode == OP_MEMORY_INIT ? 3 : ADDRESS_MASK);
    }
    masked(g, depth, is_table ? 3 : opcode == OP_MEMORY_INIT ? 15 : SIZE_MASK);
    generate_op(g, opcode);
    switch ((int)opcode) {
    case OP_MEMORY_FILL:
    case OP_TABLE_FILL:
        generate_u32(g, table);
        return;
    case OP_MEMORY_COPY:
        generate_u32(g, 0);
        generate_u32(g, 0);
        return;
    case OP_MEMORY_INIT:
        generate_u32(g, generate_choose(g, GENERATE_SEGMENTS));
        generate_u32(g, 0);
        return;
    case OP_TABLE_COPY:
        generate_u32(g, 2 * generate_choose(g, 2));
        generate_u32(g, 2 * generate_choose(g, 2));
        return;
    default:
        generate_u32(g, 1);
        generate_u32(g, 2 * generate_choose(g, 2));
        return;
    }
}

static void rare_statement(struct generator *g, uint32_t depth)
{
    uint32_t table = generate_choose(g, GENERATE_TABLES);
    switch (generate_choose(g, 8)) {
    case 0:
        generate_op(g, OP_NOP);
        return;
    case 1:
        generate_indexed(g, OP_DATA_DROP, generate_choose(g, GENERATE_SEGMENTS));
        return;
    case 2:
        generate_indexed(g, OP_ELEM_DROP, generate_choose(g, GENERATE_SEGMENTS));
        return;
    case 3:
    case 4:
        masked(g, depth, 7);
        value(g, g->table_types[table], depth);
        generate_indexed(g, OP_TABLE_SET, table);
        return;
    case 5: {
        value(g, VM_I32, depth);
        generate_indexed(g, OP_IF, 0x40);
        g->labels[g->label_count++] = (struct generate_label){.is_loop = false};
        generate_choose(g, 3) == 2 ? tail_call(g, depth) : branch(g, depth);
        generate_op(g, OP_END);
        g->label_count--;
        return;
    }
    case 6:
        if (generate_choose(g, 32) == 31) {
            generate_op(g, OP_UNREACHABLE);
        }
        return;
    default:
        bulk(g, depth);
        return;
    }
}

void generate_statement(struct generator *g, uint32_t depth)
{
    if (depth == 0 || g->left == 0 || g->label_count == GENERATE_LABELS_MAX) {
        return;
    }
    g->left--;
    depth--;
    uint32_t choice = generate_choose(g, 16);
    uint32_t type = generate_choose(g, GENERATE_TYPES);
    if (choice < 5) {
        uint8_t of_type =
            g->local_count > 0 ? g->locals[generate_choose(g, g->local_count)] : VM_I32;
        value(g, of_type, depth);
        consume(g, of_type);
    } else if (choice < 9) {
        simple(g, 0, depth);
    } else if (choice < 11) {
        values(g, &g->types[type].params, depth);
        block(g, type, depth);
        consume_all(g, &g->types[type].results, 0);
    } else if (choice == 11) {
        consume_all(g, &call(g, depth)->results, 0);
    } else if (choice == 12) {
        struct generate_types types = branch_if(g, depth);
        consume_all(g, &types, 0);
    } else if (choice == 13) {
        generate_loop(g, depth);
    } else {
        rare_statement(g, depth);
    }
}

void generate_body(struct generator *g, const struct generate_func_type *type)
{
    static const struct generate_types nothing = {.count = 0};
    g->left = GENERATE_BODY_INSTRUCTIONS;
    g->labels[0] = (struct generate_label){.types = type->results};
    g->label_count = 1;
    g->loops_under_way = 0;
    for (uint32_t i = generate_choose(g, 4); i > 0; i--) {
        generate_choose(g, 2) == 1 ? generate_loop(g, DEPTH_MAX) : generate_statement(g, DEPTH_MAX);
    }
    block_contents(g, &nothing, &type->results, DEPTH_MAX);
    generate_op(g, OP_END);
}
