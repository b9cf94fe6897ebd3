/* decode_code.c: the code section (core spec 5.5.13): for each defined function its local
 * declarations and where its expression lies. The instructions are read by the validator.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/decode.h"

static bool decode_local_runs(const struct vm_module *module, struct reader *reader,
                              struct module_local_run *runs, uint32_t count, uint64_t *total,
                              struct err *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!decode_u32(reader, &runs[i].count, err) ||
            !decode_value_type(module, reader, &runs[i].type, err)) {
            return false;
        }
        *total += runs[i].count;
    }
    return true;
}

static bool decode_locals(struct vm_module *module, struct reader *reader, struct module_func *func,
                          struct err *err)
{
    struct reader at = *reader;
    if (!decode_count(reader, "locals_max", module->limits.locals_max, &func->local_run_count,
                      err)) {
        return false;
    }
    struct module_local_run *runs = decode_array(module, func->local_run_count, sizeof *runs, err);
    uint64_t total = func->type->param_count;
    if (runs == NULL ||
        !decode_local_runs(module, reader, runs, func->local_run_count, &total, err)) {
        return false;
    }
    if (total > UINT32_MAX) {
        return decode_fail(&at, err, "too many locals");
    }
    if (total > module->limits.locals_max) {
        return decode_limit(&at, err, "locals_max", total, module->limits.locals_max);
    }
    func->local_runs = runs;
    func->local_count = (uint32_t)total;
    return true;
}

static bool decode_body(struct vm_module *module, struct reader *reader, struct module_func *func,
                        struct err *err)
{
    struct reader at = *reader;
    struct bytes bytes;
    if (!decode_bytes(reader, &bytes, err)) {
        return false;
    }
    if (bytes.size > module->limits.function_bytes_max) {
        return decode_limit(&at, err, "function_bytes_max", bytes.size,
                            module->limits.function_bytes_max);
    }
    struct reader body = {at.start, bytes.ptr, at.end};
    if (!decode_locals(module, &body, func, err)) {
        return false;
    }
    if (body.ptr > reader->ptr) {
        return decode_fail(reader, err, "unexpected end of section or function");
    }
    func->body_offset = (uint32_t)reader_offset(&body);
    func->body = bytes_of(body.ptr, (size_t)(reader->ptr - body.ptr));
    return true;
}

bool decode_code(struct vm_module *module, struct reader *reader, uint32_t *count, struct err *err)
{
    struct bytes passed;
    if (!decode_count(reader, "functions_max", UINT32_MAX, count, err)) {
        return false;
    }
    uint32_t first = module->func_import_count;
    bool is_consistent = *count == module->func_count - first;
    for (uint32_t i = 0; i < *count; i++) {
        if (!is_consistent) {
            if (!decode_bytes(reader, &passed, err)) {
                return false;
            }
        } else if (!decode_body(module, reader, &module->funcs[first + i], err)) {
            return module_err_in_func(err, first + i);
        }
    }
    return true;
}

bool decode_last_body(const struct vm_module *module, struct err *err)
{
    uint32_t index = module->func_count - 1;
    const struct module_func *func = &module->funcs[index];
    size_t left = module->wasm.size - func->body_offset;
    struct reader reader = reader_of(bytes_of(func->body.ptr, left));
    while (reader_offset(&reader) < func->body.size) {
        struct instruction instruction;
        if (!opcode_read(&reader, func->body_offset, &instruction, err)) {
            return module_err_in_func(err, index);
        }
    }
    return reader_offset(&reader) == func->body.size ||
           decode_fail(&reader, err, "section size mismatch");
}
