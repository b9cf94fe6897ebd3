/* execute_request.h: the body of POST /v1/execute, parsed and checked (docs/protocol.md section 4).
 * Private to service.
 *
 * Everything that can be known without the key and the program is checked here, so that nothing is
 * spent on a request that is wrong by itself. Every message names the member it is about.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_EXECUTE_REQUEST_H
#define SERVICE_EXECUTE_REQUEST_H

#include "base/arena.h"
#include "base/text.h"
#include "service/service.h"

enum execute_result_type { EXECUTE_VALUES, EXECUTE_BYTES, EXECUTE_STRING };

enum {
    EXECUTE_FUNCTION_NAME_BYTES_MAX = 256,
    EXECUTE_METADATA_BYTES_MAX = 4096,
    EXECUTE_ARGUMENTS_MAX = 1000,                   /* elements */
    EXECUTE_ARGUMENTS_BYTES_MAX = 16 * 1024 * 1024, /* the sealed ones, opened */
};

struct execute_request { /* pointers are into the arena that parsing was given, and `sealed` */
    uint8_t request_id[TEXT_UUID_BYTES];
    char request_id_text[TEXT_UUID_CHARS + 1]; /* lower case */
    struct arena sealed; /* of the next two; secret once they have been opened in place */
    struct bytes encrypted_wasm;
    struct bytes encrypted_arguments; /* size 0: none */
    struct bytes function_name;
    json_t *arguments; /* owned; an array that values_check_form accepts; empty if sealed */
    struct budget *arguments_budget; /* charged for what they hold; NULL: none */
    size_t arguments_bytes;
    uint8_t enc[CRYPTO_P256_POINT_BYTES];
    uint32_t timeout_seconds;
    uint64_t gas_limit;          /* what will be applied */
    uint32_t memory_limit_bytes; /* likewise */
    enum execute_result_type result_type;
    char *metadata; /* compact JSON, NULL if none */
    uint8_t header_hash[CRYPTO_SHA256_BYTES];
    uint8_t commitment[CRYPTO_SHA256_BYTES];
};

/* Reads a body in pieces, so that a large one cannot keep a thread. NULL: no memory. Body, config
 * and arena must live as long; *out is written when it is done. */
struct execute_intake;
struct execute_intake *execute_intake_new(struct bytes body, const struct service_config *config,
                                          struct arena *arena, struct execute_request *out);
/* Works through about so many bytes. After a failure, and when it is done, no more steps.
 * MALFORMED_REQUEST: not JSON, a member missing, unknown, of the wrong type or undecodable.
 * INVALID_ARGUMENTS: a value out of its range. INVALID_KEY: public_key is no point of P-256.
 * PAYLOAD_TOO_LARGE, COMMITMENT_MISMATCH. NO_MEMORY when the arena's budget has no more. */
bool execute_intake_step(struct execute_intake *intake, size_t bytes, bool *is_done,
                         struct err *err) MUST_CHECK;
void execute_intake_free(struct execute_intake *intake);
/* Drops what is not in the arena: what was sealed, wiped, and the arguments. */
void execute_request_release(struct execute_request *request);
/* Takes `arguments` instead of those that are there, charged to the budget (NULL: none). False, and
 * nothing has changed: that has no room. */
bool execute_request_set_arguments(struct execute_request *request, json_t *arguments,
                                   struct budget *budget) MUST_CHECK;

/* One optional base64 member of `lower`..`upper` bytes in the arena; size 0 if absent. A longer one
 * is `too_long`, a shorter one INVALID_ARGUMENTS. For the other bodies. */
bool execute_request_base64(const json_t *object, const char *member, size_t lower, size_t upper,
                            enum err_code too_long, struct arena *arena, struct bytes *out,
                            struct err *err) MUST_CHECK;
/* MALFORMED_REQUEST, naming the first member that is not among `known` (NULL at the end). */
bool execute_request_no_others(const json_t *object, const char *const *known,
                               struct err *err) MUST_CHECK;

#endif
