/* support.c: see support.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"

#include "base/arena.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t clock_now(void *context)
{
    struct test_clock *clock = context;
    return clock->now_ms++;
}

void test_clock_init(struct test_clock *clock)
{
    clock->now_ms = 1795255200000;
    clock->clock = (struct clock){
        .monotonic_ns = clock_system.monotonic_ns, .wall_ms = clock_now, .context = clock};
}

void directory_make(char out[static PATH_BYTES])
{
    const char *base = getenv("TMPDIR");
    snprintf(out, PATH_BYTES, "%s/test_audit.XXXXXX", base == NULL ? "/tmp" : base);
    cr_assert_not_null(mkdtemp(out));
}

static void folder_empty(const char *path)
{
    DIR *list = opendir(path);
    const struct dirent *entry;
    while (list != NULL && (entry = readdir(list)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlinkat(dirfd(list), entry->d_name, 0);
        }
    }
    if (list != NULL) {
        closedir(list);
    }
}

void directory_remove(const char *directory)
{
    char path[PATH_BYTES];
    path_join(path, directory, "entries");
    folder_empty(path);
    rmdir(path);
    folder_empty(directory);
    rmdir(directory);
}

void path_join(char out[static PATH_BYTES], const char *directory, const char *name)
{
    int size = snprintf(out, PATH_BYTES, "%s/%s", directory, name);
    cr_assert(size > 0 && size < PATH_BYTES);
}

uint8_t *file_read(const char *directory, const char *name, size_t *size)
{
    char path[PATH_BYTES];
    struct stat status;
    path_join(path, directory, name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) {
        return NULL;
    }
    cr_assert(fstat(fd, &status) == 0);
    uint8_t *content = heap_alloc((size_t)status.st_size + 1);
    cr_assert(read(fd, content, (size_t)status.st_size) == status.st_size);
    close(fd);
    *size = (size_t)status.st_size;
    return content;
}

void file_write(const char *directory, const char *name, const void *ptr, size_t size)
{
    char path[PATH_BYTES];
    path_join(path, directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    cr_assert(fd >= 0, "%s", path);
    cr_assert(write(fd, ptr, size) == (ssize_t)size);
    close(fd);
}

static void folder_copy(const char *from, const char *to)
{
    DIR *list = opendir(from);
    const struct dirent *entry;
    cr_assert_not_null(list);
    while ((entry = readdir(list)) != NULL) {
        size_t size = 0;
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "entries") == 0) {
            continue;
        }
        uint8_t *content = file_read(from, entry->d_name, &size);
        cr_assert_not_null(content);
        file_write(to, entry->d_name, content, size);
        heap_free(content);
    }
    closedir(list);
}

void log_copy(const char *from, const char *to)
{
    char from_entries[PATH_BYTES];
    char to_entries[PATH_BYTES];
    path_join(from_entries, from, "entries");
    path_join(to_entries, to, "entries");
    mkdir(to_entries, 0700);
    folder_copy(from, to);
    folder_copy(from_entries, to_entries);
}

void waiter_init(struct waiter *waiter, const char *vkey)
{
    memset(waiter, 0, sizeof(*waiter));
    pthread_mutex_init(&waiter->mutex, NULL);
    pthread_cond_init(&waiter->wake, NULL);
    waiter->in_order = true;
    snprintf(waiter->vkey, sizeof(waiter->vkey), "%s", vkey == NULL ? "" : vkey);
}

void waiter_release(struct waiter *waiter)
{
    pthread_mutex_destroy(&waiter->mutex);
    pthread_cond_destroy(&waiter->wake);
}

static bool commit_is_proved(const struct waiter *waiter, const struct audit_commit *commit)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    uint64_t index = UINT64_MAX;
    struct audit_checkpoint checkpoint;
    audit_leaf_hash(commit->leaf, hash);
    return memcmp(hash, commit->leaf_hash, sizeof(hash)) == 0 &&
           audit_tlog_proof_verify(commit->tlog_proof, waiter->vkey, hash, &index, &checkpoint) ==
               AUDIT_OK &&
           index == commit->index;
}

void waiter_cb(void *context, const struct audit_commit *commit)
{
    struct waiter *waiter = context;
    pthread_mutex_lock(&waiter->mutex);
    if (commit->ok) {
        waiter->in_order =
            waiter->in_order && (waiter->ok_count == 0 || commit->index > waiter->last_index);
        waiter->ok_count++;
        waiter->last_index = commit->index;
        if (waiter->vkey[0] != '\0' && !commit_is_proved(waiter, commit)) {
            waiter->bad_proof_count++;
        }
    } else {
        waiter->failed_count++;
    }
    pthread_cond_signal(&waiter->wake);
    pthread_mutex_unlock(&waiter->mutex);
}

void waiter_wait(struct waiter *waiter, size_t count)
{
    pthread_mutex_lock(&waiter->mutex);
    while (waiter->ok_count + waiter->failed_count < count) {
        pthread_cond_wait(&waiter->wake, &waiter->mutex);
    }
    pthread_mutex_unlock(&waiter->mutex);
}

struct audit_log *log_open(const char *directory, const struct clock *clock,
                           struct audit_recovery *recovery)
{
    struct audit_config config = {.directory = directory, .clock = clock};
    struct audit_recovery unused;
    struct audit_log *log = NULL;
    struct err err;
    cr_assert(
        audit_log_open(&config, NULL, NULL, &log, recovery == NULL ? &unused : recovery, &err),
        "%s", err.message);
    return log;
}

static uint64_t submit_and_wait(struct audit_log *log, enum audit_kind kind, json_t *fields)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, audit_log_vkey(log));
    cr_assert(audit_log_submit(log, kind, fields, waiter_cb, &waiter, &err), "%s", err.message);
    json_decref(fields);
    waiter_wait(&waiter, 1);
    uint64_t index = waiter.last_index;
    cr_assert(waiter.ok_count == 1 && waiter.bad_proof_count == 0);
    waiter_release(&waiter);
    return index;
}

uint64_t log_admit(struct audit_log *log, int number)
{
    return submit_and_wait(
        log, AUDIT_ADMIT,
        json_pack("{s:s,s:i}", "request_id", "00000000-0000-4000-8000-000000000000", "n", number));
}

uint64_t log_result(struct audit_log *log, uint64_t admit)
{
    return submit_and_wait(log, AUDIT_RESULT,
                           json_pack("{s:I,s:s}", "admit", (json_int_t)admit, "status", "success"));
}

uint64_t log_rotate(struct audit_log *log)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, NULL);
    cr_assert(audit_log_rotate(log, waiter_cb, &waiter, &err), "%s", err.message);
    waiter_wait(&waiter, 1);
    cr_assert_eq(waiter.ok_count, 1);
    uint64_t index = waiter.last_index;
    waiter_release(&waiter);
    return index;
}

void log_rotate_key(struct audit_log *log)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, NULL);
    cr_assert(audit_log_rotate_key(log, waiter_cb, &waiter, &err), "%s", err.message);
    waiter_wait(&waiter, 1);
    cr_assert_eq(waiter.ok_count, 1);
    waiter_release(&waiter);
}

bool log_visit(void *next, uint64_t index, struct bytes leaf)
{
    uint64_t *expected = next;
    (void)leaf;
    cr_assert_eq(index, *expected);
    (*expected)++;
    return true;
}

void log_make(const char *directory, size_t size)
{
    struct test_clock clock;
    struct err err;
    uint64_t admit = 0;
    test_clock_init(&clock);
    cr_assert(new_log(directory, "log.example/test", &clock.clock, &err), "%s", err.message);
    struct audit_log *log = log_open(directory, &clock.clock, NULL);
    for (size_t i = 1; i < size; i++) {
        if (i % 2 == 1) {
            admit = log_admit(log, (int)i);
        } else {
            log_result(log, admit);
        }
    }
    audit_log_close(log);
}

struct audit_log *log_new(char directory[static PATH_BYTES], size_t size)
{
    directory_make(directory);
    log_make(directory, size);
    return log_open(directory, &clock_system, NULL);
}

bool log_try_open(const char *directory, struct err *err)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    if (!audit_log_open(&config, NULL, NULL, &log, &recovery, err)) {
        return false;
    }
    audit_log_close(log);
    return true;
}

void log_expect_refused(const char *directory, enum err_code code)
{
    struct err err = {.code = ERR_NONE};
    cr_expect_not(log_try_open(directory, &err));
    cr_expect_eq(err.code, code, "%s", err.message);
}

struct audit_report log_report(const char *directory, const char *vkey)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(directory, vkey, bytes_of(NULL, 0), NULL, NULL, &report, &err),
              "%s", err.message);
    return report;
}

enum audit_verdict log_verdict(const char *directory)
{
    return log_report(directory, NULL).verdict;
}
