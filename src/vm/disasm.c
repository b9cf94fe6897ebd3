/* disasm.c: a function as text: offset, instruction, immediates, indented by nesting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void module_name_text(struct bytes name, char out[static MODULE_NAME_TEXT_BYTES])
{
    size_t used = 0;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t byte = name.ptr[i];
        if (used + 7 > MODULE_NAME_TEXT_BYTES) { /* \xx, dots, NUL */
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
            out[used++] = (char)byte;
        } else {
            static const char digits[] = "0123456789abcdef";
            out[used++] = '\\';
            out[used++] = digits[byte >> 4];
            out[used++] = digits[byte & 15];
        }
    }
    out[used] = '\0';
}

static void print_types(const enum vm_type *types, uint32_t count, FILE *out)
{
    fputc('(', out);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, i == 0 ? "%s" : " %s", vm_type_name(types[i]));
    }
    fputc(')', out);
}

static void print_header(const struct vm_module *module, uint32_t index, FILE *out)
{
    const struct module_func *func = &module->funcs[index];
    struct bytes name = vm_module_function_name(module, index);
    fprintf(out, "function %u ", index);
    if (name.size > 0) {
        char text[MODULE_NAME_TEXT_BYTES];
        module_name_text(name, text);
        fprintf(out, "\"%s\" ", text);
    }
    print_types(func->type->types, func->type->param_count, out);
    fputs(" -> ", out);
    print_types(func->type->types + func->type->param_count, func->type->result_count, out);
    fputc('\n', out);
    uint32_t local = func->type->param_count;
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        const struct module_local_run *run = &func->local_runs[i];
        if (run->count > 0) {
            fprintf(out, "          local %u..%u %s\n", local, local + run->count - 1,
                    vm_type_name(run->type));
        }
        local += run->count;
    }
}

static void print_f32(uint32_t bits, FILE *out)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value)) {
        fprintf(out, " nan:0x%08" PRIx32, bits);
    } else {
        fprintf(out, " %a", (double)value);
    }
}

static void print_f64(uint64_t bits, FILE *out)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    if (isnan(value)) {
        fprintf(out, " nan:0x%016" PRIx64, bits);
    } else {
        fprintf(out, " %a", value);
    }
}

static void print_block_type(int64_t type, FILE *out)
{
    if (type >= 0) {
        fprintf(out, " type %" PRId64, type);
    } else if (type != -64) {
        fprintf(out, " %s", vm_type_name((enum vm_type)(type & 0x7f)));
    }
}

static void print_labels(const struct instruction *instruction, FILE *out)
{
    struct reader labels = reader_of(instruction->as.vector.labels);
    uint32_t label;
    while (reader_left(&labels) > 0 && reader_leb_u32(&labels, &label) == LEB_OK) {
        fprintf(out, " %u", label);
    }
}

/* Memory 0 goes without saying. */
static void print_memory(const struct instruction *instruction, FILE *out)
{
    uint32_t first = instruction->as.pair.first;
    uint32_t second = instruction->as.pair.second;
    switch ((int)instruction->opcode) {
    case OP_MEMORY_INIT:
        fprintf(out, " %u", first);
        if (second != 0) {
            fprintf(out, " memory=%u", second);
        }
        return;
    case OP_MEMORY_COPY:
        if (first != 0 || second != 0) {
            fprintf(out, " memory=%u from=%u", first, second);
        }
        return;
    default:
        if (instruction->as.index != 0) {
            fprintf(out, " memory=%u", instruction->as.index);
        }
    }
}

static void print_memarg(const struct instruction *instruction, FILE *out)
{
    fprintf(out, " offset=%" PRIu64 " align=%u", instruction->as.memarg.offset,
            1u << instruction->as.memarg.align);
    if (instruction->as.memarg.memory != 0) {
        fprintf(out, " memory=%u", instruction->as.memarg.memory);
    }
}

static void print_v128(const struct instruction *instruction, FILE *out)
{
    bool is_shuffle = opcode_info(instruction->opcode)->immediate == OPCODE_SHUFFLE;
    fputs(is_shuffle ? "" : " i8x16", out);
    for (size_t i = 0; i < sizeof instruction->as.v128; i++) {
        fprintf(out, is_shuffle ? " %u" : " 0x%02x", instruction->as.v128[i]);
    }
}

