/* exec_args.c: arguments from the command line as the protocol's JSON array.
 *
 * The module is at hand, so each text is read by the type of its parameter and sent with it: the
 * node gets the very bits that were meant. A buffer stands for two i32 parameters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"
#include "cli/values.h"
#include "service/service.h"

#include <string.h>

static json_t *buffer_json(const uint8_t *content, size_t size)
{
    char *text = heap_alloc(text_base64_encoded_size(size) + 1);
    if (text == NULL) {
        return NULL;
    }
    text_base64_encode(bytes_of(content, size), text);
    json_t *json = json_pack("{s:s, s:s}", "type", "bytes", "value", text);
    heap_free(text);
    return json;
}

static bool file_json(const char *path, json_t **out, struct err *err)
{
    uint8_t *content = NULL;
    size_t size = 0;
    if (!cli_file_read(path, EXEC_FILE_BYTES_MAX, &content, &size, err)) {
        return false;
    }
    *out = buffer_json(content, size);
    heap_free(content);
    return *out != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool scalar_json(const char *text, enum vm_type type, json_t **out, struct err *err)
{
    struct vm_value value;
    if (!cli_value_parse(text, type, &value, err)) {
        return false;
    }
    *out = service_value_to_json(&value);
    return *out != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool buffer_fits(const struct vm_func_type *type, uint32_t param)
{
    return param + 2 <= type->param_count && type->types[param] == VM_I32 &&
           type->types[param + 1] == VM_I32;
}

static bool arg_json(const struct exec_arg *arg, const struct vm_func_type *type, uint32_t *param,
                     json_t **out, struct err *err)
{
    if (arg->kind == EXEC_ARG_TEXT) {
        if (*param >= type->param_count) {
            return err_set(err, ERR_INVALID_ARGUMENTS, "the function takes no more than %u",
                           type->param_count);
        }
        return scalar_json(arg->text, type->types[(*param)++], out, err);
    }
    if (!buffer_fits(type, *param)) {
        return err_set(err, ERR_INVALID_ARGUMENTS,
                       "a buffer needs two i32 parameters here, for pointer and length");
    }
    *param += 2;
    if (arg->kind == EXEC_ARG_FILE) {
        return file_json(arg->text, out, err);
    }
    *out = json_pack("{s:s, s:s}", "type", "string", "value", arg->text);
    return *out != NULL || err_set(err, ERR_INVALID_ARGUMENTS, "the text is not valid UTF-8");
}

bool exec_args_json(const struct exec_request *request, const struct vm_func_type *type,
                    json_t **out, struct err *err)
{
    json_t *array = json_array();
    uint32_t param = 0;
    bool ok = array != NULL || err_set(err, ERR_NO_MEMORY, "out of memory");
    for (uint32_t i = 0; ok && i < request->arg_count; i++) {
        json_t *element = NULL;
        ok = arg_json(&request->args[i], type, &param, &element, err);
        if (!ok) {
            err_wrap(err, "argument %u", i + 1);
        } else if (json_array_append_new(array, element) != 0) {
            ok = err_set(err, ERR_NO_MEMORY, "out of memory");
        }
    }
    if (ok && param != type->param_count) {
        ok = err_set(err, ERR_INVALID_ARGUMENTS, "the function takes %u parameters, got %u",
                     type->param_count, param);
    }
    if (!ok) {
        json_decref(array);
        return false;
    }
    *out = array;
    return true;
}
