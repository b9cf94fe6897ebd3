/* test_failure.c: every system call fails in turn, in every way, and the power goes out before
 * each.
 *
 * A run opens a log of five entries, commits three more one by one, and closes. In run n the n-th
 * call of that fails; runs go on until no call is left to fail. Whatever happened, the log must
 * open again, verify, and hold every entry that was acknowledged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"
#include "audit/support.h"
#include "base/arena.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char entries_file[] = "entries/000000000000.log";

enum fault_mode {
    FAULT_NOT_DONE,  /* an error, and nothing happened */
    FAULT_DONE,      /* an error, and yet it happened */
    FAULT_NO_SPACE,  /* half a write, then ENOSPC for ever */
    FAULT_POWER_CUT, /* nothing happens any more */
};

struct fault {
    struct audit_io io;
    enum fault_mode mode;
    int fail_at; /* 0: never */
    int calls;
    bool fired;
    bool rotates; /* the run ends a segment in its middle */
    /* What a power cut may take back. */
    char directory[PATH_BYTES];
    uint8_t *synced_entries;
    size_t synced_entries_size;
    uint8_t *synced_checkpoint;
    size_t synced_checkpoint_size;
};

/* The writer, the thread of the checkpoint file, and who asks for a new key. */
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

/* True: this call fails; *perform tells whether it is done all the same. */
static bool fault_now(struct fault *fault, bool *perform)
{
    pthread_mutex_lock(&fault_lock);
    bool is_now = ++fault->calls == fault->fail_at;
    bool goes_on = fault->mode == FAULT_NO_SPACE || fault->mode == FAULT_POWER_CUT;
    bool fails = is_now || (fault->fired && goes_on);
    fault->fired = fault->fired || is_now;
    *perform = is_now && fault->mode == FAULT_DONE;
    pthread_mutex_unlock(&fault_lock);
    errno = fault->mode == FAULT_NO_SPACE ? ENOSPC : EIO;
    return fails;
}

#define FAULT_CALL(fault, call)                                                                    \
    bool perform;                                                                                  \
    if (fault_now((fault), &perform)) {                                                            \
        int code = errno;                                                                          \
        if (perform) {                                                                             \
            (void)!(call);                                                                         \
        }                                                                                          \
        errno = code;                                                                              \
        return -1;                                                                                 \
    }                                                                                              \
    return (call)

static const struct audit_io *const real = &audit_io_system;

static int fault_make_directory(void *context, int directory_fd, const char *name, mode_t mode)
{
    FAULT_CALL(context, real->make_directory(NULL, directory_fd, name, mode));
}

static int fault_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    bool perform;
    if (fault_now(context, &perform)) {
        int code = errno;
        int fd = perform ? real->open(NULL, directory_fd, name, flags, mode) : -1;
        if (fd >= 0) {
            close(fd);
        }
        errno = code;
        return -1;
    }
    return real->open(NULL, directory_fd, name, flags, mode);
}

static ssize_t fault_read(void *context, int fd, void *ptr, size_t size, off_t offset)
{
    FAULT_CALL(context, real->read(NULL, fd, ptr, size, offset));
}

static ssize_t fault_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    struct fault *fault = context;
    bool fired = fault->fired;
    bool perform;
    if (fault_now(fault, &perform)) {
        int code = errno;
        if (fault->mode == FAULT_NO_SPACE && !fired && size > 1) {
            return real->write(NULL, fd, ptr, size / 2, offset); /* a short write comes first */
        }
        if (perform) {
            (void)!real->write(NULL, fd, ptr, size, offset);
        }
        errno = code;
        return -1;
    }
    return real->write(NULL, fd, ptr, size, offset);
}

static void keep(const struct fault *fault, const char *name, uint8_t **content, size_t *size)
{
    pthread_mutex_lock(&fault_lock);
    heap_free(*content);
    *content = file_read(fault->directory, name, size);
    pthread_mutex_unlock(&fault_lock);
}

static void keep_entries(struct fault *fault)
{
    keep(fault, entries_file, &fault->synced_entries, &fault->synced_entries_size);
}

static void keep_checkpoint(struct fault *fault)
{
    keep(fault, "checkpoint", &fault->synced_checkpoint, &fault->synced_checkpoint_size);
}

static void fault_release(struct fault *fault)
{
    heap_free(fault->synced_entries);
    heap_free(fault->synced_checkpoint);
}

