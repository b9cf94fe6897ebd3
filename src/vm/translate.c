/* translate.c: the walk over a body, and what is done with the result: kept as the function's code,
 * searched for a place, or cut off at a position in gas.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"
#include "vm/gas.h"

#include <assert.h>

enum {
    RESERVE_ENTRIES = 8,
    RESERVE_BRANCHES = 8, /* more than any instruction but br_table makes */
    KEEP_BYTES_MIN = 65536,
    KEEP_BYTES_OF_A_BYTE = 16, /* that are copied while a byte is translated */
};

enum code_type code_type_of(enum vm_type type)
{
    switch (type) {
    case VM_I32:
        return CODE_i32;
    case VM_F32:
        return CODE_f32;
    case VM_F64:
        return CODE_f64;
    case VM_I64:
    case VM_FUNCREF:
    case VM_EXTERNREF:
        return CODE_i64;
    case VM_V128:
        return CODE_v128;
    }
    return CODE_i64;
}

uint32_t label_type_slots(struct label_type types)
{
    uint32_t slots = 0;
    for (uint32_t i = 0; i < types.count; i++) {
        slots += code_type_slots(code_type_of(types.types[i]));
    }
    return slots;
}

bool translator_fail(struct translator *t, enum err_code code, const char *what)
{
    if (!t->failed) {
        t->failed = true;
        err_set(t->err, code, code == ERR_LIMIT ? "limit exceeded: %s" : "no memory for %s", what);
    }
    return false;
}

bool translator_reserve_control(struct translator *t)
{
    return translator_reserve(t, (void **)&t->controls, &t->control_capacity,
                              (uint64_t)t->control_count + 1, sizeof t->controls[0]) &&
           translator_reserve_fixups(t, (uint64_t)t->fixup_count + RESERVE_BRANCHES) &&
           translator_reserve(t, (void **)&t->sites, &t->site_capacity,
                              (uint64_t)t->site_count + RESERVE_BRANCHES, sizeof t->sites[0]) &&
           translator_reserve(t, (void **)&t->patches, &t->patch_capacity,
                              (uint64_t)t->site_count + RESERVE_BRANCHES, sizeof t->patches[0]);
}

/* Room for whatever one instruction pushes, so that pushing cannot fail; what pushes many makes
 * room itself. */
static inline bool reserve_entries(struct translator *t)
{
    uint64_t count = (uint64_t)t->height + RESERVE_ENTRIES;
    return count <= t->entry_capacity ||
           translator_reserve(t, (void **)&t->entries, &t->entry_capacity, count,
                              sizeof t->entries[0]);
}

/* Lays `count` locals of a type at `slot`; returns the slot after them. One that is past 65535
 * makes the translation fail in the end. */
static uint32_t lay_locals(struct translator *t, uint32_t first, uint32_t count, enum vm_type type,
                           uint32_t slot)
{
    enum code_type code_type = code_type_of(type);
    for (uint32_t local = first; local < first + count; local++) {
        t->locals[local] = (struct local){.slot = (uint16_t)slot, .type = (uint8_t)code_type};
        slot += code_type_slots(code_type);
    }
    return slot;
}

static bool begin_locals(struct translator *t)
{
    const struct module_func *func = t->func;
    const struct vm_func_type *type = func->type;
    if (!translator_reserve(t, (void **)&t->locals, &t->local_capacity, func->local_count,
                            sizeof t->locals[0])) {
        return false;
    }
    for (uint32_t i = 0; i < type->param_count; i++) {
        t->param_slots = lay_locals(t, i, 1, type->types[i], t->param_slots);
    }
    t->result_slots =
        label_type_slots((struct label_type){type->types + type->param_count, type->result_count});
    t->return_slot = t->param_slots > t->result_slots ? t->param_slots : t->result_slots;
    uint32_t local = type->param_count;
    uint32_t slot = t->return_slot + 1;
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        const struct module_local_run *run = &func->local_runs[i];
        slot = lay_locals(t, local, run->count, run->type, slot);
        local += run->count;
    }
    assert(local == func->local_count);
    t->zero_count = slot - (t->return_slot + 1);
    t->temp_base = slot;
    if (t->temp_base > UINT16_MAX) {
        return translator_fail(t, ERR_LIMIT, "frame of more than 65536 slots");
    }
    return true;
}

