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
#include "base/mapping.h"
#include "vm/module.h"

enum { VM_PAGE_BYTES = 65536 };

struct vm_memory {
    struct vm_store *store;
    uint8_t *base;          /* of the mapping; NULL only if the memory can never be larger than 0 */
    uint64_t bytes;         /* current size */
    bool is_64;             /* declared with i64 addresses */
    uint64_t max_pages;     /* declared; UINT64_MAX: none */
    struct mapping mapping; /* which is larger: what is not `bytes` is not the guest's */
    struct list link;       /* in the store */
};

struct vm_table {
    struct vm_store *store;
    enum vm_type type;
    uint64_t *elements;
    uint32_t count;
    bool is_64;   /* declared with i64 indices */
    uint64_t max; /* declared; UINT64_MAX: none */
    size_t capacity;
    struct list link; /* in the store */
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

    uint32_t part, next; /* while it is made: what comes next, and of which */
    struct vm_func *own_funcs;
    struct vm_global *own_globals;
};

/* Everything made in a store lives until the store ends: objects in its arena, memories in mappings
 * and tables on the heap, charged to the same budget. */
struct vm_store {
    struct vm_limits limits;
    struct budget *budget;
    struct arena arena;
    struct list instances, memories, tables;
    struct vm_func_type *types; /* interned, by id */
    uint32_t *type_order;       /* their ids, sorted by what they are */
    uint32_t type_count, type_capacity;
    uint64_t used, peak;   /* bytes of linear memories and tables */
    uint64_t memory_pages; /* of all memories */
};

/* store.c: bytes of a linear memory or table. Charging fails when the budget has no more. */
bool store_charge(struct vm_store *store, size_t size) MUST_CHECK;
/* store.c: what growing ends with that store_charge or the system refused. */
enum vm_trap store_refusal_trap(const struct vm_store *store);
/* store.c: after store_charge refused: MEMORY_EXCEEDED if the store's own budget did, else
 * NO_MEMORY. `what` is "a memory", "a table". Returns false. */
bool store_refusal_err(const struct vm_store *store, const char *what, uint64_t count,
                       struct err *err);
void store_release(struct vm_store *store, size_t size);
/* store.c: the id of a type, the same for equal types of one store. UINT32_MAX: no memory. */
uint32_t store_type_id(struct vm_store *store, const struct vm_func_type *type);

/* memory.c, table.c: made with their minimum. MEMORY_EXCEEDED (over memory_pages_max,
 * table_elements_max or the store's own budget) or NO_MEMORY. */
struct vm_memory *memory_new(struct vm_store *store, const struct module_memory *type,
                             struct err *err);
void memory_release(struct vm_memory *memory); /* gives back what is not the arena's */
/* About so many bytes of it; how many. 0: what is left is small, or cannot be given in pieces. */
size_t memory_release_some(struct vm_memory *memory, size_t bytes);
struct vm_table *table_new(struct vm_store *store, const struct module_table *type,
                           struct err *err);
void table_release(struct vm_table *table);
size_t table_release_some(struct vm_table *table, size_t bytes);

/* Filling, copying and initialising goes in pieces, so that none can keep a thread: what a call may
 * still move is `left`, and an operation that it does not suffice for is under way until the last
 * call with the same operands. Each call with at least 8 left gets on. */
struct bulk {
    uint64_t left;     /* bytes; an element of a table counts as 8 */
    bool is_under_way; /* more is to be done */
    uint64_t done;     /* of its bytes or elements; 0 if none is under way */
    uint64_t rest;     /* bytes that are to be done */
};

/* Takes the next piece of an operation on `size` units: so many, of unit_bytes each, after those
 * that are done. */
static inline uint64_t bulk_take(struct bulk *bulk, uint64_t size, uint64_t unit_bytes)
{
    uint64_t rest = size - bulk->done;
    uint64_t count = rest < bulk->left / unit_bytes ? rest : bulk->left / unit_bytes;
    bulk->left -= count * unit_bytes;
    bulk->rest = (rest - count) * unit_bytes;
    bulk->is_under_way = count < rest;
    bulk->done = bulk->is_under_way ? bulk->done + count : 0;
    return count;
}

/* Where the pieces of a copy begin: upwards one after the other, or from the end downwards, so that
 * none overwrites what a later one reads. */
static inline uint64_t bulk_copy_begin(uint64_t to, uint64_t from, uint64_t size, uint64_t done,
                                       uint64_t count)
{
    return to <= from ? done : size - done - count;
}

/* [offset, offset + size) lies in [0, end). */
static inline bool range_is_inside(uint64_t offset, uint64_t size, uint64_t end)
{
    return size <= end && offset <= end - size;
}

/* memory.c, table.c: what the interpreter calls for the instructions of these names. grow returns
 * the old size (pages, elements) or -1; *trap is set to VM_TRAP_MEMORY_BUDGET, or to NO_MEMORY and
 * nothing has changed, where limits.memory_limit_traps says so. Growing may move neither base
 * (memory reserves its maximum address range) nor, for tables, stay: reload after it. The rest
 * returns a trap or NONE. What takes a struct bulk does a piece: a trap comes before the first one,
 * and the growth of a table can be seen, and its result counts, after the last. */
int64_t memory_grow(struct vm_memory *memory, uint64_t delta_pages, enum vm_trap *trap);
enum vm_trap memory_init(struct vm_memory *memory, struct bytes data, uint64_t to, uint64_t from,
                         uint64_t size, struct bulk *bulk);
enum vm_trap memory_copy(struct vm_memory *to_memory, struct vm_memory *from_memory, uint64_t to,
                         uint64_t from, uint64_t size, struct bulk *bulk);
enum vm_trap memory_fill(struct vm_memory *memory, uint64_t to, uint8_t value, uint64_t size,
                         struct bulk *bulk);
int64_t table_grow(struct vm_table *table, uint64_t delta, uint64_t value, struct bulk *bulk,
                   enum vm_trap *trap);
enum vm_trap table_init(struct vm_table *table, const struct instance_element *segment, uint64_t to,
                        uint64_t from, uint64_t size, struct bulk *bulk);
enum vm_trap table_copy(struct vm_table *to_table, struct vm_table *from_table, uint64_t to,
                        uint64_t from, uint64_t size, struct bulk *bulk);
enum vm_trap table_fill(struct vm_table *table, uint64_t to, uint64_t value, uint64_t size,
                        struct bulk *bulk);

/* link.c: the imports are of the kinds and types that the module asks for; else UNLINKABLE. */
bool link_check(const struct vm_module *module, const struct vm_extern *imports,
                struct err *err) MUST_CHECK;

/* constant.c: the value of a constant, whose globals are there. */
void constant_evaluate(const struct vm_instance *instance, const struct module_const *constant,
                       uint64_t slots[static 2]);

/* instance.c: element and data segments of an instance (core 4.5.4 steps 12..16), called by
 * vm_run's start run before the start function, until none is left. Returns a trap or NONE. */
struct segments {
    uint32_t next;             /* element segments, then data segments */
    uint32_t evaluating, item; /* before that: of which element segment, which item */
    uint64_t moved;            /* bytes so far, as bulk counts them */
    struct bulk bulk;
};
bool instance_has_segments(const struct vm_instance *instance, const struct segments *segments);
enum vm_trap instance_init_segments(struct vm_instance *instance, struct segments *segments);

/* values between the embedder's form and slots; v128 takes two slots. */
uint32_t vm_type_slots(enum vm_type type);
void value_to_slots(const struct vm_value *value, uint64_t *slots);
struct vm_value value_from_slots(enum vm_type type, const uint64_t *slots);

#endif
