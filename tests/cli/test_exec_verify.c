/* test_exec_verify.c: a client that is lied to notices, and says where.
 *
 * The node's side is played here with the node's own parts: an epoch, an audit log, a sealed
 * result. Each row of the tables below changes one thing that a dishonest node could say, at the
 * moment at which it would say it, so that everything signed or hashed afterwards is consistent
 * with the lie.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/exec.h"

#include "base/json.h"
#include "cli/temporary.h"
#include "support/epoch_sign.h"
#include "support/new_log.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <semaphore.h>
#include <string.h>

enum stage { HONEST, BINDING, RESULT, LEAF, RECEIPT, ANSWER, COMMITMENT, SEALED };

struct lie {
    enum stage stage;
    const char *member;
    const char *value; /* JSON; NULL: the member is left out */
    enum exec_check check;
};

static struct temporary directory;
static struct audit_log *audit;
static struct attest_epoch *epoch;
static struct exec_request request;
static struct exec exec;
static struct crypto_p256_key *key;
static const struct lie *lie;
static uint8_t wasm[] = "\0asm\1\0\0"; /* with the last byte of the version */

static sem_t committed;
static char *leaf_text, *proof_text;
static uint8_t leaf_hash[AUDIT_HASH_BYTES];
static uint64_t leaf_index;

static void fatal(void *context, const struct err *err)
{
    (void)context;
    cr_assert_fail("the log died: %s", err->message);
}

static void setup(void)
{
    struct err err;
    struct audit_recovery recovery;
    cr_redirect_stderr();
    temporary_make(&directory);
    const char *log = temporary_file(&directory, "log");
    cr_assert(new_log(log, "example.org/log", &clock_system, &err));
    struct audit_config config = {.directory = log, .clock = &clock_system};
    cr_assert(audit_log_open(&config, fatal, NULL, &audit, &recovery, &err));
    struct tee tee;
    tee_none_new(&tee);
    static const uint8_t digest[32];
    struct attest_facts facts = {.node_id = "00",
                                 .log_origin = audit_log_origin(audit),
                                 .log_vkey = audit_log_vkey(audit),
                                 .build_id = "test",
                                 .config_digest = digest};
    cr_assert(attest_epoch_open(&tee, &facts, NULL, &clock_system, 3600000, &epoch, &err), "%s",
              err.message);
    sem_init(&committed, 0, 0);
    request = (struct exec_request){.no_attestation = true};
}

static void teardown(void)
{
    attest_epoch_unref(epoch);
    audit_log_close(audit);
    temporary_remove(&directory);
}

TestSuite(cli_exec_verify, .init = setup, .fini = teardown);

/* Tells the lie in `object`, if this is its moment. */
static void tell(json_t *object, enum stage stage)
{
    if (lie->stage != stage) {
        return;
    }
    if (lie->value == NULL) {
        cr_assert_eq(json_object_del(object, lie->member), 0, "there is no %s", lie->member);
        return;
    }
    json_t *value = json_loads(lie->value, JSON_DECODE_ANY, NULL);
    cr_assert_not_null(value, "%s", lie->value);
    cr_assert_not(json_equal(json_object_get(object, lie->member), value));
    json_object_set_new(object, lie->member, value);
}

static json_t *hex_json(const void *ptr, size_t size)
{
    char text[200];
    text_hex_encode(bytes_of(ptr, size), text);
    return json_string(text);
}

static json_t *base64_json(const void *ptr, size_t size)
{
    char *text = heap_alloc(text_base64_encoded_size(size) + 1);
    text_base64_encode(bytes_of(ptr, size), text);
    json_t *json = json_string(text);
    heap_free(text);
    return json;
}

static json_t *hash_json(const void *ptr, size_t size)
{
    uint8_t hash[CRYPTO_SHA256_BYTES];
    crypto_sha256(bytes_of(ptr, size), hash);
    return hex_json(hash, sizeof hash);
}

