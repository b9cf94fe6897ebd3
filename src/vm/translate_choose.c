/* translate_choose.c: from what is to be done to the handler that does it: resolves operands to
 * their kinds, looks the combination up in the family's shape and writes the fields where code.h
 * says.
 *
 * Only here is known that locals are pinned. A slot that is pinned becomes P or Q where the family
 * has such handlers and stays S where not. Where a pinned slot is written by a handler that does
 * not write the register too, the register is loaded again at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

static bool is_float(enum code_type type)
{
    return type == CODE_f32 || type == CODE_f64;
}

static bool is_wide(enum code_type type)
{
    return type == CODE_i64 || type == CODE_f64;
}

static enum code_kind pinned_kind(const struct translator *t, const struct operand *operand,
                                  enum shape_pins pins)
{
    const uint16_t *slot = t->pins.slot;
    if (operand->kind != CODE_S || pins < SHAPE_P) {
        return operand->kind;
    }
    if (is_float(operand->type)) {
        return operand->slot == slot[PIN_F] ? CODE_P : CODE_S;
    }
    return operand->slot == slot[PIN_P] ? CODE_P : operand->slot == slot[PIN_Q] ? CODE_Q : CODE_S;
}

static void put_slot(uint8_t *at, enum code_field field, const struct operand *operand)
{
    if (operand->kind == CODE_S) {
        emit_put_u16(at + field, operand->slot);
    }
}

#if VM_PINS
/* `kind` is how the handler wrote the slot. */
static void reload_pins(struct translator *t, const struct operand *d, enum code_kind kind)
{
    const uint16_t *slot = t->pins.slot;
    if (d->kind != CODE_S) {
        return;
    }
    bool written_float = is_float(d->type) && kind == CODE_P;
    if (d->slot == slot[PIN_P] && (is_float(d->type) || kind != CODE_P)) {
        emit_put_u16(emit_append(t, HANDLER_PIN_P, 16) + CODE_A, d->slot);
    } else if (d->slot == slot[PIN_Q] && (is_float(d->type) || kind != CODE_Q)) {
        emit_put_u16(emit_append(t, HANDLER_PIN_Q, 16) + CODE_B, d->slot);
    } else if (d->slot == slot[PIN_F] && !written_float) {
        emit_put_u16(emit_append(t, HANDLER_PIN_F, 16) + CODE_C, d->slot);
    }
}
#else
static void reload_pins(struct translator *t, const struct operand *d, enum code_kind kind)
{
    (void)t;
    (void)d;
    (void)kind;
}
#endif

/* ---- Numeric ---- */

/* Where operands may change places there are handlers for one order only. */
static int rank(enum code_kind kind)
{
    static const int ranks[CODE_KINDS] = {
        [CODE_R] = 0, [CODE_P] = 1, [CODE_Q] = 2, [CODE_S] = 3, [CODE_I] = 4};
    return ranks[kind];
}

struct pair {
    enum opcode opcode;
    struct operand a, b;
    enum code_kind a_kind, b_kind;
};

static void resolve_pair(const struct translator *t, struct pair *pair, enum shape_pins pins)
{
    const struct family_row *row = &family_rows[pair->opcode];
    pair->a_kind = pinned_kind(t, &pair->a, pins);
    pair->b_kind = pinned_kind(t, &pair->b, pins);
    if (!row->ordered && rank(pair->a_kind) > rank(pair->b_kind)) {
        *pair = (struct pair){row->swapped, pair->b, pair->a, pair->b_kind, pair->a_kind};
    }
}

static uint32_t pair_place(const struct pair_shape *shape, const struct pair *pair)
{
    uint32_t place = shape->place[pair->a_kind][pair->b_kind];
    assert(place > 0);
    return place - 1;
}

