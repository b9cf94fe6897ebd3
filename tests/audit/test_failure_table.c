/* test_failure_table.c: what happens if one operation on one of the log's files fails: the table in
 * docs/audit-log.md, which has just these rows.
 *
 * A life opens a log that a crash left (a torn tail, an open ADMIT), submits entries in bursts,
 * begins a segment, lets the checkpoint file
 * follow, submits more, and closes. Each occurrence of each
 * operation on each file fails in turn: without having taken effect, with it, and a write by half.
 * Whatever happens: it is said once, everybody who waits is answered, and the next opening finds
 * all that was acknowledged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BASE_ENTRIES = 6, BURST = 5, DESCRIPTORS_MAX = 1024 };

enum place {
    PLACE_KEY,
    PLACE_ENTRIES,
    PLACE_CHECKPOINT,
    PLACE_SCRATCH,
    PLACE_DIRECTORY,
    PLACE_ENTRIES_DIRECTORY,
    PLACE_COUNT
};

static const char *const place_names[PLACE_COUNT] = {
    "`log.vkey`",       "the entries",   "`checkpoint` and `checkpoint.tmp`",
    "`hashes.scratch`", "the directory", "`entries/`"};

enum operation {
    OPERATION_OPEN,
    OPERATION_READ,
    OPERATION_WRITE,
    OPERATION_SYNC,
    OPERATION_TRUNCATE,
    OPERATION_RENAME,
    OPERATION_UNLINK,
    OPERATION_COUNT
};

static const char *const operation_names[OPERATION_COUNT] = {
    "open, create", "read", "write", "sync", "cut", "rename", "unlink"};

enum way {
    WAY_NOT_DONE, /* an error, and nothing has happened */
    WAY_DONE,     /* an error, and yet it has happened */
    WAY_HALF,     /* half of a write has happened, then the disk is full */
    WAY_COUNT
};

enum phase { PHASE_OPENING, PHASE_RUNNING, PHASE_CLOSING, PHASE_COUNT };

/* What came of it. */
enum outcome {
    OUTCOME_NEVER,   /* there is no such operation then */
    OUTCOME_REFUSED, /* it does not open */
    OUTCOME_DIES,    /* it says so once, and refuses everything after */
    OUTCOME_PASSES,  /* nobody notices, and nobody needs to */
};

static const char *const outcome_names[] = {"", "does not open", "dies", "goes on"};

static struct {
    struct audit_io io;
    enum place place;
    enum operation operation;
    enum way way;
    enum phase fails_in;
    int occurrence; /* that fails, of those in that phase; how many there are is not always the same
                     */
    int seen;
    bool fired;
    enum phase phase;
    enum place places[DESCRIPTORS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fatal_count;
    bool is_saved;
} disk = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static const struct audit_io *const real = &audit_io_system;

/* ---- the system calls ---- */

static enum place place_of(const char *name)
{
    size_t size = strlen(name);
    return strncmp(name, "checkpoint", 10) == 0                   ? PLACE_CHECKPOINT
           : strcmp(name, "hashes.scratch") == 0                  ? PLACE_SCRATCH
           : strcmp(name, "log.vkey") == 0                        ? PLACE_KEY
           : size > 4 && strcmp(name + size - 4, ".log") == 0     ? PLACE_ENTRIES
           : size >= 7 && strcmp(name + size - 7, "entries") == 0 ? PLACE_ENTRIES_DIRECTORY
                                                                  : PLACE_DIRECTORY;
}

static bool fails(enum place place, enum operation operation)
{
    pthread_mutex_lock(&disk.lock);
    bool now = place == disk.place && operation == disk.operation && disk.phase == disk.fails_in &&
               ++disk.seen == disk.occurrence;
    disk.fired = disk.fired || now;
    pthread_mutex_unlock(&disk.lock);
    errno = EIO;
    return now;
}

/* Does the call if it is to have an effect, and fails. */
#define FAIL(call)                                                                                 \
    if (disk.way == WAY_DONE) {                                                                    \
        (void)!(call);                                                                             \
    }                                                                                              \
    errno = EIO;                                                                                   \
    return -1

static int disk_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    bool failing = fails(place_of(name), OPERATION_OPEN);
    if (failing && (disk.way != WAY_DONE || (flags & O_CREAT) == 0)) {
        errno = EIO;
        return -1;
    }
    int fd = real->open(context, directory_fd, name, flags, mode);
    cr_assert_lt(fd, DESCRIPTORS_MAX);
    if (failing && fd >= 0) {
        close(fd);
        errno = EIO;
        return -1;
    }
    if (fd >= 0) {
        disk.places[fd] = place_of(name);
    }
    return fd;
}

