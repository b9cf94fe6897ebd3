/* audit_find.c: see audit_find.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/audit_find.h"

#include "base/text.h"
#include "cli/client.h"
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>

enum { ROOTS_BYTES_MAX = 1024 * 1024 * 1024, CALL_SECONDS = 30, PROOF_BYTES_MAX = 64 * 1024 };

bool audit_id_is_valid(const char *text)
{
    uint8_t uuid[TEXT_UUID_BYTES];
    return text_uuid_decode(text, strlen(text), uuid);
}

static bool text_is(const json_t *object, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL && strcmp(text, wanted) == 0;
}

static void entry_keep(struct audit_found *found, struct audit_found_entry *entry, uint64_t index,
                       struct bytes leaf, json_t *json)
{
    if (entry->is_there) {
        return; /* the first one counts; a second RESULT would have made the log bad */
    }
    entry->is_there = true;
    entry->index = index;
    entry->json = json_incref(json);
    buffer_append_bytes(&entry->leaf, leaf);
    found->failed = found->failed || entry->leaf.failed;
}

/* ---- in a directory ---- */

struct search {
    struct audit_found *found;
    struct progress progress;
};

static bool contains(struct bytes leaf, const char *text)
{
    return memmem(leaf.ptr, leaf.size, text, strlen(text)) != NULL;
}

static bool names_admit(const json_t *recovered, uint64_t admit)
{
    const json_t *admits = json_object_get(recovered, "admits");
    for (size_t i = 0; i < json_array_size(admits); i++) {
        if ((uint64_t)json_integer_value(json_array_get(admits, i)) == admit) {
            return true;
        }
    }
    return false;
}

static void search_visit(void *context, uint64_t index, struct bytes leaf)
{
    struct audit_found *found = ((struct search *)context)->found;
    struct err ignored;
    json_t *json = NULL;
    if (found->id == NULL) {
        return;
    }
    bool is_its = contains(leaf, found->id);
    bool may_name_it = found->admit.is_there && !found->result.is_there &&
                       contains(leaf, "\"type\":\"RECOVERED\"");
    if ((!is_its && !may_name_it) || !json_text_parse(leaf, &json, &ignored)) {
        return;
    }
    if (is_its && text_is(json, "request_id", found->id)) {
        bool is_admit = text_is(json, "type", "ADMIT");
        if (is_admit || text_is(json, "type", "RESULT")) {
            entry_keep(found, is_admit ? &found->admit : &found->result, index, leaf, json);
        }
    } else if (may_name_it && text_is(json, "type", "RECOVERED") &&
               names_admit(json, found->admit.index)) {
        entry_keep(found, &found->recovered, index, leaf, json);
    }
    json_decref(json);
}

static void search_progress(void *context, uint64_t done, uint64_t total)
{
    struct search *search = context;
    progress_bar(&search->progress, "reading the log", done, total);
}

