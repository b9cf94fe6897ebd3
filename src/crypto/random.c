/* random.c: randomness straight from the kernel.
 *
 * getrandom has no state of ours in user space, so a forked process or a restored virtual machine
 * cannot repeat it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "crypto/crypto.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void crypto_random(void *out, size_t size)
{
    uint8_t *bytes = out;
    size_t done = 0;
    while (done < size) {
        ssize_t got = getrandom(bytes + done, size - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            fputs("crypto: the operating system gives no randomness\n", stderr);
            abort();
        }
    }
}
