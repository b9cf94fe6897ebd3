/* test_opcode: the tables know every row and no other byte; the reader takes each immediate whole
 * and says what is wrong with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/opcode.h"

#include <criterion/criterion.h>
#include <string.h>

Test(vm_opcode, every_row_is_found_by_its_bytes)
{
    for (int i = 0; i < OPCODE_COUNT; i++) {
        const struct opcode_info *info = opcode_info((enum opcode)i);
        cr_assert_eq(opcode_find(info->prefix, info->code), (enum opcode)i, "%s", info->text);
    }
}

Test(vm_opcode, bytes_without_a_row_are_not_found)
{
    size_t found = 0;
    for (uint32_t code = 0; code < 1000; code++) {
        found += opcode_find(0, code) != OPCODE_COUNT;
        found += opcode_find(0xfc, code) != OPCODE_COUNT;
        found += opcode_find(0xfd, code) != OPCODE_COUNT;
    }
    cr_assert_eq(found, OPCODE_COUNT);
    cr_assert_eq(opcode_find(1, 0), OPCODE_COUNT);
    cr_assert_eq(opcode_find(0xff, 0), OPCODE_COUNT);
    cr_assert_eq(opcode_find(0xfc, UINT32_MAX), OPCODE_COUNT);
}

struct sample {
    struct bytes bytes;
    enum opcode opcode;
};

/* One instruction for each immediate kind, whole. */
static const struct sample samples[] = {
    {BYTES(0x01), OP_NOP},
    {BYTES(0x02, 0x40), OP_BLOCK},
    {BYTES(0x02, 0x7f), OP_BLOCK},
    {BYTES(0x02, 0x80, 0x01), OP_BLOCK},
    {BYTES(0x0c, 0x05), OP_BR},
    {BYTES(0x0e, 0x02, 0x00, 0x01, 0x02), OP_BR_TABLE},
    {BYTES(0x10, 0x85, 0x01), OP_CALL},
    {BYTES(0x11, 0x01, 0x02), OP_CALL_INDIRECT},
    {BYTES(0xd0, 0x6f), OP_REF_NULL},
    {BYTES(0x1c, 0x01, 0x7e), OP_SELECT_T},
    {BYTES(0x28, 0x02, 0xff, 0xff, 0xff, 0xff, 0x0f), OP_I32_LOAD},
    {BYTES(0x3f, 0x00), OP_MEMORY_SIZE},
    {BYTES(0xfc, 0x08, 0x03, 0x00), OP_MEMORY_INIT},
    {BYTES(0xfc, 0x0a, 0x00, 0x00), OP_MEMORY_COPY},
    {BYTES(0xfc, 0x0c, 0x01, 0x02), OP_TABLE_INIT},
    {BYTES(0x41, 0x80, 0x80, 0x80, 0x80, 0x78), OP_I32_CONST},
    {BYTES(0x42, 0x7f), OP_I64_CONST},
    {BYTES(0x43, 0, 0, 0x80, 0x3f), OP_F32_CONST},
    {BYTES(0x44, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f), OP_F64_CONST},
    {BYTES(0xfd, 0x0c, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), OP_V128_CONST},
    {BYTES(0xfd, 0x0d, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), OP_I8X16_SHUFFLE},
    {BYTES(0xfd, 0x15, 0x0f), OP_I8X16_EXTRACT_LANE_S},
    {BYTES(0xfd, 0xe4, 0x01), OP_F32X4_ADD},
    {BYTES(0xfd, 0x57, 0x03, 0x80, 0x01, 0x01), OP_V128_LOAD64_LANE},
};
enum { SAMPLE_COUNT = sizeof samples / sizeof samples[0] };

Test(vm_opcode, instructions_are_read_whole_and_refused_when_cut_anywhere)
{
    for (size_t i = 0; i < SAMPLE_COUNT; i++) {
        struct instruction instruction;
        struct err err;
        struct reader reader = reader_of(samples[i].bytes);
        cr_assert(opcode_read(&reader, 100, &instruction, &err), "%s", err.message);
        cr_assert_eq(instruction.opcode, samples[i].opcode);
        cr_assert_eq(instruction.offset, 100);
        cr_assert_eq(reader_left(&reader), 0);
        for (size_t size = 0; size < samples[i].bytes.size; size++) {
            reader = reader_of(bytes_of(samples[i].bytes.ptr, size));
            cr_assert_not(opcode_read(&reader, 100, &instruction, &err));
            cr_assert_eq(err.code, ERR_INVALID_WASM);
            cr_assert_not_null(strstr(err.message, "unexpected end"), "%s", err.message);
        }
    }
}

static struct instruction read_one(struct bytes bytes)
{
    struct instruction instruction;
    struct err err;
    struct reader reader = reader_of(bytes);
    cr_assert(opcode_read(&reader, 0, &instruction, &err), "%s", err.message);
    return instruction;
}

