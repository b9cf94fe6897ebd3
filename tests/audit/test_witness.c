/* test_witness.c: a witness cosigns what continues what it has seen, and nothing else; across
 * restarts, failing disks and two requests at once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/foreign_log.h"
#include "audit/support.h"
#include "audit/witness.h"
#include "base/arena.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char origin[] = "log.example/one";
/* SHA-256 of the origin */
static const char origin_hash[] =
    "bdc0c3dca386bdad88431ffca58979085946c04048bcd237ed04e388f75c92f3";

struct fixture {
    char directory[PATH_BYTES];
    struct foreign_log log;
    struct audit_witness *witness;
    struct test_clock clock;
    struct audit_io io;
};

static bool reopen(struct fixture *fixture, const char *logs, struct err *err)
{
    struct audit_witness_config config = {.directory = fixture->directory,
                                          .name = "witness.example/w",
                                          .logs = logs,
                                          .clock = &fixture->clock.clock};
    audit_witness_close(fixture->witness);
    fixture->witness = NULL;
    return audit_witness_open_with(&fixture->io, &config, &fixture->witness, err);
}

static void setup(struct fixture *fixture)
{
    struct err err;
    memset(fixture, 0, sizeof(*fixture));
    fixture->io = audit_io_system;
    directory_make(fixture->directory);
    test_clock_init(&fixture->clock);
    foreign_log_init(&fixture->log, origin);
    cr_assert(reopen(fixture, fixture->log.vkey, &err), "%s", err.message);
}

static void teardown(struct fixture *fixture)
{
    static const char *const names[] = {AUDIT_WITNESS_KEY_FILE, AUDIT_WITNESS_VKEY_FILE,
                                        "checkpoint.tmp"};
    char path[PATH_BYTES];
    char state[128];
    audit_witness_close(fixture->witness);
    foreign_log_release(&fixture->log);
    for (size_t i = 0; i < 3; i++) {
        path_join(path, fixture->directory, names[i]);
        unlink(path);
    }
    snprintf(state, sizeof(state), "%s.checkpoint", origin_hash);
    path_join(path, fixture->directory, state);
    unlink(path);
    cr_assert_eq(rmdir(fixture->directory), 0);
}

static enum audit_witness_answer add_body(struct fixture *fixture, struct bytes body,
                                          struct buffer *out)
{
    struct audit_checkpoint checkpoint;
    struct err err;
    buffer_init(out, 4096);
    return audit_witness_add(fixture->witness, body, &checkpoint, out, &err);
}

static enum audit_witness_answer add(struct fixture *fixture, size_t old_size, size_t size)
{
    struct buffer body;
    struct buffer out;
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&fixture->log, old_size, size, &body);
    enum audit_witness_answer answer = add_body(fixture, buffer_bytes(&body), &out);
    cr_expect_eq(out.size > 0,
                 answer == AUDIT_WITNESS_COSIGNED || answer == AUDIT_WITNESS_CONFLICT);
    buffer_release(&body);
    buffer_release(&out);
    return answer;
}

static uint64_t known_size(struct fixture *fixture)
{
    struct audit_checkpoint checkpoint;
    struct buffer note;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    if (!audit_witness_latest(fixture->witness, origin_hash, &note)) {
        buffer_release(&note);
        return UINT64_MAX;
    }
    cr_assert_eq(audit_checkpoint_verify(buffer_bytes(&note), fixture->log.vkey, &checkpoint),
                 AUDIT_OK);
    buffer_release(&note);
    return checkpoint.size;
}

Test(audit_witness, cosigns_what_continues_from_any_size_to_any)
{
    struct fixture fixture;
    setup(&fixture);
    size_t old_size = 0;
    for (size_t size = 1; size <= FOREIGN_LEAVES_MAX; size += 1 + size / 5) {
        cr_expect_eq(add(&fixture, old_size, size), AUDIT_WITNESS_COSIGNED, "%zu to %zu", old_size,
                     size);
        cr_expect_eq(known_size(&fixture), size);
        old_size = size;
    }
    cr_expect_eq(add(&fixture, old_size, old_size), AUDIT_WITNESS_COSIGNED, "the same again");
    teardown(&fixture);
}

