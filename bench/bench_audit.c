/* bench_audit.c: how many entries a second the log makes durable, and how long each waits, beside
 * what its disk can do.
 *
 * 1, 8 and 64 submitters keep one entry each in flight, as so many waiting clients would; two
 * threads do the submitting, as a node's workers would. The disk's own figure is append + fdatasync
 * of one entry's size, one after the other; group commit is what lies between.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BENCH_WORKERS = 2, BENCH_ENTRIES_MAX = 20000, BENCH_SYNCS = 1000 };

struct bench_audit {
    struct audit_log *log;
    json_t *fields;
    sem_t answered;
    int entries;
    _Atomic int submitted;
    _Atomic int committed;
    uint64_t begin_ns[BENCH_ENTRIES_MAX];
    uint64_t wait_ns[BENCH_ENTRIES_MAX];
};

/* An entry's place in the tables. */
struct bench_entry {
    struct bench_audit *bench;
    int number;
};
static struct bench_entry entries[BENCH_ENTRIES_MAX];

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_audit: %s\n", what);
        exit(1);
    }
}

static void committed_cb(void *context, const struct audit_commit *commit)
{
    const struct bench_entry *entry = context;
    struct bench_audit *bench = entry->bench;
    check(commit->ok, "the log died");
    bench->wait_ns[entry->number] =
        clock_monotonic_ns(&clock_system) - bench->begin_ns[entry->number];
    atomic_fetch_add(&bench->committed, 1);
    sem_post(&bench->answered);
}

static void *worker_run(void *context)
{
    struct bench_audit *bench = context;
    struct err err;
    for (;;) {
        while (sem_wait(&bench->answered) != 0) {
        }
        int number = atomic_fetch_add(&bench->submitted, 1);
        if (number >= bench->entries) {
            sem_post(&bench->answered); /* the other one may wait for the last answer, too */
            return NULL;
        }
        entries[number] = (struct bench_entry){.bench = bench, .number = number};
        bench->begin_ns[number] = clock_monotonic_ns(&clock_system);
        check(audit_log_submit(bench->log, AUDIT_ADMIT, bench->fields, committed_cb,
                               &entries[number], &err),
              err.message);
    }
}

static void fatal(void *context, const struct err *err)
{
    (void)context;
    check(false, err->message);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void print_quantiles(const char *name, uint64_t *values_ns, int count)
{
    char line[128];
    qsort(values_ns, (size_t)count, sizeof(*values_ns), compare);
    (void)snprintf(line, sizeof(line), "%s.p50", name);
    bench_print(line, (double)values_ns[count / 2] / 1e3, "us");
    (void)snprintf(line, sizeof(line), "%s.p99", name);
    bench_print(line, (double)values_ns[count - 1 - count / 100] / 1e3, "us");
}

static void disk_run(const char *directory)
{
    static uint64_t took_ns[BENCH_SYNCS];
    char path[4096];
    char entry[300] = {0};
    (void)snprintf(path, sizeof(path), "%s/sync", directory);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    check(fd >= 0, "cannot make a file");
    for (int i = 0; i < BENCH_SYNCS; i++) {
        uint64_t begin = clock_monotonic_ns(&clock_system);
        check(write(fd, entry, sizeof(entry)) == (ssize_t)sizeof(entry) && fdatasync(fd) == 0,
              "cannot write");
        took_ns[i] = clock_monotonic_ns(&clock_system) - begin;
    }
    (void)close(fd);
    print_quantiles("audit.disk_append_and_sync", took_ns, BENCH_SYNCS);
}

static void commits_run(struct bench_audit *bench, int submitters, int count)
{
    char name[128];
    pthread_t threads[BENCH_WORKERS];
    bench->entries = count;
    bench->submitted = bench->committed = 0;
    uint64_t begin = clock_monotonic_ns(&clock_system);
    check(sem_init(&bench->answered, 0, (unsigned)submitters) == 0, "no semaphore");
    for (int i = 0; i < BENCH_WORKERS; i++) {
        check(pthread_create(&threads[i], NULL, worker_run, bench) == 0, "no thread");
    }
    for (int i = 0; i < BENCH_WORKERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    while (atomic_load(&bench->committed) < count) {
        check(sem_wait(&bench->answered) == 0, "cannot wait");
    }
    uint64_t took_ns = clock_monotonic_ns(&clock_system) - begin;
    (void)snprintf(name, sizeof(name), "audit.commits.%d", submitters);
    bench_print(name, (double)count * 1e9 / (double)took_ns, "entries/s");
    (void)snprintf(name, sizeof(name), "audit.commit.%d", submitters);
    print_quantiles(name, bench->wait_ns, count);
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
    static struct bench_audit bench;
    char directory[] = EXAMPLES_DIR "/../bench-audit-XXXXXX"; /* not in /tmp: that may be memory */
    char log_directory[sizeof(EXAMPLES_DIR) + 64];
    struct audit_recovery recovery;
    struct err err = {0};
    check(mkdtemp(directory) != NULL, "cannot make a directory here");
    (void)snprintf(log_directory, sizeof(log_directory), "%s/log", directory);
    const struct audit_config config = {.directory = log_directory, .clock = &clock_system};
    check(audit_log_make(&config, NULL, &err), err.message);
    check(audit_log_open(&config, fatal, NULL, &bench.log, &recovery, &err), err.message);
    bench.fields = json_pack("{s:s, s:s}", "request_id", "5b8e6f1d-2c3b-4a59-8768-5a4b3c2d1e0f",
                             "request_commitment",
                             "0000000000000000000000000000000000000000000000000000000000000000");
    check(bench.fields != NULL, "out of memory");
    disk_run(directory);
    commits_run(&bench, 1, 2000);
    commits_run(&bench, 8, 10000);
    commits_run(&bench, 64, BENCH_ENTRIES_MAX);
    audit_log_close(bench.log);
    json_decref(bench.fields);
    (void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
