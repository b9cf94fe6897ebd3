/* test_note.c: notes, verifier keys, checkpoints and tlog-proofs: published examples and every way
 * to be wrong.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "audit/note.h"
#include "audit/support.h"
#include "audit/tree.h"

#include <criterion/criterion.h>
#include <string.h>

#define DASH "\xe2\x80\x94"

/* The example of c2sp.org/signed-note. */
static const char spec_vkey[] =
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
static const char spec_note[] = "This is an example message.\n\n" DASH " example.com/foo "
                                "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOB"
                                "H3mFXmRKuwHjG1Yu72IneyaQM=\n";

/* The example of Go's golang.org/x/mod/sumdb/note, with two signatures. */
static const char peter_vkey[] =
    "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char enoch_vkey[] = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
static const char two_note[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n" DASH " PeterNeumann "
    "x08go/ZJkuBS9UG/"
    "SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n" DASH
    " EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/"
    "5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";

static struct audit_key key_of(const char *vkey)
{
    struct audit_key key;
    struct err err;
    cr_assert(audit_key_parse(bytes_of_string(vkey), &key, &err), "%s", err.message);
    return key;
}

static enum audit_verdict verify(const char *note, const char *vkey)
{
    struct audit_key key = key_of(vkey);
    struct bytes text;
    return audit_note_verify(bytes_of_string(note), &key, &text);
}

Test(audit_note, verifies_published_notes)
{
    struct audit_key key = key_of(spec_vkey);
    struct bytes text;
    cr_assert_eq(audit_note_verify(bytes_of_string(spec_note), &key, &text), AUDIT_OK);
    cr_assert(bytes_equal(text, bytes_of_string("This is an example message.\n")));
    cr_assert_eq(verify(two_note, peter_vkey), AUDIT_OK);
    cr_assert_eq(verify(two_note, enoch_vkey), AUDIT_OK);
}

Test(audit_note, a_key_that_did_not_sign_is_unverifiable)
{
    cr_assert_eq(verify(spec_note, peter_vkey), AUDIT_UNVERIFIABLE);
    cr_assert_eq(verify(two_note, spec_vkey), AUDIT_UNVERIFIABLE);
}

Test(audit_note, one_bad_signature_of_the_key_refutes_the_note)
{
    char note[1024];
    snprintf(note, sizeof(note), "%s", two_note);
    *strstr(note, "cryptography") = 'C';
    cr_assert_eq(verify(note, peter_vkey), AUDIT_TAMPERED);
    /* A good signature and a bad one by the same key. */
    snprintf(note, sizeof(note), "%s%s", spec_note, strstr(spec_note, DASH));
    cr_assert_eq(verify(note, spec_vkey), AUDIT_OK);
    char *second = strrchr(note, ' ');
    second[20] = second[20] == 'A' ? 'B' : 'A';
    cr_assert_eq(verify(note, spec_vkey), AUDIT_TAMPERED);
}

Test(audit_note, vkeys_survive_parsing_and_formatting)
{
    const char *const vkeys[] = {spec_vkey, peter_vkey, enoch_vkey};
    for (size_t i = 0; i < 3; i++) {
        char text[AUDIT_VKEY_CHARS_MAX + 1];
        struct audit_key key = key_of(vkeys[i]);
        audit_key_format(&key, text);
        cr_assert_str_eq(text, vkeys[i]);
    }
}

Test(audit_note, malformed_vkeys_are_refused)
{
    static const char *const bad[] = {
        "",
        "+",
        "name",
        "name+530d903a",
        "name+530d903+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k ",
        "exam ple+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_key key;
        struct err err;
        cr_expect_not(audit_key_parse(bytes_of_string(bad[i]), &key, &err), "%s", bad[i]);
        cr_expect_eq(err.code, ERR_FORMAT);
    }
}

Test(audit_note, names_have_no_blanks_pluses_or_controls)
{
    char longest[AUDIT_ORIGIN_CHARS_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    cr_assert(audit_name_is_valid(bytes_of(longest, AUDIT_ORIGIN_CHARS_MAX)));
    cr_assert_not(audit_name_is_valid(bytes_of(longest, AUDIT_ORIGIN_CHARS_MAX + 1)));
    cr_assert(audit_name_is_valid(bytes_of_string("example.com/\xc3\xa4")));
    static const char *const bad[] = {
        "", "a b", "a+b", "a\nb", "a\x7f", "a\xc2\xa0_", "a\xe2\x80\x83", "a\xe3\x80\x80", "a\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_not(audit_name_is_valid(bytes_of_string(bad[i])), "row %zu", i);
    }
}

Test(audit_note, malformed_notes_are_tampered)
{
    static const char *const bad[] = {
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\nname AAAAAAAA\n",
        "text\n\n" DASH " name AAAAAAAA",  /* no last line feed */
        "text\n\n" DASH " name\n",         /* no signature */
        "text\n\n" DASH " name AAAA\n",    /* too short for a key id and a signature */
        "text\n\n" DASH " name AAAAAA=\n", /* bad base64 */
        "text\n\n" DASH "  AAAAAAAA\n",    /* no name */
        "text\n\n" DASH " na+me AAAAAAAA\n",
        "text\n\n" DASH " name AAAAAAAA \n",
        "te\txt\n\n" DASH " name AAAAAAAA\n",
        "te\xff\n\n" DASH " name AAAAAAAA\n",
        "text\n\n" DASH " name AAAAAAAA\nmore\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_eq(verify(bad[i], spec_vkey), AUDIT_TAMPERED, "row %zu", i);
    }
    cr_assert_eq(verify("text\n\n" DASH " name AAAAAAAA\n", spec_vkey), AUDIT_UNVERIFIABLE);
}

Test(audit_note, takes_64_signature_lines_and_no_more)
{
    struct buffer note;
    struct audit_key key = key_of(spec_vkey);
    struct bytes text;
    buffer_init(&note, 65536);
    buffer_append_string(&note, spec_note);
    for (int i = 1; i < 64; i++) {
        buffer_append_string(&note, DASH " name AAAAAAAA\n");
    }
    cr_assert_eq(audit_note_verify(buffer_bytes(&note), &key, &text), AUDIT_OK);
    buffer_append_string(&note, DASH " name AAAAAAAA\n");
    cr_assert_eq(audit_note_verify(buffer_bytes(&note), &key, &text), AUDIT_TAMPERED);
    buffer_release(&note);
}

/* ---- checkpoints and proofs under a key of our own ---- */

struct signed_tree {
    struct crypto_signer *signer;
    struct audit_key key;
    char vkey[AUDIT_VKEY_CHARS_MAX + 1];
    struct buffer note;
};

static void sign_text(struct signed_tree *tree, const char *key_name, const char *text)
{
    uint8_t public_key[128];
    struct err err;
    tree->signer = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert_eq(crypto_signer_public(tree->signer, public_key), CRYPTO_ED25519_PUBLIC_BYTES);
    audit_key_init(&tree->key, key_name, public_key);
    audit_key_format(&tree->key, tree->vkey);
    buffer_init(&tree->note, 2 * AUDIT_CHECKPOINT_BYTES_MAX);
    cr_assert(audit_note_sign(bytes_of_string(text), &tree->key, tree->signer, &tree->note, &err));
}

static void signed_tree_release(struct signed_tree *tree)
{
    crypto_signer_free(tree->signer);
    buffer_release(&tree->note);
}

Test(audit_note, a_signature_that_does_not_verify_goes_nowhere)
{
    struct signed_tree tree;
    struct err err;
    sign_text(&tree, "log.example", "text\n");
    size_t size = tree.note.size;
    tree.key.public_key[0] ^= 1;
    cr_assert_not(
        audit_note_sign(bytes_of_string("text\n"), &tree.key, tree.signer, &tree.note, &err));
    cr_assert_eq(err.code, ERR_CRYPTO, "%s", err.message);
    cr_assert_eq(tree.note.size, size);
    signed_tree_release(&tree);
}

static enum audit_verdict checkpoint_of_text(const char *text, struct audit_checkpoint *out)
{
    struct signed_tree tree;
    sign_text(&tree, "log.example", text);
    enum audit_verdict verdict = audit_checkpoint_verify(buffer_bytes(&tree.note), tree.vkey, out);
    signed_tree_release(&tree);
    return verdict;
}

Test(audit_note, a_checkpoint_says_origin_size_and_root)
{
    struct audit_checkpoint checkpoint;
    cr_assert_eq(
        checkpoint_of_text("log.example\n20852163\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                           &checkpoint),
        AUDIT_OK);
    cr_assert_str_eq(checkpoint.origin, "log.example");
    cr_assert_eq(checkpoint.size, 20852163);
    cr_assert_eq(checkpoint.root[31], 0);
    cr_assert_eq(checkpoint_of_text("log.example\n0\n"
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
                                    "\nextension\nanother one\n",
                                    &checkpoint),
                 AUDIT_OK);
    cr_assert_eq(checkpoint_of_text("log.example\n18446744073709551615\n"
                                    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
                                    &checkpoint),
                 AUDIT_OK);
}

Test(audit_note, malformed_checkpoints_are_tampered_though_signed)
{
    static const char *const bad[] = {
        "log.example\n",
        "log.example\n1\n",
        "log.example\n01\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log.example\n-1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log.example\n18446744073709551616\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log.example\n\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log.example\n1\nAAAA\n",
        "log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n", /* spare bits */
        "log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nx\n",
        "\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "log example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        /* A key speaks for the log of its own name. */
        "other.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct audit_checkpoint checkpoint = {.size = 77};
        cr_expect_eq(checkpoint_of_text(bad[i], &checkpoint), AUDIT_TAMPERED, "row %zu", i);
        cr_expect_eq(checkpoint.size, 77, "out is untouched");
    }
}

Test(audit_note, a_checkpoint_has_a_longest_size)
{
    struct audit_checkpoint checkpoint;
    struct buffer text;
    const size_t around = AUDIT_CHECKPOINT_BYTES_MAX - 396;
    for (size_t extra = around; extra < around + 500; extra += 400) {
        buffer_init(&text, (size_t)2 * AUDIT_CHECKPOINT_BYTES_MAX);
        buffer_append_string(&text,
                             "log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
        for (size_t i = 0; i < extra; i++) {
            buffer_append_u8(&text, 'x');
        }
        buffer_append(&text, "\n", 2);
        cr_assert_eq(checkpoint_of_text((const char *)text.ptr, &checkpoint),
                     extra == around ? AUDIT_OK : AUDIT_TAMPERED);
        buffer_release(&text);
    }
}

Test(audit_note, a_checkpoint_of_an_unknown_key_is_unverifiable_and_still_readable)
{
    struct signed_tree tree;
    struct audit_checkpoint checkpoint = {.size = 77};
    sign_text(&tree, "log.example",
              "log.example\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    cr_assert_eq(audit_checkpoint_verify(buffer_bytes(&tree.note), spec_vkey, &checkpoint),
                 AUDIT_UNVERIFIABLE);
    cr_assert_eq(checkpoint.size, 5);
    cr_assert_eq(audit_checkpoint_verify(buffer_bytes(&tree.note), "no key", &checkpoint),
                 AUDIT_UNVERIFIABLE);
    signed_tree_release(&tree);
}

/* The tlog-proof of a one-leaf tree's leaf, with something put in. */
static enum audit_verdict proof_verdict(const char *before_checkpoint, const char *vkey,
                                        uint64_t *index)
{
    struct signed_tree tree;
    struct audit_checkpoint checkpoint;
    struct buffer proof;
    uint8_t leaf_hash[AUDIT_HASH_BYTES];
    struct audit_checkpoint head = {.origin = "log.example", .size = 2};
    struct buffer text;
    memset(leaf_hash, 1, sizeof(leaf_hash));
    audit_node_hash(leaf_hash, leaf_hash, head.root);
    buffer_init(&text, 4096);
    audit_checkpoint_format(&head, &text);
    buffer_append_u8(&text, 0);
    sign_text(&tree, "log.example", (const char *)text.ptr);
    buffer_init(&proof, 65536);
    buffer_append_string(&proof, before_checkpoint);
    buffer_append_bytes(&proof, buffer_bytes(&tree.note));
    enum audit_verdict verdict = audit_tlog_proof_verify(
        buffer_bytes(&proof), vkey == NULL ? tree.vkey : vkey, leaf_hash, index, &checkpoint);
    buffer_release(&proof);
    buffer_release(&text);
    signed_tree_release(&tree);
    return verdict;
}

#define SIBLING "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
#define HEADER "c2sp.org/tlog-proof@v1\n"

Test(audit_note, tlog_proofs_verify_with_and_without_extra_data)
{
    uint64_t index = 99;
    cr_assert_eq(proof_verdict(HEADER "index 1\n" SIBLING "\n", NULL, &index), AUDIT_OK);
    cr_assert_eq(index, 1);
    cr_assert_eq(proof_verdict(HEADER "extra AAAA\nindex 0\n" SIBLING "\n", NULL, &index),
                 AUDIT_OK);
    cr_assert_eq(index, 0);
    cr_assert_eq(proof_verdict(HEADER "index 1\n" SIBLING "\n", spec_vkey, &index),
                 AUDIT_UNVERIFIABLE);
}

Test(audit_note, bad_tlog_proofs_are_tampered)
{
    static const char *const bad[] = {
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n" SIBLING "\n",
        HEADER,
        HEADER "index 0\n" SIBLING,
        HEADER "index 2\n" SIBLING "\n",
        HEADER "index 01\n" SIBLING "\n",
        HEADER "index  1\n" SIBLING "\n",
        HEADER "index 1\n\n",
        HEADER "index 1\n" SIBLING SIBLING "\n",
        HEADER "index 1\nAAAA\n\n",
        HEADER "extra A\nindex 1\n" SIBLING "\n",
        HEADER "extra AAAA\nextra AAAA\nindex 1\n" SIBLING "\n",
        HEADER SIBLING "\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t index = 99;
        cr_expect_eq(proof_verdict(bad[i], NULL, &index), AUDIT_TAMPERED, "row %zu", i);
        cr_expect_eq(index, 99);
    }
}

Test(audit_note, a_tlog_proof_has_at_most_64_hashes)
{
    struct buffer text;
    uint64_t index = 0;
    buffer_init(&text, 65536);
    buffer_append_string(&text, HEADER "index 1\n");
    for (int i = 0; i < 65; i++) {
        buffer_append_string(&text, SIBLING);
    }
    buffer_append(&text, "\n", 2);
    cr_assert_eq(proof_verdict((const char *)text.ptr, NULL, &index), AUDIT_TAMPERED);
    buffer_release(&text);
}

Test(audit_note, every_verdict_has_its_name)
{
    static const char *const names[] = {"OK",          "PENDING",  "PRUNED",
                                        "NOT_FOUND",   "TAMPERED", "TRUNCATED",
                                        "ROLLED_BACK", "FORKED",   "UNVERIFIABLE"};
    for (int i = 0; i <= AUDIT_UNVERIFIABLE; i++) {
        cr_assert_str_eq(audit_verdict_name((enum audit_verdict)i), names[i]);
    }
}

Test(audit_note, signing_with_a_key_of_another_kind_fails)
{
    struct signed_tree tree;
    struct buffer out;
    struct err err;
    sign_text(&tree, "log.example", "text\n");
    buffer_init(&out, 4096);
    struct crypto_signer *other = crypto_signer_generate(CRYPTO_ED25519);
    cr_assert_not(audit_note_sign(bytes_of_string("text\n"), &tree.key, other, &out, &err));
    cr_assert_eq(err.code, ERR_CRYPTO);
    crypto_signer_free(other);
    other = crypto_signer_generate(CRYPTO_ECDSA_P256_SHA256);
    cr_assert_not(audit_note_sign(bytes_of_string("text\n"), &tree.key, other, &out, &err));
    cr_assert_eq(err.code, ERR_CRYPTO);
    crypto_signer_free(other);
    cr_assert_eq(out.size, 0);
    signed_tree_release(&tree);
}
