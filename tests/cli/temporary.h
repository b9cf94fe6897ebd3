/* temporary.h: a directory that is gone after the test.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TESTS_CLI_TEMPORARY_H
#define TESTS_CLI_TEMPORARY_H

struct temporary {
    char path[64];
};

void temporary_make(struct temporary *directory);
void temporary_remove(struct temporary *directory);
/* The path of a file inside; static memory, four of them at a time. */
const char *temporary_file(const struct temporary *directory, const char *name);
/* Creates that file with the content. */
const char *temporary_write(const struct temporary *directory, const char *name,
                            const char *content);

#endif
