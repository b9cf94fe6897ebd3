/* json.c: a JSON tokenizer over a document that it first writes itself.
 *
 * Exercises parsers: a switch over bytes, short loops with several exits, and calls that return
 * where they got to.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { RECORDS = 64, DOCUMENT_BYTES = RECORDS * 96 };

static char document[DOCUMENT_BYTES];

static char *put(char *at, const char *string)
{
    while (*string != 0) {
        *at++ = *string++;
    }
    return at;
}

static char *put_number(char *at, uint32_t value)
{
    if (value >= 10) {
        at = put_number(at, value / 10);
    }
    *at++ = (char)('0' + value % 10);
    return at;
}

static void write_document(uint32_t seed)
{
    char *at = put(document, "[");
    for (int i = 0; i < RECORDS; i++) {
        at = put(at, i == 0 ? "{\"id\": " : ",\n {\"id\": ");
        at = put_number(at, random_next(&seed) >> 12);
        at = put(at, ", \"name\": \"item \\\"");
        at = put_number(at, random_next(&seed) >> 20);
        at = put(at, "\\\"\", \"price\": -");
        at = put_number(at, random_next(&seed) >> 22);
        at = put(at, random_next(&seed) & 1 ? ".25e1, \"sold\": true}" : ", \"sold\": null}");
    }
    *put(at, "]") = 0;
}

static const char *skip_string(const char *at)
{
    for (at++; *at != '"'; at++) {
        at += *at == '\\';
    }
    return at + 1;
}

static const char *skip_number(const char *at)
{
    while ((*at >= '0' && *at <= '9') || *at == '-' || *at == '.' || *at == 'e') {
        at++;
    }
    return at;
}

static uint32_t tokenize(const char *at)
{
    uint32_t sum = 0, depth = 0;
    while (*at != 0) {
        const char *begin = at;
        switch (*at) {
        case ' ':
        case '\n':
        case ':':
        case ',':
            at++;
            continue;
        case '[':
        case '{':
            depth++;
            at++;
            break;
        case ']':
        case '}':
            depth--;
            at++;
            break;
        case '"':
            at = skip_string(at);
            break;
        case 't':
        case 'n':
            at += 4;
            break;
        default:
            at = skip_number(at);
        }
        sum = mix(sum, (uint32_t)(at - begin) << 8 | depth);
    }
    return sum;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    for (uint32_t round = 0; round < n; round++) {
        if (round % 16 == 0) {
            write_document(round + 1);
        }
        sum = mix(sum, tokenize(document));
    }
    return sum;
}
