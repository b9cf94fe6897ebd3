/* generate_vm_loop.c: loops as compilers write them, for what the translator does with them: few
 * locals of all types that are read and written again and again, in nested loops, in the shapes
 * that become one instruction; see generate_vm.h.
 *
 * A loop ends because it has a counter, a local that nothing else writes; entering one burns. Only
 * a branch back that skips the counting burns too. Indexes are locals that loops share: mostly
 * small, so that addresses made of them are mostly inside.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "generate_vm.h"

#include <string.h>

enum { INDEX_MASK = 0x3fff, COUNT_MAX = 6, BLOCK_EMPTY = 0x40 };

static void hot_value(struct generator *g, uint8_t type, uint32_t depth);
static void hot_statement(struct generator *g, uint32_t depth);

static uint32_t counter(const struct generator *g, uint32_t loop)
{
    return g->local_count + loop;
}

/* The first of them is a favourite. */
static uint32_t choose_index(struct generator *g)
{
    uint32_t index = generate_choose(g, 2 * GENERATE_INDEXES);
    return g->local_count + GENERATE_COUNTERS + (index < GENERATE_INDEXES ? index : 0);
}

/* A local of the type, mostly the first or the second one, as few are pinned; local_count if there
 * is none. */
static uint32_t hot_local(struct generator *g, uint8_t type)
{
    uint32_t skip = generate_choose(g, 5) / 3, found = g->local_count;
    if (generate_choose(g, 4) == 3) {
        return generate_find(g, g->locals, g->local_count, type);
    }
    for (uint32_t i = 0; i < g->local_count; i++) {
        if (g->locals[i] == type) {
            found = i;
            if (skip-- == 0) {
                break;
            }
        }
    }
    return found;
}

/* Of a loop's numbers, most are of one type. */
static uint8_t hot_type(struct generator *g)
{
    static const uint8_t numbers[] = {VM_I32, VM_I32, VM_I64, VM_F64, VM_F32, VM_V128};
    return generate_choose(g, 3) == 0 ? GENERATE_FROM(g, numbers) : g->focus;
}

/* One that may be read where an address is made: an index or the counter of a loop around. */
static void small(struct generator *g)
{
    uint32_t local = choose_index(g);
    if (g->loops_under_way > 0 && generate_choose(g, 3) == 2) {
        local = counter(g, generate_choose(g, g->loops_under_way));
    }
    generate_indexed(g, OP_LOCAL_GET, local);
}

/* ---- Operands ---- */

static void hot_constant(struct generator *g, uint8_t type)
{
    static const int64_t frequent[] = {1,  2,  3,  4,  5,   7,      8,  13,
                                       15, 16, 31, 63, 255, 0xffff, -1, -5};
    if ((type != VM_I32 && type != VM_I64) || generate_choose(g, 4) == 3) {
        generate_constant(g, type);
        return;
    }
    generate_op(g, type == VM_I32 ? OP_I32_CONST : OP_I64_CONST);
    generate_signed(g, GENERATE_FROM(g, frequent));
}

static void hot_leaf(struct generator *g, uint8_t type)
{
    uint32_t local = hot_local(g, type);
    uint32_t choice = generate_choose(g, 8);
    if (choice < 2) {
        hot_constant(g, type);
    } else if (choice == 2 && type == VM_I32) {
        small(g);
    } else if (local < g->local_count) {
        generate_indexed(g, OP_LOCAL_GET, local);
    } else {
        hot_constant(g, type);
    }
}

/* ---- Memory: a, a + c, a + b, a + (b << c), and an offset ---- */

/* Some of them in an expression that no address takes in. */
static void computed(struct generator *g)
{
    hot_leaf(g, VM_I32);
    if (generate_choose(g, 2) == 1) {
        hot_leaf(g, VM_I32);
        generate_op(g, OP_I32_XOR);
    }
    generate_i32(g, generate_choose(g, 2) == 0 ? 0xff : INDEX_MASK);
    generate_op(g, OP_I32_AND);
}

static void shifted(struct generator *g)
{
    generate_choose(g, 3) == 0 ? computed(g) : small(g);
    generate_i32(g, (int32_t)generate_choose(g, 4));
    generate_op(g, OP_I32_SHL);
}

