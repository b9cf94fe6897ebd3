/* test_cosignature.c: cosignatures made by somebody else, and every way to be none; policies; the
 * request to a witness.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/cosignature.h"
#include "audit/foreign_log.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define DASH "\xe2\x80\x94"

/* The example of docs/audit-log.md, cosigned by the key of RFC 8032 section 7.1, TEST 2; made with
 * Python and python3-cryptography. */
static const char known_vkey[] =
    "witness.example/w1+04d2d833+BD1AF8PoQ4lakrcKp00bfrycmCzPLsSWjMDNVfEq9GYM";
static const char known_note[] =
    "log.example/node-1\n5\nB5vfowJHjS+ZcNzMfb1deQLdvuGRKSMaeJL9MlHCdpw=\n\n" DASH
    " log.example/node-1 jB3NxIQrKHU9yUOfIwSILFD0QQ3YcWiPdiWBfTXbxoShTr9JUMosbo5aIJ81hycIHvVtyWkuIf"
    "oTJbH1G2z9SwOjGwk=\n" DASH
    " witness.example/w1 BNLYMwAAAABkGFDL24uIeJYJoANxjwUXw5yueSrmJXFAPGWjm0imqhYXgNkRPeGm8rxb+Cb/ib"
    "+8La3g+XiRhl39HlmvPJex6QtvAg==\n";

/* A checkpoint that github.com/transparency-dev/distributor (README.md) shows, cosigned by two
 * ArmoredWitness devices; their keys are in its config/, as keys of type 1. */
static const char armored_note[] =
    "transparency.dev/armored-witness/firmware_transparency/ci/3\n59\n"
    "kOFMkeamIdrYFLx5zbWFhflak6dlEEDOU++fxYEZMBw=\n\n" DASH
    " transparency.dev-aw-ftlog-ci-3 P2iVIt3Jsaha3E2i0MHdKZ6fgYJTgXO86nUsxKPVq6uTwRSclTSh/ELnDGbNL+"
    "XDyD3EkWIdL2AGGNmbN7IN2rB/7gE=\n" DASH
    " ArmoredWitness-weathered-rain CnjfIAAAAABnGRrHjQi7IZQqVea4YnU/ADsv844r1ezGjvubUy1MMJm4as9bRiT"
    "70xNWQ67RCA76LMy7SdX4qJNIzL3eSS1BGFWqCw==\n" DASH
    " ArmoredWitness-floral-sky x88LbQAAAABnGRrDEq4Tfy7IIVPqkdXbcufUkCzRRbE3fABZ/jvtg5aFHVMuMR8cV6d"
    "VqECDBiH1zRxhNaCQOXSwNLSeJs+NzWt1BA==\n";
static const char *const armored_vkeys[] = {
    "ArmoredWitness-weathered-rain+0a78df20+BGLblKp5JuiyrgRh6ev2nNJ5XAd+sc/mM2D2HW/b4d5S",
    "ArmoredWitness-floral-sky+c7cf0b6d+BOkCmTmKTTnQMNqIigkj7PFnhogawSJD23PJ8M8qLYDm",
};

/* The examples of c2sp.org/tlog-cosignature and tlog-witness; their keys are not published. */
static const char spec_note[] =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" DASH
    " example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1"
    "gGzGku9nTo+zyWE+xeMcTOAYQ8=\n" DASH
    " witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oy"
    "in1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
static const char spec_request[] =
    "old 20852014\n"
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n"
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n"
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n"
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n"
    "\n"
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n" DASH
    " example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1"
    "gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";

static struct audit_key cosigner_of(const char *vkey)
{
    struct audit_key key;
    struct err err;
    cr_assert(audit_cosigner_parse(bytes_of_string(vkey), &key, &err), "%s", err.message);
    return key;
}

static enum audit_verdict verify(const char *note, const char *vkey, uint64_t *time_s)
{
    struct audit_key key = cosigner_of(vkey);
    return audit_cosignature_verify(bytes_of_string(note), &key, time_s);
}

