/* fuzz_base_log: whatever a value holds, the line is one line and valid JSON, without control
 * characters.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log_line.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[2 * LOG_LINE_BYTES_MAX];
    struct log_line line;
    size = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, data, size);
    text[size] = '\0';
    const struct log_field *fields =
        LOG_FIELDS(log_text("text", text), log_number("size", size), log_text("again", text));
    log_line_json(&line, LOG_INFO, 0, "event", fields, text);
    json_t *json = json_loadb(line.text, line.size, JSON_REJECT_DUPLICATES, NULL);
    assert(json_is_object(json) &&
           json_integer_value(json_object_get(json, "size")) == (json_int_t)size);
    json_decref(json);
    for (int plain = 0; plain < 2; plain++) {
        for (size_t i = 0; i + 1 < line.size; i++) {
            assert((uint8_t)line.text[i] >= ' ' && line.text[i] != '\x7f');
        }
        assert(line.size <= LOG_LINE_BYTES_MAX && line.text[line.size - 1] == '\n');
        log_line_plain(&line, LOG_INFO, 0, "event", fields, text);
    }
    return 0;
}
