/* validate.h: the state of the body validator (core spec, appendix A.3): a stack of operand types
 * and a stack of the control frames that are open. Both are flat, grow by doubling and are kept
 * from body to body.
 *
 * An operand is the byte of its type, or VALIDATE_ANY where the code cannot be reached and the type
 * is whatever is asked for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_VALIDATE_H
#define VM_VALIDATE_H

#include "vm/module.h"

enum { VALIDATE_ANY = 0 };

struct validate_types { /* a sequence, first at the bottom */
    const enum vm_type *types;
    uint32_t count;
};

struct validate_frame {
    struct validate_types params, results;
    uint32_t height; /* of the operand stack where the frame begins, without its params */
    enum opcode opcode;
    bool is_unreachable;
    uint32_t br_table; /* the number of the br_table that last looked at this frame */
};

/* A row's signature as the operand stack shows it: what `pops` operands must be, a byte each, the
 * lowest first. Made when the row is first met. */
struct validate_signature {
    uint32_t types, mask;
    uint8_t pops, pushes, push;
    uint8_t state; /* enum validate_signature_state */
};
enum validate_signature_state { VALIDATE_NOT_MADE, VALIDATE_QUICK, VALIDATE_NOT_QUICK };

struct validator {
    const struct vm_module *module;
    struct budget *budget;
    const struct module_func *func;
    struct reader reader; /* of the body, and what comes after it */
    struct err *err;
    struct instruction instruction; /* the one at hand */
    uint8_t address[3];             /* what a, b and c are in the signature of its row */

    uint8_t *operands;
    uint32_t operand_count, operand_capacity, operand_max;
    uint32_t operand_room; /* the smaller of max and what capacity has beyond its slack */
    struct validate_frame *frames;
    uint32_t frame_count, frame_capacity;
    uint8_t *locals; /* their types */
    uint32_t local_capacity;
    uint32_t br_table;           /* how many br_tables were met */
    uint32_t loop_offset;        /* of the body's first loop; 0: none so far */
    uint64_t values, values_max; /* passed by the body's blocks, branches and calls */
    bool is_wide;                /* there are memories or tables with 64-bit addresses */
    struct validate_signature signatures[OPCODE_COUNT];
};

/* The error at hand: text, offset; the function is added outside. */
bool validator_fail(struct validator *validator, const char *text);
bool validator_unknown(struct validator *validator, const char *what, uint32_t index);
/* The instruction needs a feature that may be off; text: what it is without it. */
bool validator_feature(struct validator *validator, bool is_on, const char *text,
                       const char *feature) MUST_CHECK;
/* May a module with these features have such values? */
bool validator_type(struct validator *validator, enum vm_type type) MUST_CHECK;
bool validator_limit(struct validator *validator, const char *limit, uint32_t max);

static inline struct validate_frame *validator_frame(const struct validator *validator)
{
    return &validator->frames[validator->frame_count - 1];
}

bool validator_push(struct validator *validator, uint8_t type) MUST_CHECK;
bool validator_pop(struct validator *validator, uint8_t expected) MUST_CHECK;
bool validator_pop_any(struct validator *validator, uint8_t *type) MUST_CHECK;
/* So many values are moved by the instruction. */
bool validator_pass_values(struct validator *validator, uint32_t count) MUST_CHECK;
bool validator_push_types(struct validator *validator, struct validate_types types) MUST_CHECK;
bool validator_pop_types(struct validator *validator, struct validate_types types) MUST_CHECK;
bool validator_push_frame(struct validator *validator, enum opcode opcode,
                          struct validate_types params, struct validate_types results) MUST_CHECK;
/* The rest of the frame cannot be reached. */
void validator_set_unreachable(struct validator *validator);

/* The instructions whose row has the signature "*". */
bool validate_control(struct validator *validator) MUST_CHECK;  /* validate_control.c */
bool validate_variable(struct validator *validator) MUST_CHECK; /* validate_rules.c */
/* The type of an index into the table; false if there is none. */
bool validate_table_index(struct validator *validator, uint32_t table, uint8_t *type) MUST_CHECK;
/* What a row with a signature still asks of its immediate: validate_rules.c. */
bool validate_immediate(struct validator *validator, const struct opcode_info *info) MUST_CHECK;

#endif
