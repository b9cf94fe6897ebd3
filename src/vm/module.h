/* module.h: a decoded module: plain tables in one arena, immutable once loaded. Private to vm.
 *
 * decode.c fills it, validate.c checks it, translate.c adds `code` to each defined function,
 * instance.c and the interpreter read it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_MODULE_H
#define VM_MODULE_H

#include "vm/opcode.h"
#include "vm/vm.h"

struct code; /* translated body: code.h */

/* A constant expression (core spec 3.3.10), decoded: nearly always one instruction. */
enum module_const_kind {
    MODULE_CONST_VALUE,
    MODULE_CONST_GLOBAL,
    MODULE_CONST_FUNC,
    MODULE_CONST_EXPRESSION, /* of any number of instructions: see constant.c */
};
struct module_const {
    enum module_const_kind kind;
    struct vm_value value; /* VALUE: with its type; ref.null included */
    uint32_t index;        /* GLOBAL, FUNC */
    uint32_t offset;       /* in the module's bytes */
    struct bytes code;     /* EXPRESSION: without its end */
};

struct module_func {
    uint32_t type_index;
    const struct vm_func_type *type;
    bool is_import;
    bool is_declared;     /* may be named by ref.func (core spec 3.5.15, C.refs) */
    struct bytes body;    /* the expression, after the local declarations, including the last end */
    uint32_t body_offset; /* of body in the module's bytes */
    uint32_t local_count; /* params included */
    const struct module_local_run {
        uint32_t count;
        enum vm_type type;
    } * local_runs; /* the declared ones, as in the binary */
    uint32_t local_run_count;
    uint32_t loop_offset; /* of the first loop, in the module's bytes; 0: none. The loader's */
    struct code *code;    /* NULL for imports */
};

struct module_table {
    enum vm_type type;
    bool is_64; /* indices are i64 */
    uint64_t min;
    uint64_t max;    /* UINT64_MAX: none */
    uint32_t offset; /* of the type, in the module's bytes; as in the next */
};

/* What 32-bit and 64-bit addresses reach. */
enum { MODULE_MEMORY_PAGES_MAX = 65536 };
#define MODULE_MEMORY64_PAGES_MAX ((uint64_t)1 << 48)

struct module_memory {
    bool is_64;        /* addresses are i64 */
    uint64_t min, max; /* pages; UINT64_MAX: none */
    uint32_t offset;
};

static inline enum vm_type module_address_type(bool is_64)
{
    return is_64 ? VM_I64 : VM_I32;
}

struct module_global {
    enum vm_type type;
    bool is_mutable;
    struct module_const init; /* not for imports */
};

enum module_segment_mode { MODULE_ACTIVE, MODULE_PASSIVE, MODULE_DECLARATIVE };

struct module_element {
    enum module_segment_mode mode;
    enum vm_type type;
    uint32_t table_index;
    struct module_const offset; /* ACTIVE */
    uint32_t position;          /* of the segment, in the module's bytes; as in the next */
    uint32_t count;
    struct module_const *items;
};

struct module_data {
    enum module_segment_mode mode;
    uint32_t memory_index;
    struct module_const offset; /* ACTIVE */
    uint32_t position;
    struct bytes content; /* inside wasm */
};

struct vm_module {
    _Atomic uint32_t references;
    struct arena arena; /* everything below, and the module itself */
    struct vm_limits limits;
    struct bytes wasm; /* our copy */

    struct vm_func_type *types;
    uint32_t type_count;
    struct vm_import *imports;
    uint32_t import_count;
    struct module_func *funcs; /* imports first, as in every index space */
    uint32_t func_count, func_import_count;
    struct module_table *tables;
    uint32_t table_count, table_import_count;
    struct module_memory *memories;
    uint32_t memory_count, memory_import_count;
    struct module_global *globals;
    uint32_t global_count, global_import_count;
    struct vm_export
        *exports; /* of type only `kind` is filled in: vm_module_export does the rest */
    uint32_t export_count;
    const struct vm_export **exports_by_name; /* sorted */
    struct module_element *elements;
    uint32_t element_count;
    struct module_data *data;
    uint32_t data_count;
    bool has_data_count; /* the section was there */
    bool has_start;
    uint32_t start, start_offset;
    struct bytes *func_names; /* NULL or func_count entries */
    size_t code_bytes;        /* of all translated bodies */
};

/* value.c: which bytes are types in the binary format. */
bool vm_type_is_reference(uint8_t byte);
bool vm_type_is_value(uint8_t byte);

/* module.c */
struct vm_extern_type module_extern_type(const struct vm_module *module, enum vm_extern_kind kind,
                                         uint32_t index); /* index must exist */
/* Puts " in function N" after the message; false. */
bool module_err_in_func(struct err *err, uint32_t index);
/* disasm.c: a foreign name as ASCII, cut if long; others than printable characters as \\hh. */
enum { MODULE_NAME_TEXT_BYTES = 128 };
void module_name_text(struct bytes name, char out[static MODULE_NAME_TEXT_BYTES]);
/* exports.c: as memcmp; the shorter one first. What it costs, in bytes as the loader counts. */
int module_name_compare(struct bytes a, struct bytes b);
size_t module_name_cost(struct bytes a, struct bytes b);

