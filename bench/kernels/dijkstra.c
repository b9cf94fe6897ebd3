/* dijkstra.c: shortest ways in a random graph, with a binary heap.
 *
 * Exercises structures in arrays, indices that are loaded from memory to index again, and loops
 * that leave early.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { NODES = 512, DEGREE = 6, HEAP_MAX = NODES * DEGREE + 1 };

struct edge {
    uint32_t target, length;
};

struct entry {
    uint32_t distance, node;
};

static struct edge edges[NODES][DEGREE];
static uint32_t distances[NODES];
static struct entry heap[HEAP_MAX];
static uint32_t heap_count;

static void heap_push(struct entry entry)
{
    uint32_t hole = heap_count++;
    while (hole > 0 && heap[(hole - 1) / 2].distance > entry.distance) {
        heap[hole] = heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    heap[hole] = entry;
}

static struct entry heap_pop(void)
{
    struct entry first = heap[0], moved = heap[--heap_count];
    uint32_t hole = 0;
    for (uint32_t child = 1; child < heap_count; child = 2 * hole + 1) {
        child += child + 1 < heap_count && heap[child + 1].distance < heap[child].distance;
        if (heap[child].distance >= moved.distance) {
            break;
        }
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = moved;
    return first;
}

static uint32_t search(uint32_t start)
{
    uint32_t sum = 0;
    for (int i = 0; i < NODES; i++) {
        distances[i] = UINT32_MAX;
    }
    distances[start] = 0;
    heap_push((struct entry){0, start});
    while (heap_count > 0) {
        struct entry entry = heap_pop();
        if (entry.distance > distances[entry.node]) {
            continue; /* a shorter way was found since */
        }
        sum = mix(sum, entry.distance);
        for (int i = 0; i < DEGREE; i++) {
            struct edge edge = edges[entry.node][i];
            uint32_t distance = entry.distance + edge.length;
            if (distance < distances[edge.target]) {
                distances[edge.target] = distance;
                heap_push((struct entry){distance, edge.target});
            }
        }
    }
    return sum;
}

uint32_t run(uint32_t n)
{
    uint32_t seed = 13, sum = 0;
    for (int i = 0; i < NODES * DEGREE; i++) {
        struct edge *edge = &edges[i / DEGREE][i % DEGREE];
        edge->target = (random_next(&seed) >> 7) % NODES;
        edge->length = random_next(&seed) % 1000 + 1;
    }
    for (uint32_t round = 0; round < n; round++) {
        sum = mix(sum, search(round % NODES));
    }
    return sum;
}
