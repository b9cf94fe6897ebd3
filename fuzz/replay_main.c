/* replay_main.c: runs a fuzz target over the files it is given, without libFuzzer.
 *
 * This makes a kept corpus an ordinary test for any compiler: every input that ever broke something
 * is tried on every build. Arguments are files and folders (not their subfolders). The last line
 * counts the inputs; a folder that is missing counts as one skipped, so that nobody mistakes an
 * empty corpus for a passed one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "base/bytes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_BYTES_MAX = 16 << 20, PATH_CHARS_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
    unsigned passed, failed, skipped;
};

static bool replay_read(FILE *file, struct buffer *out)
{
    uint8_t chunk[16384];
    size_t size;
    while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0) {
        buffer_append(out, chunk, size);
    }
    return ferror(file) == 0 && !out->failed;
}

/* The input is handed over in a block of exactly its size, so that a read past it is seen. */
static void replay_file(const char *path, struct tally *tally)
{
    struct buffer contents;
    buffer_init(&contents, INPUT_BYTES_MAX);
    FILE *file = fopen(path, "rb");
    if (file == NULL || !replay_read(file, &contents)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        tally->failed++;
    } else {
        uint8_t *exact = heap_alloc(contents.size);
        if (exact != NULL && contents.size > 0) {
            memcpy(exact, contents.ptr, contents.size);
        }
        (void)LLVMFuzzerTestOneInput(exact, contents.size);
        heap_free(exact);
        tally->passed++;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    buffer_release(&contents);
}

static void replay_folder(const char *path, struct tally *tally)
{
    DIR *folder = opendir(path);
    if (folder == NULL) {
        printf("%s: no corpus there\n", path);
        tally->skipped++;
        return;
    }
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        char name[PATH_CHARS_MAX];
        struct stat status;
        int length = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (length < 0 || (size_t)length >= sizeof(name) || stat(name, &status) != 0 ||
            !S_ISREG(status.st_mode)) {
            continue;
        }
        replay_file(name, tally);
    }
    (void)closedir(folder);
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    for (int index = 1; index < argc; index++) {
        struct stat status;
        if (stat(argv[index], &status) == 0 && S_ISREG(status.st_mode)) {
            replay_file(argv[index], &tally);
        } else {
            replay_folder(argv[index], &tally);
        }
    }
    printf("%u passed, %u failed, %u skipped\n", tally.passed, tally.failed, tally.skipped);
    return tally.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
