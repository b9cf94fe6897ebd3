/* link.c: may these objects be imported here? (core spec 4.5.3 matching, 4.5.4 steps 1 to 4)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/instance.h"

/* The object must have at least the size asked for, and no right to grow over the maximum asked. */
static bool limits_match(uint64_t count, uint64_t max, const struct vm_extern_type *wanted)
{
    return count >= wanted->min && (wanted->max == UINT64_MAX || max <= wanted->max);
}

static bool table_matches(const struct vm_table *table, const struct vm_extern_type *wanted)
{
    return table->type == wanted->type && table->is_64 == wanted->is_64 &&
           limits_match(table->count, table->max, wanted);
}

static bool memory_matches(const struct vm_memory *memory, const struct vm_extern_type *wanted)
{
    return memory->is_64 == wanted->is_64 &&
           limits_match(memory->bytes / VM_PAGE_BYTES, memory->max_pages, wanted);
}

static bool global_matches(const struct vm_global *global, const struct vm_extern_type *wanted)
{
    return global->type == wanted->type && global->is_mutable == wanted->is_mutable;
}

static bool import_matches(const struct vm_extern *object, const struct vm_extern_type *wanted)
{
    if (object->kind != wanted->kind) {
        return false;
    }
    switch (wanted->kind) {
    case VM_EXTERN_FUNC:
        return vm_func_type_equal(((const struct vm_func *)object->object)->type, &wanted->func);
    case VM_EXTERN_TABLE:
        return table_matches(object->object, wanted);
    case VM_EXTERN_MEMORY:
        return memory_matches(object->object, wanted);
    case VM_EXTERN_GLOBAL:
        return global_matches(object->object, wanted);
    }
    return false;
}

bool link_check(const struct vm_module *module, const struct vm_extern *imports, struct err *err)
{
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct vm_import *import = &module->imports[i];
        const char *text = NULL;
        if (imports[i].object == NULL) {
            text = "unknown import";
        } else if (!import_matches(&imports[i], &import->type)) {
            text = "incompatible import type";
        }
        if (text != NULL) {
            char module_name[MODULE_NAME_TEXT_BYTES], name[MODULE_NAME_TEXT_BYTES];
            module_name_text(import->module, module_name);
            module_name_text(import->name, name);
            return err_set(err, ERR_UNLINKABLE, "%s: \"%s\" \"%s\"", text, module_name, name);
        }
    }
    return true;
}
