/* test_http_parser.c: requests as bytes, whole and one byte at a time: the outcome must not depend
 * on how they are cut.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "net/http_parser.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HOST "Host: a.example\r\n"

struct intake {
    struct net_limits limits;
    struct budget bodies;
    struct http_parser parser;
    struct message_request request;
    struct arena arena;
    struct http_body body;
};

static void intake_init(struct intake *intake)
{
    *intake = (struct intake){.limits = net_limits_default};
    intake->limits.request_line_bytes_max = 100;
    intake->limits.header_bytes_max = 300;
    intake->limits.header_count_max = 5;
    intake->limits.body_bytes_max = 1000;
    budget_init(&intake->bodies, NULL, 2000);
    arena_init(&intake->arena, NULL);
    http_body_init(&intake->body, &intake->bodies);
    http_parser_init(&intake->parser, &intake->limits);
    http_parser_start(&intake->parser, &intake->request, &intake->arena, &intake->body);
}

static void intake_release(struct intake *intake)
{
    http_parser_release(&intake->parser);
    http_body_release(&intake->body);
    arena_release(&intake->arena);
    cr_assert_eq(budget_used(&intake->bodies), 0);
}

/* The last event; *consumed counts over all pieces. */
static enum http_event intake_feed(struct intake *intake, struct bytes input, size_t piece,
                                   size_t *consumed)
{
    enum http_event event = HTTP_EVENT_MORE;
    *consumed = 0;
    for (;;) {
        size_t left = input.size - *consumed;
        size_t taken = 0;
        bool head = event == HTTP_EVENT_HEAD;
        if (left == 0 && !head) {
            return event;
        }
        event = http_parser_feed(
            &intake->parser, bytes_of(input.ptr + *consumed, left < piece ? left : piece), &taken);
        *consumed += taken;
        if (event == HTTP_EVENT_COMPLETE || event == HTTP_EVENT_REFUSED) {
            return event;
        }
    }
}

/* The status with which the bytes are refused, 200 for a complete request, 0 for an incomplete one.
 */
static int outcome_of(struct bytes input, size_t piece)
{
    struct intake intake;
    size_t consumed;
    intake_init(&intake);
    enum http_event event = intake_feed(&intake, input, piece, &consumed);
    int outcome = event == HTTP_EVENT_COMPLETE  ? 200
                  : event == HTTP_EVENT_REFUSED ? intake.parser.refusal.status
                                                : 0;
    if (event == HTTP_EVENT_REFUSED) {
        cr_assert_not_null(intake.parser.refusal.reason);
    }
    intake_release(&intake);
    return outcome;
}

static void expect_bytes(int status, const void *ptr, size_t size)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 7};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        int outcome = outcome_of(bytes_of(ptr, size), pieces[i]);
        cr_expect_eq(outcome, status, "expected %d, not %d, in pieces of %zu: %.*s", status,
                     outcome, pieces[i], (int)size, (const char *)ptr);
    }
}

static void expect(int status, const char *text)
{
    expect_bytes(status, text, strlen(text));
}

struct sample {
    int status;
    const char *text;
};

static void expect_all(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect(samples[i].status, samples[i].text);
    }
}

#define EXPECT_ALL(samples) expect_all((samples), sizeof(samples) / sizeof((samples)[0]))

/* ---- what a request becomes ---- */

static struct intake *intake_of(struct intake *intake, const char *text)
{
    size_t consumed;
    intake_init(intake);
    enum http_event event = intake_feed(intake, bytes_of_string(text), SIZE_MAX, &consumed);
    cr_assert_eq(event, HTTP_EVENT_COMPLETE, "%s", text);
    cr_assert_eq(consumed, strlen(text));
    return intake;
}

Test(net_http_parser, takes_a_request_apart)
{
    struct intake intake;
    intake_of(&intake,
              "POST /v1/a%20b%2Fc?x=1&y=%41 HTTP/1.1\r\nHoSt: a.example:80\r\n"
              "X-Mixed-CASE: \t Some  Value \t\r\nempty:\r\nContent-Length: 5\r\n\r\nhello");
    const struct message_request *request = &intake.request;
    cr_assert_str_eq(request->method, "POST");
    cr_assert_str_eq(request->path, "/v1/a b/c");
    cr_assert_str_eq(request->query, "x=1&y=%41");
    cr_assert_eq(request->header_count, 4);
    cr_assert_str_eq(request->headers[1].name, "x-mixed-case");
    cr_assert_str_eq(message_request_header(request, "host"), "a.example:80");
    cr_assert_str_eq(message_request_header(request, "x-mixed-case"), "Some  Value");
    cr_assert_str_eq(message_request_header(request, "empty"), "");
    cr_assert(bytes_equal(request->body, bytes_of_string("hello")));
    cr_assert(intake.parser.keep_alive);
    intake_release(&intake);
}

