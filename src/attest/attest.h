/* attest.h: evidence that a key belongs to this program on this hardware: making it and checking
 * it.
 *
 * A `struct tee` makes 1184-byte SEV-SNP reports over 64 bytes of user data. At start the node
 * opens an epoch, and the next when three quarters of its time are over: a fresh Ed25519 key and a
 * statement (canonical JSON) whose SHA-512 is the report's user data. Everything the node says
 * afterwards (request keys, receipts) is signed with the epoch key, so one report carries thousands
 * of provable answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef ATTEST_ATTEST_H
#define ATTEST_ATTEST_H

#include "base/clock.h"
#include "crypto/crypto.h"

#include <jansson.h>

enum {
    ATTEST_REPORT_BYTES = 1184,
    ATTEST_USER_DATA_BYTES = 64,
    ATTEST_CERTIFICATES_BYTES_MAX = 16384,
    ATTEST_EPOCH_DIGEST_BYTES = 64, /* SHA-512 of the statement */
};

/* ---- Providers ---- */

/* What a key is derived from besides the root: the bits of GUEST_FIELD_SELECT (AMD 56860, 7.2). */
enum { TEE_BIND_POLICY = 1 << 0, TEE_BIND_MEASUREMENT = 1 << 3 };

/* A key that only a guest with the same bound fields gets again, on the same root. */
struct tee_derived {
    uint8_t key[32];      /* secret: the caller wipes it */
    const char *root_key; /* "vcek", or "simulated" */
    uint8_t measurement[CRYPTO_SHA384_BYTES];
    uint64_t guest_policy;
};

struct tee {
    const char *name; /* "configfs-tsm", "sev-guest", "simulated", "none" */
    /* Makes a report. May block; called from one thread. `report` gets ATTEST_REPORT_BYTES;
     * certificates: DER, leaf first, each appended as u32 big endian length and bytes. */
    bool (*report)(void *context, const uint8_t user_data[static ATTEST_USER_DATA_BYTES],
                   uint8_t *report, struct buffer *certificates, struct err *err);
    /* Derives a key bound to those fields, of TEE_BIND_…. May block. Fails as report() does, and
     * with CONFIG where there are no such keys. */
    bool (*derived_key)(void *context, uint64_t fields, struct tee_derived *out, struct err *err);
    void (*free)(void *context);
    void *context;
};

/* The software signer: its own ARK (RSA-4096 PSS), ASK and VCEK (P-384), made on first use under
 * `directory` (0700, made if it is not there; its parent must be) and reused. Making them takes
 * seconds. Fails with FORBIDDEN (directory or file open to
 * others), FORMAT or TAMPERED (what is there is no such signer, or has expired), IO. */
bool tee_simulated_new(const char *directory, const struct clock *clock, struct tee *out,
                       struct err *err) MUST_CHECK;
/* The hardware's. A named interface that is not there is an IO error; of any, configfs-tsm goes
 * before sev-guest, and if neither is there it becomes `none`, never the simulator. Its report()
 * fails with BUSY (later perhaps), CLOSED (never again in this VM), IO (the firmware refused),
 * TAMPERED (what came is no answer to what was asked) or FORMAT (certificates). */
enum tee_interface { TEE_ANY, TEE_CONFIGFS, TEE_SEV_GUEST };
/* `certificates`, as attest_certificates_add collects them and for as long as the provider lives,
 * serve when the host's table has none of this processor; may be empty. */
bool tee_hardware_new(enum tee_interface interface, struct bytes certificates, struct tee *out,
                      struct err *err) MUST_CHECK;
/* report() always fails: answers carry signatures of an epoch key that nothing vouches for, and say
 * so ("provider":"none"). */
void tee_none_new(struct tee *out);

/* ---- Sealing (seal.h) ---- */

enum {
    ATTEST_SEALED_SECRET_BYTES = 32,
    ATTEST_SEALED_BYTES_MAX = 1024, /* of a file */
};
enum attest_seal_purpose { ATTEST_SEAL_LOG_KEY, ATTEST_SEAL_STORE_KEY };

struct attest_sealer; /* immutable, thread-safe, wiped when freed */

/* Asks the provider for a key that is bound to the guest's measurement and policy; fails with what
 * that fails with. The provider is not needed afterwards. */
bool attest_sealer_new(const struct tee *tee, struct attest_sealer **out,
                       struct err *err) MUST_CHECK;
