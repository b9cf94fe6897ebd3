/* profile_print.c: what the straight runs of a profile consist of.
 *
 * In internal code a straight run goes from its pc to the next instruction that ends one; walking
 * it gives the instructions dispatched. In WebAssembly it ends at the instruction which that last
 * one came from (translate_locate tells), and begins as far before it as its price reaches.
 * Everything is weighed by how often the run ran.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/profile.h"
#include "vm/translate.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* Sequences of one, two and three instructions; a key holds 16 bits for each, the last one lowest,
 * each number plus 1. */
enum { SEQUENCE_MAX = 3, KEY_BITS = 16 };
static_assert(HANDLER_COUNT < 65535 && OPCODE_COUNT < 65535, "numbers fit a key");

struct sequences {
    struct tally tallies[SEQUENCE_MAX];
    uint64_t total; /* instructions */
    uint64_t last;  /* the key of the last three */
};

struct body_row { /* an instruction of a body */
    uint32_t offset;
    enum opcode opcode;
};

struct analysis {
    struct tally handlers; /* word -> handler + 1 */
    struct sequences code, wasm;
    uint64_t gas, run_count;
    struct profile_block *blocks;
    uint32_t *dispatches; /* of each block */
    size_t block_count;
    const struct vm_module *module; /* of the body below */
    uint32_t function_index;
    struct body_row *body;
    uint32_t body_count;
    bool failed;
};

/* ---- Sequences ---- */

static void sequences_begin(struct sequences *sequences)
{
    sequences->last = 0;
}

static void sequences_add(struct sequences *sequences, uint32_t number, uint64_t count)
{
    uint64_t all = ((uint64_t)1 << SEQUENCE_MAX * KEY_BITS) - 1;
    sequences->last = (sequences->last << KEY_BITS | (number + 1)) & all;
    sequences->total += count;
    for (int length = 1; length <= SEQUENCE_MAX; length++) {
        if (sequences->last >> (length - 1) * KEY_BITS != 0) {
            uint64_t mask = ((uint64_t)1 << length * KEY_BITS) - 1;
            tally_add(&sequences->tallies[length - 1], sequences->last & mask, count);
        }
    }
}

static bool sequences_failed(const struct sequences *sequences)
{
    bool failed = false;
    for (int i = 0; i < SEQUENCE_MAX; i++) {
        failed = failed || sequences->tallies[i].failed;
    }
    return failed;
}

static void sequences_release(struct sequences *sequences)
{
    for (int i = 0; i < SEQUENCE_MAX; i++) {
        tally_release(&sequences->tallies[i]);
    }
}

/* ---- Internal code ---- */

static bool ends_straight_run(enum handler handler)
{
    switch ((enum code_format)handler_layouts[handler].format) {
    case CODE_BRANCH:
    case CODE_JUMP:
    case CODE_TABLE:
    case CODE_RETURN:
    case CODE_CALL:
    case CODE_TAIL_CALL:
    case CODE_BARE:
        return true;
    case CODE_RARE: /* the bulk operations are listed together */
        return handler >= HANDLER_TABLE_INIT && handler <= HANDLER_MEMORY_FILL;
    case CODE_BINARY:
    case CODE_UNARY:
    case CODE_LOAD:
    case CODE_STORE:
    case CODE_FAR_LOAD:
    case CODE_FAR_STORE:
    case CODE_CONSTANT:
    case CODE_SHUFFLE:
    case CODE_EXTRACT:
    case CODE_REPLACE:
    case CODE_SHIFTED:
    case CODE_TERNARY:
    case CODE_LOAD_LANE:
    case CODE_STORE_LANE:
    case CODE_FAR_LANE:
    case CODE_SELECT:
    case CODE_GLOBAL:
    case CODE_PIN:
        return false;
    }
    return true;
}

static const struct code *code_at(const struct vm_module *module, const uint8_t *pc,
                                  uint32_t *function_index)
{
    for (uint32_t i = 0; i < module->func_count; i++) {
        const struct code *code = module->funcs[i].code;
        if (code != NULL && pc >= code->start && pc < code->start + code->size) {
            *function_index = i;
            return code;
        }
    }
    return NULL;
}

/* Returns the last instruction of the straight run; *length: how many are dispatched. */
static const uint8_t *walk_code(struct analysis *analysis, const struct profile_block *block,
                                const struct code *code, uint32_t *length)
{
    const uint8_t *last = NULL;
    bool fused = false; /* with the one before */
    bool ended = false;
    sequences_begin(&analysis->code);
    for (const uint8_t *pc = block->pc; !ended && pc < code->start + code->size;) {
        uint64_t number = tally_get(&analysis->handlers, code_u64(pc, 0));
        if (number == 0) {
            break;
        }
        enum handler handler = (enum handler)(number - 1);
        if (!fused) {
            sequences_add(&analysis->code, handler, block->count);
            ++*length;
        }
        fused = !fused && handler_is_fused(handler);
        last = pc;
        ended = !fused && ends_straight_run(handler);
        pc += code_instruction_bytes(&handler_layouts[handler], pc);
    }
    return last;
}

