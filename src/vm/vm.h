/* vm.h: the WebAssembly engine's contract: load a module, link it, run it in slices of gas, learn
 * how it ended.
 *
 *   bytes --vm_module_load--> struct vm_module (immutable, shared by reference count)
 *         --vm_instantiate--> struct vm_instance, in a struct vm_store (the spec's store: what
 * links to what)
 *         --vm_run_*-------> struct vm_run: one activation; all its state is its own, none on the C
 * stack
 *
 * The engine does no I/O, reads no clock and knows no tenant. Nothing here blocks; time is bounded
 * by the gas of a slice. An error (struct err) is the module's or the machine's; a trap (enum
 * vm_trap) is the guest's and part of the result. One store and everything in it belongs to one
 * thread at a time; it may move to another between slices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_VM_H
#define VM_VM_H

#include "base/arena.h"

#include <stdio.h>

/* ---- Types and values (core spec 2.3, 4.2.1) ---- */

enum vm_type { /* the binary encoding */
               VM_I32 = 0x7f,
               VM_I64 = 0x7e,
               VM_F32 = 0x7d,
               VM_F64 = 0x7c,
               VM_V128 = 0x7b,
               VM_FUNCREF = 0x70,
               VM_EXTERNREF = 0x6f,
};

const char *vm_type_name(enum vm_type type); /* "i32" */

struct vm_func; /* a function instance, as a funcref points to it; vm_instance.h */

struct vm_value {
    enum vm_type type;
    union {
        uint32_t i32;
        uint64_t i64;
        uint32_t f32; /* bits */
        uint64_t f64; /* bits */
        uint8_t v128[16];
        const struct vm_func *funcref; /* NULL is ref.null */
        uint64_t externref;            /* 0 is ref.null; else the host's number + 1 */
    } as;
};

struct vm_func_type {
    uint32_t param_count;
    uint32_t result_count;
    const enum vm_type *types; /* params, then results */
};

bool vm_func_type_equal(const struct vm_func_type *a, const struct vm_func_type *b);

/* ---- Limits: every one has a name, and the error that tells of it says the name ---- */

/* What a module may use beside the rest of WebAssembly 2.0; one that uses what is off is not valid,
 * and the error names the feature. */
struct vm_features {
    bool simd; /* v128 and its instructions */
    bool tail_call;
    bool extended_const;
    bool multi_memory;
    bool memory64; /* and 64-bit tables */
};

struct vm_limits {
    struct vm_features features;
    uint32_t module_bytes_max;
    uint32_t types_max;
    uint32_t functions_max; /* imports included, as for the next three */
    uint32_t tables_max;
    uint32_t memories_max;
    uint32_t globals_max;
    uint32_t imports_max;
    uint32_t exports_max;
    uint32_t segments_max; /* of each kind */
    uint32_t params_max;
    uint32_t results_max;
    uint32_t locals_max;         /* of one function, params included */
    uint32_t function_bytes_max; /* one body */
    uint32_t constant_bytes_max; /* one constant expression, its end included */
    uint32_t nesting_max;
    uint32_t br_table_max;
    uint32_t values_per_byte_max; /* that blocks, branches and calls of a body pass, for each of its
                                     bytes; 65536 are free */
    uint32_t name_bytes_max;
    uint32_t code_bytes_max;   /* translated code of one module */
    uint32_t memory_pages_max; /* of 64 KiB; the declared maximum may be larger, growing past this
                                  fails */
    uint32_t memory_pages_total_max; /* of all memories of a store together */
    uint32_t table_elements_max;
    uint32_t call_depth_max;
    uint32_t stack_bytes_max; /* frames of one run */
    bool memory_limit_traps;  /* growing past memory_pages_max or the store's budget: trap
                                 MEMORY_BUDGET instead of returning -1; where a budget above it, or
                                 the system, has no more: VM_NEEDS_MEMORY instead of -1 */
};

extern const struct vm_limits vm_limits_default;

/* ---- Modules ---- */

struct vm_module;

/* Loads in steps, so that a large module cannot keep a thread: each step reads about `bytes` of
 * input, where validation and translation of function bodies count as reading them once more. */
