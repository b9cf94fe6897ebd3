/* gas.c: the part of the gas schedule that is not a table or a formula: see gas.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/gas.h"

int64_t gas_segments(const struct vm_module *module)
{
    int64_t gas = 0;
    for (uint32_t i = 0; i < module->element_count; i++) {
        if (module->elements[i].mode == MODULE_ACTIVE) {
            gas += opcode_info(OP_TABLE_INIT)->gas + gas_elements(module->elements[i].count);
        }
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        if (module->data[i].mode == MODULE_ACTIVE) {
            gas += opcode_info(OP_MEMORY_INIT)->gas + gas_bytes(module->data[i].content.size);
        }
    }
    return gas;
}
