/* test_tampering.c: what somebody with the whole directory, but without the key, may do to it, and
 * what an auditor says who kept the verifier key and the last checkpoint. Each row has its verdict,
 * none has OK, and what needs a kept checkpoint to be seen says so.
 *
 * The log has three segments of eleven, eleven and nine entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES = 30, FILE_BYTES_MAX = 1 << 20 };

static const char *const segments[] = {"entries/000000000000.log", "entries/000000000011.log",
                                       "entries/000000000022.log"};

/* The log, an older copy of it, one that took another way from there with the same key, and one of
 * the same name with another key. */
static struct {
    char log[PATH_BYTES];
    char older[PATH_BYTES];
    char fork[PATH_BYTES];
    char other[PATH_BYTES];
    char vkey[512];
    uint8_t *last; /* checkpoint */
    size_t last_size;
} world;

/* Requests up to `size` entries or one more; a segment ends with its eleventh entry, amid a
 * request. */
static void go_on(const char *directory, uint64_t size, int number)
{
    struct audit_log *log = log_open(directory, &clock_system, NULL);
    while (audit_log_size(log) < size) {
        bool ends = audit_log_size(log) % 11 == 9;
        uint64_t admit = log_admit(log, number);
        if (ends) {
            log_rotate(log);
        }
        log_result(log, admit);
    }
    audit_log_close(log);
}

static void world_make(void)
{
    size_t size = 0;
    directory_make(world.log);
    directory_make(world.older);
    directory_make(world.fork);
    directory_make(world.other);
    log_make(world.log, 1);
    log_make(world.other, 1);
    go_on(world.log, 15, 1);
    log_copy(world.log, world.older);
    log_copy(world.log, world.fork);
    go_on(world.log, ENTRIES, 1);
    go_on(world.fork, ENTRIES, 2);
    go_on(world.other, 9, 1);
    uint8_t *vkey = file_read(world.log, "log.vkey", &size);
    snprintf(world.vkey, sizeof(world.vkey), "%.*s", (int)size - 1, (const char *)vkey);
    heap_free(vkey);
    world.last = file_read(world.log, "checkpoint", &world.last_size);
}

static void world_remove(void)
{
    heap_free(world.last);
    directory_remove(world.log);
    directory_remove(world.older);
    directory_remove(world.fork);
    directory_remove(world.other);
}

/* ---- what may be done ---- */

static void take(const char *directory, const char *from, const char *name)
{
    size_t size = 0;
    uint8_t *content = file_read(from, name, &size);
    cr_assert_not_null(content, "%s", name);
    file_write(directory, name, content, size);
    heap_free(content);
}

static void drop(const char *directory, const char *name)
{
    char path[PATH_BYTES];
    path_join(path, directory, name);
    cr_assert_eq(unlink(path), 0);
}

/* Writes the entries of a segment anew, in another order; -1 ends it. */
static void reorder(const char *directory, const char *name, const int *order)
{
    size_t size = 0;
    size_t offsets[ENTRIES + 1] = {0};
    size_t count = 0;
    struct buffer out;
    uint8_t *content = file_read(directory, name, &size);
    while (offsets[count] < size) {
        const uint8_t *entry = content + offsets[count];
        offsets[count + 1] = offsets[count] + 2 + (size_t)entry[0] * 256 + entry[1];
        count++;
    }
    buffer_init(&out, FILE_BYTES_MAX);
    for (; *order >= 0; order++) {
        cr_assert_lt((size_t)*order, count);
        buffer_append(&out, content + offsets[*order], offsets[*order + 1] - offsets[*order]);
    }
    file_write(directory, name, out.ptr, out.size);
    buffer_release(&out);
    heap_free(content);
}

static void cut_tail(const char *directory)
{
    static const int order[] = {0, 1, 2, -1};
    reorder(directory, segments[2], order);
}

static void cut_tail_and_checkpoint(const char *directory)
{
    drop(directory, segments[2]);
    take(directory, world.older, segments[1]);
    take(directory, world.older, "checkpoint");
}

static void swap_two(const char *directory)
{
    static const int order[] = {0, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10, -1};
    reorder(directory, segments[1], order);
}

static void insert_one(const char *directory)
{
    static const int order[] = {0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, -1};
    reorder(directory, segments[1], order);
}

static void remove_one(const char *directory)
{
    static const int order[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, -1};
    reorder(directory, segments[1], order);
}

static void drop_first_segment(const char *directory)
{
    drop(directory, segments[0]);
}

