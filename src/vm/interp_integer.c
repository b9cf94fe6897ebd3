/* interp_integer.c: the handlers of the integer families, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/families_integer.def"

#include "vm/family_end.h"