Test(audit_cosignature, verifies_one_made_elsewhere)
{
    uint64_t time_s = 0;
    char text[AUDIT_VKEY_CHARS_MAX + 1];
    struct audit_key key = cosigner_of(known_vkey);
    cr_assert_eq(verify(known_note, known_vkey, &time_s), AUDIT_OK);
    cr_assert_eq(time_s, 1679315147);
    audit_key_format(&key, text);
    cr_assert_str_eq(text, known_vkey);
}

Test(audit_cosignature, verifies_those_of_witnesses_in_the_wild)
{
    uint64_t time_s = 0;
    size_t count = 0;
    const struct audit_key keys[] = {cosigner_of(armored_vkeys[0]), cosigner_of(armored_vkeys[1]),
                                     cosigner_of(known_vkey)};
    struct audit_policy policy = {.cosigners = keys, .count = 3, .threshold = 2};
    cr_expect_eq(verify(armored_note, armored_vkeys[0], &time_s), AUDIT_OK);
    cr_expect_eq(time_s, 1729698503);
    cr_expect_eq(verify(armored_note, armored_vkeys[1], &time_s), AUDIT_OK);
    cr_expect_eq(time_s, 1729698499);
    cr_expect_eq(audit_policy_check(&policy, bytes_of_string(armored_note), &count), AUDIT_OK);
    cr_expect_eq(count, 2);
}

Test(audit_cosignature, who_did_not_cosign_is_unverifiable_and_sets_no_time)
{
    uint64_t time_s = 7;
    cr_assert_eq(verify(spec_note, known_vkey, &time_s), AUDIT_UNVERIFIABLE);
    cr_assert_eq(time_s, 7);
}

Test(audit_cosignature, binds_the_text_the_time_and_the_signature)
{
    const size_t places[] = {0, strlen("log.example/node-1\n"), 40};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char note[1024];
        uint64_t time_s = 0;
        snprintf(note, sizeof(note), "%s", known_note);
        note[places[i]] = note[places[i]] == 'a' ? 'b' : 'a';
        cr_expect_eq(verify(note, known_vkey, &time_s), AUDIT_TAMPERED, "place %zu", places[i]);
    }
    const char *line = strstr(known_note, "BNLYMw");
    for (size_t i = 8; i < 96; i += 8) { /* 8: in the time */
        char note[1024];
        uint64_t time_s = 0;
        snprintf(note, sizeof(note), "%s", known_note);
        char *place = note + (line - known_note) + i;
        *place = *place == 'a' ? 'b' : 'a';
        cr_expect_eq(verify(note, known_vkey, &time_s), AUDIT_TAMPERED, "character %zu", i);
    }
}

