/* verify_head.c: what is verified before and after the entries: whose key it is, and the
 * checkpoints.
 *
 * Which key had to sign is only known when the entries are read (verify_control.c). Until then
 * nothing that is found counts against the log: a stranger's checkpoint is UNVERIFIABLE, whatever
 * else is wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/verify.h"

#include "audit/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void audit_verifier_conclude(struct audit_verifier *verifier, enum audit_verdict verdict,
                             uint64_t bad_index, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    verifier->report->verdict = verdict;
    verifier->report->bad_index = bad_index;
    (void)vsnprintf(verifier->report->detail, sizeof(verifier->report->detail), format, arguments);
    va_end(arguments);
}

/* ---- keys and checkpoints ---- */

static bool trust(struct audit_verifier *verifier, struct bytes vkey)
{
    struct err ignored;
    if (verifier->trusted_count == AUDIT_TRUSTED_KEYS_MAX ||
        !audit_key_parse(vkey, &verifier->trusted[verifier->trusted_count], &ignored)) {
        return false;
    }
    verifier->trusted_count++;
    return true;
}

/* Every line is a key. */
static bool trust_lines(struct audit_verifier *verifier, struct bytes text)
{
    if (text.size == 0) {
        return false;
    }
    while (text.size > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.ptr);
        if (!trust(verifier, bytes_of(text.ptr, size))) {
            return false;
        }
        size_t used = size + (end != NULL);
        text = bytes_of(text.ptr + used, text.size - used);
    }
    return true;
}

/* *go_on false: the report is done. */
bool audit_verifier_load_keys(struct audit_verifier *verifier, bool *go_on, struct err *err)
{
    const struct audit_expectation *expectation = verifier->expectation;
    bool ok = true;
    *go_on = true;
    for (size_t i = 0; i < expectation->vkey_count; i++) {
        if (!trust_lines(verifier, bytes_of_string(expectation->vkeys[i]))) {
            audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                                    "what was given is not a verifier key");
            *go_on = false;
            return true;
        }
    }
    verifier->trusts_source = verifier->trusted_count == 0;
    if (!verifier->trusts_source || verifier->source->vkeys == NULL) {
        return true;
    }
    struct buffer text;
    buffer_init(&text, AUDIT_VKEYS_BYTES_MAX);
    bool read = verifier->source->vkeys(verifier->source->context, &text, err);
    if (!read && err->code != ERR_NOT_FOUND && err->code != ERR_FORMAT) {
        ok = false;
    } else if (!read || !trust_lines(verifier, buffer_bytes(&text))) {
        audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                                "%s is not a verifier key", AUDIT_VKEY_FILE);
        *go_on = false;
    }
    buffer_release(&text);
    return ok;
}

static void keep_head(struct audit_verifier *verifier)
{
    struct audit_report *report = verifier->report;
    report->size = verifier->checkpoint.size;
    memcpy(report->origin, verifier->checkpoint.origin, sizeof(report->origin));
    text_hex_encode(bytes_of(verifier->checkpoint.root, AUDIT_HASH_BYTES), report->root_hex);
    verifier->control.origin = verifier->checkpoint.origin;
}

/* With every key that is trusted; the sum: TAMPERED if one says so, else OK if one does. */
static enum audit_verdict open_trusted(const struct audit_verifier *verifier, struct bytes note,
                                       struct audit_checkpoint *out)
{
    static const struct audit_key nobody; /* no name is empty, so it fits no signature */
    enum audit_verdict sum = audit_checkpoint_open(note, &nobody, out);
    for (size_t i = 0; i < verifier->trusted_count && sum != AUDIT_TAMPERED; i++) {
        enum audit_verdict verdict = audit_checkpoint_open(note, &verifier->trusted[i], out);
        if (verdict != AUDIT_UNVERIFIABLE) {
            sum = verdict;
        }
    }
    return sum;
}

/* Whoever asks for witnesses gets the head that has their cosignatures; the newest one has not got
 * them yet. What follows behind it is then as pending as what follows a checkpoint. */
static bool head_read(struct audit_verifier *verifier, struct err *err)
{
    const struct audit_source *source = verifier->source;
    struct err why;
    if (verifier->expectation->witnesses != NULL && source->cosigned != NULL) {
        if (source->cosigned(source->context, &verifier->note, &why)) {
            return true;
        }
        if (why.code != ERR_NOT_FOUND) {
            *err = why;
            return false;
        }
    }
    return source->checkpoint(source->context, &verifier->note, err);
}

bool audit_verifier_load_checkpoint(struct audit_verifier *verifier, bool *go_on, struct err *err)
{
    bool found = head_read(verifier, err);
    *go_on = false;
    if (!found) {
        if (err->code != ERR_NOT_FOUND && err->code != ERR_FORMAT) {
            return false;
        }
        bool longer = err->code == ERR_FORMAT;
        audit_verifier_conclude(verifier, longer ? AUDIT_TAMPERED : AUDIT_TRUNCATED, UINT64_MAX,
                                longer ? "the checkpoint is too long" : "there is no checkpoint");
        return true;
    }
    enum audit_verdict verdict =
        open_trusted(verifier, buffer_bytes(&verifier->note), &verifier->checkpoint);
    if (verdict == AUDIT_TAMPERED) {
        audit_verifier_conclude(verifier, verdict, UINT64_MAX,
                                "the checkpoint is malformed or its signature is bad");
        return true;
    }
    verifier->is_signed = verdict == AUDIT_OK;
    keep_head(verifier);
    if (verifier->expectation->note != NULL) {
        buffer_append_bytes(verifier->expectation->note, buffer_bytes(&verifier->note));
    }
    *go_on = true;
    return true;
}