Test(vm_opcode, immediates_have_their_values)
{
    cr_assert_eq(read_one(samples[1].bytes).as.block_type, -64);
    cr_assert_eq(read_one(samples[2].bytes).as.block_type, -1);
    cr_assert_eq(read_one(samples[3].bytes).as.block_type, 128);
    cr_assert_eq(read_one(samples[5].bytes).as.vector.count, 2);
    cr_assert_eq(read_one(samples[5].bytes).as.vector.labels.size, 3);
    cr_assert_eq(read_one(samples[6].bytes).as.index, 133);
    cr_assert_eq(read_one(samples[7].bytes).as.pair.second, 2);
    cr_assert_eq(read_one(samples[8].bytes).as.index, VM_EXTERNREF);
    cr_assert_eq(read_one(samples[10].bytes).as.memarg.align, 2);
    cr_assert_eq(read_one(samples[10].bytes).as.memarg.offset, UINT32_MAX);
    cr_assert_eq(read_one(samples[12].bytes).as.pair.first, 3);
    cr_assert_eq(read_one(samples[15].bytes).as.i32, 0x80000000);
    cr_assert_eq(read_one(samples[16].bytes).as.i64, UINT64_MAX);
    cr_assert_eq(read_one(samples[17].bytes).as.f32, 0x3f800000);
    cr_assert_eq(read_one(samples[18].bytes).as.f64, 0x3ff0000000000000);
}

Test(vm_opcode, malformed_instructions_are_refused_in_the_words_of_the_spec)
{
    const struct {
        struct bytes bytes;
        const char *text;
    } rows[] = {
        {BYTES(0xff), "illegal opcode 0xff at offset 0x7"},
        {BYTES(0x06), "illegal opcode 0x06"},
        {BYTES(0xfc, 0x7f), "illegal opcode 0xfc 0x7f"},
        {BYTES(0xfd, 0x9a, 0x01), "illegal opcode 0xfd 0x9a"},
        {BYTES(0xfd, 0x80, 0x02), "illegal opcode 0xfd 0x100"},
        {BYTES(0xfe, 0x00), "illegal opcode 0xfe"},
        {BYTES(0x0c, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00), "integer representation too long"},
        {BYTES(0x0c, 0xff, 0xff, 0xff, 0xff, 0x1f), "integer too large"},
        {BYTES(0x41, 0xff, 0xff, 0xff, 0xff, 0x4f), "integer too large"},
        {BYTES(0x02, 0x41), "malformed block type"},
        {BYTES(0x02, 0xff, 0x7f), "malformed block type"},
        {BYTES(0xd0, 0x7f), "malformed reference type"},
        {BYTES(0x1c, 0x01, 0x40), "malformed value type"},
        {BYTES(0x28, 0x80, 0x01, 0x00), "malformed memop flags"},
        {BYTES(0x28, 0x40), "unexpected end"},
        {BYTES(0x28, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02),
         "integer too large"},
        {BYTES(0x28, 0x00, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00),
         "integer representation too long"},
        {BYTES(0x28, 0x00, 0x80), "unexpected end"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct instruction instruction;
        struct err err = {.code = ERR_NONE};
        struct reader reader = reader_of(rows[i].bytes);
        cr_assert_not(opcode_read(&reader, 7, &instruction, &err), "row %zu", i);
        cr_assert_eq(err.code, ERR_INVALID_WASM);
        cr_assert_not_null(strstr(err.message, rows[i].text), "%s", err.message);
        cr_assert_not_null(strstr(err.message, "at offset 0x"), "%s", err.message);
    }
}

Test(vm_opcode, a_br_table_with_a_count_of_billions_ends_with_the_input)
{
    const struct bytes bytes = BYTES(0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x00);
    struct instruction instruction;
    struct err err;
    struct reader reader = reader_of(bytes);
    cr_assert_not(opcode_read(&reader, 0, &instruction, &err));
    cr_assert_not_null(strstr(err.message, "unexpected end"));
}

/* Both readers of the same bytes, with other bytes behind them so that the short way is open. */
static void read_both_ways(const uint8_t bytes[static 12])
{
    struct instruction one = {0};
    struct instruction other = {0};
    struct err err;
    struct reader reader = reader_of(bytes_of(bytes, 12));
    struct reader any = reader;
    bool is_read = opcode_read(&reader, 9, &one, &err);
    cr_assert_eq(is_read, opcode_read_any(&any, 9, &other, &err));
    if (!is_read) {
        return;
    }
    if (opcode_info(one.opcode)->immediate == OPCODE_NONE) {
        one.as = other.as; /* means nothing */
    } else if (opcode_info(one.opcode)->immediate == OPCODE_I32) {
        one.as.i64 = one.as.i32;
    }
    cr_assert_eq(reader.ptr, any.ptr, "0x%02x 0x%02x 0x%02x", bytes[0], bytes[1], bytes[2]);
    cr_assert_eq(one.opcode, other.opcode);
    cr_assert_eq(one.offset, other.offset);
    cr_assert_arr_eq(&one.as, &other.as, sizeof one.as, "0x%02x 0x%02x 0x%02x", bytes[0], bytes[1],
                     bytes[2]);
}

Test(vm_opcode, short_encodings_are_read_as_the_long_way_reads_them)
{
    static const uint8_t edges[] = {0,    1,    0x1f, 0x3f, 0x40, 0x41,
                                    0x7c, 0x7f, 0x80, 0x81, 0xc0, 0xff};
    uint8_t bytes[12] = {0};
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < sizeof edges * sizeof edges; i++) {
                bytes[0] = (uint8_t)first;
                bytes[1] = (uint8_t)second;
                bytes[2] = edges[i / sizeof edges];
                bytes[3] = edges[i % sizeof edges];
                bytes[4] = edges[(i + second) % sizeof edges];
                bytes[5] = edges[(i + first) % sizeof edges];
                read_both_ways(bytes);
            }
        }
    }
}
