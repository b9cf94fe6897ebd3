/* generate_vm.c: the sections of the two modules; see generate_vm.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "generate_vm.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SECTION_IMPORT = 2, FUEL_GLOBAL = 0, HOST_TYPE = 1, TYPE_FORM = 0x60 };

/* ---- Choices and bytes ---- */

uint32_t generate_choose(struct generator *g, uint32_t count)
{
    uint32_t value = 0;
    if (count <= 1 || g->at >= g->end) {
        return 0;
    }
    value = g->choices.ptr[g->at++];
    if (count > 256 && g->at < g->end) {
        value |= (uint32_t)g->choices.ptr[g->at++] << 8;
    }
    return value % count;
}

void generate_byte(struct generator *g, uint8_t byte)
{
    buffer_append_u8(g->out, byte);
}

void generate_u32(struct generator *g, uint32_t value)
{
    while (value >= 0x80) {
        generate_byte(g, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    generate_byte(g, (uint8_t)value);
}

static void put_name(struct generator *g, const char *name)
{
    generate_u32(g, (uint32_t)strlen(name));
    buffer_append(g->out, name, strlen(name));
}

static void put_numbered_name(struct generator *g, char kind, uint32_t number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "%c%u", kind, number);
    put_name(g, name);
}

/* What is written until section_end goes into a section of its own. */
static struct buffer *section_begin(struct generator *g, struct buffer *contents)
{
    struct buffer *module = g->out;
    buffer_init(contents, GENERATE_BYTES_MAX);
    g->out = contents;
    return module;
}

static void section_end(struct generator *g, struct buffer *module, uint8_t id)
{
    struct buffer *contents = g->out;
    g->out = module;
    generate_byte(g, id);
    generate_u32(g, (uint32_t)contents->size);
    buffer_append_bytes(module, buffer_bytes(contents));
    buffer_release(contents);
}

/* ---- Types ---- */

static const uint8_t value_types[] = {VM_I32,  VM_I64,     VM_F32,      VM_F64,
                                      VM_V128, VM_FUNCREF, VM_EXTERNREF};

static uint8_t choose_type(struct generator *g)
{
    uint32_t choice = generate_choose(g, 22); /* references are rare */
    return choice < 16 ? value_types[choice % 4] : choice < 20 ? VM_V128 : value_types[choice - 15];
}

static struct generate_types choose_types(struct generator *g)
{
    struct generate_types types = {.count = generate_choose(g, GENERATE_ARITY_MAX + 1)};
    for (uint32_t i = 0; i < types.count; i++) {
        types.types[i] = choose_type(g);
    }
    return types;
}

/* Type 0 is [] -> [], type 1 the host function's; of the others some give what they take. */
static void choose_func_types(struct generator *g)
{
    g->types[HOST_TYPE] =
        (struct generate_func_type){.params = {2, {VM_I32, VM_I64}}, .results = {1, {VM_I64}}};
    for (uint32_t i = HOST_TYPE + 1; i < GENERATE_TYPES; i++) {
        g->types[i].params = choose_types(g);
        g->types[i].results = i % 3 == 0 ? g->types[i].params : choose_types(g);
    }
}

static void put_types(struct generator *g, const struct generate_types *types)
{
    generate_u32(g, types->count);
    buffer_append(g->out, types->types, types->count);
}

/* ---- What a module has ---- */

static const struct generate_types *runner_results(const struct generator *g, uint32_t func)
{
    static const struct generate_types nothing = {.count = 0};
    const struct generate_types *results = &g->types[g->func_types[func]].results;
    return memchr(results->types, VM_V128, results->count) == NULL ? results : &nothing;
}

struct plan {
    bool is_second;
    uint32_t imported_funcs;
    uint32_t own_funcs; /* each with its "r..." */
    uint32_t imported_globals;
    bool imports_memory;
};

static void plan_module(struct generator *g, struct plan *plan, bool is_second)
{
    *plan = (struct plan){.is_second = is_second};
    if (!is_second) {
        choose_func_types(g);
        g->func_types[g->func_count++] = HOST_TYPE;
        memcpy(g->table_types, (const uint8_t[]){VM_FUNCREF, VM_EXTERNREF, VM_FUNCREF},
               sizeof g->table_types);
    }
    plan->imported_funcs = g->func_count;
    plan->imported_globals = g->global_count;
    plan->imports_memory = is_second && generate_choose(g, 4) != 3;
    plan->own_funcs = 1 + generate_choose(g, is_second ? 3 : GENERATE_OWN_FUNCS_MAX);
    for (uint32_t i = 0; i < plan->own_funcs; i++) {
        g->func_types[g->func_count++] = generate_choose(g, GENERATE_TYPES);
    }
    if (!is_second) { /* the counter, one of each type, and some that stay what they are */
        g->global_types[g->global_count++] = VM_I32;
        g->global_is_mutable[FUEL_GLOBAL] = true;
        for (size_t i = 0; i < sizeof value_types; i++) {
            g->global_is_mutable[g->global_count] = true;
            g->global_types[g->global_count++] = value_types[i];
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        g->global_is_mutable[g->global_count] = generate_choose(g, 2) == 1;
        g->global_types[g->global_count++] = choose_type(g);
    }
    assert(g->func_count <= GENERATE_FUNCS_MAX && g->global_count <= GENERATE_GLOBALS_MAX);
}

/* Behind the types that bodies use, those of the "r...". */
static void type_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, GENERATE_TYPES + plan->own_funcs);
    for (uint32_t i = 0; i < GENERATE_TYPES; i++) {
        generate_byte(g, TYPE_FORM);
        put_types(g, &g->types[i].params);
        put_types(g, &g->types[i].results);
    }
    for (uint32_t i = plan->imported_funcs; i < g->func_count; i++) {
        generate_byte(g, TYPE_FORM);
        generate_u32(g, 0);
        put_types(g, runner_results(g, i));
    }
    section_end(g, module, 1);
}

