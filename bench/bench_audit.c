/* bench_audit.c: how many entries a second the log makes durable, beside what its disk can do.
 *
 * 64 submitters keep one entry each in flight, as 64 waiting clients would. The disk's own figure
 * is append + fdatasync of one entry's size, one after the other; group commit is what lies
 * between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BENCH_SUBMITTERS = 64, BENCH_ENTRIES = 20000, BENCH_SYNCS = 500 };

struct bench_audit {
    struct audit_log *log;
    json_t *fields;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    uint32_t submitted, committed;
};

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_audit: %s\n", what);
        exit(1);
    }
}

static void submit_next(struct bench_audit *bench);

static void committed_cb(void *context, const struct audit_commit *commit)
{
    struct bench_audit *bench = context;
    check(commit->ok, "the log died");
    pthread_mutex_lock(&bench->mutex);
    bench->committed++;
    bool more = bench->submitted < BENCH_ENTRIES;
    if (bench->committed == BENCH_ENTRIES) {
        pthread_cond_signal(&bench->done);
    }
    pthread_mutex_unlock(&bench->mutex);
    if (more) {
        submit_next(bench);
    }
}

static void submit_next(struct bench_audit *bench)
{
    struct err err;
    pthread_mutex_lock(&bench->mutex);
    bool mine = bench->submitted < BENCH_ENTRIES;
    bench->submitted += mine;
    pthread_mutex_unlock(&bench->mutex);
    if (mine) {
        check(audit_log_submit(bench->log, AUDIT_ADMIT, bench->fields, committed_cb, bench, &err),
              err.message);
    }
}

static void fatal(void *context, const struct err *err)
{
    (void)context;
    check(false, err->message);
}

static double disk_sync_us(const char *directory)
{
    char path[4096];
    char entry[300] = {0};
    (void)snprintf(path, sizeof(path), "%s/sync", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    check(fd >= 0, "cannot make a file");
    uint64_t begin = clock_monotonic_ns(&clock_system);
    for (int i = 0; i < BENCH_SYNCS; i++) {
        check(write(fd, entry, sizeof(entry)) == (ssize_t)sizeof(entry) && fdatasync(fd) == 0,
              "cannot write");
    }
    uint64_t elapsed = clock_monotonic_ns(&clock_system) - begin;
    (void)close(fd);
    return (double)elapsed / (double)BENCH_SYNCS / 1e3;
}

static double entries_per_second(struct bench_audit *bench)
{
    uint64_t begin = clock_monotonic_ns(&clock_system);
    for (int i = 0; i < BENCH_SUBMITTERS; i++) {
        submit_next(bench);
    }
    pthread_mutex_lock(&bench->mutex);
    while (bench->committed < BENCH_ENTRIES) {
        pthread_cond_wait(&bench->done, &bench->mutex);
    }
    pthread_mutex_unlock(&bench->mutex);
    return (double)BENCH_ENTRIES * 1e9 / (double)(clock_monotonic_ns(&clock_system) - begin);
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
    char directory[] = EXAMPLES_DIR "/../bench-audit-XXXXXX"; /* not in /tmp: that may be memory */
    char log_directory[sizeof(EXAMPLES_DIR) + 64];
    struct bench_audit bench = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                .done = PTHREAD_COND_INITIALIZER};
    struct audit_recovery recovery;
    struct err err = {0};
    check(mkdtemp(directory) != NULL, "cannot make a directory here");
    (void)snprintf(log_directory, sizeof(log_directory), "%s/log", directory);
    const struct audit_config config = {
        .directory = log_directory,
        .batch_delay_ms_max = 2,
        .batch_entries_max = 1024,
        .pending_entries_max = 8192,
        .clock = &clock_system,
    };
    check(audit_log_init(log_directory, NULL, &clock_system, &err), err.message);
    check(audit_log_open(&config, fatal, NULL, &bench.log, &recovery, &err), err.message);
    bench.fields = json_pack("{s:s, s:s}", "request_id", "5b8e6f1d-2c3b-4a59-8768-5a4b3c2d1e0f",
                             "request_commitment",
                             "0000000000000000000000000000000000000000000000000000000000000000");
    check(bench.fields != NULL, "out of memory");
    bench_print("audit.disk_append_and_sync", disk_sync_us(directory), "us");
    bench_print("audit.commits", entries_per_second(&bench), "entries/s");
    audit_log_close(bench.log);
    json_decref(bench.fields);
    (void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
