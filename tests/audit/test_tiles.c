/* test_tiles.c: the paths of tiles, and what is in them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/support.h"
#include "audit/tree.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void expect_tile(const char *path, bool is_entries, unsigned level, uint64_t number,
                        unsigned width)
{
    struct audit_tile tile;
    char again[AUDIT_TILE_PATH_CHARS_MAX + 1];
    cr_assert(audit_tile_parse(path, &tile), "%s", path);
    cr_expect(tile.is_entries == is_entries && tile.level == level && tile.number == number &&
                  tile.width == width,
              "%s", path);
    audit_tile_format(&tile, again);
    cr_expect_str_eq(again, path);
}

Test(audit_tiles, a_path_names_one_tile)
{
    expect_tile("0/000", false, 0, 0, 256);
    expect_tile("0/255.p/1", false, 0, 255, 1);
    expect_tile("9/999.p/255", false, 9, 999, 255);
    expect_tile("63/x001/000.p/100", false, 63, 1000, 100);
    expect_tile("1/x001/x234/067", false, 1, 1234067, 256);
    expect_tile("0/x999/x999/x999/x999/x999/999.p/9", false, 0, 999999999999999999, 9);
    expect_tile("entries/000", true, 0, 0, 256);
    expect_tile("entries/x273/001.p/112", true, 0, 273001, 112);
}

Test(audit_tiles, a_tile_has_no_other_path)
{
    static const char *const bad[] = {"",
                                      "/",
                                      "0",
                                      "0/",
                                      "/000",
                                      "00/000",
                                      "01/000",
                                      "64/000",
                                      "100/000",
                                      "-1/000",
                                      "+1/000",
                                      "4294967296/000",
                                      "a/000",
                                      "0/0",
                                      "0/00",
                                      "0/0000",
                                      "0/00a",
                                      "0/x000",
                                      "0/x000/000",
                                      "0/x000/x001/000",
                                      "0/x001/",
                                      "0/x001/x002",
                                      "0/x001/00",
                                      "0/x001/1000",
                                      "0/001/000",
                                      "0/X001/000",
                                      "0/x001//000",
                                      "0//000",
                                      "0/000/",
                                      "0/000.p",
                                      "0/000.p/",
                                      "0/000.p/0",
                                      "0/000.p/00",
                                      "0/000.p/01",
                                      "0/000.p/256",
                                      "0/000.p/1000",
                                      "0/000.p/4294967297",
                                      "0/000.p/1/",
                                      "0/000.p/1a",
                                      "0/000.P/1",
                                      "0/000p/1",
                                      "0/000.p/-1",
                                      "0/000 ",
                                      " 0/000",
                                      "0/x001/x002/x003/x004/x005/x006/007",
                                      "entries",
                                      "entries/",
                                      "entries/0",
                                      "entries/0/000",
                                      "entries/000.p/256",
                                      "Entries/000",
                                      "entriesx/000",
                                      "0/000?",
                                      "data/000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_tile tile = {.level = 77};
        cr_expect_not(audit_tile_parse(bad[i], &tile), "%s", bad[i]);
        cr_expect_eq(tile.level, 77);
    }
}

Test(audit_tiles, a_tree_has_the_tiles_that_the_specification_counts)
{
    /* Its example: 70,000 entries. */
    cr_expect_eq(audit_tile_width(70000, 0, 0), 256);
    cr_expect_eq(audit_tile_width(70000, 0, 272), 256);
    cr_expect_eq(audit_tile_width(70000, 0, 273), 112);
    cr_expect_eq(audit_tile_width(70000, 0, 274), 0);
    cr_expect_eq(audit_tile_width(70000, 1, 0), 256);
    cr_expect_eq(audit_tile_width(70000, 1, 1), 17);
    cr_expect_eq(audit_tile_width(70000, 1, 2), 0);
    cr_expect_eq(audit_tile_width(70000, 2, 0), 1);
    cr_expect_eq(audit_tile_width(70000, 2, 1), 0);
    cr_expect_eq(audit_tile_width(70000, 3, 0), 0);
    /* Its other one, and the ends. */
    cr_expect_eq(audit_tile_width(256, 0, 0), 256);
    cr_expect_eq(audit_tile_width(256, 0, 1), 0);
    cr_expect_eq(audit_tile_width(256, 1, 0), 1);
    cr_expect_eq(audit_tile_width(255, 1, 0), 0);
    cr_expect_eq(audit_tile_width(0, 0, 0), 0);
    cr_expect_eq(audit_tile_width(UINT64_MAX, 7, 0), 255);
    cr_expect_eq(audit_tile_width(UINT64_MAX, 8, 0), 0);
    cr_expect_eq(audit_tile_width(UINT64_MAX, 63, 0), 0);
    cr_expect_eq(audit_tile_width(UINT64_MAX, 0, UINT64_MAX), 0);
}

/* ---- on a log ---- */