static void print_constant(const struct instruction *instruction, FILE *out)
{
    switch ((int)opcode_info(instruction->opcode)->immediate) {
    case OPCODE_I32:
        fprintf(out, " %" PRId32, (int32_t)instruction->as.i32);
        return;
    case OPCODE_I64:
        fprintf(out, " %" PRId64, (int64_t)instruction->as.i64);
        return;
    case OPCODE_F32:
        print_f32(instruction->as.f32, out);
        return;
    case OPCODE_F64:
        print_f64(instruction->as.f64, out);
        return;
    default:
        print_v128(instruction, out);
    }
}

static void print_immediate(const struct instruction *instruction, FILE *out)
{
    switch (opcode_info(instruction->opcode)->immediate) {
    case OPCODE_NONE:
        return;
    case OPCODE_MEMORY:
    case OPCODE_MEMORY_INIT:
    case OPCODE_MEMORY_COPY:
        print_memory(instruction, out);
        return;
    case OPCODE_BLOCK:
        print_block_type(instruction->as.block_type, out);
        return;
    case OPCODE_BR_TABLE:
        print_labels(instruction, out);
        return;
    case OPCODE_REF_TYPE:
        fprintf(out, " %s", vm_type_name((enum vm_type)instruction->as.index));
        return;
    case OPCODE_SELECT_TYPES:
        for (size_t i = 0; i < instruction->as.vector.labels.size; i++) {
            fprintf(out, " %s", vm_type_name((enum vm_type)instruction->as.vector.labels.ptr[i]));
        }
        return;
    case OPCODE_LABEL:
    case OPCODE_FUNC:
    case OPCODE_LOCAL:
    case OPCODE_GLOBAL:
    case OPCODE_TABLE:
    case OPCODE_ELEM:
    case OPCODE_DATA:
        fprintf(out, " %u", instruction->as.index);
        return;
    case OPCODE_CALL_INDIRECT:
    case OPCODE_TABLE_INIT:
    case OPCODE_TABLE_COPY:
        fprintf(out, " %u %u", instruction->as.pair.first, instruction->as.pair.second);
        return;
    case OPCODE_MEM1:
    case OPCODE_MEM2:
    case OPCODE_MEM4:
    case OPCODE_MEM8:
    case OPCODE_MEM16:
        print_memarg(instruction, out);
        return;
    case OPCODE_I32:
    case OPCODE_I64:
    case OPCODE_F32:
    case OPCODE_F64:
    case OPCODE_V128:
    case OPCODE_SHUFFLE:
        print_constant(instruction, out);
        return;
    case OPCODE_LANE2:
    case OPCODE_LANE4:
    case OPCODE_LANE8:
    case OPCODE_LANE16:
        fprintf(out, " %u", instruction->lane);
        return;
    case OPCODE_MEM1_LANE:
    case OPCODE_MEM2_LANE:
    case OPCODE_MEM4_LANE:
    case OPCODE_MEM8_LANE:
        print_memarg(instruction, out);
        fprintf(out, " %u", instruction->lane);
        return;
    }
}

static void print_body(const struct module_func *func, FILE *out)
{
    struct reader reader = reader_of(func->body);
    struct instruction instruction;
    struct err err;
    uint32_t depth = 1;
    while (reader_left(&reader) > 0 &&
           opcode_read(&reader, func->body_offset, &instruction, &err)) {
        enum opcode opcode = instruction.opcode;
        depth -= opcode == OP_END || opcode == OP_ELSE;
        fprintf(out, "%08x  %*s%s", instruction.offset, (int)(2 * (depth % 64)), "",
                opcode_info(opcode)->text);
        print_immediate(&instruction, out);
        fputc('\n', out);
        depth += opcode == OP_BLOCK || opcode == OP_LOOP || opcode == OP_IF || opcode == OP_ELSE;
    }
}

void vm_module_disassemble(const struct vm_module *module, uint32_t function_index, bool code,
                           FILE *out)
{
    print_header(module, function_index, out);
    if (module->funcs[function_index].is_import) {
        return;
    }
    print_body(&module->funcs[function_index], out);
    if (code) {
        code_disassemble(module, function_index, out);
    }
}
