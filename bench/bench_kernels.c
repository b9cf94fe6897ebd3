/* bench_kernels.c: our interpreter beside every engine on this machine, kernel by kernel.
 *
 * For each kernel all take turns, several times over; a ratio is the median of their time over ours
 * in the same turn. All must return the same checksum: a wrong answer fails the bench. See
 * docs/benchmarks.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernels_report.h"

#include "base/arena.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KERNELS_MAX = 64, REPEATS_MAX = 99, QUICK = 8 };

#define KERNEL(name, n) uint32_t kernel_##name(uint32_t rounds);
#define KERNEL_SIMD(name, n)
#include "kernels/kernels.def"
#undef KERNEL
#undef KERNEL_SIMD

static const struct kernel kernels_own[] = {
#define KERNEL_ROW(word, n, native_run)                                                            \
    {.name = #word,                                                                                \
     .path = KERNELS_DIR "/" #word ".wasm",                                                        \
     .function = "run",                                                                            \
     .rounds = n,                                                                                  \
     .native = native_run,                                                                         \
     .alone = KERNELS_DIR "/alone/" #word ".wasm",                                                 \
     .alone_rounds = (n) / WH_KERNEL_ALONE},
#define KERNEL(name, n) KERNEL_ROW(name, n, kernel_##name)
#define KERNEL_SIMD(name, n) KERNEL_ROW(name, n, NULL)
#include "kernels/kernels.def"
#undef KERNEL
#undef KERNEL_SIMD
};

struct request {
    bool quick;
    bool check, profile;
    uint32_t repeats;
    const char *kernels, *peers; /* lists with commas; NULL: all */
    const char *json, *columns;
    struct kernel modules[KERNELS_MAX]; /* of --module */
    size_t module_count;
};

/* ---- What to measure ---- */

/* "a,b": whether it has `name`. */
static bool list_has(const char *list, const char *name)
{
    size_t length = strlen(name);
    while (list != NULL) {
        if (strncmp(list, name, length) == 0 && (list[length] == ',' || list[length] == '\0')) {
            return true;
        }
        list = strchr(list, ',');
        list = list != NULL ? list + 1 : NULL;
    }
    return false;
}

static size_t choose_kernels(const struct request *request, struct kernel *out)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof(kernels_own) / sizeof(kernels_own[0]); i++) {
        if (request->kernels == NULL || list_has(request->kernels, kernels_own[i].name)) {
            out[count++] = kernels_own[i];
        }
    }
    for (size_t i = 0; i < request->module_count; i++) {
        out[count++] = request->modules[i];
    }
    for (size_t i = 0; i < count && request->quick; i++) {
        out[i].rounds = out[i].rounds / QUICK > 0 ? out[i].rounds / QUICK : 1;
    }
    return count;
}

static size_t choose_peers(const struct request *request, struct peer peers[static PEERS_MAX])
{
    size_t kept = 1;
    size_t count = peers_find(peers);
    for (size_t i = 1; i < count; i++) {
        if (request->peers == NULL || list_has(request->peers, peers[i].name)) {
            peers[kept++] = peers[i];
        }
    }
    return kept;
}

/* ---- Measuring ---- */

static void progress(const struct report *report, size_t kernel, size_t kernels, uint32_t turn,
                     const char *peer)
{
    const char *name = report->rows[kernel].kernel.name;
    if (isatty(STDERR_FILENO) != 0) {
        fprintf(stderr, "\r\033[K[%2zu/%zu] %s, turn %u of %u: %s", kernel + 1, kernels, name,
                turn + 1, report->repeats, peer);
    } else if (turn == 0 && strcmp(peer, "ours") == 0) {
        fprintf(stderr, "bench_kernels: [%2zu/%zu] %s\n", kernel + 1, kernels, name);
    }
}

static void progress_clear(void)
{
    if (isatty(STDERR_FILENO) != 0) {
        fputs("\r\033[K", stderr);
    }
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(values[0]), compare_doubles);
    return values[count / 2];
}

/* What our engine answers to fewer rounds, for who does fewer. */
static bool expected_checksum(const struct row *row, uint32_t n, uint32_t *out, struct err *err)
{
    struct kernel_sample sample = {.checksum = row->checksum};
    if (n != row->kernel.rounds && !kernel_run_ours(&row->kernel, n, &sample, err)) {
        return false;
    }
    *out = sample.checksum;
    return true;
}

