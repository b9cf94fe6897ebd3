/* fuzz_audit_tile.c: the paths of tiles, as anybody asks for them. A path that is one is the only
 * one of its tile.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/audit.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[128];
    char again[AUDIT_TILE_PATH_CHARS_MAX + 1];
    struct audit_tile tile;
    if (size >= sizeof(path)) {
        return 0;
    }
    memcpy(path, data, size);
    path[size] = 0;
    if (audit_tile_parse(path, &tile)) {
        assert(tile.width >= 1 && tile.width <= AUDIT_TILE_WIDTH);
        assert(tile.level <= AUDIT_TILE_LEVEL_MAX && (!tile.is_entries || tile.level == 0));
        assert(audit_tile_width(UINT64_MAX, tile.level, tile.number) <= AUDIT_TILE_WIDTH);
        audit_tile_format(&tile, again);
        assert(strcmp(again, path) == 0);
    }
    return 0;
}
