/* translate_stack.c: the translator's picture of the operand stack.
 *
 * Invariants: at most one entry is in each register; entries below `settled` are in their homes or
 * constants, so that settling everything before a block costs nothing for what was settled before;
 * local_refs counts the entries that stand for a local. All work is proportional to the input.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

/* How many entries are looked at for references to a local that is about to change, before all are
 * settled instead. Keeps translation linear. */
enum { DETACH_SCAN_MAX = 64 };

static int class_of(enum code_type type)
{
    return type == CODE_f32 || type == CODE_f64 || type == CODE_v128;
}

uint32_t stack_home(const struct translator *t, uint32_t index)
{
    if (index < t->height) {
        return t->entries[index].operand.home;
    }
    assert(index == t->height);
    if (index == 0) {
        return t->temp_base;
    }
    const struct operand *below = &t->entries[index - 1].operand;
    return below->home + code_type_slots(below->type);
}

uint32_t stack_local_slot(const struct translator *t, uint32_t local)
{
    return t->locals[local].slot;
}

struct operand stack_peek(const struct translator *t, uint32_t index)
{
    return t->entries[index].operand;
}

/* The entry no longer stands for a local, no longer owns a register. */
static void release(struct translator *t, struct entry *entry)
{
    if (entry->kind == ENTRY_LOCAL) {
        t->locals[entry->local].refs--;
    } else if (entry->kind == ENTRY_REGISTER) {
        t->owner[class_of(entry->operand.type)] = TRANSLATE_NONE;
    }
}

struct operand stack_pop(struct translator *t)
{
    assert(t->height > 0);
    struct entry *top = &t->entries[--t->height];
    release(t, top);
    if (t->settled > t->height) {
        t->settled = t->height;
    }
    return top->operand;
}

/* A new entry of that kind; the caller says the rest of it. */
static inline struct entry *push(struct translator *t, enum entry_kind kind, enum code_kind where,
                                 uint8_t type)
{
    assert(t->height < t->entry_capacity);
    uint32_t home = stack_home(t, t->height);
    uint32_t end = home + code_type_slots(type);
    if (end > UINT16_MAX + 1) {
        translator_fail(t, ERR_LIMIT, "frame of more than 65536 slots");
    }
    if (t->frame_slots < end) {
        t->frame_slots = end;
    }
    struct entry *entry = &t->entries[t->height++];
    entry->kind = (uint8_t)kind;
    entry->operand = (struct operand){
        .kind = (uint8_t)where, .type = type, .slot = (uint16_t)home, .home = (uint16_t)home};
    return entry;
}

void stack_push_slot(struct translator *t, enum code_type type)
{
    (void)push(t, ENTRY_SLOT, CODE_S, (uint8_t)type);
}

void stack_push_slots(struct translator *t, struct label_type types)
{
    if (!translator_reserve(t, (void **)&t->entries, &t->entry_capacity,
                            (uint64_t)t->height + types.count, sizeof t->entries[0])) {
        return;
    }
    for (uint32_t i = 0; i < types.count; i++) {
        stack_push_slot(t, code_type_of(types.types[i]));
    }
}

void stack_push_local(struct translator *t, uint32_t local)
{
    struct local *row = &t->locals[local];
    struct entry *entry = push(t, ENTRY_LOCAL, CODE_S, row->type);
    entry->operand.slot = row->slot;
    entry->local = local;
    row->refs++;
    if (t->slots_only) {
        stack_settle(t, t->height - 1);
    }
}

void stack_push_constant(struct translator *t, enum code_type type, uint64_t value)
{
    push(t, ENTRY_CONSTANT, CODE_I, (uint8_t)type)->operand.value = value;
    if (t->slots_only) {
        stack_settle(t, t->height - 1);
    }
}

void stack_destination(const struct translator *t, enum code_type type, struct operand *out)
{
    uint16_t home = (uint16_t)stack_home(t, t->height);
    bool may_register = !t->slots_only && (type != CODE_v128 || VM_PINS); /* KINDS_V */
    bool is_free = may_register && t->owner[class_of(type)] == TRANSLATE_NONE;
    *out = (struct operand){
        .kind = is_free ? CODE_R : CODE_S, .type = (uint8_t)type, .slot = home, .home = home};
}

void stack_push_result(struct translator *t, const struct operand *d)
{
    bool in_register = d->kind == CODE_R;
    if (in_register) {
        t->owner[class_of(d->type)] = (int32_t)t->height;
    }
    struct entry *entry = in_register ? push(t, ENTRY_REGISTER, CODE_R, d->type)
                                      : push(t, ENTRY_SLOT, CODE_S, d->type);
    entry->operand.producer = t->serial;
}

void stack_settle(struct translator *t, uint32_t index)
{
    struct entry *entry = &t->entries[index];
    if (entry->kind == ENTRY_SLOT) {
        return;
    }
    struct operand from = stack_peek(t, index);
    uint32_t producer = 0;
    if (entry->kind == ENTRY_REGISTER && emit_last(t, from.producer) != NULL) {
        struct emission again = emit_take_back(t);
        again.d.kind = CODE_S;
        again.d.slot = from.home;
        emit(t, &again);
        producer = t->serial;
    } else {
        emit_forget(t);
        choose_move(t, from.home, &from);
    }
    release(t, entry);
    entry->kind = ENTRY_SLOT;
    entry->operand.kind = CODE_S;
    entry->operand.slot = from.home;
    entry->operand.producer = producer;
}

static void settle_registers_from(struct translator *t, uint32_t index)
{
    for (int class = 0; class < 2; class ++) {
        if (t->owner[class] != TRANSLATE_NONE && (uint32_t)t->owner[class] >= index) {
            stack_settle(t, (uint32_t)t->owner[class]);
        }
    }
}

/* Registers first: what made such a value may be the last emission now, and not after a move. */
void stack_settle_top(struct translator *t, uint32_t count)
{
    settle_registers_from(t, t->height - count);
    for (uint32_t i = t->height - count; i < t->height; i++) {
        stack_settle(t, i);
    }
}

void stack_settle_registers(struct translator *t)
{
    settle_registers_from(t, 0);
}

static void settle_all(struct translator *t)
{
    settle_registers_from(t, t->settled);
    for (uint32_t i = t->settled; i < t->height; i++) {
        if (t->entries[i].kind != ENTRY_CONSTANT) {
            stack_settle(t, i);
        }
    }
    t->settled = t->height;
}

void stack_settle_for_block(struct translator *t, uint32_t params)
{
    settle_all(t);
    stack_settle_top(t, params);
}

void operand_settle(struct translator *t, struct operand *operand)
{
    if (operand->kind == CODE_I) {
        emit_forget(t);
        choose_move(t, operand->home, operand);
        operand->kind = CODE_S;
        operand->slot = operand->home;
        operand->producer = 0;
    }
}

void stack_truncate(struct translator *t, uint32_t height)
{
    while (t->height > height) {
        (void)stack_pop(t);
    }
}

void stack_detach_local(struct translator *t, uint32_t local)
{
    uint32_t looked_at = 0;
    for (uint32_t i = t->height; i > t->settled && t->locals[local].refs > 0; i--) {
        if (++looked_at > DETACH_SCAN_MAX) {
            settle_all(t);
            break;
        }
        if (t->entries[i - 1].kind == ENTRY_LOCAL && t->entries[i - 1].local == local) {
            stack_settle(t, i - 1);
        }
    }
    assert(t->locals[local].refs == 0);
}
