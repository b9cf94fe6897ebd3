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

/* The types of a module may have this many parameters and results each, in the mean of as many
 * types as there may be: telling them apart reads all of them. */
enum { DECODE_VALUES_PER_TYPE = 100 };

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

bool decode_types(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    if (!decode_count(&decoder->reader, "types_max", module->limits.types_max, &module->type_count,
                      err)) {
        return false;
    }
    decoder->count = module->type_count;
    module->types = decode_array(module, module->type_count, sizeof *module->types, err);
    return module->types != NULL;
}

bool decode_type(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct vm_func_type *type = &module->types[decoder->next];
    uint64_t max = (uint64_t)module->limits.types_max * DECODE_VALUES_PER_TYPE;
    struct reader at = decoder->reader;
    if (!decode_func_type(module, &decoder->reader, type, err)) {
        return false;
    }
    decoder->type_values += (uint64_t)type->param_count + type->result_count;
    return decoder->type_values <= max ||
           decode_limit(&at, err, "values of all types", decoder->type_values, max);
}

/* The count of a section of definitions, and an array for them and the imports before them, which
 * are copied from `imports`. The limit is for both. */
static void *decode_index_space(struct decoder *decoder, const char *limit, uint32_t max,
                                const void *imports, uint32_t import_count, size_t size,
                                uint32_t *total, struct err *err)
{
    struct reader at = decoder->reader;
    uint32_t count;
    if (!decode_count(&decoder->reader, limit, UINT32_MAX, &count, err)) {
        return NULL;
    }
    if (count > max || import_count > max - count) {
        decode_limit(&at, err, limit, (uint64_t)import_count + count, max);
        return NULL;
    }
    void *array = decode_array(decoder->module, import_count + count, size, err);
    if (array != NULL && import_count > 0) {
        memcpy(array, imports, import_count * size);
    }
    decoder->count = count;
    *total = import_count + count;
    return array;
}

bool decode_funcs(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    module->funcs = decode_index_space(decoder, "functions_max", module->limits.functions_max,
                                       module->funcs, module->func_import_count,
                                       sizeof *module->funcs, &module->func_count, err);
    return module->funcs != NULL;
}

bool decode_func(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct module_func *func = &module->funcs[module->func_import_count + decoder->next];
    struct reader at = decoder->reader;
    if (!decode_u32(&decoder->reader, &func->type_index, err)) {
        return false;
    }
    if (func->type_index >= module->type_count) {
        return decode_fail(&at, err, "unknown type");
    }
    func->type = &module->types[func->type_index];
    return true;
}

bool decode_tables(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    module->tables = decode_index_space(decoder, "tables_max", module->limits.tables_max,
                                        module->tables, module->table_import_count,
                                        sizeof *module->tables, &module->table_count, err);
    return module->tables != NULL;
}

bool decode_table(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    return decode_table_type(module, &decoder->reader,
                             &module->tables[module->table_import_count + decoder->next], err);
}

bool decode_memories(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    module->memories = decode_index_space(decoder, "memories_max", module->limits.memories_max,
                                          module->memories, module->memory_import_count,
                                          sizeof *module->memories, &module->memory_count, err);
    return module->memories != NULL;
}

bool decode_memory(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    return decode_memory_type(module, &decoder->reader,
                              &module->memories[module->memory_import_count + decoder->next], err);
}

bool decode_globals(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    module->globals = decode_index_space(decoder, "globals_max", module->limits.globals_max,
                                         module->globals, module->global_import_count,
                                         sizeof *module->globals, &module->global_count, err);
    return module->globals != NULL;
}

bool decode_global(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct module_global *global = &module->globals[module->global_import_count + decoder->next];
    return decode_global_type(module, &decoder->reader, global, err) &&
           decode_const(module, &decoder->reader, &global->init, err);
}

bool decode_exports(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    if (!decode_count(&decoder->reader, "exports_max", module->limits.exports_max,
                      &module->export_count, err)) {
        return false;
    }
    decoder->count = module->export_count;
    module->exports = decode_array(module, module->export_count, sizeof *module->exports, err);
    return module->exports != NULL;
}

bool decode_export(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    struct reader *reader = &decoder->reader;
    struct vm_export *out = &module->exports[decoder->next];
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

bool decode_start(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    module->has_start = true;
    module->start_offset = (uint32_t)reader_offset(&decoder->reader);
    return decode_u32(&decoder->reader, &module->start, err);
}
