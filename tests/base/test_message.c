/* test_message: headers, query parameters, responses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/message.h"

#include <criterion/criterion.h>

Test(base_message, finds_headers_by_name)
{
    struct message_header headers[] = {{"host", "a"}, {"x-api-key", "b"}};
    struct message_request request = {.headers = headers, .header_count = 2};
    cr_assert_str_eq(message_request_header(&request, "x-api-key"), "b");
    cr_assert_null(message_request_header(&request, "x-api"));
}

Test(base_message, decodes_query_parameters_and_tells_of_duplicates)
{
    struct arena arena;
    arena_init(&arena, NULL);
    struct message_request request = {
        .query = "a=1&b=x%20y+z&ab=3&flag&empty=&bad=%zz&a=2&nul=%00&cut=%4"};
    bool duplicate;
    cr_assert_str_eq(message_request_query(&request, "b", &arena, &duplicate), "x y z");
    cr_assert_not(duplicate);
    cr_assert_str_eq(message_request_query(&request, "a", &arena, &duplicate), "2");
    cr_assert(duplicate);
    cr_assert_str_eq(message_request_query(&request, "flag", &arena, &duplicate), "");
    cr_assert_str_eq(message_request_query(&request, "empty", &arena, &duplicate), "");
    cr_assert_str_eq(message_request_query(&request, "bad", &arena, &duplicate), "%zz");
    cr_assert_str_eq(message_request_query(&request, "nul", &arena, &duplicate), "%00");
    cr_assert_str_eq(message_request_query(&request, "cut", &arena, &duplicate), "%4");
    cr_assert_null(message_request_query(&request, "c", &arena, &duplicate));
    request.query = "a=%zz&a=1&a=2";
    cr_assert_str_eq(message_request_query(&request, "a", &arena, &duplicate), "2");
    cr_assert(duplicate);
    arena_release(&arena);
}

Test(base_message, a_response_owns_what_it_says)
{
    struct message_response response;
    message_response_init(&response, 200);
    char value[] = "v";
    message_response_header(&response, "X", value);
    value[0] = 'w';
    cr_assert_str_eq(response.headers[0].value, "v");
    cr_assert(message_response_body(&response, "text/plain", bytes_of("hi", 2)));
    cr_assert_eq(response.body.size, 2);
    arena_release(&response.arena);
}
