/* log.c: levels, the queue of lines, and the thread that writes them.
 *
 * Whoever logs takes the mutex for one memcpy. The writer is woken by the first line of an empty
 * queue, waits a moment for more, and takes as many whole lines at once as a pipe takes at once;
 * without the mutex it waits until the descriptor takes something and writes. Under load that is
 * one wake-up in some milliseconds, not one per line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include "base/clock.h"
#include "base/log_line.h"
#include "base/process.h"
#include "base/wait.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    LOG_PATH_BYTES_MAX = 4096,
    LOG_QUEUE_BYTES = 1024 * 1024,
    LOG_RESERVED_BYTES = LOG_QUEUE_BYTES / 8, /* for warnings and errors only */
    LOG_GATHER_MS = 10,                       /* a line may wait so long for others */
    LOG_POLL_MS = 100,                        /* a writer that is stuck looks around so often */
    LOG_PATIENCE_MS = 1000,                   /* of log_flush and log_close with a stuck sink */
    NS_PER_MS = 1000000,
};

static const char *const log_level_names[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};

static struct {
    enum log_level level; /* these three do not change while open */
    bool json;
    char path[LOG_PATH_BYTES_MAX]; /* "" is stderr */

    pthread_mutex_t mutex; /* of all that follows */
    pthread_cond_t work;   /* the writer waits for it */
    pthread_cond_t written;
    pthread_t writer;
    bool is_open; /* the writer runs, and its conditions exist */
    bool is_closing;
    bool is_urgent;        /* do not wait for more lines */
    uint64_t give_up_ns;   /* when closing */
    int fd;                /* the writer's, while open */
    int next_fd;           /* to take instead; -1: none */
    size_t start, used;    /* of the ring */
    uint64_t taken_bytes;  /* that came to an end, written or not */
    uint64_t told_dropped; /* facts.dropped that a line has told of */
    struct log_facts facts;
    char ring[LOG_QUEUE_BYTES];
} log_state = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .next_fd = -1, .level = LOG_INFO};

/* ---- the sink ---- */

static bool sink_open(const char *path, int *fd, struct err *err)
{
    *fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return err_set(err, ERR_IO, "cannot open the log file '%s': %s", path, strerror(errno));
    }
    return true;
}

static void sink_close(int fd)
{
    if (fd > STDERR_FILENO) {
        (void)close(fd);
    }
}

static bool has_given_up(void)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    bool given_up =
        log_state.is_closing && clock_monotonic_ns(&clock_system) > log_state.give_up_ns;
    (void)pthread_mutex_unlock(&log_state.mutex);
    return given_up;
}

/* Writes all of it. False: it cannot be written, or the log closes and nobody takes it. */
static bool sink_write(int fd, const char *text, size_t size)
{
    while (size > 0) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        int patience_ms = has_given_up() ? 0 : LOG_POLL_MS;
        if (poll(&ready, 1, patience_ms) <= 0) {
            if (patience_ms == 0) {
                return false;
            }
            continue;
        }
        ssize_t count = write(fd, text, size);
        if (count < 0 && errno != EINTR && errno != EAGAIN) {
            return false; /* a full disk must not stop the service */
        }
        text += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

/* ---- the queue; with the mutex ---- */

static bool queue_put(const struct log_line *line, enum log_level level)
{
    size_t needed = line->size + (level < LOG_WARN ? LOG_RESERVED_BYTES : 0);
    if (needed > LOG_QUEUE_BYTES - log_state.used) {
        return false;
    }
    size_t end = (log_state.start + log_state.used) % LOG_QUEUE_BYTES;
    size_t first = LOG_QUEUE_BYTES - end < line->size ? LOG_QUEUE_BYTES - end : line->size;
    memcpy(log_state.ring + end, line->text, first);
    memcpy(log_state.ring, line->text + first, line->size - first);
    bool was_empty = log_state.used == 0;
    log_state.used += line->size;
    bool is_urgent = level >= LOG_WARN || log_state.used > LOG_QUEUE_BYTES / 2;
    if (was_empty || (is_urgent && !log_state.is_urgent)) {
        log_state.is_urgent = log_state.is_urgent || is_urgent;
        (void)pthread_cond_signal(&log_state.work);
    }
    return true;
}

/* Moves as many whole lines out as fit. */
static void queue_take(struct log_line *out)
{
    size_t size = log_state.used < LOG_LINE_BYTES_MAX ? log_state.used : LOG_LINE_BYTES_MAX;
    size_t first = LOG_QUEUE_BYTES - log_state.start;
    first = first < size ? first : size;
    memcpy(out->text, log_state.ring + log_state.start, first);
    memcpy(out->text + first, log_state.ring, size - first);
    while (out->text[size - 1] != '\n') {
        size--;
    }
    out->size = size;
    log_state.start = (log_state.start + size) % LOG_QUEUE_BYTES;
    log_state.used -= size;
}

static uint64_t lines_in(const struct log_line *text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text->size; i++) {
        count += text->text[i] == '\n';
    }
    return count;
}

