/* segments.h: which files the entries of a log lie in.
 *
 * A segment is a file named by the index of its first entry; the segments of a log follow each
 * other without a gap. All but the last end with a SEGMENT_CLOSE entry and never change again,
 * except that pruning replaces the oldest ones by files with the leaf hashes of their entries:
 *
 *     entries/000000000000.hashes   32 bytes for each entry
 *     entries/000000041200.log      the first segment whose entries are there
 *     entries/000000077001.log      the one that is written
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_SEGMENTS_H
#define AUDIT_SEGMENTS_H

#include "audit/entries.h"

enum {
    AUDIT_SEGMENTS_MAX = 65536,
    AUDIT_SEGMENT_DIGITS = 12,
    AUDIT_SEGMENT_NAME_CHARS = sizeof(AUDIT_ENTRIES_DIRECTORY) + 20 + 7,
};

struct audit_segments {
    uint64_t *firsts; /* rising */
    size_t count;
};

#define AUDIT_SEGMENT_ENTRIES ".log"
#define AUDIT_SEGMENT_HASHES ".hashes"

/* "entries/000000000000.log" */
void audit_segment_name(uint64_t first, const char *suffix,
                        char out[static AUDIT_SEGMENT_NAME_CHARS + 1]);
/* All files with that suffix; none if the folder is not there. LIMIT, IO, NO_MEMORY. */
bool audit_segments_list(int directory_fd, const char *suffix, struct audit_segments *out,
                         struct err *err) MUST_CHECK;
/* first: larger than all before. */
bool audit_segments_add(struct audit_segments *segments, uint64_t first,
                        struct err *err) MUST_CHECK;
/* The number of the segment that `index` lies in, if any does. */
size_t audit_segments_find(const struct audit_segments *segments, uint64_t index);
void audit_segments_release(struct audit_segments *segments);

#endif