void audit_verifier_doubt_since(struct audit_verifier *verifier)
{
    audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                            "the older checkpoint to compare with does not verify with this key");
}

/* The auditor's own checkpoint: if it does not verify, that says nothing about the log. */
bool audit_verifier_load_since(struct audit_verifier *verifier)
{
    struct bytes since = verifier->expectation->since;
    if (since.size == 0) {
        return true;
    }
    if (open_trusted(verifier, since, &verifier->since) == AUDIT_TAMPERED) {
        audit_verifier_doubt_since(verifier);
        return false;
    }
    verifier->has_since = true;
    return true;
}

/* The key that had to sign a tree of that size, judged by the keys that entries name. */
static const struct audit_key *signer_at(const struct audit_verifier *verifier, uint64_t size)
{
    const struct audit_key *key = audit_chain_at(&verifier->control.chain, size);
    return key != NULL || verifier->trusted_count == 0 ? key : &verifier->trusted[0];
}

/* Is the chain of keys one that the auditor knows? */
static bool chain_is_trusted(const struct audit_verifier *verifier)
{
    const struct audit_chain *chain = &verifier->control.chain;
    for (size_t i = 0; i < verifier->trusted_count; i++) {
        if (chain->count == 0 || audit_chain_has(chain, &verifier->trusted[i])) {
            return true;
        }
    }
    return verifier->trusted_count == 0 && chain->count > 0;
}

enum audit_verdict audit_verifier_open(const struct audit_verifier *verifier, struct bytes note,
                                       struct audit_checkpoint *out)
{
    const struct audit_key *key = signer_at(verifier, out->size);
    if (key == NULL || !chain_is_trusted(verifier)) {
        return AUDIT_UNVERIFIABLE;
    }
    if (verifier->control.chain.count == 0) {
        return open_trusted(verifier, note, out);
    }
    return audit_checkpoint_open(note, key, out);
}

/* Whatever was found counts only if the checkpoint is the log's. */
bool audit_verifier_knows_signer(struct audit_verifier *verifier)
{
    struct audit_checkpoint copy = verifier->checkpoint;
    if (verifier->is_signed ||
        audit_verifier_open(verifier, buffer_bytes(&verifier->note), &copy) == AUDIT_OK) {
        return true;
    }
    audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                            verifier->trusted_count == 0
                                ? "the checkpoint is signed by no key that the log names"
                                : "the checkpoint is not signed by the key of %s",
                            verifier->trusted[0].name);
    return false;
}

/* All entries are as signed. By the right key? */
bool audit_verifier_compare_signers(struct audit_verifier *verifier)
{
    struct audit_checkpoint copy = verifier->checkpoint;
    enum audit_verdict verdict =
        audit_verifier_open(verifier, buffer_bytes(&verifier->note), &copy);
    if (verdict == AUDIT_OK) {
        return true;
    }
    if (verdict == AUDIT_TAMPERED) {
        audit_verifier_conclude(verifier, verdict, UINT64_MAX, "the checkpoint's signature is bad");
    } else if (verifier->is_signed) {
        audit_verifier_conclude(
            verifier, AUDIT_TAMPERED, UINT64_MAX,
            "the checkpoint is not signed by the key that the entries say is in use");
    } else {
        return audit_verifier_knows_signer(verifier); /* it does not, and says so */
    }
    return false;
}

/* ---- what the auditor's policy asks for ---- */

/* When the checkpoint was there for certain: its last entry's time, or a witness's later word. */
static int64_t newest_ms(const struct audit_verifier *verifier)
{
    const struct audit_policy *witnesses = verifier->expectation->witnesses;
    int64_t newest = verifier->report->last_time_ms;
    for (size_t i = 0; witnesses != NULL && i < witnesses->count; i++) {
        uint64_t time_s = 0;
        if (audit_cosignature_verify(buffer_bytes(&verifier->note), &witnesses->cosigners[i],
                                     &time_s) == AUDIT_OK &&
            time_s < INT64_MAX / 1000 && (int64_t)time_s * 1000 > newest) {
            newest = (int64_t)time_s * 1000;
        }
    }
    return newest;
}

bool audit_verifier_meets_policy(struct audit_verifier *verifier)
{
    const struct audit_expectation *expectation = verifier->expectation;
    size_t cosigned = 0;
    if (expectation->origin != NULL &&
        strcmp(expectation->origin, verifier->checkpoint.origin) != 0) {
        audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                                "it is another log than the policy's %s", expectation->origin);
        return false;
    }
    if (expectation->witnesses != NULL) {
        enum audit_verdict verdict =
            audit_policy_check(expectation->witnesses, buffer_bytes(&verifier->note), &cosigned);
        verifier->report->cosigned_count = cosigned;
        if (verdict != AUDIT_OK) {
            audit_verifier_conclude(verifier, verdict, UINT64_MAX,
                                    verdict == AUDIT_TAMPERED
                                        ? "a witness's cosignature of the checkpoint is bad"
                                        : "%zu witnesses cosigned the checkpoint; the policy asks "
                                          "for %zu",
                                    cosigned, expectation->witnesses->threshold);
            return false;
        }
    }
    if (expectation->age_ms_max > 0) {
        int64_t age_ms = clock_wall_ms(expectation->clock) - newest_ms(verifier);
        if (age_ms > 0 && (uint64_t)age_ms > expectation->age_ms_max) {
            audit_verifier_conclude(verifier, AUDIT_UNVERIFIABLE, UINT64_MAX,
                                    "nothing shows that the checkpoint is newer than %" PRId64
                                    " s; the policy asks for %" PRIu64 " s",
                                    age_ms / 1000, expectation->age_ms_max / 1000);
            return false;
        }
    }
    return true;
}
