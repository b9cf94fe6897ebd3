/* test_memory.c: the shares of the node's memory, who waits for it, who is served first, and who
 * has to go: decided by the scheduler's queue, played here without threads and in many orders.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"
#include "service/internal.h"
#include "service/scheduler_queue.h"

#include <criterion/criterion.h>
#include <string.h>

enum { MIB = 1024 * 1024, PLAYERS_MAX = 40 };

/* ---- shares ---- */

Test(service_memory, shares_add_up_so_that_none_takes_from_another)
{
    struct service_memory memory;
    service_memory_init(&memory, 640 * MIB);
    cr_expect_eq(memory.requests.limit, 160 * MIB);
    cr_expect_eq(memory.answers.limit, 80 * MIB);
    cr_expect_eq(memory.programs.limit, 400 * MIB);
    cr_expect(budget_charge(&memory.programs, 400 * MIB));
    cr_expect_not(budget_charge(&memory.programs, 1));
    cr_expect(budget_charge(&memory.requests, 160 * MIB));
    cr_expect(budget_charge(&memory.answers, 80 * MIB));
    cr_expect_eq(budget_used(&memory.node), 640 * MIB);
    cr_expect_not(budget_charge(&memory.answers, 1));
    cr_expect_not(budget_charge(&memory.requests, 1));
    /* Nothing is lost by rounding. */
    service_memory_init(&memory, 1001);
    cr_expect_eq(memory.requests.limit + memory.answers.limit + memory.programs.limit, 1001);
}

Test(service_memory, what_one_may_have_fits_into_its_share)
{
    struct service_memory memory;
    struct service_config config = service_config_default;
    service_memory_init(&memory, config.memory_budget_bytes);
    service_memory_fit(&memory, &config);
    cr_expect_eq(config.memory_max_bytes, service_config_default.memory_max_bytes);
    cr_expect_eq(config.result_bytes_max, service_config_default.result_bytes_max);
    cr_expect_geq(service_memory_body_max(&memory), 32 * MIB);
    service_memory_init(&memory, 16 * MIB);
    service_memory_fit(&memory, &config);
    cr_expect_eq(config.memory_max_bytes, 7 * MIB + MIB / 2, "three quarters of 10 MiB");
    cr_expect_eq(config.result_bytes_max, 2 * MIB / ANSWER_FACTOR);
    cr_expect_eq(service_memory_body_max(&memory), (size_t)(2 * MIB / 19) * 4);
}

/* ---- waiting: a queue with one tenant, and players that take units of a memory ---- */

struct player {
    struct scheduler_run run;
    uint32_t needs, has;
    bool has_waited, is_settled;
};

static struct game {
    struct scheduler_queue queue;
    struct scheduler_tenant *tenant;
    struct player players[PLAYERS_MAX];
    uint32_t free; /* units */
    uint64_t now_ns;
    uint32_t right, ended; /* by NO_MEMORY */
    uint32_t last_right;   /* place of the one that came through last; of the ended, the next */
    uint32_t oldest_ended;
} game;

static void game_open(uint32_t players, uint32_t slots, uint32_t units)
{
    struct err err;
    struct scheduler_config config = {
        .concurrent_max = slots, .queued_max = PLAYERS_MAX, .slice_us = 500, .tenant_percent = 100};
    memset(&game, 0, sizeof game);
    cr_assert(scheduler_queue_init(&game.queue, &config));
    game.free = units;
    game.oldest_ended = UINT32_MAX;
    for (uint32_t i = 0; i < players; i++) {
        struct player *player = &game.players[i];
        cr_assert(scheduler_queue_reserve(&game.queue, "key", &game.tenant, &err));
        player->run.tenant = game.tenant;
        player->run.deadline_ns = UINT64_MAX;
        player->run.attained_ns = 0;
        scheduler_queue_add(&game.queue, &player->run, ++game.now_ns);
    }
}

static struct player *take(void)
{
    struct scheduler_run *run = scheduler_queue_take(&game.queue, ++game.now_ns);
    return run == NULL ? NULL : LIST_ENTRY(run, struct player, run);
}

static void put(struct player *player, enum scheduler_verdict verdict)
{
    scheduler_queue_put(&game.queue, &player->run, verdict, ++game.now_ns);
}

static void settle(struct player *player)
{
    game.free += player->has; /* before it is settled: its result is sealed */
    player->has = 0;
    player->is_settled = true;
    scheduler_queue_settle(&game.queue, &player->run, ++game.now_ns);
}

