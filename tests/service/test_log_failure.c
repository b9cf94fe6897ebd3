/* test_log_failure.c: the audit log dies in the middle, before an ADMIT or before a RESULT is
 * durable: nothing runs that was not admitted, nothing is told that was not committed, everybody is
 * answered, and the next start says in the log what was left open.
 *
 * Either the write of an entry fails, so that it is nowhere, or only the sync does, so that it is
 * on the disk and nobody may rely on it (support/failing_log.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/failing_log.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>

static struct world world;

/* A world whose log has written its epoch's leaf, and fails at the `batch`-th batch from now. */
static void open_failing(int batch, bool writes)
{
    world_open_with(&world, NULL, NULL, failing_log_open);
    failing_log_wait(1);
    failing_log_fail(1 + batch, writes);
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

/* Starts anew on a sound disk; how many entries the log found that nobody was told of, and that its
 * whole directory verifies. */
static void restart(uint64_t untold_entries, uint64_t unanswered)
{
    uint64_t told = audit_log_size(world.log);
    struct audit_report report;
    struct err err;
    char path[128];
    world_stop(&world);
    world.log_open = audit_log_open;
    world_start(&world);
    cr_expect_eq(world.recovery.size, told + untold_entries + (unanswered > 0), "and a RECOVERED");
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
    failing_log_wait(2); /* until it is admitted */
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
