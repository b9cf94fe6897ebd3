/* directory.c: a log's directory as a source of bundles: checkpoint, keys, segments.
 *
 * Entries lie in segment files that are named by the index of their first entry and follow each
 * other without a gap. They are read in order through one window; reading backwards begins the
 * segment anew, and only the entries of one bundle are ever looked for that way. Segments that were
 * pruned, always the oldest, have left files with the leaf hashes of their entries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/entries.h"
#include "audit/log.h"

#include "base/arena.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct audit_directory {
    const struct audit_io *io;
    int directory_fd;
    bool is_listed; /* only when entries are asked for, so after the checkpoint was read */
    struct audit_segments segments;
    struct audit_segments hashes; /* files of pruned segments */
    size_t segment;               /* that is open */
    int fd;                       /* of it; -1: none */
    bool has_reader;
    struct audit_entry_reader reader;
    uint64_t index;      /* of the entry that the reader comes to */
    uint64_t mark_index; /* where the last bundle began, in the same segment */
    uint64_t mark_offset;
};

/* ---- the list of segments ---- */

static bool segments_list(struct audit_directory *directory, struct err *err)
{
    if (directory->is_listed) {
        return true;
    }
    directory->is_listed = true;
    return audit_segments_list(directory->directory_fd, AUDIT_SEGMENT_ENTRIES, &directory->segments,
                               err) &&
           audit_segments_list(directory->directory_fd, AUDIT_SEGMENT_HASHES, &directory->hashes,
                               err);
}

/* ---- reading ---- */

static void segment_leave(struct audit_directory *directory)
{
    if (directory->has_reader) {
        audit_entry_reader_close(&directory->reader);
        directory->has_reader = false;
    }
    if (directory->fd >= 0) {
        close(directory->fd);
        directory->fd = -1;
    }
}

static bool segment_enter(struct audit_directory *directory, size_t segment, struct err *err)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    segment_leave(directory);
    audit_segment_name(directory->segments.firsts[segment], AUDIT_SEGMENT_ENTRIES, name);
    directory->fd =
        directory->io->open(directory->io->context, directory->directory_fd, name, O_RDONLY, 0);
    if (directory->fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    if (!audit_entry_reader_open(&directory->reader, directory->io, directory->fd, 0, err)) {
        return false;
    }
    directory->has_reader = true;
    directory->segment = segment;
    directory->index = directory->segments.firsts[segment];
    directory->mark_index = directory->index;
    directory->mark_offset = 0;
    return true;
}

/* The index at which the open segment must end: where the next one begins. */
static uint64_t segment_end(const struct audit_directory *directory)
{
    return directory->segment + 1 < directory->segments.count
               ? directory->segments.firsts[directory->segment + 1]
               : UINT64_MAX;
}

/* The next entry, from the next segment if need be. *leaf is empty when the log ends here. */
static bool entry_read(struct audit_directory *directory, struct bytes *leaf, const char **problem,
                       struct err *err)
{
    *leaf = bytes_of(NULL, 0);
    if (directory->index == segment_end(directory)) {
        enum audit_entry_result rest = audit_entry_next(&directory->reader, leaf, err);
        *leaf = bytes_of(NULL, 0);
        if (rest == AUDIT_ENTRY_FAILED) {
            return false;
        }
        if (rest != AUDIT_ENTRY_END) {
            *problem = "the segment before it goes on where the next one begins";
            return true;
        }
        if (!segment_enter(directory, directory->segment + 1, err)) {
            return false;
        }
    }
    switch (audit_entry_next(&directory->reader, leaf, err)) {
    case AUDIT_ENTRY_FAILED:
        return false;
    case AUDIT_ENTRY_TOO_LONG:
        *problem = "its length is over the limit";
        break;
    case AUDIT_ENTRY_BLANK:
        *problem = "its length is zero";
        break;
    case AUDIT_ENTRY_WHOLE:
        directory->index++;
        return true;
    case AUDIT_ENTRY_ZEROS:
    case AUDIT_ENTRY_END:
    case AUDIT_ENTRY_TORN:
        break;
    }
    *leaf = bytes_of(NULL, 0);
    return true;
}

/* Brings the reader to `index`. *found false: the log ends before. */
static bool seek(struct audit_directory *directory, uint64_t index, bool *found,
                 const char **problem, struct err *err)
{
    size_t segment = audit_segments_find(&directory->segments, index);
    bool ahead = directory->has_reader && directory->index <= index &&
                 directory->segment + 1 >= segment && directory->segment <= segment;
    bool marked = directory->has_reader && directory->segment == segment &&
                  directory->mark_index <= index && directory->index > index;
    if (marked) {
        directory->reader.offset = directory->mark_offset;
        directory->reader.window_offset = directory->mark_offset;
        directory->reader.window_size = 0;
        directory->index = directory->mark_index;
    } else if (!ahead && !segment_enter(directory, segment, err)) {
        return false;
    }
    *found = true;
    while (directory->index < index && *found) {
        struct bytes leaf;
        if (!entry_read(directory, &leaf, problem, err)) {
            return false;
        }
        *found = leaf.ptr != NULL;
    }
    return true;
}

