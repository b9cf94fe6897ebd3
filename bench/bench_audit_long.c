/* bench_audit_long.c: a log of a million entries: is appending as fast at the end as at the start,
 * how long does a proof take, how fast is verifying, and how much memory does that need?
 *
 *     bench_audit_long [ENTRIES]
 *
 * 4,096 requests are under way at once, each an ADMIT and its RESULT. Verifying is done by a fresh
 * process, so that its memory can be told: of the log's length, and of one that is a tenth as long.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"
#include "bench.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    BENCH_ENTRIES = 1000000,
    BENCH_UNDER_WAY = 4096,
    BENCH_SLICES = 10,
    BENCH_PROOFS = 2000,
    BENCH_PATH_BYTES = 4096,
};

static const char request_id[] = "5b8e6f1d-2c3b-4a59-8768-5a4b3c2d1e0f";
static const char commitment[] = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

struct bench_long {
    struct audit_log *log;
    json_t *admit;
    sem_t room;
};

static void check(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_audit_long: %s\n", what);
        exit(1);
    }
}

static void fatal(void *context, const struct err *err)
{
    (void)context;
    check(false, err->message);
}

/* ---- appending ---- */

static void answered_cb(void *context, const struct audit_commit *commit)
{
    struct bench_long *bench = context;
    check(commit->ok, "the log died");
    sem_post(&bench->room);
}

static void admitted_cb(void *context, const struct audit_commit *commit)
{
    struct bench_long *bench = context;
    struct err err;
    check(commit->ok, "the log died");
    json_t *fields =
        json_pack("{s:I, s:s, s:s, s:s, s:s, s:i, s:i}", "admit", (json_int_t)commit->index,
                  "request_id", request_id, "request_commitment", commitment, "result_commitment",
                  commitment, "status", "success", "gas_consumed", 13529, "gas_schedule", 1);
    check(fields != NULL, "out of memory");
    check(audit_log_submit(bench->log, AUDIT_RESULT, fields, answered_cb, bench, &err),
          err.message);
    json_decref(fields);
}

static void wait_for(struct bench_long *bench, int count)
{
    for (int i = 0; i < count; i++) {
        while (sem_wait(&bench->room) != 0) {
        }
    }
}

/* Entries a second. */
static double append(struct bench_long *bench, uint64_t entries)
{
    struct err err;
    uint64_t begin = clock_monotonic_ns(&clock_system);
    for (uint64_t i = 0; i < entries / 2; i++) {
        wait_for(bench, 1);
        check(audit_log_submit(bench->log, AUDIT_ADMIT, bench->admit, admitted_cb, bench, &err),
              err.message);
    }
    wait_for(bench, BENCH_UNDER_WAY);
    double took = (double)(clock_monotonic_ns(&clock_system) - begin);
    for (int i = 0; i < BENCH_UNDER_WAY; i++) {
        sem_post(&bench->room);
    }
    return (double)entries * 1e9 / took;
}

/* ---- proofs ---- */

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static void prove(struct bench_long *bench)
{
    static double took[BENCH_PROOFS];
    uint64_t size = audit_log_size(bench->log);
    uint64_t at = 1;
    for (size_t i = 0; i < BENCH_PROOFS; i++) {
        struct buffer leaf;
        struct buffer proof;
        struct err err;
        buffer_init(&leaf, AUDIT_LEAF_BYTES_MAX);
        buffer_init(&proof, 65536);
        at = at * 6364136223846793005U + 1442695040888963407U;
        uint64_t begin = clock_monotonic_ns(&clock_system);
        check(audit_log_prove(bench->log, (at >> 16) % size, &leaf, &proof, &err), err.message);
        took[i] = (double)(clock_monotonic_ns(&clock_system) - begin) / 1e3;
        buffer_release(&leaf);
        buffer_release(&proof);
    }
    qsort(took, BENCH_PROOFS, sizeof took[0], compare);
    bench_print("audit_long.prove_median", took[BENCH_PROOFS / 2], "us");
    bench_print("audit_long.prove_p99", took[BENCH_PROOFS - 1 - BENCH_PROOFS / 100], "us");
}

/* ---- verifying, in a process of its own ---- */

static int verify_main(const char *name, const char *directory)
{
    char line[128];
    struct audit_report report;
    struct rusage usage;
    struct err err;
    uint64_t begin = clock_monotonic_ns(&clock_system);
    check(audit_verify_directory(directory, NULL, bytes_of(NULL, 0), NULL, NULL, &report, &err),
          err.message);
    double took = (double)(clock_monotonic_ns(&clock_system) - begin);
    check(report.verdict == AUDIT_OK, report.detail);
    check(getrusage(RUSAGE_SELF, &usage) == 0, "getrusage");
    (void)snprintf(line, sizeof line, "audit_long.verify%s", name);
    bench_print(line, (double)report.size * 1e9 / took, "entries/s");
    (void)snprintf(line, sizeof line, "audit_long.verify%s_processor", name);
    double processor_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    bench_print(line, processor_s * 1e9 / (double)report.size, "ns/entry");
    (void)snprintf(line, sizeof line, "audit_long.verify%s_memory", name);
    bench_print(line, (double)usage.ru_maxrss / 1024, "MiB");
    return 0;
}

static void verify(const char *name, const char *directory)
{
    int status = 0;
    pid_t child = fork();
    check(child >= 0, "cannot fork");
    if (child == 0) {
        (void)execl("/proc/self/exe", "bench_audit_long", "--verify", name, directory,
                    (char *)NULL);
        _exit(1);
    }
    check(waitpid(child, &status, 0) == child && status == 0, "verifying failed");
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *at)
{
    (void)status;
    (void)flag;
    (void)at;
    return remove(path);
}

int main(int argc, char **argv)
{
    char directory[] = EXAMPLES_DIR "/../bench-audit-XXXXXX"; /* not in /tmp: that may be memory */
    char log_directory[BENCH_PATH_BYTES];
    char line[128];
    struct bench_long bench = {0};
    struct audit_recovery recovery;
    struct err err = {0};
    if (argc == 4 && strcmp(argv[1], "--verify") == 0) {
        return verify_main(argv[2], argv[3]);
    }
    uint64_t entries = argc == 2 ? strtoull(argv[1], NULL, 10) : BENCH_ENTRIES;
    check(mkdtemp(directory) != NULL, "cannot make a directory here");
    (void)snprintf(log_directory, sizeof log_directory, "%s/log", directory);
    const struct audit_config config = {.directory = log_directory,
                                        .pending_entries_max = 2 * BENCH_UNDER_WAY};
    check(audit_log_make(&config, NULL, &err), err.message);
    check(audit_log_open(&config, fatal, NULL, &bench.log, &recovery, &err), err.message);
    check(sem_init(&bench.room, 0, BENCH_UNDER_WAY) == 0, "no semaphore");
    bench.admit =
        json_pack("{s:s, s:s}", "request_id", request_id, "request_commitment", commitment);
    check(bench.admit != NULL, "out of memory");
    for (int slice = 0; slice < BENCH_SLICES; slice++) {
        (void)snprintf(line, sizeof line, "audit_long.append_tenth_%d", slice + 1);
        bench_print(line, append(&bench, entries / BENCH_SLICES), "entries/s");
        if (slice == 0) {
            audit_log_close(bench.log);
            verify("_a_tenth", log_directory);
            check(audit_log_open(&config, fatal, NULL, &bench.log, &recovery, &err), err.message);
        }
    }
    prove(&bench);
    audit_log_close(bench.log);
    verify("", log_directory);
    json_decref(bench.admit);
    (void)nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    return 0;
}
