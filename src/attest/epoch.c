/* epoch.c: an epoch: a fresh signing key, the statement about it, and the one report that vouches
 * for both. See attest.h.
 *
 * Immutable once open, so any thread may sign with it; the last reference frees it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "attest/chain.h"
#include "attest/statement.h"

#include "base/arena.h"
#include "base/json.h"

#include <assert.h>
#include <string.h>

struct attest_epoch {
    _Atomic size_t references;
    struct crypto_signer *key;
    struct attest_statement statement;
    struct buffer text; /* of the statement */
    uint8_t digest[ATTEST_EPOCH_DIGEST_BYTES];
    bool has_report; /* not from the provider "none" */
    uint8_t report[ATTEST_REPORT_BYTES];
    struct buffer certificates; /* chain.h */
};

static bool text_copy(char *out, size_t room, const char *text, const char *name, struct err *err)
{
    size_t size = strlen(text);
    if (size == 0 || size >= room) {
        return err_set(err, ERR_FORMAT, "%s is empty or longer than %zu bytes", name, room - 1);
    }
    memcpy(out, text, size + 1);
    return true;
}

static bool statement_fill(struct attest_statement *statement, const struct tee *tee,
                           const struct attest_facts *facts, const struct attest_epoch *previous,
                           struct err *err)
{
    crypto_random(statement->epoch, sizeof statement->epoch);
    statement->epoch[6] = (uint8_t)((statement->epoch[6] & 0x0F) | 0x40); /* version 4 */
    statement->epoch[8] = (uint8_t)((statement->epoch[8] & 0x3F) | 0x80); /* variant 10 */
    memcpy(statement->config_digest, facts->config_digest, sizeof statement->config_digest);
    statement->has_previous = previous != NULL;
    if (previous != NULL) {
        memcpy(statement->previous, previous->digest, sizeof statement->previous);
    }
    return text_copy(statement->log_origin, sizeof statement->log_origin, facts->log_origin,
                     "log_origin", err) &&
           text_copy(statement->log_vkey, sizeof statement->log_vkey, facts->log_vkey, "log_vkey",
                     err) &&
           text_copy(statement->node_id, sizeof statement->node_id, facts->node_id, "node_id",
                     err) &&
           text_copy(statement->build_id, sizeof statement->build_id, facts->build_id, "build_id",
                     err) &&
           text_copy(statement->provider, sizeof statement->provider, tee->name, "provider", err);
}

bool attest_evidence_check(const json_t *evidence, int64_t now_ms, struct err *err)
{
    const struct attest_policy policy = {
        .allow_any_simulated_root = true,
        .allow_debug = true,
        .allow_migration = true,
        .allow_provisional = true,
        .now_ms = now_ms,
    };
    struct attest_result result;
    attest_evidence_verify(evidence, &policy, &result);
    for (size_t i = 0; i < result.check_count; i++) {
        if (result.checks[i].outcome == ATTEST_FAILED &&
            strcmp(result.checks[i].name, "root_pinned") != 0) {
            return err_set(err, ERR_TAMPERED, "the fresh report does not verify (%s: %s)",
                           result.checks[i].name, result.checks[i].detail);
        }
    }
    return true;
}

static bool self_verify(const struct attest_epoch *epoch, int64_t now_ms, struct err *err)
{
    json_t *evidence = attest_epoch_evidence(epoch);
    if (evidence == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the evidence");
    }
    bool ok = attest_evidence_check(evidence, now_ms, err);
    json_decref(evidence);
    return ok;
}

static bool open_in(struct attest_epoch *epoch, const struct tee *tee,
                    const struct attest_facts *facts, const struct attest_epoch *previous,
                    int64_t now_ms, struct err *err)
{
    epoch->key = crypto_signer_generate(CRYPTO_ED25519);
    if (epoch->key == NULL) {
        return err_set(err, ERR_CRYPTO, "cannot make the epoch's key");
    }
    crypto_signer_public(epoch->key, epoch->statement.signing_key);
    if (!statement_fill(&epoch->statement, tee, facts, previous, err) ||
        !attest_statement_write(&epoch->statement, &epoch->text, err)) {
        return err_wrap(err, "the epoch's statement");
    }
    crypto_sha512(buffer_bytes(&epoch->text), epoch->digest);
    if (strcmp(tee->name, "none") == 0) {
        return true;
    }
    if (!tee->report(tee->context, epoch->digest, epoch->report, &epoch->certificates, err)) {
        return err_wrap(err, "the provider %s", tee->name);
    }
    epoch->has_report = true;
    return self_verify(epoch, now_ms, err);
}