/* As many leaf hashes from `first` on as one file has, at most count. */
static bool hashes_read(struct audit_directory *directory, uint64_t first, size_t count,
                        uint8_t *out, size_t *found, struct err *err)
{
    char name[AUDIT_SEGMENT_NAME_CHARS + 1];
    size_t size = 0;
    *found = 0;
    if (directory->hashes.count == 0 || first < directory->hashes.firsts[0]) {
        return true;
    }
    size_t file = audit_segments_find(&directory->hashes, first);
    uint64_t offset = (first - directory->hashes.firsts[file]) * AUDIT_HASH_BYTES;
    if (file + 1 < directory->hashes.count && directory->hashes.firsts[file + 1] - first < count) {
        count = (size_t)(directory->hashes.firsts[file + 1] - first);
    }
    audit_segment_name(directory->hashes.firsts[file], AUDIT_SEGMENT_HASHES, name);
    int fd =
        directory->io->open(directory->io->context, directory->directory_fd, name, O_RDONLY, 0);
    if (fd < 0) {
        return err_set(err, ERR_IO, "%s: %s", name, strerror(errno));
    }
    bool ok =
        audit_io_read_most(directory->io, fd, out, count * AUDIT_HASH_BYTES, offset, &size, err);
    close(fd);
    *found = size / AUDIT_HASH_BYTES;
    return ok || err_wrap(err, "%s", name);
}

/* The entries at the beginning that only their hashes are left of. *found false: not all are. */
static bool take_pruned(struct audit_directory *directory, uint64_t first, size_t count,
                        struct audit_bundle *out, bool *found, struct err *err)
{
    uint64_t end = directory->segments.count == 0 ? UINT64_MAX : directory->segments.firsts[0];
    size_t wanted = first >= end ? 0 : end - first < count ? (size_t)(end - first) : count;
    size_t got = 1;
    while (out->pruned_count < wanted && got > 0) {
        uint8_t *to = out->pruned_hashes + out->pruned_count * AUDIT_HASH_BYTES;
        if (!hashes_read(directory, first + out->pruned_count, wanted - out->pruned_count, to, &got,
                         err)) {
            return false;
        }
        out->pruned_count += got;
    }
    *found = out->pruned_count == wanted;
    return true;
}

static bool take_entries(struct audit_directory *directory, uint64_t first, size_t count,
                         struct audit_bundle *out, struct err *err)
{
    bool found = false;
    if (!seek(directory, first, &found, &out->problem, err)) {
        return false;
    }
    directory->mark_index = directory->index;
    directory->mark_offset = directory->reader.offset;
    for (size_t i = 0; i < count && found; i++) {
        struct bytes leaf;
        if (!entry_read(directory, &leaf, &out->problem, err)) {
            return false;
        }
        found = leaf.ptr != NULL;
        if (found) {
            buffer_append_u16be(&out->entries, (uint16_t)leaf.size);
            buffer_append_bytes(&out->entries, leaf);
        }
    }
    return !out->entries.failed || err_set(err, ERR_NO_MEMORY, "no memory for entries");
}

static bool directory_bundle(void *context, uint64_t first, size_t count, struct audit_bundle *out,
                             struct err *err)
{
    struct audit_directory *directory = context;
    bool found = false;
    if (!segments_list(directory, err) || !take_pruned(directory, first, count, out, &found, err)) {
        return false;
    }
    size_t pruned = out->pruned_count;
    return !found || pruned == count || directory->segments.count == 0 ||
           take_entries(directory, first + pruned, count - pruned, out, err);
}

static bool directory_checkpoint(void *context, struct buffer *out, struct err *err)
{
    struct audit_directory *directory = context;
    return audit_io_read_file(directory->io, directory->directory_fd, AUDIT_CHECKPOINT_FILE, out,
                              err);
}

static bool directory_cosigned(void *context, struct buffer *out, struct err *err)
{
    struct audit_directory *directory = context;
    return audit_io_read_file(directory->io, directory->directory_fd, AUDIT_WITNESSED_FILE, out,
                              err);
}

static bool directory_vkeys(void *context, struct buffer *out, struct err *err)
{
    struct audit_directory *directory = context;
    return audit_io_read_file(directory->io, directory->directory_fd, AUDIT_VKEY_FILE, out, err);
}

static bool directory_segment(void *context, uint64_t index)
{
    const struct audit_directory *directory = context;
    return directory->segments.count > 0 &&
           directory->segments.firsts[audit_segments_find(&directory->segments, index)] == index;
}

bool audit_directory_open(const char *path, struct audit_directory **out,
                          struct audit_source *source, struct err *err)
{
    struct audit_directory *directory = HEAP_NEW(struct audit_directory);
    if (directory == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for reading the log");
    }
    directory->io = &audit_io_system;
    directory->fd = -1;
    directory->directory_fd =
        directory->io->open(directory->io->context, AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (directory->directory_fd < 0) {
        err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
        heap_free(directory);
        return false;
    }
    *source = (struct audit_source){
        .context = directory,
        .checkpoint = directory_checkpoint,
        .cosigned = directory_cosigned,
        .vkeys = directory_vkeys,
        .bundle = directory_bundle,
        .segment = directory_segment,
        .has_more = true,
    };
    *out = directory;
    return true;
}

void audit_directory_close(struct audit_directory *directory)
{
    if (directory == NULL) {
        return;
    }
    segment_leave(directory);
    close(directory->directory_fd);
    audit_segments_release(&directory->segments);
    audit_segments_release(&directory->hashes);
    heap_free(directory);
}
