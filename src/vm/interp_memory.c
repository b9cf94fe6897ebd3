/* interp_memory.c: the handlers of the load and store families, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/families_memory.def"

#include "vm/family_end.h"
