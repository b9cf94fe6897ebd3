/* entries.h: the entry file: every leaf in order, each behind its length in two bytes, big endian.
 *
 * Behind the last one there may be zeros, written ahead (ahead.c): a length of zero ends the file.
 *
 * That is the form of a tlog-tiles entry bundle (c2sp.org/tlog-tiles), so any 256 entries are a
 * piece of the file as it is. The file is a segment named by the index of its first entry.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef AUDIT_ENTRIES_H
#define AUDIT_ENTRIES_H

#include "audit/audit.h"
#include "audit/io.h"

#define AUDIT_ENTRIES_DIRECTORY "entries"
#define AUDIT_ENTRIES_FILE "entries/000000000000.log"

enum { AUDIT_ENTRY_PREFIX_BYTES = 2, AUDIT_READ_BYTES = 64 * 1024 };

/* Reads the file in order through one window. */
struct audit_entry_reader {
    const struct audit_io *io;
    int fd;
    uint64_t offset; /* in the file, of the next entry */
    uint8_t *window;
    uint64_t window_offset; /* in the file */
    size_t window_size;
};

enum audit_entry_result {
    AUDIT_ENTRY_WHOLE,
    AUDIT_ENTRY_END,      /* nothing follows */
    AUDIT_ENTRY_ZEROS,    /* nothing follows but zeros */
    AUDIT_ENTRY_BLANK,    /* a length of zero, and something behind it */
    AUDIT_ENTRY_TORN,     /* the file ends inside an entry */
    AUDIT_ENTRY_TOO_LONG, /* a length that no entry can have */
    AUDIT_ENTRY_FAILED,   /* *err is set */
};

bool audit_entry_reader_open(struct audit_entry_reader *reader, const struct audit_io *io, int fd,
                             uint64_t offset, struct err *err) MUST_CHECK;
void audit_entry_reader_close(struct audit_entry_reader *reader);
/* WHOLE: *leaf is borrowed until the next call, and offset has moved past it; else it has not. */
enum audit_entry_result audit_entry_next(struct audit_entry_reader *reader, struct bytes *leaf,
                                         struct err *err) MUST_CHECK;

bool audit_is_zeros(struct bytes bytes);

/* Where entries begin: every 32nd is remembered, from there the lengths lead on. */
struct audit_offsets {
    uint64_t *every; /* [i]: the offset of entry i * 32 in its segment */
    size_t count;
    size_t capacity;
};

enum { AUDIT_OFFSET_STEP = 32 };

/* Indexes come in order. False when there is no memory. */
bool audit_offsets_add(struct audit_offsets *offsets, uint64_t index, uint64_t offset) MUST_CHECK;
/* The nearest remembered entry at or before index. */
void audit_offsets_find(const struct audit_offsets *offsets, uint64_t index, uint64_t *near_index,
                        uint64_t *near_offset);
void audit_offsets_release(struct audit_offsets *offsets);

#endif