/* ---- the writer ---- */

static void writer_wait(void)
{
    while (log_state.used == 0 && log_state.next_fd < 0 && !log_state.is_closing) {
        (void)pthread_cond_wait(&log_state.work, &log_state.mutex);
    }
    uint64_t until_ns = wait_end_ns((uint64_t)LOG_GATHER_MS * NS_PER_MS);
    while (!log_state.is_urgent && !log_state.is_closing &&
           wait_until(&log_state.work, &log_state.mutex, until_ns)) {
    }
}

static void writer_switch(void)
{
    if (log_state.next_fd >= 0) {
        sink_close(log_state.fd);
        log_state.fd = log_state.next_fd;
        log_state.next_fd = -1;
    }
}

static bool writer_put(const struct log_line *text)
{
    int fd = log_state.fd;
    (void)pthread_mutex_unlock(&log_state.mutex);
    bool ok = sink_write(fd, text->text, text->size);
    (void)pthread_mutex_lock(&log_state.mutex);
    return ok;
}

static void log_build(struct log_line *line, enum log_level level, const char *event,
                      const struct log_field *fields, const char *message)
{
    int64_t now_ms = clock_wall_ms(&clock_system);
    if (log_state.json) {
        log_line_json(line, level, now_ms, event, fields, message);
    } else {
        log_line_plain(line, level, now_ms, event, fields, message);
    }
}

static void writer_tell_dropped(void)
{
    struct log_line line;
    uint64_t missing = log_state.facts.dropped - log_state.told_dropped;
    if (missing > 0) {
        log_build(&line, LOG_WARN, "log_lines_dropped", LOG_FIELDS(log_number("lines", missing)),
                  "lines of this log are missing: they came faster than they could be written");
        log_state.told_dropped += writer_put(&line) ? missing : 0;
    }
}

static void writer_drain(void)
{
    struct log_line lines;
    while (log_state.used > 0) {
        queue_take(&lines);
        if (!writer_put(&lines)) {
            log_state.facts.dropped += lines_in(&lines);
        }
        log_state.taken_bytes += lines.size;
        (void)pthread_cond_broadcast(&log_state.written);
    }
    writer_tell_dropped();
}

static void *writer_run(void *context)
{
    (void)context;
    process_thread_name("events");
    (void)pthread_mutex_lock(&log_state.mutex);
    do {
        writer_wait();
        log_state.is_urgent = false;
        writer_switch();
        writer_drain();
    } while (log_state.used > 0 || !log_state.is_closing);
    (void)pthread_mutex_unlock(&log_state.mutex);
    return NULL;
}

/* Signals are for the loop's thread. */
static bool writer_start(struct err *err)
{
    sigset_t all, before;
    wait_init(&log_state.work);
    wait_init(&log_state.written);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&log_state.writer, NULL, writer_run, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code == 0 || err_set(err, ERR_NO_MEMORY, "the log's thread: %s", strerror(code));
}

/* ---- opening and closing ---- */