static int disk_make_directory(void *context, int directory_fd, const char *name, mode_t mode)
{
    return real->make_directory(context, directory_fd, name, mode);
}

static ssize_t disk_read(void *context, int fd, void *ptr, size_t size, off_t offset)
{
    if (fails(disk.places[fd], OPERATION_READ)) {
        return -1;
    }
    return real->read(context, fd, ptr, size, offset);
}

static ssize_t disk_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    static bool is_full; /* after the half */
    bool first = fails(disk.places[fd], OPERATION_WRITE);
    if (first && disk.way == WAY_HALF && size > 1) {
        is_full = true;
        return real->write(context, fd, ptr, size / 2, offset);
    }
    if (is_full && disk.fired && disk.way == WAY_HALF && disk.places[fd] == disk.place) {
        is_full = false;
        errno = ENOSPC;
        return -1;
    }
    if (first) {
        FAIL(real->write(context, fd, ptr, size, offset));
    }
    return real->write(context, fd, ptr, size, offset);
}

static int disk_sync_data(void *context, int fd)
{
    if (fails(disk.places[fd], OPERATION_SYNC)) {
        FAIL(real->sync_data(context, fd));
    }
    return real->sync_data(context, fd);
}

static int disk_sync(void *context, int fd)
{
    if (fails(disk.places[fd], OPERATION_SYNC)) {
        FAIL(real->sync(context, fd));
    }
    int result = real->sync(context, fd);
    pthread_mutex_lock(&disk.lock);
    disk.is_saved =
        disk.is_saved || (disk.places[fd] == PLACE_DIRECTORY && disk.phase == PHASE_RUNNING);
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
    return result;
}

static int disk_truncate(void *context, int fd, off_t size)
{
    if (fails(disk.places[fd], OPERATION_TRUNCATE)) {
        FAIL(real->truncate(context, fd, size));
    }
    return real->truncate(context, fd, size);
}

static int disk_rename(void *context, int directory_fd, const char *from, const char *to)
{
    if (fails(place_of(to), OPERATION_RENAME)) {
        FAIL(real->rename(context, directory_fd, from, to));
    }
    return real->rename(context, directory_fd, from, to);
}

static int disk_unlink(void *context, int directory_fd, const char *name)
{
    if (fails(place_of(name), OPERATION_UNLINK)) {
        FAIL(real->unlink(context, directory_fd, name));
    }
    return real->unlink(context, directory_fd, name);
}

static void disk_prepare(enum place place, enum operation operation, enum way way,
                         enum phase fails_in, int occurrence)
{
    disk.io = (struct audit_io){.make_directory = disk_make_directory,
                                .open = disk_open,
                                .read = disk_read,
                                .write = disk_write,
                                .sync_data = disk_sync_data,
                                .sync = disk_sync,
                                .truncate = disk_truncate,
                                .rename = disk_rename,
                                .unlink = disk_unlink};
    disk.place = place;
    disk.operation = operation;
    disk.way = way;
    disk.fails_in = fails_in;
    disk.occurrence = occurrence;
    disk.seen = 0;
    disk.fired = false;
    disk.phase = PHASE_OPENING;
    disk.fatal_count = 0;
    disk.is_saved = false;
}

/* ---- one life ---- */

struct promised {
    uint64_t size;
    uint8_t hash[4 * BURST + BASE_ENTRIES][AUDIT_HASH_BYTES]; /* [index] */
    bool kept[4 * BURST + BASE_ENTRIES];
};

struct submitter {
    struct waiter *waiter;
    struct promised *promised;
};

static void submitter_cb(void *context, const struct audit_commit *commit)
{
    struct submitter *submitter = context;
    if (commit->ok) {
        memcpy(submitter->promised->hash[commit->index], commit->leaf_hash, AUDIT_HASH_BYTES);
        submitter->promised->kept[commit->index] = true;
        submitter->promised->size = commit->index + 1;
    }
    waiter_cb(submitter->waiter, commit);
}

