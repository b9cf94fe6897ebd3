/* rebuild.c: the store's index is brought up to the log at start: after a crash the last
 * executions, after the loss of the file all of them.
 *
 * A row that is there already knows more than the log (its owner, the answer), so only what is
 * missing is added. Doing it twice changes nothing.
 *
 * Rows are written by the store's own thread, in transactions of many, so a RESULT may come while
 * its ADMIT's row cannot be read yet. Since the last time that all were written, the ADMITs are
 * remembered; what else their rows had, the RESULT repeats.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"
#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { REBUILD_ROWS_AT_ONCE = 4096 }; /* far fewer than the store lets wait */

struct rebuild_admit {
    uint64_t index;
    int64_t time_ms;
};

struct rebuild {
    struct service *service;
    uint64_t added;
    size_t waiting;               /* rows put since all were written */
    struct rebuild_admit *admits; /* those of them that are ADMITs, in order */
    size_t admit_count;
    bool ok;
    struct err *err;
};

static bool hash_member(const json_t *leaf, const char *name, uint8_t *out)
{
    const char *text = json_string_value(json_object_get(leaf, name));
    return text != NULL && text_hex_decode(text, strlen(text), out, STORE_HASH_BYTES);
}

static void set_state(struct store_execution *row, enum session_state state)
{
    const char *name = session_state_name(state);
    memcpy(row->state, name, strlen(name) + 1);
}

static enum session_state state_of_status(const char *status)
{
    static const struct {
        const char *status;
        enum session_state state;
    } states[] = {{"success", SESSION_COMPLETED},
                  {"timeout", SESSION_TIMEOUT},
                  {"cancelled", SESSION_CANCELLED},
                  {"resource_exhausted", SESSION_EXEC_ERROR}};
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].status, status) == 0) {
            return states[i].state;
        }
    }
    return SESSION_ERROR;
}

static bool leaf_time(const json_t *leaf, int64_t *out)
{
    const char *time = json_string_value(json_object_get(leaf, "time"));
    return time != NULL && clock_rfc3339_decode(time, strlen(time), out);
}

static int admit_compare(const void *key, const void *admit)
{
    const uint64_t *index = key;
    uint64_t other = ((const struct rebuild_admit *)admit)->index;
    return *index < other ? -1 : *index > other;
}

/* What its ADMIT's row holds, which is still on its way to the disk. */
static bool row_of_admit(const struct rebuild *rebuild, const json_t *leaf,
                         struct store_execution *row)
{
    row->admit_index = (uint64_t)json_integer_value(json_object_get(leaf, "admit"));
    const struct rebuild_admit *admit = bsearch(
        &row->admit_index, rebuild->admits, rebuild->admit_count, sizeof(*admit), admit_compare);
    if (admit != NULL) {
        row->created_ms = admit->time_ms;
    }
    return (admit != NULL || leaf_time(leaf, &row->created_ms)) &&
           hash_member(leaf, "request_commitment", row->request_commitment);
}

/* Puts into the row what the leaf knows better. False if there is nothing. */
static bool row_update(const struct rebuild *rebuild, struct store_execution *row, bool is_result,
                       uint64_t index, const json_t *leaf)
{
    if (!is_result) {
        if (row->admit_index == index) {
            return false;
        }
        row->admit_index = index;
        set_state(row, SESSION_ERROR); /* until its RESULT says otherwise */
        return leaf_time(leaf, &row->created_ms) &&
               hash_member(leaf, "request_commitment", row->request_commitment);
    }
    const char *status = json_string_value(json_object_get(leaf, "status"));
    if (row->result_index == index || status == NULL) {
        return false;
    }
    if (row->admit_index == UINT64_MAX && !row_of_admit(rebuild, leaf, row)) {
        return false;
    }
    row->result_index = index;
    set_state(row, state_of_status(status));
    return hash_member(leaf, "result_commitment", row->result_commitment);
}

/* Up to `size` entries are in the index, and on the disk. */
static bool rebuild_write_all(struct rebuild *rebuild, uint64_t size)
{
    rebuild->waiting = 0;
    rebuild->admit_count = 0;
    return store_set_indexed_size(rebuild->service->parts.store, size, rebuild->err);
}