/* One turn of one peer: false if its answer is wrong. */
static bool measure_one(const struct report *report, struct row *row, size_t peer, double *ns)
{
    const struct peer *who = &report->peers[peer];
    struct cell *cell = &row->cells[peer];
    struct kernel_sample sample = {0};
    struct err *err = &cell->why_not;
    uint32_t n = who->alone ? row->kernel.alone_rounds : row->kernel.rounds;
    uint32_t expected = 0;
    if (!peer_run(who, &row->kernel, n, &sample, err)) {
        cell->ran = false;
        return true;
    }
    *ns = sample.ns * row->kernel.rounds / n;
    if (peer == 0) {
        row->gas = sample.gas;
        row->checksum = sample.checksum;
    } else if (row->cells[0].ran &&
               (!expected_checksum(row, n, &expected, err) || sample.checksum != expected)) {
        progress_clear();
        fprintf(stderr, "bench_kernels: %s(%u): %s says %u, ours %u\n", row->kernel.name, n,
                who->name, sample.checksum, expected);
        return false;
    }
    return true;
}

/* All peers at one kernel. False: one was wrong. */
static bool measure(const struct report *report, size_t kernel, size_t kernels)
{
    static double ns[PEERS_MAX][REPEATS_MAX], ratios[PEERS_MAX][REPEATS_MAX];
    struct row *row = &report->rows[kernel];
    bool right = true;
    for (size_t peer = 0; peer < report->peer_count; peer++) {
        row->cells[peer].ran = true;
    }
    for (uint32_t turn = 0; turn < report->repeats; turn++) {
        for (size_t peer = 0; peer < report->peer_count; peer++) {
            if (!row->cells[peer].ran) {
                continue;
            }
            progress(report, kernel, kernels, turn, report->peers[peer].name);
            right = measure_one(report, row, peer, &ns[peer][turn]) && right;
            ratios[peer][turn] = ns[peer][turn] / ns[0][turn];
        }
    }
    for (size_t peer = 0; peer < report->peer_count; peer++) {
        row->cells[peer].ns = median(ns[peer], report->repeats);
        row->cells[peer].ratio =
            row->cells[0].ran ? median(ratios[peer], report->repeats) : (double)NAN;
    }
    progress_clear();
    return right;
}

static int bench(const struct request *request)
{
    static struct kernel kernels[2 * KERNELS_MAX];
    static struct row rows[2 * KERNELS_MAX];
    struct peer peers[PEERS_MAX];
    struct report report = {.peers = peers, .repeats = request->repeats, .rows = rows};
    struct err err = {0};
    size_t count = choose_kernels(request, kernels);
    bool right = true;
    report.peer_count = choose_peers(request, peers);
    report.cycle_ns = kernel_cycle_ns();
    report_print_head(&report);
    for (size_t i = 0; i < count; i++) {
        rows[i].kernel = kernels[i];
        rows[i].gas_per_dispatch = kernel_gas_per_dispatch(&kernels[i]);
        right = measure(&report, i, count) && right;
        report.row_count = i + 1;
        report_print_row(&report, &rows[i]);
        if (!rows[i].cells[0].ran) {
            fprintf(stderr, "bench_kernels: ours does not run %s: %s\n", kernels[i].name,
                    rows[i].cells[0].why_not.message);
            right = false;
        }
    }
    report_print_foot(&report);
    if ((request->json != NULL && !report_write_json(&report, request->json, &err)) ||
        (request->columns != NULL && !report_write_columns(&report, request->columns, &err))) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        right = false;
    }
    return right ? 0 : 1;
}

/* --check, for the tests: a few rounds of each kernel, ours against native. */
static int check(const struct request *request)
{
    static struct kernel kernels[2 * KERNELS_MAX];
    size_t count = choose_kernels(request, kernels);
    size_t failed = 0;
    for (size_t i = 0; i < count; i++) {
        struct kernel_sample ours, native;
        struct err err;
        if (!kernel_run_ours(&kernels[i], 3, &ours, &err)) {
            printf("%s: %s\n", kernels[i].name, err.message);
            failed++;
        } else if (kernels[i].native != NULL && kernel_run_native(&kernels[i], 3, &native, &err) &&
                   native.checksum != ours.checksum) {
            printf("%s: %u, but natively %u\n", kernels[i].name, ours.checksum, native.checksum);
            failed++;
        }
    }
    printf("%zu passed, %zu failed, 0 skipped\n", count - failed, failed);
    return failed == 0 && count > 0 ? 0 : 1;
}