static void small_constant(struct generator *g)
{
    generate_i32(g, (int32_t)generate_choose(g, 1000));
}

/* One operand of a sum, or all of an address. */
static void part(struct generator *g)
{
    switch (generate_choose(g, 8)) {
    case 0:
        small_constant(g);
        return;
    case 1:
        computed(g);
        return;
    case 2:
    case 3:
        shifted(g);
        return;
    default:
        small(g);
        return;
    }
}

static void address(struct generator *g)
{
    part(g);
    if (generate_choose(g, 3) > 0) {
        part(g);
        generate_op(g, generate_choose(g, 16) == 15 ? OP_I32_OR : OP_I32_ADD);
    }
}

static void access(struct generator *g, enum opcode opcode)
{
    generate_op(g, opcode);
    generate_u32(g, 0); /* alignment */
    generate_u32(g, generate_choose(g, 2) == 0 ? 0 : generate_choose(g, 250));
}

static const enum opcode loads[][7] = {
    {OP_I32_LOAD, OP_I32_LOAD8_U, OP_I32_LOAD8_S, OP_I32_LOAD16_U, OP_I32_LOAD16_S, OP_I32_LOAD,
     OP_I32_LOAD},
    {OP_I64_LOAD, OP_I64_LOAD8_U, OP_I64_LOAD8_S, OP_I64_LOAD16_U, OP_I64_LOAD16_S, OP_I64_LOAD32_U,
     OP_I64_LOAD32_S},
};

static const enum opcode vector_loads[] = {OP_V128_LOAD,         OP_V128_LOAD,
                                           OP_V128_LOAD,         OP_V128_LOAD32_SPLAT,
                                           OP_V128_LOAD64_SPLAT, OP_V128_LOAD8X8_U};

static void hot_load(struct generator *g, uint8_t type)
{
    address(g);
    if (type == VM_I32 || type == VM_I64) {
        access(g, loads[type == VM_I64][generate_choose(g, 7)]);
    } else if (type == VM_V128) {
        access(g, GENERATE_FROM(g, vector_loads));
    } else {
        access(g, type == VM_F32 ? OP_F32_LOAD : OP_F64_LOAD);
    }
}

static void hot_store(struct generator *g, uint32_t depth)
{
    static const enum opcode stores[] = {
        OP_I32_STORE,   OP_I64_STORE,   OP_F32_STORE,  OP_F64_STORE,   OP_I32_STORE8,
        OP_I32_STORE16, OP_I64_STORE32, OP_I64_STORE8, OP_I64_STORE16, OP_V128_STORE};
    enum opcode opcode = GENERATE_FROM(g, stores);
    uint8_t type = generate_letter_type(opcode_info(opcode)->signature[1]);
    address(g);
    hot_value(g, type, depth);
    if (g->canonical_nans && (type == VM_F32 || type == VM_F64)) {
        generate_canonical(g, type);
    }
    access(g, opcode);
}

/* ---- Values ---- */

static const enum opcode frequent32[] = {
    OP_I32_ADD,   OP_I32_SUB,   OP_I32_MUL,  OP_I32_AND,  OP_I32_OR,  OP_I32_XOR, OP_I32_SHL,
    OP_I32_SHR_U, OP_I32_SHR_S, OP_I32_ROTL, OP_I32_ROTR, OP_I32_ADD, OP_I32_ADD,
};
static const enum opcode frequent64[] = {
    OP_I64_ADD,   OP_I64_SUB,   OP_I64_MUL,  OP_I64_AND,  OP_I64_OR,  OP_I64_XOR, OP_I64_SHL,
    OP_I64_SHR_U, OP_I64_SHR_S, OP_I64_ROTL, OP_I64_ROTR, OP_I64_ADD, OP_I64_MUL,
};
static const enum opcode float32[] = {OP_F32_ADD, OP_F32_SUB, OP_F32_MUL, OP_F32_DIV,
                                      OP_F32_MIN, OP_F32_MAX, OP_F32_MUL, OP_F32_ADD};
static const enum opcode float64[] = {OP_F64_ADD, OP_F64_SUB, OP_F64_MUL, OP_F64_DIV,
                                      OP_F64_MIN, OP_F64_MAX, OP_F64_MUL, OP_F64_ADD};

