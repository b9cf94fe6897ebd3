/* test_process: the kernel's figures move with what the process does.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/process.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
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