Test(audit_witness, the_cosignature_verifies_and_is_served_with_the_logs)
{
    struct fixture fixture;
    struct buffer body;
    struct buffer out;
    struct buffer note;
    struct audit_key key;
    struct err err;
    uint64_t time_s = 0;
    setup(&fixture);
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&fixture.log, 0, 7, &body);
    cr_assert_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_COSIGNED);
    cr_assert(
        audit_cosigner_parse(bytes_of_string(audit_witness_vkey(fixture.witness)), &key, &err));
    foreign_log_checkpoint(&fixture.log, 7, &note);
    buffer_append_bytes(&note, buffer_bytes(&out));
    cr_assert_eq(audit_cosignature_verify(buffer_bytes(&note), &key, &time_s), AUDIT_OK);
    cr_assert_eq(time_s, 1795255200);
    struct buffer latest;
    buffer_init(&latest, AUDIT_CHECKPOINT_BYTES_MAX);
    cr_assert(audit_witness_latest(fixture.witness, origin_hash, &latest));
    cr_assert(bytes_equal(buffer_bytes(&latest), buffer_bytes(&note)));
    cr_assert_not(audit_witness_latest(fixture.witness, origin, &latest));
    buffer_release(&latest);
    buffer_release(&note);
    buffer_release(&body);
    buffer_release(&out);
    teardown(&fixture);
}

Test(audit_witness, an_empty_tree_is_one_and_has_one_root)
{
    struct fixture fixture;
    struct buffer out;
    setup(&fixture);
    cr_expect_eq(known_size(&fixture), UINT64_MAX);
    cr_expect_eq(add(&fixture, 0, 0), AUDIT_WITNESS_COSIGNED);
    cr_expect_eq(known_size(&fixture), 0);
    cr_expect_eq(add(&fixture, 0, 0), AUDIT_WITNESS_COSIGNED);
    cr_expect_eq(add(&fixture, 0, 5), AUDIT_WITNESS_COSIGNED);
    teardown(&fixture);

    setup(&fixture);
    struct buffer body;
    struct err err;
    char text[256];
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    snprintf(text, sizeof(text), "%s\n0\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", origin);
    buffer_append_string(&body, "old 0\n\n");
    cr_assert(
        audit_note_sign(bytes_of_string(text), &fixture.log.key, fixture.log.signer, &body, &err));
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_UNPROVEN);
    buffer_release(&body);
    buffer_release(&out);
    teardown(&fixture);
}

Test(audit_witness, another_old_size_is_told_the_one_it_knows)
{
    struct fixture fixture;
    struct buffer body;
    struct buffer out;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    const size_t sizes[][2] = {{0, 30}, {0, 20}, {0, 0}, {19, 30}, {21, 30}, {10, 15}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
        foreign_log_request(&fixture.log, sizes[i][0], sizes[i][1], &body);
        cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_CONFLICT);
        cr_expect(bytes_equal(buffer_bytes(&out), bytes_of_string("20\n")), "row %zu", i);
        buffer_release(&body);
        buffer_release(&out);
    }
    cr_expect_eq(add(&fixture, 20, 19), AUDIT_WITNESS_MALFORMED, "shrinking");
    cr_expect_eq(known_size(&fixture), 20);
    teardown(&fixture);
}

Test(audit_witness, another_history_is_unproven)
{
    struct fixture fixture;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    foreign_log_fork(&fixture.log, 19);
    cr_expect_eq(add(&fixture, 20, 20), AUDIT_WITNESS_UNPROVEN, "the same size");
    cr_expect_eq(add(&fixture, 20, 30), AUDIT_WITNESS_UNPROVEN, "a larger one");
    cr_expect_eq(known_size(&fixture), 20);
    teardown(&fixture);
}

