/* code_print.c: internal code as text, one instruction a line:
 *
 *   0018  I32_ADD_S_RI       s3 = r0, 1
 *   0028  BRANCH_I32_LT_S_SS -> 0000 [5], [2]  s3, s0
 *
 * the offset, the handler (with a + if it does the next instruction too), operands (rN and fN are
 * the registers, sN slots), where a branch goes and in brackets what its edges cost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/code.h"

#include <inttypes.h>

static bool is_wide(const struct handler_layout *layout)
{
    return layout->type == CODE_i64 || layout->type == CODE_f64;
}

static uint32_t address_bytes(uint8_t kind)
{
    const struct code_address_row *row = &code_address_rows[kind];
    return row->index == CODE_N && row->base != CODE_I ? 16 : 24;
}

uint32_t code_instruction_bytes(const struct handler_layout *layout, const uint8_t *pc)
{
    bool has_immediate = layout->a == CODE_I || layout->b == CODE_I; /* not of a LOAD or STORE */
    switch ((enum code_format)layout->format) {
    case CODE_BINARY:
    case CODE_UNARY:
        return has_immediate && is_wide(layout) ? 24 : 16;
    case CODE_GLOBAL:
    case CODE_RETURN:
        return has_immediate ? 24 : 16;
    case CODE_BRANCH:
        return has_immediate ? 32 : 24;
    case CODE_LOAD:
        return address_bytes(layout->a);
    case CODE_STORE:
        return address_bytes(layout->a) + (layout->d == CODE_I ? 8 : 0);
    case CODE_FAR_LOAD:
        return CODE_FAR_IMM;
    case CODE_FAR_STORE:
        return CODE_FAR_IMM + (layout->d == CODE_I ? 8 : 0);
    case CODE_CONSTANT:
    case CODE_SHUFFLE:
        return CODE_IMM128_BYTES;
    case CODE_EXTRACT:
    case CODE_REPLACE:
    case CODE_SHIFTED:
    case CODE_TERNARY:
        return 16;
    case CODE_LOAD_LANE:
    case CODE_STORE_LANE:
        return CODE_LANE_BYTES;
    case CODE_FAR_LANE:
        return CODE_FAR_LANE_BYTES;
    case CODE_SELECT:
        return has_immediate ? 32 : 16;
    case CODE_JUMP:
        return 16;
    case CODE_TABLE:
        return CODE_TABLE_ENTRIES + 8 * (code_u32(pc, CODE_TABLE_COUNT) + 1);
    case CODE_CALL:
    case CODE_TAIL_CALL:
        return CODE_CALL_BYTES;
    case CODE_RARE:
        return CODE_RARE_BYTES;
    case CODE_PIN:
        return 16;
    case CODE_BARE:
        return 8;
    }
    return 8;
}

/* s7 is a slot, s7=r1 a slot whose value is also in r1. */
static void print_operand(FILE *out, const struct handler_layout *layout, uint8_t kind,
                          uint32_t slot, uint64_t immediate)
{
    bool is_float =
        layout->type == CODE_f32 || layout->type == CODE_f64 || layout->type == CODE_v128;
    switch ((enum code_kind)kind) {
    case CODE_R:
        fputs(is_float ? " f0" : " r0", out);
        return;
    case CODE_S:
        fprintf(out, " s%" PRIu32, slot);
        return;
    case CODE_P:
        fputs(is_float ? " f1" : " r1", out);
        return;
    case CODE_Q:
        fputs(" r2", out);
        return;
    case CODE_I:
        fprintf(out, " 0x%" PRIx64, immediate);
        return;
    case CODE_N:
        return;
    }
}

static void print_destination(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    uint32_t slot = code_u16(pc, CODE_D);
    print_operand(out, layout, layout->d, slot, 0);
    if (layout->d == CODE_P || layout->d == CODE_Q) {
        fprintf(out, ", s%" PRIu32, slot);
    }
    fputs(" =", out);
}

