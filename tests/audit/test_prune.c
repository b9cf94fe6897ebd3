/* test_prune.c: removing old segments: what stays provable, what is refused, and what a disk that
 * fails at any step leaves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void grow(struct audit_log *log, int pairs)
{
    for (int i = 0; i < pairs; i++) {
        log_result(log, log_admit(log, i));
    }
}

/* Segments [0, 301), [301, 312), [312, 600), [600, 602): the first ADMIT that is open at a
 * segment's end is answered in the next. */
static void make_four(const char *directory)
{
    log_make(directory, 299); /* INIT, ADMIT, RESULT ... RESULT */
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    uint64_t admit = log_admit(log, 1);
    cr_assert_eq(log_rotate(log), 300);
    log_result(log, admit);
    grow(log, 4);
    admit = log_admit(log, 1);
    cr_assert_eq(log_rotate(log), 311);
    log_result(log, admit);
    grow(log, 143);
    cr_assert_eq(log_rotate(log), 599);
    grow(log, 1);
    audit_log_close(log);
}

static bool prune(const char *directory, size_t segments, struct audit_pruned *pruned,
                  struct err *err)
{
    const struct audit_config config = {.directory = directory, .clock = &clock_system};
    const struct audit_pruning wanted = {.segments = segments};
    return audit_log_prune(&config, &wanted, pruned, err);
}

static bool is_there(const char *directory, uint64_t first, const char *suffix)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    char path[PATH_BYTES];
    audit_segment_name(first, suffix, name);
    path_join(path, directory, name);
    return access(path, F_OK) == 0;
}

static void expect_ok(const char *directory, uint64_t pruned)
{
    struct audit_report report = log_report(directory, NULL);
    cr_expect_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_expect_eq(report.pruned_entries, pruned);
    cr_expect_eq(report.unanswered_count, 0);
}

static void expect_tile(struct audit_log *log, bool is_entries, uint64_t number, bool is_served)
{
    const struct audit_tile tile = {
        .is_entries = is_entries, .number = number, .width = AUDIT_TILE_WIDTH};
    struct buffer out;
    struct err err;
    buffer_init(&out, AUDIT_TILE_BYTES_MAX);
    cr_expect_eq(audit_log_tile(log, &tile, &out, &err), is_served);
    cr_expect(is_served || err.code == ERR_NOT_FOUND);
    buffer_release(&out);
}