/* Before the first function. */
static void translator_init(struct translator *t, struct budget *budget)
{
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, budget);
}

static void translator_reset(struct translator *t, const struct vm_module *module,
                             uint32_t function_index, bool slots_only, struct err *err)
{
    size_t kept = offsetof(struct translator, module);
    memset((uint8_t *)t + kept, 0, sizeof *t - kept);
    t->module = module;
    t->func = &module->funcs[function_index];
    t->slots_only = slots_only;
    t->err = err;
    t->previous.handler = HANDLER_COUNT;
    t->owner[0] = TRANSLATE_NONE;
    t->owner[1] = TRANSLATE_NONE;
    t->open_loop = TRANSLATE_NONE;
    t->stop_gas = TRANSLATE_TO_THE_END;
    t->code_max = module->limits.code_bytes_max & ~7u;
}

/* Is there gas for the instruction before the position where translation stops? */
static bool pay(struct translator *t, const struct instruction *instruction, bool is_control)
{
    uint64_t gas = t->gas + opcode_info(instruction->opcode)->gas;
    if (is_control) {
        uint32_t values = gas_values(control_values(t, instruction));
        gas += values;
        t->work += values; /* moving so many takes about as long as a byte of ordinary code */
    }
    if (gas > t->stop_gas) {
        (void)emit_begin_control(t, HANDLER_STOP, 8);
        t->done = true;
        return false;
    }
    t->gas = gas;
    t->source.offset = instruction->offset;
    t->source.gas = gas;
    return true;
}

static void translate_one(struct translator *t, const struct instruction *instruction)
{
    bool is_control = instruction->opcode <= OP_RETURN_CALL_INDIRECT;
    bool is_long = t->gas >= t->run_end && !t->unreachable;
    if ((is_control || is_long) && !translator_reserve_control(t)) {
        return;
    }
    if (is_long) {
        emit_edge(t);
    }
    if (t->unreachable) {
        translate_skipped(t, instruction);
    } else if (pay(t, instruction, is_control)) {
        is_control ? translate_control(t, instruction) : translate_plain(t, instruction);
    }
}

static bool begin(struct translator *t)
{
    t->reader = reader_of(t->func->body);
    return reserve_entries(t) && translator_reserve_control(t) && begin_locals(t) && pin_begin(t);
}

/* Pins are known: the function's entry. */
static void begin_walk(struct translator *t)
{
    t->is_walking = true;
    t->reader = reader_of(t->func->body);
    control_push_function(t);
    site_open(t, SITE_ENTRY);
    t->frame_slots = t->temp_base;
    pin_enter_function(t);
    t->gas = gas_locals(t->zero_count);
    t->run_end = t->gas + TRANSLATE_RUN_GAS;
}

static bool has_ended(const struct translator *t)
{
    return (t->done && t->patch_count == 0) || t->failed || t->query.ended;
}

static bool walk(struct translator *t, size_t *left)
{
    struct reader reader = t->reader;
    const uint8_t *begin = reader.ptr;
    t->work = 0;
    while (!has_ended(t) && (size_t)(reader.ptr - begin) + t->work < *left) {
        struct instruction instruction;
        if (t->patch_count > 0) { /* what the last instruction has left */
            t->work += patch_some(t, *left - (size_t)(reader.ptr - begin) - t->work);
            continue;
        }
        if (!reserve_entries(t) ||
            !opcode_read(&reader, t->func->body_offset, &instruction, t->err)) {
            return false; /* not of a validated body */
        }
        translate_one(t, &instruction);
    }
    size_t work = (size_t)(reader.ptr - begin) + t->work;
    t->reader = reader;
    *left -= work < *left ? work : *left;
    return !t->failed;
}