static void leave(struct player *player)
{
    if (!player->is_settled) {
        settle(player);
    }
    scheduler_queue_leave(&game.queue, &player->run);
    scheduler_queue_unreserve(&game.queue, game.tenant);
}

/* One step of a player that has been taken: one unit more, or the end. False: it is not the
 * player's turn any more. */
static bool play(struct player *player)
{
    uint32_t place = (uint32_t)(player - game.players);
    if (player->is_settled) {
        leave(player); /* its RESULT is committed */
    } else if (atomic_load(&player->run.stop) != SCHEDULER_GO) {
        cr_assert_eq(atomic_load(&player->run.stop), SCHEDULER_NO_MEMORY);
        cr_expect(player->has_waited);
        game.ended++;
        game.oldest_ended = place < game.oldest_ended ? place : game.oldest_ended;
        settle(player);
        return true;
    } else if (player->has == player->needs) {
        game.right++;
        settle(player);
        return true;
    } else if (game.free == 0) {
        player->has_waited = true;
        player->run.holds_memory = player->has > 0;
        put(player, SCHEDULER_WAIT_MEMORY);
    } else {
        game.free--;
        player->has++;
        put(player, SCHEDULER_AGAIN);
    }
    return false;
}

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* Up to `workers` steps are under way at a time, and end in any order. */
static void play_all(uint32_t players, uint32_t workers, uint64_t seed)
{
    struct player *running[4];
    uint32_t count = 0;
    while (game.right + game.ended < players) {
        struct player *player = count < workers ? take() : NULL;
        if (player != NULL) {
            running[count++] = player;
            if (count < workers && next_random(&seed) % 2 == 0) {
                continue;
            }
        }
        cr_assert_gt(count, 0, "nobody can go on, and nobody is ended");
        uint32_t chosen = next_random(&seed) % count;
        if (!play(running[chosen])) {
            running[chosen] = running[--count];
        }
    }
    while (count > 0) {
        leave(running[--count]);
    }
    cr_assert_null(take());
    scheduler_queue_release(&game.queue);
}

Test(service_memory, growing_together_past_what_there_is_most_come_through)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint32_t units = 60 + (uint32_t)seed % 30;
        game_open(PLAYERS_MAX, PLAYERS_MAX, units);
        for (uint32_t i = 0; i < PLAYERS_MAX; i++) {
            game.players[i].needs = 10;
        }
        play_all(PLAYERS_MAX, 1 + (uint32_t)seed % 4, seed);
        cr_expect_eq(game.free, units);
        /* Each had two units or so when all were gone: the oldest needed those of a few others. */
        cr_expect_geq(game.right, PLAYERS_MAX * 3 / 4, "seed %d: %u", (int)seed, game.right);
        cr_expect_gt(game.ended, 0);
        cr_expect_geq(game.oldest_ended, game.right - 4, "the youngest go: %u", game.oldest_ended);
    }
}

Test(service_memory, whatever_they_need_the_game_ends_and_nobody_goes_in_vain)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        uint64_t state = seed * 77;
        uint32_t players = 1 + next_random(&state) % PLAYERS_MAX;
        uint32_t units = 1 + next_random(&state) % 50;
        uint32_t all = 0;
        game_open(players, 1 + next_random(&state) % players, units);
        for (uint32_t i = 0; i < players; i++) {
            game.players[i].needs = next_random(&state) % (units + 1);
            all += game.players[i].needs;
        }
        play_all(players, 1 + (uint32_t)seed % 4, seed);
        cr_expect_eq(game.free, units);
        cr_expect_gt(game.right, 0);
        cr_expect(game.ended == 0 || all > units, "there was enough for all");
    }
}

Test(service_memory, who_holds_nothing_is_not_ended_for_others)
{
    game_open(4, 4, 0);
    struct player *players[4];
    for (int i = 0; i < 4; i++) {
        players[i] = take();
        players[i]->run.holds_memory = i == 1;
    }
    for (int i = 0; i < 4; i++) {
        put(players[i], SCHEDULER_WAIT_MEMORY);
    }
    cr_expect_eq(take(), players[1]);
    cr_expect_eq(atomic_load(&players[1]->run.stop), SCHEDULER_NO_MEMORY);
    leave(players[1]);
    cr_expect_eq(take(), players[0]);
    put(players[0], SCHEDULER_WAIT_MEMORY);
    cr_expect_eq(take(), players[3], "nobody holds any: the youngest");
    cr_expect_eq(atomic_load(&players[3]->run.stop), SCHEDULER_NO_MEMORY);
    scheduler_queue_stop_all(&game.queue);
    leave(players[3]);
    leave(take());
    leave(take());
    scheduler_queue_release(&game.queue);
}

