/* image.c: see image.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "image.h"

#include "base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void image_choice_fit(struct image_choice *choice, const struct disk *disk)
{
    choice->fates = heap_resize(choice->fates, (disk->node_count + 1) * sizeof(*choice->fates));
    choice->bindings =
        heap_resize(choice->bindings, (disk->name_count + 1) * sizeof(*choice->bindings));
    assert(choice->fates != NULL && choice->bindings != NULL);
}

static struct image_file *file_add(struct image *image, const char *parent, const char *name,
                                   const struct disk_node *node)
{
    assert(image->file_count < IMAGE_FILES_MAX);
    struct image_file *file = &image->files[image->file_count++];
    int size = snprintf(file->path, sizeof(file->path), "%s/%s", parent, name);
    assert(size > 0 && (size_t)size < sizeof(file->path));
    file->mode = node->mode;
    file->is_directory = node->is_directory;
    file->content.size = 0;
    if (file->content.size_max == 0) {
        buffer_init(&file->content, 256 << 20);
    }
    return file;
}

/* Where a directory is in the image; NULL: it is not. */
static const char *path_of(const struct image *image, const struct disk *disk, const int *nodes,
                           int node)
{
    if (node == disk->root) {
        return "";
    }
    for (size_t i = 0; i < image->file_count; i++) {
        if (nodes[i] == node) {
            return image->files[i].path;
        }
    }
    return NULL;
}

void image_build(struct image *image, const struct disk *disk, const struct image_choice *choice,
                 struct disk_random *random)
{
    int nodes[IMAGE_FILES_MAX]; /* of the files so far */
    image->file_count = 0;
    /* A directory was named before anything in it was. */
    for (size_t i = 0; i < disk->name_count; i++) {
        const struct disk_name *name = &disk->names[i];
        int node = name->bindings[choice->bindings[i]].node;
        const char *parent = path_of(image, disk, nodes, name->parent);
        if (node == DISK_NONE || parent == NULL) {
            continue;
        }
        nodes[image->file_count] = node;
        struct image_file *file = file_add(image, parent, name->name, &disk->nodes[node]);
        if (!file->is_directory) {
            disk_content(disk, node, choice->fates[node], random, &file->content);
        }
    }
}

static uint64_t digest_mix(uint64_t digest, const void *ptr, size_t size)
{
    const uint8_t *at = ptr;
    for (; size >= 8; at += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        digest = (digest ^ word) * 0x9e3779b97f4a7c15;
        digest ^= digest >> 29;
    }
    for (; size > 0; at++, size--) {
        digest = (digest ^ *at) * 0x100000001b3;
    }
    return digest ^ digest >> 31;
}

uint64_t image_digest(const struct image *image)
{
    uint64_t digest = 0xcbf29ce484222325;
    for (size_t i = 0; i < image->file_count; i++) {
        const struct image_file *file = &image->files[i];
        uint64_t size = file->content.size;
        digest = digest_mix(digest, file->path, strlen(file->path));
        digest = digest_mix(digest, &size, sizeof(size));
        digest = digest_mix(digest, file->content.ptr, file->content.size);
    }
    return digest;
}

struct bytes image_find(struct image *image, const char *path)
{
    for (size_t i = 0; i < image->file_count; i++) {
        struct buffer *content = &image->files[i].content;
        if (strcmp(image->files[i].path, path) == 0) {
            buffer_append_u8(content, '\0');
            content->size--;
            return buffer_bytes(content);
        }
    }
    return bytes_of(NULL, 0);
}

static bool file_write(const struct image_file *file, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)file->mode);
    if (fd < 0) {
        return false;
    }
    bool ok = write(fd, file->content.ptr, file->content.size) == (ssize_t)file->content.size;
    return close(fd) == 0 && ok;
}

bool image_write(const struct image *image, const char *directory, struct err *err)
{
    char path[2 * IMAGE_PATH_BYTES_MAX];
    bool ok = mkdir(directory, 0700) == 0 || errno == EEXIST;
    for (size_t i = 0; ok && i < image->file_count; i++) {
        const struct image_file *file = &image->files[i];
        (void)snprintf(path, sizeof(path), "%s%s", directory, file->path);
        ok = file->is_directory ? mkdir(path, (mode_t)file->mode) == 0 : file_write(file, path);
    }
    return ok || err_set(err, ERR_IO, "%s cannot be written: %s", directory, strerror(errno));
}

bool image_remove(const char *directory, struct err *err)
{
    char *paths[] = {(char *)(uintptr_t)directory, NULL};
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    bool ok = walk != NULL;
    for (FTSENT *entry; ok && (entry = fts_read(walk)) != NULL;) {
        ok = entry->fts_info == FTS_D || remove(entry->fts_accpath) == 0;
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
    return ok || err_set(err, ERR_IO, "%s cannot be removed: %s", directory, strerror(errno));
}