static void print_pair(FILE *out, const struct handler_layout *layout, const uint8_t *pc, int first,
                       int second, uint64_t immediate)
{
    bool immediate_left = layout->a == CODE_I;
    print_operand(out, layout, layout->a, code_u16(pc, first), immediate);
    print_operand(out, layout, layout->b, code_u16(pc, immediate_left ? first : second), immediate);
}

static void print_address_part(FILE *out, uint8_t kind, uint32_t slot, uint32_t immediate)
{
    static const char *const registers[CODE_KINDS] = {
        [CODE_R] = "r0", [CODE_P] = "r1", [CODE_Q] = "r2"};
    if (kind == CODE_S) {
        fprintf(out, "s%" PRIu32, slot);
    } else if (kind == CODE_I) {
        fprintf(out, "0x%" PRIx32, immediate);
    } else {
        fputs(registers[kind], out);
    }
}

static void print_address(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    const struct code_address_row *row = &code_address_rows[layout->a];
    if (row->base == CODE_I && row->index == CODE_N) {
        fprintf(out, " [0x%" PRIx64 "]", code_u64(pc, CODE_ADDRESS));
        return;
    }
    fputs(" [", out);
    print_address_part(out, row->base, code_u16(pc, CODE_A),
                       row->base == CODE_I ? code_u32(pc, CODE_ADDRESS_BASE) : 0);
    if (row->index != CODE_N) {
        fputs(" + ", out);
        print_address_part(out, row->index, code_u16(pc, CODE_ADDRESS),
                           row->index == CODE_I ? code_u32(pc, CODE_ADDRESS) : 0);
    }
    if (row->shifted) {
        fprintf(out, " << %u", (unsigned)pc[CODE_SHIFT]);
    }
    fprintf(out, " + %" PRIu32 "]", code_u32(pc, CODE_OFFSET));
}

static void print_far(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    bool is_store = layout->format == CODE_FAR_STORE;
    if (!is_store) {
        print_operand(out, layout, layout->d, code_u16(pc, CODE_D), 0);
        fputs(" =", out);
    }
    fprintf(out, " memory %" PRIu32, code_u32(pc, CODE_FAR_MEMORY));
    if (layout->a == CODE_R) {
        fputs(" [r0", out);
    } else {
        fprintf(out, " [s%u", (unsigned)code_u16(pc, CODE_A));
    }
    fprintf(out, " + %" PRIu64 "]", code_u64(pc, CODE_FAR_OFFSET));
    if (is_store) {
        fputs(" =", out);
        print_operand(out, layout, layout->d, code_u16(pc, CODE_D),
                      layout->d == CODE_I ? code_u64(pc, CODE_FAR_IMM) : 0);
    }
}

static void print_plain(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    if (layout->format == CODE_STORE) {
        print_address(out, layout, pc);
        fputs(" =", out);
        int at = (int)address_bytes(layout->a);
        print_operand(out, layout, layout->d, code_u16(pc, CODE_D),
                      layout->d == CODE_I ? code_u64(pc, at) : 0);
        return;
    }
    if (layout->d != CODE_N) {
        print_destination(out, layout, pc);
    }
    if (layout->format == CODE_LOAD) {
        print_address(out, layout, pc);
    } else if (layout->format == CODE_SELECT) {
        print_operand(out, layout, layout->a, code_u16(pc, CODE_A),
                      layout->a == CODE_I ? code_u64(pc, CODE_SELECT_IMM_A) : 0);
        print_operand(out, layout, layout->b, code_u16(pc, CODE_B),
                      layout->b == CODE_I ? code_u64(pc, CODE_SELECT_IMM_B) : 0);
    } else {
        bool wide = is_wide(layout);
        bool has_immediate = layout->a == CODE_I || layout->b == CODE_I;
        uint64_t immediate = !has_immediate ? 0
                             : wide         ? code_u64(pc, CODE_IMM64)
                                            : code_u32(pc, CODE_IMM32);
        print_pair(out, layout, pc, CODE_A, CODE_B, immediate);
    }
    if (layout->format == CODE_GLOBAL) {
        fprintf(out, " global %" PRIu32, code_u32(pc, CODE_OFFSET));
    }
}

