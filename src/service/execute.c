/* execute.c: the worker's part of an execution, cut into steps.
 *
 *     ESTABLISH -> DECRYPT* -> ARGUMENTS* -> LOAD* -> READ_BUFFERS* -> LINK* -> START*
 *     -> (ALLOCATE -> COPY*)* -> CALL* -> OUTPUTS* -> RELEASE* -> SEAL* -> COMMIT
 *
 * A step with * repeats until it is through; each takes about a slice at most. Whatever goes wrong
 * is noted in the session's outcome and leads to SEAL: a failed execution is sealed, committed and
 * answered like a successful one.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "service/internal.h"

#include "base/json.h"

#include <assert.h>
#include <string.h>

enum {
    DECRYPT_BYTES_PER_STEP = 262144,
    PARSE_BYTES_PER_STEP = 131072,
    LOAD_BYTES_PER_STEP = 16384,
    READ_BYTES_PER_STEP = 256 * 1024,
    COPY_BYTES_PER_STEP = 1024 * 1024,
    RELEASE_BYTES_PER_STEP = 4 * 1024 * 1024,
    STORE_AFTER_NS = 2000000,
};

/* ---- ending ---- */

/* What the run has used and where it stands, before it is taken down. */
static void note_usage(struct session *session)
{
    struct session_program *program = &session->program;
    struct session_outcome *outcome = &session->outcome;
    if (program->run != NULL) {
        if (program->is_suspended) {
            vm_run_interrupt(program->run);
            program->is_suspended = false;
        }
        outcome->gas_consumed = vm_run_gas_consumed(program->run);
    }
    if (program->store != NULL) {
        outcome->memory_used_bytes = vm_store_memory_peak(program->store);
    }
}

static const char *limit_of(enum err_code code)
{
    if (code == ERR_EXECUTION_TIMEOUT) {
        return "time";
    }
    if (code == ERR_GAS_EXHAUSTED) {
        return "gas";
    }
    if (code == ERR_MEMORY_EXCEEDED) {
        return "memory";
    }
    return code == ERR_STACK_EXHAUSTED ? "stack" : NULL;
}

