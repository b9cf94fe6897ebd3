/* translate.h: from a validated body to internal code, in one forward pass. Private to vm.
 *
 * The translator walks the body with a picture of the operand stack in which a value may still be
 * where it came from: a local, a constant, the transient register. local.get and constants emit
 * nothing; the instruction that uses them takes them as operands. Every height of the stack has a
 * home slot in the frame, and "settling" an entry is moving it there: everything below is settled
 * before a block, so that all ways to a label agree.
 *
 * Fusion looks back: the last emissions are kept in structured form, the newest can be taken back
 * and emitted again with another destination or as part of the next instruction. All are
 * forgotten at every label and control instruction, so code before a label never depends on what
 * comes after it. That is what lets a function be translated again up to some point and give the
 * same bytes (translate_again_…).
 *
 * A straight run, whose gas is paid when it begins, is as long as a slice can be late: a long one
 * is cut by a jump to the next instruction. Work that one instruction makes for many branches, at a
 * label, is done in pieces (struct patch).
 *
 * Pins: in a loop, the locals that it uses most are also in registers (translate_pin.c). Slots stay
 * true, so only what chooses handlers (translate_choose.c) knows of it.
 *
 * Files: translate.c walks · translate_stack.c the picture of the stack · translate_emit.c bytes,
 * costs, history · translate_room.c memory · translate_choose.c from emissions to handlers ·
 * translate_pin.c which locals are pinned · translate_simd.c the forms that only vectors have ·
 * translate_plain.c instructions without control · translate_control.c the rest.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_TRANSLATE_H
#define VM_TRANSLATE_H

#include "base/mapping.h"
#include "vm/code.h"

/* ---- What run.c and tests call ---- */

struct translate_options {
    bool slots_only; /* fold and fuse nothing: every value goes through its home slot */
};

/* All of a function at once and with other options than the default; replaces code that is
 * there. */
bool translate_func_with(struct vm_module *module, uint32_t function_index,
                         const struct translate_options *options, struct err *err) MUST_CHECK;

#define TRANSLATE_TO_THE_END UINT64_MAX
enum { TRANSLATE_RUN_GAS = 1024 }; /* of a straight run, at the most; little for a slice */

/* Where an internal instruction comes from. Positions in gas are static: the gas of the locals and
 * of all reachable instructions of the body up to there, in the body's order. */
struct translate_location {
    uint32_t offset;  /* of the WebAssembly instruction, in the module's bytes */
    uint64_t gas;     /* position just after it */
    uint64_t end_gas; /* position at the end of its straight run, that is what was paid for */
};

/* The location of the instruction at `code_offset`; stop_gas as for translate_again_until. False:
 * no memory. */
bool translate_locate(const struct vm_module *module, uint32_t function_index, uint32_t code_offset,
                      uint64_t stop_gas, struct translate_location *out) MUST_CHECK;

/* The function again, in pieces: one is made (NULL: no memory), goes on for about `bytes` of the
 * body as long as continue says that there is more, and is asked. It charges the budget, which may
 * be NULL, for what it works with, which has a bound that the function's size is no part of. */
struct retranslation;
struct retranslation *translate_again_to_locate(const struct vm_module *module,
                                                uint32_t function_index, uint32_t code_offset,
                                                uint64_t stop_gas, struct budget *budget);
/* The code from code_offset on, with a STOP before the first instruction that would go past
 * position stop_gas. What is between two control instructions is as in the function's code;
 * branches lead nowhere. */
struct retranslation *translate_again_until(const struct vm_module *module, uint32_t function_index,
                                            uint32_t code_offset, uint64_t stop_gas,
                                            struct budget *budget);
bool translate_again_continue(struct retranslation *again, size_t bytes);
bool translate_again_location(const struct retranslation *again,
                              struct translate_location *out) MUST_CHECK;
/* Free with heap_free; NULL: no memory. */
uint8_t *translate_again_copy(const struct retranslation *again, uint32_t *size);
void translate_again_free(struct retranslation *again);

/* ---- Between the translator's files ---- */

enum { TRANSLATE_NONE = -1, TRANSLATE_NO_STUB = 0 };