static void fatal_cb(void *context, const struct err *err)
{
    (void)context;
    cr_assert_eq(err->code, ERR_IO, "%s", err->message);
    pthread_mutex_lock(&disk.lock);
    disk.fatal_count++;
    pthread_cond_broadcast(&disk.changed);
    pthread_mutex_unlock(&disk.lock);
}

/* Everybody is answered, or refused at once. */
static void burst(struct audit_log *log, struct promised *promised)
{
    struct waiter waiter;
    struct submitter submitter = {&waiter, promised};
    struct err err;
    size_t taken = 0;
    waiter_init(&waiter, audit_log_vkey(log));
    for (int i = 0; i < BURST; i++) {
        json_t *fields = json_pack("{s:i}", "n", i);
        bool ok = audit_log_submit(log, AUDIT_EPOCH, fields, submitter_cb, &submitter, &err);
        cr_assert(ok || err.code == ERR_CLOSED, "%s", err.message);
        json_decref(fields);
        taken += ok;
    }
    waiter_wait(&waiter, taken);
    cr_assert_eq(waiter.bad_proof_count, 0);
    waiter_release(&waiter);
}

/* Ends the segment and begins the next, if the log lives. */
static void rotate(struct audit_log *log)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, NULL);
    bool ok = audit_log_rotate(log, waiter_cb, &waiter, &err);
    cr_assert(ok || err.code == ERR_CLOSED, "%s", err.message);
    waiter_wait(&waiter, ok);
    waiter_release(&waiter);
}

static void wait_until_saved(void)
{
    pthread_mutex_lock(&disk.lock);
    while (!disk.is_saved && disk.fatal_count == 0) {
        pthread_cond_wait(&disk.changed, &disk.lock);
    }
    pthread_mutex_unlock(&disk.lock);
}

/* So that it is of one phase. */
static void wait_until_ahead(struct audit_log *log)
{
    pthread_mutex_lock(&log->mutex);
    while (!log->dead && !log->save.failed &&
           (log->ahead.is_under_way || audit_ahead_is_due(log))) {
        pthread_cond_wait(&log->save.changed, &log->mutex);
    }
    pthread_mutex_unlock(&log->mutex);
}

static void phase_set(enum phase phase)
{
    pthread_mutex_lock(&disk.lock);
    disk.phase = phase;
    pthread_mutex_unlock(&disk.lock);
}

static enum outcome live(const char *directory, struct promised *promised)
{
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    memset(promised, 0, sizeof(*promised));
    if (!audit_log_open_with(&disk.io, &config, fatal_cb, NULL, &log, &recovery, &err)) {
        cr_assert(disk.fired && err.code == ERR_IO, "%s", err.message);
        cr_assert_eq(disk.fatal_count, 0, "who opens hears it directly");
        return OUTCOME_REFUSED;
    }
    phase_set(PHASE_RUNNING);
    burst(log, promised);
    rotate(log);
    burst(log, promised);
    if (disk.place == PLACE_CHECKPOINT || disk.place == PLACE_DIRECTORY) {
        wait_until_saved(); /* it takes its time; else it comes when the log is closed */
    }
    burst(log, promised);
    wait_until_ahead(log);
    phase_set(PHASE_CLOSING);
    audit_log_close(log);
    cr_assert_leq(disk.fatal_count, 1, "it is said once");
    return disk.fatal_count == 1 ? OUTCOME_DIES : OUTCOME_PASSES;
}

/* ---- afterwards, on a sound disk ---- */