static enum scheduler_verdict go_seal(struct session *session)
{
    note_usage(session);
    session->phase = PHASE_RELEASE;
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_release(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    if (session_release_some(session)) {
        session_release_program(session);
        session->phase = PHASE_SEAL;
    }
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict fail(struct session *session, const struct err *err)
{
    session->outcome.err = *err;
    problem_publish(&session->outcome.err, session->request.request_id_text);
    session->outcome.limit = limit_of(session->outcome.err.code);
    result_drop(session);
    return go_seal(session);
}

/* An error of the engine while it loads, links or runs. */
static enum scheduler_verdict fail_engine(struct session *session, struct err *err)
{
    if (err->code == ERR_NO_MEMORY || err->code == ERR_MEMORY_EXCEEDED) {
        (void)policy_memory_error(session, err);
    } else if (err->code == ERR_LIMIT) {
        err->code = ERR_INVALID_WASM; /* more of something than any program may have */
    }
    return fail(session, err);
}

static enum scheduler_verdict wait_for_memory(struct session *session)
{
    session->waits_for_memory = true;
    session->has_waited_for_memory = true;
    session->run.holds_memory = session->phase > PHASE_LINK; /* it waits where it grows */
    return SCHEDULER_WAIT_MEMORY;
}

/* A run that is within its own limits waits for others to give memory back; the step is done again
 * then. Past its own limits it fails at once. */
static enum scheduler_verdict lack_memory(struct session *session, struct err *err)
{
    (void)policy_memory_error(session, err);
    if (err->code != ERR_OVERLOADED) {
        return fail(session, err);
    }
    return wait_for_memory(session);
}

static void copy_text(char *out, size_t out_size, struct bytes text)
{
    size_t size = text.size < out_size - 1 ? text.size : out_size - 1;
    while (size < text.size && size > 0 && (text.ptr[size] & 0xc0) == 0x80) {
        size--; /* not in the middle of a character */
    }
    if (size > 0) {
        memcpy(out, text.ptr, size);
    }
    out[size] = 0;
}

static enum scheduler_verdict fail_trap(struct session *session)
{
    struct session_outcome *outcome = &session->outcome;
    const struct session_program *program = &session->program;
    struct vm_trap_info info = vm_run_trap(program->run);
    struct err err;
    (void)err_set(&err, vm_trap_error_code(info.trap), "%s", vm_trap_text(info.trap));
    if (err.code == ERR_MEMORY_EXCEEDED) {
        (void)policy_memory_error(session, &err);
    }
    outcome->has_trap = true;
    copy_text(outcome->trap, sizeof(outcome->trap), bytes_of_string(vm_trap_name(info.trap)));
    if (info.has_location) {
        outcome->has_location = true;
        outcome->function_index = info.function_index;
        outcome->offset = info.offset;
        copy_text(outcome->function_name, sizeof(outcome->function_name), info.function_name);
    }
    return fail(session, &err);
}

/* ---- decrypting ---- */

static bool establish(struct session *session, struct err *err)
{
    uint8_t info[CRYPTO_REQUEST_INFO_BYTES];
    session_enter(session, SESSION_DECRYPTING);
    crypto_request_info(session->request.request_id, session->key.salt, info);
    session->is_established = crypto_hpke_receive(
        &session->hpke, session->key.key, session->request.enc, bytes_of(info, sizeof(info)));
    crypto_p256_free(session->key.key);
    session->key.key = NULL; /* it has served */
    return session->is_established ||
           err_set(err, ERR_ENCRYPTION_ERROR, "the request could not be decrypted");
}

static enum scheduler_verdict step_establish(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    if (!establish(session, &err)) {
        return fail(session, &err);
    }
    session->phase = PHASE_DECRYPT;
    return SCHEDULER_AGAIN;
}

/* Begins the HPKE context's next message, which comes where the sealed one is: nobody needs that
 * any more. Nobody looks there before the tag was checked. */
static bool begin_opening(struct session *session, struct bytes sealed, struct err *err)
{
    struct session_opening *opening = &session->program.opening;
    struct bytes aad = bytes_of(session->request.header_hash, CRYPTO_SHA256_BYTES);
    opening->sealed = sealed;
    opening->out = (uint8_t *)(uintptr_t)sealed.ptr;
    opening->opening = crypto_hpke_open_begin(&session->hpke, aad);
    return opening->opening != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory to decrypt what was sent");
}

/* The next piece; *is_done when the message is there and authentic. */
static bool open_piece(struct session *session, bool *is_done, struct err *err)
{
    struct session_opening *opening = &session->program.opening;
    size_t left = opening->sealed.size - CRYPTO_AEAD_TAG_BYTES - opening->done;
    size_t size = left < DECRYPT_BYTES_PER_STEP ? left : DECRYPT_BYTES_PER_STEP;
    uint8_t *out = opening->out + opening->done;
    struct bytes piece = bytes_of(opening->sealed.ptr + opening->done, size);
    bool ok = crypto_opening_add(opening->opening, piece, out);
    if (ok && opening->hash != NULL) {
        crypto_sha256_add(opening->hash, bytes_of(out, size));
    }
    opening->done += size;
    *is_done = size == left;
    if (ok && *is_done) {
        ok = crypto_opening_end(opening->opening, opening->sealed.ptr + opening->done);
        crypto_opening_free(opening->opening);
        opening->opening = NULL;
        crypto_hpke_opened(&session->hpke);
    }
    if (!ok) {
        /* Whoever sent this may not be who holds the key to an answer: nothing is sealed. */
        session->is_established = false;
        return err_set(err, ERR_ENCRYPTION_ERROR, "the request could not be decrypted");
    }
    return true;
}

static bool begin_program(struct session *session, struct err *err)
{
    struct session_opening *opening = &session->program.opening;
    opening->hash = crypto_sha256_new();
    return opening->hash == NULL ? err_set(err, ERR_NO_MEMORY, "no memory to decrypt what was sent")
                                 : begin_opening(session, session->request.encrypted_wasm, err);
}

/* It lies where the sealed one did; if it was loaded before, nobody will look there. */
static void program_is_opened(struct session *session)
{
    struct session_program *program = &session->program;
    crypto_sha256_get(program->opening.hash, session->program_hash);
    crypto_sha256_free(program->opening.hash);
    program->wasm = bytes_of(program->opening.out, program->opening.done);
    program->opening = (struct session_opening){0};
    session->is_opened = true;
    program->limits = policy_limits(session);
    program->module =
        module_cache_get(session->service->modules, session->owner, session->program_hash);
    program->is_cached = program->module != NULL;
}

static enum scheduler_verdict step_decrypt(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    bool is_done;
    if (!arena_charge_to(&session->request.sealed, &session->budget)) {
        (void)err_set(&err, ERR_NO_MEMORY, "no memory for what was sent");
        return lack_memory(session, &err);
    }
    if (session->program.opening.opening == NULL && !begin_program(session, &err)) {
        return fail_engine(session, &err);
    }
    if (!open_piece(session, &is_done, &err)) {
        return fail(session, &err);
    }
    if (is_done) {
        program_is_opened(session);
        bool has_arguments = session->request.encrypted_arguments.size > 0;
        session->phase = has_arguments ? PHASE_DECRYPT_ARGUMENTS : PHASE_LOAD;
    }
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_decrypt_arguments(struct session *session,
                                                     struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    bool is_done;
    struct session_opening *opening = &session->program.opening;
    struct bytes sealed = session->request.encrypted_arguments;
    if (opening->opening == NULL && !begin_opening(session, sealed, &err)) {
        return fail_engine(session, &err);
    }
    if (!open_piece(session, &is_done, &err)) {
        return fail(session, &err);
    }
    if (is_done) {
        session->phase = PHASE_PARSE_ARGUMENTS;
    }
    return SCHEDULER_AGAIN;
}

static bool begin_parsing(struct session *session, struct err *err)
{
    struct session_opening *opening = &session->program.opening;
    size_t parsing = json_parse_memory_max(opening->done);
    if (!budget_charge(&session->budget, parsing)) {
        return err_set(err, ERR_NO_MEMORY, "no memory to parse the arguments");
    }
    opening->charged = parsing;
    opening->parser = json_parser_new(bytes_of(opening->out, opening->done), JSON_LONGS_ANYWHERE);
    return opening->parser != NULL ||
           err_set(err, ERR_NO_MEMORY, "no memory to parse the arguments");
}

/* The session takes over what was parsed, and the parser: long texts are not in it. */
static bool end_parsing(struct session *session, struct err *err)
{
    struct session_program *program = &session->program;
    struct session_opening *opening = &program->opening;
    json_t *arguments = json_incref((json_t *)(uintptr_t)json_parser_value(opening->parser));
    program->json = opening->parser;
    program->json_charged = opening->charged;
    *opening = (struct session_opening){0};
    if (!execute_request_set_arguments(&session->request, arguments, &session->budget)) {
        json_decref(arguments);
        return err_set(err, ERR_NO_MEMORY, "no memory for the arguments");
    }
    return values_check_form(arguments, false, err);
}

/* Some of them; *is_done when the session has them. */
static bool parse_arguments(struct session *session, bool *is_done, struct err *err)
{
    struct session_opening *opening = &session->program.opening;
    if (!json_parser_step(opening->parser, PARSE_BYTES_PER_STEP, is_done, err)) {
        err->code = err->code == ERR_NO_MEMORY ? ERR_NO_MEMORY : ERR_INVALID_ARGUMENTS;
        return err_wrap(err, "encrypted_arguments");
    }
    return !*is_done || end_parsing(session, err);
}

static enum scheduler_verdict step_parse_arguments(struct session *session,
                                                   struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    bool is_done;
    if (session->program.opening.parser == NULL && !begin_parsing(session, &err)) {
        return fail_engine(session, &err);
    }
    if (!parse_arguments(session, &is_done, &err)) {
        return err.code == ERR_NO_MEMORY ? fail_engine(session, &err) : fail(session, &err);
    }
    session->phase = is_done ? PHASE_LOAD : PHASE_PARSE_ARGUMENTS;
    return SCHEDULER_AGAIN;
}

/* ---- loading and linking ---- */

/* What the request asks of the program. */
static bool check_program(struct session *session, struct err *err)
{
    struct session_program *program = &session->program;
    struct vm_export found;
    if (!vm_module_find_export(program->module, session->request.function_name, &found) ||
        found.type.kind != VM_EXTERN_FUNC) {
        return err_set(err, ERR_FUNCTION_NOT_FOUND, "the program exports no function \"%.*s\"",
                       (int)session->request.function_name.size,
                       (const char *)session->request.function_name.ptr);
    }
    program->type = found.type.func;
    return buffers_check_result(session, &program->type, err) &&
           values_parse(session->request.arguments, program->json, &program->type, &program->arena,
                        &program->arguments, &program->argument_count, err);
}

static enum scheduler_verdict load_done(struct session *session)
{
    struct err err;
    struct session_program *program = &session->program;
    if (!vm_loader_release_some(program->loader, RELEASE_BYTES_PER_STEP)) {
        return SCHEDULER_AGAIN;
    }
    vm_loader_free(program->loader);
    program->loader = NULL;
    if (!policy_check(program->module, &err)) {
        return fail_engine(session, &err);
    }
    if (!program->is_cached) {
        module_cache_put(session->service->modules, session->owner, session->program_hash,
                         program->module);
    }
    if (!check_program(session, &err)) {
        return fail_engine(session, &err);
    }
    session->phase = PHASE_READ_BUFFERS;
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_read_buffers(struct session *session,
                                                struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    struct session_program *program = &session->program;
    bool is_done;
    if (!values_read_buffers(program->arguments, program->argument_count, &program->arena,
                             READ_BYTES_PER_STEP, &is_done, &err)) {
        return fail_engine(session, &err);
    }
    if (is_done) {
        session_release_json(session);
        session->phase = PHASE_LINK;
    }
    return SCHEDULER_AGAIN;
}

/* For want of memory it waits with the program's bytes alone, and begins again. */
static enum scheduler_verdict load_again(struct session *session)
{
    struct session_program *program = &session->program;
    program->loads_again = !vm_loader_release_some(program->loader, RELEASE_BYTES_PER_STEP);
    if (program->loads_again) {
        return SCHEDULER_AGAIN;
    }
    vm_loader_free(program->loader);
    program->loader = NULL;
    return wait_for_memory(session);
}

static enum scheduler_verdict load_failed(struct session *session, struct err *err)
{
    if (err->code != ERR_NO_MEMORY) {
        return fail_engine(session, err);
    }
    enum scheduler_verdict verdict = lack_memory(session, err);
    return verdict == SCHEDULER_WAIT_MEMORY ? load_again(session) : verdict;
}

/* The loader's copy of the program, in pieces; true when it is whole. */
static bool copy_program(struct session_program *program)
{
    size_t left = program->wasm.size - program->copied;
    size_t size = left < COPY_BYTES_PER_STEP ? left : COPY_BYTES_PER_STEP;
    if (size > 0) {
        memcpy(program->copy + program->copied, program->wasm.ptr + program->copied, size);
    }
    program->copied += size;
    return size == left;
}

static enum scheduler_verdict step_load(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    struct session_program *program = &session->program;
    if (program->module != NULL) { /* cached, or all is loaded */
        return load_done(session);
    }
    if (program->loads_again) {
        return load_again(session);
    }
    if (program->loader == NULL) {
        program->copied = 0;
        program->loader = vm_loader_new_empty(program->wasm.size, &program->limits,
                                              &session->budget, &program->copy, &err);
    }
    if (program->loader == NULL) {
        return load_failed(session, &err);
    }
    if (program->copied < program->wasm.size && !copy_program(program)) {
        return SCHEDULER_AGAIN;
    }
    switch (vm_loader_step(program->loader, LOAD_BYTES_PER_STEP, &program->module, &err)) {
    case VM_LOAD_MORE:
        return SCHEDULER_AGAIN;
    case VM_LOAD_FAILED:
        return load_failed(session, &err);
    case VM_LOAD_DONE:
        break;
    }
    return load_done(session);
}

/* The store, and the instance in pieces; true in *is_done when all of it is there. */
static bool instantiate_some(struct session *session, bool *is_done, struct err *err)
{
    struct session_program *program = &session->program;
    if (program->store == NULL) {
        program->store = vm_store_new(&program->limits, &session->budget);
    }
    if (program->store == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a store");
    }
    return (program->instance != NULL ||
            vm_instantiate_begin(program->store, program->module, NULL, &program->instance, err)) &&
           vm_instantiate_step(program->instance, LOAD_BYTES_PER_STEP, is_done, err);
}

static bool link_program(struct session *session, struct err *err)
{
    struct session_program *program = &session->program;
    struct vm_extern found;
    program->run = vm_run_new(program->store, session->request.gas_limit);
    if (program->run == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for a run");
    }
    bool is_there =
        vm_instance_find_export(program->instance, session->request.function_name, &found);
    assert(is_there);
    (void)is_there;
    program->function = found.object;
    program->pointers = ARENA_ARRAY(&program->arena, uint32_t, program->argument_count);
    if (program->pointers == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the arguments");
    }
    return vm_run_begin_start(program->run, program->instance, err);
}

static void unlink_program(struct session *session)
{
    struct session_program *program = &session->program;
    vm_run_free(program->run);
    vm_store_free(program->store);
    program->run = NULL;
    program->store = NULL;
    program->instance = NULL;
}

static enum scheduler_verdict step_link(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    if (!arena_release_some(&session->request.sealed, RELEASE_BYTES_PER_STEP)) {
        return SCHEDULER_AGAIN;
    }
    execute_request_release(&session->request); /* all of it has served */
    bool is_done = true;
    bool is_good = instantiate_some(session, &is_done, &err);
    if (is_good && !is_done) {
        return SCHEDULER_AGAIN;
    }
    if (is_good && link_program(session, &err)) {
        session_enter(session, SESSION_EXECUTING);
        session->phase = PHASE_START;
        return SCHEDULER_AGAIN;
    }
    bool is_memory = err.code == ERR_NO_MEMORY || err.code == ERR_MEMORY_EXCEEDED;
    unlink_program(session);
    return is_memory ? lack_memory(session, &err) : fail_engine(session, &err);
}

/* ---- running ---- */

/* One slice of the call that has been begun. True when it has returned; else *verdict says how it
 * goes on. */
static bool run_slice(struct session *session, struct scheduler_slice *slice,
                      enum scheduler_verdict *verdict)
{
    struct session_program *program = &session->program;
    uint64_t before = vm_run_gas_consumed(program->run);
    enum vm_status status = vm_run_slice(program->run, slice->gas);
    slice->gas_spent = vm_run_gas_consumed(program->run) - before;
    program->is_suspended = status == VM_SUSPENDED || status == VM_NEEDS_MEMORY;
    *verdict = SCHEDULER_AGAIN;
    if (status == VM_TRAPPED) {
        *verdict = fail_trap(session);
    } else if (status == VM_OUT_OF_GAS) {
        struct err err;
        (void)err_set(&err, ERR_GAS_EXHAUSTED, "the program has spent its %llu units of gas",
                      (unsigned long long)session->request.gas_limit);
        *verdict = fail(session, &err);
    } else if (status == VM_NEEDS_MEMORY) {
        struct err err;
        (void)err_set(&err, ERR_NO_MEMORY, "no memory to grow");
        *verdict = lack_memory(session, &err);
    }
    return status == VM_RETURNED;
}

static enum scheduler_verdict step_start(struct session *session, struct scheduler_slice *slice)
{
    enum scheduler_verdict verdict;
    if (run_slice(session, slice, &verdict)) {
        session->phase = PHASE_ALLOCATE;
    }
    return verdict;
}

/* The arguments as the function takes them: a buffer is its pointer and its length. */
static bool begin_call(struct session *session, struct err *err)
{
    struct session_program *program = &session->program;
    struct vm_value *values =
        ARENA_ARRAY(&program->arena, struct vm_value, program->type.param_count);
    if (values == NULL) {
        return err_set(err, ERR_NO_MEMORY, "no memory for the arguments");
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < program->argument_count; i++) {
        const struct values_argument *argument = &program->arguments[i];
        if (!argument->is_buffer) {
            values[count++] = argument->value;
            continue;
        }
        values[count].type = VM_I32;
        values[count++].as.i32 = program->pointers[i];
        values[count].type = VM_I32;
        values[count++].as.i32 = (uint32_t)argument->data.size;
    }
    return vm_run_begin_call(program->run, program->function, values, count, err);
}

static enum scheduler_verdict step_allocate(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct session_program *program = &session->program;
    struct err err;
    while (program->buffer < program->argument_count &&
           !program->arguments[program->buffer].is_buffer) {
        program->buffer++;
    }
    bool is_last = program->buffer == program->argument_count;
    if (!(is_last ? begin_call(session, &err) : buffers_begin_allocate(session, &err))) {
        return fail_engine(session, &err);
    }
    session->phase = is_last ? PHASE_CALL : PHASE_COPY;
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_copy(struct session *session, struct scheduler_slice *slice)
{
    enum scheduler_verdict verdict;
    struct err err;
    struct session_program *program = &session->program;
    bool is_done;
    if (!program->is_allocated && !run_slice(session, slice, &verdict)) {
        return verdict;
    }
    program->is_allocated = true;
    if (!buffers_copy(session, COPY_BYTES_PER_STEP, &is_done, &err)) {
        return fail(session, &err);
    }
    if (is_done) {
        program->is_allocated = false;
        session->phase = PHASE_ALLOCATE;
    }
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_call(struct session *session, struct scheduler_slice *slice)
{
    enum scheduler_verdict verdict;
    if (!run_slice(session, slice, &verdict)) {
        return verdict;
    }
    if (!answer_reserve(session)) {
        session->waits_for_memory = true;
        session->has_waited_for_memory = true;
        return SCHEDULER_WAIT_ROOM;
    }
    session->phase = PHASE_OUTPUTS;
    return SCHEDULER_AGAIN;
}

static enum scheduler_verdict step_outputs(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    struct err err;
    bool is_done;
    if (!buffers_outputs(session, &is_done, &err)) {
        return fail(session, &err);
    }
    return is_done ? go_seal(session) : SCHEDULER_AGAIN;
}

/* ---- sealing and committing ---- */

/* Up to now. */
static void note_time(struct session *session)
{
    const struct scheduler_run *run = &session->run;
    uint64_t now_ns = clock_monotonic_ns(session->service->parts.clock);
    session->outcome.execution_ns = run->attained_ns + (now_ns - run->step_started_ns);
    session->outcome.queue_ns = now_ns - session->admitted_ns - session->outcome.execution_ns;
}

static enum scheduler_verdict step_seal(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    if (session->result.stage == RESULT_BEGIN) {
        note_time(session);
    }
    struct err err;
    bool is_done = false;
    bool was_success = session->outcome.err.code == ERR_NONE;
    if (result_seal(session, &is_done, &err)) {
        session->phase = is_done ? PHASE_COMMIT : PHASE_SEAL;
        return SCHEDULER_AGAIN;
    }
    enum scheduler_verdict verdict = fail(session, &err);
    if (!was_success) {
        session->phase = PHASE_COMMIT; /* not even the reason could be sealed: nothing is */
    }
    return verdict;
}

static enum scheduler_verdict step_commit(struct session *session, struct scheduler_slice *slice)
{
    (void)slice;
    scheduler_settle(session->service->scheduler, &session->run);
    commit_result(session);
    return SCHEDULER_LEFT;
}

/* ---- the step ---- */

static void stop_reason(const struct session *session, int stop, struct err *err)
{
    if (stop == SCHEDULER_NO_MEMORY) {
        (void)err_set(
            err, ERR_OVERLOADED,
            "this node has no memory left for the execution, and all others wait as well");
    } else if (stop == SCHEDULER_DEADLINE && session->waits_for_memory) {
        (void)err_set(err, ERR_OVERLOADED,
                      "this node had no memory for the execution before its time was over");
    } else if (stop == SCHEDULER_DEADLINE) {
        (void)err_set(err, ERR_EXECUTION_TIMEOUT, "the program did not end within %u s",
                      session->request.timeout_seconds);
    } else if (stop == SCHEDULER_NO_SLOT) {
        (void)err_set(err, ERR_OVERLOADED, "this node had no slot for the execution in time");
    } else if (stop == SCHEDULER_CLOSE) {
        (void)err_set(err, ERR_CANCELLED, "this node is shutting down");
    } else {
        (void)err_set(err, ERR_CANCELLED, "the execution was cancelled");
    }
}

static enum scheduler_verdict end_early(struct session *session, int stop)
{
    struct err err;
    struct err ignored;
    stop_reason(session, stop, &err);
    if (session->phase == PHASE_ESTABLISH) {
        (void)establish(session, &ignored); /* so that the reason can be sealed */
    }
    return fail(session, &err);
}

/* A run that takes its time gets a row in the store, so that it is found after a crash. The row of
 * a short one is its answer's, which follows soon. */
static void store_admitted(struct session *session)
{
    bool takes_time = session->run.attained_ns >= STORE_AFTER_NS || session->has_waited_for_memory;
    if (takes_time && !session->is_stored && session->phase < PHASE_SEAL) {
        session->is_stored = true;
        answer_store_admitted(session);
    }
}

enum scheduler_verdict execute_step(struct scheduler_run *run, struct scheduler_slice *slice)
{
    static enum scheduler_verdict (*const steps[])(struct session *, struct scheduler_slice *) = {
        [PHASE_ESTABLISH] = step_establish,
        [PHASE_DECRYPT] = step_decrypt,
        [PHASE_DECRYPT_ARGUMENTS] = step_decrypt_arguments,
        [PHASE_PARSE_ARGUMENTS] = step_parse_arguments,
        [PHASE_LOAD] = step_load,
        [PHASE_READ_BUFFERS] = step_read_buffers,
        [PHASE_LINK] = step_link,
        [PHASE_START] = step_start,
        [PHASE_ALLOCATE] = step_allocate,
        [PHASE_COPY] = step_copy,
        [PHASE_CALL] = step_call,
        [PHASE_OUTPUTS] = step_outputs,
        [PHASE_SEAL] = step_seal,
        [PHASE_RELEASE] = step_release,
        [PHASE_COMMIT] = step_commit,
    };
    struct session *session = LIST_ENTRY(run, struct session, run);
    int stop = atomic_load(&run->stop);
    if (stop != SCHEDULER_GO && session->phase < PHASE_OUTPUTS) {
        return end_early(session, stop);
    }
    store_admitted(session);
    session->waits_for_memory = false;
    budget_forget_refusal(&session->budget);
    return steps[session->phase](session, slice);
}