/* Changes the request's proof by `edit` and expects it to be refused. */
static void expect_unproven(struct fixture *fixture, size_t old_size, size_t size, int extra)
{
    struct buffer proof;
    struct buffer note;
    struct buffer body;
    struct buffer out;
    static const uint8_t zeros[AUDIT_HASH_BYTES];
    buffer_init(&proof, 64 * AUDIT_HASH_BYTES);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_prove(&fixture->log, old_size, size, &proof);
    foreign_log_checkpoint(&fixture->log, size, &note);
    if (extra > 0) {
        buffer_append(&proof, zeros, sizeof(zeros));
    } else if (extra < 0) {
        proof.size -= AUDIT_HASH_BYTES;
    } else {
        proof.ptr[3] ^= 1;
    }
    cr_assert(
        audit_add_checkpoint_format(old_size, buffer_bytes(&proof), buffer_bytes(&note), &body));
    cr_expect_eq(add_body(fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_UNPROVEN,
                 "%zu to %zu, %d", old_size, size, extra);
    buffer_release(&proof);
    buffer_release(&note);
    buffer_release(&body);
    buffer_release(&out);
}

Test(audit_witness, a_proof_must_be_that_of_the_sizes)
{
    struct fixture fixture;
    setup(&fixture);
    expect_unproven(&fixture, 0, 20, 1); /* nothing needs no proof */
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    expect_unproven(&fixture, 20, 20, 1);
    expect_unproven(&fixture, 20, 30, 1);
    expect_unproven(&fixture, 20, 30, -1);
    expect_unproven(&fixture, 20, 30, 0);
    teardown(&fixture);
}

Test(audit_witness, strangers_and_forgers_are_told_apart)
{
    struct fixture fixture;
    struct foreign_log other;
    struct buffer body;
    struct buffer out;
    setup(&fixture);
    foreign_log_init(&other, "log.example/two");
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&other, 0, 3, &body);
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_UNKNOWN_LOG);
    buffer_release(&body);
    foreign_log_release(&other);

    foreign_log_init(&other, origin); /* the name, but another key */
    foreign_log_request(&other, 0, 3, &body);
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_UNTRUSTED);
    buffer_release(&body);
    foreign_log_release(&other);

    foreign_log_request(&fixture.log, 0, 3, &body);
    body.ptr[body.size - 20] = body.ptr[body.size - 20] == 'A' ? 'B' : 'A';
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_UNTRUSTED);
    cr_expect_eq(known_size(&fixture), UINT64_MAX);
    buffer_release(&body);
    buffer_release(&out);
    teardown(&fixture);
}

Test(audit_witness, malformed_bodies_are_refused)
{
    struct fixture fixture;
    struct buffer body;
    struct buffer out;
    setup(&fixture);
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&fixture.log, 0, 3, &body);
    for (size_t size = 0; size < body.size; size++) {
        enum audit_witness_answer answer = add_body(&fixture, bytes_of(body.ptr, size), &out);
        cr_expect_eq(answer, AUDIT_WITNESS_MALFORMED, "%zu bytes", size);
        buffer_release(&out);
    }
    buffer_append_string(&body, "no signature\n");
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_MALFORMED);
    buffer_release(&body);
    buffer_release(&out);
    teardown(&fixture);
}

Test(audit_witness, others_signatures_are_passed_over_and_not_kept)
{
    struct fixture fixture;
    struct foreign_log other;
    struct buffer body;
    struct buffer out;
    struct buffer latest;
    setup(&fixture);
    foreign_log_init(&other, "stranger.example");
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&fixture.log, 0, 3, &body);
    uint8_t junk[CRYPTO_ED25519_SIGNATURE_BYTES] = {1, 2, 3};
    audit_signature_append(&other.key, bytes_of(junk, sizeof(junk)), &body);
    cr_expect_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_COSIGNED);
    buffer_init(&latest, AUDIT_CHECKPOINT_BYTES_MAX);
    cr_assert(audit_witness_latest(fixture.witness, origin_hash, &latest));
    cr_expect_null(memmem(latest.ptr, latest.size, "stranger", 8));
    buffer_release(&latest);
    buffer_release(&body);
    buffer_release(&out);
    foreign_log_release(&other);
    teardown(&fixture);
}