static void put_limits(struct generator *g, uint32_t min, uint32_t max)
{
    generate_byte(g, 1);
    generate_u32(g, min);
    generate_u32(g, max);
}

enum { MEMORY_MIN = 1, MEMORY_MAX = 3, TABLE_MIN = 8, TABLE_MAX = 20 };

static void import_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    uint32_t others = plan->is_second ? plan->imported_funcs - 1 + plan->imported_globals +
                                            GENERATE_TABLES + plan->imports_memory
                                      : 0;
    generate_u32(g, 1 + others);
    put_name(g, "host");
    put_name(g, "mix");
    generate_byte(g, 0);
    generate_u32(g, HOST_TYPE);
    for (uint32_t i = 1; plan->is_second && i < plan->imported_funcs; i++) {
        put_name(g, "first");
        put_numbered_name(g, 'f', i);
        generate_byte(g, 0);
        generate_u32(g, g->func_types[i]);
    }
    for (uint32_t i = 0; plan->is_second && i < GENERATE_TABLES; i++) {
        put_name(g, "first");
        put_numbered_name(g, 't', i);
        generate_byte(g, 1);
        generate_byte(g, g->table_types[i]);
        put_limits(g, TABLE_MIN, TABLE_MAX);
    }
    if (plan->imports_memory) {
        put_name(g, "first");
        put_name(g, "memory");
        generate_byte(g, 2);
        put_limits(g, MEMORY_MIN, MEMORY_MAX);
    }
    for (uint32_t i = 0; plan->is_second && i < plan->imported_globals; i++) {
        put_name(g, "first");
        put_numbered_name(g, 'g', i);
        generate_byte(g, 3);
        generate_byte(g, g->global_types[i]);
        generate_byte(g, g->global_is_mutable[i]);
    }
    section_end(g, module, SECTION_IMPORT);
}

static void func_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, 2 * plan->own_funcs);
    for (uint32_t i = plan->imported_funcs; i < g->func_count; i++) {
        generate_u32(g, g->func_types[i]);
    }
    for (uint32_t i = plan->imported_funcs; i < g->func_count; i++) { /* the "r..." */
        generate_u32(g, GENERATE_TYPES + i - plan->imported_funcs);
    }
    section_end(g, module, 3);
}

