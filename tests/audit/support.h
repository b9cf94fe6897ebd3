/* support.h: temporary directories, whole files, a fixed clock, and waiting for submitted entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_AUDIT_SUPPORT_H
#define TESTS_AUDIT_SUPPORT_H

#include "audit/audit.h"

#include <pthread.h>

enum { PATH_BYTES = 512 };

/* 2026-11-21T10:00:00.000Z, and a millisecond more at each look. */
struct test_clock {
    struct clock clock;
    int64_t now_ms;
};
void test_clock_init(struct test_clock *clock);

/* Makes a new directory under TMPDIR; its name is written to out. */
void directory_make(char out[static PATH_BYTES]);
void directory_remove(const char *directory);
/* Copies a log's files (checkpoint, keys, entries). */
void log_copy(const char *from, const char *to);

void path_join(char out[static PATH_BYTES], const char *directory, const char *name);
/* The file's content, to be freed with heap_free; NULL if it cannot be read. */
uint8_t *file_read(const char *directory, const char *name, size_t *size);
void file_write(const char *directory, const char *name, const void *ptr, size_t size);

/* What a callback saw, and a way to wait for `count` of them. */
enum { WAITER_ENTRIES_MAX = 20000 };
struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    size_t ok_count;
    size_t failed_count;
    uint64_t last_index;
    bool in_order;
    char vkey[512]; /* not empty: every proof is verified with it */
    size_t bad_proof_count;
};
void waiter_init(struct waiter *waiter, const char *vkey);
void waiter_release(struct waiter *waiter);
void waiter_cb(void *waiter, const struct audit_commit *commit);
void waiter_wait(struct waiter *waiter, size_t count);

/* An open log at `directory` that must open. */
struct audit_log *log_open(const char *directory, const struct clock *clock,
                           struct audit_recovery *recovery);
/* Submits and waits; the index. */
uint64_t log_admit(struct audit_log *log, int number);
uint64_t log_result(struct audit_log *log, uint64_t admit);
/* Ends the segment and begins the next; the index of what ended it. */
uint64_t log_rotate(struct audit_log *log);
/* INIT and then ADMIT and RESULT in turn up to `size` entries, closed. */
void log_make(const char *directory, size_t size);
/* The same in a new directory, open. */
struct audit_log *log_new(char directory[static PATH_BYTES], size_t size);

/* Opens and closes. */
bool log_try_open(const char *directory, struct err *err) MUST_CHECK;
void log_expect_refused(const char *directory, enum err_code code);
/* Replaces the key, and waits. */
void log_rotate_key(struct audit_log *log);
/* For audit_log_each, with a uint64_t: the entries come in order from there on. */
bool log_visit(void *next, uint64_t index, struct bytes leaf);
/* What audit_verify_directory reports, with that key, or NULL: the directory's own. */
struct audit_report log_report(const char *directory, const char *vkey);
/* What audit_verify_directory says, with the directory's own key. */
enum audit_verdict log_verdict(const char *directory);

#endif