enum { LOG_ENTRIES = 601 /* an odd number: no ADMIT without its RESULT */ };

static char directory[PATH_BYTES];
static struct audit_log *served;
static uint8_t leaf_hashes[LOG_ENTRIES][AUDIT_HASH_BYTES];
static struct buffer tile_bytes;

static bool note_leaf(void *context, uint64_t index, struct bytes leaf)
{
    (void)context;
    audit_leaf_hash(leaf, leaf_hashes[index]);
    return true;
}

static void served_open(void)
{
    struct err err;
    directory_make(directory);
    rmdir(directory);
    log_make(directory, LOG_ENTRIES);
    served = log_open(directory, &clock_system, NULL);
    buffer_init(&tile_bytes, AUDIT_TILE_BYTES_MAX);
    cr_assert(audit_log_each(served, 0, note_leaf, NULL, &err));
}

static void served_close(void)
{
    buffer_release(&tile_bytes);
    audit_log_close(served);
    directory_remove(directory);
}

static bool fetch(const char *path, struct err *err)
{
    struct audit_tile tile;
    cr_assert(audit_tile_parse(path, &tile), "%s", path);
    tile_bytes.size = 0;
    return audit_log_tile(served, &tile, &tile_bytes, err);
}

/* The leaves [first, first + count) as one full subtree. */
static void subtree(uint64_t first, uint64_t count, uint8_t out[static AUDIT_HASH_BYTES])
{
    struct audit_range range;
    audit_range_init(&range);
    for (uint64_t i = 0; i < count; i++) {
        audit_range_append(&range, leaf_hashes[first + i], NULL);
    }
    audit_range_root(&range, out);
}

Test(audit_tiles, tiles_hold_the_hashes_of_full_subtrees, .init = served_open, .fini = served_close)
{
    static const struct {
        const char *path;
        uint64_t first, leaves; /* of the first hash, in each */
        unsigned width;
    } tiles[] = {{"0/000", 0, 1, 256},     {"0/001", 256, 1, 256},   {"0/002.p/89", 512, 1, 89},
                 {"0/002.p/1", 512, 1, 1}, {"0/001.p/3", 256, 1, 3}, {"0/000.p/255", 0, 1, 255},
                 {"1/000.p/2", 0, 256, 2}, {"1/000.p/1", 0, 256, 1}};
    for (size_t i = 0; i < sizeof(tiles) / sizeof(tiles[0]); i++) {
        struct err err;
        cr_assert(fetch(tiles[i].path, &err), "%s", err.message);
        cr_assert_eq(tile_bytes.size, tiles[i].width * AUDIT_HASH_BYTES, "%s", tiles[i].path);
        for (unsigned hash = 0; hash < tiles[i].width; hash++) {
            uint8_t expected[AUDIT_HASH_BYTES];
            subtree(tiles[i].first + hash * tiles[i].leaves, tiles[i].leaves, expected);
            cr_assert_arr_eq(tile_bytes.ptr + hash * AUDIT_HASH_BYTES, expected, sizeof(expected));
        }
    }
}

Test(audit_tiles, bundles_hold_the_entries, .init = served_open, .fini = served_close)
{
    static const struct {
        const char *path;
        uint64_t first, count;
    } bundles[] = {{"entries/000", 0, 256},
                   {"entries/001", 256, 256},
                   {"entries/002.p/89", 512, 89},
                   {"entries/001.p/17", 256, 17}};
    for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++) {
        struct err err;
        uint64_t index = bundles[i].first;
        cr_assert(fetch(bundles[i].path, &err), "%s", err.message);
        struct reader reader = reader_of(buffer_bytes(&tile_bytes));
        while (reader_left(&reader) > 0) {
            uint16_t size = 0;
            struct bytes leaf;
            uint8_t hash[AUDIT_HASH_BYTES];
            cr_assert(reader_u16be(&reader, &size) && reader_take(&reader, size, &leaf));
            audit_leaf_hash(leaf, hash);
            cr_assert_arr_eq(hash, leaf_hashes[index], sizeof(hash), "entry %d", (int)index);
            index++;
        }
        cr_assert_eq(index, bundles[i].first + bundles[i].count);
    }
}

/* The entries of the bundle have the hashes of the tile. */
static void expect_pair(const char *number)
{
    char path[AUDIT_TILE_PATH_CHARS_MAX + 1];
    uint8_t hashes[AUDIT_TILE_WIDTH * AUDIT_HASH_BYTES];
    struct err err;
    size_t at = 0;
    (void)snprintf(path, sizeof(path), "0/%s", number);
    cr_assert(fetch(path, &err), "%s", err.message);
    size_t size = tile_bytes.size;
    memcpy(hashes, tile_bytes.ptr, size);
    (void)snprintf(path, sizeof(path), "entries/%s", number);
    cr_assert(fetch(path, &err), "%s", err.message);
    struct reader reader = reader_of(buffer_bytes(&tile_bytes));
    for (; reader_left(&reader) > 0; at += AUDIT_HASH_BYTES) {
        uint16_t leaf_size = 0;
        struct bytes leaf;
        uint8_t hash[AUDIT_HASH_BYTES];
        cr_assert(reader_u16be(&reader, &leaf_size) && reader_take(&reader, leaf_size, &leaf));
        audit_leaf_hash(leaf, hash);
        cr_assert(at < size && memcmp(hashes + at, hash, sizeof(hash)) == 0);
    }
    cr_assert_eq(at, size);
}

