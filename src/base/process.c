/* process.c: /proc/self, getrusage, getrlimit, prctl and sched_setattr.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/process.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MS_PER_S = 1000,
    NS_PER_US = 1000,
    STAT_BYTES_MAX = 1024,
    PROMPT_SLICE_NS = 100000, /* the shortest that Linux grants */
};
static const uint64_t ns_per_s = 1000000000;

static uint64_t timeval_ns(struct timeval time)
{
    return (uint64_t)time.tv_sec * ns_per_s + (uint64_t)time.tv_usec * NS_PER_US;
}

/* The whole of a small file as text; "" if it cannot be read. */
static void read_text(const char *path, char out[static STAT_BYTES_MAX])
{
    FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(out, 1, STAT_BYTES_MAX - 1, file);
    out[size] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
}

static uint64_t count_open_fds(void)
{
    DIR *listing = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (listing == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(listing);
    return count - 1; /* not the listing's own */
}

/* The moment of the machine's start. */
static uint64_t boot_ms(void)
{
    char line[128];
    unsigned long long seconds = 0;
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "btime %llu", &seconds) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return seconds * MS_PER_S;
}

/* proc(5): fields 20 (threads), 22 (start, ticks after boot), 23 (virtual bytes), 24 (resident
 * pages), behind a name that may hold anything but ends with the last ')'. */
static void read_stat(struct process_facts *out)
{
    char text[STAT_BYTES_MAX];
    unsigned long long threads = 0, ticks = 0, virtual_bytes = 0, pages = 0;
    read_text("/proc/self/stat", text);
    const char *end = strrchr(text, ')');
    if (end == NULL ||
        sscanf(end + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %llu %*d "
               "%llu %llu %llu",
               &threads, &ticks, &virtual_bytes, &pages) != 4) {
        return;
    }
    out->threads = threads;
    out->virtual_bytes = virtual_bytes;
    out->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
    out->started_ms = boot_ms() + ticks * MS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
}

void process_facts_read(struct process_facts *out)
{
    struct rusage usage;
    struct rlimit limit;
    *out = (struct process_facts){0};
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        out->cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out->max_fds = limit.rlim_cur;
    }
    out->open_fds = count_open_fds();
    read_stat(out);
}

void process_thread_name(const char *name)
{
    (void)prctl(PR_SET_NAME, name);
}

/* sched_setattr(2), which glibc has no function for before 2.41. */
struct thread_schedule {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns; /* of the usual policies: the slice */
    uint64_t deadline_ns;
    uint64_t period_ns;
};

void process_thread_be_prompt(void)
{
    struct thread_schedule schedule = {.size = sizeof schedule};
    if (syscall(SYS_sched_getattr, 0, &schedule, sizeof schedule, 0) == 0 &&
        (schedule.policy == SCHED_OTHER || schedule.policy == SCHED_BATCH)) {
        schedule.runtime_ns = PROMPT_SLICE_NS;
        (void)syscall(SYS_sched_setattr, 0, &schedule, 0);
    }
}