void attest_sealer_free(struct attest_sealer *sealer); /* NULL is fine */
/* What it seals to, in words. */
const char *attest_sealer_bound_to(const struct attest_sealer *sealer);
/* Appends a file. */
bool attest_seal(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                 const uint8_t secret[static ATTEST_SEALED_SECRET_BYTES], struct buffer *out,
                 struct err *err) MUST_CHECK;
/* The secret of such a file; the caller wipes it. FORMAT (no such file), CONFIG (sealed for
 * something else, which is said) or TAMPERED. */
bool attest_unseal(const struct attest_sealer *sealer, enum attest_seal_purpose purpose,
                   struct bytes file, uint8_t out[static ATTEST_SEALED_SECRET_BYTES],
                   struct err *err) MUST_CHECK;

/* ---- Epochs ---- */

struct attest_epoch; /* immutable, reference-counted, thread-safe */

struct attest_facts {    /* what the statement binds, besides key, time and the previous digest */
    const char *node_id; /* hex */
    const char *log_origin;
    const char *log_vkey;
    const char *build_id;
    const uint8_t *config_digest; /* 32 bytes */
};

/* Makes key, statement and report, and verifies the fresh report. previous may be NULL. Fails with
 * what the provider fails with, TAMPERED when the fresh report does not verify, CRYPTO, NO_MEMORY,
 * or FORMAT when the facts have no canonical form. */
bool attest_epoch_open(const struct tee *tee, const struct attest_facts *facts,
                       const struct attest_epoch *previous, const struct clock *clock,
                       uint64_t lifetime_ms, struct attest_epoch **out, struct err *err) MUST_CHECK;
struct attest_epoch *attest_epoch_ref(struct attest_epoch *epoch);
void attest_epoch_unref(struct attest_epoch *epoch);
const uint8_t *
attest_epoch_digest(const struct attest_epoch *epoch); /* ATTEST_EPOCH_DIGEST_BYTES */
int64_t attest_epoch_not_after_ms(const struct attest_epoch *epoch);
const char *attest_epoch_provider(const struct attest_epoch *epoch);
/* The evidence as JSON: {"provider","statement" (text, exactly the hashed bytes),"report" base64 |
 * null, "certificates":[base64 DER …]}. A new reference. */
json_t *attest_epoch_evidence(const struct attest_epoch *epoch);
/* Signs `payload`, canonical JSON (a "domain" member names what it is; the caller puts it there),
 * and appends {"payload": text, "signature": base64, "epoch": hex digest}. False: no memory, or no
 * signature. */
bool attest_epoch_sign_text(const struct attest_epoch *epoch, struct bytes payload,
                            struct buffer *out) MUST_CHECK;

/* Evidence of the epoch with another report, made now: as attest_epoch_evidence, but the report is
 * about `user_data`. A fresh reference. Fails with what the provider fails with, or NO_MEMORY. */
bool attest_epoch_report(const struct attest_epoch *epoch, const struct tee *tee,
                         const uint8_t user_data[static ATTEST_USER_DATA_BYTES], json_t **out,
                         struct err *err) MUST_CHECK;
/* The node's own look at evidence before it serves it. What is a matter of its clients' policy is
 * let through, and so is whose root it is. TAMPERED. */
bool attest_evidence_check(const json_t *evidence, int64_t now_ms, struct err *err) MUST_CHECK;

/* ---- Fresh proofs: one report for many nonces (batch.c, docs/protocol.md section 7) ----
 *
 * The nonces are the leaves of an RFC 6962 tree; the report is about its root, its size and the
 * epoch. So it was made after each of them was known, and vouches for the epoch's statement as the
 * epoch's own report does. */

enum {
    ATTEST_NONCE_BYTES_MIN = 16,
    ATTEST_NONCE_BYTES_MAX = 64,
    ATTEST_BATCH_NONCES_MAX = 65536,
    ATTEST_BATCH_PATH_HASHES_MAX = 16,
};

struct attest_batch { /* one nonce's place in it */
    struct bytes nonce;
    uint64_t index, size;
    uint8_t root[CRYPTO_SHA256_BYTES];
    uint8_t path[ATTEST_BATCH_PATH_HASHES_MAX * CRYPTO_SHA256_BYTES];
    size_t path_count; /* hashes */
};