struct vm_loader;
enum vm_load_status { VM_LOAD_MORE, VM_LOAD_DONE, VM_LOAD_FAILED };

/* Copies `wasm`. NULL (and NO_MEMORY, LIMIT) if it cannot begin. */
struct vm_loader *vm_loader_new(struct bytes wasm, const struct vm_limits *limits,
                                struct budget *budget, struct err *err);
/* The same for bytes that are not there yet: the caller writes `size` of them to *wasm before the
 * first step. */
struct vm_loader *vm_loader_new_empty(size_t size, const struct vm_limits *limits,
                                      struct budget *budget, uint8_t **wasm, struct err *err);
/* On DONE *module holds one reference. On FAILED err is INVALID_WASM, LIMIT or NO_MEMORY; the
 * message holds the reason in the spec's words, the function index and the byte offset. */
enum vm_load_status vm_loader_step(struct vm_loader *loader, size_t bytes,
                                   struct vm_module **module, struct err *err);
void vm_loader_free(struct vm_loader *loader);
/* Gives back about so many bytes of what the loader holds, with the module if that was not handed
 * over, so that the end of a large one cannot keep a thread; true when little is left (or loader is
 * NULL). After the first call a loader can only be freed, but one that failed tells why as before.
 */
bool vm_loader_release_some(struct vm_loader *loader, size_t bytes) MUST_CHECK;

/* All steps at once. */
bool vm_module_load(struct bytes wasm, const struct vm_limits *limits, struct budget *budget,
                    struct vm_module **out, struct err *err) MUST_CHECK;
struct vm_module *vm_module_ref(struct vm_module *module);
/* Somebody else holds a reference, too. */
bool vm_module_is_shared(const struct vm_module *module);
/* Charges what the module holds to another budget than the one it was loaded with; false, and
 * nothing has changed, if that has no room. Nobody else may hold a reference. */
bool vm_module_charge_to(struct vm_module *module, struct budget *budget) MUST_CHECK;
void vm_module_unref(struct vm_module *module);
/* The same, but what is to be given back, if that was the last reference, goes to *rest (else it is
 * empty), which is released in pieces. */
void vm_module_unref_to(struct vm_module *module, struct arena *rest);

enum vm_extern_kind { VM_EXTERN_FUNC, VM_EXTERN_TABLE, VM_EXTERN_MEMORY, VM_EXTERN_GLOBAL };

struct vm_extern_type {
    enum vm_extern_kind kind;
    struct vm_func_type func; /* FUNC */
    enum vm_type type;        /* TABLE: element; GLOBAL: content */
    bool is_mutable;          /* GLOBAL */
    bool is_64;               /* TABLE, MEMORY: indices and addresses are i64 */
    uint64_t min, max;        /* TABLE: elements, MEMORY: pages; max UINT64_MAX if none */
};

struct vm_import {
    struct bytes module, name;
    struct vm_extern_type type;
};

struct vm_export {
    struct bytes name;
    struct vm_extern_type type;
    uint32_t index; /* in its index space */
};

uint32_t vm_module_import_count(const struct vm_module *module);
struct vm_import vm_module_import(const struct vm_module *module, uint32_t index);
uint32_t vm_module_export_count(const struct vm_module *module);
struct vm_export vm_module_export(const struct vm_module *module, uint32_t index);
bool vm_module_find_export(const struct vm_module *module, struct bytes name,
                           struct vm_export *out);
/* From the name section (custom section "name", subsection 1); size 0 if it says nothing. */
struct bytes vm_module_function_name(const struct vm_module *module, uint32_t function_index);
/* Facts for `inspect`. */
struct vm_module_facts {
    uint32_t type_count, function_count, table_count, memory_count, global_count, data_count,
        element_count;
    size_t wasm_bytes, body_bytes, code_bytes,
        memory_bytes; /* memory: everything that the module holds */
    bool has_start;
    uint32_t start_function;
};
void vm_module_facts(const struct vm_module *module, struct vm_module_facts *out);
/* Prints a defined function: its WebAssembly instructions with offsets, and (if code) the internal
 * code. */
