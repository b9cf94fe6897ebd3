/* disk.c: see disk.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "disk.h"

#include "base/arena.h"

#include <assert.h>
#include <string.h>

enum { SECTOR_BYTES = 512, PAGE_BYTES = 4096, FILE_BYTES_MAX = 256 << 20 };

uint64_t disk_random(struct disk_random *random, uint64_t below)
{
    /* splitmix64: a state from any seed */
    uint64_t mixed = random->state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return (mixed ^ mixed >> 31) % below;
}

/* Makes room for one more in an array of `count`; rows are few and moved rarely enough. */
static void *grow(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0) {
        return array; /* there is room up to the next power of two */
    }
    void *grown = heap_resize(array, (count == 0 ? 1 : 2 * count) * size);
    assert(grown != NULL);
    return grown;
}

#define APPEND(array, count, ...)                                                                  \
    ((array) = grow((array), (count), sizeof(*(array))), (array)[(count)++] = __VA_ARGS__)

/* ---- the recording ---- */

static bool record_take(struct reader *reader, struct disk_record *out)
{
    struct bytes head;
    if (!reader_take(reader, sizeof(out->head), &head)) {
        return false;
    }
    memcpy(&out->head, head.ptr, sizeof(out->head));
    return out->head.kind >= RECORD_HELD_DIRECTORY && out->head.kind <= RECORD_SEND &&
           out->head.name_size < DISK_NAME_BYTES_MAX &&
           reader_take(reader, out->head.name_size, &out->name) &&
           reader_take(reader, out->head.data_size, &out->data);
}

bool disk_load(struct disk *disk, struct bytes recording, struct err *err)
{
    struct reader reader = reader_of(recording);
    memset(disk, 0, sizeof(*disk));
    disk->recording = recording;
    disk->root = DISK_NONE;
    while (reader_left(&reader) > 0) {
        struct disk_record record;
        size_t offset = reader_offset(&reader);
        if (!record_take(&reader, &record)) {
            disk_release(disk);
            return err_set(err, ERR_FORMAT, "there is no record at byte %zu", offset);
        }
        APPEND(disk->records, disk->record_count, record);
    }
    return true;
}

void disk_release(struct disk *disk)
{
    for (size_t i = 0; i < disk->node_count; i++) {
        buffer_release(&disk->nodes[i].durable);
        heap_free(disk->nodes[i].pending);
        heap_free(disk->nodes[i].loose);
    }
    for (size_t i = 0; i < disk->name_count; i++) {
        heap_free(disk->names[i].bindings);
    }
    heap_free(disk->records);
    heap_free(disk->nodes);
    heap_free(disk->names);
    heap_free(disk->syncs);
    memset(disk, 0, sizeof(*disk));
}

/* ---- playing ---- */

/* The living node of an inode number: the youngest that had it. */
static int node_find(const struct disk *disk, uint64_t number)
{
    for (size_t i = disk->node_count; i > 0; i--) {
        if (disk->nodes[i - 1].number == number) {
            return (int)(i - 1);
        }
    }
    return DISK_NONE;
}

static int node_make(struct disk *disk, const struct disk_record *record, bool is_directory)
{
    APPEND(disk->nodes, disk->node_count,
           (struct disk_node){.number = record->head.node,
                              .mode = record->head.offset,
                              .is_directory = is_directory});
    struct disk_node *node = &disk->nodes[disk->node_count - 1];
    buffer_init(&node->durable, FILE_BYTES_MAX);
    buffer_append_bytes(&node->durable, record->data);
    return (int)disk->node_count - 1;
}

static struct disk_name *name_find(struct disk *disk, int parent, struct bytes name)
{
    for (size_t i = 0; i < disk->name_count; i++) {
        struct disk_name *known = &disk->names[i];
        if (known->parent == parent && bytes_equal(bytes_of_string(known->name), name)) {
            return known;
        }
    }
    APPEND(disk->names, disk->name_count, (struct disk_name){.parent = parent});
    struct disk_name *made = &disk->names[disk->name_count - 1];
    memcpy(made->name, name.ptr, name.size);
    APPEND(made->bindings, made->binding_count, (struct disk_binding){0, DISK_NONE});
    return made;
}

static void name_bind(struct disk *disk, uint64_t parent, struct bytes name, int node, bool certain)
{
    struct disk_name *bound = name_find(disk, node_find(disk, parent), name);
    bound->binding_count = certain ? 0 : bound->binding_count;
    APPEND(bound->bindings, bound->binding_count, (struct disk_binding){disk->at, node});
}

