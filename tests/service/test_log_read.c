/* test_log_read.c: GET /v1/log/checkpoint and /v1/log/tile/….
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/service_world.h"

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>

static struct world world;

static void open_world(void)
{
    world_open(&world, NULL, NULL);
}

static void close_world(void)
{
    world_close(&world);
}

TestSuite(service_log_read, .init = open_world, .fini = close_world);

static void note_size(void *context, const struct audit_commit *commit)
{
    atomic_store((_Atomic uint64_t *)context, commit->index + 1);
}

/* Makes the log so long with entries that nobody asked for. */
static void grow(uint64_t size)
{
    struct err err;
    while (audit_log_pending(world.log) > 0) {
        sched_yield(); /* the service's own first entry */
    }
    _Atomic uint64_t reached = audit_log_size(world.log);
    for (uint64_t index = atomic_load(&reached); index < size; index++) {
        json_t *fields = json_pack("{s:i}", "n", (int)index);
        cr_assert(audit_log_submit(world.log, AUDIT_EPOCH, fields, note_size, &reached, &err));
        json_decref(fields);
    }
    while (atomic_load(&reached) < size) {
        sched_yield();
    }
}

static struct reply get(const char *target)
{
    return world_ask(&world, "GET", target, NULL, NULL);
}

static struct audit_checkpoint open_checkpoint(const struct reply *reply)
{
    struct audit_checkpoint checkpoint;
    cr_assert_eq(audit_checkpoint_verify(bytes_of_string(reply->text), audit_log_vkey(world.log),
                                         &checkpoint),
                 AUDIT_OK);
    return checkpoint;
}

Test(service_log_read, the_checkpoint_is_kept_by_caches_for_a_second_only)
{
    grow(3);
    struct reply reply = get("/v1/log/checkpoint");
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.response.content_type, "text/plain; charset=utf-8");
    cr_expect_str_eq(reply_header(&reply, "Cache-Control"), "public, max-age=1");
    uint64_t size = open_checkpoint(&reply).size;
    cr_expect_eq(size, audit_log_size(world.log));
    reply_release(&reply);
    grow(size + 1);
    reply = get("/log/checkpoint");
    cr_expect_eq(open_checkpoint(&reply).size, size + 1);
    reply_release(&reply);
}

Test(service_log_read, tiles_are_kept_by_caches_for_ever)
{
    static const char *const targets[] = {"/v1/log/tile/0/000", "/log/tile/0/001.p/44",
                                          "/v1/log/tile/1/000.p/1", "/log/tile/0/000.p/7"};
    static const size_t widths[] = {256, 44, 1, 7};
    grow(300);
    for (size_t i = 0; i < 4; i++) {
        struct reply reply = get(targets[i]);
        cr_assert_eq(reply.status, 200, "%s: %s", targets[i], reply.text);
        cr_expect_str_eq(reply.response.content_type, "application/octet-stream");
        cr_expect_str_eq(reply_header(&reply, "Cache-Control"),
                         "public, max-age=31536000, immutable");
        cr_expect_eq(reply.response.body.size, widths[i] * AUDIT_HASH_BYTES);
        reply_release(&reply);
    }
}

