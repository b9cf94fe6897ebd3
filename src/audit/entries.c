/* entries.c: reading the entry file, and finding an entry in it (entries.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/entries.h"

#include "base/arena.h"

#include <assert.h>
#include <string.h>

static_assert(AUDIT_READ_BYTES > AUDIT_ENTRY_PREFIX_BYTES + AUDIT_LEAF_BYTES_MAX,
              "an entry fits the window");

bool audit_entry_reader_open(struct audit_entry_reader *reader, const struct audit_io *io, int fd,
                             uint64_t offset, struct err *err)
{
    uint8_t *window = heap_alloc(AUDIT_READ_BYTES);
    if (window == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for reading the log");
    }
    *reader = (struct audit_entry_reader){
        .io = io, .fd = fd, .offset = offset, .window = window, .window_offset = offset};
    return true;
}

void audit_entry_reader_close(struct audit_entry_reader *reader)
{
    heap_free(reader->window);
    reader->window = NULL;
}

static struct reader reader_at_offset(const struct audit_entry_reader *reader)
{
    size_t used = (size_t)(reader->offset - reader->window_offset);
    return reader_of(bytes_of(reader->window + used, reader->window_size - used));
}

bool audit_is_zeros(struct bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.ptr[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Refills the window from the next entry on. */
static bool window_fill(struct audit_entry_reader *reader, struct err *err)
{
    size_t size = 0;
    if (!audit_io_read_most(reader->io, reader->fd, reader->window, AUDIT_READ_BYTES,
                            reader->offset, &size, err)) {
        return err_wrap(err, "%s", AUDIT_ENTRIES_FILE);
    }
    reader->window_offset = reader->offset;
    reader->window_size = size;
    return true;
}

static enum audit_entry_result entry_take(struct audit_entry_reader *reader, struct bytes *leaf)
{
    uint16_t size = 0;
    struct reader window = reader_at_offset(reader);
    if (reader_left(&window) == 0) {
        return AUDIT_ENTRY_END;
    }
    if (!reader_u16be(&window, &size)) {
        return AUDIT_ENTRY_TORN;
    }
    if (size == 0) {
        return audit_is_zeros(bytes_of(window.ptr, reader_left(&window))) ? AUDIT_ENTRY_ZEROS
                                                                          : AUDIT_ENTRY_BLANK;
    }
    if (size > AUDIT_LEAF_BYTES_MAX) {
        return AUDIT_ENTRY_TOO_LONG;
    }
    if (!reader_take(&window, size, leaf)) {
        return AUDIT_ENTRY_TORN;
    }
    reader->offset += AUDIT_ENTRY_PREFIX_BYTES + (uint64_t)size;
    return AUDIT_ENTRY_WHOLE;
}

enum audit_entry_result audit_entry_next(struct audit_entry_reader *reader, struct bytes *leaf,
                                         struct err *err)
{
    enum audit_entry_result result = entry_take(reader, leaf);
    if (result == AUDIT_ENTRY_WHOLE || result == AUDIT_ENTRY_TOO_LONG) {
        return result;
    }
    /* It may only be the window that ends here. */
    if (!window_fill(reader, err)) {
        return AUDIT_ENTRY_FAILED;
    }
    return entry_take(reader, leaf);
}

bool audit_offsets_add(struct audit_offsets *offsets, uint64_t index, uint64_t offset)
{
    if (index % AUDIT_OFFSET_STEP != 0) {
        return true;
    }
    assert(index / AUDIT_OFFSET_STEP == offsets->count);
    if (offsets->count == offsets->capacity) {
        size_t capacity = offsets->capacity == 0 ? 1024 : 2 * offsets->capacity;
        uint64_t *grown = heap_resize(offsets->every, capacity * sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        offsets->every = grown;
        offsets->capacity = capacity;
    }
    offsets->every[offsets->count++] = offset;
    return true;
}

void audit_offsets_find(const struct audit_offsets *offsets, uint64_t index, uint64_t *near_index,
                        uint64_t *near_offset)
{
    size_t slot = (size_t)(index / AUDIT_OFFSET_STEP);
    assert(slot < offsets->count);
    *near_index = (uint64_t)slot * AUDIT_OFFSET_STEP;
    *near_offset = offsets->every[slot];
}

void audit_offsets_release(struct audit_offsets *offsets)
{
    heap_free(offsets->every);
    *offsets = (struct audit_offsets){0};
}
