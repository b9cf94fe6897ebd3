/* minheap.h: a binary min-heap of nodes that lie in what they order. Private to service.
 *
 * Its array is made once with its maximum, so that pushing cannot fail. Equal keys leave in the
 * order in which they came.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef SERVICE_MINHEAP_H
#define SERVICE_MINHEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct minheap_node {
    uint64_t key;
    uint64_t order; /* the heap's */
    size_t place;   /* the heap's: index + 1; 0: in no heap */
};

struct minheap {
    struct minheap_node **nodes;
    size_t count;
    size_t capacity;
    uint64_t pushed;
};

bool minheap_init(struct minheap *heap, size_t capacity);
void minheap_release(struct minheap *heap);
void minheap_push(struct minheap *heap, struct minheap_node *node, uint64_t key);
/* The least; NULL if there is none. */
struct minheap_node *minheap_top(const struct minheap *heap);
/* Does nothing if the node is in no heap. */
void minheap_remove(struct minheap *heap, struct minheap_node *node);

#endif