/* The slot right of an immediate lies in the first field. */
static void choose_binary(struct translator *t, const struct emission *e)
{
    struct pair pair = {.opcode = e->opcode, .a = e->a, .b = e->b};
    bool is_compare = family_rows[e->opcode].family == FAMILY_COMPARE;
    enum shape_pins pins = is_compare ? SHAPE_NONE : family_rows[e->opcode].pins;
    resolve_pair(t, &pair, pins);
    const struct family_row *row = &family_rows[pair.opcode];
    const struct pair_shape *shape = &pair_shapes[row->ordered][pins];
    enum code_kind d = pinned_kind(t, &e->d, pins);
    uint32_t number = (kind_shapes[pins].place[d] - 1u) * shape->count + pair_place(shape, &pair);
    bool left = pair.a.kind == CODE_I;
    bool has_immediate = left || pair.b.kind == CODE_I;
    uint32_t bytes = has_immediate && is_wide(row->in) ? 24 : 16;
    uint8_t *at = emit_append(t, row->first + number, bytes);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &pair.a);
    put_slot(at, left ? CODE_A : CODE_B, &pair.b);
    if (row->pins == SHAPE_REPLACE) {
        at[CODE_LANE] = e->lane;
    }
    if (has_immediate) {
        uint64_t value = left ? pair.a.value : pair.b.value;
        if (is_wide(row->in)) {
            emit_put_u64(at + CODE_IMM64, value);
        } else {
            emit_put_u32(at + CODE_IMM32, (uint32_t)value);
        }
    }
    reload_pins(t, &e->d, d);
}

static void choose_unary(struct translator *t, const struct emission *e)
{
    const struct family_row *row = &family_rows[e->opcode];
    const struct kind_shape *shape = &kind_shapes[row->pins];
    enum code_kind d = pinned_kind(t, &e->d, row->pins);
    enum code_kind a = pinned_kind(t, &e->a, row->pins);
    assert(shape->place[d] > 0 && shape->place[a] > 0);
    uint32_t number = (shape->place[d] - 1u) * shape->count + (shape->place[a] - 1u);
    uint8_t *at = emit_append(t, row->first + number, 16);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    at[CODE_LANE] = e->lane;
    reload_pins(t, &e->d, d);
}

/* ---- Memory ---- */

bool choose_scales(enum opcode opcode)
{
    return VM_PINS && family_rows[opcode].addresses == SHAPE_SCALED;
}

