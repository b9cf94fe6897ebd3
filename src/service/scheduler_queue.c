/* scheduler_queue.c: tenants found by name, heaps of tenants, lists of runs in them.
 *
 * Everything is a few pointer moves: choosing and putting back are O(log tenants); a run that comes
 * back to its tenant's list is put in order from the back, where it belongs nearly always.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/scheduler_queue.h"

#include "base/arena.h"

#include <assert.h>
#include <string.h>

enum {
    YOUNG_NS = 10000000,        /* of service, then it is grown */
    YOUNG_PER_GROWN = 7,        /* parts of the time, while both wait */
    TURNS_PER_ELDEST = 8,       /* of a tenant's young turns, one is for who has had most, */
    ELDEST_AGE_NS = 1000000000, /* if it came so long ago */
    RETRY_SLICES = 64,          /* who waited for memory has so many before the next one tries */
    NS_PER_US = 1000,
    PERCENT = 100,
};

struct tenant_age {           /* of a tenant's runs, the young or the grown */
    struct minheap_node node; /* in queue.ready, while `ready` is not empty */
    struct list ready;        /* by turn_ns */
    uint32_t present;         /* ready or running */
    uint32_t turns;
    uint64_t turn_ns;    /* the tenant's virtual time, a slice ahead for each run it has running */
    uint64_t virtual_ns; /* the turn_ns of its run that was served last */
};

struct scheduler_tenant {
    struct list bucket_link;
    char owner[SCHEDULER_OWNER_CHARS + 1];
    uint32_t reserved, slots, express;
    uint32_t waiting; /* for a slot: in the two lists */
    struct list parked, backlog;
    struct minheap_node line;
    struct list express_link; /* to itself: not in queue.express_line */
    struct tenant_age ages[SCHEDULER_AGES];
};

static struct scheduler_run *run_of(struct list *link)
{
    return LIST_ENTRY(link, struct scheduler_run, link);
}

