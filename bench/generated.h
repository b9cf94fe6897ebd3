/* generated.h: a large module for the benches of loading, made up as compilers make them: functions
 * of some hundred instructions with locals, memory accesses, blocks, loops and calls.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef BENCH_GENERATED_H
#define BENCH_GENERATED_H

#include "base/bytes.h"

/* At least `bytes` large, valid, the same bytes for the same size. It is for loading: what its
 * functions compute is nothing. Release with buffer_release. */
struct buffer generated_module(size_t bytes);

#endif
