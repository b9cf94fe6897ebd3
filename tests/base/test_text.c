/* test_text: one text for one value, both ways.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base_text, hex_goes_both_ways_and_refuses_what_is_not_hex)
{
    char text[9];
    text_hex_encode(bytes_of("\x00\xab\xff\x10", 4), text);
    cr_assert_str_eq(text, "00abff10");
    uint8_t out[4];
    cr_assert(text_hex_decode("00ABff10", 8, out, 4));
    cr_assert_eq(memcmp(out, "\x00\xab\xff\x10", 4), 0);
    cr_assert_not(text_hex_decode("00abff1", 7, out, 4));
    cr_assert_not(text_hex_decode("00abff1g", 8, out, 4));
    cr_assert_not(text_hex_decode("00abff101", 9, out, 4));
}

Test(base_text, base64_matches_the_vectors_of_rfc_4648)
{
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[16];
        text_base64_encode(bytes_of_string(rows[i][0]), text);
        cr_assert_str_eq(text, rows[i][1]);
        cr_assert_eq(text_base64_encoded_size(strlen(rows[i][0])), strlen(rows[i][1]));
        uint8_t out[16];
        size_t size;
        cr_assert(text_base64_decode(rows[i][1], strlen(rows[i][1]), out, &size));
        cr_assert(bytes_equal(bytes_of(out, size), bytes_of_string(rows[i][0])));
    }
}

Test(base_text, base64_goes_both_ways_for_every_byte_and_length)
{
    uint8_t data[256], out[300];
    char text[400];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7 + 3);
    }
    for (size_t size = 0; size <= sizeof(data); size++) {
        text_base64_encode(bytes_of(data, size), text);
        size_t decoded;
        cr_assert(text_base64_decode(text, strlen(text), out, &decoded));
        cr_assert(bytes_equal(bytes_of(out, decoded), bytes_of(data, size)));
    }
}

Test(base_text, base64_refuses_all_but_the_one_form)
{
    static const char *const bad[] = {"Z",        "Zg",     "Zg=",      "Zg==Zg==", "Zh==", "Zm9=",
                                      "Zm8=Zm8=", "====",   "Z===",     "=Zg=",     "Zg= ", "Zm 8",
                                      "Zm-_",     "Zm9v\n", "Zm9v*m9v", "*m9vZm9v"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t out[16];
        size_t size;
        cr_assert_not(text_base64_decode(bad[i], strlen(bad[i]), out, &size), "%s", bad[i]);
    }
}

Test(base_text, uuid_goes_both_ways_and_demands_version_4)
{
    const char *text = "550e8400-e29b-41d4-a716-446655440000";
    uint8_t uuid[TEXT_UUID_BYTES];
    char out[TEXT_UUID_CHARS + 1];
    cr_assert(text_uuid_decode(text, 36, uuid));
    text_uuid_encode(uuid, out);
    cr_assert_str_eq(out, text);
    cr_assert(text_uuid_decode("550E8400-E29B-41D4-A716-446655440000", 36, uuid));
    static const char *const bad[] = {"550e8400-e29b-11d4-a716-446655440000",
                                      "550e8400-e29b-41d4-c716-446655440000",
                                      "550e8400-e29b-41d4-a716-44665544000",
                                      "550e8400-e29b-41d4-a716-4466554400000",
                                      "550e8400e-29b-41d4-a716-446655440000",
                                      "550e8400-e29b-41d4-a716-44665544000g",
                                      ""};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(text_uuid_decode(bad[i], strlen(bad[i]), uuid), "%s", bad[i]);
    }
}

Test(base_text, utf8_accepts_the_well_formed_and_nothing_else)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "x\xe2\x82\xacy"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xef\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xe2\x28\xa1",
                                      "\xf0\x90\x28\xbc"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(text_is_utf8(bytes_of_string(good[i])), "good %zu", i);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(text_is_utf8(bytes_of_string(bad[i])), "bad %zu", i);
    }
}

Test(base_text, decimal_has_no_signs_no_leading_zeros_and_no_overflow)
{
    uint64_t value;
    cr_assert(text_u64_decode("0", 1, &value) && value == 0);
    cr_assert(text_u64_decode("18446744073709551615", 20, &value) && value == UINT64_MAX);
    cr_assert_not(text_u64_decode("18446744073709551616", 20, &value));
    cr_assert_not(text_u64_decode("", 0, &value));
    cr_assert_not(text_u64_decode("00", 2, &value));
    cr_assert_not(text_u64_decode("-1", 2, &value));
    cr_assert_not(text_u64_decode("1x", 2, &value));
}
