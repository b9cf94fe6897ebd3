/* test_log_failure.c: the audit log dies in the middle, before an ADMIT or before a RESULT is
 * durable: nothing runs that was not admitted, nothing is told that was not committed, everybody is
 * answered, and the next start says in the log what was left open.
 *
 * The log's system calls are real until the how-many-th sync fails. Either the write before it has
 * failed too, so that the entry is nowhere, or only the sync has, so that the entry is on the disk
 * and nobody may rely on it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>

static struct {
    struct audit_io io;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int entries_fd;
    int batches; /* synced so far */
    int fail_at; /* the batch that fails; 0: none */
    bool writes; /* what it writes arrives nevertheless */
} fault;

static struct world world;

static int fault_open(void *context, int directory_fd, const char *name, int flags, mode_t mode)
{
    int fd = audit_io_system.open(context, directory_fd, name, flags, mode);
    if (strcmp(name, AUDIT_ENTRIES_FILE) == 0 && (flags & O_ACCMODE) == O_RDWR) {
        fault.entries_fd = fd;
    }
    return fd;
}

static bool fault_is_now(void)
{
    pthread_mutex_lock(&fault.lock);
    bool is_now = fault.fail_at != 0 && fault.batches + 1 >= fault.fail_at;
    pthread_mutex_unlock(&fault.lock);
    return is_now;
}

static ssize_t fault_write(void *context, int fd, const void *ptr, size_t size, off_t offset)
{
    if (fd == fault.entries_fd && !fault.writes && fault_is_now()) {
        errno = ENOSPC;
        return -1;
    }
    return audit_io_system.write(context, fd, ptr, size, offset);
}

static int fault_sync_data(void *context, int fd)
{
    if (fd == fault.entries_fd && fault_is_now()) {
        errno = EIO;
        return -1;
    }
    int result = audit_io_system.sync_data(context, fd);
    pthread_mutex_lock(&fault.lock);
    fault.batches += fd == fault.entries_fd;
    pthread_cond_broadcast(&fault.changed);
    pthread_mutex_unlock(&fault.lock);
    return result;
}

/* A world whose log has written its epoch's leaf, and fails at the `batch`-th batch from now. */
static void open_failing(int batch, bool writes)
{
    fault.io = audit_io_system;
    fault.io.open = fault_open;
    fault.io.write = fault_write;
    fault.io.sync_data = fault_sync_data;
    pthread_mutex_init(&fault.lock, NULL);
    pthread_cond_init(&fault.changed, NULL);
    world_open_with(&world, NULL, NULL, &fault.io);
    pthread_mutex_lock(&fault.lock);
    while (fault.batches == 0) {
        pthread_cond_wait(&fault.changed, &fault.lock);
    }
    fault.writes = writes;
    fault.fail_at = fault.batches + batch;
    pthread_mutex_unlock(&fault.lock);
}

static void prepare(const char *function, struct prepared *out)
{
    const char *arguments = strcmp(function, "add") == 0 ? "[1,2]" : "[]";
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   function, arguments, NULL, false, out);
}

static int status_of(const char *target)
{
    struct reply reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    int status = reply.status;
    reply_release(&reply);
    return status;
}

static void expect_nothing_told(const struct reply *reply)
{
    static const char *const secrets[] = {"encrypted_result",  "commitment", "receipt",
                                          "execution_summary", "outputs",    "result_commitment"};
    cr_expect_eq(reply->status, 500, "%s", reply->text);
    cr_expect_str_eq(reply_text(reply, "error_code"), "INTERNAL");
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
        cr_expect_null(json_object_get(reply->json, secrets[i]), "%s", secrets[i]);
    }
}

/* Starts anew on a sound disk; what the log found, and that its whole directory verifies. */
static void restart(uint64_t unsigned_entries, uint64_t unanswered)
{
    struct audit_report report;
    struct err err;
    char path[128];
    world_stop(&world);
    world.io = &audit_io_system;
    world_start(&world);
    cr_expect_eq(world.recovery.unsigned_entries, unsigned_entries);
    cr_expect_eq(world.recovery.unanswered_count, unanswered);
    world_path(&world, "log", path);
    cr_assert(audit_verify_directory(path, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err));
    cr_expect_eq(report.verdict, AUDIT_OK, "%s", report.detail);
    cr_expect_eq(report.unanswered_count, 0);
    cr_expect_eq(report.recovered_count, unanswered);
}

