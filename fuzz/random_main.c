/* random_main.c: runs a fuzz target on random inputs, without libFuzzer: at the speed of a release
 * build, which sees more in a minute than coverage under a sanitizer sees in an hour, where inputs
 * are choices of a generator.
 *
 *   fuzz_<entry>_random SECONDS FOLDER [FIRST]     seeds FIRST, FIRST + 1, ...; 1 if not given
 *
 * The inputs run in a child. When it dies (an abort, a sanitizer, or CASE_SECONDS without an end),
 * the parent makes the input of that seed again, shortens it as long as a child still dies of it,
 * writes it into FOLDER, shows what it says, and goes on behind it. Exit status 1 if there was any.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "random_input.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CASE_SECONDS = 20, FINDINGS_MAX = 5, ATTEMPTS_MAX = 3000 };

struct input {
    uint8_t bytes[RANDOM_INPUT_BYTES_MAX];
    size_t size;
};

/* In a block of exactly its size, so that a read past it is seen. */
static void run(const struct input *input)
{
    uint8_t *exact = heap_alloc(input->size + 1);
    assert(exact != NULL);
    memcpy(exact + 1, input->bytes, input->size);
    (void)alarm(CASE_SECONDS);
    (void)LLVMFuzzerTestOneInput(exact + 1, input->size);
    heap_free(exact);
}

static bool has_died(pid_t child)
{
    int status;
    pid_t ended = waitpid(child, &status, 0);
    assert(ended == child);
    (void)ended;
    return !WIFEXITED(status) || WEXITSTATUS(status) != 0;
}

/* Runs seeds until the time is over or one of them kills it; *seed is always the current one. */
static bool survives(volatile uint64_t *seed, time_t end)
{
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        static struct input input;
        for (; time(NULL) < end; ++*seed) {
            input.size = random_input(input.bytes, *seed);
            run(&input);
        }
        _exit(EXIT_SUCCESS);
    }
    return !has_died(child);
}

static bool dies(const struct input *input, bool is_quiet)
{
    pid_t child = fork();
    assert(child >= 0);
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (is_quiet && nowhere >= 0) {
            (void)dup2(nowhere, STDERR_FILENO);
        }
        run(input);
        _exit(EXIT_SUCCESS);
    }
    return has_died(child);
}

static void cut(struct input *input, size_t at, size_t size)
{
    memmove(input->bytes + at, input->bytes + at + size, input->size - at - size);
    input->size -= size;
}

/* Takes ever smaller pieces away, then makes bytes 0. */
static void shorten(struct input *input)
{
    static struct input shorter;
    uint32_t left = ATTEMPTS_MAX;
    for (size_t piece = input->size / 2; piece > 0; piece /= 2) {
        for (size_t end = input->size; end >= piece && end > 0 && left > 0; left--) {
            size_t at = end - piece;
            shorter = *input;
            cut(&shorter, at, piece);
            if (dies(&shorter, true)) {
                *input = shorter;
            }
            end = at < input->size ? at : input->size;
        }
    }
    for (size_t i = 0; i < input->size && left > 0; i++) {
        shorter = *input;
        shorter.bytes[i] = 0;
        if (input->bytes[i] != 0 && left-- > 0 && dies(&shorter, true)) {
            *input = shorter;
        }
    }
}

static void report(const char *folder, uint64_t seed)
{
    static struct input input;
    char path[4096];
    input.size = random_input(input.bytes, seed);
    (void)snprintf(path, sizeof path, "%s/random-%" PRIu64, folder, seed);
    if (!dies(&input, true)) {
        printf("seed %" PRIu64 " kills only after those before it\n", seed);
        return;
    }
    shorten(&input);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(input.bytes, 1, input.size, file) != input.size ||
        fclose(file) != 0) {
        perror(path);
    }
    printf("seed %" PRIu64 " fails; shortened to %zu bytes: %s\n", seed, input.size, path);
    (void)fflush(stdout);
    (void)dies(&input, false);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        (void)fprintf(stderr, "usage: %s SECONDS FOLDER [FIRST]\n", argv[0]);
        return 2;
    }
    volatile uint64_t *seed =
        mmap(NULL, sizeof *seed, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(seed != MAP_FAILED);
    uint64_t first = argc == 4 ? strtoull(argv[3], NULL, 10) : 1;
    time_t begin = time(NULL), end = begin + strtol(argv[1], NULL, 10);
    uint32_t findings = 0;
    for (*seed = first; !survives(seed, end); ++*seed) {
        report(argv[2], *seed);
        if (++findings == FINDINGS_MAX) {
            break;
        }
    }
    long seconds = (long)(time(NULL) - begin);
    printf("%" PRIu64 " inputs in %ld s, %u failed; the next seed is %" PRIu64 "\n", *seed - first,
           seconds, findings, *seed);
    return findings == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
