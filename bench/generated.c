/* generated.c: see generated.h. A small grammar, walked by a pseudo-random number generator; the
 * shares of the instructions are about those of C programs: a third reads locals, a sixth are
 * constants, a tenth accesses memory.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "generated.h"

enum {
    I32 = 0x7f,
    EMPTY = 0x40,
    PARAMS = 2, /* i32 each */
    LOCALS = 9, /* i32, params included */
    STATEMENTS = 40,
    DEPTH_MAX = 3,
    MODULE_BYTES_MAX = 64 * 1024 * 1024,
};

struct generator {
    struct buffer *out;
    uint32_t state;
    uint32_t function_count; /* so far: what may be called */
};

/* Below `count`; the low bits of a linear congruential generator are poor. */
static uint32_t choose(struct generator *g, uint32_t count)
{
    g->state = g->state * 1664525u + 1013904223u;
    return (g->state >> 8) % count;
}

static void put(struct generator *g, uint8_t byte)
{
    buffer_append_u8(g->out, byte);
}

static void put_leb(struct buffer *out, uint32_t value)
{
    while (value >= 0x80) {
        buffer_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    buffer_append_u8(out, (uint8_t)value);
}

static void put_local(struct generator *g, uint8_t opcode)
{
    put(g, opcode);
    put(g, (uint8_t)choose(g, LOCALS));
}

static void get(struct generator *g)
{
    put_local(g, 0x20);
}

/* i32.const: small mostly, two bytes for some, five for a few. */
static void constant(struct generator *g)
{
    uint32_t kind = choose(g, 16);
    put(g, 0x41);
    put_leb(g->out, kind == 0  ? 0x10000000u + choose(g, 1u << 20)
                    : kind < 4 ? 128 + choose(g, 4000)
                               : choose(g, 64));
}

static void memory_argument(struct generator *g)
{
    put(g, 2);
    put_leb(g->out, 4 * choose(g, 64));
}

/* One i32. */
static void expression(struct generator *g, uint32_t depth)
{
    static const uint8_t binary[] = {0x6a, 0x6a, 0x6a, 0x6b, 0x6c, 0x71, 0x72, 0x74, 0x76, 0x46};
    uint32_t kind = choose(g, depth == 0 ? 2 : 8);
    switch (kind) {
    case 0:
    case 2:
        get(g);
        return;
    case 1:
        constant(g);
        return;
    case 3:
    case 4:
        expression(g, depth - 1);
        put(g, 0x28);
        memory_argument(g);
        return;
    default:
        expression(g, depth - 1);
        expression(g, depth - 1);
        put(g, binary[choose(g, sizeof binary)]);
        return;
    }
}

static void store(struct generator *g)
{
    get(g);
    expression(g, 2);
    put(g, 0x36);
    memory_argument(g);
}

static void call(struct generator *g)
{
    expression(g, 1);
    expression(g, 1);
    put(g, 0x10);
    put_leb(g->out, choose(g, g->function_count + 1)); /* itself at the most */
    put_local(g, 0x21);
}

static void statement(struct generator *g)
{
    uint32_t kind = choose(g, 8);
    if (kind == 0) {
        call(g);
    } else if (kind < 3) {
        store(g);
    } else {
        expression(g, 2);
        put_local(g, kind == 3 ? 0x22 : 0x21);
        if (kind == 3) {
            put(g, 0x1a); /* drop */
        }
    }
}

static void statements(struct generator *g, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        statement(g);
    }
}

/* block (br_if out), loop (br_if back), if. */
static void nested(struct generator *g, uint32_t depth)
{
    uint32_t kind = choose(g, 3);
    if (kind == 2) {
        expression(g, 2);
    }
    put(g, kind == 0 ? 0x02 : kind == 1 ? 0x03 : 0x04);
    put(g, EMPTY);
    if (kind == 0) {
        expression(g, 2);
        put(g, 0x0d);
        put(g, 0);
    }
    statements(g, 1 + choose(g, 4));
    if (depth < DEPTH_MAX && choose(g, 2) == 0) {
        nested(g, depth + 1);
    }
    if (kind == 1) {
        expression(g, 2);
        put(g, 0x0d);
        put(g, 0);
    }
    put(g, 0x0b);
}

static void body(struct generator *g)
{
    put(g, 1); /* one run of locals */
    put(g, LOCALS - PARAMS);
    put(g, I32);
    for (uint32_t count = choose(g, STATEMENTS); count > 0; count--) {
        choose(g, 4) == 0 ? nested(g, 0) : statement(g);
    }
    get(g);
    put(g, 0x0b);
}

static void put_section(struct buffer *out, uint8_t id, struct bytes contents)
{
    buffer_append_u8(out, id);
    put_leb(out, (uint32_t)contents.size);
    buffer_append_bytes(out, contents);
}

struct buffer generated_module(size_t bytes)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    static const uint8_t types[] = {1, 0x60, PARAMS, I32, I32, 1, I32};
    static const uint8_t memories[] = {1, 0, 1};
    struct buffer out, bodies, functions, code, one;
    buffer_init(&out, MODULE_BYTES_MAX);
    buffer_init(&bodies, MODULE_BYTES_MAX);
    buffer_init(&functions, MODULE_BYTES_MAX);
    buffer_init(&code, MODULE_BYTES_MAX);
    buffer_init(&one, MODULE_BYTES_MAX);
    struct generator g = {.out = &one, .state = 1};
    for (; bodies.size < bytes; g.function_count++) {
        one.size = 0;
        body(&g);
        put_leb(&bodies, (uint32_t)one.size);
        buffer_append_bytes(&bodies, buffer_bytes(&one));
    }
    put_leb(&functions, g.function_count);
    for (uint32_t i = 0; i < g.function_count; i++) {
        buffer_append_u8(&functions, 0);
    }
    put_leb(&code, g.function_count);
    buffer_append_bytes(&code, buffer_bytes(&bodies));
    buffer_append(&out, header, sizeof header);
    put_section(&out, 1, bytes_of(types, sizeof types));
    put_section(&out, 3, buffer_bytes(&functions));
    put_section(&out, 5, bytes_of(memories, sizeof memories));
    put_section(&out, 10, buffer_bytes(&code));
    buffer_release(&bodies);
    buffer_release(&functions);
    buffer_release(&code);
    buffer_release(&one);
    return out;
}
