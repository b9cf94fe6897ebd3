/* test_bytes: readers never pass their end, buffers never pass their maximum.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/bytes.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base_bytes, reader_reads_to_the_end_and_not_past_it)
{
    const uint8_t data[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct reader reader = reader_of(bytes_of(data, sizeof(data)));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;
    cr_assert(reader_u8(&reader, &u8) && u8 == 1);
    cr_assert(reader_u16be(&reader, &u16) && u16 == 0x0203);
    cr_assert(reader_u32le(&reader, &u32) && u32 == 0x07060504);
    cr_assert(reader_u64le(&reader, &u64) && u64 == 0x0f0e0d0c0b0a0908);
    cr_assert_eq(reader_left(&reader), 0);
    cr_assert_eq(reader_offset(&reader), 15);
    struct bytes none;
    cr_assert_not(reader_u8(&reader, &u8));
    cr_assert_not(reader_u16be(&reader, &u16));
    cr_assert_not(reader_u32le(&reader, &u32));
    cr_assert_not(reader_u64le(&reader, &u64));
    cr_assert_not(reader_take(&reader, 1, &none));
    cr_assert(reader_take(&reader, 0, &none) && none.size == 0);
}

Test(base_bytes, a_failed_read_does_not_move_the_reader)
{
    const uint8_t data[] = {1, 2, 3};
    struct reader reader = reader_of(bytes_of(data, sizeof(data)));
    uint32_t u32;
    cr_assert_not(reader_u32le(&reader, &u32));
    cr_assert_eq(reader_left(&reader), 3);
}

Test(base_bytes, an_empty_range_may_be_null)
{
    struct reader reader = reader_of(bytes_of(NULL, 0));
    uint8_t byte;
    cr_assert_not(reader_u8(&reader, &byte));
    cr_assert(bytes_equal(bytes_of(NULL, 0), bytes_of("", 0)));
    cr_assert_not(bytes_equal(bytes_of("a", 1), bytes_of("b", 1)));
    cr_assert_not(bytes_equal(bytes_of("a", 1), bytes_of("ab", 2)));
}

Test(base_bytes, buffer_takes_its_maximum_and_not_one_byte_more)
{
    struct buffer buffer;
    buffer_init(&buffer, 10);
    buffer_append(&buffer, "0123456789", 10);
    cr_assert_not(buffer.failed);
    buffer_append_u8(&buffer, 'x');
    cr_assert(buffer.failed);
    buffer_append(&buffer, "", 0);
    cr_assert_eq(buffer.size, 10);
    buffer_release(&buffer);
    cr_assert_not(buffer.failed);
    buffer_append_string(&buffer, "again");
    cr_assert(bytes_equal(buffer_bytes(&buffer), bytes_of("again", 5)));
    buffer_release_wiped(&buffer);
}

Test(base_bytes, buffer_writes_big_endian_and_formatted_text)
{
    struct buffer buffer;
    buffer_init(&buffer, 10000);
    buffer_append_u16be(&buffer, 0x0102);
    buffer_append_u32be(&buffer, 0x03040506);
    buffer_append_u64be(&buffer, 0x0708090a0b0c0d0e);
    for (uint8_t i = 0; i < 14; i++) {
        cr_assert_eq(buffer.ptr[i], i + 1);
    }
    buffer_printf(&buffer, "%0600d", 7);
    cr_assert_eq(buffer.size, 614);
    cr_assert_eq(buffer.ptr[613], '7');
    size_t size;
    uint8_t *detached = buffer_detach(&buffer, &size);
    cr_assert_eq(size, 614);
    cr_assert_eq(detached[614], 0);
    cr_assert_null(buffer.ptr);
    heap_free(detached);
}

Test(base_bytes, buffer_that_failed_cannot_be_detached)
{
    struct buffer buffer;
    buffer_init(&buffer, 2);
    buffer_append_string(&buffer, "abc");
    size_t size;
    cr_assert_null(buffer_detach(&buffer, &size));
    buffer_init(&buffer, 100);
    heap_fail_after(1);
    buffer_append_string(&buffer, "abc");
    heap_fail_after(0);
    cr_assert(buffer.failed);
    buffer_release(&buffer);
}

Test(base_bytes, buffer_takes_room_ahead_without_changing_what_fits)
{
    struct buffer buffer;
    buffer_init(&buffer, 10);
    buffer_append_string(&buffer, "abc");
    buffer_expect(&buffer, 1000); /* more than may ever come */
    cr_expect_not(buffer.failed);
    cr_expect_eq(buffer.size, 3);
    cr_expect_geq(buffer.capacity, 11);
    size_t capacity = buffer.capacity;
    uint8_t *room = buffer_extend(&buffer, 7);
    cr_assert_not_null(room);
    memcpy(room, "defghij", 7);
    cr_expect_eq(buffer.capacity, capacity);
    cr_expect(bytes_equal(buffer_bytes(&buffer), bytes_of_string("abcdefghij")));
    cr_expect_null(buffer_extend(&buffer, 1));
    cr_expect(buffer.failed);
    buffer_expect(&buffer, 1);
    buffer_release(&buffer);
}
