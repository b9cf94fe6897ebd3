/* run.c: runs: one activation from its beginning, through slices, to its end.
 *
 * `left` is what the limit still holds. A slice takes a part of it into the machine's gas register;
 * what the slice does not get waits in the reserve. An edge that overdraws the slice suspends the
 * run if the reserve covers the debt, so every slice runs at least one straight run of
 * instructions. If nothing covers it, the limit lies inside the straight run: the function is
 * translated again with a stop at exactly that instruction, and the run goes on in that copy until
 * it gets there. A trap inside a straight run gives back what was paid for the instructions after
 * it.
 *
 * A bulk operation is paid whole when it begins and then moves what the slice allows it; what has
 * not been moved yet counts as paid ahead, like the straight run before which a run is suspended.
 * The active segments of an instance are such an operation, too. Translating a function again goes
 * in pieces as well: the run is suspended while it looks (struct search).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "vm/gas.h"
#include "vm/interp.h"
#include "vm/profile.h"
#include "vm/translate.h"

#include <assert.h>

enum {
    STACK_FIRST_BYTES = 16384,
    BULK_BYTES_PER_GAS = 4, /* that a slice may move; never fewer than BULK_BYTES_MIN */
    BULK_BYTES_MIN = 8,     /* an element */
    SEARCH_GAS_OF_A_BYTE = 32,
};

#define RUN_GAS_MAX (INT64_MAX - 1) /* a step owes one unit */

struct place { /* of an instruction */
    const struct vm_module *module;
    uint32_t function_index;
    uint32_t code_offset;
};

enum search_aim {
    SEARCH_NOTHING,
    SEARCH_TRAP,         /* where the instruction is that trapped */
    SEARCH_BEGINNING,    /* of the straight run that cannot be paid whole */
    SEARCH_STOP,         /* the code up to what can be paid */
    SEARCH_LIMITED_TRAP, /* which happened in that code */
};

struct search { /* in the function once more, which may take several slices */
    enum search_aim aim;
    struct retranslation *again;
    struct place place;
    uint64_t stop_gas;  /* where translation stops */
    int64_t affordable; /* of a straight run that begins at position `beginning` */
    uint32_t price;     /* of all of it */
    uint64_t beginning;
    uint8_t *copy; /* the code from the place on, with a stop */
};

struct vm_run {
    struct vm_store *store;
    struct machine machine;
    bool begun;
    enum vm_status status;
    int64_t gas_limit;
    int64_t left;
    int64_t paid_ahead;           /* while suspended: for what comes next */
    struct vm_instance *starting; /* whose segments come first; NULL: none */
    bool segments_are_paid;
    struct segments segments;   /* of `starting`, how far they are */
    const struct vm_func *func; /* the outermost call; NULL: none */
    struct vm_value *results;
    struct vm_trap_info trap;
    struct search search;
};

/* ---- Beginning ---- */

static void stubs_init(struct machine *machine)
{
    machine->stubs[STUB_ENTER] = handler_word(HANDLER_ENTER);
    machine->stubs[STUB_RETURNED] = handler_word(HANDLER_RETURNED);
    machine->stubs[STUB_BRIDGE] = handler_word(HANDLER_BRIDGE);
    /* What a return reads before the pc it returns to; for the outermost call it is all zero. */
    uint8_t *before_bridge = (uint8_t *)&machine->stubs[STUB_BRIDGE];
    uint16_t delta = BRIDGE_SLOTS;
    memcpy(before_bridge + CODE_CALL_DELTA - CODE_CALL_BYTES, &delta, sizeof delta);
}

struct vm_run *vm_run_new(struct vm_store *store, uint64_t gas_limit)
{
    struct vm_run *run = HEAP_NEW(struct vm_run);
    if (run == NULL) {
        return NULL;
    }
    struct machine *machine = &run->machine;
    run->store = store;
    run->gas_limit = gas_limit < RUN_GAS_MAX ? (int64_t)gas_limit : RUN_GAS_MAX;
    run->left = run->gas_limit;
    machine->budget = store->budget;
    machine->stack_bytes = store->limits.stack_bytes_max & ~(uint64_t)7;
    uint64_t first =
        machine->stack_bytes < STACK_FIRST_BYTES ? machine->stack_bytes : STACK_FIRST_BYTES;
    if (machine->budget != NULL && !budget_charge(machine->budget, first)) {
        heap_free(run);
        return NULL;
    }
    machine->stack_charged = first;
    if (!mapping_take(&machine->stack_mapping, machine->stack_bytes)) {
        vm_run_free(run);
        return NULL;
    }
    if (!mapping_open(&machine->stack_mapping, first)) {
        mapping_give(&machine->stack_mapping, 0);
        vm_run_free(run);
        return NULL;
    }
    machine->stack = (uint64_t *)(void *)machine->stack_mapping.base;
    machine->stack_end = (uint64_t)(uintptr_t)machine->stack + first;
    stubs_init(machine);
    return run;
}

