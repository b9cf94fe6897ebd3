/* main.c: wasm-spec-test DIR [--slice N] [--threads] [--file NAME] [--verbose]
 *
 * Runs every script under DIR (<test>/<test>.json), or the one called NAME, and prints a line for
 * each and the sum last. --slice N lets every run go on for N gas at a time, --threads lets every
 * slice do so in another thread. Scripts in a folder wg-2.0 run without the features that came
 * after. Skipped are commands on modules in the text format, and what skipped.c names. Exit:
 * 0 all passed, 1 a failure, 2 wrong usage, 77 there is no suite in DIR (a skipped test to CTest).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

#include "base/text.h"

#include <fts.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct options {
    const char *folder;
    const char *file; /* NULL: all */
    uint64_t slice;
    bool on_threads;
    bool verbose;
};

enum { EXIT_USAGE = 2, EXIT_NO_SUITE = 77 };

static struct vm_features features_of(const char *path)
{
    struct vm_features features = vm_limits_default.features;
    if (strstr(path, "/wg-2.0/") != NULL) {
        features.tail_call = false;
        features.extended_const = false;
        features.multi_memory = false;
        features.memory64 = false;
    }
    return features;
}

struct script_file {
    const char *path, *folder, *name;
};

static bool is_skipped(const struct options *options, const struct script_file *file, int line)
{
    const char *reason = spec_skipped(file->path, file->name, line);
    if (reason != NULL && options->verbose) {
        printf("%s:%d: skipped: %s\n", file->name, line, reason);
    }
    return reason != NULL;
}

static void run_commands(const struct options *options, const struct script_file *file,
                         struct spec_script *script, const json_t *commands,
                         struct spec_counts *counts)
{
    size_t index;
    const json_t *command;
    json_array_foreach (commands, index, command) {
        int line = (int)json_integer_value(json_object_get(command, "line"));
        enum spec_outcome outcome =
            is_skipped(options, file, line) ? SPEC_SKIPPED : spec_script_command(script, command);
        counts->passed += outcome == SPEC_PASSED;
        counts->skipped += outcome == SPEC_SKIPPED;
        counts->failed += outcome == SPEC_FAILED;
        if (outcome == SPEC_FAILED) {
            printf("%s:%d: %s: %s\n", file->name, line,
                   json_string_value(json_object_get(command, "type")), script->detail);
        }
    }
}

static void run_script(const struct options *options, const struct script_file *file,
                       struct spec_counts *total)
{
    struct spec_counts counts = {0};
    json_error_t error;
    json_t *root = json_load_file(file->path, JSON_ALLOW_NUL, &error);
    const json_t *commands = json_object_get(root, "commands");
    struct spec_script script;
    struct spec_options run = {features_of(file->path), options->slice, options->on_threads};
    if (commands == NULL) {
        printf("%s: %s\n", file->path, error.text);
        counts.failed = 1;
    } else if (!spec_script_init(&script, file->folder, &run)) {
        printf("%s: no memory for a store\n", file->name);
        counts.failed = 1;
    } else {
        run_commands(options, file, &script, commands, &counts);
        if (!spec_script_release(&script)) {
            printf("%s: memory is still charged after the end\n", file->name);
            counts.failed++;
        }
    }
    json_decref(root);
    printf("%s: %" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n", file->name,
           counts.passed, counts.failed, counts.skipped);
    total->passed += counts.passed;
    total->failed += counts.failed;
    total->skipped += counts.skipped;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* False when there is not one script. */
static bool run_folder(const struct options *options, struct spec_counts *total)
{
    char folder[4096];
    (void)snprintf(folder, sizeof folder, "%s", options->folder);
    char *const roots[] = {folder, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    const FTSENT *entry;
    bool is_found = false;
    while (walk != NULL && (entry = fts_read(walk)) != NULL) {
        size_t size = entry->fts_namelen;
        if (entry->fts_info != FTS_F || size < 5 ||
            strcmp(entry->fts_name + size - 5, ".json") != 0) {
            continue;
        }
        char name[256], parent[4096];
        (void)snprintf(name, sizeof name, "%.*s", (int)(size - 5), entry->fts_name);
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(entry->fts_pathlen - size - 1),
                       entry->fts_path);
        if (options->file == NULL || strcmp(options->file, name) == 0) {
            is_found = true;
            run_script(options, &(struct script_file){entry->fts_path, parent, name}, total);
        }
    }
    if (walk != NULL) {
        (void)fts_close(walk);
    }
    return is_found;
}

static bool parse_options(int count, char **arguments, struct options *out)
{
    *out = (struct options){.slice = INT64_MAX};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : NULL;
        if (strcmp(argument, "--verbose") == 0) {
            out->verbose = true;
        } else if (strcmp(argument, "--threads") == 0) {
            out->on_threads = true;
        } else if (strcmp(argument, "--slice") == 0 && value != NULL) {
            i++;
            if (!text_u64_decode(value, strlen(value), &out->slice) || out->slice == 0) {
                return false;
            }
        } else if (strcmp(argument, "--file") == 0 && value != NULL) {
            i++;
            out->file = value;
        } else if (argument[0] != '-' && out->folder == NULL) {
            out->folder = argument;
        } else {
            return false;
        }
    }
    return out->folder != NULL;
}

int main(int count, char **arguments)
{
    struct options options;
    struct spec_counts total = {0};
    if (!parse_options(count, arguments, &options)) {
        (void)fprintf(
            stderr,
            "usage: wasm-spec-test DIR [--slice N] [--threads] [--file NAME] [--verbose]\n");
        return EXIT_USAGE;
    }
    if (!run_folder(&options, &total)) {
        printf("skipped: no test scripts in %s, get them by unpacking wg-2.0.tar.xz and "
               "wg-3.0.tar.xz there, or with "
               "wast2json from a checkout of WebAssembly/spec\n",
               options.folder);
        return EXIT_NO_SUITE;
    }
    printf("%" PRIu64 " passed, %" PRIu64 " failed, %" PRIu64 " skipped\n", total.passed,
           total.failed, total.skipped);
    return total.failed > 0 ? 1 : 0;
}
