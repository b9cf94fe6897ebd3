/* stress_base_log.c: threads log, flush and rotate at once: every line comes out whole, in the
 * order of its thread, into some file; for ThreadSanitizer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, LINES = 2000, FILES = 8, LINE_BYTES_MAX = 4096 };

static char directory[] = "/tmp/wh-stress-log-XXXXXX";
static char path[64];
static unsigned long next[THREADS]; /* the number that is expected of each thread */

static void check(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "stress_base_log: %s\n", what);
        exit(1);
    }
}

static void *thread_run(void *context)
{
    size_t thread = *(const size_t *)context;
    for (unsigned i = 0; i < LINES; i++) {
        log_event(LOG_INFO, "event",
                  LOG_FIELDS(log_number("thread", thread), log_number("line", i)), "a line");
        if (i % 100 == 0) {
            log_flush();
        }
    }
    return NULL;
}

static void rotated_path(int number, char out[static 80])
{
    (void)snprintf(out, 80, "%s.%d", path, number);
}

static void read_file(const char *name)
{
    char line[LINE_BYTES_MAX];
    FILE *file = fopen(name, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        unsigned long thread = 0, number = 0;
        const char *fields = strstr(line, "\"thread\":");
        check(fields != NULL && line[0] == '{' && line[strlen(line) - 1] == '\n' &&
                  sscanf(fields, "\"thread\":%lu,\"line\":%lu}", &thread, &number) == 2,
              "a line is not whole");
        check(thread < THREADS && next[thread] == number, "a line is missing or twice");
        next[thread]++;
    }
    check(file != NULL && fclose(file) == 0 && unlink(name) == 0, "a file is missing");
}

int main(void)
{
    pthread_t threads[THREADS];
    size_t numbers[THREADS];
    char rotated[80];
    struct err err;
    check(mkdtemp(directory) != NULL, "no directory");
    (void)snprintf(path, sizeof path, "%s/log", directory);
    check(log_open(path, LOG_INFO, true, &err), "not open");
    for (size_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        check(pthread_create(&threads[i], NULL, thread_run, &numbers[i]) == 0, "no thread");
    }
    for (int i = 0; i < FILES; i++) {
        log_flush();
        rotated_path(i, rotated);
        check(rename(path, rotated) == 0 && log_reopen(&err), "not rotated");
        log_write(LOG_DEBUG, "hidden", NULL, "below the level");
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    log_close();
    for (int i = 0; i < FILES; i++) {
        rotated_path(i, rotated);
        read_file(rotated);
    }
    read_file(path);
    for (size_t i = 0; i < THREADS; i++) {
        check(next[i] == LINES, "lines are missing");
    }
    check(rmdir(directory) == 0, "something is left");
    return 0;
}
