/* interp_far.c: the handlers of loads and stores in other memories, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/families_far.def"

#include "vm/family_end.h"
