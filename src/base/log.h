/* log.h: the operator's log: one JSON object per line (or plain text on a terminal), never a
 * secret.
 *
 *     log_event(LOG_INFO, "execution", LOG_FIELDS(log_text("request_id", id), log_number("gas",
 * gas)), "the program ended");
 *
 * An event is a fixed snake_case word to search for. What a machine may want to filter or add up is
 * a field, with a name of its own and a number as a number; the message is a sentence for people.
 * Whatever the values hold, a line is one line and valid JSON.
 *
 * One log per process, opened once by main before the first thread, closed after the last. In
 * between, whoever logs formats the line and leaves it in a queue; a thread writes it some
 * milliseconds later, so that nobody ever waits for a slow disk or a pipe that nobody reads. When
 * the queue is full, lines are dropped and counted; warnings and errors have the last part of it
 * for themselves, and once there is room again a line tells how many are missing. Before log_open
 * and after log_close, lines are written to stderr at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };

enum log_kind { LOG_TEXT, LOG_NUMBER, LOG_SIGNED };

struct log_field {
    const char *name; /* a fixed snake_case word; NULL ends a list */
    enum log_kind kind;
    const char *text; /* NULL: the field is left out */
    uint64_t number;
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){.name = name, .kind = LOG_TEXT, .text = text};
}

static inline struct log_field log_number(const char *name, uint64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_NUMBER, .number = number};
}

static inline struct log_field log_signed(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_SIGNED, .number = (uint64_t)number};
}

#define LOG_FIELDS(...) ((const struct log_field[]){__VA_ARGS__, {.name = NULL}})

/* path NULL: stderr. A file is opened for appending, 0600; log_reopen opens it anew (SIGHUP, after
 * rotation). */
bool log_open(const char *path, enum log_level level, bool json, struct err *err) MUST_CHECK;
bool log_reopen(struct err *err) MUST_CHECK;
/* Writes what is queued, for at most a second if nobody takes it. */
void log_close(void);
/* The same without closing: what was logged before the call is written when it returns. */
void log_flush(void);
bool log_level_parse(const char *text,
                     enum log_level *out) MUST_CHECK; /* "debug" "info" "warn" "error" */
const char *log_level_name(enum log_level level);
bool log_enabled(enum log_level level);

/* fields: LOG_FIELDS(…), or NULL. A text is cut after 1 KiB; fields beyond 4 KiB of line are left
 * out, and "cut" tells so. */
void log_event(enum log_level level, const char *event, const struct log_field *fields,
               const char *format, ...) PRINTF_LIKE(4, 5);
/* The short form; request_id: uuid text or NULL. */
void log_write(enum log_level level, const char *event, const char *request_id, const char *format,
               ...) PRINTF_LIKE(4, 5);

struct log_facts { /* since the start */
    uint64_t lines[LOG_LEVEL_COUNT];
    uint64_t dropped;
};
void log_facts(struct log_facts *out);

#endif
