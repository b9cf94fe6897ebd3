/* test_families: every numeric instruction, load and store with every kind of operand and
 * destination does what plain code does, in which every value goes through its slot.
 *
 * One module for each instruction: a loop over pairs of edge values, in which two locals weigh so
 * much that they are pinned, two do not, and a value can also be a constant or come from an
 * instruction just before. Each combination adds its results up in a word of memory of its own.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "support/wasm_bytes.h"
#include "vm/engine.h"
#include "vm/translate.h"

#include <criterion/criterion.h>
#include <string.h>

enum {
    EDGES = 8,
    PAIRS = EDGES * EDGES,
    WEIGHT = 400,
    TABLE = 0,
    WORDS = 8192,
    WASM_MAX = 1 << 20
};
/* P and Q are pinned, S and T are not; a destination of another type is X or Y. N counts. */
enum { P, Q, S, T, X, Y, N, LOCALS, CONSTANT = LOCALS, TRANSIENT, SOURCES };

static const uint64_t integers[EDGES] = {0,         1,          7,         UINT64_MAX,
                                         INT64_MAX, 1ull << 63, INT32_MAX, 0x1234567880000000};
static const uint64_t divisors[EDGES] = {1,          2,  3,        0x700000007, 0x8000000000000005,
                                         0x80000000, 40, INT32_MAX};
static const uint32_t floats[EDGES] = {0,          0x80000000, 0x3fc00000, 0xc2c80000,
                                       0x7f800000, 0x7fa00001, 0x00000001, 0x4f000000};
static const uint32_t fitting_floats[EDGES] = {0,          0x3f000000, 0x3fc00000, 0x42c80000,
                                               0x477fff00, 0x00000001, 0x4ee00000, 0x3f800000};

struct body {
    struct buffer bytes;
    const struct opcode_info *info;
    enum opcode opcode;
    uint8_t in, out;
    uint32_t word; /* of the combination under way */
};

static uint8_t type_of(char letter)
{
    return letter == 'I' ? VM_I64 : letter == 'f' ? VM_F32 : letter == 'F' ? VM_F64 : VM_I32;
}

static bool is_wide(uint8_t type)
{
    return type == VM_I64 || type == VM_F64;
}

/* ---- Instructions ---- */

static void put(struct body *body, enum opcode opcode)
{
    const struct opcode_info *info = opcode_info(opcode);
    if (info->prefix != 0) {
        buffer_append_u8(&body->bytes, info->prefix);
    }
    wasm_leb(&body->bytes, info->code);
    if (info->prefix == 0 && info->code >= 0x80) { /* was no number, but a byte */
        body->bytes.size -= 2;
        buffer_append_u8(&body->bytes, (uint8_t)info->code);
    }
}

static void put_indexed(struct body *body, enum opcode opcode, uint32_t index)
{
    put(body, opcode);
    wasm_leb(&body->bytes, index);
}

static void put_i32(struct body *body,
                    uint32_t value) /* below 2^27: the sign is a byte of its own */
{
    put(body, OP_I32_CONST);
    for (int i = 0; i < 4; i++, value >>= 7) {
        buffer_append_u8(&body->bytes, (uint8_t)((value & 0x7f) | (i < 3 ? 0x80 : 0)));
    }
}

static void put_memory(struct body *body, enum opcode opcode, uint32_t offset)
{
    put(body, opcode);
    buffer_append_u8(&body->bytes, 0);
    wasm_leb(&body->bytes, offset);
}

static void put_constant(struct body *body, uint8_t type)
{
    static const uint8_t half[8] = {0, 0, 0, 0, 0, 0, 0xe0, 0x3f};
    if (type == VM_I32 || type == VM_I64) {
        put(body, type == VM_I32 ? OP_I32_CONST : OP_I64_CONST);
        buffer_append_u8(&body->bytes, 5);
        return;
    }
    put(body, type == VM_F32 ? OP_F32_CONST : OP_F64_CONST);
    buffer_append(&body->bytes, type == VM_F32 ? half + 4 : half, type == VM_F32 ? 4 : 8);
}