static void verify(const char *directory)
{
    struct audit_report report;
    struct err err;
    cr_assert(
        audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_assert_eq(report.verdict, AUDIT_OK, "%s %s, way %d, occurrence %d: %s",
                 place_names[disk.place], operation_names[disk.operation], (int)disk.way,
                 disk.occurrence, report.detail);
}

static bool compare_visit(void *context, uint64_t index, struct bytes leaf)
{
    const struct promised *promised = context;
    uint8_t hash[AUDIT_HASH_BYTES];
    audit_leaf_hash(leaf, hash);
    cr_assert(index >= promised->size || !promised->kept[index] ||
                  memcmp(hash, promised->hash[index], sizeof(hash)) == 0,
              "entry %d is another one", (int)index);
    return true;
}

static void check_afterwards(const char *directory, struct promised *promised)
{
    struct err err;
    verify(directory);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    cr_assert_geq(audit_log_size(log), promised->size);
    cr_assert(audit_log_each(log, 0, compare_visit, promised, &err), "%s", err.message);
    log_admit(log, 1);
    audit_log_close(log);
    verify(directory);
}

/* A copy with a torn tail and an open ADMIT, so that opening writes, too. */
static void copy_crashed(const char *base, char directory[static PATH_BYTES])
{
    char path[PATH_BYTES];
    directory_make(directory);
    log_copy(base, directory);
    path_join(path, directory, "entries/000000000000.log");
    int fd = open(path, O_WRONLY | O_APPEND);
    cr_assert(fd >= 0 && write(fd, "\1\2{", 3) == 3);
    close(fd);
}

/* ---- the table ---- */

struct row {
    enum outcome outcome[PHASE_COUNT];
};

static void row_note(struct row *row, enum outcome outcome)
{
    enum outcome *known = &row->outcome[disk.fails_in];
    cr_assert(*known == OUTCOME_NEVER || *known == outcome,
              "%s, %s, way %d, phase %d, occurrence %d: %s, but before: %s",
              place_names[disk.place], operation_names[disk.operation], (int)disk.way,
              (int)disk.fails_in, disk.occurrence, outcome_names[outcome], outcome_names[*known]);
    *known = outcome;
}

/* False if the failure did not come about. */
static bool life_fails(const char *base, struct row *row)
{
    char directory[PATH_BYTES];
    struct promised promised;
    copy_crashed(base, directory);
    enum outcome outcome = live(directory, &promised);
    if (disk.fired) {
        row_note(row, outcome);
        check_afterwards(directory, &promised);
    }
    directory_remove(directory);
    return disk.fired;
}

static void row_find(const char *base, enum place place, enum operation operation, struct row *row)
{
    int ways = operation == OPERATION_WRITE ? WAY_COUNT : WAY_HALF;
    for (int way = 0; way < ways; way++) {
        for (int phase = 0; phase < PHASE_COUNT; phase++) {
            int occurrence = 0;
            do {
                disk_prepare(place, operation, (enum way)way, (enum phase)phase, ++occurrence);
            } while (life_fails(base, row));
        }
    }
}

static void row_check(const char *page, enum place place, enum operation operation,
                      const struct row *row)
{
    char line[256];
    (void)snprintf(line, sizeof(line), "| %s | %s | %s | %s | %s |\n", place_names[place],
                   operation_names[operation], outcome_names[row->outcome[PHASE_OPENING]],
                   outcome_names[row->outcome[PHASE_RUNNING]],
                   outcome_names[row->outcome[PHASE_CLOSING]]);
    cr_expect_not_null(strstr(page, line), "docs/audit-log.md should have: %s", line);
}

Test(audit_failure_table, is_as_the_page_says)
{
    char base[PATH_BYTES];
    size_t size = 0;
    size_t rows = 0;
    uint8_t *page = file_read(WH_SOURCE_DIR, "docs/audit-log.md", &size);
    page[size] = '\0';
    if (access("/dev/shm", W_OK) == 0) {
        setenv("TMPDIR", "/dev/shm", 1); /* real syncs would take most of the time */
    }
    directory_make(base);
    log_make(base, BASE_ENTRIES);
    for (int place = 0; place < PLACE_COUNT; place++) {
        for (int operation = 0; operation < OPERATION_COUNT; operation++) {
            struct row row = {{OUTCOME_NEVER, OUTCOME_NEVER, OUTCOME_NEVER}};
            row_find(base, (enum place)place, (enum operation)operation, &row);
            if (row.outcome[PHASE_OPENING] + row.outcome[PHASE_RUNNING] +
                    row.outcome[PHASE_CLOSING] !=
                OUTCOME_NEVER) {
                row_check((const char *)page, (enum place)place, (enum operation)operation, &row);
                rows++;
            }
        }
    }
    cr_assert_gt(rows, 10);
    heap_free(page);
    directory_remove(base);
}