/* What POST /v1/keys would have answered to exec.nonce. */
static void answer_key(void)
{
    key = crypto_p256_generate();
    crypto_p256_public(key, exec.public_key);
    crypto_random(exec.salt, sizeof exec.salt);
    crypto_random(exec.nonce, sizeof exec.nonce);
    memcpy(exec.request_id, "\1\2\3\4\5\6\x47\x08\x89\xa\xb\xc\xd\xe\xf\x10", 16);
    text_uuid_encode(exec.request_id, exec.request_id_text);
    json_t *binding = json_pack("{s:s, s:s, s:o, s:o, s:o}", "domain",
                                "wasm-hypervisor/1 request key", "request_id", exec.request_id_text,
                                "public_key", base64_json(exec.public_key, sizeof exec.public_key),
                                "key_derivation_salt", base64_json(exec.salt, sizeof exec.salt),
                                "nonce", base64_json(exec.nonce, sizeof exec.nonce));
    tell(binding, BINDING);
    json_t *attestation = attest_epoch_evidence(epoch);
    json_object_set_new(attestation, "key_binding", epoch_sign(epoch, binding));
    exec.key_answer = json_pack("{s:o}", "attestation", attestation);
    json_decref(binding);
}

static void commit_cb(void *context, const struct audit_commit *commit)
{
    (void)context;
    leaf_text = heap_alloc(commit->leaf.size + 1);
    proof_text = heap_alloc(commit->tlog_proof.size + 1);
    memcpy(leaf_text, commit->leaf.ptr, commit->leaf.size);
    memcpy(proof_text, commit->tlog_proof.ptr, commit->tlog_proof.size);
    memcpy(leaf_hash, commit->leaf_hash, sizeof leaf_hash);
    leaf_index = commit->index;
    sem_post(&committed);
}

static void commit(enum audit_kind kind, json_t *fields)
{
    struct err err;
    cr_assert(audit_log_submit(audit, kind, fields, commit_cb, NULL, &err), "%s", err.message);
    sem_wait(&committed);
    json_decref(fields);
}

static json_t *leaf_json(json_t *result, struct bytes plaintext)
{
    return json_pack("{s:s, s:o, s:o, s:s, s:i}", "request_id", exec.request_id_text,
                     "request_commitment", hex_json(exec.request_commitment, 32),
                     "result_commitment", hash_json(plaintext.ptr, plaintext.size), "status",
                     json_string_value(json_object_get(result, "status")), "gas_consumed", 7);
}

/* The leaf is submitted as ADMIT and then as its RESULT. */
static void commit_leaves(json_t *result, struct bytes plaintext)
{
    commit(AUDIT_ADMIT, leaf_json(result, plaintext));
    char *admit_leaf = leaf_text, *admit_proof = proof_text;
    json_t *fields = leaf_json(result, plaintext);
    json_object_set_new(fields, "admit", json_integer((json_int_t)leaf_index));
    tell(fields, LEAF);
    commit(AUDIT_RESULT, fields);
    heap_free(admit_leaf);
    heap_free(admit_proof);
}

static json_t *result_json(void)
{
    json_t *outputs = json_pack("[{s:s, s:i}]", "type", "i32", "value", 42);
    static const char canonical[] = "[{\"type\":\"i32\",\"value\":42}]";
    json_t *result = json_pack("{s:s, s:s, s:o, s:o, s:o, s:{s:s, s:i}}", "request_id",
                               exec.request_id_text, "status", "success", "outputs", outputs,
                               "output_hash", hash_json(canonical, strlen(canonical)),
                               "program_hash", hash_json(wasm, sizeof wasm), "execution_summary",
                               "status", "success", "gas_consumed", 7);
    tell(result, RESULT);
    return result;
}

