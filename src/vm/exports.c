/* exports.c: a module's exports in the order of their names.
 *
 * A merge sort from runs of one upwards: the names are foreign, and no order of them may be a slow
 * one; and it can pause after each name.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/module.h"

#include <string.h>

/* To find two names costs as much as so many bytes; to compare them, a byte for so many. */
enum { FIND_BYTES = 8, COMPARED_BYTES = 64 };

int module_name_compare(struct bytes a, struct bytes b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.ptr, b.ptr, common);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

size_t module_name_cost(struct bytes a, struct bytes b)
{
    return FIND_BYTES + (a.size < b.size ? a.size : b.size) / COMPARED_BYTES;
}

/* The runs that begin at `first`. */
static void begin_runs(struct export_sort *sort, size_t first)
{
    size_t left = sort->count - first;
    sort->first = first;
    sort->middle = first + (sort->width < left ? sort->width : left);
    left = sort->count - sort->middle;
    sort->second = sort->middle;
    sort->end = sort->middle + (sort->width < left ? sort->width : left);
}

bool export_sort_begin(struct export_sort *sort, struct vm_module *module, struct err *err)
{
    size_t count = module->export_count;
    *sort = (struct export_sort){.module = module, .count = count, .width = 1};
    sort->from = ARENA_ARRAY(&module->arena, const struct vm_export *, count);
    sort->to = ARENA_ARRAY(&module->arena, const struct vm_export *, count);
    if (sort->from == NULL || sort->to == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory to sort %zu exports", count);
    }
    for (size_t i = 0; i < count; i++) {
        sort->from[i] = &module->exports[i];
    }
    begin_runs(sort, 0);
    return true;
}

/* The smaller one of the two next; of equal ones the first, so that they stay in order. */
static const struct vm_export *merge_one(struct export_sort *sort, size_t *left)
{
    const struct vm_export **from = sort->from;
    if (sort->first == sort->middle || sort->second == sort->end) {
        module_take(left, 1);
        return sort->first == sort->middle ? from[sort->second++] : from[sort->first++];
    }
    struct bytes a = from[sort->first]->name;
    struct bytes b = from[sort->second]->name;
    module_take(left, module_name_cost(a, b));
    return module_name_compare(a, b) <= 0 ? from[sort->first++] : from[sort->second++];
}

/* All runs were merged: those there are now are twice as wide. */
static void begin_pass(struct export_sort *sort)
{
    const struct vm_export **merged = sort->to;
    sort->to = sort->from;
    sort->from = merged;
    sort->width *= 2;
    begin_runs(sort, 0);
}

bool export_sort_some(struct export_sort *sort, size_t *left)
{
    while (sort->width<sort->count && * left> 0) {
        size_t at = sort->first + (sort->second - sort->middle);
        sort->to[at] = merge_one(sort, left);
        if (at + 1 == sort->count) {
            begin_pass(sort);
        } else if (at + 1 == sort->end) {
            begin_runs(sort, sort->end);
        }
    }
    sort->module->exports_by_name = sort->from;
    return sort->width >= sort->count;
}
