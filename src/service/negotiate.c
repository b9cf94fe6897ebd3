/* negotiate.c: reading Accept (negotiate.h).
 *
 *     Accept      = #( media-range [ weight ] )
 *     media-range = ( "*" "/" "*" / type "/" "*" / type "/" subtype ) parameters
 *     weight      = OWS ";" OWS "q=" qvalue
 *
 * For each type the most precise range that matches gives the weight. What follows a place that
 * makes no sense is not read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/negotiate.h"

#include "service/field.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

enum { WEIGHT_MAX = 1000 };

enum precision { MATCHES_NOT, MATCHES_ALL, MATCHES_TYPE, MATCHES_SUBTYPE, MATCHES_CHARSET };

struct range {
    struct bytes type, subtype;
    bool has_charset; /* utf-8, which ours have */
    bool is_other;    /* it has parameters that none of ours has */
    unsigned weight;  /* in thousandths */
};

struct choice { /* of one type so far */
    enum precision precision;
    unsigned weight;
};

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) */
static bool weight_read(struct bytes text, unsigned *out)
{
    unsigned weight = 0;
    unsigned scale = WEIGHT_MAX;
    if (text.size == 0 || text.size > strlen("0.000") || (text.size > 1 && text.ptr[1] != '.')) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        if (i == 1) {
            continue; /* the point */
        }
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        weight += (unsigned)(text.ptr[i] - '0') * scale;
        scale /= 10;
    }
    *out = weight;
    return weight <= WEIGHT_MAX;
}

static bool parameter_note(struct bytes name, struct bytes value, struct range *range)
{
    if (field_is_word(name, "q")) {
        return weight_read(value, &range->weight);
    }
    bool is_charset = field_is_word(name, "charset") && field_is_word(value, "utf-8");
    range->has_charset = range->has_charset || is_charset;
    range->is_other = range->is_other || !is_charset;
    return true;
}

static bool range_take(struct reader *reader, struct range *range)
{
    *range = (struct range){.weight = WEIGHT_MAX};
    if (!field_take_token(reader, &range->type) || !field_take_char(reader, '/') ||
        !field_take_token(reader, &range->subtype)) {
        return false;
    }
    field_skip_blanks(reader);
    while (field_take_char(reader, ';')) {
        struct bytes name, value;
        field_skip_blanks(reader);
        const uint8_t *start = reader->ptr;
        bool is_whole = field_take_parameter(reader, &name, &value);
        if (is_whole ? !parameter_note(name, value, range) : reader->ptr != start) {
            return false; /* but a semicolon with nothing behind it is fine */
        }
        field_skip_blanks(reader);
    }
    return reader_left(reader) == 0 || field_take_char(reader, ',');
}

static bool is_same_word(struct bytes a, struct bytes b)
{
    return a.size == b.size && strncasecmp((const char *)a.ptr, (const char *)b.ptr, a.size) == 0;
}

static enum precision range_matches(const struct range *range, const char *type)
{
    size_t slash = strcspn(type, "/");
    bool any_subtype = field_is_word(range->subtype, "*");
    if (range->is_other) {
        return MATCHES_NOT;
    }
    if (field_is_word(range->type, "*")) {
        return any_subtype ? MATCHES_ALL : MATCHES_NOT;
    }
    if (!is_same_word(range->type, bytes_of(type, slash))) {
        return MATCHES_NOT;
    }
    if (any_subtype) {
        return MATCHES_TYPE;
    }
    if (!field_is_word(range->subtype, type + slash + 1)) {
        return MATCHES_NOT;
    }
    return range->has_charset ? MATCHES_CHARSET : MATCHES_SUBTYPE;
}

static void line_read(struct bytes line, const char *const *types, size_t type_count,
                      struct choice *choices)
{
    struct reader reader = reader_of(line);
    struct range range;
    for (;;) {
        do {
            field_skip_blanks(&reader);
        } while (field_take_char(&reader, ',')); /* lists may have empty elements */
        if (!range_take(&reader, &range)) {
            return;
        }
        for (size_t i = 0; i < type_count; i++) {
            enum precision precision = range_matches(&range, types[i]);
            if (precision > choices[i].precision) {
                choices[i] = (struct choice){.precision = precision, .weight = range.weight};
            }
        }
    }
}

size_t negotiate_type(const struct message_request *request, const char *const *types,
                      size_t type_count)
{
    struct choice choices[NEGOTIATE_TYPES_MAX] = {0};
    size_t best = 0;
    assert(type_count > 0 && type_count <= NEGOTIATE_TYPES_MAX);
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcmp(request->headers[i].name, "accept") == 0) {
            line_read(bytes_of_string(request->headers[i].value), types, type_count, choices);
        }
    }
    for (size_t i = 1; i < type_count; i++) {
        if (choices[i].weight > choices[best].weight ||
            (choices[i].weight == choices[best].weight && choices[i].weight > 0 &&
             choices[i].precision > choices[best].precision)) {
            best = i;
        }
    }
    return best;
}