static void end_search(struct vm_run *run)
{
    translate_again_free(run->search.again);
    heap_free(run->search.copy);
    run->search = (struct search){.aim = SEARCH_NOTHING};
}

void vm_run_free(struct vm_run *run)
{
    if (run == NULL) {
        return;
    }
    struct machine *machine = &run->machine;
    end_search(run);
    mapping_give(&machine->stack_mapping, machine->stack_charged);
    if (machine->budget != NULL) {
        budget_release(machine->budget, machine->stack_charged);
    }
    heap_free(run->results);
    heap_free(run);
}

static bool begin(struct vm_run *run, const struct vm_func *func, struct err *err)
{
    if (run->begun && run->status != VM_RETURNED) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "the run has not returned");
    }
    struct machine *machine = &run->machine;
    uint32_t count = func != NULL ? func->type->result_count : 0;
    struct vm_value *results = heap_alloc_array((size_t)count + 1, sizeof results[0]);
    if (results == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for %u results", count);
    }
    heap_free(run->results);
    run->results = results;
    run->begun = true;
    run->status = VM_SUSPENDED;
    run->func = func;
    run->starting = NULL;
    run->segments_are_paid = false;
    run->segments = (struct segments){0};
    machine_enter_instance(machine, NULL);
    machine->callee = func;
    machine->fp = machine->stack;
    machine->pc = (const uint8_t *)&machine->stubs[STUB_ENTER];
    machine->depth_left = run->store->limits.call_depth_max;
    return true;
}

bool vm_run_begin_start(struct vm_run *run, struct vm_instance *instance, struct err *err)
{
    const struct vm_module *module = instance->module;
    if (!begin(run, module->has_start ? instance->funcs[module->start] : NULL, err)) {
        return false;
    }
    run->starting = instance;
    return true;
}

/* Where the stack cannot hold them, entering the function will trap. */
static void put_arguments(struct machine *machine, const struct vm_func *func,
                          const struct vm_value *args)
{
    machine->stack_wanted = (uint64_t)(uintptr_t)machine->stack +
                            (uint64_t)machine_frame_slots(func->type) * sizeof(uint64_t);
    if (machine->stack_wanted > machine->stack_end && machine_stack_grow(machine) != VM_TRAP_NONE) {
        return;
    }
    uint64_t *slots = machine->stack;
    for (uint32_t i = 0; i < func->type->param_count; i++) {
        value_to_slots(&args[i], slots);
        slots += vm_type_slots(args[i].type);
    }
}

bool vm_run_begin_call(struct vm_run *run, const struct vm_func *func, const struct vm_value *args,
                       uint32_t arg_count, struct err *err)
{
    const struct vm_func_type *type = func->type;
    if (arg_count != type->param_count) {
        return err_set(err, ERR_INVALID_ARGUMENTS, "the function takes %u arguments, not %u",
                       type->param_count, arg_count);
    }
    for (uint32_t i = 0; i < arg_count; i++) {
        if (args[i].type != type->types[i]) {
            return err_set(err, ERR_INVALID_ARGUMENTS, "argument %u is %s, not %s", i,
                           vm_type_name(type->types[i]), vm_type_name(args[i].type));
        }
    }
    if (!begin(run, func, err)) {
        return false;
    }
    put_arguments(&run->machine, func, args);
    return true;
}

/* ---- Where in a module a pc is ---- */

