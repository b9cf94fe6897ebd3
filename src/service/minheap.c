/* minheap.c: sift up, sift down.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/minheap.h"

#include "base/arena.h"

#include <assert.h>

bool minheap_init(struct minheap *heap, size_t capacity)
{
    *heap = (struct minheap){.nodes = heap_alloc_array(capacity, sizeof(struct minheap_node *)),
                             .capacity = capacity};
    return heap->nodes != NULL;
}

void minheap_release(struct minheap *heap)
{
    heap_free(heap->nodes);
    *heap = (struct minheap){0};
}

static bool node_is_before(const struct minheap_node *a, const struct minheap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

static void minheap_set(struct minheap *heap, size_t index, struct minheap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

/* Moves `node` from the hole at `index` to where it belongs. */
static void minheap_settle(struct minheap *heap, size_t index, struct minheap_node *node)
{
    while (index > 0 && node_is_before(node, heap->nodes[(index - 1) / 2])) {
        minheap_set(heap, index, heap->nodes[(index - 1) / 2]);
        index = (index - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) {
            break;
        }
        if (child + 1 < heap->count && node_is_before(heap->nodes[child + 1], heap->nodes[child])) {
            child++;
        }
        if (!node_is_before(heap->nodes[child], node)) {
            break;
        }
        minheap_set(heap, index, heap->nodes[child]);
        index = child;
    }
    minheap_set(heap, index, node);
}

void minheap_push(struct minheap *heap, struct minheap_node *node, uint64_t key)
{
    assert(node->place == 0);
    assert(heap->count < heap->capacity);
    node->key = key;
    node->order = heap->pushed++;
    heap->count++;
    minheap_settle(heap, heap->count - 1, node);
}

struct minheap_node *minheap_top(const struct minheap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[0];
}

void minheap_remove(struct minheap *heap, struct minheap_node *node)
{
    if (node->place == 0) {
        return;
    }
    size_t index = node->place - 1;
    assert(heap->nodes[index] == node);
    struct minheap_node *last = heap->nodes[--heap->count];
    node->place = 0;
    if (last != node) {
        minheap_settle(heap, index, last);
    }
}