static json_t *sealed_json(struct bytes plaintext)
{
    struct crypto_hpke hpke;
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES];
    crypto_request_info(exec.request_id, exec.salt, info);
    cr_assert(
        crypto_hpke_send(&exec.hpke, exec.public_key, bytes_of(info, sizeof info), NULL, exec.enc));
    cr_assert(crypto_hpke_receive(&hpke, key, exec.enc, bytes_of(info, sizeof info)));
    size_t size = plaintext.size + CRYPTO_RESPONSE_OVERHEAD_BYTES;
    uint8_t *sealed = heap_alloc(size);
    cr_assert(crypto_response_seal(&hpke, exec.enc, bytes_of(exec.request_commitment, 32),
                                   plaintext, sealed));
    if (lie->stage == SEALED) {
        sealed[size / 2] ^= 1;
    }
    json_t *json = base64_json(sealed, size);
    heap_free(sealed);
    crypto_hpke_release(&hpke);
    return json;
}

/* What POST /v1/execute would have answered. */
static void answer_execute(void)
{
    struct buffer plaintext;
    struct err err;
    crypto_sha256(bytes_of(wasm, sizeof wasm), exec.program_hash);
    exec.judged_ms = clock_wall_ms(&clock_system);
    exec.execute_status = 200;
    crypto_random(exec.request_commitment, sizeof exec.request_commitment);
    json_t *result = result_json();
    buffer_init(&plaintext, 65536);
    cr_assert(json_canonical(result, &plaintext, &err));
    struct bytes text = buffer_bytes(&plaintext);
    exec.execute_answer = json_pack("{s:o, s:o}", "encrypted_result", sealed_json(text),
                                    "request_commitment", hex_json(exec.request_commitment, 32));
    json_t *answer = exec.execute_answer;
    commit_leaves(result, text);
    json_object_set_new(answer, "result_commitment", hash_json(text.ptr, text.size));
    json_object_set_new(answer, "execution_summary",
                        json_pack("{s:s, s:i}", "status", "success", "gas_consumed", 7));
    json_t *commitment =
        json_pack("{s:s, s:s, s:o, s:I}", "leaf", leaf_text, "tlog_proof", proof_text, "leaf_hash",
                  hex_json(leaf_hash, sizeof leaf_hash), "leaf_index", (json_int_t)leaf_index);
    tell(commitment, COMMITMENT);
    json_object_set_new(answer, "commitment", commitment);
    json_t *receipt = leaf_json(result, text);
    json_object_set_new(receipt, "domain", json_string("wasm-hypervisor/1 receipt"));
    json_object_set_new(receipt, "log_origin", json_string("example.org/log"));
    json_object_set_new(receipt, "leaf_index", json_integer((json_int_t)leaf_index));
    tell(receipt, RECEIPT);
    json_object_set_new(answer, "receipt", epoch_sign(epoch, receipt));
    tell(answer, ANSWER);
    json_decref(receipt);
    json_decref(result);
    buffer_release(&plaintext);
}

static void begin(const struct lie *told)
{
    lie = told;
    memset(&exec, 0, sizeof exec);
    exec.request = &request;
    progress_init(&exec.progress, true);
    answer_key();
}

static void end(void)
{
    crypto_hpke_release(&exec.hpke);
    crypto_p256_free(key);
    heap_free(exec.plaintext);
    heap_free(leaf_text);
    heap_free(proof_text);
    leaf_text = proof_text = NULL;
    json_decref(exec.key_answer);
    json_decref(exec.execute_answer);
    json_decref(exec.result);
}

static const struct lie honest = {HONEST, "", "", EXEC_CHECK_COUNT};

Test(cli_exec_verify, believes_what_is_true)
{
    begin(&honest);
    cr_assert(exec_verify_key(&exec));
    answer_execute();
    cr_expect(exec_verify_answer(&exec));
    for (enum exec_check i = EXEC_CHECK_KEY_BINDING; i < EXEC_CHECK_COUNT; i++) {
        cr_expect_eq(exec.findings[i].outcome, EXEC_VERIFIED, "%s: %s", exec_check_name(i),
                     exec.findings[i].detail);
    }
    cr_expect_eq(exec.findings[EXEC_CHECK_ATTESTATION].outcome, EXEC_UNCHECKED);
    end();
}

