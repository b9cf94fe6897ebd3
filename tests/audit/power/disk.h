/* disk.h: a disk that plays a recording and knows, at each point of it, what a power cut may leave.
 *
 * What was synced is there. Of what was not:
 * - of the writes to a file any subset of sectors may have arrived, in any order, and the size of
 *   the file may be any that it had since; what is within the size and has not arrived reads as
 *   zeros (or, worse than a file system should do, as something stale);
 * - of the names of a directory each one on its own may mean what it meant at any time since the
 *   directory was synced last: creation, renaming and removal may have arrived or not.
 * - of what was written before a sync that failed any sectors may have arrived, whatever is synced
 *   later: only what is written once more, and synced, is certain to be there.
 * A rename replaces as a whole: a name means the old file or the new one. Syncing a file does not
 * make its name durable. A sync covers what was complete when it began.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef POWER_DISK_H
#define POWER_DISK_H

#include "recording.h"

#include "base/bytes.h"

enum { DISK_NONE = -1, DISK_NAME_BYTES_MAX = 64 };

/* One record, borrowed from the recording. */
struct disk_record {
    struct record head;
    struct bytes name;
    struct bytes data;
};

/* What was written before a sync that failed, and not since. */
struct disk_piece {
    uint64_t offset;
    struct bytes data;
};

/* A file or directory; `durable` is what is certainly there. */
struct disk_node {
    uint64_t number; /* inode */
    uint64_t mode;
    bool is_directory;
    struct buffer durable;
    size_t *pending; /* records, in order */
    size_t pending_count;
    struct disk_piece *loose;
    size_t loose_count;
};

struct disk_binding {
    size_t since; /* record */
    int node;     /* or DISK_NONE: no such name */
};

/* A name of a directory; [0] is what it certainly meant, the last is what it means. */
struct disk_name {
    int parent;
    char name[DISK_NAME_BYTES_MAX];
    struct disk_binding *bindings;
    size_t binding_count;
};

struct disk_sync {
    uint64_t number;
    size_t begin; /* record */
};

struct disk {
    struct bytes recording;
    struct disk_record *records;
    size_t record_count;
    size_t at; /* records played */
    struct disk_node *nodes;
    size_t node_count;
    struct disk_name *names;
    size_t name_count;
    struct disk_sync *syncs;
    size_t sync_count;
    int root; /* DISK_NONE: not made yet */
};

/* What became of the writes to a file that were not synced. */
enum disk_fate {
    DISK_ARRIVED,
    DISK_LOST,
    DISK_LAST_ONLY,
    DISK_ALL_BUT_ONE,
    DISK_CUT,       /* the last write ends in its middle */
    DISK_TAIL_LOST, /* of the last write the second half of the sectors reads as zeros */
    DISK_HEAD_LOST, /* the first half does */
    DISK_ZEROS,     /* only the size arrived */
    DISK_STALE,     /* the same, and the sectors hold what the file begins with */
    DISK_RANDOM_512,
    DISK_RANDOM_4096,
    DISK_FATE_COUNT
};

struct disk_random {
    uint64_t state;
};
uint64_t disk_random(struct disk_random *random, uint64_t below);

/* Takes a recording that stays the caller's. False with a reason: it is none. */
bool disk_load(struct disk *disk, struct bytes recording, struct err *err) MUST_CHECK;
void disk_release(struct disk *disk);
/* Does this record change what is on the disk, or what is certain to be? */
bool disk_record_matters(const struct disk_record *record);
/* Plays the next record. */
void disk_step(struct disk *disk);
/* Does any name mean it, or might one after a power cut? */
bool disk_node_is_named(const struct disk *disk, int node);
/* Is what had that inode number before that record a directory? */
bool disk_number_is_directory(const struct disk *disk, uint64_t number, size_t record);
/* The content of a file if its unsynced writes met that fate. */
void disk_content(const struct disk *disk, int node, enum disk_fate fate,
                  struct disk_random *random, struct buffer *out);

#endif