Test(service_log_read, tiles_and_bundles_make_the_root_that_is_signed)
{
    uint8_t root[AUDIT_HASH_BYTES];
    uint8_t hash[AUDIT_HASH_BYTES];
    uint8_t pair[2 * AUDIT_HASH_BYTES];
    grow(300);
    struct reply checkpoint = get("/v1/log/checkpoint");
    struct reply top = get("/v1/log/tile/1/000.p/1");
    struct reply rest = get("/v1/log/tile/0/001.p/44");
    struct reply bundle = get("/v1/log/tile/entries/001.p/44");
    cr_assert_eq(bundle.status, 200);
    cr_expect_str_eq(bundle.response.content_type, "application/octet-stream");
    struct reader reader = reader_of(bundle.response.body);
    for (int i = 0; i < 44; i++) {
        uint16_t size = 0;
        struct bytes leaf;
        cr_assert(reader_u16be(&reader, &size) && reader_take(&reader, size, &leaf));
        audit_leaf_hash(leaf, hash);
        cr_assert_arr_eq(rest.response.body.ptr + i * AUDIT_HASH_BYTES, hash, sizeof(hash));
    }
    cr_expect_eq(reader_left(&reader), 0);
    /* 300 = 256 + 32 + 8 + 4: pair up what is left, and hang it under the top. */
    uint8_t row[44][AUDIT_HASH_BYTES];
    memcpy(row, rest.response.body.ptr, sizeof(row));
    static const struct {
        int first, count;
    } peaks[] = {{40, 4}, {32, 8}, {0, 32}};
    for (size_t i = 0; i < 3; i++) {
        for (int width = peaks[i].count; width > 1; width /= 2) {
            for (int j = 0; j < width / 2; j++) {
                uint8_t *at = row[peaks[i].first];
                memcpy(pair, at + (size_t)(2 * j) * AUDIT_HASH_BYTES, sizeof(pair));
                audit_node_hash(pair, pair + AUDIT_HASH_BYTES, at + (size_t)j * AUDIT_HASH_BYTES);
            }
        }
        if (i == 0) {
            memcpy(root, row[peaks[i].first], sizeof(root));
        } else {
            audit_node_hash(row[peaks[i].first], root, root);
        }
    }
    audit_node_hash(top.response.body.ptr, root, root);
    cr_expect_arr_eq(open_checkpoint(&checkpoint).root, root, sizeof(root));
    reply_release(&checkpoint);
    reply_release(&top);
    reply_release(&rest);
    reply_release(&bundle);
}

static void expect_problem(const char *target, int status, const char *code)
{
    struct reply reply = get(target);
    cr_expect_eq(reply.status, status, "%s", target);
    cr_expect_str_eq(reply_text(&reply, "error_code"), code, "%s", target);
    cr_expect_str_eq(reply.response.content_type, "application/problem+json");
    /* What is not there today may be there tomorrow. */
    cr_expect_str_eq(reply_header(&reply, "Cache-Control"), "no-store");
    reply_release(&reply);
}

Test(service_log_read, what_the_checkpoint_does_not_cover_is_not_found)
{
    grow(300);
    expect_problem("/v1/log/tile/0/001", 404, "NOT_FOUND");
    expect_problem("/v1/log/tile/0/001.p/45", 404, "NOT_FOUND");
    expect_problem("/v1/log/tile/0/002.p/1", 404, "NOT_FOUND");
    expect_problem("/v1/log/tile/entries/001", 404, "NOT_FOUND");
    expect_problem("/v1/log/tile/1/000", 404, "NOT_FOUND");
    expect_problem("/v1/log/tile/63/x999/x999/x999/x999/x999/999", 404, "NOT_FOUND");
}

Test(service_log_read, other_paths_than_the_canonical_ones_are_refused)
{
    static const char *const targets[] = {
        "/v1/log/tile/00/000",       "/v1/log/tile/64/000",    "/v1/log/tile/0/0",
        "/v1/log/tile/0/x000/000",   "/v1/log/tile/0/000.p/0", "/v1/log/tile/0/000.p/256",
        "/v1/log/tile/entries/0000", "/v1/log/tile/0/000/",    "/v1/log/tile//0/000",
        "/v1/log/tile/data/000",     "/v1/log/tile/0"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        expect_problem(targets[i], 400, "MALFORMED_REQUEST");
    }
}

Test(service_log_read, what_was_served_is_counted)
{
    grow(3);
    struct reply reply = get("/log/tile/0/000.p/1");
    reply_release(&reply);
    reply = get("/log/tile/0/000.p/2");
    reply_release(&reply);
    reply = get("/log/tile/entries/000.p/3");
    reply_release(&reply);
    reply = get("/log/tile/0/001");
    reply_release(&reply);
    reply = world_ask(&world, "GET", "/metrics", world.metrics.secret, NULL);
    cr_expect_not_null(strstr(reply.text, "wasm_hypervisor_log_tiles_total 2\n"));
    cr_expect_not_null(strstr(reply.text, "wasm_hypervisor_log_entry_bundles_total 1\n"));
    cr_expect_not_null(strstr(reply.text, "route=\"/log/tile/{+tile}\",status=\"4xx\"} 1\n"));
    reply_release(&reply);
}