struct operand {
    uint8_t kind;      /* enum code_kind: R, S, I */
    uint8_t type;      /* enum code_type */
    uint16_t slot;     /* S */
    uint16_t home;     /* the slot that is this height's own, just above the homes below */
    uint32_t producer; /* the emission that made it; 0: none */
    uint64_t value;    /* I: the bits */
};

enum entry_kind { ENTRY_SLOT, ENTRY_LOCAL, ENTRY_CONSTANT, ENTRY_REGISTER };

struct entry { /* one value on the operand stack, as the operand that it will be */
    struct operand operand;
    uint32_t local; /* LOCAL */
    uint8_t kind;
};

enum emission_kind {
    EMISSION_NUMERIC,
    EMISSION_LOAD,
    EMISSION_WIDE_LOAD,
    EMISSION_FAR_LOAD,
    EMISSION_SELECT,
    EMISSION_GLOBAL,
    EMISSION_SIMD, /* the families of vectors only */
};

struct source {
    uint32_t offset; /* of the WebAssembly instruction */
    uint64_t gas;    /* position just after it */
};

struct address {
    struct operand base, index; /* index: kind N if there is none */
    uint8_t shift;              /* of the index, to the left */
    uint32_t offset;
};

struct previous { /* the instruction before the next one, which may be fused with it */
    uint32_t start;
    enum handler handler; /* HANDLER_COUNT: none, or it is a second one already */
};

struct emission { /* an instruction with a destination */
    enum emission_kind kind;
    enum opcode opcode;
    struct operand d, a, b, c; /* LOAD: a and b are the address's base and index; WIDE_LOAD,
                                  FAR_LOAD: b.value is the offset */
    uint8_t shift;             /* LOAD */
    uint32_t offset;           /* LOAD; or the index of a GLOBAL, of a WIDE or FAR_LOAD's memory */
    uint8_t lane;              /* of a vector */
    bool is_far;      /* of a lane in memory: as a FAR_LOAD; c.value is the offset always */
    uint8_t v128[16]; /* SIMD: a constant, or lanes */
    struct source source;
    uint32_t start; /* in the code */
    uint32_t serial;
    struct previous before;
};

enum { HISTORY_MAX = 8 };

/* Which slots are pinned: to r1, r2, f1. */
enum pin { PIN_P, PIN_Q, PIN_F, PIN_COUNT };
enum { PIN_NOTHING = UINT16_MAX }; /* no local's slot: frames end below */
struct pins {
    uint16_t slot[PIN_COUNT];
};
struct pin_loop { /* one for each outermost loop that pins something, in the body's order */
    uint32_t offset;
    struct pins pins;
};

struct local {
    uint16_t slot;
    uint8_t type;  /* enum code_type */
    uint32_t refs; /* entries that are LOCAL of it */
};

struct use {
    uint32_t local;
    uint64_t weight;
};

struct survey_room { /* what translate_pin.c counts in */
    struct use *uses;
    uint32_t use_capacity;
    uint8_t *blocks;
    uint32_t block_capacity;
    uint32_t *places; /* all zero between functions */
    uint32_t place_capacity;
};

enum { SURVEY_DEPTH_MAX = 6 }; /* loops further inside count as part of the one around them */

struct survey_loop {
    uint32_t row;       /* in pin_loops */
    uint32_t first_use; /* of its own and those of the loops inside; up to the end of `uses` */
    uint32_t uses_max;  /* when there are so many, inner loops' included, a local's become one */
    bool calls_itself;  /* the function does, in here */
};

struct survey { /* of a body */
    struct translator *t;
    struct survey_room *room; /* blocks: whether each open one is a loop; places, of each local:
                                 where its use is, counted from 1 and from first_use */
    uint32_t block_count;
    uint32_t loop_depth;
    struct survey_loop loops[SURVEY_DEPTH_MAX];
    uint32_t use_count;
};

/* How many slots a value takes. */
static inline uint32_t code_type_slots(enum code_type type)
{
    return type == CODE_v128 ? 2 : 1;
}