Test(audit_witness, a_log_may_have_several_keys)
{
    struct fixture fixture;
    struct foreign_log renewed;
    struct err err;
    struct buffer logs;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 3), AUDIT_WITNESS_COSIGNED);
    foreign_log_init(&renewed, origin);
    buffer_init(&logs, 4096);
    buffer_printf(&logs, "  %s\n\t%s ", renewed.vkey, fixture.log.vkey);
    buffer_append_u8(&logs, '\0');
    cr_assert(reopen(&fixture, (const char *)logs.ptr, &err), "%s", err.message);
    cr_expect_eq(add(&fixture, 3, 4), AUDIT_WITNESS_COSIGNED);
    struct foreign_log old = fixture.log;
    fixture.log = renewed;
    cr_expect_eq(add(&fixture, 4, 5), AUDIT_WITNESS_COSIGNED);
    fixture.log = old;
    foreign_log_release(&renewed);
    buffer_release(&logs);
    teardown(&fixture);
}

/* ---- what lasts ---- */

Test(audit_witness, a_restart_keeps_key_and_state)
{
    struct fixture fixture;
    struct err err;
    char vkey[AUDIT_VKEY_CHARS_MAX + 1];
    char path[PATH_BYTES];
    struct stat status;
    setup(&fixture);
    snprintf(vkey, sizeof(vkey), "%s", audit_witness_vkey(fixture.witness));
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    cr_assert(reopen(&fixture, fixture.log.vkey, &err), "%s", err.message);
    cr_expect_str_eq(audit_witness_vkey(fixture.witness), vkey);
    cr_expect_eq(known_size(&fixture), 20);
    cr_expect_eq(add(&fixture, 0, 30), AUDIT_WITNESS_CONFLICT);
    cr_expect_eq(add(&fixture, 20, 30), AUDIT_WITNESS_COSIGNED);
    path_join(path, fixture.directory, AUDIT_WITNESS_KEY_FILE);
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600);
    /* Not known for a while is not forgotten. */
    cr_assert(reopen(&fixture, "", &err), "%s", err.message);
    cr_expect_eq(add(&fixture, 30, 31), AUDIT_WITNESS_UNKNOWN_LOG);
    cr_assert(reopen(&fixture, fixture.log.vkey, &err), "%s", err.message);
    cr_expect_eq(add(&fixture, 30, 31), AUDIT_WITNESS_COSIGNED);
    teardown(&fixture);
}

Test(audit_witness, time_does_not_go_back)
{
    struct fixture fixture;
    struct buffer body;
    struct buffer out;
    struct audit_key key;
    struct err err;
    uint64_t time_s = 0;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 3), AUDIT_WITNESS_COSIGNED);
    fixture.clock.now_ms = -5000;
    cr_assert(reopen(&fixture, fixture.log.vkey, &err), "%s", err.message);
    buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    foreign_log_request(&fixture.log, 3, 4, &body);
    cr_assert_eq(add_body(&fixture, buffer_bytes(&body), &out), AUDIT_WITNESS_COSIGNED);
    cr_assert(
        audit_cosigner_parse(bytes_of_string(audit_witness_vkey(fixture.witness)), &key, &err));
    struct buffer note;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    cr_assert(audit_witness_latest(fixture.witness, origin_hash, &note));
    cr_assert_eq(audit_cosignature_verify(buffer_bytes(&note), &key, &time_s), AUDIT_OK);
    cr_expect_eq(time_s, 1795255200);
    buffer_release(&note);
    buffer_release(&body);
    buffer_release(&out);
    teardown(&fixture);
}

Test(audit_witness, a_state_that_it_did_not_write_is_refused)
{
    struct fixture fixture;
    struct err err;
    char state[128];
    size_t size = 0;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    snprintf(state, sizeof(state), "%s.checkpoint", origin_hash);
    uint8_t *content = file_read(fixture.directory, state, &size);
    for (size_t i = 0; i < size; i += 3) {
        content[i] ^= 1;
        file_write(fixture.directory, state, content, size);
        content[i] ^= 1;
        /* The log's own signature is not needed to know what was cosigned. */
        bool is_refused = !reopen(&fixture, fixture.log.vkey, &err);
        bool is_signature = memchr(content + i, 0xe2, size - i) != NULL &&
                            i > (size_t)((uint8_t *)memmem(content, size, "\n\n", 2) - content) + 3;
        cr_expect(is_refused || is_signature, "byte %zu", i);
        cr_expect(!is_refused || err.code == ERR_TAMPERED, "byte %zu: %s", i, err.message);
    }
    file_write(fixture.directory, state, content, 0);
    cr_expect_not(reopen(&fixture, fixture.log.vkey, &err));
    heap_free(content);
    teardown(&fixture);
}

