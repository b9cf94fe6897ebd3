/* module.c: see module.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/module.h"

#include "cli/cli.h"

#include <string.h>

static bool check_magic(struct bytes wasm, const char *path, struct err *err)
{
    if (wasm.size >= 4 && memcmp(wasm.ptr, "\0asm", 4) == 0) {
        return true;
    }
    bool is_text = wasm.size > 0 && (wasm.ptr[0] == '(' || wasm.ptr[0] == ';' ||
                                     wasm.ptr[0] == ' ' || wasm.ptr[0] == '\n');
    return err_set(err, ERR_INVALID_WASM, "'%s' is not a WebAssembly binary%s", path,
                   is_text ? " (this looks like the text format: run wat2wasm on it first)"
                           : " (it does not begin with \\0asm)");
}

bool cli_module_open(struct cli_module *module, const char *path, const struct vm_limits *limits,
                     struct err *err)
{
    *module = (struct cli_module){0};
    if (!cli_file_read(path, limits->module_bytes_max, &module->wasm, &module->size, err)) {
        return false;
    }
    struct bytes wasm = bytes_of(module->wasm, module->size);
    if (!check_magic(wasm, path, err)) {
        cli_module_close(module);
        return false;
    }
    if (!vm_module_load(wasm, limits, NULL, &module->module, err)) {
        cli_module_close(module);
        return err_wrap(err, "'%s'", path);
    }
    return true;
}

void cli_module_close(struct cli_module *module)
{
    if (module->module != NULL) {
        vm_module_unref(module->module);
    }
    heap_free(module->wasm);
    *module = (struct cli_module){0};
}

void cli_func_type_append(const struct vm_func_type *type, struct buffer *out)
{
    buffer_append_u8(out, '(');
    for (uint32_t i = 0; i < type->param_count; i++) {
        buffer_printf(out, "%s%s", i > 0 ? ", " : "", vm_type_name(type->types[i]));
    }
    buffer_append_u8(out, ')');
    for (uint32_t i = 0; i < type->result_count; i++) {
        buffer_printf(out, "%s%s", i > 0 ? ", " : " -> ",
                      vm_type_name(type->types[type->param_count + i]));
    }
}

/* Lists the exported functions into the message of a FUNCTION_NOT_FOUND. */
static bool refuse_with_list(const struct vm_module *module, const char *reason, struct err *err)
{
    struct buffer list;
    buffer_init(&list, ERR_MESSAGE_BYTES_MAX);
    for (uint32_t i = 0; i < vm_module_export_count(module); i++) {
        struct vm_export export = vm_module_export(module, i);
        if (export.type.kind == VM_EXTERN_FUNC) {
            buffer_printf(&list, "%s%.*s", list.size > 0 ? ", " : "", (int)export.name.size,
                          (const char *)export.name.ptr);
            cli_func_type_append(&export.type.func, &list);
        }
    }
    buffer_append_u8(&list, '\0');
    if (list.failed) {
        err_set(err, ERR_FUNCTION_NOT_FOUND, "%s; 'wasm-hypervisor inspect' lists the exports",
                reason);
    } else if (list.size == 1) {
        err_set(err, ERR_FUNCTION_NOT_FOUND, "%s; the module exports no function at all", reason);
    } else {
        err_set(err, ERR_FUNCTION_NOT_FOUND, "%s; exported: %s", reason, (const char *)list.ptr);
    }
    buffer_release(&list);
    return false;
}

static bool find_function(const struct vm_module *module, const char *name, struct vm_export *out)
{
    return vm_module_find_export(module, bytes_of_string(name), out) &&
           out->type.kind == VM_EXTERN_FUNC;
}

bool cli_module_function(const struct vm_module *module, const char *name, struct vm_export *out,
                         struct err *err)
{
    if (name != NULL) {
        char reason[200];
        snprintf(reason, sizeof reason, "there is no exported function '%s'", name);
        return find_function(module, name, out) || refuse_with_list(module, reason, err);
    }
    if (find_function(module, "_start", out) || find_function(module, "main", out)) {
        return true;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < vm_module_export_count(module); i++) {
        struct vm_export export = vm_module_export(module, i);
        if (export.type.kind == VM_EXTERN_FUNC) {
            *out = export;
            count++;
        }
    }
    return count == 1 || refuse_with_list(module, "which function? name one with --invoke", err);
}