struct fixup { /* a branch to a label that is not there yet */
    int32_t next;
    uint32_t base; /* the instruction that rel counts from */
    uint32_t rel_at, cost_at;
};

/* They lie in chunks, each twice as large as the one before. */
enum { FIXUP_FIRST_LOG2 = 6, FIXUP_CHUNKS = 25 };

struct site {    /* a cost that the end of the current straight run will fill in */
    uint32_t at; /* SITE_ENTRY: the function's entry cost; SITE_LABEL: that of all branches to it */
    int32_t fixups;  /* LABEL: those branches */
    uint32_t target; /* LABEL: where it is */
    uint64_t gas;    /* position where the run begins */
};
#define SITE_ENTRY UINT32_MAX
#define SITE_LABEL (UINT32_MAX - 1)

struct patch { /* a label whose branches are being told where it is, and what going there costs */
    int32_t fixups;
    uint32_t target, cost;
};

struct label_type {
    const enum vm_type *types;
    uint32_t count;
};

enum control_kind { CONTROL_FUNCTION, CONTROL_BLOCK, CONTROL_LOOP, CONTROL_IF, CONTROL_ELSE };

struct control {
    enum control_kind kind;
    uint32_t height; /* of the operand stack below the parameters */
    uint32_t base;   /* the home of what lies at that height */
    struct label_type params, results;
    int32_t fixups;      /* to the end */
    int32_t else_fixup;  /* IF: the branch that skips it */
    uint32_t loop_start; /* LOOP: in the code */
    uint64_t loop_gas;
    uint32_t loop_cost;
    int32_t next_open_loop;
    uint32_t stub_table, stub; /* the br_table that last led here, and its stub, if it has one */
    bool pins;                 /* LOOP: an outermost one, with pins of its own */
};

struct query {
    bool active;
    uint32_t at; /* in the code */
    bool found;
    struct source source;
    bool ended; /* end_gas is known */
    uint64_t end_gas;
};

struct translator {
    /* Room, which is kept from function to function. */
    struct arena arena;
    struct budget
        *search_budget; /* of a search: charged once it takes more than a little; or NULL */
    uint8_t *code;      /* from code_base on */
    uint32_t code_capacity;
    struct mapping code_mapping; /* a large one's */
    size_t code_opened;          /* of it, which is charged */
    struct entry *entries;
    uint32_t entry_capacity;
    struct control *controls;
    uint32_t control_capacity;
    struct fixup *fixups[FIXUP_CHUNKS];
    uint32_t fixup_chunks, fixup_capacity;
    struct site *sites;
    uint32_t site_capacity;
    struct patch *patches;
    uint32_t patch_capacity;
    struct local *locals;
    uint32_t local_capacity;
    struct pin_loop *pin_loops;
    uint32_t pin_loop_capacity;
    struct survey_room survey_room;
    struct emission history[HISTORY_MAX]; /* a ring */

    /* From here on everything belongs to one function and begins as zero. */
    const struct vm_module *module;
    const struct module_func *func;
    bool slots_only;
    struct err *err;
    bool failed; /* err is set */
    bool done;
    bool is_walking;      /* no longer planning pins */
    struct reader reader; /* of the body: how far it is, first the survey, then the walk */
    struct survey survey;
    size_t work; /* of this piece, beside its bytes */
    bool unreachable;
    uint32_t skipped_blocks; /* nesting inside unreachable code */

    uint32_t code_size, code_max;
    uint32_t code_base;   /* what is before has been let go: a search's */
    bool is_search;       /* for a place or a piece of code; nothing will branch in it */
    uint32_t wanted_from; /* a search's: the code from there on is not let go */
    uint64_t overflow[8]; /* where writes go once it failed */
    struct code *kept;    /* in the module, while the code is copied there */
    uint32_t kept_bytes;  /* of it, so far */

    uint32_t height;
    uint32_t frame_slots; /* as far as homes have reached */
    uint32_t settled;     /* entries below are SLOT or CONSTANT */
    int32_t owner[2];     /* the entry that is in r0, in f0 */

    uint32_t control_count, fixup_count, site_count, patch_count;
    uint64_t run_end;  /* position where the straight run at hand has become long */
    int32_t open_loop; /* the innermost loop whose cost is not known yet */

