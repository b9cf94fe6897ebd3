/* decode_import.c: the import section (core spec 5.5.5).
 *
 * It is read twice: first to count each kind, then into arrays of just that size. So it has twice
 * as many entries as imports.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

struct import { /* one entry, whatever its kind */
    struct vm_import entry;
    struct module_func func;
    struct module_table table;
    struct module_memory memory;
    struct module_global global;
};

static bool decode_import_func(struct vm_module *module, struct reader *reader, struct import *out,
                               struct err *err)
{
    struct reader at = *reader;
    out->func.is_import = true;
    if (!decode_u32(reader, &out->func.type_index, err)) {
        return false;
    }
    if (out->func.type_index >= module->type_count) {
        return decode_fail(&at, err, "unknown type");
    }
    out->func.type = &module->types[out->func.type_index];
    return true;
}

static bool read_import(struct vm_module *module, struct reader *reader, struct import *out,
                        struct err *err)
{
    uint8_t kind;
    if (!decode_name(module, reader, &out->entry.module, err) ||
        !decode_name(module, reader, &out->entry.name, err)) {
        return false;
    }
    struct reader at = *reader;
    if (!decode_u8(reader, &kind, err)) {
        return false;
    }
    out->entry.type.kind = (enum vm_extern_kind)kind;
    switch (kind) {
    case VM_EXTERN_FUNC:
        return decode_import_func(module, reader, out, err);
    case VM_EXTERN_TABLE:
        return decode_table_type(module, reader, &out->table, err);
    case VM_EXTERN_MEMORY:
        return decode_memory_type(module, reader, &out->memory, err);
    case VM_EXTERN_GLOBAL:
        return decode_global_type(module, reader, &out->global, err);
    default:
        return decode_fail(&at, err, "malformed import kind");
    }
}

static void add_import(struct vm_module *module, const struct import *import)
{
    uint32_t index = 0;
    switch (import->entry.type.kind) {
    case VM_EXTERN_FUNC:
        index = module->func_count++;
        module->funcs[index] = import->func;
        break;
    case VM_EXTERN_TABLE:
        index = module->table_count++;
        module->tables[index] = import->table;
        break;
    case VM_EXTERN_MEMORY:
        index = module->memory_count++;
        module->memories[index] = import->memory;
        break;
    case VM_EXTERN_GLOBAL:
        index = module->global_count++;
        module->globals[index] = import->global;
        break;
    }
    struct vm_import *entry = &module->imports[module->import_count++];
    *entry = import->entry;
    entry->type = module_extern_type(module, entry->type.kind, index);
}

/* Each index space alone may not be over its limit already with its imports. */
static bool check_import_counts(const struct vm_module *module, const struct reader *reader,
                                struct err *err)
{
    const struct {
        const char *limit;
        uint32_t count, max;
    } rows[] = {
        {"functions_max", module->func_import_count, module->limits.functions_max},
        {"tables_max", module->table_import_count, module->limits.tables_max},
        {"memories_max", module->memory_import_count, module->limits.memories_max},
        {"globals_max", module->global_import_count, module->limits.globals_max},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].count > rows[i].max) {
            return decode_limit(reader, err, rows[i].limit, rows[i].count, rows[i].max);
        }
    }
    return true;
}

static bool allocate_imports(struct vm_module *module, uint32_t count, struct err *err)
{
    module->imports = decode_array(module, count, sizeof *module->imports, err);
    module->funcs = decode_array(module, module->func_import_count, sizeof *module->funcs, err);
    module->tables = decode_array(module, module->table_import_count, sizeof *module->tables, err);
    module->memories =
        decode_array(module, module->memory_import_count, sizeof *module->memories, err);
    module->globals =
        decode_array(module, module->global_import_count, sizeof *module->globals, err);
    return module->imports != NULL && module->funcs != NULL && module->tables != NULL &&
           module->memories != NULL && module->globals != NULL;
}

bool decode_imports(struct decoder *decoder, struct err *err)
{
    uint32_t count;
    if (!decode_count(&decoder->reader, "imports_max", decoder->module->limits.imports_max, &count,
                      err)) {
        return false;
    }
    decoder->first = decoder->reader;
    decoder->count = 2 * (uint64_t)count;
    return true;
}

static void count_import(struct vm_module *module, enum vm_extern_kind kind)
{
    module->func_import_count += kind == VM_EXTERN_FUNC;
    module->table_import_count += kind == VM_EXTERN_TABLE;
    module->memory_import_count += kind == VM_EXTERN_MEMORY;
    module->global_import_count += kind == VM_EXTERN_GLOBAL;
}

/* All were counted; the reader goes back to the first. */
static bool begin_adding(struct decoder *decoder, struct err *err)
{
    decoder->reader = decoder->first;
    return check_import_counts(decoder->module, &decoder->reader, err) &&
           allocate_imports(decoder->module, (uint32_t)(decoder->count / 2), err);
}

bool decode_import(struct decoder *decoder, struct err *err)
{
    struct import import = {.func = {0}};
    if (decoder->next == decoder->count / 2 && !begin_adding(decoder, err)) {
        return false;
    }
    if (!read_import(decoder->module, &decoder->reader, &import, err)) {
        return false;
    }
    if (decoder->next < decoder->count / 2) {
        count_import(decoder->module, import.entry.type.kind);
    } else {
        add_import(decoder->module, &import);
    }
    return true;
}