static int profile(const struct request *request)
{
    static struct kernel kernels[2 * KERNELS_MAX];
    size_t count = choose_kernels(request, kernels);
    struct err err;
    for (size_t i = 0; i < count; i++) {
        printf("%s%s: ", i > 0 ? "\n" : "", kernels[i].name);
        if (!kernel_print_profile(&kernels[i], stdout, &err)) {
            fprintf(stderr, "bench_kernels: %s: %s\n", kernels[i].name, err.message);
            return 1;
        }
    }
    return 0;
}

/* ---- The command line ---- */

static const char usage[] =
    "usage: bench_kernels [OPTIONS]\n"
    "\n"
    "  --quick               an eighth of the rounds, three turns\n"
    "  --repeat N            turns for each kernel (default 5)\n"
    "  --kernel A[,B...]     only these kernels; 'none'\n"
    "  --module FILE:FN:ARG  this module too: its function FN takes and gives an i32\n"
    "  --peers A[,B...]      only these, of ours, those found in PATH and of BENCH_PEERS; 'none'\n"
    "  --json FILE           the results as JSON\n"
    "  --columns FILE        the ratios in columns with tabs, for a chart\n"
    "  --profile             no times: what the kernels consist of, instructions, pairs, triples\n"
    "  --check               no times: a few rounds of each kernel, ours against native\n"
    "  --help                this text\n"
    "\n"
    "BENCH_PEERS=\"name=/path/to/program ...\" in the environment names more engines: wasm3, "
    "iwasm,\n"
    "wasmi and toywasm are called as they want it, any other as 'program FILE FUNCTION N', and\n"
    "prints the result.\n";

enum option_id { QUICK_ON = 1, REPEAT, KERNEL, MODULE, PEERS, JSON, COLUMNS, PROFILE, CHECK, HELP };

static const struct option options[] = {
    {"quick", no_argument, NULL, QUICK_ON},
    {"repeat", required_argument, NULL, REPEAT},
    {"kernel", required_argument, NULL, KERNEL},
    {"module", required_argument, NULL, MODULE},
    {"peers", required_argument, NULL, PEERS},
    {"json", required_argument, NULL, JSON},
    {"columns", required_argument, NULL, COLUMNS},
    {"check", no_argument, NULL, CHECK},
    {"profile", no_argument, NULL, PROFILE},
    {"help", no_argument, NULL, HELP},
    {0},
};

/* FILE:FN:ARG, which is taken apart where it lies. */
static bool module_of(char *text, struct kernel *out)
{
    char *argument = strrchr(text, ':');
    char *end = NULL;
    if (argument == NULL || argument == text) {
        return false;
    }
    *argument++ = '\0';
    char *function = strrchr(text, ':');
    unsigned long rounds = strtoul(argument, &end, 10);
    if (function == NULL || function == text || *end != '\0' || end == argument || rounds == 0 ||
        rounds > UINT32_MAX) {
        return false;
    }
    *function++ = '\0';
    const char *slash = strrchr(text, '/');
    *out = (struct kernel){.name = slash != NULL ? slash + 1 : text,
                           .path = text,
                           .function = function,
                           .rounds = (uint32_t)rounds};
    return true;
}

static bool take_option(struct request *request, int id)
{
    switch ((enum option_id)id) {
    case QUICK_ON:
        request->quick = true;
        request->repeats = 3;
        return true;
    case REPEAT:
        request->repeats = (uint32_t)strtoul(optarg, NULL, 10);
        return request->repeats >= 1 && request->repeats <= REPEATS_MAX;
    case KERNEL:
        request->kernels = optarg;
        return true;
    case MODULE:
        return request->module_count < KERNELS_MAX &&
               module_of(optarg, &request->modules[request->module_count++]);
    case PEERS:
        request->peers = optarg;
        return true;
    case JSON:
        request->json = optarg;
        return true;
    case COLUMNS:
        request->columns = optarg;
        return true;
    case PROFILE:
        request->profile = true;
        return true;
    case CHECK:
        request->check = true;
        return true;
    case HELP:
        break;
    }
    return false;
}

int main(int argc, char **argv)
{
    static struct request request = {.repeats = 5};
    int id;
    while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!take_option(&request, id)) {
            fputs(usage, id == HELP ? stdout : stderr);
            return id == HELP ? 0 : 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    return request.check ? check(&request) : request.profile ? profile(&request) : bench(&request);
}
