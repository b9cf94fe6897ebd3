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

static bool decode_body_of(struct vm_module *module, struct reader *reader,
                           struct module_func *func, struct err *err)
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

bool decode_code(struct decoder *decoder, struct err *err)
{
    if (!decode_count(&decoder->reader, "functions_max", UINT32_MAX, &decoder->code_count, err)) {
        return false;
    }
    decoder->count = decoder->code_count;
    return true;
}

bool decode_body(struct decoder *decoder, struct err *err)
{
    struct vm_module *module = decoder->module;
    uint32_t index = module->func_import_count + (uint32_t)decoder->next;
    struct bytes passed;
    if (decoder->code_count != module->func_count - module->func_import_count) {
        return decode_bytes(&decoder->reader, &passed, err);
    }
    return decode_body_of(module, &decoder->reader, &module->funcs[index], err) ||
           module_err_in_func(err, index);
}

bool decode_last_body(struct decoder *decoder, size_t *left, struct err *err)
{
    uint32_t index = decoder->module->func_count - 1;
    const struct module_func *func = &decoder->module->funcs[index];
    struct reader *reader = &decoder->reader;
    size_t before = reader_offset(reader);
    if (before < func->body.size) {
        struct instruction instruction;
        bool is_read = opcode_read(reader, func->body_offset, &instruction, err);
        module_take(left, reader_offset(reader) - before);
        return is_read || module_err_in_func(err, index);
    }
    if (before > func->body.size) {
        return decode_fail(reader, err, "section size mismatch");
    }
    *err = decoder->failure;
    return false;
}