static const enum opcode vectors[] = {
    OP_I32X4_ADD, OP_I32X4_MUL,  OP_I64X2_ADD,     OP_I8X16_ADD, OP_I16X8_MUL, OP_V128_XOR,
    OP_V128_AND,  OP_I32X4_GT_S, OP_I8X16_SWIZZLE, OP_V128_OR,   OP_F32X4_ADD, OP_F32X4_MUL,
    OP_F64X2_ADD, OP_F64X2_MUL,  OP_I16X8_SUB,     OP_F32X4_SUB, OP_I64X2_SUB, OP_I8X16_MIN_U,
};

static enum opcode choose_binary(struct generator *g, uint8_t type)
{
    switch ((int)type) {
    case VM_I32:
        return GENERATE_FROM(g, frequent32);
    case VM_I64:
        return GENERATE_FROM(g, frequent64);
    case VM_F32:
        return GENERATE_FROM(g, float32);
    case VM_V128:
        return GENERATE_FROM(g, vectors);
    default:
        return GENERATE_FROM(g, float64);
    }
}

static void hot_binary(struct generator *g, uint8_t type)
{
    enum opcode opcode = choose_binary(g, type);
    generate_op(g, opcode);
    if (g->canonical_nans && opcode >= OP_F32X4_ADD) { /* no lanes of integers come after it */
        generate_canonical_lanes(g, opcode >= OP_F64X2_ADD);
    }
}

/* A comparison of any type, a test, or a bit. */
static void condition(struct generator *g, uint32_t depth)
{
    static const enum opcode tests[] = {OP_V128_ANY_TRUE, OP_I32X4_ALL_TRUE, OP_I8X16_BITMASK};
    uint8_t type = hot_type(g);
    if (type == VM_V128) {
        hot_value(g, type, depth);
        generate_op(g, GENERATE_FROM(g, tests));
        return;
    }
    enum opcode first = type == VM_I32   ? OP_I32_EQ
                        : type == VM_I64 ? OP_I64_EQ
                        : type == VM_F32 ? OP_F32_EQ
                                         : OP_F64_EQ;
    hot_value(g, type, depth);
    switch (generate_choose(g, 6)) {
    case 0:
        if (type == VM_I32 || type == VM_I64) {
            generate_op(g, type == VM_I32 ? OP_I32_EQZ : OP_I64_EQZ);
            return;
        }
        break;
    case 1:
        if (type == VM_I32) {
            hot_constant(g, type);
            generate_op(g, OP_I32_AND);
            return;
        }
        break;
    default:
        break;
    }
    hot_leaf(g, type);
    generate_op(
        g, (enum opcode)(first + generate_choose(g, type == VM_I32 || type == VM_I64 ? 10 : 6)));
}

/* What is of another type becomes one of this: also what no loop needs. */
static void converted(struct generator *g, uint8_t type, uint32_t depth)
{
    static const enum opcode to[][5] = {
        {OP_I32_WRAP_I64, OP_I32_TRUNC_SAT_F64_S, OP_I32_CLZ, OP_I32_EXTEND8_S, OP_I32_POPCNT},
        {OP_I64_EXTEND_I32_U, OP_I64_EXTEND_I32_S, OP_I64_TRUNC_SAT_F32_U, OP_I64_EXTEND32_S,
         OP_I64_CTZ},
        {OP_F32_CONVERT_I32_S, OP_F32_DEMOTE_F64, OP_F32_NEG, OP_F32_SQRT, OP_F32_CONVERT_I64_U},
        {OP_F64_CONVERT_I32_U, OP_F64_PROMOTE_F32, OP_F64_ABS, OP_F64_FLOOR, OP_F64_CONVERT_I64_S},
    };
    static const enum opcode splats[] = {OP_I8X16_SPLAT, OP_I16X8_SPLAT, OP_I32X4_SPLAT,
                                         OP_I64X2_SPLAT, OP_I32X4_SPLAT};
    uint32_t row = type == VM_I32 ? 0 : type == VM_I64 ? 1 : type == VM_F32 ? 2 : 3;
    uint32_t choice = generate_choose(g, 5);
    enum opcode opcode = type == VM_V128 ? splats[choice] : to[row][choice];
    hot_value(g, generate_letter_type(opcode_info(opcode)->signature[0]), depth);
    generate_op(g, opcode);
}