/* The hash of a nonce's leaf. */
void attest_batch_leaf(struct bytes nonce, uint8_t out[static CRYPTO_SHA256_BYTES]);
/* What the report of a batch is about. */
void attest_batch_user_data(const uint8_t epoch_digest[static ATTEST_EPOCH_DIGEST_BYTES],
                            uint64_t size, const uint8_t root[static CRYPTO_SHA256_BYTES],
                            uint8_t out[static ATTEST_USER_DATA_BYTES]);
/* Appends the member "batch" of fresh evidence, to an object that is open. */
void attest_batch_put(const struct attest_batch *batch, struct buffer *out);

/* ---- Verifying (the client's side) ---- */

enum attest_check_outcome {
    ATTEST_PASSED,
    ATTEST_FAILED,
    ATTEST_SKIPPED,        /* a failed check should have brought what this one looks at */
    ATTEST_NOT_APPLICABLE, /* the policy does not ask for it, or the report has no such thing */
};

/* What a failure means: not readable as evidence; not vouched for; genuine, but not what the policy
 * allows. */
enum attest_check_class { ATTEST_FORMAT, ATTEST_CRYPTOGRAPHY, ATTEST_POLICY };

struct attest_check {
    const char *name;
    enum attest_check_class class;
    enum attest_check_outcome outcome;
    char detail[160]; /* a sentence, never empty */
};

enum { ATTEST_CHECKS_MAX = 64 };

const char *attest_outcome_name(enum attest_check_outcome outcome); /* "passed" … */
const char *attest_class_name(enum attest_check_class class);       /* "format" … */
/* The name of the index-th check that there is, in the order of a result; NULL behind the last. */
const char *attest_check_name(size_t index);

/* The processor lines, which differ in the order of a TCB's bytes. */
enum attest_line { ATTEST_MILAN, ATTEST_GENOA, ATTEST_TURIN, ATTEST_LINE_COUNT };
const char *attest_line_name(enum attest_line line); /* "Milan" */

/* The parts of a TCB (security patch levels); a line that has no such part says 0. */
enum attest_tcb_part {
    ATTEST_TCB_FMC,
    ATTEST_TCB_BOOTLOADER,
    ATTEST_TCB_TEE,
    ATTEST_TCB_SNP,
    ATTEST_TCB_MICROCODE,
    ATTEST_TCB_PARTS
};

/* Values of one size, one after the other; none: the policy does not ask. Borrowed. */
struct attest_values {
    const uint8_t *values;
    size_t count;
};

/* All zero is the strict default: AMD's roots only, no debugging, no migration, no firmware that
 * can be taken back; nothing else is asked for. */
struct attest_policy {
    int64_t now_ms;
    /* SHA-256 of the DER of an additional root that may vouch (a simulated node's ARK); NULL: AMD's
     * roots only. */
    const uint8_t *allowed_simulated_root;
    bool allow_any_simulated_root; /* for demos on this machine: named as such in the result */
    bool allow_debug;              /* guest policy bit 19 */
    bool allow_migration;   /* guest policy bit 18: a migration agent may carry the guest away */
    bool allow_provisional; /* firmware that the platform's owner can still take back */
    /* Lists of which the report has to show one. */
    struct attest_values measurements; /* of 48 bytes */
    struct attest_values host_data;    /* of 32 */
    struct attest_values id_keys;      /* of 48: SHA-384 of AMD's form of the key */
    struct attest_values author_keys;  /* of 48 */
    struct attest_values family_ids;   /* of 16 */
    struct attest_values image_ids;    /* of 16 */
    struct attest_values chips;        /* of 64 */
    struct attest_values chips_refused;
    struct attest_values report_data; /* of 64; beside the statement's digest, if there is one */
    unsigned products;                /* bits 1 << enum attest_line; 0: any */
    unsigned vmpls;                   /* bits 1 << VMPL; 0: any of the guest's */
    uint64_t guest_policy_required, guest_policy_forbidden; /* bits of the guest policy */
    uint64_t platform_required, platform_forbidden;         /* bits of platform_info */
    uint32_t guest_svn_min;
    uint32_t firmware_min;                                /* major << 16 | minor << 8 | build */
    uint8_t tcb_min[ATTEST_LINE_COUNT][ATTEST_TCB_PARTS]; /* of the reported TCB */
    uint64_t mitigations_required; /* bits of the current mitigation vector, version 5 on */
    struct bytes crl;              /* DER, of the root; size 0: none */
    bool crl_required;
    uint64_t age_ms_max;  /* of the statement; 0: any */
    struct bytes nonce;   /* that the epoch's key has to have signed; size 0: none */
    bool nonce_in_report; /* it does not do that the key did: the report must have been made for it
                           */
};

