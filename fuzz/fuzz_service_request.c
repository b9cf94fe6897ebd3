/* fuzz_service_request.c: the body of POST /v1/execute: bytes of a stranger through the JSON parser
 * and every member's check, in pieces whose size follows the input's. A body that is accepted keeps
 * the parser's promises.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/execute_request.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(struct bytes body, struct arena *arena, struct execute_request *out,
                  struct err *err)
{
    struct execute_intake *intake = execute_intake_new(body, &service_config_default, arena, out);
    bool is_done = false;
    bool ok = intake != NULL;
    while (ok && !is_done) {
        ok = execute_intake_step(intake, body.size % 64 + 1, &is_done, err);
    }
    execute_intake_free(intake);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct budget budget;
    struct arena arena;
    struct err err = {.code = ERR_NONE};
    struct execute_request request;
    budget_init(&budget, NULL, 64UL * 1024 * 1024);
    arena_init(&arena, &budget);
    if (parse(bytes_of(data, size), &arena, &request, &err)) {
        assert(request.encrypted_wasm.size >= CRYPTO_AEAD_TAG_BYTES);
        assert(request.timeout_seconds >= 1 && request.gas_limit >= 1);
        execute_request_release(&request);
    } else {
        assert(err_code_http_status(err.code) < 500);
    }
    arena_release(&arena);
    assert(budget_used(&budget) == 0);
    return 0;
}
