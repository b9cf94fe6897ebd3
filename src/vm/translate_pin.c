/* translate_pin.c: which locals are pinned to registers, and where.
 *
 * Before the walk, a look at the body from its first loop on counts how often each outermost loop
 * uses each local; a use in an inner loop weighs eight times more for each level. The two integer
 * locals and the float local that weigh most are pinned from the loop's beginning to its end. In a
 * loop from which the function calls itself nothing is pinned, only in the loops inside: recursion
 * enters and leaves functions more often than it goes round.
 *
 * What is counted is added up whenever it has become twice as much as there are locals, in each
 * open loop, and so many loops are remembered and no more: the room has a bound, which the
 * function's size is no part of.
 *
 * A pinned local's slot is always written too, so a register may be given up anywhere for nothing:
 * leaving a loop costs nothing, entering one costs one instruction that fills the registers.
 * The registers belong to the caller: a function that pins saves them when it is entered and
 * restores them before it returns, so calls of functions without loops cost nothing either.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

static const struct pins no_pins = {{PIN_NOTHING, PIN_NOTHING, PIN_NOTHING}};

#if VM_PINS

enum {
    WEIGHT_STEP_LOG2 = 3,
    WEIGHT_MIN = 2, /* below it, filling the register is not worth it */
    USES_MIN = 4096,
    USES_OF_A_BYTE = 2,    /* that are added up and looked at while a byte is read */
    PIN_LOOPS_MAX = 16000, /* of a function; those that come after pin nothing */
};

static bool survey_loop_begins(struct survey *survey, uint32_t offset)
{
    struct translator *t = survey->t;
    if (survey->loop_depth++ >= SURVEY_DEPTH_MAX) {
        return true;
    }
    if (!translator_reserve(t, (void **)&t->pin_loops, &t->pin_loop_capacity,
                            (uint64_t)t->pin_loop_count + 1, sizeof t->pin_loops[0])) {
        return false;
    }
    survey->loops[survey->loop_depth - 1] = (struct survey_loop){
        .row = t->pin_loop_count, .first_use = survey->use_count, .uses_max = USES_MIN};
    t->pin_loops[t->pin_loop_count++] = (struct pin_loop){.offset = offset, .pins = no_pins};
    return true;
}

/* Makes one use of each local from all of the loop's. */
static void add_up(struct survey *survey, const struct survey_loop *loop)
{
    uint32_t count = survey->use_count - loop->first_use;
    uint32_t kept = 0;
    if (count == 0) {
        return; /* and perhaps there is no room for uses yet */
    }
    struct use *uses = survey->room->uses + loop->first_use;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *place = &survey->room->places[uses[i].local];
        if (*place == 0) {
            uses[kept] = uses[i];
            *place = ++kept;
        } else {
            uses[*place - 1].weight += uses[i].weight;
        }
    }
    for (uint32_t i = 0; i < kept; i++) {
        survey->room->places[uses[i].local] = 0;
    }
    survey->use_count = loop->first_use + kept;
    survey->t->work += count / USES_OF_A_BYTE;
}

/* So that there are never many more than locals, however long the loop is. */
static void add_up_if_many(struct survey *survey, struct survey_loop *loop)
{
    if (survey->use_count - loop->first_use >= loop->uses_max) {
        add_up(survey, loop);
        loop->uses_max = 2 * (survey->use_count - loop->first_use) + USES_MIN;
    }
}

/* The heaviest local of a class (and not `but`), as a slot; PIN_NOTHING if there is none. */
static uint16_t heaviest(const struct survey *survey, const struct survey_loop *loop, bool is_float,
                         uint16_t but)
{
    const struct translator *t = survey->t;
    uint16_t best = PIN_NOTHING;
    uint64_t best_weight = WEIGHT_MIN - 1;
    for (uint32_t i = loop->first_use; i < survey->use_count; i++) {
        const struct use *use = &survey->room->uses[i];
        uint8_t type = t->locals[use->local].type;
        uint16_t slot = (uint16_t)stack_local_slot(t, use->local);
        bool fits =
            is_float ? type == CODE_f32 || type == CODE_f64 : type == CODE_i32 || type == CODE_i64;
        if (fits && slot != but && use->weight > best_weight) {
            best = slot;
            best_weight = use->weight;
        }
    }
    return best;
}

