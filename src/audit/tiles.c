/* tiles.c: the log in the tiles of c2sp.org/tlog-tiles: up to 256 hashes of a row of the tree, or
 * up to 256 entries, and the paths that name them.
 *
 *     <L>/<N>[.p/<W>]          hashes: at level L those of the full subtrees of 256^L leaves
 *     entries/<N>[.p/<W>]      entries, each behind its length in two bytes
 *     <N>                      x001/x234/067 is 1234067
 *
 * A tile never changes once it is there, and is made when it is asked for: from the hashes that the
 * tree has stored, and from the entry files. A part of a wider tile is served as well: it is the
 * tile of a smaller tree, which some reader still has the checkpoint of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/log.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    LEVEL_BITS = 8, /* 256 subtrees of a level make one of the next */
    GROUP_DIGITS = 3,
    GROUP_FACTOR = 1000,
    GROUPS_MAX = 6, /* 10^18 tiles: more than there are entries */
};

static_assert((int)AUDIT_TILE_WIDTH == 1 << LEVEL_BITS, "a tile is one node of the next level");
static_assert((int)AUDIT_TILE_WIDTH == (int)AUDIT_TREE_ROW_MAX, "a row is a tile of leaf hashes");

/* ---- paths ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number without leading zeros, at most max. */
static bool take_number(const char **at, unsigned max, unsigned *out)
{
    unsigned number = 0;
    const char *text = *at;
    if (!is_digit(text[0]) || (text[0] == '0' && is_digit(text[1]))) {
        return false;
    }
    for (; is_digit(*text); text++) {
        number = number * 10 + (unsigned)(*text - '0');
        if (number > max) {
            return false;
        }
    }
    *at = text;
    *out = number;
    return true;
}

static bool take_group(const char **at, unsigned *out)
{
    const char *text = *at;
    *out = 0;
    for (int i = 0; i < GROUP_DIGITS; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
        *out = *out * 10 + (unsigned)(text[i] - '0');
    }
    *at = text + GROUP_DIGITS;
    return true;
}

/* All groups but the last begin with x; the first of several is not 0, else fewer would do. */
static bool take_index(const char **at, uint64_t *out)
{
    uint64_t number = 0;
    for (int groups = 1; groups <= GROUPS_MAX; groups++) {
        unsigned group = 0;
        bool is_last = **at != 'x';
        *at += is_last ? 0 : 1;
        if (!take_group(at, &group) || (groups == 1 && !is_last && group == 0)) {
            return false;
        }
        number = number * GROUP_FACTOR + group;
        if (is_last) {
            *out = number;
            return true;
        }
        if (*(*at)++ != '/') {
            return false;
        }
    }
    return false;
}

static bool take_text(const char **at, const char *text)
{
    size_t size = strlen(text);
    bool found = strncmp(*at, text, size) == 0;
    *at += found ? size : 0;
    return found;
}

bool audit_tile_parse(const char *path, struct audit_tile *out)
{
    struct audit_tile tile = {.width = AUDIT_TILE_WIDTH};
    tile.is_entries = take_text(&path, "entries");
    if (!tile.is_entries && !take_number(&path, AUDIT_TILE_LEVEL_MAX, &tile.level)) {
        return false;
    }
    if (!take_text(&path, "/") || !take_index(&path, &tile.number)) {
        return false;
    }
    if (take_text(&path, ".p/") &&
        (!take_number(&path, AUDIT_TILE_WIDTH - 1, &tile.width) || tile.width == 0)) {
        return false;
    }
    if (*path != 0) {
        return false;
    }
    *out = tile;
    return true;
}