/* exports.c: sorts a module's exports by name, in pieces. Begin fails with NO_MEMORY; some takes
 * what it does from *left, in bytes as the loader counts them, and is true when all are sorted. */
struct export_sort {
    struct vm_module *module;
    const struct vm_export **from, **to; /* runs of `width` sorted names; where they are merged */
    size_t count, width;
    size_t first, second; /* the next of two neighbouring runs; the end of the former: */
    size_t middle, end;   /* middle, of the latter: end */
};
bool export_sort_begin(struct export_sort *sort, struct vm_module *module,
                       struct err *err) MUST_CHECK;
bool export_sort_some(struct export_sort *sort, size_t *left) MUST_CHECK;

/* decode.c: everything but the bodies' instructions, in pieces. Init takes the module with arena,
 * limits and wasm set. */
struct decoder {
    struct vm_module *module;
    struct reader reader; /* at the next section, or entry */
    uint8_t phase;        /* enum decoder_phase: decode.c */
    uint8_t section;      /* the one at hand */
    uint8_t last_order;   /* of the last section that was not custom: see decode.c */
    const uint8_t *end;   /* of the section */
    uint64_t count, next; /* of its entries; see each section's */
    uint64_t type_values; /* parameters and results of the types so far */
    uint32_t items_left;  /* of the element segment at hand */
    bool has_expressions; /* its items */
    uint32_t elements;    /* that were begun */
    struct reader first;  /* at the first import */
    uint32_t code_count;  /* bodies that the code section had */
    uint32_t data_count;  /* what the data count section said */
    struct export_sort sort;
    struct bytes names; /* contents of the last custom section "name"; of its part on functions */
    struct reader name_reader; /* of them; then of the subsection of functions */
    struct bytes *func_names;  /* being read; NULL: the subsection is being looked for */
    uint32_t name_count, name_next;
    struct err failure; /* of a section, while the last body is looked at */
};
void decoder_init(struct decoder *decoder, struct vm_module *module);
/* As much as *left bytes, from which it is taken; at least an entry of a section. */
bool decoder_step(struct decoder *decoder, size_t *left, bool *done, struct err *err) MUST_CHECK;

/* decode_const.c: the constant that one instruction is; false if it is none. */
bool module_const_of(const struct instruction *instruction, struct module_const *out);
/* constant.c: the type of a constant that sees the first `globals` of them. */
bool constant_type(const struct vm_module *module, const struct module_const *constant,
                   uint32_t globals, enum vm_type *out, struct err *err) MUST_CHECK;

/* validate.c: all but the bodies. validate_body.c: a body at a time; the validator keeps its stacks
 * between them. */
struct module_check {
    uint32_t part; /* of validate_module's */
    uint32_t next; /* in it */
    uint32_t item; /* of an element segment */
};
/* In pieces, as decoder_step: from a check that is all zero until *is_done. */
bool validate_module(const struct vm_module *module, struct module_check *check, size_t *left,
                     bool *is_done, struct err *err) MUST_CHECK;
/* Takes `bytes` from what is left. */
static inline void module_take(size_t *left, size_t bytes)
{
    *left -= bytes < *left ? bytes : *left;
}
struct validator;
struct validator *validator_new(const struct vm_module *module, struct budget *budget);
void validator_free(struct validator *validator);
/* In pieces: as much work as *left bytes of ordinary code are, from which it is taken; at least an
 * instruction. */
bool validator_begin(struct validator *validator, uint32_t function_index,
                     struct err *err) MUST_CHECK;
bool validator_continue(struct validator *validator, size_t *left, bool *is_done,
                        struct err *err) MUST_CHECK;
/* Where the function's first loop is; 0: it has none. */
uint32_t validator_loop(const struct validator *validator);
/* translate.c: after the validator said yes, in pieces like it; then the code is kept in the
 * module, in pieces as well. Fails with LIMIT or NO_MEMORY only. The translator keeps its room
 * between bodies, charged to the budget. */
struct translator;
struct translator *translator_new(struct budget *budget);
void translator_free(struct translator *translator);
/* Gives back about so many bytes of its room, after which it can only be freed; true when there is
 * none left (or no translator). */
bool translator_release_some(struct translator *translator, size_t bytes) MUST_CHECK;
bool translator_begin(struct translator *translator, const struct vm_module *module,
                      uint32_t function_index, struct err *err) MUST_CHECK;
bool translator_continue(struct translator *translator, size_t *left, bool *is_done,
                         struct err *err) MUST_CHECK;
bool translator_keep(struct translator *translator, struct vm_module *module, size_t *left,
                     bool *is_done, struct err *err) MUST_CHECK;
/* The internal code of a defined function, for vm_module_disassemble. */
void code_disassemble(const struct vm_module *module, uint32_t function_index, FILE *out);

#endif