Test(service_memory, who_needs_more_than_there_is_waits_for_nobody_and_is_ended)
{
    game_open(1, 1, 5);
    game.players[0].needs = 6;
    play_all(1, 1, 1);
    cr_expect_eq(game.ended, 1);
}

Test(service_memory, the_oldest_is_served_first_and_then_passes_the_turn_on)
{
    game_open(4, 4, 0);
    struct player *holder = take();
    struct player *waiting[3];
    cr_assert_eq(holder, &game.players[0]);
    for (int i = 2; i >= 0; i--) { /* the youngest finds out first */
        struct scheduler_run *run = &game.players[1 + i].run;
        do {
            waiting[i] = take();
            if (&waiting[i]->run != run) {
                put(waiting[i], SCHEDULER_AGAIN);
            }
        } while (&waiting[i]->run != run);
        put(waiting[i], SCHEDULER_WAIT_MEMORY);
    }
    cr_assert_null(take());
    leave(holder);
    for (int slice = 1; slice < 64; slice++) { /* it gets what it needs, and more */
        cr_expect_eq(take(), waiting[0], "the oldest tries");
        cr_expect_null(take(), "alone");
        put(waiting[0], SCHEDULER_AGAIN);
    }
    cr_expect_eq(take(), waiting[0]);
    put(waiting[0], SCHEDULER_AGAIN);
    struct player *one = take();
    struct player *two = take();
    cr_expect(one == waiting[1] || two == waiting[1], "now the next one tries, too");
    put(waiting[1], SCHEDULER_WAIT_MEMORY); /* in vain: the third does not try */
    put(waiting[0], SCHEDULER_AGAIN);
    cr_expect_eq(take(), waiting[0]);
    cr_expect_null(take());
    leave(waiting[0]);
    cr_expect_eq(take(), waiting[1]);
    cr_expect_null(take());
    scheduler_queue_settle(&game.queue, &waiting[1]->run, ++game.now_ns);
    cr_expect_eq(take(), waiting[2], "whoever has its outcome lets the next one try at once");
    scheduler_queue_leave(&game.queue, &waiting[1]->run);
    scheduler_queue_unreserve(&game.queue, game.tenant);
    leave(waiting[2]);
    scheduler_queue_release(&game.queue);
}

Test(service_memory, what_comes_back_while_somebody_looks_is_not_missed)
{
    game_open(2, 2, 0);
    struct player *first = take();
    struct player *second = take();
    leave(first);                       /* after the second one has looked */
    put(second, SCHEDULER_WAIT_MEMORY); /* and before it waits */
    cr_expect_eq(take(), second);
    cr_expect_eq(atomic_load(&second->run.stop), SCHEDULER_GO);
    leave(second);
    scheduler_queue_release(&game.queue);
}

/* Answers on their way give room back by themselves: nobody is ended for it. */
Test(service_memory, who_waits_for_the_room_of_an_answer_is_not_ended_for_it)
{
    game_open(2, 2, 0);
    struct player *first = take();
    struct player *second = take();
    put(first, SCHEDULER_WAIT_ROOM);
    put(second, SCHEDULER_WAIT_ROOM);
    cr_expect_null(take());
    scheduler_queue_memory_freed(&game.queue);
    cr_expect_eq(take(), first);
    cr_expect_null(take());
    put(first, SCHEDULER_WAIT_ROOM);
    cr_expect_null(take());
    scheduler_queue_stop(&game.queue, &second->run, SCHEDULER_DEADLINE);
    cr_expect_eq(take(), second);
    leave(second);
    cr_expect_eq(take(), first, "that gave some back");
    leave(first);
    scheduler_queue_release(&game.queue);
}

/* A run that waits for memory while another waits for room: the other will go on. */
Test(service_memory, room_for_an_answer_is_worth_waiting_for)
{
    game_open(2, 2, 0);
    struct player *first = take();
    struct player *second = take();
    put(first, SCHEDULER_WAIT_ROOM);
    put(second, SCHEDULER_WAIT_MEMORY);
    cr_expect_null(take());
    cr_expect_eq(atomic_load(&second->run.stop), SCHEDULER_GO);
    scheduler_queue_stop_all(&game.queue);
    for (int i = 0; i < 2; i++) {
        leave(take());
    }
    scheduler_queue_release(&game.queue);
}