Test(audit_witness, keys_that_are_none_are_refused_at_the_start)
{
    struct fixture fixture;
    struct err err;
    char two[1024];
    setup(&fixture);
    cr_expect_not(reopen(&fixture, "log.example", &err));
    cr_expect_eq(err.code, ERR_CONFIG);
    snprintf(two, sizeof(two), "%s %s,", fixture.log.vkey, fixture.log.vkey);
    cr_expect_not(reopen(&fixture, two, &err));
    cr_expect_eq(err.code, ERR_CONFIG);
    file_write(fixture.directory, AUDIT_WITNESS_VKEY_FILE, "x\n", 2);
    cr_expect_not(reopen(&fixture, fixture.log.vkey, &err));
    cr_expect_eq(err.code, ERR_TAMPERED);
    teardown(&fixture);
}

static int failing_sync(void *context, int fd)
{
    (void)context;
    (void)fd;
    errno = EIO;
    return -1;
}

static int failing_rename(void *context, int directory_fd, const char *from, const char *to)
{
    (void)context;
    (void)directory_fd;
    (void)from;
    (void)to;
    errno = ENOSPC;
    return -1;
}

Test(audit_witness, nothing_is_cosigned_once_the_disk_failed)
{
    for (int which = 0; which < 2; which++) {
        struct fixture fixture;
        struct err err;
        setup(&fixture);
        cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
        if (which == 0) {
            fixture.io.sync = failing_sync;
        } else {
            fixture.io.rename = failing_rename;
        }
        cr_expect_eq(add(&fixture, 20, 30), AUDIT_WITNESS_FAILED);
        fixture.io = audit_io_system;
        cr_expect_eq(add(&fixture, 20, 30), AUDIT_WITNESS_FAILED, "it stays so");
        cr_expect_eq(known_size(&fixture), 20);
        cr_assert(reopen(&fixture, fixture.log.vkey, &err), "%s", err.message);
        cr_expect_eq(add(&fixture, 20, 30), AUDIT_WITNESS_COSIGNED);
        teardown(&fixture);
    }
}

/* Every call that changes the disk while 20 entries become 30: which they are, and the n-th fails.
 */
struct recorder {
    char calls[64]; /* u: unlink, o: open, w: write, s: sync of a file, S: of the directory, r:
                       rename */
    int count;
    int fail_at; /* 0: never */
    bool is_done_all_the_same;
    int directory_fd;
};

static bool record(struct recorder *recorder, char call, bool *perform)
{
    cr_assert_lt(recorder->count, (int)sizeof(recorder->calls) - 1);
    recorder->calls[recorder->count++] = call;
    bool fails = recorder->count == recorder->fail_at;
    *perform = !fails || recorder->is_done_all_the_same;
    return fails;
}

static int recorded_result(bool fails, int result)
{
    if (fails) {
        errno = EIO;
        return -1;
    }
    return result;
}

static int recorded_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    bool perform;
    struct recorder *recorder = context;
    recorder->directory_fd = directory_fd;
    bool fails = record(recorder, 'o', &perform);
    int fd = perform ? audit_io_system.open(NULL, directory_fd, name, flags, mode) : -1;
    if (fails && fd >= 0) {
        close(fd);
    }
    return recorded_result(fails, fd);
}

static ssize_t recorded_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    bool perform;
    bool fails = record(context, 'w', &perform);
    ssize_t done = perform ? audit_io_system.write(NULL, fd, ptr, size, offset) : 0;
    return fails ? recorded_result(true, 0) : done;
}

static int recorded_sync(void *context, int fd)
{
    bool perform;
    struct recorder *recorder = context;
    bool fails = record(recorder, fd == recorder->directory_fd ? 'S' : 's', &perform);
    return recorded_result(fails, perform ? audit_io_system.sync(NULL, fd) : 0);
}