static void put_source(struct body *body, uint32_t source, uint8_t type)
{
    if (source == CONSTANT) {
        put_constant(body, type);
    } else if (source == TRANSIENT) { /* of the pair under way, with nothing lost */
        put_indexed(body, OP_LOCAL_GET, T);
        put_constant(body, type);
        put(body, type == VM_I32   ? OP_I32_OR
                  : type == VM_I64 ? OP_I64_OR
                  : type == VM_F32 ? OP_F32_MAX
                                   : OP_F64_MAX);
    } else {
        put_indexed(body, OP_LOCAL_GET, source);
    }
}

/* P and S are the first of the pair, Q and T the second. */
static void put_reload(struct body *body)
{
    static const uint32_t places[] = {P, Q, S, T};
    for (uint32_t i = 0; i < 4; i++) {
        put_indexed(body, OP_LOCAL_GET, N);
        put_memory(body,
                   body->in == VM_I32   ? OP_I32_LOAD
                   : body->in == VM_I64 ? OP_I64_LOAD
                   : body->in == VM_F32 ? OP_F32_LOAD
                                        : OP_F64_LOAD,
                   TABLE + 8 * (i % 2));
        put_indexed(body, OP_LOCAL_SET, places[i]);
    }
}

/* word = rotl(word, 7) ^ value: before the value, and after it. */
static void put_word_begin(struct body *body)
{
    body->word += 8;
    put_i32(body, 0);
    put_i32(body, 0);
    put_memory(body, OP_I64_LOAD, WORDS + body->word);
    put(body, OP_I64_CONST);
    buffer_append_u8(&body->bytes, 7);
    put(body, OP_I64_ROTL);
}

static void put_word_end(struct body *body, uint8_t type)
{
    if (type == VM_F32 || type == VM_F64) {
        put(body, type == VM_F32 ? OP_I32_REINTERPRET_F32 : OP_I64_REINTERPRET_F64);
    }
    if (!is_wide(type)) {
        put(body, OP_I64_EXTEND_I32_U);
    }
    put(body, OP_I64_XOR);
    put_memory(body, OP_I64_STORE, WORDS + body->word);
}

/* ---- Combinations ---- */

static void put_operation(struct body *body, uint32_t a, uint32_t b)
{
    put_source(body, a, body->in);
    if (b < SOURCES) {
        put_source(body, b, body->in);
    }
    put(body, body->opcode);
}

static void put_branches(struct body *body, uint32_t a, uint32_t b)
{
    for (int is_contrary = 0; is_contrary < 2; is_contrary++) {
        put_word_begin(body);
        put_i32(body, 1);
        put_indexed(body, OP_LOCAL_SET, Y);
        put_indexed(body, OP_BLOCK, 0x40);
        put_operation(body, a, b);
        if (is_contrary) {
            put(body, OP_I32_EQZ);
        }
        put_indexed(body, OP_BR_IF, 0);
        put_i32(body, 2);
        put_indexed(body, OP_LOCAL_SET, Y);
        put(body, OP_END);
        put_indexed(body, OP_LOCAL_GET, Y);
        put_word_end(body, VM_I32);
    }
}

static void put_combination(struct body *body, uint32_t a, uint32_t b)
{
    static const uint32_t same[] = {P, Q, S}, other[] = {X, Y, Y};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t to = body->in == body->out ? same[i] : other[i];
        put_operation(body, a, b);
        put_indexed(body, OP_LOCAL_SET, to);
        put_word_begin(body);
        put_indexed(body, OP_LOCAL_GET, to);
        put_word_end(body, body->out);
        put_reload(body);
    }
    put_word_begin(body);
    put_operation(body, a, b);
    put_word_end(body, body->out);
    if (body->out == VM_I32) {
        put_branches(body, a, b);
    }
}

static void put_combinations(struct body *body, bool is_binary)
{
    static const uint32_t sources[] = {P, Q, S, CONSTANT, TRANSIENT};
    for (uint32_t a = 0; a < 5; a++) {
        for (uint32_t b = 0; b < (is_binary ? 5 : 1); b++) {
            put_combination(body, sources[a], is_binary ? sources[b] : SOURCES);
        }
    }
}

/* ---- Addresses: the locals are small there. ---- */

static void put_part(struct body *body, uint32_t source, bool is_shifted)
{
    put_source(body, source, VM_I32);
    if (is_shifted) {
        put_i32(body, 2);
        put(body, OP_I32_SHL);
    }
}