static bool search_directory(const struct audit_target *target, const struct audit_request *request,
                             struct audit_found *found, struct err *err)
{
    struct search search = {.found = found};
    struct audit_report report;
    const struct audit_expectation expectation = {
        .vkeys = request->vkeys,
        .vkey_count = request->vkey_count,
        .progress = search_progress,
        .visit = search_visit,
        .context = &search,
        .roots = &found->roots,
        .note = &found->note,
    };
    progress_init(&search.progress, request->json);
    bool ok = audit_verify(&target->source, &expectation, &report, err);
    progress_bar_end(&search.progress);
    if (!ok) {
        return false;
    }
    if (found->failed || found->roots.failed || found->note.failed) {
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    found->verdict = report.verdict;
    (void)snprintf(found->detail, sizeof(found->detail), "%s", report.detail);
    (void)audit_checkpoint_verify(buffer_bytes(&found->note), "", &found->checkpoint);
    return true;
}

/* ---- at a node ---- */

/* Any of the given keys; without one the key that the node tells along. */
static enum audit_verdict check_proof(const struct audit_request *request, const json_t *body,
                                      struct bytes proof, struct bytes leaf, uint64_t *index,
                                      struct audit_checkpoint *checkpoint)
{
    uint8_t hash[AUDIT_HASH_BYTES];
    const char *told = json_string_value(json_object_get(body, "log_vkey"));
    enum audit_verdict verdict = AUDIT_UNVERIFIABLE;
    audit_leaf_hash(leaf, hash);
    if (request->vkey_count == 0) {
        return audit_tlog_proof_verify(proof, told != NULL ? told : "", hash, index, checkpoint);
    }
    for (size_t i = 0; i < request->vkey_count && verdict == AUDIT_UNVERIFIABLE; i++) {
        verdict = audit_tlog_proof_verify(proof, request->vkeys[i], hash, index, checkpoint);
    }
    return verdict;
}

static void blame(struct audit_found *found, enum audit_verdict verdict, const char *what)
{
    if (found->verdict == AUDIT_OK) {
        found->verdict = verdict;
        (void)snprintf(found->detail, sizeof(found->detail), "%s", what);
    }
}

static bool answer_take(struct audit_found *found, const struct audit_request *request,
                        struct audit_found_entry *entry, const char *type, const json_t *body,
                        struct err *err)
{
    const char *leaf = json_string_value(json_object_get(body, "leaf"));
    const char *proof = json_string_value(json_object_get(body, "tlog_proof"));
    struct audit_checkpoint checkpoint;
    struct err ignored;
    uint64_t index = 0;
    json_t *json = NULL;
    if (leaf == NULL || proof == NULL || !json_text_parse(bytes_of_string(leaf), &json, &ignored)) {
        return err_set(err, ERR_IO, "the node's answer holds no entry or no proof of it");
    }
    enum audit_verdict verdict = check_proof(request, body, bytes_of_string(proof),
                                             bytes_of_string(leaf), &index, &checkpoint);
    const json_t *said = json_object_get(json, "index");
    if (verdict == AUDIT_TAMPERED) {
        blame(found, verdict, "the proof that the node gave does not hold");
    } else if (!text_is(json, "request_id", found->id) || !text_is(json, "type", type) ||
               !json_is_integer(said) || (uint64_t)json_integer_value(said) != index) {
        blame(found, AUDIT_TAMPERED, "the entry that the node gave is another request's");
    } else if (verdict != AUDIT_OK) {
        blame(found, verdict, "the checkpoint is not signed by a key that is known");
    }
    if (verdict != AUDIT_TAMPERED && checkpoint.size >= found->checkpoint.size) {
        found->checkpoint = checkpoint;
    }
    entry_keep(found, entry, index, bytes_of_string(leaf), json);
    buffer_append_string(&entry->tlog_proof, proof);
    json_decref(json);
    return !entry->tlog_proof.failed || err_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool ask_node(struct client *client, struct audit_found *found,
                     const struct audit_request *request, struct audit_found_entry *entry,
                     const char *commitment, const char *type, struct err *err)
{
    char path[128];
    struct client_answer answer;
    (void)snprintf(path, sizeof(path), "/v1/verify/%s?commitment_type=%s", found->id, commitment);
    if (!client_call(client, path, NULL, CALL_SECONDS, &answer, err)) {
        return false;
    }
    const char *message = json_string_value(json_object_get(answer.body, "message"));
    bool ok = true;
    if (answer.status == 200) {
        ok = answer_take(found, request, entry, type, answer.body, err);
    } else if (answer.status == 410) {
        blame(found, AUDIT_PRUNED, message != NULL ? message : "the node pruned it");
    } else if (answer.status != 404) {
        ok = err_set(err, ERR_IO, "the node answered %d: %.300s", answer.status,
                     message != NULL ? message : "no message");
    }
    json_decref(answer.body);
    return ok;
}

static bool search_node(const struct audit_target *target, const struct audit_request *request,
                        struct audit_found *found, struct err *err)
{
    struct client *client = NULL;
    const char *node = audit_http_node(target->http);
    if (node == NULL) {
        return err_set(err, ERR_USAGE,
                       "%s is a log, not a node: only nodes find requests by their ids; give an "
                       "index",
                       target->name);
    }
    if (!client_open(node, NULL, &client, err)) {
        return false;
    }
    bool ok = ask_node(client, found, request, &found->admit, "request", "ADMIT", err) &&
              ask_node(client, found, request, &found->result, "result", "RESULT", err);
    client_close(client);
    return ok;
}

bool audit_find(const struct audit_target *target, const struct audit_request *request,
                const char *id, struct audit_found *found, struct err *err)
{
    struct audit_found_entry *entries[] = {&found->admit, &found->result, &found->recovered};
    *found = (struct audit_found){
        .id = id, .verdict = AUDIT_OK, .key_is_given = request->vkey_count > 0};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        buffer_init(&entries[i]->leaf, AUDIT_LEAF_BYTES_MAX);
        buffer_init(&entries[i]->tlog_proof, PROOF_BYTES_MAX);
    }
    buffer_init(&found->roots, ROOTS_BYTES_MAX);
    buffer_init(&found->note, AUDIT_CHECKPOINT_BYTES_MAX);
    return target->http != NULL ? search_node(target, request, found, err)
                                : search_directory(target, request, found, err);
}

void audit_found_release(struct audit_found *found)
{
    struct audit_found_entry *entries[] = {&found->admit, &found->result, &found->recovered};
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        json_decref(entries[i]->json);
        buffer_release(&entries[i]->leaf);
        buffer_release(&entries[i]->tlog_proof);
    }
    buffer_release(&found->roots);
    buffer_release(&found->note);
}