static void play_new(struct disk *disk, const struct disk_record *record)
{
    bool held = record->head.kind == RECORD_HELD_DIRECTORY || record->head.kind == RECORD_HELD_FILE;
    bool is_directory =
        record->head.kind == RECORD_HELD_DIRECTORY || record->head.kind == RECORD_MAKE_DIRECTORY;
    int node = node_make(disk, record, is_directory);
    if (record->head.parent == 0) {
        disk->root = node; /* whether its own name survives is not asked */
    } else {
        name_bind(disk, record->head.parent, record->name, node, held);
    }
}

static void play_rename(struct disk *disk, const struct disk_record *record)
{
    const struct disk_name *from =
        name_find(disk, node_find(disk, record->head.parent), record->name);
    int node = from->bindings[from->binding_count - 1].node;
    name_bind(disk, record->head.node, record->data, node, false);
    name_bind(disk, record->head.parent, record->name, DISK_NONE, false);
}

/* ---- what a write does ---- */

static void bytes_put(struct buffer *file, uint64_t offset, struct bytes data)
{
    static const uint8_t zeros[PAGE_BYTES];
    while (file->size < offset + data.size) {
        size_t missing = (size_t)(offset + data.size) - file->size;
        buffer_append(file, zeros, missing < sizeof(zeros) ? missing : sizeof(zeros));
    }
    assert(!file->failed);
    if (data.size > 0) {
        memcpy(file->ptr + offset, data.ptr, data.size);
    }
}

static void size_set(struct buffer *file, uint64_t size)
{
    bytes_put(file, size, bytes_of(NULL, 0)); /* grows it */
    file->size = (size_t)size;
}

static void record_apply(const struct disk_record *record, struct buffer *file)
{
    if (record->head.kind == RECORD_TRUNCATE) {
        size_set(file, record->head.offset);
    } else {
        bytes_put(file, record->head.offset, record->data);
    }
}

/* The file is as long as if all of it had arrived. */
static void record_apply_size(const struct disk_record *record, struct buffer *file)
{
    if (record->head.kind == RECORD_TRUNCATE) {
        size_set(file, record->head.offset);
    } else if (file->size < record->head.offset + record->data.size) {
        size_set(file, record->head.offset + record->data.size);
    }
}

/* ---- syncs ---- */

/* What was written again is not loose any more; what was cut off is gone. */
static void loose_trim(struct disk_node *node, uint64_t begin, uint64_t end)
{
    size_t count = node->loose_count;
    for (size_t i = 0; i < count; i++) {
        struct disk_piece piece = node->loose[i];
        uint64_t piece_end = piece.offset + piece.data.size;
        if (piece.offset >= end || piece_end <= begin) {
            continue;
        }
        size_t before = piece.offset < begin ? (size_t)(begin - piece.offset) : 0;
        size_t after = piece_end > end ? (size_t)(piece_end - end) : 0;
        node->loose[i].data = bytes_of(piece.data.ptr, before); /* perhaps nothing */
        if (after > 0) {
            APPEND(node->loose, node->loose_count,
                   (struct disk_piece){end,
                                       bytes_of(piece.data.ptr + piece.data.size - after, after)});
        }
    }
}

static void settle_record(struct disk_node *node, const struct disk_record *record)
{
    bool cuts = record->head.kind == RECORD_TRUNCATE;
    record_apply(record, &node->durable);
    loose_trim(node, record->head.offset,
               cuts ? UINT64_MAX : record->head.offset + record->data.size);
}

/* A sync has failed: nobody knows what of it has arrived, and nobody will write it on his own. */
static void file_loosen(struct disk *disk, struct disk_node *node, size_t begin)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->pending_count; i++) {
        const struct disk_record *record = &disk->records[node->pending[i]];
        if (node->pending[i] >= begin || record->head.kind == RECORD_TRUNCATE) {
            node->pending[kept++] = node->pending[i];
        } else {
            APPEND(node->loose, node->loose_count,
                   (struct disk_piece){record->head.offset, record->data});
        }
    }
    node->pending_count = kept;
}

static void file_settle(struct disk *disk, struct disk_node *node, size_t begin)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->pending_count; i++) {
        if (node->pending[i] < begin) {
            settle_record(node, &disk->records[node->pending[i]]);
        } else {
            node->pending[kept++] = node->pending[i];
        }
    }
    node->pending_count = kept;
}

