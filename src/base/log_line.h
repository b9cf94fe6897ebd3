/* log_line.h: one line of the log as text: pure formatting, no I/O, no allocation. Private to log.c
 * and its tests.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_LOG_LINE_H
#define BASE_LOG_LINE_H

#include "base/log.h"

#include <stddef.h>

enum {
    LOG_LINE_BYTES_MAX = 4096, /* PIPE_BUF: a pipe takes it whole, whoever else writes to it */
    LOG_TEXT_BYTES_MAX = 1024, /* of one value */
};

struct log_line {
    char text[LOG_LINE_BYTES_MAX]; /* ends with the only newline in it; no NUL */
    size_t size;
};

/* {"time":…,"level":…,"event":…,"message":…, fields} */
void log_line_json(struct log_line *line, enum log_level level, int64_t wall_ms, const char *event,
                   const struct log_field *fields, const char *message);
/* TIME level event: message name=value … */
void log_line_plain(struct log_line *line, enum log_level level, int64_t wall_ms, const char *event,
                    const struct log_field *fields, const char *message);

#endif
