/* translate_emit.c: the bytes of internal code, the costs of straight runs, and the emissions that
 * can still be taken back.
 *
 * Costs: whoever opens a straight run (entry, label, fall-through edge, return from a call) leaves
 * a site; the next control instruction knows how much gas lies between and fills all open sites in.
 * A label has one, however many branches lead there: they are told one by one (struct patch).
 * Falling into a label opens nothing: the run goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/translate.h"

#include <assert.h>

void emit_patch_u32(struct translator *t, uint32_t at, uint32_t value)
{
    if (!t->failed && at >= t->code_base) {
        emit_put_u32(translated_at(t, at), value);
    }
}

uint8_t *emit_more(struct translator *t, uint32_t bytes)
{
    assert(bytes % 8 == 0 && bytes <= sizeof t->overflow);
    bool is_room = t->code_size + bytes <= t->code_max && code_has_room(t);
    if ((t->failed || !is_room) && !translator_grow_code(t, bytes)) {
        return (uint8_t *)t->overflow;
    }
    uint8_t *at = translated_at(t, t->code_size);
    memset(at, 0, sizeof t->overflow); /* more than needed, but a size that is known */
    t->code_size += bytes;
    return at;
}

/* The instruction before gets a handler that does both, if there is one. */
static bool fuse(struct translator *t, enum handler handler)
{
    if (t->previous.handler == HANDLER_COUNT || t->slots_only || t->failed) {
        return false;
    }
    enum handler fused = handler_fused(t->previous.handler, handler);
    if (fused == HANDLER_COUNT) {
        return false;
    }
    emit_put_u64(translated_at(t, t->previous.start), handler_word(fused));
    return true;
}

uint8_t *emit_append(struct translator *t, enum handler handler, uint32_t bytes)
{
    struct query *query = &t->query;
    if (query->active && query->at == t->code_size) {
        query->found = true;
        query->source = t->source;
        query->ended = false;
    }
    uint32_t start = t->code_size;
    bool is_second = fuse(t, handler);
    uint8_t *at = emit_more(t, bytes);
    emit_put_u64(at, handler_word(handler));
    t->previous = (struct previous){.start = start, .handler = is_second ? HANDLER_COUNT : handler};
    return at;
}

uint8_t *emit_begin(struct translator *t, enum handler handler, uint32_t bytes)
{
    emit_forget(t);
    return emit_append(t, handler, bytes);
}

/* ---- Costs ---- */

void site_open(struct translator *t, uint32_t at)
{
    assert(t->site_count < t->site_capacity);
    t->sites[t->site_count++] = (struct site){.at = at, .fixups = TRANSLATE_NONE, .gas = t->gas};
}

void site_open_label(struct translator *t, int32_t fixups)
{
    if (fixups == TRANSLATE_NONE || t->is_search) {
        return;
    }
    site_open(t, SITE_LABEL);
    t->sites[t->site_count - 1].fixups = fixups;
    t->sites[t->site_count - 1].target = t->code_size;
}

static void end_site(struct translator *t, const struct site *site)
{
    uint32_t cost = (uint32_t)(t->gas - site->gas);
    if (site->at == SITE_ENTRY) {
        t->entry_cost = cost;
    } else if (site->at == SITE_LABEL) {
        assert(t->patch_count < t->patch_capacity);
        t->patches[t->patch_count++] =
            (struct patch){.fixups = site->fixups, .target = site->target, .cost = cost};
    } else {
        emit_patch_u32(t, site->at, cost);
    }
}

size_t patch_some(struct translator *t, size_t most)
{
    size_t done = 0;
    for (; t->patch_count > 0 && done < most; done++) {
        struct patch *patch = &t->patches[t->patch_count - 1];
        const struct fixup *fixup = fixup_at(t, patch->fixups);
        emit_patch_u32(t, fixup->rel_at, patch->target - fixup->base);
        emit_patch_u32(t, fixup->cost_at, patch->cost);
        patch->fixups = fixup->next;
        t->patch_count -= patch->fixups == TRANSLATE_NONE;
    }
    return done;
}

static void end_straight_run(struct translator *t)
{
    for (uint32_t i = 0; i < t->site_count; i++) {
        end_site(t, &t->sites[i]);
    }
    t->site_count = 0;
    while (t->open_loop != TRANSLATE_NONE) {
        struct control *loop = &t->controls[t->open_loop];
        loop->loop_cost = (uint32_t)(t->gas - loop->loop_gas);
        t->open_loop = loop->next_open_loop;
    }
    if (t->query.found && !t->query.ended) {
        t->query.ended = true;
        t->query.end_gas = t->gas;
    }
}

uint8_t *emit_begin_control(struct translator *t, enum handler handler, uint32_t bytes)
{
    end_straight_run(t);
    uint8_t *at = emit_begin(t, handler, bytes);
    if (t->query.found && !t->query.ended) { /* it is this very instruction */
        t->query.ended = true;
        t->query.end_gas = t->gas;
    }
    t->run_end = t->gas + TRANSLATE_RUN_GAS;
    return at;
}

void emit_edge(struct translator *t)
{
    enum { BYTES = 16 };
    uint8_t *at = emit_begin_control(t, HANDLER_JUMP, BYTES);
    emit_put_u32(at + CODE_JUMP_REL, BYTES);
    site_open(t, t->code_size - BYTES + CODE_JUMP_COST);
}

/* ---- Instructions with a destination ---- */

void emit_forget(struct translator *t)
{
    t->history_count = 0;
}

void emit_label(struct translator *t)
{
    emit_forget(t);
    t->previous.handler = HANDLER_COUNT;
}

void emit(struct translator *t, const struct emission *emission)
{
    struct emission *e = &t->history[t->history_next++ % HISTORY_MAX];
    struct source source = t->source;
    *e = *emission;
    t->source = e->source; /* of what is emitted again, not of who does it */
    e->start = t->code_size;
    e->before = t->previous;
    choose_emission(t, e);
    t->source = source;
    e->serial = ++t->serial;
    t->history_count += t->history_count < HISTORY_MAX;
}

const struct emission *emit_last(const struct translator *t, uint32_t producer)
{
    if (t->history_count == 0 || t->slots_only) {
        return NULL;
    }
    const struct emission *last = &t->history[(t->history_next - 1) % HISTORY_MAX];
    return last->serial == producer ? last : NULL;
}

struct emission emit_take_back(struct translator *t)
{
    assert(t->history_count > 0);
    t->history_count--;
    struct emission last = t->history[--t->history_next % HISTORY_MAX];
    if (!t->failed) {
        t->code_size = last.start;
        if (last.before.handler != HANDLER_COUNT) { /* what was fused is so no longer */
            emit_put_u64(translated_at(t, last.before.start), handler_word(last.before.handler));
        }
    }
    t->previous = last.before;
    return last;
}
