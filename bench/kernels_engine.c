/* kernels_engine.c: a kernel by our engine, and the same compiled for this machine.
 *
 * The gas limit is on and every slice is a real one, since that is how programs run here. Loading
 * is not measured: bench_engine does that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "bench.h"
#include "kernels.h"
#include "vm/vm.h"

#include <time.h>

enum { PROFILE_ROWS = 20, PROFILE_DIVISOR = 40 };

static const uint64_t slice_gas = 1000000;

static double processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static bool run_to_end(struct vm_run *run, struct vm_profile *profile, struct err *err)
{
    enum vm_status status;
    do {
        status = profile != NULL ? vm_profile_slice(profile, run, slice_gas)
                                 : vm_run_slice(run, slice_gas);
    } while (status == VM_SUSPENDED);
    return status == VM_RETURNED ||
           err_set(err, ERR_EXECUTION_TRAP, "%s", vm_trap_text(vm_run_trap(run).trap));
}

static bool call(struct vm_run *run, const struct vm_instance *instance,
                 const struct kernel *kernel, uint32_t n, struct vm_profile *profile,
                 struct kernel_sample *out, struct err *err)
{
    struct vm_extern function;
    struct vm_value argument = {.type = VM_I32, .as.i32 = n};
    if (!vm_instance_find_export(instance, bytes_of_string(kernel->function), &function) ||
        function.kind != VM_EXTERN_FUNC) {
        return err_set(err, ERR_FUNCTION_NOT_FOUND, "there is no function %s", kernel->function);
    }
    uint64_t gas = vm_run_gas_consumed(run);
    double begin = processor_ns();
    if (!vm_run_begin_call(run, function.object, &argument, 1, err) ||
        !run_to_end(run, profile, err)) {
        return false;
    }
    uint32_t count;
    out->ns = processor_ns() - begin;
    out->gas = vm_run_gas_consumed(run) - gas;
    const struct vm_value *results = vm_run_results(run, &count);
    out->checksum = count > 0 ? results[0].as.i32 : 0;
    return true;
}

/* profile: NULL, or what the run goes into; then `use` gets it while the module lives. */
static bool run_ours(const struct kernel *kernel, uint32_t n, struct vm_profile *profile,
                     bool (*use)(const struct vm_profile *profile, void *context), void *context,
                     struct kernel_sample *out, struct err *err)
{
    struct vm_module *module = NULL;
    struct vm_instance *instance;
    size_t size;
    uint8_t *wasm = bench_file(kernel->path, &size);
    struct vm_store *store = vm_store_new(&vm_limits_default, NULL);
    struct vm_run *run = store != NULL ? vm_run_new(store, INT64_MAX) : NULL;
    bool ok = run != NULL || err_set(err, ERR_NO_MEMORY, "no memory for a run");
    ok = ok && vm_module_load(bytes_of(wasm, size), &vm_limits_default, NULL, &module, err) &&
         vm_instantiate(store, module, NULL, &instance, err) &&
         vm_run_begin_start(run, instance, err) && run_to_end(run, NULL, err) &&
         call(run, instance, kernel, n, profile, out, err) &&
         (use == NULL || use(profile, context) ||
          err_set(err, ERR_NO_MEMORY, "no memory for the profile"));
    vm_run_free(run);
    vm_store_free(store);
    vm_module_unref(module);
    heap_free(wasm);
    return ok;
}

bool kernel_run_ours(const struct kernel *kernel, uint32_t n, struct kernel_sample *out,
                     struct err *err)
{
    return run_ours(kernel, n, NULL, NULL, NULL, out, err);
}

static bool print_profile(const struct vm_profile *profile, void *context)
{
    return vm_profile_print(profile, PROFILE_ROWS, context);
}

static bool take_totals(const struct vm_profile *profile, void *context)
{
    return vm_profile_totals(profile, context);
}

static bool profile_ours(const struct kernel *kernel,
                         bool (*use)(const struct vm_profile *profile, void *context),
                         void *context, struct err *err)
{
    struct kernel_sample sample;
    uint32_t n = kernel->rounds / PROFILE_DIVISOR > 0 ? kernel->rounds / PROFILE_DIVISOR : 1;
    struct vm_profile *profile = vm_profile_new();
    bool ok = profile != NULL || err_set(err, ERR_NO_MEMORY, "no memory for the profile");
    ok = ok && run_ours(kernel, n, profile, use, context, &sample, err);
    vm_profile_free(profile);
    return ok;
}

bool kernel_print_profile(const struct kernel *kernel, FILE *out, struct err *err)
{
    return profile_ours(kernel, print_profile, out, err);
}

double kernel_gas_per_dispatch(const struct kernel *kernel)
{
    struct vm_profile_totals totals = {0};
    struct err err;
    return profile_ours(kernel, take_totals, &totals, &err) && totals.dispatches > 0
               ? (double)totals.instructions / (double)totals.dispatches
               : 0;
}

/* A chain of additions, each of which waits for the one before, takes a cycle each. */
double kernel_cycle_ns(void)
{
    enum { STEPS = 50000000 };
    uint64_t sum = 0;
    double begin = processor_ns();
    for (uint32_t i = 0; i < STEPS; i++) {
        sum += i;
        __asm__ volatile("" : "+r"(sum));
    }
    return (processor_ns() - begin) / (double)STEPS;
}

bool kernel_run_native(const struct kernel *kernel, uint32_t n, struct kernel_sample *out,
                       struct err *err)
{
    if (kernel->native == NULL) {
        return err_set(err, ERR_NOT_FOUND, "there is no native %s", kernel->name);
    }
    double begin = processor_ns();
    out->checksum = kernel->native(n);
    out->ns = processor_ns() - begin;
    return true;
}
