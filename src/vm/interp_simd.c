/* interp_simd.c: the handlers of vector instructions, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/families_simd.def"

#include "vm/family_end.h"