static uint64_t slice_ns(const struct scheduler_queue *queue)
{
    return (uint64_t)queue->config.slice_us * NS_PER_US;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- opening ---- */

static uint32_t share_of(uint32_t whole, uint32_t percent)
{
    uint64_t share = (uint64_t)whole * percent / PERCENT;
    return whole != 0 && share == 0 ? 1 : (uint32_t)share;
}

bool scheduler_queue_init(struct scheduler_queue *queue, const struct scheduler_config *config)
{
    uint32_t percent = config->tenant_percent == 0 ? PERCENT : config->tenant_percent;
    uint32_t runs_max = config->concurrent_max + config->queued_max;
    *queue = (struct scheduler_queue){
        .config = *config,
        .reserved_max = runs_max,
        .reserved_share = share_of(runs_max, percent),
        .express_share = share_of(config->express_max, percent),
    };
    for (size_t i = 0; i < SCHEDULER_QUEUE_BUCKETS; i++) {
        list_init(&queue->tenants[i]);
    }
    list_init(&queue->stopped);
    list_init(&queue->express_line);
    list_init(&queue->waiting);
    list_init(&queue->rooming);
    bool ok = minheap_init(&queue->deadlines, runs_max);
    ok = minheap_init(&queue->line, runs_max) && ok;
    ok = minheap_init(&queue->ready[SCHEDULER_YOUNG], runs_max) && ok;
    ok = minheap_init(&queue->ready[SCHEDULER_GROWN], runs_max) && ok;
    if (!ok) {
        scheduler_queue_release(queue);
    }
    return ok;
}

void scheduler_queue_release(struct scheduler_queue *queue)
{
    assert(queue->tenant_count == 0);
    minheap_release(&queue->deadlines);
    minheap_release(&queue->line);
    minheap_release(&queue->ready[SCHEDULER_YOUNG]);
    minheap_release(&queue->ready[SCHEDULER_GROWN]);
}

/* ---- tenants and reservations ---- */

static struct list *bucket_of(struct scheduler_queue *queue, const char *owner)
{
    uint32_t hash = 2166136261; /* FNV-1a */
    for (const char *c = owner; *c != 0; c++) {
        hash = (hash ^ (uint8_t)*c) * 16777619;
    }
    return &queue->tenants[hash % SCHEDULER_QUEUE_BUCKETS];
}

static struct scheduler_tenant *tenant_find(struct list *bucket, const char *owner)
{
    for (struct list *link = bucket->next; link != bucket; link = link->next) {
        struct scheduler_tenant *tenant = LIST_ENTRY(link, struct scheduler_tenant, bucket_link);
        if (strcmp(tenant->owner, owner) == 0) {
            return tenant;
        }
    }
    return NULL;
}

static struct scheduler_tenant *tenant_new(struct scheduler_queue *queue, const char *owner)
{
    struct scheduler_tenant *tenant = HEAP_NEW(struct scheduler_tenant);
    if (tenant == NULL) {
        return NULL;
    }
    size_t size = strlen(owner);
    assert(size <= SCHEDULER_OWNER_CHARS);
    memcpy(tenant->owner, owner, size);
    list_init(&tenant->parked);
    list_init(&tenant->backlog);
    list_init(&tenant->express_link);
    list_init(&tenant->ages[SCHEDULER_YOUNG].ready);
    list_init(&tenant->ages[SCHEDULER_GROWN].ready);
    list_push_back(bucket_of(queue, owner), &tenant->bucket_link);
    queue->tenant_count++;
    return tenant;
}

static void list_wake_first(struct scheduler_queue *queue, struct list *list);

bool scheduler_queue_reserve(struct scheduler_queue *queue, const char *owner,
                             struct scheduler_tenant **out, struct err *err)
{
    if (queue->reserved >= queue->reserved_max) {
        return err_set(err, ERR_OVERLOADED, "too many executions are waiting");
    }
    struct scheduler_tenant *tenant = tenant_find(bucket_of(queue, owner), owner);
    if (tenant != NULL && tenant->reserved >= queue->reserved_share) {
        return err_set(err, ERR_RATE_LIMITED,
                       "too many executions of this API key are waiting (at most %u)",
                       queue->reserved_share);
    }
    if (tenant == NULL && (tenant = tenant_new(queue, owner)) == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a tenant");
    }
    tenant->reserved++;
    queue->reserved++;
    *out = tenant;
    return true;
}

void scheduler_queue_unreserve(struct scheduler_queue *queue, struct scheduler_tenant *tenant)
{
    assert(tenant->reserved > 0);
    queue->freed++; /* its answer, too */
    list_wake_first(queue, &queue->rooming);
    queue->reserved--;
    if (--tenant->reserved > 0) {
        return;
    }
    assert(tenant->slots == 0 && tenant->express == 0 && tenant->waiting == 0);
    list_remove(&tenant->bucket_link);
    heap_free(tenant);
    queue->tenant_count--;
}

/* ---- ready runs ---- */

static struct tenant_age *age_of(const struct scheduler_run *run)
{
    return &run->tenant->ages[run->age];
}

/* The tenant's place among others, after its virtual time has changed. */
static void age_place(struct scheduler_queue *queue, enum scheduler_age which,
                      struct tenant_age *age)
{
    minheap_remove(&queue->ready[which], &age->node);
    if (!list_is_empty(&age->ready)) {
        minheap_push(&queue->ready[which], &age->node, age->turn_ns);
    }
}

/* Has no claim on the time when it was not there. Among the young the one that has had least goes
 * first, whenever it came. */
static void age_join(struct scheduler_queue *queue, struct scheduler_run *run)
{
    struct tenant_age *age = age_of(run);
    run->is_present = true;
    if (age->present++ == 0) {
        age->turn_ns = larger(age->turn_ns, queue->virtual_ns[run->age]);
    }
    if (run->age == SCHEDULER_GROWN) {
        run->turn_ns = larger(run->turn_ns, age->virtual_ns);
    }
}

static void age_leave(struct scheduler_run *run)
{
    if (run->is_present) {
        age_of(run)->present--;
        run->is_present = false;
    }
}

static void ready_push(struct scheduler_queue *queue, struct scheduler_run *run)
{
    struct tenant_age *age = age_of(run);
    bool was_empty = list_is_empty(&age->ready);
    struct list *behind = age->ready.prev;
    while (behind != &age->ready && run_of(behind)->turn_ns > run->turn_ns) {
        behind = behind->prev;
    }
    list_push_front(behind, &run->link);
    run->place = SCHEDULER_READY;
    queue->ready_count++;
    if (was_empty) {
        minheap_push(&queue->ready[run->age], &age->node, age->turn_ns);
    }
}

static void ready_remove(struct scheduler_queue *queue, struct scheduler_run *run)
{
    list_remove(&run->link);
    queue->ready_count--;
    if (run->is_present && list_is_empty(&age_of(run)->ready)) {
        minheap_remove(&queue->ready[run->age], &age_of(run)->node);
    }
}

/* Out of order, before all others. */
static void run_make_stopped(struct scheduler_queue *queue, struct scheduler_run *run)
{
    age_leave(run);
    run->place = SCHEDULER_READY;
    list_push_back(&queue->stopped, &run->link);
    queue->ready_count++;
}

static void run_make_ready(struct scheduler_queue *queue, struct scheduler_run *run)
{
    age_join(queue, run);
    ready_push(queue, run);
}

/* The oldest that waits for memory there tries again. */
static void list_wake_first(struct scheduler_queue *queue, struct list *list)
{
    struct list *link = list_pop_front(list);
    if (link != NULL) {
        struct scheduler_run *run = run_of(link);
        queue->waiting_count -= !run->waits_for_room;
        run->retry = RETRY_SLICES;
        run_make_ready(queue, run);
    }
}

/* ---- slots ---- */

/* Fewest slots first; of equals those whose run holds an express slot until it gets one. */
static uint64_t line_key(const struct scheduler_tenant *tenant)
{
    return 2 * (uint64_t)tenant->slots + list_is_empty(&tenant->parked);
}

/* The tenant's places in the two lines, after what they depend on has changed. */
static void tenant_line_up(struct scheduler_queue *queue, struct scheduler_tenant *tenant)
{
    bool waits = tenant->waiting > 0;
    bool is_in_line = tenant->line.place != 0;
    uint64_t key = line_key(tenant);
    if (waits != is_in_line || (waits && tenant->line.key != key)) {
        minheap_remove(&queue->line, &tenant->line);
        if (waits) {
            minheap_push(&queue->line, &tenant->line, key);
        }
    }
    bool wants = !list_is_empty(&tenant->backlog) && tenant->express < queue->express_share;
    if (!wants) {
        list_remove(&tenant->express_link);
    } else if (list_is_empty(&tenant->express_link)) {
        list_push_back(&queue->express_line, &tenant->express_link);
    }
}

static void slot_set(struct scheduler_queue *queue, struct scheduler_run *run,
                     enum scheduler_slot slot)
{
    struct scheduler_tenant *tenant = run->tenant;
    bool was_regular = run->slot == SCHEDULER_SLOT_REGULAR;
    bool was_express = run->slot == SCHEDULER_SLOT_EXPRESS;
    queue->slots = queue->slots - was_regular + (slot == SCHEDULER_SLOT_REGULAR);
    tenant->slots = tenant->slots - was_regular + (slot == SCHEDULER_SLOT_REGULAR);
    queue->express = queue->express - was_express + (slot == SCHEDULER_SLOT_EXPRESS);
    tenant->express = tenant->express - was_express + (slot == SCHEDULER_SLOT_EXPRESS);
    run->slot = slot;
    tenant_line_up(queue, tenant);
}

/* Into the line for a slot: BACKLOG or PARKED. */
static void run_line_up(struct scheduler_queue *queue, struct scheduler_run *run,
                        enum scheduler_place place)
{
    struct scheduler_tenant *tenant = run->tenant;
    bool is_parked = place == SCHEDULER_PARKED;
    list_push_back(is_parked ? &tenant->parked : &tenant->backlog, &run->link);
    *(is_parked ? &queue->parked : &queue->backlog) += 1;
    tenant->waiting++;
    run->place = place;
    tenant_line_up(queue, tenant);
}

static void run_quit_line(struct scheduler_queue *queue, struct scheduler_run *run)
{
    list_remove(&run->link);
    *(run->place == SCHEDULER_PARKED ? &queue->parked : &queue->backlog) -= 1;
    run->tenant->waiting--;
    run->place = SCHEDULER_OUTSIDE;
    tenant_line_up(queue, run->tenant);
}

static void run_grant(struct scheduler_queue *queue, struct list *line, enum scheduler_slot slot)
{
    struct scheduler_run *run = run_of(line->next);
    run_quit_line(queue, run);
    slot_set(queue, run, slot);
    if (run->deadline.place != 0) { /* it is not watched for its time in the backlog any more */
        minheap_remove(&queue->deadlines, &run->deadline);
        minheap_push(&queue->deadlines, &run->deadline, run->deadline_ns);
    }
    run_make_ready(queue, run);
}

/* Gives free slots to who waits for them. */
static void queue_grant(struct scheduler_queue *queue)
{
    struct minheap_node *node;
    while (queue->slots < queue->config.concurrent_max &&
           (node = minheap_top(&queue->line)) != NULL) {
        struct scheduler_tenant *tenant = LIST_ENTRY(node, struct scheduler_tenant, line);
        run_grant(queue, list_is_empty(&tenant->parked) ? &tenant->backlog : &tenant->parked,
                  SCHEDULER_SLOT_REGULAR);
    }
    while (queue->express < queue->config.express_max && !list_is_empty(&queue->express_line)) {
        struct scheduler_tenant *tenant =
            LIST_ENTRY(list_pop_front(&queue->express_line), struct scheduler_tenant, express_link);
        run_grant(queue, &tenant->backlog, SCHEDULER_SLOT_EXPRESS);
    }
}

/* ---- runs ---- */

static uint64_t backlog_until_ns(const struct scheduler_queue *queue,
                                 const struct scheduler_run *run)
{
    uint64_t wait_max_ns = queue->config.queue_wait_max_ns;
    if (run->is_patient || wait_max_ns == 0 || run->deadline_ns - run->added_ns <= wait_max_ns) {
        return run->deadline_ns;
    }
    return run->added_ns + wait_max_ns;
}

void scheduler_queue_add(struct scheduler_queue *queue, struct scheduler_run *run, uint64_t now_ns)
{
    int expected = SCHEDULER_GO;
    run->added_ns = now_ns;
    if (queue->is_stopping) {
        (void)atomic_compare_exchange_strong(&run->stop, &expected, SCHEDULER_CLOSE);
    }
    if (atomic_load(&run->stop) != SCHEDULER_GO) {
        run_make_stopped(queue, run);
        return;
    }
    run_line_up(queue, run, SCHEDULER_BACKLOG);
    queue_grant(queue);
    minheap_push(&queue->deadlines, &run->deadline,
                 run->place == SCHEDULER_BACKLOG ? backlog_until_ns(queue, run) : run->deadline_ns);
}

/* Whose turn it is, among those who have ready runs. */
static enum scheduler_age queue_turn(struct scheduler_queue *queue)
{
    if (minheap_top(&queue->ready[SCHEDULER_GROWN]) == NULL) {
        queue->young_ns = 0;
        return SCHEDULER_YOUNG;
    }
    uint64_t young_max_ns = YOUNG_PER_GROWN * slice_ns(queue);
    if (minheap_top(&queue->ready[SCHEDULER_YOUNG]) != NULL && queue->young_ns < young_max_ns) {
        return SCHEDULER_YOUNG;
    }
    queue->young_ns -= queue->young_ns < young_max_ns ? queue->young_ns : young_max_ns;
    return SCHEDULER_GROWN;
}

static struct scheduler_run *queue_choose(struct scheduler_queue *queue, uint64_t now_ns)
{
    enum scheduler_age which = queue_turn(queue);
    struct minheap_node *node = minheap_top(&queue->ready[which]);
    if (node == NULL) {
        return NULL;
    }
    struct tenant_age *age = LIST_ENTRY(node, struct tenant_age, node);
    struct scheduler_run *run = run_of(age->ready.next);
    if (which == SCHEDULER_YOUNG && ++age->turns % TURNS_PER_ELDEST == 0) {
        struct scheduler_run *eldest = run_of(age->ready.prev);
        run = now_ns - eldest->added_ns >= ELDEST_AGE_NS ? eldest : run;
    }
    queue->virtual_ns[which] = larger(queue->virtual_ns[which], age->turn_ns);
    age->virtual_ns = larger(age->virtual_ns, run->turn_ns);
    ready_remove(queue, run);
    age->turn_ns += slice_ns(queue); /* set right when it has been served */
    age_place(queue, which, age);
    return run;
}

struct scheduler_run *scheduler_queue_take(struct scheduler_queue *queue, uint64_t now_ns)
{
    struct scheduler_run *run;
    if (!list_is_empty(&queue->stopped)) {
        run = run_of(queue->stopped.next);
        ready_remove(queue, run);
    } else {
        run = queue_choose(queue, now_ns);
    }
    if (run != NULL) {
        run->place = SCHEDULER_RUNNING;
        run->taken_ns = now_ns;
        run->freed = queue->freed;
    }
    return run;
}

/* What a slice has cost. Whoever is being stopped is served at nobody's expense. */
static void run_charge(struct scheduler_queue *queue, struct scheduler_run *run, uint64_t now_ns)
{
    if (!run->is_present) {
        return;
    }
    struct tenant_age *age = age_of(run);
    uint64_t served_ns = now_ns - run->taken_ns;
    run->turn_ns += served_ns;
    age->turn_ns = age->turn_ns + served_ns - slice_ns(queue);
    age_place(queue, run->age, age);
    if (run->age == SCHEDULER_YOUNG) {
        queue->young_ns += served_ns;
    }
}

/* It goes on with a regular slot, or when there is one. */
static void run_grow(struct scheduler_queue *queue, struct scheduler_run *run)
{
    age_leave(run);
    run->age = SCHEDULER_GROWN;
    run->turn_ns = 0;
    if (run->slot == SCHEDULER_SLOT_REGULAR) {
        run_make_ready(queue, run);
    } else {
        run_line_up(queue, run, SCHEDULER_PARKED);
        queue_grant(queue);
    }
}

/* ---- memory ---- */

void scheduler_queue_memory_freed(struct scheduler_queue *queue)
{
    queue->freed++;
    list_wake_first(queue, &queue->waiting);
    list_wake_first(queue, &queue->rooming);
}

/* The step was refused memory. By age, so that the oldest is served first. */
static void run_wait(struct scheduler_queue *queue, struct scheduler_run *run, bool for_room)
{
    if (run->freed != queue->freed) {
        ready_push(queue, run); /* some came back after it had looked */
        return;
    }
    struct list *list = for_room ? &queue->rooming : &queue->waiting;
    struct list *after = list->prev;
    while (after != list && run_of(after)->added_ns > run->added_ns) {
        after = after->prev;
    }
    age_leave(run);
    run->place = SCHEDULER_WAITING;
    run->waits_for_room = for_room;
    queue->waiting_count += !for_room;
    list_push_front(after, &run->link);
}

/* When all that could give memory back wait for some themselves, the youngest that holds any has to
 * go: least is lost with it, and what it gives back lets the oldest go on. */
static void queue_resolve(struct scheduler_queue *queue)
{
    if (queue->waiting_count == 0 ||
        queue->slots + queue->express != queue->waiting_count + queue->parked) {
        return;
    }
    struct list *chosen = queue->waiting.prev;
    while (chosen != &queue->waiting && !run_of(chosen)->holds_memory) {
        chosen = chosen->prev;
    }
    chosen = chosen == &queue->waiting ? queue->waiting.prev : chosen;
    scheduler_queue_stop(queue, run_of(chosen), SCHEDULER_NO_MEMORY);
}

void scheduler_queue_put(struct scheduler_queue *queue, struct scheduler_run *run,
                         enum scheduler_verdict verdict, uint64_t now_ns)
{
    assert(run->place == SCHEDULER_RUNNING);
    assert(verdict != SCHEDULER_LEFT);
    run_charge(queue, run, now_ns);
    bool waits = verdict == SCHEDULER_WAIT_MEMORY || verdict == SCHEDULER_WAIT_ROOM;
    if (run->retry == 1 && !waits) {
        scheduler_queue_memory_freed(queue); /* there may be more */
    }
    run->retry -= run->retry > 0;
    run->retry = waits ? 0 : run->retry;
    if (atomic_load(&run->stop) != SCHEDULER_GO) {
        run_make_stopped(queue, run);
    } else if (waits) {
        run_wait(queue, run, verdict == SCHEDULER_WAIT_ROOM);
    } else if (run->age == SCHEDULER_YOUNG && run->attained_ns >= YOUNG_NS) {
        run_grow(queue, run);
    } else {
        ready_push(queue, run);
    }
    queue_resolve(queue);
}

void scheduler_queue_settle(struct scheduler_queue *queue, struct scheduler_run *run,
                            uint64_t now_ns)
{
    assert(run->place == SCHEDULER_RUNNING);
    run_charge(queue, run, now_ns);
    age_leave(run);
    queue->freed++; /* its program is gone */
    list_wake_first(queue, &queue->waiting);
    run->place = SCHEDULER_SETTLED;
    minheap_remove(&queue->deadlines, &run->deadline);
}

void scheduler_queue_leave(struct scheduler_queue *queue, struct scheduler_run *run)
{
    assert(run->place == SCHEDULER_SETTLED);
    slot_set(queue, run, SCHEDULER_SLOT_NONE);
    queue_grant(queue);
    queue_resolve(queue); /* those that waited for it to give back more wait in vain */
}

/* ---- stopping ---- */

/* Brings a run to where its next step is at once, whatever it waits for. */
static void run_hurry(struct scheduler_queue *queue, struct scheduler_run *run)
{
    switch (run->place) {
    case SCHEDULER_BACKLOG:
    case SCHEDULER_PARKED:
        run_quit_line(queue, run);
        run_make_stopped(queue, run);
        break;
    case SCHEDULER_WAITING:
        list_remove(&run->link);
        queue->waiting_count -= !run->waits_for_room;
        run_make_stopped(queue, run);
        break;
    case SCHEDULER_READY:
        ready_remove(queue, run);
        run_make_stopped(queue, run);
        break;
    case SCHEDULER_OUTSIDE: /* add will see it */
    case SCHEDULER_RUNNING: /* its worker will */
    case SCHEDULER_SETTLED:
        break;
    }
}

void scheduler_queue_stop(struct scheduler_queue *queue, struct scheduler_run *run,
                          enum scheduler_stop reason)
{
    int expected = SCHEDULER_GO;
    minheap_remove(&queue->deadlines, &run->deadline);
    if (run->place != SCHEDULER_SETTLED &&
        atomic_compare_exchange_strong(&run->stop, &expected, (int)reason)) {
        run_hurry(queue, run);
    }
}

void scheduler_queue_stop_all(struct scheduler_queue *queue)
{
    queue->is_stopping = true;
    for (struct minheap_node *node; (node = minheap_top(&queue->deadlines)) != NULL;) {
        scheduler_queue_stop(queue, LIST_ENTRY(node, struct scheduler_run, deadline),
                             SCHEDULER_CLOSE);
    }
}

void scheduler_queue_expire(struct scheduler_queue *queue, uint64_t now_ns)
{
    for (struct minheap_node *node;
         (node = minheap_top(&queue->deadlines)) != NULL && node->key <= now_ns;) {
        struct scheduler_run *run = LIST_ENTRY(node, struct scheduler_run, deadline);
        scheduler_queue_stop(queue, run,
                             now_ns >= run->deadline_ns ? SCHEDULER_DEADLINE : SCHEDULER_NO_SLOT);
    }
}

uint64_t scheduler_queue_next_ns(const struct scheduler_queue *queue)
{
    const struct minheap_node *node = minheap_top(&queue->deadlines);
    return node == NULL ? UINT64_MAX : node->key;
}

/* ---- questions ---- */

/* How many of a tenant's runs get a slot before one of another tenant that comes when its own has
 * `slots`: as long as it has fewer, and if as many, by the order in line. */
static uint32_t grants_before(const struct scheduler_tenant *tenant, uint32_t slots, uint64_t order)
{
    if (tenant->slots > slots) {
        return 0;
    }
    bool is_before = !list_is_empty(&tenant->parked) || tenant->line.order < order;
    uint32_t grants = slots - tenant->slots + is_before;
    return grants < tenant->waiting ? grants : tenant->waiting;
}

uint32_t scheduler_queue_position(const struct scheduler_queue *queue,
                                  const struct scheduler_run *run)
{
    if (run->place != SCHEDULER_BACKLOG) {
        return 0;
    }
    const struct scheduler_tenant *own = run->tenant;
    uint32_t ahead = 0;
    for (const struct list *link = own->parked.next; link != &own->parked; link = link->next) {
        ahead++;
    }
    for (const struct list *link = own->backlog.next; link != &run->link; link = link->next) {
        ahead++;
    }
    uint32_t slots = own->slots + ahead;
    for (size_t i = 0; i < queue->line.count; i++) {
        const struct scheduler_tenant *tenant =
            LIST_ENTRY(queue->line.nodes[i], struct scheduler_tenant, line);
        ahead += tenant == own ? 0 : grants_before(tenant, slots, own->line.order);
    }
    return ahead + 1;
}
