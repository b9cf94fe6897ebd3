/* progress.c: see progress.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/progress.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CHARS = 30 };

void progress_init(struct progress *progress, bool is_quiet)
{
    const char *no_color = getenv("NO_COLOR"); /* no-color.org: set and not empty */
    bool is_plain = no_color != NULL && no_color[0] != '\0';
    *progress = (struct progress){.is_quiet = is_quiet,
                                  .is_terminal = isatty(STDERR_FILENO) == 1 && !is_plain,
                                  .begin_ns = clock_monotonic_ns(&clock_system)};
    progress->step_ns = progress->begin_ns;
}

void progress_step(struct progress *progress, enum progress_mark mark, const char *format, ...)
{
    static const char *const plain[] = {"ok  ", "FAIL", "    "};
    static const char *const coloured[] = {"\033[32m\u2713\033[0m", "\033[31m\u2717\033[0m", " "};
    uint64_t now_ns = clock_monotonic_ns(&clock_system);
    double milliseconds = (double)(now_ns - progress->step_ns) / 1e6;
    progress->step_ns = now_ns;
    if (progress->is_quiet) {
        return;
    }
    progress_bar_end(progress);
    fprintf(stderr, "  %s ", progress->is_terminal ? coloured[mark] : plain[mark]);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (mark == PROGRESS_DONE) {
        fprintf(stderr, progress->is_terminal ? " \033[2m(%.1f ms)\033[0m" : " (%.1f ms)",
                milliseconds);
    }
    fputc('\n', stderr);
}

void progress_bar(struct progress *progress, const char *what, uint64_t done, uint64_t total)
{
    if (progress->is_quiet || !progress->is_terminal || total == 0) {
        return;
    }
    if (done > total) {
        done = total;
    }
    double part = (double)done / (double)total;
    int full = (int)(part * (double)BAR_CHARS);
    fprintf(stderr, "\r  %s [", what);
    for (int i = 0; i < BAR_CHARS; i++) {
        fputc(i < full ? '#' : '.', stderr);
    }
    fprintf(stderr, "] %3d %%", (int)(part * 100));
    fflush(stderr);
    progress->has_bar = true;
}

void progress_line(struct progress *progress, const char *format, ...)
{
    char text[256];
    struct winsize window = {0};
    if (progress->is_quiet || !progress->is_terminal) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bool is_known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 3;
    fprintf(stderr, "\r  %.*s\033[K", is_known ? window.ws_col - 3 : 76, text);
    fflush(stderr);
    progress->has_bar = true;
}

void progress_bar_end(struct progress *progress)
{
    if (progress->has_bar) {
        fputs("\r\033[K", stderr);
        progress->has_bar = false;
    }
}