    uint32_t param_slots, result_slots, return_slot, zero_count, temp_base;

    struct previous previous;
    uint32_t history_count; /* of the ring */
    uint32_t history_next;  /* where the next one goes, modulo HISTORY_MAX */
    uint32_t serial;        /* of the last emission */

    struct pins pins; /* where the walk is */
    uint32_t pin_loop_count, pin_loop_next;
    bool pins_any;     /* the function pins something somewhere */
    uint32_t pin_save; /* the slots where the caller's pinned registers are kept */

    uint64_t gas; /* position */
    struct source source;
    uint32_t entry_cost;
    uint64_t stop_gas;
    struct query query;
};

/* translate.c */
enum code_type code_type_of(enum vm_type type);
/* The slots of several values. */
uint32_t label_type_slots(struct label_type types);
/* Always false. The first failure counts. */
bool translator_fail(struct translator *t, enum err_code code, const char *what);
/* Room for whatever one control or bulk instruction adds, except br_table. */
bool translator_reserve_control(struct translator *t);

/* translate_room.c */
bool translator_grow(struct translator *t, void **array, uint32_t *capacity, uint64_t count,
                     size_t item_bytes);
bool translator_grow_fixups(struct translator *t, uint64_t count);
/* Room for `bytes` more of code, and as much as an instruction is cleared with; false: it failed.
 */
bool translator_grow_code(struct translator *t, uint32_t bytes);
void translator_release(struct translator *t);

/* Makes an array of the scratch arena hold `count` items. */
static inline bool translator_reserve(struct translator *t, void **array, uint32_t *capacity,
                                      uint64_t count, size_t item_bytes)
{
    return count <= *capacity || translator_grow(t, array, capacity, count, item_bytes);
}

static inline bool translator_reserve_fixups(struct translator *t, uint64_t count)
{
    return count <= t->fixup_capacity || translator_grow_fixups(t, count);
}

static inline struct fixup *fixup_at(const struct translator *t, int32_t index)
{
    uint32_t place = (uint32_t)index + ((uint32_t)1 << FIXUP_FIRST_LOG2);
    unsigned log2 = 31 - (unsigned)__builtin_clz(place);
    return &t->fixups[log2 - FIXUP_FIRST_LOG2][place - ((uint32_t)1 << log2)];
}

static inline uint8_t *translated_at(const struct translator *t, uint32_t at)
{
    return t->code + (at - t->code_base);
}

static inline bool code_has_room(const struct translator *t)
{
    return (uint64_t)(t->code_size - t->code_base) + sizeof t->overflow <= t->code_capacity;
}

/* Slots past 65535 make the translation fail as soon as the stack reaches them. */
static inline void emit_put_u16(uint8_t *at, uint32_t value)
{
    uint16_t narrow = (uint16_t)value;
    memcpy(at, &narrow, sizeof narrow);
}

static inline void emit_put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static inline void emit_put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

typedef uint8_t *begin_cb(struct translator *t, enum handler handler, uint32_t bytes);

/* translate_emit.c: bytes. begin returns the new instruction's first byte, zeroed but for the
 * handler; what is written there is lost if the translation has failed. */
uint8_t *emit_begin(struct translator *t, enum handler handler, uint32_t bytes);
/* The same for an instruction that ends a straight run. */
uint8_t *emit_begin_control(struct translator *t, enum handler handler, uint32_t bytes);
uint8_t *emit_more(struct translator *t, uint32_t bytes);
void emit_patch_u32(struct translator *t, uint32_t at, uint32_t value);
/* A straight run begins here; its cost belongs at `at`. */
void site_open(struct translator *t, uint32_t at);
/* The same for all branches of a list, and they lead here. */
void site_open_label(struct translator *t, int32_t fixups);
/* Tells so many branches at most where they lead, and what that costs, as far as that is known;
 * how many. */
