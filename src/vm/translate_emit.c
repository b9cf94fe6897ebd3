/* translate_emit.c: the bytes of internal code: choosing the handler by operand kinds, writing the
 * fields where code.h says, and the costs of straight runs.
 *
 * Costs: whoever opens a straight run (entry, label, fall-through edge, return from a call) leaves
 * a site; the next control instruction knows how much gas lies between and fills all open sites in.
 * Falling into a label opens nothing: the run goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

enum { CODE_FIRST_BYTES = 4096 };

/* Slots past 65535 make the translation fail as soon as the stack reaches them. */
void emit_put_u16(uint8_t *at, uint32_t value)
{
    uint16_t narrow = (uint16_t)value;
    memcpy(at, &narrow, sizeof narrow);
}

void emit_put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

void emit_put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

void emit_patch_u32(struct translator *t, uint32_t at, uint32_t value)
{
    if (!t->failed) {
        emit_put_u32(t->code + at, value);
    }
}

static bool code_reserve(struct translator *t, uint32_t bytes)
{
    if (t->failed) {
        return false;
    }
    if (bytes > t->code_max - t->code_size) {
        return translator_fail(t, ERR_LIMIT, "code_bytes_max");
    }
    if (t->code_size + bytes <= t->code_capacity) {
        return true;
    }
    uint64_t capacity = t->code_capacity == 0 ? CODE_FIRST_BYTES : 2 * (uint64_t)t->code_capacity;
    while (capacity < (uint64_t)t->code_size + bytes) {
        capacity *= 2;
    }
    uint8_t *code =
        capacity <= UINT32_MAX ? arena_alloc(&t->arena, (size_t)capacity, alignof(uint64_t)) : NULL;
    if (code == NULL) {
        return translator_fail(t, ERR_NO_MEMORY, "code");
    }
    if (t->code_size > 0) {
        memcpy(code, t->code, t->code_size);
    }
    t->code = code;
    t->code_capacity = (uint32_t)capacity;
    return true;
}

uint8_t *emit_more(struct translator *t, uint32_t bytes)
{
    assert(bytes % 8 == 0);
    if (!code_reserve(t, bytes)) {
        return (uint8_t *)t->overflow;
    }
    uint8_t *at = t->code + t->code_size;
    memset(at, 0, bytes);
    t->code_size += bytes;
    return at;
}

uint8_t *emit_begin(struct translator *t, enum handler handler, uint32_t bytes)
{
    struct query *query = &t->query;
    if (query->active && query->at == t->code_size) {
        query->found = true;
        query->source = t->source;
        query->ended = false;
    }
    t->has_last = false;
    uint8_t *at = emit_more(t, bytes);
    emit_put_u64(at, handler_word(handler));
    return at;
}

/* ---- Costs ---- */

void site_open(struct translator *t, uint32_t at)
{
    assert(t->site_count < t->site_capacity);
    t->sites[t->site_count++] = (struct site){.at = at, .gas = t->gas};
}

static void end_straight_run(struct translator *t)
{
    for (uint32_t i = 0; i < t->site_count; i++) {
        uint32_t cost = (uint32_t)(t->gas - t->sites[i].gas);
        if (t->sites[i].at == SITE_ENTRY) {
            t->entry_cost = cost;
        } else {
            emit_patch_u32(t, t->sites[i].at, cost);
        }
    }
    t->site_count = 0;
    while (t->open_loop != TRANSLATE_NONE) {
        struct control *loop = &t->controls[t->open_loop];
        loop->loop_cost = (uint32_t)(t->gas - loop->loop_gas);
        t->open_loop = loop->next_open_loop;
    }
    if (t->query.found && !t->query.ended) {
        t->query.ended = true;
        t->query.end_gas = t->gas;
    }
}

uint8_t *emit_begin_control(struct translator *t, enum handler handler, uint32_t bytes)
{
    end_straight_run(t);
    uint8_t *at = emit_begin(t, handler, bytes);
    if (t->query.found && !t->query.ended) { /* it is this very instruction */
        t->query.ended = true;
        t->query.end_gas = t->gas;
    }
    return at;
}

/* ---- Instructions with a destination ---- */

int emit_pair_index(enum code_kind a, enum code_kind b)
{
    static const int8_t index[3][3] = {
        [CODE_R] = {-1, 0, 2},
        [CODE_S] = {4, 1, 3},
        [CODE_I] = {5, 6, -1},
    };
    assert(a <= CODE_I && b <= CODE_I);
    return index[a][b];
}

static bool is_wide(enum code_type type)
{
    return type == CODE_i64 || type == CODE_f64;
}

static void put_slot(uint8_t *at, enum code_field field, const struct operand *operand)
{
    if (operand->kind == CODE_S) {
        emit_put_u16(at + field, operand->slot);
    }
}

/* d = a op b. A slot beside an immediate or register lies in field A, but right of a register in B.
 */
static void emit_binary(struct translator *t, const struct emission *e)
{
    const struct family_row *row = &family_rows[e->opcode];
    int pair = emit_pair_index(e->a.kind, e->b.kind);
    int pairs = row->ordered ? 7 : 4;
    assert(pair >= 0 && pair < pairs);
    bool has_immediate = e->a.kind == CODE_I || e->b.kind == CODE_I;
    uint32_t bytes = has_immediate && is_wide(row->in) ? 24 : 16;
    enum handler handler = row->first + (uint32_t)((e->d.kind == CODE_S ? pairs : 0) + pair);
    uint8_t *at = emit_begin(t, handler, bytes);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    put_slot(at, e->a.kind == CODE_I ? CODE_A : CODE_B, &e->b);
    if (has_immediate) {
        uint64_t value = e->a.kind == CODE_I ? e->a.value : e->b.value;
        if (is_wide(row->in)) {
            emit_put_u64(at + CODE_IMM64, value);
        } else {
            emit_put_u32(at + CODE_IMM32, (uint32_t)value);
        }
    }
}

