/* test_proxies.c: whose word is taken for where a request comes from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/proxies.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static bool parses(const char *text)
{
    struct proxies proxies;
    struct err err;
    bool ok = proxies_parse(text, &proxies, &err);
    cr_expect(ok || (err.code == ERR_CONFIG && strstr(err.message, "server.trusted_proxies")));
    return ok;
}

Test(service_proxies, the_list_is_of_addresses_and_networks)
{
    cr_expect(parses(""));
    cr_expect(parses("10.0.0.1"));
    cr_expect(parses(" 10.0.0.1 ,\t2001:db8::/32 "));
    cr_expect_not(parses("proxy.example"));
    cr_expect_not(parses("10.0.0.1,"));
    cr_expect_not(parses(",10.0.0.1"));
    cr_expect_not(parses("10.0.0.1 10.0.0.2"));
    cr_expect_not(parses("10.0.0.1/8"));
    cr_expect_not(parses(" "));
}

Test(service_proxies, as_many_as_fit_and_no_more)
{
    char text[16 * (PROXIES_MAX + 1)] = "";
    for (int i = 0; i < PROXIES_MAX; i++) {
        (void)snprintf(text + strlen(text), 16, "%s10.0.0.%d", i == 0 ? "" : ",", i);
    }
    cr_expect(parses(text));
    strcat(text, ",10.1.0.0");
    cr_expect_not(parses(text));
}

struct client_row {
    const char *peer;
    const char *first, *second; /* X-Forwarded-For; NULL: not there */
    const char *client;
};

static const struct client_row client_rows[] = {
    {"192.0.2.9", NULL, NULL, "192.0.2.9"},
    {"192.0.2.9", "198.51.100.1", NULL, "192.0.2.9"}, /* no proxy of ours */
    {"10.0.0.1", NULL, NULL, "10.0.0.1"},
    {"10.0.0.1", "198.51.100.1", NULL, "198.51.100.1"},
    {"::ffff:10.0.0.1", "198.51.100.1", NULL, "198.51.100.1"},
    {"10.0.0.1", "203.0.113.7, 198.51.100.1", NULL, "198.51.100.1"}, /* the first is hearsay */
    {"10.0.0.1", "203.0.113.7,198.51.100.1,10.0.0.2", NULL, "198.51.100.1"},
    {"10.0.0.1", "10.0.0.3 , 10.0.0.2", NULL, "10.0.0.3"}, /* all ours: the first of all */
    {"10.0.0.1", "203.0.113.7", "198.51.100.1", "198.51.100.1"},
    {"10.0.0.1", "203.0.113.7", "10.0.0.2", "203.0.113.7"}, /* headers are one list */
    {"10.0.0.1", "198.51.100.1:4711", NULL, "198.51.100.1"},
    {"10.0.0.1", "2001:db8::7", NULL, "2001:db8::7"},
    {"10.0.0.1", "[2001:db8::7]:4711", NULL, "2001:db8::7"},
    {"10.0.0.1", "[2001:db8::7]", NULL, "2001:db8::7"},
    {"10.0.0.1", "127.0.0.1, 198.51.100.1", NULL, "198.51.100.1"},
    {"10.0.0.1", "", NULL, "10.0.0.1"},
    {"10.0.0.1", ",", NULL, "10.0.0.1"},
    {"10.0.0.1", "198.51.100.1,", NULL, "10.0.0.1"},
    {"10.0.0.1", "198.51.100.1, unknown", NULL, "10.0.0.1"},
    {"10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", NULL, "10.0.0.2"},
    {"10.0.0.1", "[", NULL, "10.0.0.1"},
    {"10.0.0.1", "[]", NULL, "10.0.0.1"},
    {"10.0.0.1", "[2001:db8::7", NULL, "10.0.0.1"},
    {"10.0.0.1", "1.2.3.4.5:1", NULL, "10.0.0.1"},
};

Test(service_proxies, the_client_is_the_last_whom_no_trusted_proxy_is)
{
    struct proxies proxies;
    struct err err;
    cr_assert(proxies_parse("10.0.0.0/24", &proxies, &err));
    for (size_t i = 0; i < sizeof(client_rows) / sizeof(client_rows[0]); i++) {
        const struct client_row *row = &client_rows[i];
        struct message_header headers[4] = {{"host", "node"}};
        struct message_request request = {.peer = row->peer, .headers = headers, .header_count = 1};
        if (row->first != NULL) {
            headers[request.header_count++] =
                (struct message_header){"x-forwarded-for", row->first};
        }
        headers[request.header_count++] = (struct message_header){"accept", "192.0.2.77"};
        if (row->second != NULL) {
            headers[request.header_count++] =
                (struct message_header){"x-forwarded-for", row->second};
        }
        struct address client, expected;
        cr_assert(address_parse(bytes_of_string(row->client), &expected));
        cr_assert(proxies_client(&proxies, &request, &client));
        cr_expect(address_equal(&client, &expected), "row %zu", i);
    }
}

Test(service_proxies, a_peer_without_an_address_is_nobody)
{
    struct proxies proxies;
    struct err err;
    struct address client;
    struct message_request request = {.peer = "unknown"};
    cr_assert(proxies_parse("0.0.0.0/0", &proxies, &err));
    cr_expect_not(proxies_client(&proxies, &request, &client));
}

/* Whoever may write the header may write a long one: only so many hops are looked at. */
Test(service_proxies, a_long_chain_of_proxies_ends)
{
    struct proxies proxies;
    struct err err;
    struct address client;
    char list[12 * 64] = "198.51.100.1";
    struct message_header header = {"x-forwarded-for", list};
    struct message_request request = {.peer = "10.0.0.1", .headers = &header, .header_count = 1};
    cr_assert(proxies_parse("10.0.0.0/8", &proxies, &err));
    for (int hops = 1; hops < 40; hops++) {
        cr_assert(proxies_client(&proxies, &request, &client));
        cr_expect_eq(client.bytes[12], hops <= 32 ? 198 : 10, "%d hops", hops);
        strcat(list, ",10.0.0.2");
    }
}
