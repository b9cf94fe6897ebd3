/* audit_prove.c: `audit prove`: a tlog-proof of one entry, to be kept or handed on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/text.h"
#include "cli/audit_find.h"

#include <inttypes.h>
#include <string.h>

struct proof {
    enum audit_verdict verdict;
    char detail[512];
    struct buffer leaf;
    struct buffer text;
};

static void refuse(struct proof *proof, enum audit_verdict verdict, const char *detail)
{
    proof->verdict = verdict;
    (void)snprintf(proof->detail, sizeof proof->detail, "%s", detail);
}

/* Out of tiles or of the directory that was just verified. */
static bool prove_index(const struct audit_target *target, struct bytes roots, struct bytes note,
                        uint64_t index, struct proof *proof, struct err *err)
{
    if (audit_source_prove(&target->source, roots, note, index, &proof->leaf, &proof->text, err)) {
        return true;
    }
    if (err->code != ERR_NOT_FOUND && err->code != ERR_TAMPERED) {
        return false;
    }
    refuse(proof, err->code == ERR_TAMPERED ? AUDIT_TAMPERED : AUDIT_NOT_FOUND, err->message);
    return true;
}

/* A server's word on an index: the checkpoint must be of a key that is given. */
static bool prove_remote_index(const struct audit_target *target,
                               const struct audit_request *request, uint64_t index,
                               struct proof *proof, struct err *err)
{
    struct audit_checkpoint checkpoint;
    struct buffer note;
    enum audit_verdict verdict = request->vkey_count == 0 ? AUDIT_OK : AUDIT_UNVERIFIABLE;
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    bool ok = target->source.checkpoint(target->source.context, &note, err);
    for (size_t i = 0; ok && i < request->vkey_count && verdict == AUDIT_UNVERIFIABLE; i++) {
        verdict = audit_checkpoint_verify(buffer_bytes(&note), request->vkeys[i], &checkpoint);
    }
    if (ok && verdict != AUDIT_OK) {
        refuse(proof, verdict, "the checkpoint is not signed by a key that was given");
    } else if (ok) {
        ok = prove_index(target, bytes_of(NULL, 0), buffer_bytes(&note), index, proof, err);
    }
    buffer_release(&note);
    return ok;
}

static bool prove_found(const struct audit_target *target, const struct audit_request *request,
                        const char *id, uint64_t index, struct proof *proof, struct err *err)
{
    struct audit_found found;
    bool ok = audit_find(target, request, id, &found, err);
    const struct audit_found_entry *entry = request->wants_request ? &found.admit : &found.result;
    if (!ok) {
        goto out;
    }
    if (found.verdict != AUDIT_OK) {
        refuse(proof, found.verdict, found.detail);
    } else if (id != NULL && !entry->is_there) {
        bool waits = found.admit.is_there && !found.recovered.is_there;
        refuse(proof, waits ? AUDIT_PENDING : AUDIT_NOT_FOUND,
               waits ? "it was admitted and has no result yet; --request proves that"
                     : "the log has no such entry of it");
    } else if (entry->is_there && entry->tlog_proof.size > 0) {
        buffer_append_bytes(&proof->text, buffer_bytes(&entry->tlog_proof));
    } else {
        ok = prove_index(target, buffer_bytes(&found.roots), buffer_bytes(&found.note),
                         id != NULL ? entry->index : index, proof, err);
    }
out:
    audit_found_release(&found);
    return ok;
}

static int proof_print(const struct cli_command *command, const struct audit_request *request,
                       const struct proof *proof)
{
    struct err err;
    if (proof->verdict != AUDIT_OK) {
        cli_complain(command, "%s: %s", audit_verdict_name(proof->verdict), proof->detail);
        return audit_exit_of(proof->verdict);
    }
    if (request->out == NULL) {
        fwrite(proof->text.ptr, 1, proof->text.size, stdout);
    } else if (!cli_file_write(request->out, buffer_bytes(&proof->text), &err)) {
        return cli_complain_err(command, &err);
    }
    return CLI_OK;
}

static int audit_prove_main(const struct cli_command *command, int argc, char **argv)
{
    struct audit_request request;
    struct audit_target target;
    struct proof proof = {.verdict = AUDIT_OK};
    struct err err;
    uint64_t index = 0;
    int code = audit_request_read(command, argc, argv, 2,
                                  "which entry? give its index or a request id", &request);
    if (code >= 0) {
        return code;
    }
    const char *word = request.words[0];
    bool is_index = text_u64_decode(word, strlen(word), &index);
    if (!is_index && !audit_id_is_valid(word)) {
        return cli_complain_usage(command, "'%s' is neither an index nor a request id", word);
    }
    buffer_init(&proof.leaf, AUDIT_LEAF_BYTES_MAX);
    buffer_init(&proof.text, 64 * 1024);
    bool ok = audit_target_open(request.words[1], &target, &err);
    if (ok && is_index && target.http != NULL) {
        ok = prove_remote_index(&target, &request, index, &proof, &err);
    } else if (ok) {
        ok = prove_found(&target, &request, is_index ? NULL : word, index, &proof, &err);
    }
    code =
        ok ? proof_print(command, &request, &proof) : audit_target_complain(command, &target, &err);
    audit_target_close(&target);
    buffer_release(&proof.leaf);
    buffer_release(&proof.text);
    return code;
}

static const struct cli_option audit_prove_options[] = {
    {AUDIT_REQUEST, "request", NULL,
     "of an ID: prove that it was admitted (default: prove its result)"},
    {AUDIT_VKEY, "vkey", "KEY", "the log's public key, from somewhere else than the log"},
    {AUDIT_OUT, "out", "FILE", "write the proof to FILE (default: stdout)"},
};

const struct cli_command cli_command_audit_prove = {
    .name = "audit prove",
    .synopsis = "ID|INDEX [DIR|URL] [--request] [--vkey KEY] [--out FILE]",
    .summary = "make a proof that an entry is in an audit log",
    .description =
        "  Prints the tlog-proof (c2sp.org/tlog-proof) of an entry: its index, the hashes from it\n"
        "  up to the root, and the signed checkpoint. Whoever has the entry and the log's public\n"
        "  key can check it without the log, for ever. ID is a request id; INDEX an entry's\n"
        "  number. The log is the one in DIR, which is verified whole, or at URL (default:\n"
        "  $WASM_HYPERVISOR_URL, else http://127.0.0.1:3000).\n",
    .options = audit_prove_options,
    .option_count = sizeof audit_prove_options / sizeof audit_prove_options[0],
    .notes = AUDIT_EXIT_HELP
    "\nEXAMPLE\n"
    "  wasm-hypervisor audit prove 7 http://127.0.0.1:3000 > entry-7.tlog-proof\n",
    .run = audit_prove_main,
};
