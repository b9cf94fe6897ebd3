/* interp_fused.c: the handlers of fusions.def, as functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/interp_tail.h"

#include "vm/family_begin.h"

#include "vm/fusions.def"

#include "vm/family_end.h"