static void hot_value(struct generator *g, uint8_t type, uint32_t depth)
{
    uint32_t local = hot_local(g, type);
    uint32_t choice = generate_choose(g, 12);
    if (depth == 0 || choice == 0) {
        hot_leaf(g, type);
        return;
    }
    depth--;
    switch (choice) {
    case 1:
    case 2:
        hot_load(g, type);
        return;
    case 3:
        if (local < g->local_count) {
            hot_value(g, type, depth);
            generate_indexed(g, OP_LOCAL_TEE, local);
            return;
        }
        hot_leaf(g, type);
        return;
    case 4:
        hot_value(g, type, depth);
        hot_leaf(g, type);
        condition(g, depth);
        generate_op(g, OP_SELECT);
        return;
    case 5:
        converted(g, type, depth);
        return;
    case 6:
        hot_leaf(g, type);
        hot_value(g, type, depth);
        hot_binary(g, type);
        return;
    default:
        hot_value(g, type, depth);
        hot_leaf(g, type);
        hot_binary(g, type);
        return;
    }
}

/* ---- Blocks ---- */

static bool open_block(struct generator *g, enum opcode opcode)
{
    if (g->label_count == GENERATE_LABELS_MAX) {
        return false;
    }
    generate_op(g, opcode);
    generate_byte(g, BLOCK_EMPTY);
    g->labels[g->label_count++] = (struct generate_label){.is_loop = opcode == OP_LOOP};
    return true;
}

static void close_block(struct generator *g)
{
    generate_op(g, OP_END);
    g->label_count--;
}

static void hot_statements(struct generator *g, uint32_t count, uint32_t depth)
{
    for (; count > 0; count--) {
        hot_statement(g, depth);
    }
}

static void hot_if(struct generator *g, uint32_t depth)
{
    condition(g, depth);
    if (!open_block(g, OP_IF)) {
        generate_op(g, OP_DROP);
        return;
    }
    hot_statements(g, 1 + generate_choose(g, 2), depth);
    if (generate_choose(g, 2) == 1) {
        generate_op(g, OP_ELSE);
        hot_statements(g, 1 + generate_choose(g, 2), depth);
    }
    close_block(g);
}

/* A label that takes nothing, at or after a random one: all of loops are such. */
static uint32_t choose_empty_label(struct generator *g)
{
    uint32_t first = generate_choose(g, g->label_count);
    for (uint32_t i = 0; i < g->label_count; i++) {
        uint32_t depth = (first + i) % g->label_count;
        if (g->labels[g->label_count - 1 - depth].types.count == 0) {
            return depth;
        }
    }
    return UINT32_MAX;
}

/* Out of loops, on with the next round, or back without counting. */
static void leave(struct generator *g, uint32_t depth)
{
    uint32_t label = choose_empty_label(g);
    if (label == UINT32_MAX) {
        return;
    }
    if (g->labels[g->label_count - 1 - label].is_loop) {
        generate_burn(g);
    }
    condition(g, depth);
    generate_indexed(g, OP_BR_IF, label);
}

/* By a table, under a condition: what follows is not dead. */
static void leave_by_table(struct generator *g, uint32_t depth)
{
    uint32_t targets = generate_choose(g, 4);
    if (choose_empty_label(g) == UINT32_MAX) {
        return;
    }
    condition(g, depth);
    if (!open_block(g, OP_IF)) {
        generate_op(g, OP_DROP);
        return;
    }
    generate_burn(g);
    hot_value(g, VM_I32, depth);
    generate_i32(g, 3);
    generate_op(g, OP_I32_AND);
    generate_indexed(g, OP_BR_TABLE, targets);
    for (uint32_t i = 0; i <= targets; i++) {
        generate_u32(g, choose_empty_label(g));
    }
    close_block(g);
}

static void leave_function(struct generator *g, uint32_t depth)
{
    condition(g, depth);
    if (!open_block(g, OP_IF)) {
        generate_op(g, OP_DROP);
        return;
    }
    for (uint32_t i = 0; i < g->labels[0].types.count; i++) {
        generate_leaf(g, g->labels[0].types.types[i]);
    }
    generate_op(g, OP_RETURN);
    close_block(g);
}

/* ---- Statements ---- */