static int fault_sync_data(void *context, int fd)
{
    struct fault *fault = context;
    bool perform;
    bool fails = fault_now(fault, &perform);
    int code = errno;
    if (!fails || perform) {
        cr_assert_eq(fdatasync(fd), 0);
        keep_entries(fault);
    }
    errno = code;
    return fails ? -1 : 0;
}

static int fault_sync(void *context, int fd)
{
    struct fault *fault = context;
    struct stat status;
    bool perform;
    bool fails = fault_now(fault, &perform);
    int code = errno;
    if (!fails || perform) {
        cr_assert(fsync(fd) == 0 && fstat(fd, &status) == 0);
        if (S_ISDIR(status.st_mode)) {
            keep_checkpoint(fault); /* the rename before it is durable now */
        } else {
            keep_entries(fault); /* or another file, which does no harm before */
        }
    }
    errno = code;
    return fails ? -1 : 0;
}

static int fault_truncate(void *context, int fd, off_t size)
{
    FAULT_CALL(context, real->truncate(NULL, fd, size));
}

static int fault_rename(void *context, int directory_fd, const char *from, const char *to)
{
    FAULT_CALL(context, real->rename(NULL, directory_fd, from, to));
}

static int fault_unlink(void *context, int directory_fd, const char *name)
{
    FAULT_CALL(context, real->unlink(NULL, directory_fd, name));
}

static void fault_init(struct fault *fault, const char *directory, enum fault_mode mode, int at)
{
    struct stat status;
    char path[PATH_BYTES];
    *fault = (struct fault){
        .io = {.context = fault,
               .make_directory = fault_make_directory,
               .open = fault_open,
               .read = fault_read,
               .write = fault_write,
               .sync_data = fault_sync_data,
               .sync = fault_sync,
               .truncate = fault_truncate,
               .rename = fault_rename,
               .unlink = fault_unlink},
        .mode = mode,
        .fail_at = at,
    };
    snprintf(fault->directory, sizeof(fault->directory), "%s", directory);
    path_join(path, directory, entries_file);
    if (stat(path, &status) == 0) {
        keep_entries(fault);
        keep_checkpoint(fault);
    }
}

/* ---- one run ---- */

enum { RUN_ENTRIES = 3, BASE_ENTRIES = 5 };

struct outcome {
    bool opened;
    int fatal_count;
    enum err_code code;
    bool harmless;       /* the key could not be replaced, and nothing else */
    size_t acknowledged; /* the first so many of RUN_ENTRIES */
    uint64_t index[RUN_ENTRIES];
    uint8_t hash[RUN_ENTRIES][AUDIT_HASH_BYTES];
};

struct one {
    struct waiter waiter;
    struct audit_commit commit;
};

static void one_cb(void *context, const struct audit_commit *commit)
{
    struct one *one = context;
    one->commit = *commit;
    one->commit.leaf = one->commit.tlog_proof = bytes_of(NULL, 0);
    waiter_cb(&one->waiter, commit);
}

static void count_fatal(void *context, const struct err *err)
{
    struct outcome *outcome = context;
    outcome->fatal_count++;
    outcome->code = err->code;
}

/* False: the log is dead. */
static bool run_rotation(struct audit_log *log, bool *harmless)
{
    struct waiter waiter;
    struct err err;
    waiter_init(&waiter, NULL);
    bool ok = audit_log_rotate(log, waiter_cb, &waiter, &err);
    waiter_wait(&waiter, ok);
    ok = ok && waiter.failed_count == 0;
    if (ok) {
        /* Its first steps may fail without any harm to the log. */
        bool has_key = audit_log_rotate_key(log, waiter_cb, &waiter, &err);
        *harmless = !has_key && err.code == ERR_IO;
        waiter_wait(&waiter, 1 + has_key);
        ok = waiter.failed_count == 0 && (has_key || *harmless);
    }
    waiter_release(&waiter);
    return ok;
}