/* ---- Vectors ---- */

static void print_lane_access(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    bool is_far = layout->format == CODE_FAR_LANE;
    if (layout->d != CODE_N) {
        print_destination(out, layout, pc);
    }
    print_operand(out, layout, layout->b, code_u16(pc, is_far ? CODE_FAR_LANE_B : CODE_LANE_B), 0);
    fprintf(out, " lane %u,", pc[is_far ? CODE_FAR_LANE_NUMBER : CODE_LANE_NUMBER]);
    if (is_far) {
        fprintf(out, " memory %" PRIu32, code_u32(pc, CODE_FAR_MEMORY));
    }
    fputs(" [", out);
    print_address_part(out, layout->a, code_u16(pc, CODE_A), 0);
    fprintf(out, " + %" PRIu64 "]",
            is_far ? code_u64(pc, CODE_FAR_OFFSET) : code_u32(pc, CODE_OFFSET));
}

static void print_imm128(FILE *out, const uint8_t *pc)
{
    fprintf(out, " 0x%016" PRIx64 "%016" PRIx64, code_u64(pc, CODE_IMM128 + 8),
            code_u64(pc, CODE_IMM128));
}

static void print_simd(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    struct handler_layout vector = *layout;
    vector.type = CODE_v128;
    print_destination(out, layout->format == CODE_EXTRACT ? layout : &vector, pc);
    print_operand(out, &vector, layout->a, code_u16(pc, CODE_A), 0);
    switch ((int)layout->format) {
    case CODE_EXTRACT:
        fprintf(out, " lane %u", pc[CODE_LANE]);
        return;
    case CODE_REPLACE:
        print_operand(out, layout, layout->b, code_u16(pc, CODE_B), 0);
        fprintf(out, " lane %u", pc[CODE_LANE]);
        return;
    case CODE_SHIFTED:
        print_operand(out, layout, layout->b, code_u16(pc, CODE_B), code_u32(pc, CODE_IMM32));
        return;
    default:
        print_operand(out, &vector, layout->b, code_u16(pc, CODE_B), 0);
        if (layout->format != CODE_TERNARY) {
            print_imm128(out, pc);
        }
    }
}

static void print_pins(FILE *out, const struct handler_layout *layout, const uint8_t *pc)
{
    if (layout->d == CODE_P) {
        fprintf(out, " r1 = s%u", (unsigned)code_u16(pc, CODE_A));
    }
    if (layout->a == CODE_Q) {
        fprintf(out, " r2 = s%u", (unsigned)code_u16(pc, CODE_B));
    }
    if (layout->b == CODE_P) {
        fprintf(out, " f1 = s%u", (unsigned)code_u16(pc, CODE_C));
    }
    if (layout->d == CODE_N && layout->a == CODE_N && layout->b == CODE_N) {
        fprintf(out, " r1 r2 f1 in s%u..", (unsigned)code_u16(pc, CODE_A));
    }
}

static void print_edge(FILE *out, uint32_t target, uint32_t cost)
{
    fprintf(out, " -> %04" PRIx32 " [%" PRIu32 "]", target, cost);
}