static void drop_middle_segment(const char *directory)
{
    drop(directory, segments[1]);
}

static void drop_last_segment(const char *directory)
{
    drop(directory, segments[2]);
}

static void duplicate_segment(const char *directory)
{
    size_t size = 0;
    uint8_t *content = file_read(directory, segments[0], &size);
    file_write(directory, segments[1], content, size);
    heap_free(content);
}

static void take_other_segment(const char *directory)
{
    take(directory, world.fork, segments[1]);
}

static void roll_back(const char *directory)
{
    drop(directory, segments[2]);
    take(directory, world.older, segments[1]);
    take(directory, world.older, "checkpoint");
    take(directory, world.older, "log.vkey");
}

static void fork_off(const char *directory)
{
    take(directory, world.fork, segments[1]);
    take(directory, world.fork, segments[2]);
    take(directory, world.fork, "checkpoint");
}

static void take_forks_checkpoint(const char *directory)
{
    take(directory, world.fork, "checkpoint");
}

static void take_other_logs_checkpoint(const char *directory)
{
    take(directory, world.other, "checkpoint");
}

static void become_the_other_log(const char *directory)
{
    drop(directory, segments[1]);
    drop(directory, segments[2]);
    take(directory, world.other, segments[0]);
    take(directory, world.other, "checkpoint");
    take(directory, world.other, "log.vkey");
}

static void drop_checkpoint(const char *directory)
{
    drop(directory, "checkpoint");
}

/* ---- and what is said ---- */

static const struct {
    const char *name;
    void (*tamper)(const char *directory);
    enum audit_verdict alone; /* who kept only the key */
    enum audit_verdict since; /* who kept the last checkpoint, too */
} rows[] = {
    {"the tail cut", cut_tail, AUDIT_TRUNCATED, AUDIT_TRUNCATED},
    {"the tail cut, an older checkpoint", cut_tail_and_checkpoint, AUDIT_OK, AUDIT_ROLLED_BACK},
    {"two entries swapped", swap_two, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"an entry inserted", insert_one, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"an entry removed", remove_one, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"the first segment dropped", drop_first_segment, AUDIT_TRUNCATED, AUDIT_TRUNCATED},
    {"a segment in the middle dropped", drop_middle_segment, AUDIT_TRUNCATED, AUDIT_TRUNCATED},
    {"the last segment dropped", drop_last_segment, AUDIT_TRUNCATED, AUDIT_TRUNCATED},
    {"a segment twice", duplicate_segment, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"a segment of another history", take_other_segment, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"an older copy", roll_back, AUDIT_OK, AUDIT_ROLLED_BACK},
    {"another history by the same key", fork_off, AUDIT_OK, AUDIT_FORKED},
    {"the checkpoint of another history", take_forks_checkpoint, AUDIT_TAMPERED, AUDIT_TAMPERED},
    {"another log's checkpoint", take_other_logs_checkpoint, AUDIT_UNVERIFIABLE,
     AUDIT_UNVERIFIABLE},
    {"another log of that name", become_the_other_log, AUDIT_UNVERIFIABLE, AUDIT_UNVERIFIABLE},
    {"no checkpoint", drop_checkpoint, AUDIT_TRUNCATED, AUDIT_TRUNCATED},
};

static enum audit_verdict verify(const char *directory, struct bytes since, const char *name)
{
    struct audit_report report;
    struct err err;
    cr_assert(audit_verify_directory(directory, world.vkey, since, NULL, NULL, &report, &err),
              "%s: %s", name, err.message);
    return report.verdict;
}

Test(audit_tampering, each_kind_has_its_verdict_and_none_is_ok)
{
    const struct bytes none = bytes_of(NULL, 0);
    world_make();
    const struct bytes since = bytes_of(world.last, world.last_size);
    cr_assert_eq(verify(world.log, since, "as it is"), AUDIT_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char copy[PATH_BYTES];
        directory_make(copy);
        log_copy(world.log, copy);
        rows[i].tamper(copy);
        enum audit_verdict alone = verify(copy, none, rows[i].name);
        enum audit_verdict kept = verify(copy, since, rows[i].name);
        cr_expect_eq(alone, rows[i].alone, "%s: %s", rows[i].name, audit_verdict_name(alone));
        cr_expect_eq(kept, rows[i].since, "%s: %s", rows[i].name, audit_verdict_name(kept));
        cr_expect_neq(kept, AUDIT_OK, "%s", rows[i].name);
        directory_remove(copy);
    }
    world_remove();
}
