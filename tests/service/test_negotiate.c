/* test_negotiate.c: Accept, as clients write it well and badly.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/negotiate.h"

#include <criterion/criterion.h>

static size_t choose(const char *first, const char *second)
{
    static const char *const types[] = {"application/json", "text/plain"};
    struct message_header headers[] = {{"host", "node"}, {"accept", first}, {"accept", second}};
    struct message_request request = {.headers = headers, .header_count = second != NULL ? 3 : 2};
    return negotiate_type(&request, types, 2);
}

static const char *const json_wanted[] = {
    "",
    "*/*",
    "application/json",
    "application/json, text/plain",
    "text/plain, application/json",
    "application/json, text/plain, */*",
    "text/plain;q=0.5, application/json;q=0.6",
    "text/plain;q=0.999, application/json",
    "text/plain;q=0.5, */*;q=0.8",
    "text/*, application/json",
    "text/plain;q=0",
    "text/plain;q=0, */*",
    "text/plain; q=0.0, text/*",
    "text/plain;q=0.3, text/*;q=0.9, application/json;q=0.4",
    "*/*;q=0.1, text/plain;q=0",
    /* none of ours: the first one all the same */
    "image/png",
    "image/*;q=1, audio/ogg",
    "application/json;q=0, text/plain;q=0",
    "text/plain;charset=iso-8859-1",
    "text/plain;format=flowed, application/json;q=0.1",
    "textual/plain, text/plainer",
    "*/plain",
    /* nonsense, and what stands behind it */
    "text",
    "text/",
    "/plain",
    "text/plain;q=2",
    "text/plain;q=1.001",
    "text/plain;q=0.5000",
    "text/plain;q=.5",
    "text/plain;q=-1",
    "text/plain;q=",
    "text/plain;q",
    "text/plain;q=\"",
    "text/plain application/json",
    "(, text/plain",
    "\"text/plain\"",
};

static const char *const text_wanted[] = {
    "text/plain",
    "TEXT/Plain",
    "text/plain; charset=UTF-8",
    "text/plain;charset=\"utf-8\"",
    "text/*",
    "text/plain, */*",
    "text/plain, */*;q=0.8",
    "text/*, */*",
    "application/json;q=0.9, text/plain",
    "application/json;q=0.899, text/plain;q=0.9",
    "application/json;q=0, */*",
    "application/json; q=0.000 , text/plain ; Q=0.001",
    "*/*;q=0.5, application/json;q=0.4",
    ", ,,text/plain,,",
    "\ttext/plain\t;\tq=1.000\t",
    "text/plain;;q=0.5;",
    "text/html, application/xhtml+xml, text/plain;q=0.7",
    "text/plain;charset=utf-8, text/plain;q=0, application/json;q=0.5",
    "application/json;indent=2, text/plain",
    "text/plain, nonsense",
    "text/plain;q=1,5",
    "image/png;p=\"a,b;\\\"c\", text/plain",
};

Test(service_negotiate, json_is_chosen_when_it_is_wanted_as_much_or_nothing_is)
{
    for (size_t i = 0; i < sizeof(json_wanted) / sizeof(json_wanted[0]); i++) {
        cr_expect_eq(choose(json_wanted[i], NULL), 0, "%s", json_wanted[i]);
    }
}

Test(service_negotiate, text_is_chosen_when_it_is_wanted_more)
{
    for (size_t i = 0; i < sizeof(text_wanted) / sizeof(text_wanted[0]); i++) {
        cr_expect_eq(choose(text_wanted[i], NULL), 1, "%s", text_wanted[i]);
    }
}

Test(service_negotiate, several_lines_are_one_list)
{
    cr_expect_eq(choose("application/json;q=0.5", "text/plain"), 1);
    cr_expect_eq(choose("text/plain;q=0.5", "application/json"), 0);
    cr_expect_eq(choose("nonsense", "text/plain"), 1);
}

Test(service_negotiate, without_the_field_the_first_is_chosen)
{
    static const char *const types[] = {"application/json", "text/plain"};
    struct message_request request = {.header_count = 0};
    cr_expect_eq(negotiate_type(&request, types, 2), 0);
}