static void table_and_memory_sections(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    if (!plan->is_second) {
        struct buffer *module = section_begin(g, &contents);
        generate_u32(g, GENERATE_TABLES);
        for (uint32_t i = 0; i < GENERATE_TABLES; i++) {
            generate_byte(g, g->table_types[i]);
            put_limits(g, TABLE_MIN, TABLE_MAX);
        }
        section_end(g, module, 4);
    }
    if (!plan->imports_memory) {
        struct buffer *module = section_begin(g, &contents);
        generate_u32(g, 1);
        put_limits(g, MEMORY_MIN, MEMORY_MAX);
        section_end(g, module, 5);
    }
}

static void global_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, g->global_count - plan->imported_globals);
    for (uint32_t i = plan->imported_globals; i < g->global_count; i++) {
        generate_byte(g, g->global_types[i]);
        generate_byte(g, g->global_is_mutable[i]);
        generate_constant(g, g->global_types[i]);
        generate_byte(g, 0x0b);
    }
    section_end(g, module, 6);
}

static void put_export(struct generator *g, uint8_t kind, uint32_t index)
{
    generate_byte(g, kind);
    generate_u32(g, index);
}

static void export_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    uint32_t own_globals = g->global_count - plan->imported_globals;
    uint32_t own_tables = plan->is_second ? 0 : GENERATE_TABLES;
    generate_u32(g, 2 * plan->own_funcs + own_globals + own_tables + 1);
    for (uint32_t i = plan->imported_funcs; i < g->func_count; i++) {
        put_numbered_name(g, 'f', i);
        put_export(g, 0, i);
        put_numbered_name(g, 'r', i - plan->imported_funcs);
        put_export(g, 0, i + plan->own_funcs);
    }
    for (uint32_t i = 0; i < own_tables; i++) {
        put_numbered_name(g, 't', i);
        put_export(g, 1, i);
    }
    put_name(g, "memory");
    put_export(g, 2, 0);
    for (uint32_t i = plan->imported_globals; i < g->global_count; i++) {
        put_numbered_name(g, 'g', i);
        put_export(g, 3, i);
    }
    section_end(g, module, 7);
}

/* The first function's "r0", if it gives nothing. */
static void start_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    if (runner_results(g, plan->imported_funcs)->count > 0 || generate_choose(g, 4) != 1) {
        return;
    }
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, plan->imported_funcs + plan->own_funcs);
    section_end(g, module, 8);
}

static void put_offset(struct generator *g, uint32_t offset)
{
    generate_byte(g, 0x41);
    generate_u32(g, offset);
    generate_byte(g, 0x0b);
}

/* Segment 0 is applied to table 0, 1 waits for table.init, 2 declares what ref.func may name. */
static void element_section(struct generator *g)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    uint32_t count = g->func_count < TABLE_MIN ? g->func_count : TABLE_MIN;
    generate_u32(g, GENERATE_SEGMENTS);
    generate_u32(g, 0);
    put_offset(g, generate_choose(g, 64) / 60); /* small offsets: rarely out of bounds */
    generate_u32(g, count - 1);
    for (uint32_t i = 1; i < count; i++) {
        generate_u32(g, i);
    }
    generate_u32(g, 1);
    generate_byte(g, 0);
    generate_u32(g, 4);
    for (uint32_t i = 0; i < 4; i++) {
        generate_u32(g, generate_choose(g, g->func_count));
    }
    generate_u32(g, 3);
    generate_byte(g, 0);
    generate_u32(g, g->func_count);
    for (uint32_t i = 0; i < g->func_count; i++) {
        generate_u32(g, i);
    }
    section_end(g, module, 9);
}

static void data_count_section(struct generator *g)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, GENERATE_SEGMENTS);
    section_end(g, module, 12);
}

static void data_section(struct generator *g)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, GENERATE_SEGMENTS);
    for (uint32_t i = 0; i < GENERATE_SEGMENTS; i++) {
        uint32_t size = generate_choose(g, 40);
        generate_u32(g, i == 0 ? 0 : 1);
        if (i == 0) {
            put_offset(g, generate_choose(g, 64));
        }
        generate_u32(g, size);
        for (uint32_t byte = 0; byte < size; byte++) {
            generate_byte(g, (uint8_t)generate_choose(g, 256));
        }
    }
    section_end(g, module, 11);
}

