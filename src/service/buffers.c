/* buffers.c: bytes and strings in and out of the program's memory (docs/protocol.md section 6).
 *
 * A program has no imports, so whoever wants to hand it a buffer has to ask it for the room: by the
 * allocator that it exports. What that costs is the program's gas. Every pointer that comes back is
 * checked against the memory as it is at that moment.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "base/text.h"

#include <assert.h>
#include <string.h>

enum { ALLOCATOR_PARAMS_MAX = 4 };

/* ---- the program's exports ---- */

/* The exported allocator; *params is 1 for (size), 4 for cabi_realloc(old, old_size, align, size).
 */
static const struct vm_func *find_allocator(const struct vm_instance *instance, uint32_t *params)
{
    static const struct {
        const char *name;
        uint32_t params;
    } known[] = {{"alloc", 1}, {"allocate", 1}, {"malloc", 1}, {"cabi_realloc", 4}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct vm_extern found;
        if (!vm_instance_find_export(instance, bytes_of_string(known[i].name), &found) ||
            found.kind != VM_EXTERN_FUNC) {
            continue;
        }
        const struct vm_func_type *type = vm_func_get_type(found.object);
        bool fits = type->param_count == known[i].params && type->result_count == 1;
        for (uint32_t slot = 0; fits && slot < known[i].params + 1; slot++) {
            fits = type->types[slot] == VM_I32;
        }
        if (fits) {
            *params = known[i].params;
            return found.object;
        }
    }
    return NULL;
}

static struct vm_memory *find_memory(const struct vm_instance *instance)
{
    struct vm_extern found;
    bool is_memory = vm_instance_find_export(instance, bytes_of_string("memory"), &found) &&
                     found.kind == VM_EXTERN_MEMORY;
    return is_memory ? found.object : NULL;
}

/* ---- arguments ---- */

bool buffers_begin_allocate(struct session *session, struct err *err)
{
    struct session_program *program = &session->program;
    const struct values_argument *argument = &program->arguments[program->buffer];
    uint32_t params = 0;
    const struct vm_func *allocator = find_allocator(program->instance, &params);
    if (allocator == NULL) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "arguments[%u]: the program exports no allocator: alloc, allocate or malloc "
                       "(i32) -> i32, or cabi_realloc",
                       argument->position);
    }
    const struct vm_memory *memory = find_memory(program->instance);
    if (memory == NULL) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "arguments[%u]: the program exports no memory named \"memory\"",
                       argument->position);
    }
    if (vm_memory_is_64(memory)) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "arguments[%u]: the program's memory has 64-bit addresses, a buffer's "
                       "pointer has 32 bits",
                       argument->position);
    }
    struct vm_value values[ALLOCATOR_PARAMS_MAX];
    memset(values, 0, sizeof(values));
    for (uint32_t i = 0; i < params; i++) {
        values[i].type = VM_I32;
    }
    values[params - 1].as.i32 = (uint32_t)argument->data.size;
    if (params == ALLOCATOR_PARAMS_MAX) {
        values[2].as.i32 = 1; /* alignment */
    }
    return vm_run_begin_call(program->run, allocator, values, params, err);
}

bool buffers_copy(struct session *session, size_t bytes, bool *is_done, struct err *err)
{
    struct session_program *program = &session->program;
    const struct values_argument *argument = &program->arguments[program->buffer];
    uint32_t count = 0;
    uint32_t pointer = vm_run_results(program->run, &count)[0].as.i32;
    uint8_t *room = NULL;
    if (argument->data.size > 0 && pointer == 0) {
        return err_set(err, ERR_MEMORY_EXCEEDED,
                       "arguments[%u]: the program's allocator has no %zu bytes",
                       argument->position, argument->data.size);
    }
    if (!vm_memory_range(find_memory(program->instance), pointer, argument->data.size, &room)) {
        return err_set(err, ERR_EXECUTION_TRAP,
                       "arguments[%u]: the program's allocator returned a place outside its memory",
                       argument->position);
    }
    size_t rest = argument->data.size - program->sent;
    size_t size = rest < bytes ? rest : bytes;
    if (size > 0) {
        memcpy(room + program->sent, argument->data.ptr + program->sent, size);
    }
    program->sent += size;
    *is_done = size == rest;
    if (*is_done) {
        program->sent = 0;
        program->pointers[program->buffer++] = pointer;
    }
    return true;
}