static int verify_status(const struct prepared *prepared)
{
    char target[128];
    (void)snprintf(target, sizeof(target), "/verify/%s", prepared->id);
    return status_of(target);
}

static void admit_fails(bool writes)
{
    struct prepared prepared;
    open_failing(1, writes);
    prepare("add", &prepared);
    struct reply reply = client_send(&world, world.user.secret, &prepared);
    expect_nothing_told(&reply);
    reply_release(&reply);
    cr_expect_eq(status_of("/readyz"), 503);
    cr_expect_eq(status_of("/health"), 503);
    struct prepared later; /* the log refuses at once */
    prepare("add", &later);
    reply = client_send(&world, world.user.secret, &later);
    expect_nothing_told(&reply);
    reply_release(&reply);
    char target[128];
    (void)snprintf(target, sizeof(target), "/executions/%s", later.id);
    reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_str_eq(reply_text(&reply, "state"), "KEY_GENERATED", "its key is as it was");
    reply_release(&reply);
    restart(writes, writes);
    cr_expect_eq(verify_status(&prepared), 404, "it has no result");
    cr_expect_eq(verify_status(&later), 404);
    prepared_release(&later);
    prepared_release(&prepared);
    world_close(&world);
}

Test(service_log_failure, an_admit_that_is_nowhere_does_not_run)
{
    admit_fails(false);
}

Test(service_log_failure, an_admit_that_may_be_there_does_not_run_and_is_recovered)
{
    admit_fails(true);
}

static void result_fails(bool writes)
{
    struct prepared prepared;
    char target[128];
    open_failing(2, writes);
    prepare("add", &prepared);
    struct reply reply = client_send(&world, world.user.secret, &prepared);
    expect_nothing_told(&reply);
    reply_release(&reply);
    (void)snprintf(target, sizeof(target), "/executions/%s", prepared.id);
    reply = world_ask(&world, "GET", target, world.user.secret, NULL);
    cr_expect_str_eq(reply_text(&reply, "state"), "ERROR");
    cr_expect_null(strstr(reply.text, "encrypted_result"));
    reply_release(&reply);
    restart(writes, !writes);
    cr_expect_eq(verify_status(&prepared), writes ? 200 : 404);
    prepared_release(&prepared);
    world_close(&world);
}

Test(service_log_failure, a_result_that_is_nowhere_is_not_told_and_its_request_is_recovered)
{
    result_fails(false);
}

Test(service_log_failure, a_result_that_may_be_there_is_not_told)
{
    result_fails(true);
}

/* Some run, some wait for their ADMIT, some come later: all are answered, and closing ends. */
Test(service_log_failure, everybody_is_answered)
{
    enum { COUNT = 12 };
    struct prepared running, others[COUNT];
    struct world_call *calls[COUNT];
    open_failing(2, false);
    prepare("forever", &running);
    for (int i = 0; i < COUNT; i++) {
        prepare("add", &others[i]);
    }
    struct world_call *call = client_begin(&world, world.user.secret, &running);
    pthread_mutex_lock(&fault.lock);
    while (fault.batches + 1 < fault.fail_at) { /* until it is admitted */
        pthread_cond_wait(&fault.changed, &fault.lock);
    }
    pthread_mutex_unlock(&fault.lock);
    for (int i = 0; i < COUNT; i++) {
        calls[i] = client_begin(&world, world.user.secret, &others[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        struct reply reply = world_end(calls[i]);
        expect_nothing_told(&reply);
        reply_release(&reply);
        prepared_release(&others[i]);
    }
    char target[128];
    (void)snprintf(target, sizeof(target), "/executions/%s", running.id);
    struct reply reply = world_ask(&world, "DELETE", target, world.user.secret, NULL);
    reply_release(&reply);
    reply = world_end(call);
    expect_nothing_told(&reply);
    reply_release(&reply);
    prepared_release(&running);
    restart(0, 1);
    world_close(&world);
}