static bool find_place(const struct machine *machine, const uint8_t *pc, struct place *out)
{
    const struct vm_module *module = machine->instance != NULL ? machine->instance->module : NULL;
    for (uint32_t i = 0; module != NULL && i < module->func_count; i++) {
        const struct code *code = module->funcs[i].code;
        if (code != NULL && pc >= code->start && pc < code->start + code->size) {
            *out = (struct place){
                .module = module, .function_index = i, .code_offset = (uint32_t)(pc - code->start)};
            return true;
        }
    }
    return false;
}

/* ---- Ending ---- */

static enum vm_status end(struct vm_run *run, enum vm_status status)
{
    run->status = status;
    run->paid_ahead = 0;
    return status;
}

static enum vm_status end_trapped(struct vm_run *run, enum vm_trap trap)
{
    run->trap = (struct vm_trap_info){.trap = trap};
    return end(run, VM_TRAPPED);
}

static enum vm_status end_out_of_gas(struct vm_run *run)
{
    run->left = 0;
    return end(run, VM_OUT_OF_GAS);
}

/* ---- Ending where the function has to be translated again, in pieces ---- */

/* What is looked for cannot be found: there is no memory. Of a trap only the place is unknown, and
 * so how much of what was paid for is given back: nothing. */
static enum vm_status search_fails(struct vm_run *run)
{
    enum search_aim aim = run->search.aim;
    end_search(run);
    if (aim != SEARCH_TRAP && aim != SEARCH_LIMITED_TRAP) {
        return end_out_of_gas(run);
    }
    run->left = aim == SEARCH_TRAP ? run->left : 0;
    return end_trapped(run, run->machine.trap);
}

/* Where the host wants to wait for memory, the next slice begins once more. */
static enum vm_status search_lacks_memory(struct vm_run *run)
{
    if (!run->store->limits.memory_limit_traps) {
        return search_fails(run);
    }
    translate_again_free(run->search.again);
    run->search.again = NULL;
    return VM_NEEDS_MEMORY;
}

static enum vm_status search_begin(struct vm_run *run, enum search_aim aim, uint64_t stop_gas)
{
    translate_again_free(run->search.again);
    run->search.again = NULL;
    run->search.aim = aim;
    run->search.stop_gas = stop_gas;
    return VM_SUSPENDED;
}

/* It is not the guest's doing: what others share pays for it. */
static bool search_open(struct search *search, const struct vm_store *store)
{
    const struct place *place = &search->place;
    struct budget *budget = store->budget != NULL ? store->budget->parent : NULL;
    if (search->again == NULL) {
        search->again =
            search->aim == SEARCH_STOP
                ? translate_again_until(place->module, place->function_index, place->code_offset,
                                        search->stop_gas, budget)
                : translate_again_to_locate(place->module, place->function_index,
                                            place->code_offset, search->stop_gas, budget);
    }
    return search->again != NULL;
}

static enum vm_status trapped(struct vm_run *run)
{
    struct machine *machine = &run->machine;
    int64_t before = run->left; /* until the trap is found, nothing of this slice is counted */
    run->left = machine->gas + machine->reserve;
    run->paid_ahead += before - run->left;
    if (machine->host_trapped || !find_place(machine, machine->pc, &run->search.place)) {
        return end_trapped(run, machine->trap);
    }
    return search_begin(run, SEARCH_TRAP, TRANSLATE_TO_THE_END);
}

/* The trap is found: what was paid for beyond it is given back. */
static enum vm_status end_trapped_at(struct vm_run *run, const struct translate_location *location)
{
    const struct search *search = &run->search;
    const struct place *place = &search->place;
    run->left = search->aim == SEARCH_TRAP
                    ? run->left + (int64_t)(location->end_gas - location->gas)
                    : search->affordable - (int64_t)(location->gas - search->beginning);
    run->trap = (struct vm_trap_info){
        .trap = run->machine.trap,
        .has_location = true,
        .function_index = place->function_index,
        .function_name = vm_module_function_name(place->module, place->function_index),
        .offset = location->offset,
        .module = place->module};
    end_search(run);
    return end(run, VM_TRAPPED);
}

/* The instruction at pc waits for memory; the next slice does it again. */
static enum vm_status needs_memory(struct vm_run *run)
{
    struct machine *machine = &run->machine;
    run->left = machine->gas + machine->reserve + machine->unspent;
    run->paid_ahead = 0;
    machine->unspent = 0;
    return VM_NEEDS_MEMORY;
}

