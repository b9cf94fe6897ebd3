/* process.h: what this process uses, as its kernel tells, and how the kernel treats its threads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

struct process_facts { /* 0 where the kernel does not tell */
    uint64_t cpu_ns;   /* user and system, of all threads since the start */
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t open_fds;
    uint64_t max_fds;
    uint64_t threads;
    uint64_t started_ms; /* wall clock, since 1970 */
};

/* Reads /proc/self: some ten microseconds, more with thousands of open files. Any thread. */
void process_facts_read(struct process_facts *out);

/* How tools show the calling thread (`top -H`, `perf`): at most 15 characters. The first thread's
 * name is the process's. */
void process_thread_name(const char *name);

/* For threads that wait for most of the time and then have little to do that others wait for: asks
 * the kernel to plan the calling thread's time in short slices. When it wakes up it then goes
 * before threads that compute; its share of the processor stays what it is. Linux 6.12 and later do
 * it; elsewhere, or with another policy than the usual ones, nothing changes. */
void process_thread_be_prompt(void);

#endif