/* x = x op y, x = y op z; often the value goes to a second local too. */
static void assign(struct generator *g, uint32_t depth)
{
    uint8_t type = hot_type(g);
    uint32_t local = hot_local(g, type);
    if (local == g->local_count) {
        hot_store(g, depth);
        return;
    }
    if (generate_choose(g, 2) == 0) {
        generate_indexed(g, OP_LOCAL_GET, local);
        hot_value(g, type, depth);
        hot_binary(g, type);
    } else {
        hot_value(g, type, depth);
    }
    for (uint32_t more = generate_choose(g, 4); more > 2; more--) {
        generate_indexed(g, OP_LOCAL_TEE, hot_local(g, type));
    }
    generate_indexed(g, OP_LOCAL_SET, local);
}

/* x = op x; x = y < z; x = y / 7 */
static void assign_small(struct generator *g, uint32_t depth)
{
    static const enum opcode divisions[] = {OP_I32_DIV_S, OP_I32_DIV_U, OP_I32_REM_S, OP_I32_REM_U,
                                            OP_I64_DIV_S, OP_I64_DIV_U, OP_I64_REM_S, OP_I64_REM_U};
    uint8_t type = hot_type(g);
    enum opcode division = GENERATE_FROM(g, divisions);
    switch (generate_choose(g, 3)) {
    case 0:
        converted(g, type, generate_choose(g, 2) == 0 ? 0 : depth);
        break;
    case 1:
        type = VM_I32;
        condition(g, depth);
        break;
    default:
        type = division < OP_I64_DIV_S ? VM_I32 : VM_I64;
        hot_value(g, type, depth);
        generate_op(g, type == VM_I32 ? OP_I32_CONST : OP_I64_CONST);
        generate_signed(g, 1 + (int64_t)generate_choose(g, 20));
        generate_op(g, division);
        break;
    }
    uint32_t local = hot_local(g, type);
    if (local < g->local_count) {
        generate_indexed(g, OP_LOCAL_SET, local);
    } else {
        generate_op(g, OP_DROP);
    }
}

static void step_index(struct generator *g, uint32_t depth)
{
    static const enum opcode short_loads[] = {OP_I32_LOAD8_U, OP_I32_LOAD16_U, OP_I32_LOAD8_U,
                                              OP_I32_LOAD};
    uint32_t index = choose_index(g);
    switch (generate_choose(g, 6)) {
    case 0:
    case 1:
        generate_indexed(g, OP_LOCAL_GET, generate_choose(g, 3) == 0 ? choose_index(g) : index);
        generate_i32(g, 1 << generate_choose(g, 4));
        generate_op(g, OP_I32_ADD);
        break;
    case 2: /* as in a list */
        address(g);
        access(g, GENERATE_FROM(g, short_loads));
        break;
    case 3:
        small(g);
        break;
    case 4:
        small_constant(g);
        break;
    default:
        hot_value(g, VM_I32, depth);
        generate_i32(g, INDEX_MASK);
        generate_op(g, OP_I32_AND);
        break;
    }
    generate_indexed(g, OP_LOCAL_SET, index);
}

/* Moves and steps in a row. */
static void shuffle(struct generator *g)
{
    for (uint32_t i = 2 + generate_choose(g, 3); i > 0; i--) {
        uint8_t type = hot_type(g);
        uint32_t local = hot_local(g, type);
        if (type == VM_I32 && generate_choose(g, 2) == 0) {
            step_index(g, 0);
        } else if (local < g->local_count) {
            hot_leaf(g, type);
            if (generate_choose(g, 2) == 0) {
                hot_constant(g, type);
                hot_binary(g, type);
            }
            generate_indexed(g, OP_LOCAL_SET, local);
        }
    }
}

/* x = m[a] op y; m[a] = x */
static void update_memory(struct generator *g)
{
    uint8_t type = hot_type(g);
    address(g);
    hot_load(g, type);
    hot_leaf(g, type);
    hot_binary(g, type);
    if (g->canonical_nans && (type == VM_F32 || type == VM_F64)) {
        generate_canonical(g, type);
    }
    access(g, type == VM_I32    ? OP_I32_STORE
              : type == VM_I64  ? OP_I64_STORE
              : type == VM_F32  ? OP_F32_STORE
              : type == VM_V128 ? OP_V128_STORE
                                : OP_F64_STORE);
}