bool attest_epoch_open(const struct tee *tee, const struct attest_facts *facts,
                       const struct attest_epoch *previous, const struct clock *clock,
                       uint64_t lifetime_ms, struct attest_epoch **out, struct err *err)
{
    int64_t now_ms = clock_wall_ms(clock);
    struct attest_epoch *epoch = HEAP_NEW(struct attest_epoch);
    if (epoch == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for an epoch");
    }
    epoch->references = 1;
    epoch->statement.not_before_ms = now_ms;
    epoch->statement.not_after_ms = now_ms + (int64_t)lifetime_ms;
    buffer_init(&epoch->text, ATTEST_STATEMENT_BYTES_MAX);
    buffer_init(&epoch->certificates, ATTEST_CERTIFICATES_BYTES_MAX);
    if (!open_in(epoch, tee, facts, previous, now_ms, err)) {
        attest_epoch_unref(epoch);
        return false;
    }
    *out = epoch;
    return true;
}

struct attest_epoch *attest_epoch_ref(struct attest_epoch *epoch)
{
    atomic_fetch_add(&epoch->references, 1);
    return epoch;
}

void attest_epoch_unref(struct attest_epoch *epoch)
{
    if (epoch == NULL) {
        return;
    }
    size_t before = atomic_fetch_sub(&epoch->references, 1);
    assert(before > 0);
    if (before == 1) {
        crypto_signer_free(epoch->key);
        buffer_release(&epoch->text);
        buffer_release(&epoch->certificates);
        heap_free(epoch);
    }
}

const uint8_t *attest_epoch_digest(const struct attest_epoch *epoch)
{
    return epoch->digest;
}

int64_t attest_epoch_not_after_ms(const struct attest_epoch *epoch)
{
    return epoch->statement.not_after_ms;
}

const char *attest_epoch_provider(const struct attest_epoch *epoch)
{
    return epoch->statement.provider;
}

/* ---- Evidence and signatures as JSON ---- */

static json_t *base64_json(struct bytes in)
{
    char *text = heap_alloc(text_base64_encoded_size(in.size) + 1);
    if (text == NULL) {
        return NULL;
    }
    text_base64_encode(in, text);
    json_t *json = json_string(text);
    heap_free(text);
    return json;
}

static json_t *certificates_json(struct bytes collected)
{
    struct bytes certificates[CHAIN_CERTIFICATES_MAX];
    size_t count = 0;
    json_t *array = json_array();
    /* A provider's malformed chain becomes an empty one, and the self-verification says so. */
    if (!chain_split(collected, certificates, &count)) {
        return array;
    }
    for (size_t i = 0; array != NULL && i < count; i++) {
        if (json_array_append_new(array, base64_json(certificates[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    }
    return array;
}

/* report NULL: none. */
static json_t *evidence_json(const struct attest_epoch *epoch, const uint8_t *raw,
                             struct bytes certificates)
{
    struct bytes text = buffer_bytes(&epoch->text);
    json_t *report = raw != NULL ? base64_json(bytes_of(raw, ATTEST_REPORT_BYTES)) : json_null();
    /* "o" takes the references over, also when it fails; a NULL makes it fail. */
    return json_pack("{s:s, s:s%, s:o, s:o}", "provider", epoch->statement.provider, "statement",
                     (const char *)text.ptr, text.size, "report", report, "certificates",
                     certificates_json(certificates));
}

json_t *attest_epoch_evidence(const struct attest_epoch *epoch)
{
    return evidence_json(epoch, epoch->has_report ? epoch->report : NULL,
                         buffer_bytes(&epoch->certificates));
}

bool attest_epoch_report(const struct attest_epoch *epoch, const struct tee *tee,
                         const uint8_t user_data[static ATTEST_USER_DATA_BYTES], json_t **out,
                         struct err *err)
{
    uint8_t report[ATTEST_REPORT_BYTES];
    struct buffer certificates;
    buffer_init(&certificates, ATTEST_CERTIFICATES_BYTES_MAX);
    json_t *evidence = NULL;
    bool ok = tee->report(tee->context, user_data, report, &certificates, err) ||
              err_wrap(err, "the provider %s", tee->name);
    if (ok) {
        evidence = evidence_json(epoch, report, buffer_bytes(&certificates));
        ok = evidence != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the evidence");
    }
    buffer_release(&certificates);
    if (ok) {
        *out = evidence;
    }
    return ok;
}

bool attest_epoch_sign_text(const struct attest_epoch *epoch, struct bytes payload,
                            struct buffer *out)
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES_MAX];
    size_t size = 0;
    if (!crypto_signer_sign(epoch->key, payload, signature, &size)) {
        return false;
    }
    json_put_open(out);
    json_put_text(out, "payload", payload);
    json_put_base64(out, "signature", bytes_of(signature, size));
    json_put_hex(out, "epoch", bytes_of(epoch->digest, sizeof epoch->digest));
    json_put_close(out);
    return !out->failed;
}