void vm_module_disassemble(const struct vm_module *module, uint32_t function_index, bool code,
                           FILE *out);

/* ---- Stores, host objects, instances ---- */

struct vm_store;    /* owns every instance, host function, memory, table and global made in it */
struct vm_instance; /* owned by its store */

/* The budget is charged for linear memories, tables, stacks. */
struct vm_store *vm_store_new(const struct vm_limits *limits, struct budget *budget);
void vm_store_free(struct vm_store *store);
/* Gives back about so many bytes of what the store holds, so that the end of a large one cannot
 * keep a thread; true when little is left. After the first call the store can only be freed. */
bool vm_store_release_some(struct vm_store *store, size_t bytes) MUST_CHECK;

struct vm_extern { /* something to import, or an instance's export */
    enum vm_extern_kind kind;
    void *object; /* struct vm_func, vm_table, vm_memory or vm_global; owned by the store */
};

enum vm_trap {
    VM_TRAP_NONE = 0,
#define TRAP(name, error_code, text) VM_TRAP_##name,
#include "vm/traps.def"
#undef TRAP
};

const char *vm_trap_text(enum vm_trap trap); /* the spec's words */
const char *vm_trap_name(enum vm_trap trap); /* "INTEGER_DIVIDE_BY_ZERO" */
enum err_code
vm_trap_error_code(enum vm_trap trap); /* EXECUTION_TRAP, STACK_EXHAUSTED, MEMORY_EXCEEDED, … */

typedef enum vm_trap (*vm_host_cb)(void *context, struct vm_instance *caller,
                                   const struct vm_value *args, struct vm_value *results);

/* Host objects. NULL when there is no memory. `type` is copied. */
struct vm_func *vm_store_host_func(struct vm_store *store, const struct vm_func_type *type,
                                   vm_host_cb cb, void *context);
struct vm_table *vm_store_host_table(struct vm_store *store, enum vm_type type, uint32_t min,
                                     uint64_t max);
/* The same with i64 indices. */
struct vm_table *vm_store_host_table64(struct vm_store *store, enum vm_type type, uint32_t min,
                                       uint64_t max);
struct vm_memory *vm_store_host_memory(struct vm_store *store, uint64_t min_pages,
                                       uint64_t max_pages);
struct vm_global *vm_store_host_global(struct vm_store *store, struct vm_value value,
                                       bool is_mutable);

/* Links, allocates and evaluates (core spec 4.5.4 up to the element and data segments). imports:
 * one for each import, in order. Fails with UNLINKABLE ("unknown import", "incompatible import
 * type"), MEMORY_EXCEEDED (the store's own limits), NO_MEMORY (budgets, the system). The instance
 * takes a reference to the module. Segments, with what is in them, and the start function
 * come as the first run: vm_run_begin_start. */
bool vm_instantiate(struct vm_store *store, struct vm_module *module,
                    const struct vm_extern *imports, struct vm_instance **out,
                    struct err *err) MUST_CHECK;
/* The same in steps, so that many functions or globals cannot keep a thread: begin links, and what
 * it makes can be used when a step says that it is done. A step does about as much as loading so
 * many bytes. After one that failed the instance is of no use, and stays in the store. */
bool vm_instantiate_begin(struct vm_store *store, struct vm_module *module,
                          const struct vm_extern *imports, struct vm_instance **out,
                          struct err *err) MUST_CHECK;
bool vm_instantiate_step(struct vm_instance *instance, size_t bytes, bool *is_done,
                         struct err *err) MUST_CHECK;
bool vm_instance_find_export(const struct vm_instance *instance, struct bytes name,
                             struct vm_extern *out);
const struct vm_func_type *vm_func_get_type(const struct vm_func *func);
struct vm_value vm_global_get(const struct vm_global *global);

/* The memory's bytes, or false when [offset, offset + size) is not inside. The pointer is valid
 * until the guest runs again. */
bool vm_memory_range(struct vm_memory *memory, uint64_t offset, uint64_t size, uint8_t **out);
uint64_t vm_memory_bytes(const struct vm_memory *memory);
/* Its addresses are i64. */
bool vm_memory_is_64(const struct vm_memory *memory);
/* Peak of all linear memories and tables of the store, in bytes. */
uint64_t vm_store_memory_peak(const struct vm_store *store);

