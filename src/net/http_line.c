/* http_line.c: see http_line.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http_line.h"

static bool http_line_byte_is_plain(uint8_t byte)
{
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

enum http_line_result http_line_scan(struct http_line *line, struct bytes input, size_t size_max,
                                     size_t *taken)
{
    for (size_t i = 0; i < input.size; i++) {
        uint8_t byte = input.ptr[i];
        *taken = i + 1;
        if (line->after_cr) {
            return byte == '\n' ? HTTP_LINE_END : HTTP_LINE_BAD;
        }
        if (byte == '\r') {
            line->after_cr = true;
        } else if (!http_line_byte_is_plain(byte)) {
            return HTTP_LINE_BAD;
        } else if (line->size == size_max) {
            return HTTP_LINE_LONG;
        } else {
            line->size++;
        }
    }
    *taken = input.size;
    return HTTP_LINE_MORE;
}