static void name_settle(struct disk_name *name, size_t begin)
{
    size_t certain = 0;
    for (size_t i = 0; i < name->binding_count; i++) {
        certain = name->bindings[i].since < begin ? i : certain;
    }
    name->binding_count -= certain;
    memmove(name->bindings, name->bindings + certain,
            name->binding_count * sizeof(*name->bindings));
}

static void play_sync(struct disk *disk, const struct disk_record *record)
{
    int node = node_find(disk, record->head.node);
    size_t i = 0;
    while (i < disk->sync_count && disk->syncs[i].number != record->head.offset) {
        i++;
    }
    assert(node != DISK_NONE && i < disk->sync_count);
    size_t begin = disk->syncs[i].begin;
    disk->syncs[i] = disk->syncs[--disk->sync_count];
    bool failed = record->head.kind == RECORD_SYNC_FAILED;
    if (!disk->nodes[node].is_directory) {
        (failed ? file_loosen : file_settle)(disk, &disk->nodes[node], begin);
        return;
    }
    if (failed) {
        return; /* names are as uncertain as before */
    }
    for (size_t j = 0; j < disk->name_count; j++) {
        if (disk->names[j].parent == node) {
            name_settle(&disk->names[j], begin);
        }
    }
}

bool disk_node_is_named(const struct disk *disk, int node)
{
    for (size_t i = 0; i < disk->name_count; i++) {
        for (size_t j = 0; j < disk->names[i].binding_count; j++) {
            if (disk->names[i].bindings[j].node == node) {
                return true;
            }
        }
    }
    return false;
}

bool disk_number_is_directory(const struct disk *disk, uint64_t number, size_t record)
{
    for (size_t i = record; i > 0; i--) {
        const struct record *head = &disk->records[i - 1].head;
        if (head->node == number &&
            (head->kind <= RECORD_MAKE_DIRECTORY && head->kind >= RECORD_HELD_DIRECTORY)) {
            return head->kind == RECORD_HELD_DIRECTORY || head->kind == RECORD_MAKE_DIRECTORY;
        }
    }
    return false;
}

bool disk_record_matters(const struct disk_record *record)
{
    return record->head.kind != RECORD_SYNC_BEGIN && record->head.kind != RECORD_SEND;
}

void disk_step(struct disk *disk)
{
    const struct disk_record *record = &disk->records[disk->at];
    switch ((enum record_kind)record->head.kind) {
    case RECORD_HELD_DIRECTORY:
    case RECORD_HELD_FILE:
    case RECORD_CREATE:
    case RECORD_MAKE_DIRECTORY:
        play_new(disk, record);
        break;
    case RECORD_WRITE:
    case RECORD_TRUNCATE: {
        int node = node_find(disk, record->head.node);
        assert(node != DISK_NONE);
        APPEND(disk->nodes[node].pending, disk->nodes[node].pending_count, disk->at);
        break;
    }
    case RECORD_SYNC_BEGIN:
        APPEND(disk->syncs, disk->sync_count,
               (struct disk_sync){.number = record->head.offset, .begin = disk->at});
        break;
    case RECORD_SYNC_END:
    case RECORD_SYNC_FAILED:
        play_sync(disk, record);
        break;
    case RECORD_RENAME:
        play_rename(disk, record);
        break;
    case RECORD_UNLINK:
        name_bind(disk, record->head.parent, record->name, DISK_NONE, false);
        break;
    case RECORD_SEND:
        break;
    }
    disk->at++;
}

/* ---- what may be left ---- */

/* Puts those sectors of a write that `arrives` (or a coin) says; the size must be set already. */
static void sectors_put(const struct disk_record *record, enum disk_fate fate,
                        struct disk_random *random, struct buffer *file)
{
    uint64_t step = fate == DISK_RANDOM_4096 ? PAGE_BYTES : SECTOR_BYTES;
    uint64_t begin = record->head.offset;
    uint64_t end = begin + record->data.size;
    uint64_t middle = begin + record->data.size / 2;
    for (uint64_t at = begin; at < end;) {
        uint64_t next = (at / step + 1) * step;
        next = next < end ? next : end;
        bool arrives = fate == DISK_TAIL_LOST   ? next <= middle
                       : fate == DISK_HEAD_LOST ? at >= middle
                       : fate == DISK_STALE     ? true
                                                : disk_random(random, 2) == 0;
        /* What lies beyond the end of a file that did not grow so far is not of the file. */
        if (at < file->size && arrives) {
            uint64_t limit = next < file->size ? next : file->size;
            const uint8_t *from = fate == DISK_STALE ? file->ptr : record->data.ptr + (at - begin);
            memmove(file->ptr + at, from, (size_t)(limit - at));
        }
        at = next;
    }
}

