/* proxies.c: see proxies.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/proxies.h"

#include <string.h>

enum { PROXIES_HOPS_MAX = 32 }; /* addresses looked at in one request */

static bool is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct bytes trim(struct bytes text)
{
    while (text.size > 0 && is_blank(text.ptr[0])) {
        text = bytes_of(text.ptr + 1, text.size - 1);
    }
    while (text.size > 0 && is_blank(text.ptr[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* Cuts the last element, trimmed, off a list with commas; ptr is NULL when that was the first. */
static struct bytes cut_last(struct bytes *list)
{
    size_t start = list->size;
    while (start > 0 && list->ptr[start - 1] != ',') {
        start--;
    }
    struct bytes last = trim(bytes_of(list->ptr + start, list->size - start));
    *list = start > 0 ? bytes_of(list->ptr, start - 1) : bytes_of(NULL, 0);
    return last;
}

bool proxies_parse(const char *text, struct proxies *out, struct err *err)
{
    struct proxies proxies = {.count = 0};
    struct bytes list = bytes_of_string(text);
    while (text[0] != 0 && list.ptr != NULL) {
        struct bytes last = cut_last(&list);
        if (proxies.count == PROXIES_MAX) {
            return err_set(err, ERR_CONFIG, "server.trusted_proxies has more than %d elements",
                           PROXIES_MAX);
        }
        if (!address_range_parse(last, &proxies.ranges[proxies.count])) {
            return err_set(err, ERR_CONFIG,
                           "server.trusted_proxies has '%.*s', which is no address, such as "
                           "10.0.0.1, nor a network without bits behind its prefix, such as "
                           "10.0.0.0/8",
                           (int)(last.size < 64 ? last.size : 64), (const char *)last.ptr);
        }
        proxies.count++;
    }
    *out = proxies;
    return true;
}

bool proxies_trust(const struct proxies *proxies, const struct address *address)
{
    for (size_t i = 0; i < proxies->count; i++) {
        if (address_range_has(&proxies->ranges[i], address)) {
            return true;
        }
    }
    return false;
}

/* An address as proxies write it: some add the port, "192.0.2.1:80" and "[2001:db8::1]:80". */
static bool parse_hop(struct bytes text, struct address *out)
{
    const uint8_t *end = NULL;
    if (text.size > 0 && text.ptr[0] == '[') {
        text = bytes_of(text.ptr + 1, text.size - 1);
        end = text.size == 0 ? NULL : memchr(text.ptr, ']', text.size);
        return end != NULL && address_parse(bytes_of(text.ptr, (size_t)(end - text.ptr)), out);
    }
    end = text.size == 0 ? NULL : memchr(text.ptr, ':', text.size);
    if (end != NULL && memchr(text.ptr, '.', (size_t)(end - text.ptr)) != NULL) {
        text.size = (size_t)(end - text.ptr);
    }
    return address_parse(text, out);
}

/* Walks one header from its end, as long as the hop before it is to be believed. */
static void walk_back(const struct proxies *proxies, struct bytes list, size_t *hops,
                      struct address *client, bool *is_done)
{
    while (list.size > 0 && !*is_done) {
        struct address hop;
        *is_done = !parse_hop(cut_last(&list), &hop) || ++*hops > PROXIES_HOPS_MAX;
        if (!*is_done) {
            *client = hop;
            *is_done = !proxies_trust(proxies, &hop);
        }
    }
}

bool proxies_client(const struct proxies *proxies, const struct message_request *request,
                    struct address *out)
{
    if (!address_parse(bytes_of_string(request->peer), out)) {
        return false;
    }
    size_t hops = 0;
    bool is_done = !proxies_trust(proxies, out);
    for (size_t i = request->header_count; i > 0 && !is_done; i--) {
        const struct message_header *header = &request->headers[i - 1];
        if (strcmp(header->name, "x-forwarded-for") == 0) {
            walk_back(proxies, bytes_of_string(header->value), &hops, out, &is_done);
        }
    }
    return true;
}
