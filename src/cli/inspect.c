/* inspect.c: `inspect`: what a module asks for, offers and contains, without running it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/cli.h"
#include "cli/module.h"
#include "crypto/crypto.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum inspect_flag { INSPECT_CODE = 1, INSPECT_FUNCTION, INSPECT_JSON };

struct inspect_request {
    const char *path;
    bool code;
    bool has_function;
    uint64_t function;
    bool json;
};

static const char *kind_name(enum vm_extern_kind kind)
{
    switch (kind) {
    case VM_EXTERN_FUNC:
        return "func";
    case VM_EXTERN_TABLE:
        return "table";
    case VM_EXTERN_MEMORY:
        return "memory";
    case VM_EXTERN_GLOBAL:
        return "global";
    }
    return "?";
}

/* "(i32) -> i32", "funcref, 1 to 8 elements", "64-bit, 2 to any number of pages", "mut i64" */
static void type_append(const struct vm_extern_type *type, struct buffer *out)
{
    switch (type->kind) {
    case VM_EXTERN_FUNC:
        cli_func_type_append(&type->func, out);
        return;
    case VM_EXTERN_GLOBAL:
        buffer_printf(out, "%s%s", type->is_mutable ? "mut " : "", vm_type_name(type->type));
        return;
    case VM_EXTERN_TABLE:
        buffer_printf(out, "%s, ", vm_type_name(type->type));
        break;
    case VM_EXTERN_MEMORY:
        break;
    }
    buffer_append_string(out, type->is_64 ? "64-bit, " : "");
    buffer_printf(out, "%" PRIu64 " to ", type->min);
    if (type->max == UINT64_MAX) {
        buffer_append_string(out, "any number of");
    } else {
        buffer_printf(out, "%" PRIu64, type->max);
    }
    buffer_append_string(out, type->kind == VM_EXTERN_MEMORY ? " pages" : " elements");
}

static void type_text(const struct vm_extern_type *type, struct buffer *out)
{
    buffer_init(out, 1 << 20);
    type_append(type, out);
    buffer_append_u8(out, '\0');
}

static void names_print(const struct vm_module *module)
{
    uint32_t import_count = vm_module_import_count(module);
    printf("\nimports (%u)%s\n", import_count,
           import_count > 0 ? ": a node refuses modules that import anything" : ": none");
    for (uint32_t i = 0; i < import_count; i++) {
        struct vm_import import = vm_module_import(module, i);
        struct buffer type;
        type_text(&import.type, &type);
        printf("  %-6s  %.*s.%.*s  %s\n", kind_name(import.type.kind), (int)import.module.size,
               (const char *)import.module.ptr, (int)import.name.size,
               (const char *)import.name.ptr, type.failed ? "" : (const char *)type.ptr);
        buffer_release(&type);
    }
    printf("\nexports (%u)\n", vm_module_export_count(module));
    for (uint32_t i = 0; i < vm_module_export_count(module); i++) {
        struct vm_export export = vm_module_export(module, i);
        struct buffer type;
        type_text(&export.type, &type);
        printf("  %-6s  %.*s  %s  [%u]\n", kind_name(export.type.kind), (int)export.name.size,
               (const char *)export.name.ptr, type.failed ? "" : (const char *)type.ptr,
               export.index);
        buffer_release(&type);
    }
}

static void hash_text(const struct cli_module *module, char out[static 2 * CRYPTO_SHA256_BYTES + 1])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of(module->wasm, module->size), hash);
    text_hex_encode(bytes_of(hash, sizeof hash), out);
}

static void facts_print(const char *path, const struct cli_module *module)
{
    struct vm_module_facts facts;
    char hash[2 * CRYPTO_SHA256_BYTES + 1];
    vm_module_facts(module->module, &facts);
    hash_text(module, hash);
    printf("%s: a valid module of %zu bytes\nsha256      %s\n", path, facts.wasm_bytes, hash);
    printf("types %u, functions %u, tables %u, memories %u, globals %u, data %u, elements %u\n",
           facts.type_count, facts.function_count, facts.table_count, facts.memory_count,
           facts.global_count, facts.data_count, facts.element_count);
    printf("bodies %zu bytes, translated to %zu; loaded, the module takes %zu bytes\n",
           facts.body_bytes, facts.code_bytes, facts.memory_bytes);
    if (facts.has_start) {
        printf("start function: [%u]\n", facts.start_function);
    }
}

static json_t *type_json(const struct vm_extern_type *type)
{
    struct buffer text;
    type_text(type, &text);
    json_t *json = text.failed ? NULL : json_string((const char *)text.ptr);
    buffer_release(&text);
    return json;
}