Test(net_http_parser, joins_chunks_and_drops_trailers)
{
    struct intake intake;
    intake_of(&intake, "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: CHUNKED\r\n\r\n"
                       "3;name=value\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n");
    cr_assert(bytes_equal(intake.request.body, bytes_of_string("abc0123456789")));
    cr_assert_null(message_request_header(&intake.request, "x-sum"));
    intake_release(&intake);
}

Test(net_http_parser, leaves_the_next_request_alone)
{
    const char *text = "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n" HOST "\r\n";
    struct intake intake;
    size_t consumed;
    intake_init(&intake);
    cr_assert_eq(intake_feed(&intake, bytes_of_string(text), SIZE_MAX, &consumed),
                 HTTP_EVENT_COMPLETE);
    cr_assert_eq(consumed, strlen(text) / 2);
    intake.request = (struct message_request){0};
    http_parser_start(&intake.parser, &intake.request, &intake.arena, &intake.body);
    cr_assert(http_parser_is_idle(&intake.parser));
    cr_assert_eq(intake_feed(&intake, bytes_of_string(text + consumed), 1, &consumed),
                 HTTP_EVENT_COMPLETE);
    cr_assert_str_eq(intake.request.path, "/2");
    intake_release(&intake);
}

static const char *host_of(struct intake *intake, const char *text)
{
    return message_request_header(&intake_of(intake, text)->request, "host");
}

