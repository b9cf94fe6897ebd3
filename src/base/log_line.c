/* log_line.c: formatting of log lines.
 *
 * Values come from outside: whatever is not well-formed UTF-8 becomes '?', and every control
 * character (C0, DEL, C1) is escaped, so that a value can neither end its line nor drive the
 * terminal that shows it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log_line.h"

#include "base/clock.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Kept free behind the fields: what every line ends with. */
enum { LOG_TAIL_BYTES = 16, LOG_ROOM_BYTES = LOG_LINE_BYTES_MAX - LOG_TAIL_BYTES };

/* ---- appending within the room ---- */

static bool put(struct log_line *line, const char *text, size_t size)
{
    if (size > LOG_ROOM_BYTES - line->size) {
        return false;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
    return true;
}

static bool put_string(struct log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

static bool put_format(struct log_line *line, const char *format, ...) PRINTF_LIKE(2, 3);

static bool put_format(struct log_line *line, const char *format, ...)
{
    char text[64];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return put(line, text, (size_t)size);
}

/* One character of a JSON string; *at moves past it. */
static bool put_character(struct log_line *line, const char **at)
{
    uint8_t byte = (uint8_t) * *at;
    uint8_t next = byte == 0 ? 0 : (uint8_t)(*at)[1];
    bool is_c1 = byte == 0xc2 && next >= 0x80 && next < 0xa0; /* U+0080 to U+009F */
    *at += is_c1 ? 2 : 1;
    if (is_c1 || byte < 0x20 || byte == 0x7f) {
        return put_format(line, "\\u%04x", is_c1 ? next : byte);
    }
    if (byte == '"' || byte == '\\') {
        return put_format(line, "\\%c", byte);
    }
    return put(line, *at - 1, 1);
}

/* A JSON string of text that is cut and mended. */
static bool put_quoted(struct log_line *line, const char *text)
{
    char copy[LOG_TEXT_BYTES_MAX + 1];
    size_t size = strnlen(text, LOG_TEXT_BYTES_MAX);
    memcpy(copy, text, size);
    copy[size] = '\0';
    text_utf8_mend(copy);
    bool ok = put(line, "\"", 1);
    for (const char *at = copy; ok && *at != '\0';) {
        ok = put_character(line, &at);
    }
    return ok && put(line, "\"", 1);
}

static bool put_time(struct log_line *line, int64_t wall_ms)
{
    char time[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(wall_ms, time);
    return put_string(line, time);
}

/* ---- fields ---- */

static bool put_value(struct log_line *line, const struct log_field *field)
{
    switch (field->kind) {
    case LOG_NUMBER:
        return put_format(line, "%" PRIu64, field->number);
    case LOG_SIGNED:
        return put_format(line, "%" PRId64, (int64_t)field->number);
    case LOG_TEXT:
        break;
    }
    return put_quoted(line, field->text);
}

/* Each as before + name + between + value; one that does not fit is not there at all. False: some
 * are missing. */
static bool put_fields(struct log_line *line, const struct log_field *fields, const char *before,
                       const char *between)
{
    bool is_whole = true;
    for (; fields != NULL && fields->name != NULL; fields++) {
        size_t start = line->size;
        if (fields->kind == LOG_TEXT && fields->text == NULL) {
            continue;
        }
        if (!(put_string(line, before) && put_string(line, fields->name) &&
              put_string(line, between) && put_value(line, fields))) {
            line->size = start;
            is_whole = false;
        }
    }
    return is_whole;
}

static void put_tail(struct log_line *line, const char *tail)
{
    size_t size = strlen(tail); /* LOG_TAIL_BYTES are free */
    memcpy(line->text + line->size, tail, size);
    line->size += size;
}

/* A message of control characters may be six times as long as it was; then it goes. */
static void put_message(struct log_line *line, const char *message)
{
    size_t start = line->size;
    if (!put_quoted(line, message)) {
        line->size = start;
        (void)put_string(line, "\"\"");
    }
}

/* ---- lines ---- */

void log_line_json(struct log_line *line, enum log_level level, int64_t wall_ms, const char *event,
                   const struct log_field *fields, const char *message)
{
    line->size = 0;
    (void)put_string(line, "{\"time\":\"");
    (void)put_time(line, wall_ms);
    (void)put_string(line, "\",\"level\":\"");
    (void)put_string(line, log_level_name(level));
    (void)put_string(line, "\",\"event\":\"");
    (void)put_string(line, event);
    (void)put_string(line, "\",\"message\":");
    put_message(line, message);
    bool is_whole = put_fields(line, fields, ",\"", "\":");
    put_tail(line, is_whole ? "}\n" : ",\"cut\":true}\n");
}

/* The message as it is, without what could harm a terminal. */
static void put_plain(struct log_line *line, const char *message)
{
    char copy[LOG_TEXT_BYTES_MAX + 1];
    (void)snprintf(copy, sizeof copy, "%s", message);
    text_utf8_mend(copy);
    for (char *at = copy; *at != '\0'; at++) {
        uint8_t byte = (uint8_t)*at;
        bool is_c1 = byte == 0xc2 && (uint8_t)at[1] < 0xa0;
        if (byte < 0x20 || byte == 0x7f || is_c1) {
            at[0] = ' ';
            at[is_c1 ? 1 : 0] = ' ';
        }
    }
    (void)put_string(line, copy);
}

void log_line_plain(struct log_line *line, enum log_level level, int64_t wall_ms, const char *event,
                    const struct log_field *fields, const char *message)
{
    line->size = 0;
    (void)put_time(line, wall_ms);
    (void)put_format(line, " %-5s ", log_level_name(level));
    (void)put_string(line, event);
    (void)put_string(line, ": ");
    put_plain(line, message);
    bool is_whole = put_fields(line, fields, " ", "=");
    put_tail(line, is_whole ? "\n" : " cut=true\n");
}
