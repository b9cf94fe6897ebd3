/* segments.c: the list of a log's segment files (segments.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/segments.h"

#include "base/arena.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void audit_segment_name(uint64_t first, const char *suffix,
                        char out[static AUDIT_SEGMENT_NAME_CHARS + 1])
{
    (void)snprintf(out, AUDIT_SEGMENT_NAME_CHARS + 1, AUDIT_ENTRIES_DIRECTORY "/%0*" PRIu64 "%s",
                   AUDIT_SEGMENT_DIGITS, first, suffix);
}

static bool name_read(const char *name, const char *suffix, uint64_t *first)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < AUDIT_SEGMENT_DIGITS || digits > 16 || strcmp(name + digits, suffix) != 0 ||
        (digits > AUDIT_SEGMENT_DIGITS && name[0] == '0')) {
        return false;
    }
    *first = strtoull(name, NULL, 10);
    return true;
}

static int firsts_compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool audit_segments_add(struct audit_segments *segments, uint64_t first, struct err *err)
{
    size_t count = segments->count;
    if (count == AUDIT_SEGMENTS_MAX) {
        return err_set(err, ERR_LIMIT, "%s: more than %d segments", AUDIT_ENTRIES_DIRECTORY,
                       AUDIT_SEGMENTS_MAX);
    }
    if ((count & (count - 1)) == 0) { /* grows at powers of two */
        size_t room = count == 0 ? 1 : 2 * count;
        uint64_t *grown = heap_resize(segments->firsts, room * sizeof(*grown));
        if (grown == NULL) {
            return err_set(err, ERR_NO_MEMORY, "no memory for the list of segments");
        }
        segments->firsts = grown;
    }
    segments->firsts[segments->count++] = first;
    return true;
}

bool audit_segments_list(int directory_fd, const char *suffix, struct audit_segments *out,
                         struct err *err)
{
    struct audit_segments found = {0};
    bool ok = false;
    int fd = openat(directory_fd, AUDIT_ENTRIES_DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        *out = found;
        return errno == ENOENT || errno == ENOTDIR ||
               err_set(err, ERR_IO, "%s: %s", AUDIT_ENTRIES_DIRECTORY, strerror(errno));
    }
    DIR *list = fdopendir(fd);
    if (list == NULL) {
        close(fd);
        return err_set(err, ERR_IO, "%s: %s", AUDIT_ENTRIES_DIRECTORY, strerror(errno));
    }
    const struct dirent *entry;
    while ((entry = readdir(list)) != NULL) {
        uint64_t first = 0;
        if (name_read(entry->d_name, suffix, &first) && !audit_segments_add(&found, first, err)) {
            goto out;
        }
    }
    if (found.count > 0) {
        qsort(found.firsts, found.count, sizeof(found.firsts[0]), firsts_compare);
    }
    *out = found;
    found = (struct audit_segments){0}; /* transferred */
    ok = true;
out:
    closedir(list);
    audit_segments_release(&found);
    return ok;
}

size_t audit_segments_find(const struct audit_segments *segments, uint64_t index)
{
    size_t low = 0;
    size_t high = segments->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (segments->firsts[middle] <= index) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

void audit_segments_release(struct audit_segments *segments)
{
    heap_free(segments->firsts);
    *segments = (struct audit_segments){0};
}
