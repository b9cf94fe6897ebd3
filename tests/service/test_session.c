/* test_session.c: what the table of sessions knows of those whose ADMIT the log has, or will have.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "support/gate.h"
#include "support/programs.h"
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <sched.h>

static void gate_cb(void *context, const struct audit_commit *commit)
{
    struct gate *gate = context;
    WORLD_CHECK(commit->ok);
    gate_pass(gate);
}

/* Submits an entry; the log's writer stays in its callback until the gate is open. */
static void gate_submit(struct world *world, struct gate *gate)
{
    struct err err;
    json_t *fields = json_object();
    gate_init(gate, true);
    WORLD_CHECK(audit_log_submit(world->log, AUDIT_EPOCH, fields, gate_cb, gate, &err));
    json_decref(fields);
}

/* From its batch's end to its own callback an ADMIT is in the log, and its session does not know
 * where. Were the index marked beyond it in between, a crash would lose its row for good. */
Test(service_session, an_admit_is_accounted_for_before_its_session_knows_its_index)
{
    struct world world;
    struct gate first, second;
    struct prepared prepared;
    world_open(&world, NULL, NULL);
    client_prepare(&world, world.user.secret, bytes_of(program_kitchen, sizeof(program_kitchen)),
                   "add", "[2,40]", NULL, false, &prepared);
    gate_submit(&world, &first);
    gate_wait(&first);
    gate_submit(&world, &second); /* its callback comes before that of the ADMIT in its batch */
    uint64_t size = audit_log_size(world.log);
    uint64_t pending = audit_log_pending(world.log);
    struct world_call *call = client_begin(&world, world.user.secret, &prepared);
    while (audit_log_pending(world.log) == pending) {
        sched_yield();
    }
    gate_set(&first, false);
    gate_wait(&second);
    cr_expect_eq(audit_log_size(world.log), size + 2, "the second one's and the ADMIT");
    cr_expect_eq(session_table_oldest_admit(world.service->sessions, UINT64_MAX), size);
    cr_expect_eq(session_table_oldest_admit(world.service->sessions, 1), 1);
    gate_set(&second, false);
    struct reply reply = world_end(call);
    cr_expect_eq(reply.status, 200, "%s", reply.text);
    reply_release(&reply);
    prepared_release(&prepared);
    world_close(&world);
}