/* As much work as *left bytes are; has_ended tells whether that was all. */
static bool some(struct translator *t, size_t *left)
{
    bool is_planned = t->is_walking;
    if (!is_planned && !pin_continue(t, left, &is_planned)) {
        return false;
    }
    if (is_planned && !t->is_walking) {
        begin_walk(t);
    }
    return !is_planned || walk(t, left);
}

static bool run(struct translator *t)
{
    size_t left = SIZE_MAX;
    return begin(t) && some(t, &left);
}

static bool begin_to_keep(struct translator *t, struct vm_module *module)
{
    struct code *code = ARENA_NEW(&module->arena, struct code);
    uint8_t *bytes = arena_alloc(&module->arena, t->code_size, alignof(uint64_t));
    if (code == NULL || bytes == NULL) {
        return translator_fail(t, ERR_NO_MEMORY, "code");
    }
    *code = (struct code){.start = bytes,
                          .size = t->code_size,
                          .frame_slots = t->frame_slots,
                          .entry_cost = t->entry_cost,
                          .return_slot = t->return_slot,
                          .zero_count = t->zero_count,
                          .param_slots = t->param_slots,
                          .result_slots = t->result_slots,
                          .slots_only = t->slots_only};
    t->kept = code;
    return true;
}

/* Replaces the function's code only when all has gone well. */
static bool keep_some(struct translator *t, struct vm_module *module, size_t *left, bool *is_done)
{
    if (t->kept == NULL && !begin_to_keep(t, module)) {
        return false;
    }
    size_t bytes =
        *left < SIZE_MAX / KEEP_BYTES_OF_A_BYTE ? *left * KEEP_BYTES_OF_A_BYTE : SIZE_MAX;
    bytes = bytes > KEEP_BYTES_MIN ? bytes : KEEP_BYTES_MIN;
    size_t rest = t->code_size - t->kept_bytes;
    bytes = bytes < rest ? bytes : rest;
    memcpy((uint8_t *)(uintptr_t)t->kept->start + t->kept_bytes, t->code + t->kept_bytes, bytes);
    t->kept_bytes += (uint32_t)bytes;
    module_take(left, bytes / KEEP_BYTES_OF_A_BYTE);
    *is_done = bytes == rest;
    if (*is_done) {
        module->funcs[t->func - module->funcs].code = t->kept;
        module->code_bytes += t->code_size;
    }
    return true;
}

static bool fail_in_func(const struct translator *t, struct err *err)
{
    return err_wrap(err, "function %u", (unsigned)(t->func - t->module->funcs));
}

static void reset_to_load(struct translator *t, const struct vm_module *module,
                          uint32_t function_index, bool slots_only, struct err *err)
{
    translator_reset(t, module, function_index, slots_only, err);
    size_t left = module->limits.code_bytes_max - module->code_bytes;
    t->code_max = (uint32_t)left & ~7u;
}

struct translator *translator_new(struct budget *budget)
{
    if (!budget_charge(budget, sizeof(struct translator))) {
        return NULL;
    }
    struct translator *t = HEAP_NEW(struct translator);
    if (t == NULL) {
        budget_release(budget, sizeof *t);
        return NULL;
    }
    translator_init(t, budget);
    return t;
}

void translator_free(struct translator *t)
{
    if (t == NULL) {
        return;
    }
    struct budget *budget = t->arena.budget;
    translator_release(t);
    memory_wipe(t, sizeof *t);
    heap_free(t);
    budget_release(budget, sizeof *t);
}

bool translator_begin(struct translator *t, const struct vm_module *module, uint32_t function_index,
                      struct err *err)
{
    reset_to_load(t, module, function_index, false, err);
    return begin(t) || fail_in_func(t, err);
}

bool translator_continue(struct translator *t, size_t *left, bool *is_done, struct err *err)
{
    t->err = err;
    if (!some(t, left)) {
        return fail_in_func(t, err);
    }
    *is_done = has_ended(t);
    return true;
}