/* Counted from 1; 0: there is none. */
static uint32_t address_named(enum code_kind base, enum code_kind index, bool shifted)
{
    static const uint8_t names[CODE_KINDS][CODE_KINDS + 1][2] = {
#define ADDRESS_ROW(name, base, index, shifted)                                                    \
    [CODE_##base][CODE_##index][shifted] = CODE_ADDRESS_##name + 1,
        ADDRESS_KINDS(ADDRESS_ROW)
#undef ADDRESS_ROW
    };
    return names[base][index][shifted];
}

/* Brings the address into a form that the shape has; returns its place there. */
static uint32_t resolve_address(const struct translator *t, struct address *address,
                                enum shape_pins pins)
{
    const struct address_shape *shape = &address_shapes[pins];
    bool shifted = address->shift > 0;
    enum code_kind base = pinned_kind(t, &address->base, pins);
    enum code_kind index = pinned_kind(t, &address->index, pins);
    if (index != CODE_N && !shifted && rank(base) > rank(index)) {
        struct operand swap = address->base;
        address->base = address->index;
        address->index = swap;
        enum code_kind kind = base;
        base = index;
        index = kind;
    }
    uint32_t name = address_named(base, index, shifted);
    if (name == 0) { /* the same pinned local twice */
        name = address_named(base, address->index.kind, shifted);
    }
    assert(name > 0 && shape->place[name - 1] > 0);
    return shape->place[name - 1] - 1u;
}

static uint32_t address_bytes(const struct address *address)
{
    return address->index.kind == CODE_N && address->base.kind != CODE_I ? 16 : 24;
}

static void put_address(uint8_t *at, const struct address *address)
{
    if (address->index.kind == CODE_N && address->base.kind == CODE_I) {
        emit_put_u64(at + CODE_ADDRESS, address->base.value + address->offset);
        return;
    }
    put_slot(at, CODE_A, &address->base);
    emit_put_u32(at + CODE_OFFSET, address->offset);
    if (address->index.kind == CODE_I) {
        emit_put_u32(at + CODE_ADDRESS, (uint32_t)address->index.value);
    } else if (address->index.kind != CODE_N) {
        put_slot(at, CODE_ADDRESS, &address->index);
    }
    if (address->shift > 0) {
        at[CODE_SHIFT] = address->shift;
        if (address->base.kind == CODE_I) {
            emit_put_u32(at + CODE_ADDRESS_BASE, (uint32_t)address->base.value);
        }
    }
}

static void choose_load(struct translator *t, const struct emission *e)
{
    const struct family_row *row = &family_rows[e->opcode];
    struct address address = {.base = e->a, .index = e->b, .shift = e->shift, .offset = e->offset};
    uint32_t place = resolve_address(t, &address, row->addresses);
    enum code_kind d = pinned_kind(t, &e->d, row->pins);
    uint32_t number =
        (kind_shapes[row->pins].place[d] - 1u) * address_shapes[row->addresses].count + place;
    uint8_t *at = emit_append(t, row->first + number, address_bytes(&address));
    put_slot(at, CODE_D, &e->d);
    put_address(at, &address);
    reload_pins(t, &e->d, d);
}

enum { WIDE_LOADS = 4 }; /* before the FAR one, in families_far.def; vectors have none */

static void choose_far_load(struct translator *t, const struct emission *e)
{
    uint32_t kinds = (e->d.kind == CODE_S ? 2u : 0u) + (e->a.kind == CODE_S ? 1u : 0u);
    uint32_t far = e->d.type == CODE_v128 ? 0 : WIDE_LOADS;
    enum handler handler =
        family_rows[e->opcode].far + (e->kind == EMISSION_FAR_LOAD ? far : kinds);
    uint8_t *at = emit_append(t, handler, CODE_FAR_IMM);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    emit_put_u32(at + CODE_FAR_MEMORY, e->offset);
    emit_put_u64(at + CODE_FAR_OFFSET, e->b.value);
    reload_pins(t, &e->d, CODE_S);
}

void choose_store(struct translator *t, enum opcode opcode, const struct address *to,
                  const struct operand *value)
{
    const struct family_row *row = &family_rows[opcode];
    struct address address = *to;
    uint32_t place = resolve_address(t, &address, row->addresses);
    enum code_kind v = pinned_kind(t, value, row->pins);
    uint32_t number =
        (value_shapes[row->pins].place[v] - 1u) * address_shapes[row->addresses].count + place;
    uint32_t bytes = address_bytes(&address);
    bool has_immediate = value->kind == CODE_I;
    uint8_t *at = emit_begin(t, row->first + number, bytes + (has_immediate ? 8 : 0));
    put_slot(at, CODE_D, value);
    put_address(at, &address);
    if (has_immediate) {
        emit_put_u64(at + bytes, value->value);
    }
}

/* ---- Select, globals, moves ---- */

static void choose_select(struct translator *t, const struct emission *e)
{
    if (e->d.type == CODE_v128) {
        simd_choose_select(t, e);
        return;
    }
    enum handler first = e->d.type == CODE_f32   ? HANDLER_SELECT_f32_R_RS_R
                         : e->d.type == CODE_f64 ? HANDLER_SELECT_f64_R_RS_R
                                                 : HANDLER_SELECT_i64_R_RS_R;
    uint32_t place = pair_shapes[true][SHAPE_NONE].place[e->a.kind][e->b.kind];
    uint32_t pair = place > 0 ? place - 1 : pair_shapes[true][SHAPE_NONE].count; /* I I */
    uint32_t row = (e->d.kind == CODE_S ? 2u : 0u) + (e->c.kind == CODE_S ? 1u : 0u);
    bool has_immediate = e->a.kind == CODE_I || e->b.kind == CODE_I;
    uint8_t *at = emit_append(t, first + row * 8 + pair, has_immediate ? 32 : 16);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    put_slot(at, CODE_B, &e->b);
    put_slot(at, CODE_C, &e->c);
    if (has_immediate) {
        emit_put_u64(at + CODE_SELECT_IMM_A, e->a.value);
        emit_put_u64(at + CODE_SELECT_IMM_B, e->b.value);
    }
    reload_pins(t, &e->d, CODE_S);
}

static void choose_global(struct translator *t, const struct emission *e)
{
    enum handler first = e->d.type == CODE_f32    ? HANDLER_GLOBAL_GET_f32_R
                         : e->d.type == CODE_f64  ? HANDLER_GLOBAL_GET_f64_R
                         : e->d.type == CODE_v128 ? HANDLER_GLOBAL_GET_v128_R
                                                  : HANDLER_GLOBAL_GET_i64_R;
    uint8_t *at = emit_append(t, first + (e->d.kind == CODE_S ? 1u : 0u), 16);
    put_slot(at, CODE_D, &e->d);
    emit_put_u32(at + CODE_OFFSET, e->offset);
    reload_pins(t, &e->d, CODE_S);
}

/* HANDLER_COUNT: no such move. */
static enum handler move_handler(enum code_type type, enum code_kind d, enum code_kind a)
{
    static const uint16_t handlers[CODE_v128 + 1][CODE_KINDS][CODE_KINDS] = {
#define MOVE_ROW(type, d, a) [CODE_##type][CODE_##d][CODE_##a] = HANDLER_MOVE_##type##_##d##_##a,
#include "vm/moves.def"
#undef MOVE_ROW
    };
    enum handler handler = handlers[type][d][a];
    return handler == 0 ? HANDLER_COUNT : handler;
}

/* Floats that no register holds move as integers do; integers as i64, short constants as i32. */
static enum code_type move_type(const struct operand *from, enum code_kind d, enum code_kind a)
{
    if (from->type == CODE_v128) {
        return CODE_v128;
    }
    bool in_register = d == CODE_P || a == CODE_P || a == CODE_R;
    if (is_float(from->type) && in_register) {
        return from->type;
    }
    return a == CODE_I && from->value <= UINT32_MAX ? CODE_i32 : CODE_i64;
}

void choose_move(struct translator *t, uint32_t slot, const struct operand *from)
{
    struct operand to = {.kind = CODE_S, .type = from->type, .slot = (uint16_t)slot};
    enum code_kind d = pinned_kind(t, &to, SHAPE_PQ);
    enum code_kind a = pinned_kind(t, from, SHAPE_PQ);
    enum handler handler = move_handler(move_type(from, d, a), d, a);
    if (handler == HANDLER_COUNT) { /* from a pin to itself */
        a = from->kind;
        handler = move_handler(move_type(from, d, a), d, a);
    }
    assert(handler != HANDLER_COUNT);
    bool wide = a == CODE_I && is_wide(move_type(from, d, a));
    uint8_t *at = emit_append(t, handler, wide ? 24 : 16);
    emit_put_u16(at + CODE_D, slot);
    put_slot(at, CODE_A, from);
    if (wide) {
        emit_put_u64(at + CODE_IMM64, from->value);
    } else if (a == CODE_I) {
        emit_put_u32(at + CODE_IMM32, (uint32_t)from->value);
    }
    reload_pins(t, &to, d);
}

void choose_emission(struct translator *t, const struct emission *e)
{
    switch (e->kind) {
    case EMISSION_NUMERIC:
        if (family_rows[e->opcode].family == FAMILY_BINARY ||
            family_rows[e->opcode].family == FAMILY_COMPARE) {
            choose_binary(t, e);
        } else {
            choose_unary(t, e);
        }
        return;
    case EMISSION_LOAD:
        choose_load(t, e);
        return;
    case EMISSION_WIDE_LOAD:
    case EMISSION_FAR_LOAD:
        choose_far_load(t, e);
        return;
    case EMISSION_SELECT:
        choose_select(t, e);
        return;
    case EMISSION_GLOBAL:
        choose_global(t, e);
        return;
    case EMISSION_SIMD:
        simd_choose(t, e);
        return;
    }
}

/* ---- Branches ---- */

static void put_branch_operand(uint8_t *at, enum code_field field, const struct operand *operand)
{
    put_slot(at, field, operand);
    if (operand->kind == CODE_I) {
        emit_put_u64(at + CODE_BRANCH_IMM, operand->value);
    }
}

static uint32_t branch_on_test(struct translator *t, enum opcode opcode, bool negate,
                               const struct operand *a)
{
    const struct family_row *row = &family_rows[opcode];
    enum code_kind kind = pinned_kind(t, a, row->pins);
    enum handler first = negate ? row->branch_not : row->branch;
    uint8_t *at = emit_begin_control(t, first + kind_shapes[row->pins].place[kind] - 1u, 24);
    put_branch_operand(at, CODE_BRANCH_A, a);
    return t->code_size - 24;
}

uint32_t choose_branch(struct translator *t, enum opcode opcode, bool negate,
                       const struct operand *a, const struct operand *b)
{
    const struct family_row *row = &family_rows[opcode];
    if (row->family == FAMILY_TEST) {
        return branch_on_test(t, opcode, negate, a);
    }
    struct pair pair = {.opcode = opcode, .a = *a, .b = *b};
    if (negate && row->branch_not == 0) {
        pair.opcode = row->inverse;
        negate = false;
    }
    resolve_pair(t, &pair, row->pins);
    row = &family_rows[pair.opcode];
    const struct pair_shape *shape = &pair_shapes[row->ordered][row->pins];
    uint32_t bytes = pair.b_kind == CODE_I ? 32 : 24;
    uint8_t *at = emit_begin_control(
        t, (negate ? row->branch_not : row->branch) + pair_place(shape, &pair), bytes);
    put_branch_operand(at, CODE_BRANCH_A, &pair.a);
    put_branch_operand(at, CODE_BRANCH_B, &pair.b);
    return t->code_size - bytes;
}