size_t patch_some(struct translator *t, size_t most);
/* Ends the straight run for no other reason than that it is long. */
void emit_edge(struct translator *t);
/* Instructions with a destination, which may be taken back. */
void emit(struct translator *t, const struct emission *emission);
/* The newest emission, if it is the one that made the value; else NULL. */
const struct emission *emit_last(const struct translator *t, uint32_t producer);
struct emission emit_take_back(struct translator *t);
void emit_forget(struct translator *t);
/* Control arrives here from elsewhere too: nothing before is taken back or fused. */
void emit_label(struct translator *t);
/* As emit_begin, but what came before is not forgotten. */
uint8_t *emit_append(struct translator *t, enum handler handler, uint32_t bytes);

/* translate_choose.c */
void choose_emission(struct translator *t, const struct emission *emission);
void choose_move(struct translator *t, uint32_t slot, const struct operand *from);
void choose_store(struct translator *t, enum opcode opcode, const struct address *address,
                  const struct operand *value);
/* A branch on a comparison or test, or on its contrary; returns where it begins. */
uint32_t choose_branch(struct translator *t, enum opcode opcode, bool negate,
                       const struct operand *a, const struct operand *b);
/* Whether a load or store takes an index that is shifted. */
bool choose_scales(enum opcode opcode);

/* translate_pin.c */
/* Decides before the walk, from the whole body, for which *left is as for translator_continue. */
bool pin_begin(struct translator *t);
bool pin_continue(struct translator *t, size_t *left, bool *is_planned);
void pin_enter_function(struct translator *t);
void pin_leave_function(struct translator *t);
void pin_enter_loop(struct translator *t, struct control *control, uint32_t offset);
void pin_leave_loop(struct translator *t, const struct control *control);

/* translate_stack.c: the home of an entry, or of the next one that is pushed. */
uint32_t stack_home(const struct translator *t, uint32_t index);
uint32_t stack_local_slot(const struct translator *t, uint32_t local);
struct operand stack_pop(struct translator *t);
/* The entry as an operand, which stays where it is. */
struct operand stack_peek(const struct translator *t, uint32_t index);
void stack_push_slot(struct translator *t, enum code_type type);
void stack_push_slots(struct translator *t, struct label_type types);
void stack_push_local(struct translator *t, uint32_t local);
void stack_push_constant(struct translator *t, enum code_type type, uint64_t value);
/* Where the next result goes, and the result itself after the emission. */
void stack_destination(const struct translator *t, enum code_type type, struct operand *out);
void stack_push_result(struct translator *t, const struct operand *d);
void stack_settle(struct translator *t, uint32_t index);
void stack_settle_top(struct translator *t, uint32_t count);
void stack_settle_registers(struct translator *t);
void stack_settle_for_block(struct translator *t, uint32_t params);
/* An immediate where no handler takes one: puts it into its home. */
void operand_settle(struct translator *t, struct operand *operand);
void stack_truncate(struct translator *t, uint32_t height);
/* Before a local is overwritten: entries that stand for it get a copy. */
void stack_detach_local(struct translator *t, uint32_t local);

/* translate_control.c: opcodes up to OP_RETURN_CALL_INDIRECT. */
void translate_control(struct translator *t, const struct instruction *instruction);
/* How many slots of values the instruction passes to a label or over a call. */
uint32_t control_values(const struct translator *t, const struct instruction *instruction);
void control_push_function(struct translator *t);
/* In unreachable code. */
void translate_skipped(struct translator *t, const struct instruction *instruction);

/* translate_far.c: loads and stores of other memories than 0 with 32-bit addresses. */
bool far_is_needed(const struct translator *t, const struct instruction *instruction);
void far_load(struct translator *t, const struct instruction *instruction);
void far_store(struct translator *t, const struct instruction *instruction);
/* translate_tail.c: what comes after is unreachable. */
void translate_tail_call(struct translator *t, const struct instruction *instruction);

/* translate_simd.c: the families of vectors only. */
void translate_simd(struct translator *t, const struct instruction *instruction);
void simd_choose(struct translator *t, const struct emission *emission);
void simd_choose_select(struct translator *t, const struct emission *emission);

/* translate_plain.c: all the others. */
void translate_plain(struct translator *t, const struct instruction *instruction);

#endif