/* Form 0: one part; 1: a sum; 2, 3: the second or the first one shifted. */
static void put_address(struct body *body, uint32_t a, uint32_t b, uint32_t form)
{
    put_part(body, a, form == 3);
    if (form > 0) {
        put_part(body, b, form == 2);
        put(body, OP_I32_ADD);
    }
}

static void put_load(struct body *body, uint32_t a, uint32_t b, uint32_t form)
{
    static const uint32_t same[] = {P, Q, S}, other[] = {X, Y, Y};
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t to = body->out == VM_I32 ? same[i] : other[i];
        put_address(body, a, b, form);
        put_memory(body, body->opcode, 0);
        put_indexed(body, OP_LOCAL_SET, to);
        put_word_begin(body);
        put_indexed(body, OP_LOCAL_GET, to);
        put_word_end(body, body->out);
        put_reload(body);
    }
    put_word_begin(body);
    put_address(body, a, b, form);
    put_memory(body, body->opcode, 3);
    put_word_end(body, body->out);
}

/* What is stored: a local of any kind, a constant, what was just computed. Then it is looked at. */
static void put_store(struct body *body, uint32_t a, uint32_t b, uint32_t form)
{
    static const uint32_t same[] = {P, Q, S, CONSTANT, TRANSIENT}, other[] = {X, Y, Y, CONSTANT, Y};
    for (uint32_t i = 0; i < 5; i++) {
        put_address(body, a, b, form);
        put_source(body, body->out == VM_I32 ? same[i] : other[i], body->out);
        put_memory(body, body->opcode, 16384);
        put_word_begin(body);
        put_address(body, a, b, form);
        put_memory(body, OP_I64_LOAD, 16384);
        put_word_end(body, VM_I64);
    }
}

static void put_accesses(struct body *body, bool is_store)
{
    static const uint32_t sources[] = {P, Q, S, CONSTANT, TRANSIENT};
    for (uint32_t form = 0; form < 4; form++) {
        for (uint32_t a = 0; a < 5; a++) {
            for (uint32_t b = 0; b < (form == 0 ? 1 : 5); b++) {
                is_store ? put_store(body, sources[a], sources[b], form)
                         : put_load(body, sources[a], sources[b], form);
            }
        }
    }
}

/* ---- Modules ---- */

/* The loop; what weighs are reads that nobody uses. */
static void put_body(struct body *body, enum family family)
{
    bool is_memory = family == FAMILY_LOAD || family == FAMILY_STORE;
    const uint8_t locals[] = {3, 4, body->in, 2, body->out, 1, VM_I32};
    buffer_append(&body->bytes, locals, sizeof locals);
    put_i32(body, 16 * (PAIRS - 1));
    put_indexed(body, OP_LOCAL_SET, N);
    put_indexed(body, OP_LOOP, 0x40);
    put_reload(body);
    for (uint32_t i = 0; i < WEIGHT; i++) {
        put_indexed(body, OP_LOCAL_GET,
                    body->out == VM_I64 && is_memory      ? (i % 2 ? X : P)
                    : i % 3 == 2 && body->in != body->out ? X
                                                          : i % 2);
        put(body, OP_DROP);
    }
    if (is_memory) {
        put_accesses(body, family == FAMILY_STORE);
    } else {
        put_combinations(body, body->info->signature[1] != ':');
    }
    put_indexed(body, OP_LOCAL_GET, N);
    put_i32(body, 16);
    put(body, OP_I32_SUB);
    put_indexed(body, OP_LOCAL_TEE, N);
    put_i32(body, 0);
    put(body, OP_I32_GE_S);
    put_indexed(body, OP_BR_IF, 0);
    put(body, OP_END);
    put(body, OP_END);
}

static uint64_t edge(const struct body *body, uint32_t i, bool is_memory, bool fits)
{
    const uint32_t *table = fits ? fitting_floats : floats;
    float narrow;
    double wide;
    if (is_memory) {
        return 8 * i;
    }
    if (body->in == VM_I32 || body->in == VM_I64) {
        return fits ? divisors[i] : body->in == VM_I32 ? integers[i] >> (i % 2 * 32) : integers[i];
    }
    memcpy(&narrow, &table[i], sizeof narrow);
    wide = (double)narrow;
    uint64_t bits = 0;
    memcpy(&bits, body->in == VM_F32 ? (void *)&narrow : (void *)&wide, is_wide(body->in) ? 8 : 4);
    return bits;
}

