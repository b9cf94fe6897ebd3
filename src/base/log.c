/* log.c: one line per event, built whole and written with one write, so that threads cannot mix.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LINE_BYTES_MAX = 4096, LOG_TEXT_BYTES_MAX = 1024, LOG_PATH_BYTES_MAX = 4096 };

static const char *const log_level_names[] = {"debug", "info", "warn", "error"};

static struct {
    pthread_mutex_t mutex;
    int fd;
    enum log_level level;
    bool json;
    char path[LOG_PATH_BYTES_MAX]; /* "" is stderr */
} log_state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .level = LOG_INFO};

static bool log_open_fd(const char *path, int *fd, struct err *err)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return err_set(err, ERR_IO, "cannot open the log file '%s': %s", path, strerror(errno));
    }
    return true;
}

static void log_replace_fd(int fd)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    int old = log_state.fd;
    log_state.fd = fd;
    (void)pthread_mutex_unlock(&log_state.mutex);
    if (old > STDERR_FILENO) {
        (void)close(old);
    }
}

bool log_open(const char *path, enum log_level level, bool json, struct err *err)
{
    int fd = STDERR_FILENO;
    if (path != NULL) {
        if (strlen(path) >= sizeof(log_state.path)) {
            return err_set(err, ERR_CONFIG, "the log file's path is too long");
        }
        if (!log_open_fd(path, &fd, err)) {
            return false;
        }
    }
    (void)snprintf(log_state.path, sizeof(log_state.path), "%s", path != NULL ? path : "");
    log_state.level = level;
    log_state.json = json;
    log_replace_fd(fd);
    return true;
}

bool log_reopen(struct err *err)
{
    if (log_state.path[0] == 0) {
        return true;
    }
    int fd;
    if (!log_open_fd(log_state.path, &fd, err)) {
        return false;
    }
    log_replace_fd(fd);
    return true;
}

void log_close(void)
{
    log_replace_fd(STDERR_FILENO);
    log_state.path[0] = 0;
}

bool log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < sizeof(log_level_names) / sizeof(log_level_names[0]); i++) {
        if (strcmp(text, log_level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

bool log_enabled(enum log_level level)
{
    return level >= log_state.level;
}

/* A JSON string; what is not UTF-8 becomes '?', so that a line is always valid JSON. */
static void log_append_json_string(struct buffer *line, const char *text)
{
    bool utf8 = text_is_utf8(bytes_of_string(text));
    buffer_append_u8(line, '"');
    for (const char *at = text; *at != 0; at++) {
        uint8_t byte = (uint8_t)*at;
        if (byte == '"' || byte == '\\') {
            buffer_append_u8(line, '\\');
            buffer_append_u8(line, byte);
        } else if (byte < 0x20 || byte == 0x7f) {
            buffer_printf(line, "\\u%04x", byte);
        } else {
            buffer_append_u8(line, byte >= 0x80 && !utf8 ? '?' : byte);
        }
    }
    buffer_append_u8(line, '"');
}

static void log_build_json(struct buffer *line, enum log_level level, const char *time,
                           const char *event, const char *request_id, const char *text)
{
    buffer_printf(line, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time,
                  log_level_names[level], event);
    if (request_id != NULL) {
        buffer_append_string(line, ",\"request_id\":");
        log_append_json_string(line, request_id);
    }
    buffer_append_string(line, ",\"message\":");
    log_append_json_string(line, text);
    buffer_append_string(line, "}\n");
}

static void log_build_text(struct buffer *line, enum log_level level, const char *time,
                           const char *event, const char *request_id, const char *text)
{
    buffer_printf(line, "%s %-5s %s", time, log_level_names[level], event);
    if (request_id != NULL) {
        buffer_printf(line, " [%s]", request_id);
    }
    buffer_append_string(line, ": ");
    for (const char *at = text; *at != 0; at++) {
        buffer_append_u8(line, (uint8_t)*at < 0x20 || *at == 0x7f ? ' ' : (uint8_t)*at);
    }
    buffer_append_u8(line, '\n');
}

void log_write(enum log_level level, const char *event, const char *request_id, const char *format,
               ...)
{
    if (!log_enabled(level)) {
        return;
    }
    char text[LOG_TEXT_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char time[CLOCK_RFC3339_CHARS + 1];
    clock_rfc3339_encode(clock_wall_ms(&clock_system), time);
    struct buffer line;
    buffer_init(&line, LOG_LINE_BYTES_MAX * 2);
    if (log_state.json) {
        log_build_json(&line, level, time, event, request_id, text);
    } else {
        log_build_text(&line, level, time, event, request_id, text);
    }
    if (!line.failed) {
        (void)pthread_mutex_lock(&log_state.mutex);
        ssize_t written = write(log_state.fd, line.ptr, line.size);
        (void)written; /* a full disk must not stop the service */
        (void)pthread_mutex_unlock(&log_state.mutex);
    }
    buffer_release(&line);
}
