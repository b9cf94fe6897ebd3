/* kernel.h: what the kernels share: their entry, a pseudo-random sequence, bytes.
 *
 * A kernel imports nothing and includes no library. It exports one function, run(n), which does n
 * rounds of its work and returns a checksum of what it computed; run(0) does next to nothing. The
 * same n gives the same checksum on every engine, in every instance and at every call, so a kernel
 * begins by setting the state that it changes. Built as WebAssembly, one module each, and natively,
 * where CMake renames each `run` so that all fit into one program.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef KERNELS_KERNEL_H
#define KERNELS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef KERNEL_ALONE /* for engines whose command line passes no arguments */
__attribute__((export_name("alone"))) uint32_t alone(void);
uint32_t run(uint32_t n);

uint32_t alone(void)
{
    return run(KERNEL_ALONE);
}
#elif defined(__wasm__)
__attribute__((export_name("run"))) uint32_t run(uint32_t n);
#else
uint32_t run(uint32_t n);
#endif

/* xorshift32 (Marsaglia 2003): the state is any number but 0, and the next number. */
static inline uint32_t random_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static inline uint32_t rotate_left(uint32_t word, int by)
{
    return word << by | word >> (32 - by);
}

/* One more word into a checksum (FNV-1a's step on words). */
static inline uint32_t mix(uint32_t sum, uint32_t word)
{
    return (sum ^ word) * 16777619;
}

static inline void bytes_set(void *target, uint8_t value, size_t size)
{
    uint8_t *out = target;
    for (size_t i = 0; i < size; i++) {
        out[i] = value;
    }
}

static inline void bytes_copy(void *target, const void *source, size_t size)
{
    uint8_t *out = target;
    const uint8_t *in = source;
    for (size_t i = 0; i < size; i++) {
        out[i] = in[i];
    }
}

#endif
