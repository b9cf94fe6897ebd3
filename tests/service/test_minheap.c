/* test_minheap.c: the heap that the scheduler orders its runs by.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/minheap.h"

#include <criterion/criterion.h>

Test(service_minheap, gives_the_least_first_and_equals_in_order)
{
    struct minheap heap;
    struct minheap_node nodes[100] = {0};
    cr_assert(minheap_init(&heap, 100));
    for (size_t i = 0; i < 100; i++) {
        minheap_push(&heap, &nodes[i], (i * 37) % 10);
    }
    uint64_t last_key = 0;
    uint64_t last_order = 0;
    for (size_t i = 0; i < 100; i++) {
        struct minheap_node *node = minheap_top(&heap);
        cr_assert(node->key > last_key || (node->key == last_key && node->order >= last_order));
        last_key = node->key;
        last_order = node->order;
        minheap_remove(&heap, node);
    }
    cr_expect_null(minheap_top(&heap));
    minheap_release(&heap);
}

Test(service_minheap, removes_from_the_middle)
{
    struct minheap heap;
    struct minheap_node nodes[50] = {0};
    cr_assert(minheap_init(&heap, 50));
    for (size_t i = 0; i < 50; i++) {
        minheap_push(&heap, &nodes[i], (i * 7919) % 50);
    }
    for (size_t i = 0; i < 50; i += 2) {
        minheap_remove(&heap, &nodes[i]);
        minheap_remove(&heap, &nodes[i]); /* the second time is nothing */
    }
    uint64_t last = 0;
    for (size_t i = 0; i < 25; i++) {
        struct minheap_node *node = minheap_top(&heap);
        cr_assert_eq((node - nodes) % 2, 1);
        cr_assert_geq(node->key, last);
        last = node->key;
        minheap_remove(&heap, node);
    }
    cr_expect_eq(heap.count, 0);
    minheap_release(&heap);
}
