/* stress_audit_log.c: many threads submit, end segments, prove, read and verify one log at once,
 * for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "support/new_log.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUBMITTERS = 8, ENTRIES_EACH = 150, PATH_BYTES = 256 };

static char directory[PATH_BYTES];
static struct audit_log *audit_log;
static _Atomic unsigned committed;
static _Atomic unsigned submitters_left = SUBMITTERS;

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "stress_audit_log: %s\n", what);
        exit(1);
    }
}

static void committed_cb(void *context, const struct audit_commit *commit)
{
    (void)context;
    uint64_t index = 0;
    struct audit_checkpoint checkpoint;
    check(commit->ok, "a commit failed");
    struct bytes note;
    check(audit_tlog_proof_open(commit->tlog_proof, commit->leaf_hash, &index, &note) &&
              index == commit->index,
          "a proof does not prove");
    /* This thread is the one that changes the key, and has done so before it calls. */
    check(audit_checkpoint_verify(note, audit_log_vkey(audit_log), &checkpoint) == AUDIT_OK,
          "a checkpoint does not verify");
    atomic_fetch_add(&committed, 1);
}

static void *submit_run(void *context)
{
    (void)context;
    struct err err;
    for (int i = 0; i < ENTRIES_EACH; i++) {
        json_t *fields = json_pack("{s:i}", "n", i);
        check(audit_log_submit(audit_log, AUDIT_ADMIT, fields, committed_cb, NULL, &err),
              "a submit failed");
        json_decref(fields);
    }
    atomic_fetch_sub(&submitters_left, 1);
    return NULL;
}

static bool count_visit(void *context, uint64_t index, struct bytes leaf)
{
    uint64_t *count = context;
    (void)leaf;
    *count = index + 1;
    return true;
}

/* The last tile and its bundle, and from a random earlier size how it came to be this one. */
static void read_tiles(uint64_t size, unsigned turn)
{
    struct audit_tile tile = {.number = (size - 1) / AUDIT_TILE_WIDTH};
    struct buffer out;
    struct buffer note;
    struct err err;
    tile.width = audit_tile_width(size, 0, tile.number);
    for (int kind = 0; kind < 2; kind++) {
        tile.is_entries = kind == 1;
        buffer_init(&out, AUDIT_TILE_BYTES_MAX);
        check(audit_log_tile(audit_log, &tile, &out, &err), "no tile");
        buffer_release(&out);
    }
    buffer_init(&out, 16384);
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    check(audit_log_prove_between(audit_log, 1 + turn % size, size, &out, &err), "no proof");
    check(audit_log_checkpoint(audit_log, &note), "no checkpoint");
    buffer_release(&out);
    buffer_release(&note);
}

static void *read_run(void *context)
{
    (void)context;
    struct err err;
    for (unsigned turn = 0; atomic_load(&submitters_left) > 0; turn++) {
        struct buffer leaf;
        struct buffer proof;
        uint64_t count = 0;
        uint64_t size = audit_log_size(audit_log);
        buffer_init(&leaf, 4096);
        buffer_init(&proof, 16384);
        check(audit_log_prove(audit_log, turn % size, &leaf, &proof, &err), "no proof");
        check(audit_log_checkpoint(audit_log, &leaf), "no checkpoint");
        check(audit_log_rotate(audit_log, NULL, NULL, &err), "no rotation");
        check(audit_log_rotate_key(audit_log, NULL, NULL, &err) || err.code == ERR_BUSY ||
                  err.code == ERR_LIMIT,
              "no new key");
        check(audit_log_each(audit_log, 0, count_visit, &count, &err) && count >= size,
              "entries are missing");
        read_tiles(size, turn);
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    return NULL;
}

static void verify(uint64_t size_min)
{
    struct audit_report report;
    struct err err;
    check(audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err) &&
              report.verdict == AUDIT_OK && report.size >= size_min,
          "the directory does not verify");
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *at)
{
    (void)status;
    (void)flag;
    (void)at;
    return remove(path);
}

int main(void)
{
    const char *base = getenv("TMPDIR");
    struct audit_config config = {.directory = directory, .clock = &clock_system};
    struct audit_recovery recovery;
    struct err err;
    pthread_t threads[SUBMITTERS + 2];
    (void)snprintf(directory, sizeof(directory), "%s/stress_audit.XXXXXX",
                   base == NULL ? "/tmp" : base);
    check(mkdtemp(directory) != NULL, "no directory");
    check(new_log(directory, NULL, &clock_system, &err), "init failed");
    check(audit_log_open(&config, NULL, NULL, &audit_log, &recovery, &err), "open failed");
    for (int i = 0; i < SUBMITTERS + 2; i++) {
        check(pthread_create(&threads[i], NULL, i < SUBMITTERS ? submit_run : read_run, NULL) == 0,
              "no thread");
    }
    while (atomic_load(&submitters_left) > 0) {
        verify(1);
    }
    for (int i = 0; i < SUBMITTERS + 2; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    audit_log_close(audit_log);
    check(atomic_load(&committed) == SUBMITTERS * ENTRIES_EACH, "callbacks are missing");
    verify(1 + SUBMITTERS * ENTRIES_EACH);
    (void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
