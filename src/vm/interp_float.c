/* interp_float.c: the handlers of the floating-point and conversion families, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/families_float.def"

#include "vm/family_end.h"