Test(audit_cosignature, a_key_of_a_log_is_none_of_a_witness_and_the_other_way_round)
{
    struct audit_key key;
    struct err err;
    cr_assert_not(audit_cosigner_parse(
        bytes_of_string("log.example/node-1+8c1dcdc4+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"),
        &key, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
    cr_assert_not(audit_key_parse(bytes_of_string(known_vkey), &key, &err));
    cr_assert_eq(err.code, ERR_FORMAT);
}

/* ---- with keys of our own ---- */

struct cosigner {
    struct crypto_signer *signer;
    struct audit_key key;
};

static void cosigner_init(struct cosigner *cosigner, const char *name)
{
    uint8_t public_key[128];
    cosigner->signer = crypto_signer_generate(CRYPTO_ED25519);
    (void)crypto_signer_public(cosigner->signer, public_key);
    audit_key_init_typed(&cosigner->key, AUDIT_KEY_TYPE_COSIGNATURE, name, public_key);
}

static void add_cosignature(const struct cosigner *cosigner, uint64_t time_s, struct buffer *note)
{
    struct bytes text;
    struct bytes lines;
    struct err err;
    struct buffer line;
    buffer_init(&line, AUDIT_COSIGNATURE_LINE_CHARS_MAX);
    cr_assert(audit_note_split(buffer_bytes(note), &text, &lines));
    cr_assert(audit_cosign(text, time_s, &cosigner->key, cosigner->signer, &line, &err));
    buffer_append_bytes(note, buffer_bytes(&line));
    buffer_release(&line);
}

Test(audit_cosignature, the_latest_of_several_counts_and_one_bad_refutes)
{
    struct foreign_log log;
    struct cosigner cosigner;
    struct buffer note;
    uint64_t time_s = 0;
    foreign_log_init(&log, "log.example");
    cosigner_init(&cosigner, "witness.example");
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    foreign_log_checkpoint(&log, 3, &note);
    add_cosignature(&cosigner, 5, &note);
    add_cosignature(&cosigner, INT64_MAX, &note);
    add_cosignature(&cosigner, 6, &note);
    cr_assert_eq(audit_cosignature_verify(buffer_bytes(&note), &cosigner.key, &time_s), AUDIT_OK);
    cr_assert_eq(time_s, INT64_MAX);
    note.ptr[note.size - 20] = note.ptr[note.size - 20] == 'A' ? 'B' : 'A';
    cr_assert_eq(audit_cosignature_verify(buffer_bytes(&note), &cosigner.key, &time_s),
                 AUDIT_TAMPERED);
    buffer_release(&note);
    crypto_signer_free(cosigner.signer);
    foreign_log_release(&log);
}

/* What is signed well, but is no statement about the largest tree at a time. */
static enum audit_verdict verdict_of_value(uint64_t time_s, size_t size)
{
    struct foreign_log log;
    struct cosigner cosigner;
    struct buffer note;
    struct buffer message;
    struct bytes text;
    struct bytes lines;
    uint8_t value[8 + CRYPTO_SIGNATURE_BYTES_MAX] = {0};
    size_t signature_size = 0;
    uint64_t found = 0;
    foreign_log_init(&log, "log.example");
    cosigner_init(&cosigner, "witness.example");
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    buffer_init(&message, AUDIT_CHECKPOINT_BYTES_MAX);
    foreign_log_checkpoint(&log, 3, &note);
    cr_assert(audit_note_split(buffer_bytes(&note), &text, &lines));
    buffer_printf(&message, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    buffer_append_bytes(&message, text);
    cr_assert(
        crypto_signer_sign(cosigner.signer, buffer_bytes(&message), value + 8, &signature_size));
    for (unsigned i = 0; i < 8; i++) {
        value[i] = (uint8_t)(time_s >> (56 - 8 * i));
    }
    audit_signature_append(&cosigner.key, bytes_of(value, size), &note);
    enum audit_verdict verdict =
        audit_cosignature_verify(buffer_bytes(&note), &cosigner.key, &found);
    buffer_release(&message);
    buffer_release(&note);
    crypto_signer_free(cosigner.signer);
    foreign_log_release(&log);
    return verdict;
}

Test(audit_cosignature, times_and_sizes_have_limits)
{
    cr_expect_eq(verdict_of_value(0, AUDIT_COSIGNATURE_BYTES), AUDIT_TAMPERED);
    cr_expect_eq(verdict_of_value(1, AUDIT_COSIGNATURE_BYTES), AUDIT_OK);
    cr_expect_eq(verdict_of_value(INT64_MAX, AUDIT_COSIGNATURE_BYTES), AUDIT_OK);
    cr_expect_eq(verdict_of_value((uint64_t)INT64_MAX + 1, AUDIT_COSIGNATURE_BYTES),
                 AUDIT_TAMPERED);
    cr_expect_eq(verdict_of_value(1, AUDIT_COSIGNATURE_BYTES - 1), AUDIT_TAMPERED);
    cr_expect_eq(verdict_of_value(1, AUDIT_COSIGNATURE_BYTES + 1), AUDIT_TAMPERED);
}

Test(audit_cosignature, a_policy_counts_its_witnesses)
{
    struct foreign_log log;
    struct cosigner cosigners[3];
    struct audit_key keys[3];
    struct buffer note;
    size_t count = 9;
    static const char *const names[] = {"w.example/0", "w.example/1", "w.example/2"};
    foreign_log_init(&log, "log.example");
    buffer_init(&note, AUDIT_CHECKPOINT_BYTES_MAX);
    foreign_log_checkpoint(&log, 3, &note);
    for (size_t i = 0; i < 3; i++) {
        cosigner_init(&cosigners[i], names[i]);
        keys[i] = cosigners[i].key;
    }
    struct audit_policy policy = {.cosigners = keys, .count = 3, .threshold = 2};
    cr_expect_eq(audit_policy_check(&policy, buffer_bytes(&note), &count), AUDIT_UNVERIFIABLE);
    cr_expect_eq(count, 0);
    add_cosignature(&cosigners[2], 1, &note);
    add_cosignature(&cosigners[2], 2, &note); /* twice the same is one */
    cr_expect_eq(audit_policy_check(&policy, buffer_bytes(&note), &count), AUDIT_UNVERIFIABLE);
    cr_expect_eq(count, 1);
    add_cosignature(&cosigners[0], 1, &note);
    cr_expect_eq(audit_policy_check(&policy, buffer_bytes(&note), &count), AUDIT_OK);
    cr_expect_eq(count, 2);
    policy.threshold = 3;
    cr_expect_eq(audit_policy_check(&policy, buffer_bytes(&note), &count), AUDIT_UNVERIFIABLE);
    policy.threshold = 2;
    note.ptr[note.size - 20] = note.ptr[note.size - 20] == 'A' ? 'B' : 'A';
    cr_expect_eq(audit_policy_check(&policy, buffer_bytes(&note), &count), AUDIT_TAMPERED);
    buffer_release(&note);
    for (size_t i = 0; i < 3; i++) {
        crypto_signer_free(cosigners[i].signer);
    }
    foreign_log_release(&log);
}

/* ---- the request ---- */

Test(audit_cosignature, parses_the_published_request_and_writes_it_back)
{
    struct audit_add_checkpoint request;
    struct buffer again;
    cr_assert(audit_add_checkpoint_parse(bytes_of_string(spec_request), &request));
    cr_assert_eq(request.old_size, 20852014);
    cr_assert_eq(request.hash_count, 4);
    cr_assert_eq(request.note.ptr[0], 'e');
    buffer_init(&again, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
    cr_assert(audit_add_checkpoint_format(
        request.old_size, bytes_of(request.proof, 4 * AUDIT_HASH_BYTES), request.note, &again));
    cr_assert(bytes_equal(buffer_bytes(&again), bytes_of_string(spec_request)));
    buffer_release(&again);
}

Test(audit_cosignature, a_request_has_one_spelling)
{
    static const char *const bad[] = {
        "",
        "old 0",
        "old 0\n",
        "old\n\nx",
        "old \n\nx",
        "old 01\n\nx",
        "old -1\n\nx",
        "old +1\n\nx",
        "old  1\n\nx",
        "old 1 \n\nx",
        "old 1\r\n\r\nx",
        "Old 1\n\nx",
        "size 1\n\nx",
        "old 18446744073709551616\n\nx",
        "\nold 1\n\nx",
        "old 1\nAAAA\n\nx",
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkax=\n\nx", /* spare bits */
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n",
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\nx",
        "old 1\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw= \n\nx",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_add_checkpoint request;
        cr_expect_not(audit_add_checkpoint_parse(bytes_of_string(bad[i]), &request), "row %zu", i);
    }
    struct audit_add_checkpoint request;
    cr_assert(
        audit_add_checkpoint_parse(bytes_of_string("old 18446744073709551615\n\nx"), &request));
    cr_assert_eq(request.old_size, UINT64_MAX);
    cr_assert_eq(request.hash_count, 0);
}

Test(audit_cosignature, a_request_has_at_most_63_hashes)
{
    for (size_t count = 62; count <= 64; count++) {
        struct audit_add_checkpoint request;
        struct buffer body;
        buffer_init(&body, AUDIT_ADD_CHECKPOINT_BYTES_MAX);
        buffer_append_string(&body, "old 1\n");
        for (size_t i = 0; i < count; i++) {
            buffer_append_string(&body, "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n");
        }
        buffer_append_string(&body, "\nx");
        cr_expect_eq(audit_add_checkpoint_parse(buffer_bytes(&body), &request), count <= 63,
                     "%zu hashes", count);
        buffer_release(&body);
    }
}