/* The loop's row, if it pins something; what was decided for the loops inside gives way to it. */
static void decide(struct survey *survey, const struct survey_loop *loop)
{
    struct translator *t = survey->t;
    struct pins *pins = &t->pin_loops[loop->row].pins;
    pins->slot[PIN_P] = heaviest(survey, loop, false, PIN_NOTHING);
    pins->slot[PIN_Q] = heaviest(survey, loop, false, pins->slot[PIN_P]);
    pins->slot[PIN_F] = heaviest(survey, loop, true, PIN_NOTHING);
    bool is_kept = (pins->slot[PIN_P] != PIN_NOTHING || pins->slot[PIN_F] != PIN_NOTHING) &&
                   loop->row < PIN_LOOPS_MAX;
    t->pin_loop_count = loop->row + is_kept;
    t->pins_any |= is_kept;
}

static void survey_loop_ends(struct survey *survey)
{
    struct translator *t = survey->t;
    if (survey->loop_depth-- > SURVEY_DEPTH_MAX) {
        return;
    }
    struct survey_loop *loop = &survey->loops[survey->loop_depth];
    add_up(survey, loop);
    if (!loop->calls_itself) {
        decide(survey, loop);
    } else if (t->pin_loop_count == loop->row + 1) {
        t->pin_loop_count = loop->row; /* nothing is pinned inside either */
    }
    if (survey->loop_depth == 0) {
        survey->use_count = 0;
        return;
    }
    loop[-1].calls_itself |= loop->calls_itself;
    for (uint32_t i = loop->first_use; i < survey->use_count; i++) {
        survey->room->uses[i].weight <<= WEIGHT_STEP_LOG2;
    }
    add_up_if_many(survey, loop - 1);
}

static bool survey_local(struct survey *survey, uint32_t local)
{
    if (survey->loop_depth == 0) {
        return true;
    }
    if (!translator_reserve(survey->t, (void **)&survey->room->uses, &survey->room->use_capacity,
                            (uint64_t)survey->use_count + 1, sizeof survey->room->uses[0])) {
        return false;
    }
    survey->room->uses[survey->use_count++] = (struct use){.local = local, .weight = 1};
    uint32_t depth = survey->loop_depth < SURVEY_DEPTH_MAX ? survey->loop_depth : SURVEY_DEPTH_MAX;
    add_up_if_many(survey, &survey->loops[depth - 1]);
    return true;
}

static void survey_call(struct survey *survey, uint32_t callee)
{
    const struct translator *t = survey->t;
    if (survey->loop_depth > 0 && &t->module->funcs[callee] == t->func) {
        uint32_t depth =
            survey->loop_depth < SURVEY_DEPTH_MAX ? survey->loop_depth : SURVEY_DEPTH_MAX;
        survey->loops[depth - 1].calls_itself = true;
    }
}

static bool survey_block_begins(struct survey *survey, bool is_loop, uint32_t offset)
{
    if (!translator_reserve(survey->t, (void **)&survey->room->blocks,
                            &survey->room->block_capacity, (uint64_t)survey->block_count + 1, 1)) {
        return false;
    }
    survey->room->blocks[survey->block_count++] = is_loop;
    return !is_loop || survey_loop_begins(survey, offset);
}

static bool survey_one(struct survey *survey, const struct instruction *instruction)
{
    switch ((int)instruction->opcode) {
    case OP_BLOCK:
    case OP_IF:
    case OP_LOOP:
        return survey_block_begins(survey, instruction->opcode == OP_LOOP, instruction->offset);
    case OP_END:
        if (survey->block_count > 0 && survey->room->blocks[--survey->block_count]) {
            survey_loop_ends(survey);
        }
        return true;
    case OP_LOCAL_GET:
    case OP_LOCAL_SET:
    case OP_LOCAL_TEE:
        return survey_local(survey, instruction->as.index);
    case OP_CALL:
        survey_call(survey, instruction->as.index);
        return true;
    default:
        return true;
    }
}