Test(audit_tiles, bundles_reach_over_the_ends_of_segments, .init = served_open,
     .fini = served_close)
{
    log_rotate(served); /* entry 601; the next segment begins with 602 */
    expect_pair("002.p/90");
    for (int i = 0; i < 10; i++) {
        (void)log_admit(served, i);
    }
    expect_pair("002.p/100");
    log_rotate(served); /* with 612 */
    (void)log_admit(served, 11);
    log_rotate(served); /* with 614: a segment of two entries */
    (void)log_admit(served, 12);
    expect_pair("002.p/104");
    expect_pair("002.p/91");
    audit_log_close(served);
    served = log_open(directory, &clock_system, NULL);
    expect_pair("002.p/104");
}

Test(audit_tiles, what_the_checkpoint_does_not_cover_is_not_there, .init = served_open,
     .fini = served_close)
{
    static const char *const absent[] = {"0/002",
                                         "0/002.p/90",
                                         "0/003.p/1",
                                         "1/000",
                                         "1/000.p/3",
                                         "1/001.p/1",
                                         "2/000.p/1",
                                         "63/000.p/1",
                                         "entries/002",
                                         "0/x001/000",
                                         "entries/002.p/90",
                                         "entries/003.p/1",
                                         "0/x999/x999/x999/x999/x999/999"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        struct err err;
        cr_expect_not(fetch(absent[i], &err), "%s", absent[i]);
        cr_expect_eq(err.code, ERR_NOT_FOUND, "%s", absent[i]);
        cr_expect_eq(tile_bytes.size, 0);
    }
    /* Each more entry widens it. */
    struct err err;
    (void)log_admit(served, 1);
    cr_expect(fetch("0/002.p/90", &err) && fetch("entries/002.p/90", &err));
    cr_expect_not(fetch("0/002.p/91", &err));
}

Test(audit_tiles, without_memory_there_is_an_error, .init = served_open, .fini = served_close)
{
    struct err err;
    buffer_release(&tile_bytes);
    buffer_init(&tile_bytes, 31);
    cr_expect_not(fetch("0/002.p/1", &err));
    cr_expect_eq(err.code, ERR_NO_MEMORY);
    buffer_release(&tile_bytes);
    buffer_init(&tile_bytes, 31);
    cr_expect_not(fetch("entries/002.p/1", &err));
    cr_expect_eq(err.code, ERR_NO_MEMORY);
}

Test(audit_tiles, what_the_files_have_lost_is_an_error, .init = served_open, .fini = served_close)
{
    char path[PATH_BYTES];
    struct err err;
    path_join(path, directory, "entries/000000000000.log");
    cr_assert_eq(truncate(path, 1000), 0);
    cr_expect_not(fetch("entries/001", &err));
    cr_expect_eq(err.code, ERR_TAMPERED);
    /* The hashes lie elsewhere. */
    cr_expect(fetch("0/001", &err));
}

Test(audit_tiles, a_row_of_leaf_hashes_that_is_not_stored_is_an_error)
{
    uint8_t hash[AUDIT_HASH_BYTES] = {1};
    uint8_t row[3 * AUDIT_HASH_BYTES];
    struct audit_tree tree;
    struct err err;
    directory_make(directory);
    int fd = open(directory, O_RDONLY | O_DIRECTORY);
    cr_assert(audit_tree_open(&tree, &audit_io_system, fd, 8, &err), "%s", err.message);
    audit_tree_begin(&tree);
    cr_assert(audit_tree_append(&tree, hash, &err) && audit_tree_append(&tree, hash, &err));
    cr_assert(audit_tree_store(&tree, &err));
    cr_expect(audit_tree_stored_leaves(&tree, 0, 2, row, &err));
    cr_expect_arr_eq(row, hash, sizeof(hash));
    cr_expect_not(audit_tree_stored_leaves(&tree, 0, 3, row, &err));
    cr_expect_eq(err.code, ERR_IO);
    cr_expect_not(audit_tree_stored_leaves(&tree, 256, 1, row, &err));
    cr_expect_eq(err.code, ERR_IO);
    close(tree.fd);
    tree.fd = -1;
    cr_expect_not(audit_tree_stored_leaves(&tree, 0, 1, row, &err));
    cr_expect_eq(err.code, ERR_IO);
    audit_tree_close(&tree);
    close(fd);
    directory_remove(directory);
}
