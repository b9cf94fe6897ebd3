/* image.h: one state that a power cut may leave, as files in memory and in a directory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWER_IMAGE_H
#define POWER_IMAGE_H

#include "disk.h"

enum { IMAGE_FILES_MAX = 256, IMAGE_PATH_BYTES_MAX = 256 };

/* Which fate each file's unsynced writes meet, which of its meanings each name has. */
struct image_choice {
    enum disk_fate *fates; /* [node] */
    size_t *bindings;      /* [name] */
};

struct image_file {
    char path[IMAGE_PATH_BYTES_MAX]; /* below the root, begins with a slash */
    uint64_t mode;
    bool is_directory;
    struct buffer content;
};

struct image {
    struct image_file files[IMAGE_FILES_MAX]; /* a directory stands before what is in it */
    size_t file_count;
};

/* Makes room for as many nodes and names as the disk has now. */
void image_choice_fit(struct image_choice *choice, const struct disk *disk);
void image_build(struct image *image, const struct disk *disk, const struct image_choice *choice,
                 struct disk_random *random);
uint64_t image_digest(const struct image *image);
/* Empty if there is none; else a NUL stands behind it. */
struct bytes image_find(struct image *image, const char *path);
/* Writes it as a new directory. */
bool image_write(const struct image *image, const char *directory, struct err *err) MUST_CHECK;
/* Removes a directory and all that is in it. */
bool image_remove(const char *directory, struct err *err) MUST_CHECK;

#endif