struct attest_result {
    bool ok;
    /* Unless ok: the class of the gravest failure, format before cryptography before policy. */
    enum attest_check_class failure;
    bool simulated;
    char provider[24];
    struct attest_check checks[ATTEST_CHECKS_MAX];
    size_t check_count;
    /* From the verified statement; empty unless ok. */
    uint8_t epoch_key[CRYPTO_ED25519_PUBLIC_BYTES];
    uint8_t epoch_digest[ATTEST_EPOCH_DIGEST_BYTES];
    char log_origin[201];
    char log_vkey[320];
    char node_id[65];
    uint8_t root_sha256[32]; /* of the chain's root certificate */
    uint8_t measurement[48];
};

/* Verifies what attest_epoch_evidence gives, or the answer to POST /v1/keys whose "attestation" it
 * is: then the epoch's key must have signed the request key, too. Never fails for bad input: it
 * reports. Every check is in the result, in a fixed order; one that needs what a failed one should
 * have brought is SKIPPED.
 */
void attest_evidence_verify(const json_t *evidence, const struct attest_policy *policy,
                            struct attest_result *result);
/* Verifies a bare report, ATTEST_REPORT_BYTES as the hardware wrote them, with its certificates in
 * DER: the leaf, and in any order what else there is. AMD's own authorities need not be among them.
 * What only a statement can tell stays empty in the result, and its checks are not applicable. */
void attest_report_verify(const char *provider, struct bytes report,
                          const struct bytes *certificates, size_t certificate_count,
                          const struct attest_policy *policy, struct attest_result *result);
/* The same with certificates as attest_certificates_add collects them. */
void attest_report_verify_collected(const char *provider, struct bytes report,
                                    struct bytes certificates, const struct attest_policy *policy,
                                    struct attest_result *result);
/* Appends every certificate of a file to the collection: one in DER, several in PEM, or the table
 * that a host hands to its guest. FORMAT: it is none of these, or too much. */
bool attest_certificates_add(struct bytes file, struct buffer *certificates,
                             struct err *err) MUST_CHECK;
/* The collection holds a leaf, and what leads from it to a root, AMD's authorities being known. */
bool attest_certificates_complete(struct bytes certificates) MUST_CHECK;
/* A revocation list's DER from DER or PEM. A fresh heap block. */
bool attest_crl_read(struct bytes file, uint8_t **out, size_t *size, struct err *err) MUST_CHECK;

/* ---- A report in words ---- */

struct attest_bit {
    unsigned bit;
    const char *name;    /* as in a policy file */
    const char *meaning; /* when it is set */
};

/* The bits of the guest policy and of platform_info that are known; the last has no name. */
extern const struct attest_bit attest_guest_policy_bits[];
extern const struct attest_bit attest_platform_bits[];

/* Appends every field, one a line and bits below it. FORMAT: not ATTEST_REPORT_BYTES. */
bool attest_report_describe(struct bytes report, struct buffer *out, struct err *err) MUST_CHECK;

/* ---- The measurement to expect ---- */

struct attest_launch {
    struct bytes firmware; /* OVMF.fd */
    /* Without: the firmware finds what it starts by itself, unmeasured. With: QEMU puts the digests
     * of the next three into the guest (kernel-hashes=on). */
    bool has_kernel;
    struct bytes kernel;
    struct bytes initrd;
    const char *command_line; /* NULL: empty */
    uint32_t vcpus;
    uint32_t vcpu_signature; /* CPUID 1, EAX, of QEMU's CPU model */
    uint64_t guest_features; /* sev_features: 1 is SNP alone */
};

/* The launch digest under QEMU and KVM. FORMAT: the firmware is not made for that. */
bool attest_launch_measure(const struct attest_launch *launch,
                           uint8_t out[static CRYPTO_SHA384_BYTES], struct err *err) MUST_CHECK;

/* ---- What an epoch signed ---- */

/* Verifies what attest_epoch_sign_text gives, under a verified epoch; *payload (a new reference) is
 * the parsed object. Fails with FORMAT (its shape) or TAMPERED (epoch, signature or domain). */
bool attest_signed_verify(const json_t *signed_object, const struct attest_result *epoch,
                          const char *domain, json_t **payload, struct err *err) MUST_CHECK;

#endif
