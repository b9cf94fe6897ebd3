/* memory.c: the node's memory and its shares (docs/memory.md has the ledger).
 *
 * The shares add up to the whole, so none can take from another: an answer is made although
 * programs have taken all they may, and a program runs although bodies arrive faster than they are
 * worked on. Only the cache lies within the share of programs and gives way to them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

enum {
    REQUESTS_PART = 4, /* one in so many of all bytes */
    ANSWERS_PART = 8,
    /* What one body takes until it is parsed, in quarters of it: itself, three times it in JSON,
     * three quarters decoded; and what its values take, whatever their size. */
    BODY_QUARTERS = 4 + 3 * 4 + 3,
    PROGRAM_PARTS = 4, /* all but one of so many of the share of programs are for one memory */
};

void service_memory_init(struct service_memory *memory, size_t bytes)
{
    size_t requests = bytes / REQUESTS_PART;
    size_t answers = bytes / ANSWERS_PART;
    budget_init(&memory->node, NULL, bytes);
    budget_init(&memory->requests, &memory->node, requests);
    budget_init(&memory->answers, &memory->node, answers);
    budget_init(&memory->programs, &memory->node, bytes - requests - answers);
}

size_t service_memory_body_max(const struct service_memory *memory)
{
    size_t values = json_parse_memory_max(SIZE_MAX / 4) - 3 * (SIZE_MAX / 4);
    size_t limit = memory->requests.limit;
    return (limit > 2 * values ? limit - values : limit / 2) / BODY_QUARTERS * 4;
}

void service_memory_fit(const struct service_memory *memory, struct service_config *config)
{
    size_t program = memory->programs.limit / PROGRAM_PARTS * (PROGRAM_PARTS - 1);
    size_t result = memory->answers.limit / ANSWER_FACTOR;
    if (config->memory_max_bytes > program) {
        config->memory_max_bytes = (uint32_t)program;
    }
    config->result_bytes_max =
        config->result_bytes_max < result ? config->result_bytes_max : result;
}

size_t service_memory_used(const struct service *service)
{
    struct module_cache_facts facts;
    module_cache_facts(service->modules, &facts);
    size_t all = budget_used(&service->parts.memory->node);
    return all > facts.bytes ? all - facts.bytes : 0;
}
