/* test_process: the kernel's figures move with what the process does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/process.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

Test(base_process, tells_open_files_memory_and_times)
{
    struct process_facts before;
    process_facts_read(&before);
    cr_expect(before.resident_bytes > 0 && before.resident_bytes < before.virtual_bytes);
    cr_expect_geq(before.threads, 1);
    uint64_t now_ms = (uint64_t)clock_wall_ms(&clock_system);
    cr_expect(before.started_ms > 0 && before.started_ms < now_ms + 2000);
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    volatile uint64_t work = 0;
    struct process_facts after;
    do {
        for (int i = 0; i < 100000; i++) {
            work += 1;
        }
        process_facts_read(&after);
    } while (after.cpu_ns <= before.cpu_ns);
    cr_expect_eq(after.open_fds, before.open_fds + 2);
    cr_expect(after.max_fds >= after.open_fds);
    cr_expect_eq(after.started_ms, before.started_ms);
    close(fds[0]);
    close(fds[1]);
}

/* The slice of the calling thread; 0: this kernel has none for each thread. */
static uint64_t thread_slice_ns(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } schedule;
    memset(&schedule, 0, sizeof schedule);
    cr_assert_eq(syscall(SYS_sched_getattr, 0, &schedule, sizeof schedule, 0), 0);
    return schedule.runtime_ns;
}

Test(base_process, a_thread_has_the_name_that_it_was_given)
{
    char name[32] = "";
    FILE *comm;
    process_thread_name("fifteen letters");
    comm = fopen("/proc/thread-self/comm", "r");
    cr_assert_not_null(comm);
    cr_assert_not_null(fgets(name, sizeof(name), comm));
    fclose(comm);
    cr_expect_str_eq(name, "fifteen letters\n");
}

Test(base_process, a_prompt_thread_has_short_slices_and_nothing_else)
{
    uint64_t usual_ns = thread_slice_ns();
    int nice = getpriority(PRIO_PROCESS, 0);
    nice += nice < 19;
    cr_assert_eq(setpriority(PRIO_PROCESS, 0, nice), 0);
    process_thread_be_prompt();
    cr_expect_eq(thread_slice_ns(), usual_ns == 0 ? 0 : 100000);
    cr_expect_eq(getpriority(PRIO_PROCESS, 0), nice);
    cr_expect_eq(sched_getscheduler(0), SCHED_OTHER);
}

Test(base_process, leaves_a_thread_alone_that_has_another_policy)
{
    const struct sched_param parameters = {0};
    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &parameters), 0);
    uint64_t usual_ns = thread_slice_ns();
    process_thread_be_prompt();
    cr_expect_eq(thread_slice_ns(), usual_ns);
    cr_expect_eq(sched_getscheduler(0), SCHED_IDLE);
}
