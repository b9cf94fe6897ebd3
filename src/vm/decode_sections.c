/* decode_sections.c: types, functions, tables, memories, globals, exports, start (core spec 5.5.4,
 * 5.5.6 to 5.5.11).
 *
 * An index space holds its imports first; a section of definitions makes the array anew at its
 * full size and copies the imports over. A type index becomes a pointer here, so this is where an
 * unknown one is refused; all other indices are validate.c's.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

#include <string.h>

/* Passes over types that are read once their number is known. */
static bool decode_type_bytes(struct reader *reader, uint32_t count, struct err *err)
{
    struct bytes bytes;
    return reader_take(reader, count, &bytes) ||
           decode_fail(reader, err, "unexpected end of section or function");
}

static bool decode_func_type(struct vm_module *module, struct reader *reader,
                             struct vm_func_type *out, struct err *err)
{
    struct reader at = *reader;
    uint8_t form;
    if (!decode_u8(reader, &form, err)) {
        return false;
    }
    if (form >= 0x80) { /* it is a signed number of seven bits */
        return decode_fail(&at, err, "integer representation too long");
    }
    if (form != 0x60) {
        return decode_fail(&at, err, "malformed function type");
    }
    if (!decode_count(reader, "params_max", module->limits.params_max, &out->param_count, err)) {
        return false;
    }
    struct reader first = *reader;
    if (!decode_type_bytes(reader, out->param_count, err) ||
        !decode_count(reader, "results_max", module->limits.results_max, &out->result_count, err)) {
        return false;
    }
    struct reader second = *reader;
    if (!decode_type_bytes(reader, out->result_count, err)) {
        return false;
    }
    size_t count = (size_t)out->param_count + out->result_count;
    enum vm_type *types = decode_array(module, count, sizeof *types, err);
    if (types == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (!decode_value_type(module, i < out->param_count ? &first : &second, &types[i], err)) {
            return false;
        }
    }
    out->types = types;
    return true;
}

bool decode_types(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    if (!decode_count(reader, "types_max", module->limits.types_max, &count, err)) {
        return false;
    }
    struct vm_func_type *types = decode_array(module, count, sizeof *types, err);
    if (types == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_func_type(module, reader, &types[i], err)) {
            return false;
        }
    }
    module->types = types;
    module->type_count = count;
    return true;
}

/* The count of a section of definitions, and an array for them and the imports before them, which
 * are copied from `imports`. The limit is for both. */
static void *decode_index_space(struct vm_module *module, struct reader *reader, const char *limit,
                                uint32_t max, const void *imports, uint32_t import_count,
                                size_t size, uint32_t *total, struct err *err)
{
    struct reader at = *reader;
    uint32_t count;
    if (!decode_count(reader, limit, UINT32_MAX, &count, err)) {
        return NULL;
    }
    if (count > max || import_count > max - count) {
        decode_limit(&at, err, limit, (uint64_t)import_count + count, max);
        return NULL;
    }
    void *array = decode_array(module, import_count + count, size, err);
    if (array != NULL && import_count > 0) {
        memcpy(array, imports, import_count * size);
    }
    *total = import_count + count;
    return array;
}

bool decode_funcs(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    struct module_func *funcs =
        decode_index_space(module, reader, "functions_max", module->limits.functions_max,
                           module->funcs, module->func_import_count, sizeof *funcs, &count, err);
    if (funcs == NULL) {
        return false;
    }
    for (uint32_t i = module->func_import_count; i < count; i++) {
        struct reader at = *reader;
        if (!decode_u32(reader, &funcs[i].type_index, err)) {
            return false;
        }
        if (funcs[i].type_index >= module->type_count) {
            return decode_fail(&at, err, "unknown type");
        }
        funcs[i].type = &module->types[funcs[i].type_index];
    }
    module->funcs = funcs;
    module->func_count = count;
    return true;
}

bool decode_tables(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    struct module_table *tables =
        decode_index_space(module, reader, "tables_max", module->limits.tables_max, module->tables,
                           module->table_import_count, sizeof *tables, &count, err);
    if (tables == NULL) {
        return false;
    }
    for (uint32_t i = module->table_import_count; i < count; i++) {
        if (!decode_table_type(module, reader, &tables[i], err)) {
            return false;
        }
    }
    module->tables = tables;
    module->table_count = count;
    return true;
}

bool decode_memories(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    struct module_memory *memories = decode_index_space(
        module, reader, "memories_max", module->limits.memories_max, module->memories,
        module->memory_import_count, sizeof *memories, &count, err);
    if (memories == NULL) {
        return false;
    }
    for (uint32_t i = module->memory_import_count; i < count; i++) {
        if (!decode_memory_type(module, reader, &memories[i], err)) {
            return false;
        }
    }
    module->memories = memories;
    module->memory_count = count;
    return true;
}

bool decode_globals(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    struct module_global *globals = decode_index_space(
        module, reader, "globals_max", module->limits.globals_max, module->globals,
        module->global_import_count, sizeof *globals, &count, err);
    if (globals == NULL) {
        return false;
    }
    for (uint32_t i = module->global_import_count; i < count; i++) {
        if (!decode_global_type(module, reader, &globals[i], err) ||
            !decode_const(module, reader, &globals[i].init, err)) {
            return false;
        }
    }
    module->globals = globals;
    module->global_count = count;
    return true;
}

static bool decode_export(struct vm_module *module, struct reader *reader, struct vm_export *out,
                          struct err *err)
{
    uint8_t kind;
    if (!decode_name(module, reader, &out->name, err)) {
        return false;
    }
    struct reader at = *reader;
    if (!decode_u8(reader, &kind, err)) {
        return false;
    }
    if (kind > VM_EXTERN_GLOBAL) {
        return decode_fail(&at, err, "malformed export kind");
    }
    out->type.kind = (enum vm_extern_kind)kind;
    if (!decode_u32(reader, &out->index, err)) {
        return false;
    }
    if (out->type.kind == VM_EXTERN_FUNC) {
        decode_declare_func(module, out->index);
    }
    return true;
}

bool decode_exports(struct vm_module *module, struct reader *reader, struct err *err)
{
    uint32_t count;
    if (!decode_count(reader, "exports_max", module->limits.exports_max, &count, err)) {
        return false;
    }
    struct vm_export *exports = decode_array(module, count, sizeof *exports, err);
    if (exports == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_export(module, reader, &exports[i], err)) {
            return false;
        }
    }
    module->exports = exports;
    module->export_count = count;
    return true;
}

bool decode_start(struct vm_module *module, struct reader *reader, struct err *err)
{
    module->has_start = true;
    module->start_offset = (uint32_t)reader_offset(reader);
    return decode_u32(reader, &module->start, err);
}
