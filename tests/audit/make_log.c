/* make_log.c: makes a log of many entries, or makes one longer, as fast as the disk takes it: INIT,
 * then each ADMIT with its RESULT, with the members that a node writes. For trying out what reads
 * logs.
 *
 *     make_log DIRECTORY ENTRIES [ORIGIN]
 *
 * Request number n has the id 00000000-0000-4000-8000-<n in 12 hexadecimal digits>. An odd entry
 * that is left over is an EPOCH.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"

#include "base/text.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REQUESTS_AT_ONCE = 4096 };

struct maker {
    struct audit_log *log;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint64_t under_way; /* requests */
};

struct request {
    struct maker *maker;
    uint64_t number;
};

static void give_up(const char *message)
{
    (void)fprintf(stderr, "make_log: %s\n", message);
    exit(1);
}

static void maker_fatal(void *context, const struct err *err)
{
    (void)context;
    give_up(err->message);
}

/* ---- one request ---- */

static void commitment_of(const char *what, uint64_t number,
                          char out[static 2 * AUDIT_HASH_BYTES + 1])
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    const struct bytes parts[] = {bytes_of_string(what), bytes_of(&number, sizeof(number))};
    crypto_sha256_parts(parts, 2, hash);
    text_hex_encode(bytes_of(hash, sizeof(hash)), out);
}

static json_t *request_fields(uint64_t number)
{
    char commitment[2 * AUDIT_HASH_BYTES + 1];
    commitment_of("request", number, commitment);
    return json_pack("{s:o, s:s}", "request_id",
                     json_sprintf("00000000-0000-4000-8000-%012" PRIx64, number),
                     "request_commitment", commitment);
}

static json_t *result_fields(uint64_t number, uint64_t admit)
{
    char commitment[2 * AUDIT_HASH_BYTES + 1];
    commitment_of("result", number, commitment);
    json_t *fields = request_fields(number);
    if (fields == NULL ||
        json_object_update_new(
            fields, json_pack("{s:I, s:s, s:s, s:I, s:i}", "admit", (json_int_t)admit,
                              "result_commitment", commitment, "status", "success", "gas_consumed",
                              (json_int_t)(1000 + number % 100000), "gas_schedule", 1)) != 0) {
        give_up("no memory");
    }
    return fields;
}

static void submit(struct maker *maker, enum audit_kind kind, json_t *fields, audit_commit_cb cb,
                   void *context)
{
    struct err err;
    if (fields == NULL || !audit_log_submit(maker->log, kind, fields, cb, context, &err)) {
        give_up(fields == NULL ? "no memory" : err.message);
    }
    json_decref(fields);
}

static void answered_cb(void *context, const struct audit_commit *commit)
{
    struct request *request = context;
    struct maker *maker = request->maker;
    if (!commit->ok) {
        give_up("the log died");
    }
    free(request);
    pthread_mutex_lock(&maker->mutex);
    maker->under_way--;
    pthread_cond_signal(&maker->wake);
    pthread_mutex_unlock(&maker->mutex);
}

static void admitted_cb(void *context, const struct audit_commit *commit)
{
    struct request *request = context;
    if (!commit->ok) {
        give_up("the log died");
    }
    submit(request->maker, AUDIT_RESULT, result_fields(request->number, commit->index), answered_cb,
           request);
}

/* ---- all of them ---- */

static struct request *request_begin(struct maker *maker, uint64_t number)
{
    struct request *request = malloc(sizeof(*request));
    if (request == NULL) {
        give_up("no memory");
    }
    *request = (struct request){.maker = maker, .number = number};
    pthread_mutex_lock(&maker->mutex);
    while (maker->under_way == REQUESTS_AT_ONCE) {
        pthread_cond_wait(&maker->wake, &maker->mutex);
    }
    maker->under_way++;
    pthread_mutex_unlock(&maker->mutex);
    return request;
}

static void fill(struct maker *maker, uint64_t size)
{
    uint64_t number = audit_log_size(maker->log); /* no request had it before */
    uint64_t left = size > number ? size - number : 0;
    for (; left >= 2; left -= 2, number++) {
        struct request *request = request_begin(maker, number);
        submit(maker, AUDIT_ADMIT, request_fields(number), admitted_cb, request);
    }
    if (left == 1) {
        char epoch[2 * AUDIT_HASH_BYTES + 1];
        commitment_of("epoch", number, epoch);
        submit(maker, AUDIT_EPOCH,
               json_pack("{s:s, s:s, s:s}", "epoch", epoch, "not_after", "2026-12-31T00:00:00.000Z",
                         "provider", "none"),
               answered_cb, request_begin(maker, number));
    }
    pthread_mutex_lock(&maker->mutex);
    while (maker->under_way > 0) {
        pthread_cond_wait(&maker->wake, &maker->mutex);
    }
    pthread_mutex_unlock(&maker->mutex);
}

int main(int argc, char **argv)
{
    struct maker maker = {.mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    struct audit_recovery recovery;
    struct err err;
    uint64_t size = 0;
    if (argc < 3 || argc > 4 || !text_u64_decode(argv[2], strlen(argv[2]), &size)) {
        give_up("usage: make_log DIRECTORY ENTRIES [ORIGIN]");
    }
    struct audit_config config = {
        .directory = argv[1], .pending_entries_max = 2 * REQUESTS_AT_ONCE, .clock = &clock_system};
    const char *origin = argc == 4 ? argv[3] : "log.example/test";
    if (access(argv[1], F_OK) != 0 && !audit_log_make(&config, origin, &err)) {
        give_up(err.message);
    }
    if (!audit_log_open(&config, maker_fatal, NULL, &maker.log, &recovery, &err)) {
        give_up(err.message);
    }
    fill(&maker, size);
    (void)printf("%" PRIu64 " entries, %s\n", audit_log_size(maker.log), audit_log_vkey(maker.log));
    audit_log_close(maker.log);
    return 0;
}
