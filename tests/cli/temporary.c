/* temporary.c: see temporary.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/temporary.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void temporary_make(struct temporary *directory)
{
    snprintf(directory->path, sizeof directory->path, "/tmp/wh-cli-XXXXXX");
    cr_assert_not_null(mkdtemp(directory->path));
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void temporary_remove(struct temporary *directory)
{
    nftw(directory->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *temporary_file(const struct temporary *directory, const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory->path, name);
    return path;
}

const char *temporary_write(const struct temporary *directory, const char *name,
                            const char *content)
{
    const char *path = temporary_file(directory, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(content, file);
    cr_assert_eq(fclose(file), 0);
    return path;
}
