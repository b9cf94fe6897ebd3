/* log.h: the operator's log: one JSON object per line (or plain text on a terminal), never a
 * secret.
 *
 * One log per process, set up once by main before the first thread. Lines from several threads do
 * not mix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* path NULL: stderr. A file is opened for appending, 0600; log_reopen opens it anew (SIGHUP, after
 * rotation). */
bool log_open(const char *path, enum log_level level, bool json, struct err *err) MUST_CHECK;
bool log_reopen(struct err *err) MUST_CHECK;
void log_close(void);
bool log_level_parse(const char *text,
                     enum log_level *out) MUST_CHECK; /* "debug" "info" "warn" "error" */
bool log_enabled(enum log_level level);

/* event: a fixed snake_case word to search for; request_id: uuid text or NULL; then a sentence. */
void log_write(enum log_level level, const char *event, const char *request_id, const char *format,
               ...) PRINTF_LIKE(4, 5);

#endif