static void run_entries(struct audit_log *log, const struct fault *fault, struct outcome *outcome)
{
    struct err err;
    bool is_dead = false;
    for (size_t i = 0; i < RUN_ENTRIES; i++) {
        struct one one;
        is_dead = is_dead || (fault->rotates && i == 1 && !run_rotation(log, &outcome->harmless));
        json_t *fields = json_pack("{s:i}", "n", (int)i);
        waiter_init(&one.waiter, audit_log_vkey(log));
        bool submitted = audit_log_submit(log, AUDIT_EPOCH, fields, one_cb, &one, &err);
        json_decref(fields);
        if (outcome->acknowledged < i || is_dead) {
            cr_assert(!submitted && err.code == ERR_CLOSED, "a dead log refuses");
            waiter_release(&one.waiter);
            continue;
        }
        if (!submitted) { /* what the saver does fails at any time */
            cr_assert_eq(err.code, ERR_CLOSED, "%s", err.message);
            is_dead = true;
            waiter_release(&one.waiter);
            continue;
        }
        waiter_wait(&one.waiter, 1);
        cr_assert_eq(one.waiter.bad_proof_count, 0);
        if (one.commit.ok) {
            outcome->index[i] = one.commit.index;
            memcpy(outcome->hash[i], one.commit.leaf_hash, AUDIT_HASH_BYTES);
            outcome->acknowledged++;
        } else {
            cr_assert(one.commit.index == 0 && one.commit.time_ms == 0);
        }
        waiter_release(&one.waiter);
    }
}