bool translator_keep(struct translator *t, struct vm_module *module, size_t *left, bool *is_done,
                     struct err *err)
{
    t->err = err;
    return keep_some(t, module, left, is_done) || fail_in_func(t, err);
}

bool translate_func_with(struct vm_module *module, uint32_t function_index,
                         const struct translate_options *options, struct err *err)
{
    struct translator t;
    translator_init(&t, module->arena.budget);
    reset_to_load(&t, module, function_index, options->slots_only, err);
    size_t left = SIZE_MAX;
    bool is_done;
    bool ok = (run(&t) && keep_some(&t, module, &left, &is_done)) || fail_in_func(&t, err);
    translator_release(&t);
    return ok;
}

/* ---- Once more, to look for something ---- */

struct retranslation {
    struct translator t;
    struct err err; /* no memory */
    bool ok;
};

static struct retranslation *retranslation_new(const struct vm_module *module,
                                               uint32_t function_index, uint64_t stop_gas,
                                               struct budget *budget)
{
    struct retranslation *again = HEAP_NEW(struct retranslation);
    if (again == NULL) {
        return NULL;
    }
    translator_init(&again->t, NULL);
    again->t.search_budget = budget;
    translator_reset(&again->t, module, function_index,
                     module->funcs[function_index].code->slots_only, &again->err);
    again->t.stop_gas = stop_gas;
    again->t.is_search = true;
    again->t.wanted_from = UINT32_MAX;
    again->ok = begin(&again->t);
    return again;
}

struct retranslation *translate_again_to_locate(const struct vm_module *module,
                                                uint32_t function_index, uint32_t code_offset,
                                                uint64_t stop_gas, struct budget *budget)
{
    struct retranslation *again = retranslation_new(module, function_index, stop_gas, budget);
    if (again != NULL) {
        again->t.query.active = true;
        again->t.query.at = code_offset;
    }
    return again;
}

struct retranslation *translate_again_until(const struct vm_module *module, uint32_t function_index,
                                            uint32_t code_offset, uint64_t stop_gas,
                                            struct budget *budget)
{
    struct retranslation *again = retranslation_new(module, function_index, stop_gas, budget);
    if (again != NULL) {
        again->t.wanted_from = code_offset;
    }
    return again;
}

bool translate_again_continue(struct retranslation *again, size_t bytes)
{
    again->ok = again->ok && some(&again->t, &bytes);
    return again->ok && !has_ended(&again->t);
}

bool translate_again_location(const struct retranslation *again, struct translate_location *out)
{
    const struct query *query = &again->t.query;
    if (!again->ok || !query->ended) {
        return false;
    }
    *out = (struct translate_location){
        .offset = query->source.offset, .gas = query->source.gas, .end_gas = query->end_gas};
    return true;
}

uint8_t *translate_again_copy(const struct retranslation *again, uint32_t *size)
{
    const struct translator *t = &again->t;
    assert(!again->ok || (t->wanted_from >= t->code_base && t->wanted_from < t->code_size));
    uint32_t bytes = again->ok ? t->code_size - t->wanted_from : 0;
    uint8_t *copy = again->ok ? heap_alloc(bytes) : NULL;
    if (copy != NULL) {
        memcpy(copy, translated_at(t, t->wanted_from), bytes);
        *size = bytes;
    }
    return copy;
}

void translate_again_free(struct retranslation *again)
{
    if (again != NULL) {
        translator_release(&again->t);
        memory_wipe(again, sizeof *again);
        heap_free(again);
    }
}

bool translate_locate(const struct vm_module *module, uint32_t function_index, uint32_t code_offset,
                      uint64_t stop_gas, struct translate_location *out)
{
    struct retranslation *again =
        translate_again_to_locate(module, function_index, code_offset, stop_gas, NULL);
    bool ok = again != NULL && !translate_again_continue(again, SIZE_MAX) &&
              translate_again_location(again, out);
    translate_again_free(again);
    return ok;
}
