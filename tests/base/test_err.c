/* test_err: the error table and the wrapping of causes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/err.h"

#include "base/text.h"

#include <criterion/criterion.h>
#include <string.h>

Test(base_err, sets_code_and_message_and_returns_false)
{
    struct err err = {0};
    cr_assert_not(err_set(&err, ERR_IO, "cannot open '%s'", "x"));
    cr_assert_eq(err.code, ERR_IO);
    cr_assert_str_eq(err.message, "cannot open 'x'");
}

Test(base_err, wraps_outwards_and_keeps_the_code)
{
    struct err err = {0};
    (void)err_set(&err, ERR_LIMIT, "cause");
    cr_assert_not(err_wrap(&err, "section %d", 3));
    cr_assert_not(err_wrap(&err, "module"));
    cr_assert_eq(err.code, ERR_LIMIT);
    cr_assert_str_eq(err.message, "module: section 3: cause");
}

Test(base_err, cuts_a_long_message_and_stays_terminated)
{
    struct err err = {0};
    char text[2 * ERR_MESSAGE_BYTES_MAX];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = 0;
    (void)err_set(&err, ERR_IO, "%s", text);
    cr_assert_eq(strlen(err.message), ERR_MESSAGE_BYTES_MAX - 1);
    (void)err_wrap(&err, "context");
    cr_assert_eq(strlen(err.message), ERR_MESSAGE_BYTES_MAX - 1);
    cr_assert_eq(strncmp(err.message, "context: aaa", 12), 0);
    (void)err_wrap(&err, "%s", text);
    cr_assert_eq(strlen(err.message), ERR_MESSAGE_BYTES_MAX - 1);
}

Test(base_err, a_message_is_utf8_whatever_was_cut)
{
    struct err err = {0};
    char text[2 * ERR_MESSAGE_BYTES_MAX];
    (void)err_set(&err, ERR_IO, "\"%.*s\" and \xff", 3, "a\xc3\xa9\xc3\xa9");
    cr_expect_str_eq(err.message, "\"a\xc3\xa9\" and ?");
    (void)err_set(&err, ERR_IO, "\"%.*s\"", 2, "a\xc3\xa9");
    cr_expect_str_eq(err.message, "\"a?\"");
    for (size_t shift = 0; shift < 4; shift++) {
        for (size_t i = 0; i < sizeof(text) - 1; i++) {
            text[i] = "\xf0\x9f\xa6\x80"[(i + shift) % 4];
        }
        text[sizeof(text) - 1] = 0;
        (void)err_set(&err, ERR_IO, "%s", text);
        cr_expect(text_is_utf8(bytes_of_string(err.message)));
        (void)err_wrap(&err, "x");
        cr_expect(text_is_utf8(bytes_of_string(err.message)));
    }
}

Test(base_err, every_row_has_a_name_a_title_and_statuses)
{
    for (int code = ERR_NONE + 1; code < ERR_CODE_COUNT; code++) {
        cr_assert_gt(strlen(err_code_name((enum err_code)code)), 0);
        cr_assert_gt(strlen(err_code_title((enum err_code)code)), 0);
        cr_assert(err_code_http_status((enum err_code)code) >= 400);
        cr_assert(err_code_grpc_status((enum err_code)code) > 0);
    }
}

Test(base_err, only_protocol_codes_are_public)
{
    cr_assert(err_code_is_public(ERR_MALFORMED_REQUEST));
    cr_assert(err_code_is_public(ERR_DRAINING));
    cr_assert_not(err_code_is_public(ERR_NO_MEMORY));
    cr_assert_not(err_code_is_public(ERR_CLOSED));
    cr_assert_not(err_code_is_public(ERR_NONE));
}