Test(cli_exec_verify, sends_nothing_to_a_node_that_nothing_vouches_for)
{
    request.no_attestation = false;
    begin(&honest);
    cr_expect_not(exec_verify_key(&exec));
    cr_expect_eq(exec.findings[EXEC_CHECK_ATTESTATION].outcome, EXEC_FAILED);
    cr_expect_eq(exec.findings[EXEC_CHECK_KEY_BINDING].outcome, EXEC_UNCHECKED);
    end();
}

Test(cli_exec_verify, a_statement_that_says_too_little_is_refused)
{
    static const char *const statements[] = {"", "[]", "{}", "{\"log_origin\":\"x\"}"};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        begin(&honest);
        json_object_set_new(json_object_get(exec.key_answer, "attestation"), "statement",
                            json_string(statements[i]));
        cr_expect_not(exec_verify_key(&exec), "%s", statements[i]);
        cr_expect_eq(exec.findings[EXEC_CHECK_ATTESTATION].outcome, EXEC_FAILED);
        end();
    }
}

#define ZEROS "\"0000000000000000000000000000000000000000000000000000000000000000\""
#define OTHER_ID "\"00000000-0000-4000-8000-000000000000\""

static const struct lie lies_of_keys[] = {
    {BINDING, "domain", "\"wasm-hypervisor/1 receipt\"", EXEC_CHECK_KEY_BINDING},
    {BINDING, "request_id", OTHER_ID, EXEC_CHECK_KEY_BINDING},
    {BINDING, "public_key", "\"AA==\"", EXEC_CHECK_KEY_BINDING},
    {BINDING, "public_key", NULL, EXEC_CHECK_KEY_BINDING},
    {BINDING, "key_derivation_salt", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"",
     EXEC_CHECK_KEY_BINDING},
    {BINDING, "nonce", "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"", EXEC_CHECK_KEY_BINDING},
    {BINDING, "nonce", NULL, EXEC_CHECK_KEY_BINDING},
};

Test(cli_exec_verify, every_lie_about_the_key_is_noticed_before_anything_is_sent)
{
    for (size_t i = 0; i < sizeof lies_of_keys / sizeof lies_of_keys[0]; i++) {
        begin(&lies_of_keys[i]);
        cr_expect_not(exec_verify_key(&exec), "%s", lie->member);
        cr_expect_eq(exec.findings[lie->check].outcome, EXEC_FAILED, "%s", lie->member);
        end();
    }
}

static const struct lie lies_of_answers[] = {
    {SEALED, "", "", EXEC_CHECK_RESULT_COMMITMENT},
    {ANSWER, "encrypted_result", "\"AAAA\"", EXEC_CHECK_RESULT_COMMITMENT},
    {ANSWER, "encrypted_result", "\"*\"", EXEC_CHECK_RESULT_COMMITMENT},
    {ANSWER, "request_commitment", ZEROS, EXEC_CHECK_REQUEST_COMMITMENT},
    {ANSWER, "request_commitment", NULL, EXEC_CHECK_REQUEST_COMMITMENT},
    {ANSWER, "result_commitment", ZEROS, EXEC_CHECK_RESULT_COMMITMENT},
    {ANSWER, "result_commitment", NULL, EXEC_CHECK_RESULT_COMMITMENT},
    {ANSWER, "execution_summary", "{\"status\":\"success\",\"gas_consumed\":8}",
     EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "request_id", OTHER_ID, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "status", "\"timeout\"", EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "outputs", NULL, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "outputs", "[{\"type\":\"i32\",\"value\":43}]", EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "output_hash", ZEROS, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "output_hash", NULL, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "program_hash", ZEROS, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "program_hash", NULL, EXEC_CHECK_RESULT_CONTENT},
    {RESULT, "execution_summary", NULL, EXEC_CHECK_RESULT_CONTENT},
    {LEAF, "request_id", OTHER_ID, EXEC_CHECK_LEAF},
    {LEAF, "request_commitment", ZEROS, EXEC_CHECK_LEAF},
    {LEAF, "result_commitment", ZEROS, EXEC_CHECK_LEAF},
    {LEAF, "status", "\"error\"", EXEC_CHECK_LEAF},
    {LEAF, "gas_consumed", "8", EXEC_CHECK_LEAF},
    {LEAF, "gas_consumed", NULL, EXEC_CHECK_LEAF},
    {COMMITMENT, "leaf", "\"{}\"", EXEC_CHECK_LEAF},
    {COMMITMENT, "leaf", NULL, EXEC_CHECK_LEAF},
    {COMMITMENT, "leaf_hash", ZEROS, EXEC_CHECK_LEAF},
    {COMMITMENT, "leaf_index", "0", EXEC_CHECK_AUDIT_PROOF},
    {COMMITMENT, "leaf_index", NULL, EXEC_CHECK_AUDIT_PROOF},
    {COMMITMENT, "tlog_proof", "\"\"", EXEC_CHECK_AUDIT_PROOF},
    {COMMITMENT, "tlog_proof", NULL, EXEC_CHECK_AUDIT_PROOF},
    {ANSWER, "commitment", NULL, EXEC_CHECK_LEAF},
    {ANSWER, "receipt", NULL, EXEC_CHECK_RECEIPT},
    {ANSWER, "receipt", "{}", EXEC_CHECK_RECEIPT},
    {RECEIPT, "domain", "\"wasm-hypervisor/1 request key\"", EXEC_CHECK_RECEIPT},
    {RECEIPT, "request_id", OTHER_ID, EXEC_CHECK_RECEIPT},
    {RECEIPT, "request_commitment", ZEROS, EXEC_CHECK_RECEIPT},
    {RECEIPT, "result_commitment", ZEROS, EXEC_CHECK_RECEIPT},
    {RECEIPT, "status", "\"error\"", EXEC_CHECK_RECEIPT},
    {RECEIPT, "gas_consumed", "8", EXEC_CHECK_RECEIPT},
    {RECEIPT, "leaf_index", "0", EXEC_CHECK_RECEIPT},
    {RECEIPT, "log_origin", "\"example.org/other\"", EXEC_CHECK_RECEIPT},
};

Test(cli_exec_verify, every_lie_about_the_result_is_noticed_and_named)
{
    for (size_t i = 0; i < sizeof lies_of_answers / sizeof lies_of_answers[0]; i++) {
        begin(&lies_of_answers[i]);
        cr_assert(exec_verify_key(&exec));
        answer_execute();
        cr_expect_not(exec_verify_answer(&exec), "row %zu: %s", i, lie->member);
        cr_expect(exec_has_failed(&exec));
        cr_expect_eq(exec.findings[lie->check].outcome, EXEC_FAILED, "row %zu: %s: %s", i,
                     lie->member, exec.findings[lie->check].detail);
        end();
    }
}

Test(cli_exec_verify, a_success_with_the_status_of_a_failure_is_noticed)
{
    begin(&honest);
    cr_assert(exec_verify_key(&exec));
    answer_execute();
    exec.execute_status = 422;
    cr_expect_not(exec_verify_answer(&exec));
    cr_expect_eq(exec.findings[EXEC_CHECK_RESULT_CONTENT].outcome, EXEC_FAILED);
    end();
}

Test(cli_exec_verify, a_log_of_another_name_or_key_is_noticed)
{
    begin(&honest);
    cr_assert(exec_verify_key(&exec));
    answer_execute();
    snprintf(exec.attestation.log_origin, sizeof exec.attestation.log_origin, "example.org/other");
    cr_expect_not(exec_verify_answer(&exec));
    cr_expect_eq(exec.findings[EXEC_CHECK_AUDIT_PROOF].outcome, EXEC_FAILED);
    end();
    request.log_vkey = "example.org/x+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    begin(&honest);
    cr_assert(exec_verify_key(&exec));
    answer_execute();
    cr_expect_not(exec_verify_answer(&exec));
    cr_expect_eq(exec.findings[EXEC_CHECK_AUDIT_PROOF].outcome, EXEC_FAILED);
    end();
}