/* The machine stands before a straight run of `price`, of which only `affordable` can be paid. */
static enum vm_status run_out(struct vm_run *run, int64_t affordable, uint32_t price)
{
    struct machine *machine = &run->machine;
    run->left = 0;
    if (affordable == 0 || !find_place(machine, machine->pc, &run->search.place)) {
        return end_out_of_gas(run);
    }
    run->left = affordable;
    run->paid_ahead = 0;
    run->search.affordable = affordable;
    run->search.price = price;
    return search_begin(run, SEARCH_BEGINNING, TRANSLATE_TO_THE_END);
}

static enum vm_status beginning_found(struct vm_run *run, const struct translate_location *location)
{
    struct search *search = &run->search;
    search->beginning = location->end_gas - search->price;
    return search_begin(run, SEARCH_STOP, search->beginning + (uint64_t)search->affordable);
}

/* Runs up to the limit, in a copy of the code that stops there. */
static enum vm_status run_copy(struct vm_run *run, uint8_t *copy)
{
    struct machine *machine = &run->machine;
    struct search *search = &run->search;
    search->copy = copy;
    machine->pc = copy;
    machine->gas = 0;
    machine->reserve = 0;
    interp_run(machine);
    assert(machine->leave == LEAVE_OUT_OF_GAS || machine->leave == LEAVE_TRAP);
    search->place.code_offset += (uint32_t)(machine->pc - copy);
    if (machine->leave == LEAVE_OUT_OF_GAS) {
        end_search(run);
        return end_out_of_gas(run);
    }
    return search_begin(run, SEARCH_LIMITED_TRAP, search->stop_gas);
}

static enum vm_status search_ends(struct vm_run *run)
{
    struct translate_location location;
    uint32_t size;
    if (run->search.aim == SEARCH_STOP) {
        uint8_t *copy = translate_again_copy(run->search.again, &size);
        return copy != NULL ? run_copy(run, copy) : search_lacks_memory(run);
    }
    if (!translate_again_location(run->search.again, &location)) {
        return search_lacks_memory(run);
    }
    return run->search.aim == SEARCH_BEGINNING ? beginning_found(run, &location)
                                               : end_trapped_at(run, &location);
}

/* For about so many bytes of the function. */
static enum vm_status search_some(struct vm_run *run, size_t bytes)
{
    enum vm_status status = VM_SUSPENDED;
    while (status == VM_SUSPENDED && run->search.aim != SEARCH_NOTHING) {
        if (!search_open(&run->search, run->store)) {
            return search_lacks_memory(run);
        }
        if (translate_again_continue(run->search.again, bytes)) {
            break;
        }
        status = search_ends(run);
    }
    return status;
}

static enum vm_status returned(struct vm_run *run)
{
    const struct vm_func_type *type = run->func->type;
    const uint64_t *slots = run->machine.stack;
    for (uint32_t i = 0; i < type->result_count; i++) {
        run->results[i] = value_from_slots(type->types[type->param_count + i], slots);
        slots += vm_type_slots(run->results[i].type);
    }
    run->left = run->machine.gas + run->machine.reserve;
    return end(run, VM_RETURNED);
}

/* ---- Slices ---- */

static uint64_t bulk_of_slice(uint64_t gas)
{
    uint64_t bytes = gas < UINT64_MAX / BULK_BYTES_PER_GAS ? gas * BULK_BYTES_PER_GAS : UINT64_MAX;
    return bytes < BULK_BYTES_MIN ? BULK_BYTES_MIN : bytes;
}

/* Segments are charged together, when they begin. */
static bool pay_segments(struct vm_run *run)
{
    int64_t gas = gas_segments(run->starting->module);
    run->segments_are_paid = gas <= run->left;
    run->left -= run->segments_are_paid ? gas : 0;
    run->paid_ahead = run->segments_are_paid ? gas : 0;
    return run->segments_are_paid;
}