Test(net_http_parser, takes_the_authority_of_an_absolute_target_for_host)
{
    struct intake intake;
    cr_assert_str_eq(host_of(&intake, "GET http://b.example:8080/p?q HTTP/1.1\r\n" HOST "\r\n"),
                     "b.example:8080");
    cr_assert_str_eq(intake.request.path, "/p");
    cr_assert_str_eq(intake.request.query, "q");
    intake_release(&intake);
    cr_assert_str_eq(host_of(&intake, "GET HTTPS://b.example HTTP/1.0\r\n\r\n"), "b.example");
    cr_assert_str_eq(intake.request.path, "/");
    intake_release(&intake);
    cr_assert_str_eq(host_of(&intake, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "a.example");
    cr_assert_str_eq(intake.request.path, "/");
    intake_release(&intake);
}

static bool keeps_alive(const char *text)
{
    struct intake intake;
    bool keep_alive = intake_of(&intake, text)->parser.keep_alive;
    intake_release(&intake);
    return keep_alive;
}

Test(net_http_parser, knows_who_wants_to_stay)
{
    cr_assert(keeps_alive("GET / HTTP/1.1\r\n" HOST "\r\n"));
    cr_assert(!keeps_alive("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"));
    cr_assert(!keeps_alive("GET / HTTP/1.1\r\n" HOST "Connection: foo, CLOSE\r\n\r\n"));
    cr_assert(!keeps_alive("GET / HTTP/1.0\r\n\r\n"));
    cr_assert(keeps_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    cr_assert(!keeps_alive("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"));
}

Test(net_http_parser, declines_to_upgrade)
{
    struct intake intake;
    intake_of(&intake, "POST / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n"
                       "Content-Length: 2\r\n\r\nhi");
    cr_assert(bytes_equal(intake.request.body, bytes_of_string("hi")));
    intake_release(&intake);
    intake_of(&intake, "GET / HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    intake_release(&intake);
}

Test(net_http_parser, minds_expectations_of_http_1_1_only)
{
    struct intake intake;
    intake_of(&intake,
              "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx");
    cr_assert(intake.parser.expects_continue && intake.parser.has_body);
    intake_release(&intake);
    intake_of(&intake, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx");
    cr_assert(!intake.parser.expects_continue);
    intake_release(&intake);
    expect(417, "POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n");
    expect(417, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nExpect: 100-continue\r\n\r\n");
    expect(200, "POST / HTTP/1.0\r\nExpect: tea\r\n\r\n");
}

/* ---- what is refused ---- */

Test(net_http_parser, refuses_bad_request_lines)
{
    static const struct sample samples[] = {
        {400, "GET /\r\n\r\n"},                                  /* HTTP/0.9 */
        {400, "GET / \r\n" HOST "\r\n"},                         /* no version */
        {505, "GET / HTTP/2.0\r\n" HOST "\r\n"},                 /* */
        {505, "GET / HTTP/1.2\r\n" HOST "\r\n"},                 /* */
        {505, "GET / HTTP/0.9\r\n\r\n"},                         /* */
        {505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},               /* */
        {400, "GET / HTTP/11\r\n" HOST "\r\n"},                  /* */
        {400, "GET / HTTP/1.10\r\n" HOST "\r\n"},                /* */
        {400, "GET / http/1.1\r\n" HOST "\r\n"},                 /* */
        {400, "GET / HTTP/1.1 \r\n" HOST "\r\n"},                /* */
        {400, "GET  / HTTP/1.1\r\n" HOST "\r\n"},                /* two blanks */
        {400, "GET /  HTTP/1.1\r\n" HOST "\r\n"},                /* */
        {400, " GET / HTTP/1.1\r\n" HOST "\r\n"},                /* */
        {400, "GET\t/ HTTP/1.1\r\n" HOST "\r\n"},                /* */
        {400, "G@T / HTTP/1.1\r\n" HOST "\r\n"},                 /* no token */
        {501, "BREW / HTTP/1.1\r\n" HOST "\r\n"},                /* a token, but no method */
        {501, "get / HTTP/1.1\r\n" HOST "\r\n"},                 /* methods have case */
        {501, "GETT / HTTP/1.1\r\n" HOST "\r\n"},                /* */
        {501, "DESCRIBE / HTTP/1.1\r\n" HOST "\r\n"},            /* RTSP's */
        {501, "CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n"}, /* */
        {400, "GET a.example HTTP/1.1\r\n" HOST "\r\n"},         /* */
        {400, "GET * HTTP/1.1\r\n" HOST "\r\n"},                 /* only OPTIONS */
        {400, "OPTIONS *x HTTP/1.1\r\n" HOST "\r\n"},            /* */
        {400, "GET ftp://a/ HTTP/1.1\r\n" HOST "\r\n"},          /* */
        {400, "GET http:///p HTTP/1.1\r\n" HOST "\r\n"},         /* */
        {400, "GET http://u@a/ HTTP/1.1\r\n" HOST "\r\n"},       /* */
        {400, "GET /#f HTTP/1.1\r\n" HOST "\r\n"},               /* */
        {400, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"},         /* must be encoded */
        {400, "GET /a%00b HTTP/1.1\r\n" HOST "\r\n"},            /* */
        {400, "GET /a%0d%0ab HTTP/1.1\r\n" HOST "\r\n"},         /* */
        {400, "GET /a%7f HTTP/1.1\r\n" HOST "\r\n"},             /* */
        {400, "GET /a% HTTP/1.1\r\n" HOST "\r\n"},               /* */
        {400, "GET /a%2 HTTP/1.1\r\n" HOST "\r\n"},              /* */
        {400, "GET /a%zz HTTP/1.1\r\n" HOST "\r\n"},             /* */
        {400, "GET /a%ff HTTP/1.1\r\n" HOST "\r\n"},             /* not UTF-8 */
        {200, "GET /%C3%A4 HTTP/1.1\r\n" HOST "\r\n"},           /* */
        {400, "\x16\x03\x01\x02"},                               /* a TLS client, at once */
    };
    EXPECT_ALL(samples);
}

Test(net_http_parser, takes_two_stray_empty_lines_and_no_more)
{
    expect(200, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    expect(400, "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n");
    expect(400, "\nGET / HTTP/1.1\r\n" HOST "\r\n");
    expect(400, "\rGET / HTTP/1.1\r\n" HOST "\r\n");
}

Test(net_http_parser, wants_one_valid_host)
{
    static const struct sample samples[] = {
        {400, "GET / HTTP/1.1\r\n\r\n"},
        {200, "GET / HTTP/1.0\r\n\r\n"},
        {400, "GET http://a/ HTTP/1.1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n"},
        {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:000080\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: []\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [g::1]\r\n\r\n"},
        {400, "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"},
        {200, "GET / HTTP/1.1\r\nHost: [::1]:65535\r\n\r\n"},
        {200, "GET / HTTP/1.1\r\nHost: 127.0.0.1:\r\n\r\n"},
    };
    EXPECT_ALL(samples);
}

Test(net_http_parser, refuses_bad_header_lines)
{
    static const struct sample samples[] = {
        {400, "GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n"},      /* blank before the colon */
        {400, "GET / HTTP/1.1\r\n" HOST "A b: c\r\n\r\n"},     /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A\tb: c\r\n\r\n"},    /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n"},          /* no colon */
        {400, "GET / HTTP/1.1\r\n" HOST ": c\r\n\r\n"},        /* no name */
        {400, "GET / HTTP/1.1\r\n" HOST "A\xe4: c\r\n\r\n"},   /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A(: c\r\n\r\n"},      /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n"}, /* obs-fold */
        {400, "GET / HTTP/1.1\r\n" HOST "A:\r\n\tc\r\n\r\n"},  /* */
        {400, "GET / HTTP/1.1\r\n " HOST "\r\n"},              /* blank after the request line */
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\x01\r\n\r\n"},   /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\x7f\r\n\r\n"},   /* */
        {400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n"},    /* bare CR */
        {400, "GET / HTTP/1.1\n" HOST "\r\n"},                 /* bare LF */
        {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},              /* */
        {400, "GET / HTTP/1.1\r\n" HOST "\n"},                 /* */
        {400, "GET / HTTP/1.1\r\n" HOST "\r\r\n"},             /* */
        {200, "GET / HTTP/1.1\r\n" HOST "A: \xe4\tb\r\n\r\n"}, /* obs-text, tab */
    };
    EXPECT_ALL(samples);
    expect_bytes(400, "GET / HTTP/1.1\r\n" HOST "A: \0\r\n\r\n", 41);
}

/* Payloads by which two servers in a row come to disagree about where a request ends. */
Test(net_http_parser, refuses_what_smuggles)
{
#define POST "POST / HTTP/1.1\r\n" HOST
#define CHUNKED POST "Transfer-Encoding: chunked\r\n"
    static const struct sample samples[] = {
        {400, CHUNKED "Content-Length: 3\r\n\r\n0\r\n\r\n"},
        {400, POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Content-Length: 3\r\nTransfer-Encoding: identity\r\n\r\nabc"},
        {400, POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"},
        {400, POST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
        {400, POST "Content-Length: 3, 3\r\n\r\nabc"},
        {400, POST "Content-Length: +3\r\n\r\nabc"},
        {400, POST "Content-Length: -3\r\n\r\nabc"},
        {400, POST "Content-Length: 0x3\r\n\r\nabc"},
        {400, POST "Content-Length: 3 4\r\n\r\nabc"},
        {400, POST "Content-Length: 3.0\r\n\r\nabc"},
        {400, POST "Content-Length:\r\n\r\nabc"},
        {400, POST "Content-Length: 18446744073709551616\r\n\r\nabc"},
        {400, POST "Content-Length : 3\r\n\r\nabc"},
        {400, POST "Content-Length: 3\r\n Transfer-Encoding: chunked\r\n\r\nabc"},
        {400, POST "Transfer-Encoding: identity\r\n\r\n"},
        {400, POST "Transfer-Encoding: gzip\r\n\r\n"},
        {400, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, POST "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, CHUNKED "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, CHUNKED "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"},
        {400, "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1\rZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1\r\nZZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1\r\nZ\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1\r\nZ0\r\n\r\n"},
        {400, CHUNKED "\r\n1\r\nZ\r0\r\n\r\n"},
        {400, CHUNKED "\r\n 1\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1 \r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n0x1\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n-1\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n+1\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1_0\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\ng\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n10000000000000001\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1;a=\nb\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n1;\x01\r\nZ\r\n0\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\n\n"},
        {400, CHUNKED "\r\n0\r\nA: b\n\r\n"},
        {400, CHUNKED "\r\n0\r\n A: b\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nA: b\r\n c\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nA\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nContent-Length: 5\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\ntransfer-ENCODING: chunked\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nHost: b\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nAuthorization: Bearer x\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nCookie: a\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\nX-API-Key: a\r\n\r\n"},
        {400, CHUNKED "\r\n0\r\n: a\r\n\r\n"},
        {200, CHUNKED "\r\n0\r\nHosts: b\r\n\r\n"},
        {200, CHUNKED "\r\n0\r\nan-uncommonly-long-name-of-a-trailer-field: b\r\n\r\n"},
        {200, POST "Content-Length: 03\r\n\r\nabc"},
    };
    EXPECT_ALL(samples);
}

/* ---- limits: at, below, above ---- */

static void expect_path_of(int status, size_t size)
{
    char text[512];
    (void)snprintf(text, sizeof(text), "GET /%0*d HTTP/1.1\r\n" HOST "\r\n",
                   (int)(size - strlen("GET / HTTP/1.1")), 0);
    expect(status, text);
}

Test(net_http_parser, bounds_the_request_line)
{
    expect_path_of(200, 99);
    expect_path_of(200, 100);
    expect_path_of(414, 101);
    expect(414,
           "GET "
           "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"); /* before its end has come */
}

static void expect_headers_of(int status, size_t size)
{
    char text[1024];
    (void)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" HOST "A: %0*d\r\n\r\n",
                   (int)(size - strlen(HOST "A: \r\n")), 0);
    expect(status, text);
}

Test(net_http_parser, bounds_the_headers_bytes)
{
    expect_headers_of(200, 299);
    expect_headers_of(200, 300);
    expect_headers_of(431, 301);
    expect_headers_of(431, 600);
}

Test(net_http_parser, bounds_the_headers_number)
{
    expect(200, "GET / HTTP/1.1\r\n" HOST "A:\r\nA:\r\nA:\r\n\r\n");
    expect(200, "GET / HTTP/1.1\r\n" HOST "A:\r\nA:\r\nA:\r\nA:\r\n\r\n");
    expect(431, "GET / HTTP/1.1\r\n" HOST "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
}

Test(net_http_parser, counts_trailers_like_headers)
{
    expect(200, CHUNKED "\r\n0\r\nA:\r\nB:\r\nC:\r\n\r\n");
    expect(431, CHUNKED "\r\n0\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n");
    char text[1024];
    size_t fixed = strlen(HOST "Transfer-Encoding: chunked\r\n"
                               "A: \r\n");
    for (size_t size = 299; size <= 301; size++) {
        (void)snprintf(text, sizeof(text), CHUNKED "\r\n0\r\nA: %0*d\r\n\r\n", (int)(size - fixed),
                       0);
        expect(size <= 300 ? 200 : 431, text);
    }
}

static void expect_body_of(int status, size_t size, bool chunked)
{
    char text[4096];
    if (chunked) {
        (void)snprintf(text, sizeof(text), CHUNKED "\r\n%zx\r\n%0*d\r\n0\r\n\r\n", size, (int)size,
                       0);
    } else {
        (void)snprintf(text, sizeof(text), POST "Content-Length: %zu\r\n\r\n%0*d", size, (int)size,
                       0);
    }
    expect(status, text);
}

Test(net_http_parser, bounds_the_body)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        expect_body_of(200, 999, chunked);
        expect_body_of(200, 1000, chunked);
        expect_body_of(413, 1001, chunked);
    }
    expect(413, POST "Content-Length: 18446744073709551615\r\n\r\n"); /* before it comes */
    expect(413, CHUNKED "\r\nffffffffffffffff\r\n");
}

Test(net_http_parser, bounds_a_chunk_line)
{
    char text[1024];
    for (int size = 255; size <= 257; size++) {
        (void)snprintf(text, sizeof(text), CHUNKED "\r\n%0*d\r\nx\r\n0\r\n\r\n", size, 1);
        expect(size <= 256 ? 200 : 400, text);
        (void)snprintf(text, sizeof(text), CHUNKED "\r\n1;%0*d\r\nx\r\n0\r\n\r\n", size - 2, 1);
        expect(size <= 256 ? 200 : 400, text);
    }
}

Test(net_http_parser, bounds_what_framing_may_cost)
{
    struct buffer buffer;
    buffer_init(&buffer, 64 * 1024);
    buffer_append_string(&buffer, CHUNKED "\r\n");
    for (int i = 0; i < 999; i++) {
        buffer_append_string(&buffer, "1\r\nx\r\n");
    }
    buffer_append_string(&buffer, "0\r\n\r\n");
    expect_bytes(200, buffer.ptr, buffer.size); /* the smallest chunks are fine */
    buffer_release(&buffer);
    buffer_append_string(&buffer, CHUNKED "\r\n");
    for (int i = 0; i < 30; i++) {
        buffer_append_string(&buffer, "1;abcdefghijklmnopqrstuvwxyz\r\nx\r\n");
    }
    buffer_append_string(&buffer, "0\r\n\r\n");
    expect_bytes(400, buffer.ptr, buffer.size); /* thirty of these are not */
    buffer_release(&buffer);
}

Test(net_http_parser, charges_bodies_to_their_budget)
{
    for (size_t limit = 999; limit <= 1000; limit++) {
        struct intake intake;
        size_t consumed;
        intake_init(&intake);
        intake.bodies.limit = limit;
        const char *text = POST "Content-Length: 1000\r\n\r\n";
        enum http_event event = intake_feed(&intake, bytes_of_string(text), SIZE_MAX, &consumed);
        cr_assert_eq(event, limit == 1000 ? HTTP_EVENT_MORE : HTTP_EVENT_REFUSED);
        cr_assert(limit == 1000 || intake.parser.refusal.status == 503);
        cr_assert_eq(budget_used(&intake.bodies), limit == 1000 ? 1000 : 0);
        intake_release(&intake);
    }
}

/* A body grows in steps; each of them may be the one that does not fit. */
static int outcome_of_large_body(size_t budget, bool chunked)
{
    enum { SIZE = 300 * 1024 };
    struct intake intake;
    struct buffer text;
    size_t consumed;
    intake_init(&intake);
    intake.limits.body_bytes_max = SIZE;
    intake.bodies.limit = budget;
    buffer_init(&text, SIZE * 2);
    if (chunked) {
        buffer_printf(&text, CHUNKED "\r\n%x\r\n", SIZE);
    } else {
        buffer_printf(&text, POST "Content-Length: %u\r\n\r\n", SIZE);
    }
    for (size_t i = 0; i < SIZE; i++) {
        buffer_append_u8(&text, (uint8_t)(i * 31));
    }
    buffer_append_string(&text, chunked ? "\r\n0\r\n\r\n" : "");
    enum http_event event = intake_feed(&intake, buffer_bytes(&text), 10000, &consumed);
    int outcome = event == HTTP_EVENT_COMPLETE ? 200 : intake.parser.refusal.status;
    for (size_t i = 0; outcome == 200 && i < SIZE; i++) {
        cr_assert_eq(intake.request.body.ptr[i], (uint8_t)(i * 31));
    }
    buffer_release(&text);
    intake_release(&intake);
    return outcome;
}

Test(net_http_parser, grows_a_body_in_steps_or_says_503)
{
    for (int chunked = 0; chunked < 2; chunked++) {
        cr_assert_eq(outcome_of_large_body(300 * 1024, chunked), 200);
        cr_assert_eq(outcome_of_large_body(300 * 1024 - 1, chunked), 503);
        cr_assert_eq(outcome_of_large_body(100 * 1024, chunked), 503);
    }
}

Test(net_http_parser, says_503_when_memory_fails_anywhere)
{
    static const char text[] =
        "POST http://b/x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    bool complete = false;
    for (size_t n = 1; !complete; n++) {
        struct intake intake;
        size_t consumed;
        intake_init(&intake);
        heap_fail_after(n);
        enum http_event event = intake_feed(&intake, bytes_of_string(text), 5, &consumed);
        heap_fail_after(0);
        complete = event == HTTP_EVENT_COMPLETE;
        cr_assert(complete || (event == HTTP_EVENT_REFUSED && intake.parser.refusal.status == 503));
        cr_assert(complete == (n > 3) || n > 3);
        intake_release(&intake);
        cr_assert(n < 50);
    }
}

Test(net_http_parser, says_503_when_the_arena_is_full)
{
    struct budget tight;
    for (size_t limit = 0; limit < 3000; limit += 50) {
        struct intake intake;
        size_t consumed;
        intake_init(&intake);
        budget_init(&tight, NULL, limit);
        arena_init(&intake.arena, &tight);
        const char *text = "GET http://b.example/x?y HTTP/1.1\r\n" HOST "\r\n";
        enum http_event event = intake_feed(&intake, bytes_of_string(text), SIZE_MAX, &consumed);
        cr_assert(event == HTTP_EVENT_COMPLETE || intake.parser.refusal.status == 503);
        cr_assert(event == HTTP_EVENT_COMPLETE || limit < 1000);
        intake_release(&intake);
        cr_assert_eq(budget_used(&tight), 0);
    }
}