/* The log opens, reads and proves what stayed, says of the rest that it was pruned, and goes on. */
static void check_open(const char *directory, uint64_t pruned)
{
    struct err err;
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    uint64_t size = audit_log_size(log);
    cr_assert_eq(audit_log_first(log), pruned);
    for (uint64_t index = 0; index < size; index++) {
        struct buffer leaf;
        struct buffer proof;
        uint64_t next = index < pruned ? pruned : index;
        buffer_init(&leaf, 65536);
        buffer_init(&proof, 65536);
        bool ok = audit_log_prove(log, index, &leaf, &proof, &err);
        cr_assert_eq(ok, index >= pruned, "%" PRIu64, index);
        cr_assert(ok || (err.code == ERR_NOT_FOUND && strstr(err.message, "pruned") != NULL));
        if (index % 32 < 2 || index == pruned) {
            cr_assert(audit_log_each(log, index, log_visit, &next, &err), "%s", err.message);
            cr_assert_eq(next, size);
        }
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    expect_tile(log, false, 0, true);
    expect_tile(log, false, 1, true);
    expect_tile(log, true, 0, pruned == 0);
    expect_tile(log, true, 1, pruned <= 256);
    grow(log, 1);
    audit_log_close(log);
    expect_ok(directory, pruned);
}

Test(audit_prune, what_stays_is_read_and_proved_and_the_rest_is_known_by_its_hashes)
{
    char directory[PATH_BYTES];
    struct audit_pruned pruned;
    struct err err;
    directory_make(directory);
    make_four(directory);
    check_open(directory, 0);
    cr_assert(prune(directory, 1, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 1 && pruned.size == 301);
    cr_expect(!is_there(directory, 0, ".log") && is_there(directory, 0, ".hashes"));
    expect_ok(directory, 301);
    check_open(directory, 301);
    cr_assert(prune(directory, 1, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 1 && pruned.size == 312);
    check_open(directory, 312);
    directory_remove(directory);
}

Test(audit_prune, an_older_prune_entry_may_itself_be_pruned)
{
    char directory[PATH_BYTES];
    struct audit_pruned pruned;
    struct err err;
    directory_make(directory);
    make_four(directory);
    cr_assert(prune(directory, 2, &pruned, &err), "%s", err.message);
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    log_rotate(log);
    grow(log, 400);
    log_rotate(log);
    audit_log_close(log);
    cr_assert(prune(directory, 2, &pruned, &err), "%s", err.message);
    cr_expect_eq(pruned.size, 604);
    check_open(directory, 604);
    directory_remove(directory);
}

Test(audit_prune, the_last_segment_and_the_prune_entrys_bundle_stay)
{
    char directory[PATH_BYTES];
    struct audit_pruned pruned;
    struct err err;
    directory_make(directory);
    make_four(directory);
    cr_expect_not(prune(directory, 3, &pruned, &err), "entry 602 is in the bundle of entry 599");
    cr_expect_eq(err.code, ERR_USAGE);
    cr_expect_not(prune(directory, 4, &pruned, &err));
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    cr_assert_eq(audit_log_size(log), 602, "nothing was said");
    grow(log, 82);
    audit_log_close(log);
    cr_expect_not(prune(directory, 3, &pruned, &err), "766 entries: two are missing");
    log = log_open(directory, &clock_system, NULL);
    grow(log, 1);
    audit_log_close(log);
    cr_expect_not(prune(directory, 4, &pruned, &err), "the last one");
    cr_assert(prune(directory, 3, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 3 && pruned.size == 600);
    expect_ok(directory, 600);
    log = log_open(directory, &clock_system, NULL);
    cr_expect_not(prune(directory, 1, &pruned, &err));
    cr_expect_eq(err.code, ERR_BUSY, "somebody has it open");
    audit_log_close(log);
    directory_remove(directory);
}

/* A clock that is set by the test. */
static int64_t set_wall(void *context)
{
    return *(const int64_t *)context;
}

Test(audit_prune, a_segment_is_as_old_as_its_last_entry_but_the_close)
{
    char directory[PATH_BYTES];
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct audit_pruned pruned;
    struct err err;
    int64_t now_ms = 1798761599999; /* 2026-12-31T23:59:59.999Z */
    const struct clock clock = {
        .monotonic_ns = clock_system.monotonic_ns, .wall_ms = set_wall, .context = &now_ms};
    const struct audit_config config = {
        .directory = directory, .clock = &clock, .rotates_monthly = true};
    struct audit_pruning wanted = {.before_ms = now_ms, .reason = "law"};
    directory_make(directory);
    cr_assert(new_log(directory, "log.example/m", &clock, &err));
    cr_assert(audit_log_open(&config, NULL, NULL, &log, &recovery, &err));
    grow(log, 1);
    now_ms++; /* 2027 */
    grow(log, 130);
    audit_log_close(log);
    cr_assert(audit_log_prune(&config, &wanted, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 0 && pruned.size == 0, "it was written in that millisecond");
    wanted.before_ms++;
    cr_assert(audit_log_prune(&config, &wanted, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 1 && pruned.size == 4);
    cr_assert(audit_log_prune(&config, &wanted, &pruned, &err), "%s", err.message);
    cr_expect(pruned.segments == 0 && pruned.size == 4, "once");
    expect_ok(directory, 4);
    directory_remove(directory);
}

Test(audit_prune, a_reason_that_no_entry_can_hold_is_refused_first)
{
    char directory[PATH_BYTES];
    char reason[2000];
    struct audit_pruned pruned;
    struct err err;
    const struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_pruning wanted = {.segments = 1, .reason = reason};
    directory_make(directory);
    make_four(directory);
    memset(reason, 'x', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    cr_expect_not(audit_log_prune(&config, &wanted, &pruned, &err));
    cr_expect_eq(err.code, ERR_LIMIT);
    wanted.reason = "\xff";
    cr_expect_not(audit_log_prune(&config, &wanted, &pruned, &err));
    cr_expect_eq(err.code, ERR_FORMAT);
    check_open(directory, 0);
    directory_remove(directory);
}

/* ---- what was not pruned, but is gone ---- */

Test(audit_prune, hashes_that_do_not_give_the_signed_root_are_refused)
{
    static const char name[] = "entries/000000000000.hashes";
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    struct audit_pruned pruned;
    struct err err;
    size_t size = 0;
    directory_make(directory);
    make_four(directory);
    cr_assert(prune(directory, 1, &pruned, &err), "%s", err.message);
    uint8_t *hashes = file_read(directory, name, &size);
    cr_assert_eq(size, 301 * AUDIT_HASH_BYTES);
    for (size_t at = 0; at < size; at += 1203) {
        hashes[at] ^= 1;
        file_write(directory, name, hashes, size);
        log_expect_refused(directory, ERR_TAMPERED);
        hashes[at] ^= 1;
    }
    hashes[size - 1] ^= 1; /* the one that the first entry names */
    file_write(directory, name, hashes, size);
    log_expect_refused(directory, ERR_TAMPERED);
    hashes[size - 1] ^= 1;
    file_write(directory, name, hashes, size - AUDIT_HASH_BYTES);
    log_expect_refused(directory, ERR_TAMPERED);
    path_join(path, directory, name);
    unlink(path);
    log_expect_refused(directory, ERR_TAMPERED);
    file_write(directory, name, hashes, size);
    check_open(directory, 301);
    heap_free(hashes);
    directory_remove(directory);
}

Test(audit_prune, what_no_entry_says_is_refused)
{
    static const char kept[] = "entries/000000000301.log";
    char directory[PATH_BYTES];
    char other[PATH_BYTES];
    char path[PATH_BYTES];
    struct audit_pruned pruned;
    struct err err;
    size_t size = 0;
    directory_make(directory);
    directory_make(other);
    make_four(directory);
    log_copy(directory, other);
    cr_assert(prune(other, 1, &pruned, &err), "%s", err.message);
    uint8_t *hashes = file_read(other, "entries/000000000000.hashes", &size);
    file_write(directory, "entries/000000000000.hashes", hashes, size);
    check_open(directory, 0); /* both are there: the entries count */
    path_join(path, directory, "entries/000000000000.log");
    cr_assert_eq(unlink(path), 0);
    log_expect_refused(directory, ERR_TAMPERED);
    cr_expect_eq(log_report(directory, NULL).verdict, AUDIT_TRUNCATED);
    path_join(path, other, kept);
    cr_assert_eq(unlink(path), 0); /* a gap */
    log_expect_refused(other, ERR_TAMPERED);
    heap_free(hashes);
    directory_remove(directory);
    directory_remove(other);
}

/* ---- a disk that fails ---- */

static struct {
    struct audit_io io;
    int calls;
    int fail_at;
    bool is_done; /* it fails, and yet it has happened */
} disk;

static bool disk_fails(void)
{
    errno = EIO;
    return ++disk.calls == disk.fail_at;
}

static int disk_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    bool fails = (flags & O_CREAT) != 0 && disk_fails();
    int fd = fails && !disk.is_done
                 ? -1
                 : audit_io_system.open(context, directory_fd, name, flags, mode);
    if (fails && fd >= 0) {
        close(fd);
    }
    errno = fails ? EIO : errno;
    return fails ? -1 : fd;
}

static ssize_t disk_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    bool fails = disk_fails();
    ssize_t done =
        fails && !disk.is_done ? -1 : audit_io_system.write(context, fd, ptr, size, offset);
    errno = fails ? ENOSPC : errno;
    return fails ? -1 : done;
}

static int disk_sync(void *context, int fd)
{
    return disk_fails() ? -1 : audit_io_system.sync(context, fd);
}

static int disk_sync_data(void *context, int fd)
{
    return disk_fails() ? -1 : audit_io_system.sync_data(context, fd);
}

static int disk_rename(void *context, int directory_fd, const char *from, const char *to)
{
    bool fails = disk_fails();
    int result =
        fails && !disk.is_done ? -1 : audit_io_system.rename(context, directory_fd, from, to);
    errno = fails ? EIO : errno;
    return fails ? -1 : result;
}

static int disk_unlink(void *context, int directory_fd, const char *name)
{
    bool fails = disk_fails();
    int result = fails && !disk.is_done ? -1 : audit_io_system.unlink(context, directory_fd, name);
    errno = fails ? EIO : errno;
    return fails ? -1 : result;
}

/* Each call that changes something fails in turn. What is there then opens, verifies, and pruning
 * it again ends where one without failures does. */
static void fail_everywhere(bool is_done)
{
    char whole[PATH_BYTES];
    int steps_seen = 0;
    directory_make(whole);
    make_four(whole);
    disk.io = audit_io_system;
    disk.io.open = disk_open;
    disk.io.write = disk_write;
    disk.io.sync = disk_sync;
    disk.io.sync_data = disk_sync_data;
    disk.io.rename = disk_rename;
    disk.io.unlink = disk_unlink;
    disk.is_done = is_done;
    for (bool passed = false; !passed;) {
        char directory[PATH_BYTES];
        struct audit_pruned pruned;
        struct err err;
        directory_make(directory);
        log_copy(whole, directory);
        const struct audit_config config = {.directory = directory, .clock = &clock_system};
        const struct audit_pruning wanted = {.segments = 2};
        disk.calls = 0;
        disk.fail_at = ++steps_seen;
        passed = audit_log_prune_with(&disk.io, &config, &wanted, &pruned, &err);
        if (!passed) {
            cr_assert(err.code == ERR_IO, "%d: %s", steps_seen, err.message);
            cr_assert_eq(log_report(directory, NULL).verdict, AUDIT_OK, "step %d", steps_seen);
            cr_assert(log_try_open(directory, &err), "step %d: %s", steps_seen, err.message);
        }
        if (is_there(directory, 301, ".log")) {
            cr_assert(prune(directory, 2, &pruned, &err), "step %d: %s", steps_seen, err.message);
        }
        expect_ok(directory, 312);
        cr_assert(log_try_open(directory, &err), "step %d: %s", steps_seen, err.message);
        directory_remove(directory);
    }
    cr_assert_gt(steps_seen, 20);
    directory_remove(whole);
}

Test(audit_prune, a_call_that_fails_leaves_what_can_be_gone_on_with)
{
    fail_everywhere(false);
}

Test(audit_prune, a_call_that_fails_and_has_happened_leaves_what_can_be_gone_on_with)
{
    fail_everywhere(true);
}