/* ---- Runs ---- */

struct vm_run; /* owned by the caller; lives in a store, at most one unfinished run per store */

enum vm_status {
    VM_SUSPENDED,    /* the slice is over; go on with vm_run_slice */
    VM_RETURNED,     /* results are there */
    VM_TRAPPED,      /* vm_run_trap tells */
    VM_OUT_OF_GAS,   /* exactly gas_limit units have been spent */
    VM_NEEDS_MEMORY, /* suspended where it grows, within its own limits, but not now: a budget that
                        it shares, or the system, has no more. The next slice tries again; whoever
                        does not want to wait interrupts */
};

struct vm_run *
vm_run_new(struct vm_store *store,
           uint64_t gas_limit); /* NULL: no memory. The limit covers all its calls. */
void vm_run_free(struct vm_run *run);

/* Prepares: segments and start function of an instance. */
bool vm_run_begin_start(struct vm_run *run, struct vm_instance *instance,
                        struct err *err) MUST_CHECK;
/* Prepares a call. Fails with INVALID_ARGUMENTS when count or types differ. Again after RETURNED
 * (same gas account); INVALID_ARGUMENTS, as for begin_start, while the run is under way or when it
 * has ended otherwise. */
bool vm_run_begin_call(struct vm_run *run, const struct vm_func *func, const struct vm_value *args,
                       uint32_t arg_count, struct err *err) MUST_CHECK;
/* Runs for at most about `gas` units (a slice ends at the first control edge after which none is
 * left, of which there is one in every thousand instructions; never later than the gas_limit). A
 * bulk operation (memory.fill, table.grow, an active segment, …) moves at most 4 bytes for each
 * unit of a slice and goes on in the next ones; its results, traps and gas are those of one that
 * was not cut. gas >= 1. */
enum vm_status vm_run_slice(struct vm_run *run, uint64_t gas);
/* Ends a suspended run for good: it becomes TRAPPED with that trap (VM_TRAP_INTERRUPTED). */
void vm_run_interrupt(struct vm_run *run);

/* After RETURNED: result_count of the function's type. */
const struct vm_value *vm_run_results(const struct vm_run *run, uint32_t *count);
uint64_t vm_run_gas_consumed(
    const struct vm_run *run); /* exact at RETURNED, TRAPPED, OUT_OF_GAS; so far, when SUSPENDED */

struct vm_trap_info {
    enum vm_trap trap;
    bool has_location;       /* false: the host's doing, segment initialisation, no memory */
    uint32_t function_index; /* in the module's index space */
    struct bytes function_name;
    uint32_t offset; /* of the instruction, in the module's bytes */
    const struct vm_module *module;
};
struct vm_trap_info vm_run_trap(const struct vm_run *run);

/* ---- Profiles: what the instructions of a run are, how often, and in which order ---- */

struct vm_profile;

/* NULL: no memory. One profile may take in several runs; modules must live until it is printed. */
struct vm_profile *vm_profile_new(void);
void vm_profile_free(struct vm_profile *profile);
/* As vm_run_slice, with the same results and gas, a few times slower. */
enum vm_status vm_profile_slice(struct vm_profile *profile, struct vm_run *run, uint64_t gas);

struct vm_profile_totals {
    uint64_t dispatches;   /* of internal instructions */
    uint64_t instructions; /* of WebAssembly, those that cost gas */
};
/* False: there was no memory, then or now. */
bool vm_profile_totals(const struct vm_profile *profile, struct vm_profile_totals *out) MUST_CHECK;
/* Prints the totals, and so many rows each of the straight runs, instructions, pairs and triples
 * that are most of it. */
bool vm_profile_print(const struct vm_profile *profile, uint32_t rows, FILE *out) MUST_CHECK;

enum {
    VM_GAS_SCHEDULE = 1
}; /* the version of the gas column of opcodes.def; stands in every receipt */

/* How this build dispatches, for `--version` and benches: "tail-call" or "computed-goto". */
const char *vm_dispatch_name(void);

#endif
