/* indirect.c: shapes with methods, as a language with objects compiles them.
 *
 * Exercises call_indirect: the bound of the table, the signature, and a target that changes from
 * one call to the next.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "kernel.h"

enum { SHAPES = 1024 };

struct shape {
    uint32_t (*area)(const struct shape *shape);
    void (*grow)(struct shape *shape, uint32_t by);
    uint32_t width, height;
};

static uint32_t square_area(const struct shape *shape)
{
    return shape->width * shape->width;
}

static uint32_t box_area(const struct shape *shape)
{
    return shape->width * shape->height;
}

static uint32_t triangle_area(const struct shape *shape)
{
    return shape->width * shape->height / 2;
}

static uint32_t empty_area(const struct shape *shape)
{
    (void)shape;
    return 0;
}

static void grow_width(struct shape *shape, uint32_t by)
{
    shape->width = (shape->width + by) & 1023;
}

static void grow_both(struct shape *shape, uint32_t by)
{
    shape->width = (shape->width + by) & 1023;
    shape->height = (shape->height ^ by) & 1023;
}

static struct shape shapes[SHAPES];

static void prepare(void)
{
    uint32_t seed = 5;
    for (int i = 0; i < SHAPES; i++) {
        uint32_t kind = random_next(&seed) >> 8 & 3;
        shapes[i].area = kind == 0   ? square_area
                         : kind == 1 ? box_area
                         : kind == 2 ? triangle_area
                                     : empty_area;
        shapes[i].grow = kind & 1 ? grow_both : grow_width;
        shapes[i].width = random_next(&seed) & 1023;
        shapes[i].height = random_next(&seed) & 1023;
    }
}

uint32_t run(uint32_t n)
{
    uint32_t sum = 0;
    prepare();
    for (uint32_t round = 0; round < n; round++) {
        for (int i = 0; i < SHAPES; i++) {
            sum += shapes[i].area(&shapes[i]);
            shapes[i].grow(&shapes[i], sum & 7);
        }
    }
    return sum;
}