/* ---- Functions ---- */

static void put_locals(struct generator *g, const struct generate_func_type *type)
{
    g->local_count = type->params.count;
    memcpy(g->locals, type->params.types, type->params.count);
    uint32_t runs = generate_choose(g, 8);
    generate_u32(g, runs + 1);
    for (uint32_t i = 0; i < runs; i++) {
        uint32_t count = 1 + generate_choose(g, 2);
        uint8_t local = choose_type(g);
        generate_u32(g, count);
        generate_byte(g, local);
        memset(g->locals + g->local_count, local, count);
        g->local_count += count;
    }
    assert(g->local_count <= GENERATE_LOCALS_MAX);
    generate_u32(g, GENERATE_COUNTERS + GENERATE_INDEXES);
    generate_byte(g, VM_I32);
}

/* Sets the counter and calls the function with constants. */
static void put_runner(struct generator *g, uint32_t func)
{
    const struct generate_func_type *type = &g->types[g->func_types[func]];
    generate_u32(g, 0);
    generate_byte(g, 0x41);
    generate_u32(g, GENERATE_FUEL);
    generate_byte(g, 0x24);
    generate_u32(g, FUEL_GLOBAL);
    for (uint32_t i = 0; i < type->params.count; i++) {
        generate_constant(g, type->params.types[i]);
    }
    generate_byte(g, 0x10);
    generate_u32(g, func);
    g->local_count = 0;
    for (uint32_t i = type->results.count; i > runner_results(g, func)->count; i--) {
        generate_accumulate(g, type->results.types[i - 1]);
    }
    generate_byte(g, 0x0b);
}

static void put_function(struct generator *g, uint32_t func, bool is_runner)
{
    const struct generate_func_type *type = &g->types[g->func_types[func]];
    struct buffer function;
    struct buffer *section = g->out;
    buffer_init(&function, GENERATE_BYTES_MAX);
    g->out = &function;
    if (is_runner) {
        put_runner(g, func);
    } else {
        put_locals(g, type);
        generate_body(g, type);
    }
    g->out = section;
    generate_u32(g, (uint32_t)function.size);
    buffer_append_bytes(section, buffer_bytes(&function));
    buffer_release(&function);
}

enum { DATA_CHOICES = 64 }; /* runners and data come after the code */

static void code_section(struct generator *g, const struct plan *plan)
{
    struct buffer contents;
    struct buffer *module = section_begin(g, &contents);
    generate_u32(g, 2 * plan->own_funcs);
    size_t end = g->end;
    size_t last = end < g->at + DATA_CHOICES ? g->at : end - DATA_CHOICES;
    for (uint32_t i = 0; i < plan->own_funcs; i++) { /* each gets its share of the choices */
        g->end = g->at + (last - g->at) / (plan->own_funcs - i);
        put_function(g, plan->imported_funcs + i, false);
        g->at = g->end;
    }
    g->end = end;
    for (uint32_t i = 0; i < plan->own_funcs; i++) {
        put_function(g, plan->imported_funcs + i, true);
    }
    section_end(g, module, 10);
}

static void put_module(struct generator *g, struct buffer *out, bool is_second)
{
    struct plan plan;
    buffer_init(out, GENERATE_BYTES_MAX);
    buffer_append(out, "\0asm\1\0\0\0", 8);
    g->out = out;
    plan_module(g, &plan, is_second);
    type_section(g, &plan);
    import_section(g, &plan);
    func_section(g, &plan);
    table_and_memory_sections(g, &plan);
    global_section(g, &plan);
    export_section(g, &plan);
    start_section(g, &plan);
    element_section(g);
    data_count_section(g);
    code_section(g, &plan);
    data_section(g);
    assert(!out->failed);
}

void generate(struct bytes choices, struct generate_options options, struct generated *out)
{
    struct generator g = {.choices = choices, .canonical_nans = options.canonical_nans};
    g.end = choices.size - choices.size / 4;
    put_module(&g, &out->first, false);
    g.at = g.end;
    g.end = choices.size;
    put_module(&g, &out->second, true);
}

void generated_release(struct generated *generated)
{
    buffer_release(&generated->first);
    buffer_release(&generated->second);
}