static void content_random(const struct disk *disk, const struct disk_node *node,
                           enum disk_fate fate, struct disk_random *random, struct buffer *out)
{
    /* One of the sizes that it had, or any between the least and the greatest. */
    size_t pick = (size_t)disk_random(random, node->pending_count + 2);
    for (size_t i = 0; i < node->pending_count && i < pick; i++) {
        record_apply_size(&disk->records[node->pending[i]], out);
    }
    if (pick > node->pending_count && out->size > node->durable.size) {
        size_set(out, node->durable.size + disk_random(random, out->size - node->durable.size + 1));
    }
    for (size_t i = 0; i < node->pending_count; i++) {
        if (disk->records[node->pending[i]].head.kind == RECORD_WRITE) {
            sectors_put(&disk->records[node->pending[i]], fate, random, out);
        }
    }
}

/* Sectors that are overwritten are the old ones or the new ones: only new ones can be stale. */
static void content_stale(const struct disk *disk, const struct disk_node *node, struct buffer *out)
{
    for (size_t i = 0; i < node->pending_count; i++) {
        const struct disk_record *record = &disk->records[node->pending[i]];
        record_apply_size(record, out);
        if (record->head.kind == RECORD_WRITE) {
            sectors_put(record, DISK_STALE, NULL, out);
        }
    }
    size_t kept = node->durable.size < out->size ? node->durable.size : out->size;
    if (kept > 0) {
        memcpy(out->ptr, node->durable.ptr, kept);
    }
}

static void content_last(const struct disk_record *record, enum disk_fate fate, struct buffer *out)
{
    if (record->head.kind != RECORD_WRITE) {
        return; /* a size has no middle: it has not arrived */
    }
    if (fate == DISK_CUT) {
        bytes_put(out, record->head.offset, bytes_of(record->data.ptr, record->data.size / 2));
    } else {
        record_apply_size(record, out);
        sectors_put(record, fate, NULL, out);
    }
}

/* All of it, nothing, or some sectors, and in part the size that goes with them. */
static void loose_put(const struct disk_node *node, enum disk_fate fate, struct disk_random *random,
                      struct buffer *out)
{
    for (size_t i = 0; fate != DISK_LOST && i < node->loose_count; i++) {
        struct disk_piece piece = node->loose[i];
        struct disk_record record = {.head = {.kind = RECORD_WRITE, .offset = piece.offset},
                                     .data = piece.data};
        if (fate != DISK_RANDOM_512 && fate != DISK_RANDOM_4096) {
            record_apply(&record, out);
            continue;
        }
        if (disk_random(random, 2) == 0) {
            record_apply_size(&record, out);
        }
        sectors_put(&record, fate, random, out);
    }
}

void disk_content(const struct disk *disk, int index, enum disk_fate fate,
                  struct disk_random *random, struct buffer *out)
{
    const struct disk_node *node = &disk->nodes[index];
    size_t count = node->pending_count;
    buffer_append_bytes(out, buffer_bytes(&node->durable));
    loose_put(node, fate, random, out);
    if (count == 0 || fate == DISK_LOST) {
        return;
    }
    if (fate == DISK_RANDOM_512 || fate == DISK_RANDOM_4096) {
        content_random(disk, node, fate, random, out);
        return;
    }
    if (fate == DISK_STALE) {
        content_stale(disk, node, out);
        return;
    }
    bool in_part = fate == DISK_CUT || fate == DISK_TAIL_LOST || fate == DISK_HEAD_LOST;
    size_t lost = fate == DISK_ALL_BUT_ONE ? (size_t)disk_random(random, count) : count;
    for (size_t i = fate == DISK_LAST_ONLY ? count - 1 : 0; i < count; i++) {
        const struct disk_record *record = &disk->records[node->pending[i]];
        if (in_part && i == count - 1) {
            content_last(record, fate, out);
        } else if (fate == DISK_ZEROS) {
            record_apply_size(record, out);
        } else if (i != lost) {
            record_apply(record, out);
        }
    }
}