/* ---- results ---- */

static bool type_is_buffer(const struct vm_func_type *type)
{
    const enum vm_type *results = type->types + type->param_count;
    return (type->result_count == 1 && results[0] == VM_I64) ||
           (type->result_count == 2 && results[0] == VM_I32 && results[1] == VM_I32);
}

bool buffers_check_result(const struct session *session, const struct vm_func_type *type,
                          struct err *err)
{
    struct vm_export memory;
    if (session->request.result_type == EXECUTE_VALUES) {
        return true;
    }
    if (vm_module_find_export(session->program.module, bytes_of_string("memory"), &memory) &&
        memory.type.kind == VM_EXTERN_MEMORY && memory.type.is_64) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "result_type: the program's memory has 64-bit addresses, a buffer's pointer "
                       "has 32 bits");
    }
    return type_is_buffer(type) ||
           err_set(err, ERR_INVALID_ARGUMENTS,
                   "result_type: the function's results must be (i32, i32), pointer and length, or "
                   "one i64, pointer << 32 | length");
}

/* Pointer and length, or both in one. */
static void buffer_of(const struct vm_value *results, uint32_t count, uint32_t *pointer,
                      uint32_t *size)
{
    *pointer = count == 2 ? results[0].as.i32 : (uint32_t)(results[0].as.i64 >> 32);
    *size = count == 2 ? results[1].as.i32 : (uint32_t)results[0].as.i64;
}

size_t buffers_result_bytes(const struct session *session)
{
    uint32_t count = 0;
    uint32_t pointer = 0;
    uint32_t size = 0;
    if (session->request.result_type == EXECUTE_VALUES) {
        return 0;
    }
    const struct vm_value *results = vm_run_results(session->program.run, &count);
    buffer_of(results, count, &pointer, &size);
    return size <= session->service->config.result_bytes_max ? size : 0;
}

/* Where the one output lies that is a buffer. */
static bool find_output(struct session *session, struct err *err)
{
    uint32_t count = 0, pointer = 0, size = 0;
    const struct vm_value *results = vm_run_results(session->program.run, &count);
    struct vm_memory *memory = find_memory(session->program.instance);
    uint8_t *data = NULL;
    buffer_of(results, count, &pointer, &size);
    if (memory == NULL) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "result_type: the program exports no memory named \"memory\"");
    }
    if (!vm_memory_range(memory, pointer, size, &data)) {
        return err_set(err, ERR_EXECUTION_TRAP,
                       "the result, %u bytes at %u, lies outside the program's memory", size,
                       pointer);
    }
    if (size > session->service->config.result_bytes_max) {
        return err_set(err, ERR_MEMORY_EXCEEDED, "the result is longer than %zu bytes",
                       session->service->config.result_bytes_max);
    }
    session->result.source = bytes_of(data, size);
    return true;
}

/* As much of a text as a piece may have, up to the end of a character. */
static size_t text_piece(struct bytes text, size_t most)
{
    size_t size = text.size < most ? text.size : most;
    for (int i = 0; i < 3 && size < text.size && (text.ptr[size] & 0xc0) == 0x80; i++) {
        size--;
    }
    return size;
}

static bool put_text(struct buffer *out, struct bytes text, struct err *err)
{
    if (!text_is_utf8(text) || (text.size > 0 && memchr(text.ptr, 0, text.size) != NULL)) {
        return err_set(err, ERR_EXECUTION_TRAP,
                       "the result is not UTF-8 text without NUL: ask for result_type \"bytes\"");
    }
    json_put_piece(out, text);
    return true;
}