/* ---- WebAssembly ---- */

static void read_body(struct analysis *analysis, const struct vm_module *module,
                      uint32_t function_index)
{
    const struct module_func *func = &module->funcs[function_index];
    struct reader reader = reader_of(func->body);
    struct instruction instruction;
    struct err err;
    if (analysis->module == module && analysis->function_index == function_index) {
        return;
    }
    heap_free(analysis->body);
    analysis->body = heap_alloc_array(func->body.size + 1, sizeof analysis->body[0]);
    analysis->body_count = 0;
    analysis->module = module;
    analysis->function_index = function_index;
    analysis->failed = analysis->failed || analysis->body == NULL;
    while (analysis->body != NULL && reader_left(&reader) > 0 &&
           opcode_read(&reader, func->body_offset, &instruction, &err)) {
        analysis->body[analysis->body_count++] =
            (struct body_row){.offset = instruction.offset, .opcode = instruction.opcode};
    }
}

static uint32_t find_row_of_body(const struct analysis *analysis, uint32_t offset)
{
    uint32_t first = 0;
    uint32_t end = analysis->body_count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        if (analysis->body[middle].offset < offset) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

static void walk_body(struct analysis *analysis, const struct profile_block *block,
                      uint32_t last_offset)
{
    uint32_t end = find_row_of_body(analysis, last_offset);
    uint32_t begin = end + 1;
    uint32_t gas = 0;
    if (end >= analysis->body_count) {
        return;
    }
    while (begin > 0 && gas < block->price) {
        begin--;
        gas += opcode_info(analysis->body[begin].opcode)->gas;
    }
    sequences_begin(&analysis->wasm);
    for (uint32_t i = begin; i <= end; i++) {
        enum opcode opcode = analysis->body[i].opcode;
        if (opcode_info(opcode)->gas > 0) {
            sequences_add(&analysis->wasm, opcode, block->count);
        }
    }
}

/* ---- All of it ---- */

static void analyze_block(struct analysis *analysis, const struct profile_block *block)
{
    struct translate_location location;
    uint32_t function_index;
    uint32_t length = 0;
    const struct code *code = code_at(block->module, block->pc, &function_index);
    if (code == NULL) {
        return; /* a stub, between instances */
    }
    const uint8_t *last = walk_code(analysis, block, code, &length);
    analysis->gas += block->price * block->count;
    analysis->run_count += block->count;
    analysis->blocks[analysis->block_count] = *block;
    analysis->dispatches[analysis->block_count++] = length;
    read_body(analysis, block->module, function_index);
    if (last == NULL ||
        !translate_locate(block->module, function_index, (uint32_t)(last - code->start),
                          TRANSLATE_TO_THE_END, &location)) {
        analysis->failed = true;
        return;
    }
    walk_body(analysis, block, location.offset);
}

static int compare_blocks(const void *a, const void *b)
{
    const struct profile_block *left = a;
    const struct profile_block *right = b;
    return (left->pc > right->pc) - (left->pc < right->pc);
}

static void analysis_release(struct analysis *analysis)
{
    tally_release(&analysis->handlers);
    sequences_release(&analysis->code);
    sequences_release(&analysis->wasm);
    heap_free(analysis->blocks);
    heap_free(analysis->dispatches);
    heap_free(analysis->body);
}

/* In the order of the code, so that each body is read once. */
static bool analyze(const struct vm_profile *profile, struct analysis *out)
{
    struct profile_block *blocks = heap_alloc_array(profile->used + 1, sizeof blocks[0]);
    size_t count = 0;
    *out = (struct analysis){.failed = profile->failed};
    out->blocks = heap_alloc_array(profile->used + 1, sizeof out->blocks[0]);
    out->dispatches = heap_alloc_array(profile->used + 1, sizeof out->dispatches[0]);
    out->failed = out->failed || blocks == NULL || out->blocks == NULL || out->dispatches == NULL;
    for (uint32_t i = 0; i < HANDLER_COUNT; i++) {
        tally_add(&out->handlers, handler_word((enum handler)i), i + 1);
    }
    for (size_t i = 0; i < profile->capacity && !out->failed; i++) {
        if (profile->blocks[i].count > 0) {
            blocks[count++] = profile->blocks[i];
        }
    }
    if (blocks != NULL) { /* nothing is not for sorting, not even none of it */
        qsort(blocks, count, sizeof blocks[0], compare_blocks);
    }
    for (size_t i = 0; i < count && !out->failed && !out->handlers.failed; i++) {
        analyze_block(out, &blocks[i]);
    }
    heap_free(blocks);
    out->failed = out->failed || out->handlers.failed || sequences_failed(&out->code) ||
                  sequences_failed(&out->wasm);
    if (out->failed) {
        analysis_release(out);
    }
    return !out->failed;
}

/* ---- As text ---- */

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static const char *handler_name(uint32_t number)
{
    return handler_layouts[number].name;
}

static const char *opcode_name(uint32_t number)
{
    return opcode_info((enum opcode)number)->text;
}

static void print_sequences(struct sequences *sequences, const char *what, uint32_t rows,
                            const char *(*name)(uint32_t number), FILE *out)
{
    static const char *const titles[SEQUENCE_MAX] = {"alone", "pairs", "triples"};
    for (int length = 1; length <= SEQUENCE_MAX; length++) {
        struct tally *tally = &sequences->tallies[length - 1];
        tally_sort(tally);
        fprintf(out, "\n%s, %s\n", what, titles[length - 1]);
        for (size_t i = 0; i < rows && i < tally->used; i++) {
            const struct tally_row *row = &tally->rows[i];
            fprintf(out, "%6.2f %%  %12" PRIu64 " ", share(row->count, sequences->total),
                    row->count);
            for (int at = length - 1; at >= 0; at--) {
                uint32_t number = (uint32_t)(row->key >> at * KEY_BITS & 0xffff) - 1;
                fprintf(out, " %s%s", name(number), at > 0 ? "," : "\n");
            }
        }
    }
}

static size_t hottest(const struct analysis *analysis, const bool *printed)
{
    size_t best = analysis->block_count;
    for (size_t i = 0; i < analysis->block_count; i++) {
        uint64_t own = analysis->dispatches[i] * analysis->blocks[i].count;
        if (!printed[i] && (best == analysis->block_count ||
                            own > analysis->dispatches[best] * analysis->blocks[best].count)) {
            best = i;
        }
    }
    return best;
}

static bool print_blocks(const struct analysis *analysis, uint32_t rows, FILE *out)
{
    bool *printed = heap_alloc_array(analysis->block_count + 1, sizeof printed[0]);
    if (printed == NULL) {
        return false;
    }
    fprintf(out, "\nstraight runs: times, dispatches and WebAssembly instructions each, where\n");
    for (size_t i = 0; i < rows && i < analysis->block_count; i++) {
        size_t best = hottest(analysis, printed);
        const struct profile_block *block = &analysis->blocks[best];
        uint32_t function_index = 0;
        const struct code *code = code_at(block->module, block->pc, &function_index);
        char name[MODULE_NAME_TEXT_BYTES];
        module_name_text(vm_module_function_name(block->module, function_index), name);
        fprintf(out,
                "%6.2f %%  %12" PRIu64 " %4" PRIu32 " %4" PRIu32 "  function %" PRIu32
                " %s at %04" PRIx32 "\n",
                share(analysis->dispatches[best] * block->count, analysis->code.total),
                block->count, analysis->dispatches[best], block->price, function_index, name,
                (uint32_t)(block->pc - code->start));
        printed[best] = true;
    }
    heap_free(printed);
    return true;
}

bool vm_profile_totals(const struct vm_profile *profile, struct vm_profile_totals *out)
{
    struct analysis analysis;
    if (!analyze(profile, &analysis)) {
        return false;
    }
    *out =
        (struct vm_profile_totals){.dispatches = analysis.code.total, .instructions = analysis.gas};
    analysis_release(&analysis);
    return true;
}

bool vm_profile_print(const struct vm_profile *profile, uint32_t rows, FILE *out)
{
    struct analysis analysis;
    if (!analyze(profile, &analysis)) {
        return false;
    }
    fprintf(out,
            "dispatches %" PRIu64 ", WebAssembly instructions %" PRIu64 ": %.2f a dispatch\n"
            "straight runs of %.1f dispatches, %.1f WebAssembly instructions\n",
            analysis.code.total, analysis.gas,
            analysis.code.total > 0 ? (double)analysis.gas / (double)analysis.code.total : 0.0,
            (double)analysis.code.total / (double)(analysis.run_count > 0 ? analysis.run_count : 1),
            (double)analysis.gas / (double)(analysis.run_count > 0 ? analysis.run_count : 1));
    bool ok = print_blocks(&analysis, rows, out);
    print_sequences(&analysis.code, "internal code, of all dispatches", rows, handler_name, out);
    print_sequences(&analysis.wasm, "WebAssembly, of all that cost gas", rows, opcode_name, out);
    analysis_release(&analysis);
    return ok;
}