static void hot_statement(struct generator *g, uint32_t depth)
{
    if (depth == 0 || g->left == 0) {
        assign(g, 0);
        return;
    }
    g->left--;
    depth--;
    switch (generate_choose(g, 24)) {
    case 0:
        hot_if(g, depth);
        return;
    case 1:
    case 2:
        leave(g, depth);
        return;
    case 3:
    case 4:
        generate_loop(g, depth);
        return;
    case 5:
    case 6:
        step_index(g, depth);
        return;
    case 7:
    case 8:
        hot_store(g, depth);
        return;
    case 9:
        update_memory(g);
        return;
    case 10:
        generate_statement(g, depth < 2 ? depth : 2);
        return;
    case 11:
        generate_choose(g, 2) == 0 ? leave_by_table(g, depth) : leave_function(g, depth);
        return;
    case 12: {
        uint8_t type = hot_type(g);
        hot_value(g, type, depth);
        generate_accumulate(g, type);
        return;
    }
    case 13:
    case 14:
        assign_small(g, depth);
        return;
    case 15:
    case 16:
        shuffle(g);
        return;
    default:
        assign(g, depth);
        return;
    }
}

/* ---- Loops ---- */

/* Counts one round. Downwards to 0, or upwards to `count`; leaves whether there is another one. */
static void count_round(struct generator *g, uint32_t local, uint32_t form, uint32_t count)
{
    generate_indexed(g, OP_LOCAL_GET, local);
    generate_i32(g, form == 1 ? 4 : 1);
    generate_op(g, form == 0 ? OP_I32_SUB : OP_I32_ADD);
    if (generate_choose(g, 2) == 0) {
        generate_indexed(g, OP_LOCAL_TEE, local);
    } else {
        generate_indexed(g, OP_LOCAL_SET, local);
        generate_indexed(g, OP_LOCAL_GET, local);
    }
    if (form != 0) {
        generate_i32(g, (int32_t)(form == 1 ? 4 * count : count));
        generate_op(g, generate_choose(g, 2) == 0 ? OP_I32_LT_U : OP_I32_NE);
    }
}

/* The rounds of a loop whose block or loop was opened. The inner block is what one leaves to go on.
 */
static void rounds(struct generator *g, uint32_t depth)
{
    bool has_block = open_block(g, OP_BLOCK);
    hot_statements(g, 1 + generate_choose(g, 6), depth);
    if (has_block) {
        close_block(g);
    }
    hot_statements(g, generate_choose(g, 3), depth);
}

void generate_loop(struct generator *g, uint32_t depth)
{
    uint32_t form = generate_choose(g, 3), count = 1 + generate_choose(g, COUNT_MAX);
    bool tests_inside = generate_choose(g, 3) == 2;
    if (g->loops_under_way == GENERATE_COUNTERS || g->label_count + 2 > GENERATE_LABELS_MAX ||
        depth == 0) {
        assign(g, depth);
        return;
    }
    static const uint8_t types[] = {VM_I32, VM_I32, VM_I32, VM_I64,
                                    VM_I64, VM_F64, VM_F32, VM_V128};
    if (g->loops_under_way == 0) {
        g->focus = GENERATE_FROM(g, types);
    }
    uint32_t local = counter(g, g->loops_under_way);
    generate_burn(g);
    generate_i32(g, form == 0 ? (int32_t)count : 0);
    generate_indexed(g, OP_LOCAL_SET, local);
    g->loops_under_way++;
    (void)open_block(g, OP_BLOCK);
    (void)open_block(g, OP_LOOP);
    if (tests_inside) { /* for (;;) { ...; if (no other one) break; ...; } */
        rounds(g, depth - 1);
        count_round(g, local, form, count);
        generate_op(g, OP_I32_EQZ);
        generate_indexed(g, OP_BR_IF, 1);
        hot_statements(g, 1 + generate_choose(g, 2), depth - 1);
        generate_indexed(g, OP_BR, 0);
    } else {
        rounds(g, depth - 1);
        count_round(g, local, form, count);
        generate_indexed(g, OP_BR_IF, 0);
    }
    close_block(g);
    close_block(g);
    g->loops_under_way--;
}