static struct buffer data_of(const struct body *body, bool is_memory, bool fits)
{
    struct buffer data;
    static const uint8_t active[] = {1, 0, 0x41, TABLE, 0x0b};
    buffer_init(&data, WASM_MAX);
    buffer_append(&data, active, sizeof active);
    wasm_leb(&data, 16 * PAIRS);
    for (uint32_t i = 0; i < 2 * PAIRS; i++) {
        uint64_t bits = edge(body, i % 2 == 0 ? i / 2 / EDGES : i / 2 % EDGES, is_memory, fits);
        buffer_append(&data, &bits, sizeof bits);
    }
    return data;
}

static struct buffer module_of(enum opcode opcode)
{
    const struct family_row *row = &family_rows[opcode];
    const struct opcode_info *info = opcode_info(opcode);
    bool is_memory = row->family == FAMILY_LOAD || row->family == FAMILY_STORE;
    bool fits = strstr(info->text, "div_") != NULL || strstr(info->text, "rem_") != NULL ||
                strstr(info->text, ".trunc_f") != NULL;
    struct body body = {.info = info, .opcode = opcode, .in = type_of(info->signature[0])};
    body.out =
        type_of(row->family == FAMILY_STORE ? info->signature[1] : strchr(info->signature, ':')[1]);
    buffer_init(&body.bytes, WASM_MAX);
    put_body(&body, row->family);
    struct buffer code, data = data_of(&body, is_memory, fits);
    buffer_init(&code, WASM_MAX);
    wasm_leb(&code, 1);
    wasm_leb(&code, (uint32_t)body.bytes.size);
    buffer_append_bytes(&code, buffer_bytes(&body.bytes));
    struct buffer wasm =
        WASM({1, BYTES(1, 0x60, 0, 0)}, {3, BYTES(1, 0)}, {5, BYTES(1, 0, 1)},
             {7, BYTES(2, 3, 'r', 'u', 'n', 0, 0, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0)},
             {10, buffer_bytes(&code)}, {11, buffer_bytes(&data)});
    buffer_release(&body.bytes);
    buffer_release(&code);
    buffer_release(&data);
    return wasm;
}

static struct outcome run(struct bytes wasm, bool slots_only, uint64_t slice)
{
    struct engine engine =
        engine_open_wasm(wasm, (struct engine_options){.slots_only = slots_only});
    struct outcome outcome = engine_call(&engine, "run", 0, ENGINE_NO_LIMIT, slice);
    engine_close(&engine);
    return outcome;
}

static void compare(enum family family)
{
    uint32_t count = 0;
    for (int opcode = 0; opcode < OPCODE_COUNT; opcode++) {
        const char *signature = opcode_info((enum opcode)opcode)->signature;
        if (family_rows[opcode].family != family || strchr(signature, 'v') != NULL) {
            continue;
        }
        struct buffer wasm = module_of((enum opcode)opcode);
        struct outcome plain = run(buffer_bytes(&wasm), true, ENGINE_NO_LIMIT);
        cr_assert_eq(plain.status, VM_RETURNED, "%s", opcode_info((enum opcode)opcode)->text);
        struct outcome folded = run(buffer_bytes(&wasm), false, ENGINE_NO_LIMIT);
        struct outcome sliced = run(buffer_bytes(&wasm), false, 1);
        cr_expect_eq(plain.memory, folded.memory, "%s", opcode_info((enum opcode)opcode)->text);
        engine_assert_equal(&plain, &folded);
        engine_assert_equal(&plain, &sliced);
        buffer_release(&wasm);
        count++;
    }
    cr_assert_gt(count, 0);
}

Test(vm_families, binary_instructions)
{
    compare(FAMILY_BINARY);
}

Test(vm_families, comparisons)
{
    compare(FAMILY_COMPARE);
}

Test(vm_families, tests)
{
    compare(FAMILY_TEST);
}

Test(vm_families, unary_instructions)
{
    compare(FAMILY_UNARY);
}

Test(vm_families, loads)
{
    compare(FAMILY_LOAD);
}

Test(vm_families, stores)
{
    compare(FAMILY_STORE);
}