static void emit_unary(struct translator *t, const struct emission *e)
{
    assert(e->a.kind != CODE_I);
    enum handler handler = family_rows[e->opcode].first + (e->d.kind == CODE_S ? 2u : 0u) +
                           (e->a.kind == CODE_S ? 1u : 0u);
    uint8_t *at = emit_begin(t, handler, 16);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
}

static void emit_load(struct translator *t, const struct emission *e)
{
    uint32_t bytes = e->address == CODE_R || e->address == CODE_S ? 16 : 24;
    enum handler handler =
        family_rows[e->opcode].first + (e->d.kind == CODE_S ? 5u : 0u) + (uint32_t)e->address;
    uint8_t *at = emit_begin(t, handler, bytes);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    if (e->address == CODE_I) {
        emit_put_u64(at + CODE_ADDRESS, e->a.value + e->offset);
        return;
    }
    emit_put_u32(at + CODE_OFFSET, e->offset);
    if (e->address == CODE_SS) {
        emit_put_u16(at + CODE_ADDRESS, e->b.slot);
    } else if (e->address == CODE_SI) {
        emit_put_u32(at + CODE_ADDRESS, (uint32_t)e->b.value);
    }
}

static void emit_select(struct translator *t, const struct emission *e)
{
    enum handler first = e->d.type == CODE_f32   ? HANDLER_SELECT_f32_R_RS_R
                         : e->d.type == CODE_f64 ? HANDLER_SELECT_f64_R_RS_R
                                                 : HANDLER_SELECT_i64_R_RS_R;
    int pair = emit_pair_index(e->a.kind, e->b.kind);
    pair = e->a.kind == CODE_I && e->b.kind == CODE_I ? 7 : pair;
    assert(pair >= 0);
    uint32_t row = (e->d.kind == CODE_S ? 2u : 0u) + (e->c.kind == CODE_S ? 1u : 0u);
    bool has_immediate = e->a.kind == CODE_I || e->b.kind == CODE_I;
    uint8_t *at = emit_begin(t, first + row * 8 + (uint32_t)pair, has_immediate ? 32 : 16);
    put_slot(at, CODE_D, &e->d);
    put_slot(at, CODE_A, &e->a);
    put_slot(at, CODE_B, &e->b);
    put_slot(at, CODE_C, &e->c);
    if (has_immediate) {
        emit_put_u64(at + CODE_SELECT_IMM_A, e->a.value);
        emit_put_u64(at + CODE_SELECT_IMM_B, e->b.value);
    }
}

static void emit_global(struct translator *t, const struct emission *e)
{
    enum handler first = e->d.type == CODE_f32   ? HANDLER_GLOBAL_GET_f32_R
                         : e->d.type == CODE_f64 ? HANDLER_GLOBAL_GET_f64_R
                                                 : HANDLER_GLOBAL_GET_i64_R;
    uint8_t *at = emit_begin(t, first + (e->d.kind == CODE_S ? 1u : 0u), 16);
    put_slot(at, CODE_D, &e->d);
    emit_put_u32(at + CODE_OFFSET, e->offset);
}

void emit(struct translator *t, const struct emission *emission)
{
    struct emission e = *emission;
    struct source source = t->source;
    t->source = e.source; /* of what is emitted again, not of who does it */
    e.start = t->code_size;
    switch (e.kind) {
    case EMISSION_NUMERIC:
        if (family_rows[e.opcode].family == FAMILY_BINARY ||
            family_rows[e.opcode].family == FAMILY_COMPARE) {
            emit_binary(t, &e);
        } else {
            emit_unary(t, &e);
        }
        break;
    case EMISSION_LOAD:
        emit_load(t, &e);
        break;
    case EMISSION_SELECT:
        emit_select(t, &e);
        break;
    case EMISSION_GLOBAL:
        emit_global(t, &e);
        break;
    }
    t->source = source;
    t->last = e;
    t->has_last = true;
    t->serial++;
}

bool emit_is_last(const struct translator *t, uint32_t producer)
{
    return t->has_last && producer == t->serial && !t->slots_only;
}

struct emission emit_take_back(struct translator *t)
{
    assert(t->has_last);
    t->has_last = false;
    if (!t->failed) {
        t->code_size = t->last.start;
    }
    return t->last;
}

void emit_move(struct translator *t, uint32_t slot, const struct operand *from)
{
    enum handler handler = HANDLER_MOVE_i64_S_S;
    if (from->kind == CODE_I) {
        handler = HANDLER_MOVE_i64_S_I;
    } else if (from->kind == CODE_R) {
        handler = from->type == CODE_f32   ? HANDLER_MOVE_f32_S_R
                  : from->type == CODE_f64 ? HANDLER_MOVE_f64_S_R
                                           : HANDLER_MOVE_i64_S_R;
    }
    uint8_t *at = emit_begin(t, handler, from->kind == CODE_I ? 24 : 16);
    emit_put_u16(at + CODE_D, slot);
    put_slot(at, CODE_A, from);
    if (from->kind == CODE_I) {
        emit_put_u64(at + CODE_IMM64, from->value);
    }
}