static struct outcome run(struct fault *fault)
{
    struct outcome outcome = {0};
    struct audit_config config = {.directory = fault->directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct audit_log *log = NULL;
    struct err err;
    outcome.opened =
        audit_log_open_with(&fault->io, &config, count_fatal, &outcome, &log, &recovery, &err);
    if (!outcome.opened) {
        outcome.code = err.code;
        return outcome;
    }
    run_entries(log, fault, &outcome);
    audit_log_close(log);
    return outcome;
}

/* The log opens, verifies, and has what was acknowledged. */
static void check_survived(const struct fault *fault, const struct outcome *outcome)
{
    struct audit_report report;
    struct err err;
    /* Even before it is mended: the entries are there, though the checkpoint may lag. */
    cr_assert(audit_verify_directory(fault->directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report,
                                     &err));
    cr_assert(report.verdict == AUDIT_OK &&
                  (outcome->acknowledged == 0 || report.size + report.pending_entries >
                                                     outcome->index[outcome->acknowledged - 1]),
              "call %d: %s", fault->fail_at, report.detail);
    struct audit_log *log = log_open(fault->directory, &clock_system, NULL);
    for (size_t i = 0; i < outcome->acknowledged; i++) {
        struct buffer leaf;
        struct buffer proof;
        uint8_t hash[AUDIT_HASH_BYTES];
        buffer_init(&leaf, 65536);
        buffer_init(&proof, 65536);
        cr_assert(audit_log_prove(log, outcome->index[i], &leaf, &proof, &err), "call %d: %s",
                  fault->fail_at, err.message);
        audit_leaf_hash(buffer_bytes(&leaf), hash);
        cr_assert_arr_eq(hash, outcome->hash[i], sizeof(hash));
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    log_admit(log, 1);
    audit_log_close(log);
    cr_assert(audit_verify_directory(fault->directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report,
                                     &err));
    cr_assert_eq(report.verdict, AUDIT_OK, "call %d: %s", fault->fail_at, report.detail);
}

/* A copy of `base`, made worse: a torn tail and open ADMITs, so that opening writes, too. */
static void copy_crashed(const char *base, char directory[static PATH_BYTES])
{
    size_t size = 0;
    directory_make(directory);
    log_copy(base, directory);
    uint8_t *entries = file_read(directory, entries_file, &size);
    uint8_t *torn = heap_alloc(size + 3);
    memcpy(torn, entries, size);
    torn[size + 2] = '{';
    file_write(directory, entries_file, torn, size + 3);
    heap_free(entries);
    heap_free(torn);
}

static void sweep(enum fault_mode mode)
{
    char base[PATH_BYTES];
    int runs = 0;
    int died = 0;
    directory_make(base);
    log_make(base, BASE_ENTRIES + 1); /* the last is an ADMIT without RESULT */
    for (bool fired = true; fired; runs++) {
        struct fault fault;
        char directory[PATH_BYTES];
        copy_crashed(base, directory);
        fault_init(&fault, directory, mode, runs + 1);
        fault.rotates = true;
        struct outcome outcome = run(&fault);
        fired = fault.fired;
        if (!outcome.opened) {
            cr_assert(fired && outcome.code == ERR_IO, "call %d: %d", runs + 1, outcome.code);
        } else {
            /* Also when only the checkpoint could not be replaced at the end. */
            cr_assert(outcome.fatal_count == fired ||
                          (outcome.harmless && outcome.fatal_count == 0),
                      "call %d", runs + 1);
            cr_assert(outcome.fatal_count == 0 || outcome.code == ERR_IO);
            cr_assert(fired || outcome.acknowledged == RUN_ENTRIES);
            died += fired;
        }
        check_survived(&fault, &outcome);
        fault_release(&fault);
        directory_remove(directory);
    }
    cr_assert_gt(runs, 35, "opening, three commits and closing are more calls than %d", runs);
    cr_assert_gt(died, 10);
    directory_remove(base);
}

Test(audit_failure, calls_that_fail_lose_nothing_that_was_acknowledged)
{
    sweep(FAULT_NOT_DONE);
}

Test(audit_failure, calls_that_fail_but_took_effect_lose_nothing_either)
{
    sweep(FAULT_DONE);
}

Test(audit_failure, a_full_disk_loses_nothing_that_was_acknowledged)
{
    sweep(FAULT_NO_SPACE);
}

/* ---- the power goes ---- */

enum loss {
    LOSE_NOTHING,     /* everything that was written happens to be there */
    LOSE_UNSYNCED,    /* nothing that was not synced */
    LOSE_HALF,        /* half of the entries' last write */
    LOSE_TO_ZEROS,    /* the file has grown, the data has not come */
    LOSE_RENAME_ONLY, /* the entries are there, the new checkpoint is not */
    LOSS_COUNT
};

static uint8_t synced_byte(const struct fault *fault, size_t at)
{
    return at < fault->synced_entries_size ? fault->synced_entries[at] : 0;
}

static void lose(const struct fault *fault, enum loss loss)
{
    size_t size = 0;
    size_t first = 0; /* of what was not synced */
    uint8_t *entries = file_read(fault->directory, entries_file, &size);
    size_t end = size;
    while (first < size && entries[first] == synced_byte(fault, first)) {
        first++;
    }
    while (end > first && entries[end - 1] == synced_byte(fault, end - 1)) {
        end--;
    }
    if (loss == LOSE_UNSYNCED) {
        file_write(fault->directory, entries_file, fault->synced_entries,
                   fault->synced_entries_size);
    } else if (loss == LOSE_HALF || loss == LOSE_TO_ZEROS) {
        for (size_t at = loss == LOSE_HALF ? first + (end - first) / 2 : first; at < end; at++) {
            entries[at] = loss == LOSE_HALF ? synced_byte(fault, at) : 0;
        }
        file_write(fault->directory, entries_file, entries, size);
    }
    if (loss != LOSE_NOTHING) {
        file_write(fault->directory, "checkpoint", fault->synced_checkpoint,
                   fault->synced_checkpoint_size);
    }
    heap_free(entries);
}

Test(audit_failure, a_power_cut_before_any_call_loses_nothing_that_was_acknowledged)
{
    char base[PATH_BYTES];
    directory_make(base);
    log_make(base, BASE_ENTRIES + 1);
    for (int loss = 0; loss < LOSS_COUNT; loss++) {
        bool fired = true;
        for (int at = 1; fired; at++) {
            struct fault fault;
            char directory[PATH_BYTES];
            copy_crashed(base, directory);
            fault_init(&fault, directory, FAULT_POWER_CUT, at);
            struct outcome outcome = run(&fault);
            fired = fault.fired;
            lose(&fault, (enum loss)loss);
            check_survived(&fault, &outcome);
            fault_release(&fault);
            directory_remove(directory);
        }
    }
    directory_remove(base);
}

/* ---- making a log ---- */

Test(audit_failure, a_log_that_was_not_made_whole_is_refused)
{
    int whole = 0;
    for (int mode = FAULT_NOT_DONE; mode <= FAULT_NO_SPACE; mode++) {
        bool fired = true;
        for (int at = 1; fired; at++) {
            struct fault fault;
            char directory[PATH_BYTES];
            struct err err = {.code = ERR_NONE};
            directory_make(directory);
            rmdir(directory);
            fault_init(&fault, directory, (enum fault_mode)mode, at);
            struct audit_config config = {.directory = directory, .clock = &clock_system};
            bool made = audit_log_init_with(&fault.io, &config, "log.example/t", NULL, &err);
            fired = fault.fired;
            cr_assert_eq(made, !fired, "mode %d call %d", mode, at);
            cr_assert(made || err.code == ERR_IO, "%s", err.message);
            /* It may be whole all the same, if only the last syncs failed. */
            struct audit_recovery recovery;
            struct audit_log *log = NULL;
            if (audit_log_open(&config, NULL, NULL, &log, &recovery, &err)) {
                whole++;
                cr_assert_eq(recovery.size, 1);
                audit_log_close(log);
            } else {
                cr_assert_eq(err.code, ERR_TAMPERED, "mode %d call %d: %s", mode, at, err.message);
            }
            fault_release(&fault);
            directory_remove(directory);
        }
    }
    cr_assert_geq(whole, 3);
}

Test(audit_failure, a_signing_key_file_that_is_in_the_way_is_not_overwritten)
{
    char directory[PATH_BYTES];
    struct err err;
    directory_make(directory);
    file_write(directory, "signing-key.pem", "mine", 4);
    cr_assert_not(new_log(directory, NULL, &clock_system, &err));
    cr_assert_eq(err.code, ERR_BUSY);
    directory_remove(directory);
}

/* ---- no memory ---- */

Test(audit_failure, opening_fails_cleanly_wherever_memory_ends)
{
    char directory[PATH_BYTES];
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    directory_make(directory);
    log_make(directory, 6);
    bool opened = false;
    for (size_t n = 1; !opened; n++) {
        struct audit_recovery recovery;
        struct audit_log *log = NULL;
        struct err err = {.code = ERR_NONE};
        heap_fail_after(n);
        opened = audit_log_open(&config, NULL, NULL, &log, &recovery, &err);
        heap_fail_after(0);
        if (opened) {
            audit_log_close(log);
        } else {
            cr_assert_neq(err.code, ERR_NONE);
        }
        cr_assert_lt(n, 1000);
    }
    struct audit_report report;
    struct err err;
    cr_assert(
        audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_assert_eq(report.verdict, AUDIT_OK);
    for (bool verified = false; !verified;) {
        static size_t n;
        heap_fail_after(++n);
        verified =
            audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err) &&
            report.verdict == AUDIT_OK;
        heap_fail_after(0);
        cr_assert_lt(n, 1000);
    }
    directory_remove(directory);
}

/* ---- memory that lies ---- */

Test(audit_failure, a_bit_that_flips_before_it_is_written_is_not_signed)
{
    for (int row = 0; row < 3; row++) {
        char directory[PATH_BYTES];
        struct audit_config config = {.directory = directory, .clock = &clock_system};
        struct audit_log *log = NULL;
        struct audit_pending *pending = NULL;
        struct audit_recovery recovery;
        struct list batch;
        struct err err;
        directory_make(directory);
        log_make(directory, 3);
        cr_assert(audit_log_new(&audit_io_system, &config, &log, &err));
        cr_assert(audit_log_recover(log, &recovery, &err));
        list_init(&batch);
        json_t *fields = json_pack("{s:s}", "text", "abc");
        cr_assert(audit_pending_new(log, AUDIT_EPOCH, fields, &pending, &err));
        json_decref(fields);
        list_push_back(&batch, &pending->link);
        if (row == 0) {
            uint8_t *text = memmem(pending->leaf, pending->leaf_size, "abc", 3);
            text[1] ^= 1; /* still an entry, but not the one that was hashed */
        } else if (row == 1) {
            pending->leaf[0] ^= 1; /* no entry any more */
        } else {
            uint8_t *prev = memmem(pending->leaf, pending->leaf_size, "\"prev\":\"", 8);
            prev[8] = prev[8] == '0' ? '1' : '0';
        }
        cr_assert_not(audit_log_commit(log, &batch, &err));
        cr_assert_eq(err.code, ERR_INTERNAL, "row %d: %s", row, err.message);
        audit_log_answer(log, &batch, false);
        audit_log_free(log);
        log = log_open(directory, &clock_system, &recovery);
        cr_assert(recovery.size == 3 && recovery.torn_bytes_cut == 0, "nothing was written");
        audit_log_close(log);
        directory_remove(directory);
    }
}