bool log_open(const char *path, enum log_level level, bool json, struct err *err)
{
    int fd = STDERR_FILENO;
    assert(!log_state.is_open);
    if (path != NULL && strlen(path) >= sizeof(log_state.path)) {
        return err_set(err, ERR_CONFIG, "the log file's path is too long");
    }
    if (path != NULL && !sink_open(path, &fd, err)) {
        return false;
    }
    (void)snprintf(log_state.path, sizeof(log_state.path), "%s", path != NULL ? path : "");
    log_state.level = level;
    log_state.json = json;
    log_state.fd = fd;
    log_state.is_closing = false;
    log_state.is_open = writer_start(err);
    if (!log_state.is_open) {
        sink_close(fd);
        log_state.fd = STDERR_FILENO;
    }
    return log_state.is_open;
}

bool log_reopen(struct err *err)
{
    int fd;
    if (log_state.path[0] == 0) {
        return true;
    }
    if (!sink_open(log_state.path, &fd, err)) {
        return false;
    }
    (void)pthread_mutex_lock(&log_state.mutex);
    sink_close(log_state.next_fd);
    log_state.next_fd = fd;
    log_state.is_urgent = true;
    (void)pthread_cond_signal(&log_state.work);
    (void)pthread_mutex_unlock(&log_state.mutex);
    return true;
}

void log_close(void)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    bool was_open = log_state.is_open;
    log_state.is_closing = true;
    log_state.give_up_ns = wait_end_ns((uint64_t)LOG_PATIENCE_MS * NS_PER_MS);
    if (was_open) {
        (void)pthread_cond_signal(&log_state.work);
    }
    (void)pthread_mutex_unlock(&log_state.mutex);
    if (!was_open) {
        return;
    }
    (void)pthread_join(log_state.writer, NULL);
    log_state.is_open = false;
    log_state.path[0] = 0;
    (void)pthread_cond_destroy(&log_state.work);
    (void)pthread_cond_destroy(&log_state.written);
    sink_close(log_state.fd);
    log_state.fd = STDERR_FILENO;
}

void log_flush(void)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    uint64_t target = log_state.taken_bytes + log_state.used;
    uint64_t until_ns = wait_end_ns((uint64_t)LOG_PATIENCE_MS * NS_PER_MS);
    if (log_state.is_open) {
        log_state.is_urgent = true;
        (void)pthread_cond_signal(&log_state.work);
    }
    while (log_state.is_open && log_state.taken_bytes < target &&
           wait_until(&log_state.written, &log_state.mutex, until_ns)) {
    }
    (void)pthread_mutex_unlock(&log_state.mutex);
}

/* ---- levels ---- */

bool log_level_parse(const char *text, enum log_level *out)
{
    for (size_t i = 0; i < LOG_LEVEL_COUNT; i++) {
        if (strcmp(text, log_level_names[i]) == 0) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return log_level_names[level];
}

bool log_enabled(enum log_level level)
{
    return level >= log_state.level;
}

/* ---- logging ---- */

static void log_emit(const struct log_line *line, enum log_level level)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    log_state.facts.lines[level]++;
    if (!log_state.is_open) {
        (void)!write(log_state.fd, line->text, line->size);
    } else if (!queue_put(line, level)) {
        log_state.facts.dropped++;
    }
    (void)pthread_mutex_unlock(&log_state.mutex);
}

static void log_args(enum log_level level, const char *event, const struct log_field *fields,
                     const char *format, va_list args) PRINTF_LIKE(4, 0);

static void log_args(enum log_level level, const char *event, const struct log_field *fields,
                     const char *format, va_list args)
{
    char message[LOG_TEXT_BYTES_MAX];
    struct log_line line;
    (void)vsnprintf(message, sizeof(message), format, args);
    log_build(&line, level, event, fields, message);
    log_emit(&line, level);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields,
               const char *format, ...)
{
    if (log_enabled(level)) {
        va_list args;
        va_start(args, format);
        log_args(level, event, fields, format, args);
        va_end(args);
    }
}

void log_write(enum log_level level, const char *event, const char *request_id, const char *format,
               ...)
{
    if (log_enabled(level)) {
        va_list args;
        va_start(args, format);
        log_args(level, event, LOG_FIELDS(log_text("request_id", request_id)), format, args);
        va_end(args);
    }
}

void log_facts(struct log_facts *out)
{
    (void)pthread_mutex_lock(&log_state.mutex);
    *out = log_state.facts;
    (void)pthread_mutex_unlock(&log_state.mutex);
}