void audit_tile_format(const struct audit_tile *tile,
                       char out[static AUDIT_TILE_PATH_CHARS_MAX + 1])
{
    const size_t room = AUDIT_TILE_PATH_CHARS_MAX + 1;
    uint64_t scale = 1;
    size_t used = 0;
    assert(tile->width > 0 && tile->width <= AUDIT_TILE_WIDTH);
    assert(tile->level <= AUDIT_TILE_LEVEL_MAX);
    while (tile->number / scale >= GROUP_FACTOR) {
        scale *= GROUP_FACTOR;
    }
    if (tile->is_entries) {
        used += (size_t)snprintf(out, room, "entries/");
    } else {
        used += (size_t)snprintf(out, room, "%u/", tile->level);
    }
    for (; scale > 1; scale /= GROUP_FACTOR) {
        used += (size_t)snprintf(out + used, room - used, "x%03u/",
                                 (unsigned)(tile->number / scale % GROUP_FACTOR));
    }
    used +=
        (size_t)snprintf(out + used, room - used, "%03u", (unsigned)(tile->number % GROUP_FACTOR));
    if (tile->width < AUDIT_TILE_WIDTH) {
        (void)snprintf(out + used, room - used, ".p/%u", tile->width);
    }
}

/* ---- content ---- */

unsigned audit_tile_width(uint64_t size, unsigned level, uint64_t number)
{
    uint64_t row = level < 64 / LEVEL_BITS ? size >> (level * LEVEL_BITS) : 0;
    if (number >= row / AUDIT_TILE_WIDTH) {
        return number == row / AUDIT_TILE_WIDTH ? (unsigned)(row % AUDIT_TILE_WIDTH) : 0;
    }
    return AUDIT_TILE_WIDTH;
}

/* A tile of leaf hashes is one read. The hashes of higher levels lie far apart, and there is one
 * such tile to 256 below it: they are read one by one. */
static bool hashes_read(struct audit_log *log, const struct audit_tile *tile, struct buffer *out,
                        struct err *err)
{
    uint8_t hashes[AUDIT_TILE_WIDTH * AUDIT_HASH_BYTES];
    uint64_t first = tile->number * AUDIT_TILE_WIDTH;
    if (tile->level == 0) {
        if (!audit_tree_stored_leaves(&log->tree, first, tile->width, hashes, err)) {
            return false;
        }
    }
    for (unsigned i = 0; tile->level > 0 && i < tile->width; i++) {
        if (!audit_tree_stored_node(&log->tree, tile->level * LEVEL_BITS, first + i,
                                    hashes + (size_t)i * AUDIT_HASH_BYTES, err)) {
            return false;
        }
    }
    buffer_append(out, hashes, (size_t)tile->width * AUDIT_HASH_BYTES);
    return true;
}

struct bundle {
    struct buffer *out;
    unsigned left;
};

static bool bundle_add(void *context, uint64_t index, struct bytes leaf)
{
    struct bundle *bundle = context;
    (void)index;
    buffer_append_u16be(bundle->out, (uint16_t)leaf.size);
    buffer_append_bytes(bundle->out, leaf);
    return --bundle->left > 0;
}

static bool entries_read(struct audit_log *log, const struct audit_tile *tile, struct buffer *out,
                         struct err *err)
{
    struct bundle bundle = {.out = out, .left = tile->width};
    if (tile->number * AUDIT_TILE_WIDTH < audit_log_first(log)) {
        return err_set(err, ERR_NOT_FOUND, "entries of bundle %" PRIu64 " were pruned",
                       tile->number);
    }
    if (!audit_log_each(log, tile->number * AUDIT_TILE_WIDTH, bundle_add, &bundle, err)) {
        return false;
    }
    assert(bundle.left == 0); /* the checkpoint covers them all */
    return true;
}

bool audit_log_tile(struct audit_log *log, const struct audit_tile *tile, struct buffer *out,
                    struct err *err)
{
    assert(tile->width > 0 && tile->width <= AUDIT_TILE_WIDTH);
    uint64_t size = audit_log_size(log);
    if (audit_tile_width(size, tile->level, tile->number) < tile->width) {
        char path[AUDIT_TILE_PATH_CHARS_MAX + 1];
        audit_tile_format(tile, path);
        return err_set(err, ERR_NOT_FOUND, "a log of %" PRIu64 " entries has no tile %s", size,
                       path);
    }
    if (!(tile->is_entries ? entries_read : hashes_read)(log, tile, out, err)) {
        return false;
    }
    return !out->failed || err_set(err, ERR_NO_MEMORY, "no memory for a tile");
}
