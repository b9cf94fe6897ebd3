/* log_read.c: the audit log as anybody may read it: GET /v1/log/checkpoint, /v1/log/tile/… as
 * c2sp.org/tlog-tiles says. Public: entries hold hashes only.
 *
 * A tile is the same for ever, so caches may keep it for ever; the checkpoint changes with every
 * commit. What the checkpoint does not cover yet is not there, and no cache may remember that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

static const char cache_for_ever[] = "public, max-age=31536000, immutable";
static const char cache_for_a_second[] = "public, max-age=1";

void log_read_checkpoint(struct api_call *call)
{
    struct buffer checkpoint;
    buffer_init(&checkpoint, AUDIT_CHECKPOINT_BYTES_MAX);
    if (audit_log_checkpoint(call->service->parts.log, &checkpoint)) {
        api_answer_cached(call, "text/plain; charset=utf-8", cache_for_a_second,
                          buffer_bytes(&checkpoint));
    } else {
        struct err err;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for the checkpoint");
        api_answer_err(call, &err, NULL);
    }
    buffer_release(&checkpoint);
}

/* With the tiles below the same prefix it is a log of its own for who wants cosignatures: it only
 * grows when enough witnesses have seen it. */
void log_read_witnessed(struct api_call *call)
{
    struct buffer checkpoint;
    buffer_init(&checkpoint, AUDIT_CHECKPOINT_BYTES_MAX);
    if (witnesses_checkpoint(call->service->parts.witnesses, &checkpoint)) {
        api_answer_cached(call, "text/plain; charset=utf-8", cache_for_a_second,
                          buffer_bytes(&checkpoint));
    } else {
        struct err err;
        (void)err_set(&err, ERR_NOT_FOUND, "no witness has cosigned this log");
        api_answer_err(call, &err, NULL);
    }
    buffer_release(&checkpoint);
}

/* *status: of the refusal; 0: the one of its code. */
static bool tile_read(struct api_call *call, struct buffer *out, int *status, struct err *err)
{
    struct audit_tile tile;
    struct audit_log *log = call->service->parts.log;
    struct metrics *metrics = &call->service->metrics;
    if (!audit_tile_parse(call->parameter, &tile)) {
        return err_set(err, ERR_MALFORMED_REQUEST,
                       "a tile's path is tile/<level>/<number> or tile/entries/<number>, with "
                       ".p/<width> if it is not full, as c2sp.org/tlog-tiles writes them");
    }
    if (!audit_log_tile(log, &tile, out, err)) {
        uint64_t pruned_tiles = (audit_log_first(log) + AUDIT_TILE_WIDTH - 1) / AUDIT_TILE_WIDTH;
        bool is_pruned = tile.is_entries && tile.number < pruned_tiles;
        *status = is_pruned && err->code == ERR_NOT_FOUND ? 410 : 0;
        return false;
    }
    metric_add(tile.is_entries ? metrics->log_bundles : metrics->log_tiles, 1);
    return true;
}

void log_read_tile(struct api_call *call)
{
    struct buffer content;
    struct err err;
    int status = 0;
    buffer_init(&content, AUDIT_TILE_BYTES_MAX);
    if (tile_read(call, &content, &status, &err)) {
        api_answer_cached(call, "application/octet-stream", cache_for_ever, buffer_bytes(&content));
    } else {
        api_answer_err_as(call, &err, status);
    }
    buffer_release(&content);
}
