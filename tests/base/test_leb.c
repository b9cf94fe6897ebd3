/* test_leb: LEB128 at the edges of each width.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>

struct leb_case {
    char kind; /* 'u' u32, 'U' u64, 's' s32, 't' s33, 'S' s64 */
    uint8_t input[12];
    uint8_t size;
    int result;
    int64_t value;
};

static const struct leb_case leb_cases[] = {
    {'u', {0}, 1, LEB_OK, 0},
    {'u', {0x7f}, 1, LEB_OK, 127},
    {'u', {0x80, 0x01}, 2, LEB_OK, 128},
    {'u', {0x80, 0x00}, 2, LEB_OK, 0},
    {'u', {0xff, 0xff, 0xff, 0xff, 0x0f}, 5, LEB_OK, 0xffffffff},
    {'u', {0xff, 0xff, 0xff, 0xff, 0x1f}, 5, LEB_TOO_LARGE, 0},
    {'u', {0x80, 0x80, 0x80, 0x80, 0x70}, 5, LEB_TOO_LARGE, 0},
    {'u', {0x80, 0x80, 0x80, 0x80, 0x80, 0x00}, 6, LEB_TOO_LONG, 0},
    {'u', {0x80}, 1, LEB_TOO_SHORT, 0},
    {'u', {0}, 0, LEB_TOO_SHORT, 0},
    {'U', {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, LEB_OK, -1},
    {'U', {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02}, 10, LEB_TOO_LARGE, 0},
    {'U', {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0}, 11, LEB_TOO_LONG, 0},
    {'s', {0x7f}, 1, LEB_OK, -1},
    {'s', {0x40}, 1, LEB_OK, -64},
    {'s', {0x3f}, 1, LEB_OK, 63},
    {'s', {0xff, 0xff, 0xff, 0xff, 0x07}, 5, LEB_OK, INT32_MAX},
    {'s', {0x80, 0x80, 0x80, 0x80, 0x78}, 5, LEB_OK, INT32_MIN},
    {'s', {0xff, 0xff, 0xff, 0xff, 0x0f}, 5, LEB_TOO_LARGE, 0},
    {'s', {0x80, 0x80, 0x80, 0x80, 0x70}, 5, LEB_TOO_LARGE, 0},
    {'s', {0x80, 0x80, 0x80, 0x80, 0x08}, 5, LEB_TOO_LARGE, 0},
    {'t', {0xff, 0xff, 0xff, 0xff, 0x0f}, 5, LEB_OK, 0xffffffff},
    {'t', {0x80, 0x80, 0x80, 0x80, 0x70}, 5, LEB_OK, -4294967296},
    {'t', {0xff, 0xff, 0xff, 0xff, 0x1f}, 5, LEB_TOO_LARGE, 0},
    {'t', {0x40}, 1, LEB_OK, -64},
    {'S', {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x7f}, 10, LEB_OK, INT64_MIN},
    {'S', {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00}, 10, LEB_OK, INT64_MAX},
    {'S', {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}, 10, LEB_TOO_LARGE, 0},
    {'S', {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80}, 10, LEB_TOO_LONG, 0},
};

ParameterizedTestParameters(base_leb, decodes_the_edges_of_each_width)
{
    return cr_make_param_array(struct leb_case, (struct leb_case *)leb_cases,
                               sizeof(leb_cases) / sizeof(leb_cases[0]));
}

ParameterizedTest(struct leb_case *row, base_leb, decodes_the_edges_of_each_width)
{
    struct reader reader = reader_of(bytes_of(row->input, row->size));
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    int32_t s32 = 0;
    int64_t s64 = 0;
    int64_t value = 0;
    enum leb_result result;
    switch (row->kind) {
    case 'u':
        result = reader_leb_u32(&reader, &u32);
        value = u32;
        break;
    case 'U':
        result = reader_leb_u64(&reader, &u64);
        value = (int64_t)u64;
        break;
    case 's':
        result = reader_leb_s32(&reader, &s32);
        value = s32;
        break;
    case 't':
        result = reader_leb_s33(&reader, &s64);
        value = s64;
        break;
    default:
        result = reader_leb_s64(&reader, &s64);
        value = s64;
        break;
    }
    cr_assert_eq((int)result, row->result, "kind %c first %02x: %d", row->kind, row->input[0],
                 (int)result);
    if (result == LEB_OK) {
        cr_assert_eq(value, row->value);
        cr_assert_eq(reader_left(&reader), 0);
    } else {
        cr_assert_eq(reader_offset(&reader), 0);
    }
}