static void print_control(FILE *out, const struct handler_layout *layout, const uint8_t *pc,
                          uint32_t offset)
{
    switch ((int)layout->format) {
    case CODE_BRANCH:
        print_edge(out, offset + code_u32(pc, CODE_BRANCH_REL), code_u32(pc, CODE_BRANCH_TAKEN));
        fprintf(out, " else [%" PRIu32 "]", code_u32(pc, CODE_BRANCH_FALL));
        print_pair(out, layout, pc, CODE_BRANCH_A, CODE_BRANCH_B,
                   layout->b == CODE_I ? code_u64(pc, CODE_BRANCH_IMM) : 0);
        return;
    case CODE_JUMP:
        print_edge(out, offset + code_u32(pc, CODE_JUMP_REL), code_u32(pc, CODE_JUMP_COST));
        return;
    case CODE_TABLE:
        print_operand(out, layout, layout->a, code_u16(pc, CODE_A), 0);
        for (uint32_t i = 0; i <= code_u32(pc, CODE_TABLE_COUNT); i++) {
            const uint8_t *entry = pc + CODE_TABLE_ENTRIES + (size_t)i * 8;
            print_edge(out, offset + code_u32(entry, 0), code_u32(entry, 4));
        }
        return;
    case CODE_RETURN:
        print_operand(out, layout, layout->a, code_u16(pc, CODE_A),
                      layout->a == CODE_I ? code_u64(pc, CODE_IMM64) : 0);
        return;
    case CODE_CALL:
        fprintf(out, " frame at s%u [%" PRIu32 "]", (unsigned)code_u16(pc, CODE_CALL_DELTA),
                code_u32(pc, CODE_CALL_COST));
        return;
    case CODE_TAIL_CALL:
        fprintf(out, " %u from s%u", (unsigned)code_u16(pc, CODE_TAIL_COUNT),
                (unsigned)code_u16(pc, CODE_TAIL_FROM));
        return;
    case CODE_FAR_LOAD:
    case CODE_FAR_STORE:
        print_far(out, layout, pc);
        return;
    case CODE_CONSTANT:
    case CODE_SHUFFLE:
    case CODE_EXTRACT:
    case CODE_REPLACE:
    case CODE_SHIFTED:
    case CODE_TERNARY:
        print_simd(out, layout, pc);
        return;
    case CODE_LOAD_LANE:
    case CODE_STORE_LANE:
    case CODE_FAR_LANE:
        print_lane_access(out, layout, pc);
        return;
    case CODE_RARE:
        fprintf(out, " s%u.. %" PRIu32 " %" PRIu32, (unsigned)code_u16(pc, CODE_A),
                code_u32(pc, CODE_RARE_X), code_u32(pc, CODE_RARE_Y));
        return;
    case CODE_PIN:
        print_pins(out, layout, pc);
        return;
    case CODE_BARE:
        return;
    default:
        print_plain(out, layout, pc);
    }
}

/* A handler that does the next instruction too has that one's name in its own; here a plus says so.
 */
static void print_name(FILE *out, uint32_t offset, const char *name)
{
    const char *then = strstr(name, "_THEN_");
    int length = (int)(then != NULL ? then - name : (ptrdiff_t)strlen(name));
    int padding = 24 - length - (then != NULL);
    fprintf(out, "  %04" PRIx32 "  %.*s%s%*s", offset, length, name, then != NULL ? "+" : "",
            padding > 0 ? padding : 0, "");
}

void code_disassemble(const struct vm_module *module, uint32_t function_index, FILE *out)
{
    const struct code *code = module->funcs[function_index].code;
    fprintf(out, "  code: %" PRIu32 " bytes, frame of %" PRIu32 " slots, entry [%" PRIu32 "]\n",
            code->size, code->frame_slots, code->entry_cost);
    for (uint32_t offset = 0; offset < code->size;) {
        const uint8_t *pc = code->start + offset;
        enum handler handler = handler_of_word(code_u64(pc, 0));
        if (handler == HANDLER_COUNT) {
            fprintf(out, "  %04" PRIx32 "  ?\n", offset);
            return;
        }
        const struct handler_layout *layout = &handler_layouts[handler];
        print_name(out, offset, layout->name);
        print_control(out, layout, pc, offset);
        fputc('\n', out);
        offset += code_instruction_bytes(layout, pc);
    }
}