bool pin_begin(struct translator *t)
{
    uint32_t loop_offset = t->func->loop_offset;
    t->pins = no_pins;
    t->survey = (struct survey){.t = t, .room = &t->survey_room};
    if (t->slots_only || loop_offset == 0) {
        t->reader.ptr = t->reader.end;
        return true;
    }
    struct bytes passed;
    bool is_inside = reader_take(&t->reader, loop_offset - t->func->body_offset, &passed);
    assert(is_inside);
    (void)is_inside;
    return translator_reserve(t, (void **)&t->survey_room.places, &t->survey_room.place_capacity,
                              t->func->local_count, sizeof t->survey_room.places[0]);
}

bool pin_continue(struct translator *t, size_t *left, bool *is_planned)
{
    struct reader *reader = &t->reader;
    const uint8_t *begin = reader->ptr;
    t->work = 0;
    while (reader->ptr < reader->end && (size_t)(reader->ptr - begin) + t->work < *left) {
        struct instruction instruction;
        if (!opcode_read(reader, t->func->body_offset, &instruction, t->err) ||
            !survey_one(&t->survey, &instruction)) {
            return false;
        }
    }
    size_t work = (size_t)(reader->ptr - begin) + t->work;
    *left -= work < *left ? work : *left;
    *is_planned = reader->ptr == reader->end;
    if (*is_planned && t->pins_any) {
        t->pin_save = t->temp_base;
        t->temp_base += PIN_COUNT;
    }
    return true;
}

static void emit_pins(struct translator *t, enum handler handler, uint32_t a)
{
    emit_put_u16(emit_begin(t, handler, 16) + CODE_A, a);
}

void pin_enter_function(struct translator *t)
{
    if (t->pins_any) {
        emit_pins(t, HANDLER_PINS_SAVE, t->pin_save);
    }
}

void pin_leave_function(struct translator *t)
{
    if (t->pins_any) {
        emit_pins(t, HANDLER_PINS_RESTORE, t->pin_save);
    }
}

static void fill_registers(struct translator *t)
{
    static const uint16_t handlers[2][2][2] = {
        {{0, HANDLER_PIN_F}, {HANDLER_PIN_Q, HANDLER_PIN_QF}},
        {{HANDLER_PIN_P, HANDLER_PIN_PF}, {HANDLER_PIN_PQ, HANDLER_PIN_PQF}},
    };
    const uint16_t *slot = t->pins.slot;
    uint16_t handler = handlers[slot[PIN_P] != PIN_NOTHING][slot[PIN_Q] != PIN_NOTHING]
                               [slot[PIN_F] != PIN_NOTHING];
    if (handler == 0) {
        return;
    }
    uint8_t *at = emit_begin(t, handler, 16);
    emit_put_u16(at + CODE_A, slot[PIN_P]);
    emit_put_u16(at + CODE_B, slot[PIN_Q]);
    emit_put_u16(at + CODE_C, slot[PIN_F]);
}

void pin_enter_loop(struct translator *t, struct control *control, uint32_t offset)
{
    while (t->pin_loop_next < t->pin_loop_count && t->pin_loops[t->pin_loop_next].offset < offset) {
        t->pin_loop_next++; /* in unreachable code */
    }
    if (t->pin_loop_next < t->pin_loop_count && t->pin_loops[t->pin_loop_next].offset == offset) {
        control->pins = true;
        t->pins = t->pin_loops[t->pin_loop_next].pins;
        fill_registers(t);
    }
}

void pin_leave_loop(struct translator *t, const struct control *control)
{
    if (control->pins) {
        t->pins = no_pins;
    }
}

#else

bool pin_begin(struct translator *t)
{
    t->pins = no_pins;
    return true;
}

bool pin_continue(struct translator *t, size_t *left, bool *is_planned)
{
    (void)t;
    (void)left;
    *is_planned = true;
    return true;
}

void pin_enter_function(struct translator *t)
{
    (void)t;
}

void pin_leave_function(struct translator *t)
{
    (void)t;
}

void pin_enter_loop(struct translator *t, struct control *control, uint32_t offset)
{
    (void)t;
    (void)control;
    (void)offset;
}

void pin_leave_loop(struct translator *t, const struct control *control)
{
    (void)t;
    (void)control;
}

#endif