static bool rebuild_put(struct rebuild *rebuild, const struct store_execution *row, bool is_result,
                        uint64_t index)
{
    if (!store_put_execution(rebuild->service->parts.store, row, NULL, NULL, rebuild->err)) {
        return false;
    }
    assert(rebuild->waiting < REBUILD_ROWS_AT_ONCE);
    rebuild->waiting++;
    rebuild->added++;
    if (!is_result) {
        rebuild->admits[rebuild->admit_count++] =
            (struct rebuild_admit){.index = index, .time_ms = row->created_ms};
    }
    return rebuild->waiting < REBUILD_ROWS_AT_ONCE || rebuild_write_all(rebuild, index + 1);
}

/* Putting a row replaces it, so its answer has to come along. */
static bool row_take_answer(const struct rebuild *rebuild, struct store_execution *row,
                            struct arena *arena)
{
    struct store *store = rebuild->service->parts.store;
    struct store_execution whole;
    if (row->kept_bytes == 0) {
        return true;
    }
    if (!store_get_execution(store, row->request_id, arena, &whole, rebuild->err)) {
        return false;
    }
    row->answer = whole.answer;
    return true;
}

static bool rebuild_leaf(struct rebuild *rebuild, uint64_t index, const json_t *leaf)
{
    const char *type = json_string_value(json_object_get(leaf, "type"));
    const char *id = json_string_value(json_object_get(leaf, "request_id"));
    bool is_result = type != NULL && strcmp(type, "RESULT") == 0;
    struct store *store = rebuild->service->parts.store;
    struct store_execution row = {.admit_index = UINT64_MAX, .result_index = UINT64_MAX};
    struct arena arena;
    struct err err;
    if (type == NULL || id == NULL || (!is_result && strcmp(type, "ADMIT") != 0) ||
        !text_uuid_decode(id, strlen(id), row.request_id)) {
        return true; /* of no execution */
    }
    arena_init(&arena, NULL);
    uint8_t request_id[TEXT_UUID_BYTES];
    memcpy(request_id, row.request_id, sizeof(request_id));
    bool ok = true;
    if (!store_get_execution(store, request_id, NULL, &row, &err) && err.code != ERR_NOT_FOUND) {
        *rebuild->err = err;
        ok = false;
    } else if (row_update(rebuild, &row, is_result, index, leaf)) {
        ok = row_take_answer(rebuild, &row, &arena) && rebuild_put(rebuild, &row, is_result, index);
    }
    arena_release(&arena);
    return ok;
}

static bool rebuild_visit(void *context, uint64_t index, struct bytes text)
{
    struct rebuild *rebuild = context;
    json_t *leaf = NULL;
    if (!json_text_parse(text, &leaf, rebuild->err)) {
        rebuild->ok = false;
        return false;
    }
    rebuild->ok = rebuild_leaf(rebuild, index, leaf);
    json_decref(leaf);
    return rebuild->ok;
}

static bool rebuild_all(struct rebuild *rebuild, uint64_t first, uint64_t size)
{
    if (!audit_log_each(rebuild->service->parts.log, first, rebuild_visit, rebuild, rebuild->err) ||
        !rebuild->ok) {
        return err_wrap(rebuild->err, "bringing the index up to the log");
    }
    if (rebuild->added > 0) {
        log_write(LOG_INFO, "index_rebuilt", NULL, "%llu entries were added from the log",
                  (unsigned long long)rebuild->added);
    }
    return rebuild_write_all(rebuild, size);
}

bool rebuild_index(struct service *service, struct err *err)
{
    struct rebuild rebuild = {.service = service, .ok = true, .err = err};
    uint64_t first = 0;
    uint64_t size = audit_log_size(service->parts.log);
    if (!store_indexed_size(service->parts.store, &first, err)) {
        return false;
    }
    if (first >= size) {
        return true;
    }
    rebuild.admits = heap_alloc(REBUILD_ROWS_AT_ONCE * sizeof(*rebuild.admits));
    bool ok = rebuild.admits != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the index");
    ok = ok && rebuild_all(&rebuild, first, size);
    heap_free(rebuild.admits);
    return ok;
}