static void put_base64(struct buffer *out, struct bytes bytes)
{
    size_t size = text_base64_encoded_size(bytes.size);
    char *text = (char *)buffer_extend(out, size + 1);
    if (text != NULL) {
        text_base64_encode(bytes, text);
        out->size--; /* the NUL */
    }
}

enum { PIECE_BYTES = 192 * 1024, OUTPUT_MEMBERS_BYTES = 64 };
static_assert(PIECE_BYTES % 3 == 0, "a piece's base64 has no padding");

/* The next piece of it; the members before and after it are in order. */
static bool put_output(struct session *session, bool *is_done, struct err *err)
{
    struct session_result *result = &session->result;
    bool is_text = session->request.result_type != EXECUTE_BYTES;
    if (result->outputs.size == 0) {
        size_t size = result->source.size;
        buffer_expect(&result->outputs,
                      (is_text ? size : text_base64_encoded_size(size)) + OUTPUT_MEMBERS_BYTES);
        buffer_append_string(&result->outputs, is_text ? "[{\"type\":\"string\",\"value\":\""
                                                       : "[{\"type\":\"bytes\",\"value\":\"");
    }
    struct bytes rest =
        bytes_of(result->source.ptr + result->done, result->source.size - result->done);
    rest.size = is_text                   ? text_piece(rest, PIECE_BYTES)
                : rest.size < PIECE_BYTES ? rest.size
                                          : PIECE_BYTES;
    if (!is_text) {
        put_base64(&result->outputs, rest);
    } else if (!put_text(&result->outputs, rest, err)) {
        return false;
    }
    result->done += rest.size;
    *is_done = result->done == result->source.size;
    if (*is_done) {
        buffer_append_string(&result->outputs, "\"}]");
    }
    return true;
}

static bool put_values(struct session *session, struct err *err)
{
    uint32_t count = 0;
    const struct vm_value *results = vm_run_results(session->program.run, &count);
    json_t *outputs = json_array();
    bool ok = outputs != NULL;
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = json_array_append_new(outputs, service_value_to_json(&results[i])) == 0;
    }
    ok = ok ? json_canonical(outputs, &session->result.outputs, err)
            : err_set(err, ERR_NO_MEMORY, "no memory for the outputs");
    json_decref(outputs);
    return ok;
}

static bool put_outputs(struct session *session, bool *is_done, struct err *err)
{
    struct session_result *result = &session->result;
    if (session->request.result_type == EXECUTE_VALUES) {
        *is_done = true;
        return put_values(session, err);
    }
    return (result->outputs.size > 0 || find_output(session, err)) &&
           put_output(session, is_done, err);
}

bool buffers_outputs(struct session *session, bool *is_done, struct err *err)
{
    struct session_result *result = &session->result;
    if (result->hash == NULL) {
        buffer_init(&result->outputs,
                    session->service->config.result_bytes_max + RESULT_MEMBERS_BYTES_MAX);
        result->hash = crypto_sha256_new();
    }
    size_t before = result->outputs.size;
    bool ok = result->hash != NULL ? put_outputs(session, is_done, err)
                                   : err_set(err, ERR_NO_MEMORY, "no memory for the outputs");
    if (ok && result->outputs.no_memory) {
        ok = err_set(err, ERR_NO_MEMORY, "no memory for the outputs");
    } else if (ok && result->outputs.failed) {
        ok = err_set(err, ERR_MEMORY_EXCEEDED, "the result is longer than %zu bytes",
                     session->service->config.result_bytes_max);
    }
    if (!ok) {
        result_drop(session);
        return false;
    }
    crypto_sha256_add(result->hash,
                      bytes_of(result->outputs.ptr + before, result->outputs.size - before));
    return true;
}
