/* progress.h: what a person watches while a command works: a bar, and steps with their times.
 *
 * Everything goes to stderr, so that stdout is the result alone. On a terminal without NO_COLOR a
 * step is a green check mark and a bar is redrawn in place; elsewhere steps are plain ASCII lines
 * and there is no bar.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/err.h"

#include <stdint.h>

struct progress {
    bool is_quiet;    /* print nothing */
    bool is_terminal; /* of stderr, and NO_COLOR is not set */
    bool has_bar;     /* one, or a live line, is on the line */
    uint64_t begin_ns;
    uint64_t step_ns; /* when the last step ended */
};

enum progress_mark { PROGRESS_DONE, PROGRESS_FAILED, PROGRESS_NOTE };

void progress_init(struct progress *progress, bool is_quiet);
/* "  ✓ request key made (1.2 ms)": the time since the step before it. */
void progress_step(struct progress *progress, enum progress_mark mark, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Redraws the bar; total 0: nothing. */
void progress_bar(struct progress *progress, const char *what, uint64_t done, uint64_t total);
/* A line that is redrawn in place, cut at the terminal's edge. */
void progress_line(struct progress *progress, const char *format, ...) PRINTF_LIKE(2, 3);
void progress_bar_end(struct progress *progress);

#endif
