/* test_trace: which traceparent is continued, and which is as none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/trace.h"

#include <criterion/criterion.h>
#include <string.h>

#define ID "0af7651916cd43dd8448eb211c80319c"
#define SPAN "b7ad6b7169203331"

Test(service_trace, valid_forms_are_read)
{
    static const struct {
        const char *text;
        uint8_t flags;
    } good[] = {{"00-" ID "-" SPAN "-01", 1},
                {"00-" ID "-" SPAN "-00", 0},
                {"00-" ID "-" SPAN "-ff", 255},
                {"00-00000000000000000000000000000001-0000000000000001-01", 1}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct trace trace = {.flags = 77};
        cr_assert(trace_parse(good[i].text, &trace), "%s", good[i].text);
        cr_expect_eq(trace.flags, good[i].flags);
        cr_expect_eq(strncmp(trace.id, good[i].text + 3, 32), 0);
        cr_expect_eq(strncmp(trace.parent, good[i].text + 36, 16), 0);
        cr_expect_eq(strlen(trace.id), 32);
        cr_expect_eq(strlen(trace.parent), 16);
    }
}

Test(service_trace, every_other_form_is_none)
{
    static const char *const bad[] = {
        "",
        "0",
        "00-",
        "00-" ID "-" SPAN,
        "00-" ID "-" SPAN "-",
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-011",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-01-more",
        "01-" ID "-" SPAN "-01",
        "ff-" ID "-" SPAN "-01",
        "0-" ID "-" SPAN "-001",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-" SPAN "-01",
        "00-" ID "-B7AD6B7169203331-01",
        "00-" ID "-" SPAN "-0G",
        "00-" ID "-" SPAN "-0A",
        "00-0af7651916cd43dd8448eb211c80319g-" SPAN "-01",
        "00-" ID "-b7ad6b716920333x-01",
        " 00-" ID "-" SPAN "-1",
        "00-0af7651916cd43dd8448eb211c80319-c" SPAN "-01",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct trace trace = {.flags = 0};
        cr_expect_not(trace_parse(bad[i], &trace), "%s", bad[i]);
    }
}

static struct trace begin(const struct message_header *headers, size_t count)
{
    struct message_request request = {.headers = headers, .header_count = count};
    struct trace trace;
    trace_begin(&request, &trace);
    cr_expect_eq(strlen(trace.id), 32);
    cr_expect_eq(strlen(trace.span), 16);
    return trace;
}

Test(service_trace, a_clients_trace_goes_on_with_a_span_of_our_own)
{
    const struct message_header headers[] = {{"host", "x"},
                                             {"traceparent", "00-" ID "-" SPAN "-01"}};
    struct trace trace = begin(headers, 2);
    char text[TRACE_PARENT_CHARS + 1];
    cr_expect_str_eq(trace.id, ID);
    cr_expect_str_eq(trace.parent, SPAN);
    cr_expect_str_neq(trace.span, SPAN);
    trace_format(&trace, text);
    cr_expect_eq(strncmp(text, "00-" ID "-", 36), 0);
    cr_expect_eq(strncmp(text + 36, trace.span, 16), 0);
    cr_expect_str_eq(text + 52, "-01");
    struct trace again;
    cr_expect(trace_parse(text, &again));
}

Test(service_trace, none_bad_or_two_begin_a_new_one)
{
    const struct message_header headers[] = {{"traceparent", "00-" ID "-" SPAN "-01"},
                                             {"traceparent", "00-" ID "-" SPAN "-01"},
                                             {"traceparent", "00-" ID "-" SPAN "-1"}};
    const struct trace made[] = {begin(headers, 0), begin(headers, 2), begin(headers + 2, 1)};
    for (size_t i = 0; i < 3; i++) {
        char text[TRACE_PARENT_CHARS + 1];
        struct trace read;
        trace_format(&made[i], text);
        cr_expect(trace_parse(text, &read), "%s", text);
        cr_expect_str_neq(made[i].id, ID);
        cr_expect_str_neq(made[i].id, made[(i + 1) % 3].id);
        cr_expect_str_eq(made[i].parent, "");
        cr_expect_eq(made[i].flags, 0);
    }
}