/* False if the slice or the run has ended in them. */
static bool init_segments(struct vm_run *run, uint64_t bulk_bytes)
{
    struct vm_instance *instance = run->starting;
    struct segments *segments = &run->segments;
    if (!run->segments_are_paid && !pay_segments(run)) {
        end_out_of_gas(run);
        return false;
    }
    uint64_t before = segments->moved;
    segments->bulk.left = bulk_bytes;
    enum vm_trap trap = instance_init_segments(instance, segments);
    if (trap != VM_TRAP_NONE) {
        end_trapped(run, trap);
        return false;
    }
    run->paid_ahead +=
        (int64_t)(before / GAS_BULK_BYTES) - (int64_t)(segments->moved / GAS_BULK_BYTES);
    if (instance_has_segments(instance, segments)) {
        return false;
    }
    run->starting = NULL;
    run->paid_ahead = 0;
    if (run->func == NULL) {
        end(run, VM_RETURNED);
    }
    return run->func != NULL;
}

/* With `gas` in the machine's register, which must be less than what is left. */
static enum vm_status run_with(struct vm_run *run, int64_t gas, uint64_t bulk_bytes)
{
    struct machine *machine = &run->machine;
    machine->gas = gas;
    machine->bulk.left = bulk_bytes;
    machine->reserve = run->left - machine->gas;
    interp_run(machine);
    switch (machine->leave) {
    case LEAVE_RETURNED:
        return returned(run);
    case LEAVE_TRAP:
        return machine->trap == VM_TRAP_NO_MEMORY && !machine->host_trapped ? needs_memory(run)
                                                                            : trapped(run);
    case LEAVE_OUT_OF_GAS:
        return end_out_of_gas(run);
    case LEAVE_PIECE:
        run->left = machine->gas + machine->reserve;
        run->paid_ahead = (int64_t)(machine->bulk.rest / GAS_BULK_BYTES);
        return VM_SUSPENDED;
    case LEAVE_EDGE:
        break;
    }
    run->left = machine->gas + machine->reserve;
    if (run->left < 0) {
        return run_out(run, run->left + machine->edge_cost, machine->edge_cost);
    }
    run->paid_ahead = machine->edge_cost;
    return VM_SUSPENDED;
}

/* Is there nothing for the machine to do in this slice? */
static bool is_over(struct vm_run *run, uint64_t bulk_bytes)
{
    assert(run->begun);
    return run->status != VM_SUSPENDED ||
           (run->starting != NULL && !init_segments(run, bulk_bytes));
}

enum vm_status vm_run_slice(struct vm_run *run, uint64_t gas)
{
    assert(gas > 0);
    uint64_t bulk_bytes = bulk_of_slice(gas);
    enum vm_status status =
        run->search.aim != SEARCH_NOTHING || is_over(run, bulk_bytes)
            ? run->status
            : run_with(run, gas < (uint64_t)run->left ? (int64_t)gas : run->left, bulk_bytes);
    return run->search.aim == SEARCH_NOTHING
               ? status
               : search_some(run, (size_t)(gas / SEARCH_GAS_OF_A_BYTE) + 1);
}

/* Owing one unit, even an edge that costs nothing ends the slice. Bulk operations are not cut: each
 * stop is an edge. */
enum vm_status run_step(struct vm_run *run)
{
    enum vm_status status = is_over(run, UINT64_MAX) ? run->status : run_with(run, -1, UINT64_MAX);
    return run->search.aim == SEARCH_NOTHING ? status : search_some(run, SIZE_MAX);
}

struct run_point run_point_of(const struct vm_run *run)
{
    const struct machine *machine = &run->machine;
    bool runs = run->status == VM_SUSPENDED && run->starting == NULL && machine->instance != NULL;
    return (struct run_point){.pc = machine->pc,
                              .module = runs ? machine->instance->module : NULL,
                              .price = (uint32_t)run->paid_ahead};
}

void vm_run_interrupt(struct vm_run *run)
{
    if (run->begun && run->status == VM_SUSPENDED) {
        end_search(run);
        run->left += run->paid_ahead;
        end_trapped(run, VM_TRAP_INTERRUPTED);
    }
}

/* ---- What came of it ---- */

const struct vm_value *vm_run_results(const struct vm_run *run, uint32_t *count)
{
    assert(run->status == VM_RETURNED);
    *count = run->func != NULL ? run->func->type->result_count : 0;
    return run->results;
}

uint64_t vm_run_gas_consumed(const struct vm_run *run)
{
    return (uint64_t)(run->gas_limit - run->left - run->paid_ahead);
}

struct vm_trap_info vm_run_trap(const struct vm_run *run)
{
    assert(run->status == VM_TRAPPED);
    return run->trap;
}