static int recorded_rename(void *context, int directory_fd, const char *from, const char *to)
{
    bool perform;
    bool fails = record(context, 'r', &perform);
    int result = perform ? audit_io_system.rename(NULL, directory_fd, from, to) : 0;
    return recorded_result(fails, result);
}

static int recorded_unlink(void *context, int directory_fd, const char *name)
{
    bool perform;
    bool fails = record(context, 'u', &perform);
    int result = perform ? audit_io_system.unlink(NULL, directory_fd, name) : 0;
    int code = errno;
    result = recorded_result(fails, result);
    errno = fails ? EIO : code;
    return result;
}

static void expect_safe_failure(int fail_at, bool is_done, struct recorder *recorder)
{
    struct fixture fixture;
    struct err err;
    setup(&fixture);
    cr_assert_eq(add(&fixture, 0, 20), AUDIT_WITNESS_COSIGNED);
    *recorder = (struct recorder){.fail_at = fail_at, .is_done_all_the_same = is_done};
    fixture.io.context = recorder;
    fixture.io.open = recorded_open;
    fixture.io.write = recorded_write;
    fixture.io.sync = recorded_sync;
    fixture.io.rename = recorded_rename;
    fixture.io.unlink = recorded_unlink;
    enum audit_witness_answer answer = add(&fixture, 20, 30);
    fixture.io = audit_io_system;
    cr_expect_eq(answer,
                 fail_at == 0 || recorder->count < fail_at ? AUDIT_WITNESS_COSIGNED
                                                           : AUDIT_WITNESS_FAILED,
                 "call %d", fail_at);
    cr_assert(reopen(&fixture, fixture.log.vkey, &err), "call %d: %s", fail_at, err.message);
    uint64_t size = known_size(&fixture);
    cr_expect(size == 30 || (size == 20 && answer != AUDIT_WITNESS_COSIGNED), "call %d: %" PRIu64,
              fail_at, size);
    cr_expect_eq(add(&fixture, (size_t)size, 40), AUDIT_WITNESS_COSIGNED, "it goes on");
    teardown(&fixture);
}

Test(audit_witness, the_state_is_synced_in_order_and_any_call_may_fail)
{
    struct recorder recorder;
    expect_safe_failure(0, false, &recorder);
    cr_expect_str_eq(recorder.calls, "uowsrS");
    int count = recorder.count;
    for (int fail_at = 1; fail_at <= count; fail_at++) {
        expect_safe_failure(fail_at, false, &recorder);
        expect_safe_failure(fail_at, true, &recorder);
    }
}

/* ---- two at once ---- */

struct racer {
    struct fixture *fixture;
    size_t size;
    enum audit_witness_answer answer;
};

static void *race(void *context)
{
    struct racer *racer = context;
    racer->answer = add(racer->fixture, 1, racer->size);
    return NULL;
}

Test(audit_witness, of_two_requests_at_once_one_is_cosigned)
{
    struct fixture fixture;
    setup(&fixture);
    for (int round = 0; round < 5; round++) {
        struct err err;
        char state[128];
        char path[PATH_BYTES];
        pthread_t threads[8];
        struct racer racers[8];
        size_t won = 0;
        snprintf(state, sizeof(state), "%s.checkpoint", origin_hash);
        path_join(path, fixture.directory, state);
        unlink(path);
        cr_assert(reopen(&fixture, fixture.log.vkey, &err), "%s", err.message);
        cr_assert_eq(add(&fixture, 0, 1), AUDIT_WITNESS_COSIGNED);
        for (size_t i = 0; i < 8; i++) {
            racers[i] = (struct racer){.fixture = &fixture, .size = 10 + i};
            pthread_create(&threads[i], NULL, race, &racers[i]);
        }
        for (size_t i = 0; i < 8; i++) {
            pthread_join(threads[i], NULL);
            won += racers[i].answer == AUDIT_WITNESS_COSIGNED;
            if (racers[i].answer == AUDIT_WITNESS_COSIGNED) {
                cr_expect_eq(known_size(&fixture), racers[i].size);
            } else {
                cr_expect_eq(racers[i].answer, AUDIT_WITNESS_CONFLICT);
            }
        }
        cr_expect_eq(won, 1);
    }
    teardown(&fixture);
}
