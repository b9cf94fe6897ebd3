/* instance.h: the run-time objects of the spec (core 4.2) as the interpreter sees them. Private to
 * vm.
 *
 * A reference in a table, global or frame slot is 64 bits: a funcref is a `struct vm_func *`, an
 * externref the host's number + 1; 0 is null in both. i32 in a 64-bit slot is zero-extended, f32
 * lies in the low half: always.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef VM_INSTANCE_H
#define VM_INSTANCE_H

#include "base/list.h"
#include "vm/module.h"

enum { VM_PAGE_BYTES = 65536 };

struct vm_memory {
    struct vm_store *store;
    uint8_t *base;  /* a mapping of `reserved` bytes; what is not `bytes` is not accessible to the
                       guest */
    uint64_t bytes; /* current size */
    uint64_t max_pages; /* declared; UINT64_MAX: none */
    size_t reserved;    /* may be 0 and base NULL while bytes is 0 */
};

struct vm_table {
    struct vm_store *store;
    enum vm_type type;
    uint64_t *elements;
    uint32_t count;
    uint64_t max; /* declared; UINT64_MAX: none */
    size_t capacity;
};

struct vm_global {
    uint64_t value[2]; /* [1] for v128 */
    enum vm_type type;
    bool is_mutable;
};

struct vm_func {
    const struct code *code;      /* NULL: host function */
    struct vm_instance *instance; /* NULL: host function */
    uint32_t type_id;             /* store-wide: equal types have equal ids */
    uint32_t index;               /* in the instance's module */
    const struct vm_func_type *type;
    vm_host_cb host;
    void *host_context;
};

struct instance_element { /* run-time element segment; count 0 once dropped */
    uint64_t *items;
    uint32_t count;
};

struct vm_instance {
    struct vm_store *store;
    struct vm_module *module;
    struct vm_func **funcs; /* index spaces, imports first */
    struct vm_table **tables;
    struct vm_memory **memories;
    struct vm_global **globals;
    uint32_t *type_ids; /* by the module's type index */
    struct instance_element *elements;
    struct bytes *data; /* size 0 once dropped */
    struct list link;   /* in the store */
};

/* store.c: the id of a type, the same for equal types of one store. UINT32_MAX: no memory. */
uint32_t store_type_id(struct vm_store *store, const struct vm_func_type *type);

/* memory.c, table.c: what the interpreter calls for the instructions of these names. grow returns
 * the old size (pages, elements) or -1; *trap is set to VM_TRAP_MEMORY_BUDGET where
 * limits.memory_limit_traps says so. Growing may move neither base (memory reserves its maximum
 * address range) nor, for tables, stay: reload after it. The rest returns a trap or NONE. */
int64_t memory_grow(struct vm_memory *memory, uint64_t delta_pages, enum vm_trap *trap);
enum vm_trap memory_init(struct vm_memory *memory, struct bytes data, uint64_t to, uint64_t from,
                         uint64_t size);
enum vm_trap memory_copy(struct vm_memory *to_memory, struct vm_memory *from_memory, uint64_t to,
                         uint64_t from, uint64_t size);
enum vm_trap memory_fill(struct vm_memory *memory, uint64_t to, uint8_t value, uint64_t size);
int64_t table_grow(struct vm_table *table, uint64_t delta, uint64_t value, enum vm_trap *trap);
enum vm_trap table_init(struct vm_table *table, const struct instance_element *segment, uint64_t to,
                        uint64_t from, uint64_t size);
enum vm_trap table_copy(struct vm_table *to_table, struct vm_table *from_table, uint64_t to,
                        uint64_t from, uint64_t size);
enum vm_trap table_fill(struct vm_table *table, uint64_t to, uint64_t value, uint64_t size);

/* instance.c: element and data segments of an instance (core 4.5.4 steps 12..16), called by
 * vm_run's start run before the start function. Returns a trap or NONE. */
enum vm_trap instance_init_segments(struct vm_instance *instance);

/* values between the embedder's form and slots; v128 takes two slots. */
uint32_t vm_type_slots(enum vm_type type);
void value_to_slots(const struct vm_value *value, uint64_t *slots);
struct vm_value value_from_slots(enum vm_type type, const uint64_t *slots);

#endif
