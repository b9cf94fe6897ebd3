/* bintree.c: binary trees, built, counted and freed, with an allocator of its own.
 *
 * Exercises programs that live from small objects: a free list, pointers that are followed at once
 * after they are loaded, recursion over both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { DEPTH = 10, NODES = 1 << (DEPTH + 1) };

struct node {
    struct node *left, *right;
    uint32_t value;
};

static struct node pool[NODES];
static struct node *free_list;
static uint32_t pool_used;

static struct node *node_new(uint32_t value)
{
    struct node *node = free_list;
    if (node != NULL) {
        free_list = node->left;
    } else {
        node = &pool[pool_used++];
    }
    node->left = node->right = NULL;
    node->value = value;
    return node;
}

static struct node *build(int depth, uint32_t value)
{
    struct node *node = node_new(value);
    if (depth > 0) {
        node->left = build(depth - 1, 2 * value);
        node->right = build(depth - 1, 2 * value + 1);
    }
    return node;
}

static uint32_t count(const struct node *node)
{
    return node == NULL ? 0 : 1 + count(node->left) + count(node->right) + (node->value & 1);
}

static void release(struct node *node)
{
    if (node->left != NULL) {
        release(node->left);
        release(node->right);
    }
    node->left = free_list;
    free_list = node;
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    free_list = NULL;
    pool_used = 0;
    for (uint32_t round = 0; round < n; round++) {
        struct node *tree = build(DEPTH - (int)(round & 1), round);
        sum = mix(sum, count(tree));
        release(tree);
    }
    return sum;
}