static json_t *imports_json(const struct vm_module *module)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < vm_module_import_count(module); i++) {
        struct vm_import import = vm_module_import(module, i);
        json_t *row = json_pack("{s:s, s:s%, s:s%, s:o}", "kind", kind_name(import.type.kind),
                                "module", (const char *)import.module.ptr, import.module.size,
                                "name", (const char *)import.name.ptr, import.name.size, "type",
                                type_json(&import.type));
        if (json_array_append_new(array, row) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static json_t *exports_json(const struct vm_module *module)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < vm_module_export_count(module); i++) {
        struct vm_export export = vm_module_export(module, i);
        json_t *row = json_pack("{s:s, s:s%, s:o, s:I}", "kind", kind_name(export.type.kind),
                                "name", (const char *)export.name.ptr, export.name.size, "type",
                                type_json(&export.type), "index", (json_int_t) export.index);
        if (json_array_append_new(array, row) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

static bool module_json(const struct cli_module *module)
{
    struct vm_module_facts facts;
    char hash[2 * CRYPTO_SHA256_BYTES + 1];
    vm_module_facts(module->module, &facts);
    hash_text(module, hash);
    json_t *start = facts.has_start ? json_integer(facts.start_function) : json_null();
    json_t *counts =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "types", (int)facts.type_count,
                  "functions", (int)facts.function_count, "tables", (int)facts.table_count,
                  "memories", (int)facts.memory_count, "globals", (int)facts.global_count, "data",
                  (int)facts.data_count, "elements", (int)facts.element_count);
    json_t *json = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o}", "program_hash", hash, "wasm_bytes",
        (json_int_t)facts.wasm_bytes, "body_bytes", (json_int_t)facts.body_bytes, "code_bytes",
        (json_int_t)facts.code_bytes, "memory_bytes", (json_int_t)facts.memory_bytes, "counts",
        counts, "start_function", start, "imports", imports_json(module->module), "exports",
        exports_json(module->module));
    return cli_print_json(json);
}

static uint32_t imported_functions(const struct vm_module *module)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < vm_module_import_count(module); i++) {
        count += vm_module_import(module, i).type.kind == VM_EXTERN_FUNC ? 1 : 0;
    }
    return count;
}

static int disassemble(const struct cli_command *command, const struct inspect_request *request,
                       const struct vm_module *module)
{
    struct vm_module_facts facts;
    vm_module_facts(module, &facts);
    uint32_t first = imported_functions(module);
    if (request->has_function &&
        (request->function < first || request->function >= facts.function_count)) {
        return cli_complain_usage(
            command, "there is no defined function %" PRIu64 ": they are numbered from %u to %u",
            request->function, first, facts.function_count - 1);
    }
    for (uint32_t i = first; i < facts.function_count; i++) {
        if (!request->has_function || i == request->function) {
            putchar('\n');
            vm_module_disassemble(module, i, request->code, stdout);
        }
    }
    return CLI_OK;
}

static int inspect(const struct cli_command *command, const struct inspect_request *request)
{
    struct vm_limits limits = vm_limits_default;
    struct cli_module module;
    struct err err;
    if (!cli_module_open(&module, request->path, &limits, &err)) {
        return cli_complain_err(command, &err);
    }
    int code = CLI_OK;
    if (request->json) {
        if (!module_json(&module)) {
            cli_complain(command, "out of memory, or a name is not valid UTF-8");
            code = CLI_INTERNAL;
        }
    } else {
        facts_print(request->path, &module);
        names_print(module.module);
        if (request->code || request->has_function) {
            code = disassemble(command, request, module.module);
        }
    }
    cli_module_close(&module);
    return code;
}

static bool take_option(const struct cli_options *options, int id, const char *text, void *context)
{
    struct inspect_request *request = context;
    switch (id) {
    case INSPECT_CODE:
        request->code = true;
        return true;
    case INSPECT_JSON:
        request->json = true;
        return true;
    case INSPECT_FUNCTION:
        request->has_function = true;
        return cli_options_number(options, "function", text, 0, UINT32_MAX, &request->function);
    default:
        return cli_options_word(options, text, &request->path);
    }
}

static int inspect_main(const struct cli_command *command, int argc, char **argv)
{
    struct inspect_request request = {0};
    int code = cli_options_read(command, argc, argv, &request, take_option);
    if (code >= 0) {
        return code;
    }
    if (request.path == NULL) {
        return cli_complain_usage(command, "which module? name a .wasm file, or - for standard "
                                           "input");
    }
    return inspect(command, &request);
}

static const struct cli_option inspect_options[] = {
    {INSPECT_FUNCTION, "function", "N",
     "print the instructions of function N, as exports number it"},
    {INSPECT_CODE, "code", NULL,
     "print the instructions of all functions (or that one), and the internal\ncode that they were "
     "translated to"},
    {INSPECT_JSON, "json", NULL, "print one JSON object, without instructions"},
};

const struct cli_command cli_command_inspect = {
    .name = "inspect",
    .synopsis = "FILE [--function N] [--code] [--json]",
    .summary = "show what a module imports, exports and contains",
    .description =
        "  Loads FILE (- is standard input) and validates it, as a node would, without running "
        "any\n"
        "  of it; prints its hash (program_hash in results), sizes, imports, exports with their\n"
        "  types, and on request its instructions.\n",
    .options = inspect_options,
    .option_count = sizeof inspect_options / sizeof inspect_options[0],
    .notes = "EXIT STATUS\n"
             "  0 the module is valid, 1 it is not, 2 wrong usage or unreadable file, 70 internal\n"
             "  error\n\n"
             "EXAMPLE\n"
             "  wasm-hypervisor inspect program.wasm --function 0\n",
    .run = inspect_main,
};
