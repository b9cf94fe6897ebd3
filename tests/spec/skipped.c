/* skipped.c: what of the suites is not run, and why: whole folders, scripts, or commands by their
 * line.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "spec.h"

#include <stdio.h>
#include <string.h>

#define REFERENCES "typed function references and garbage collection are not there"
#define EXCEPTIONS "exceptions are not there"
#define DECLARED_ONLY "a module that is only declared, larger than a limit allows to instantiate"

static const struct {
    const char *folder;
    const char *reason;
} folders[] = {
    {"relaxed-simd", "relaxed vector instructions are not there"},
    {"exceptions", EXCEPTIONS},
    {"gc", REFERENCES},
};

/* Of wg-3.0; lines 0 to 0: all. */
static const struct {
    const char *name;
    int first, last;
    const char *reason;
} scripts[] = {
    {"align", 1017, 1017, "an offset out of range is what we say is wrong with it"},
    {"binary", 113, 113, "the byte that is no instruction is one of the exceptions"},
    {"br_if", 668, 668, REFERENCES},
    {"br_on_non_null", 0, 0, REFERENCES},
    {"br_on_null", 0, 0, REFERENCES},
    {"br_table", 0, 0, REFERENCES},
    {"call_ref", 0, 0, REFERENCES},
    {"elem", 87, 87, REFERENCES},
    {"elem", 448, 578, REFERENCES},
    {"exports", 71, 71, EXCEPTIONS},
    {"func", 660, 660, REFERENCES},
    {"global", 634, 675, REFERENCES},
    {"imports", 3, 19, EXCEPTIONS},
    {"imports", 35, 354, EXCEPTIONS},
    {"imports", 475, 479, EXCEPTIONS},
    {"imports", 629, 633, EXCEPTIONS},
    {"linking", 96, 262, REFERENCES},
    {"linking", 426, 464, EXCEPTIONS},
    {"local_init", 0, 0, REFERENCES},
    {"local_tee", 613, 613, REFERENCES},
    {"memory64", 8, 8, DECLARED_ONLY},
    {"ref", 0, 0, REFERENCES},
    {"ref_as_non_null", 0, 0, REFERENCES},
    {"ref_is_null", 0, 0, REFERENCES},
    {"return_call_ref", 0, 0, REFERENCES},
    {"select", 384, 384, REFERENCES},
    {"table", 9, 9, DECLARED_ONLY},
    {"table", 14, 21, REFERENCES},
    {"table", 55, 136, REFERENCES},
    {"table-sub", 0, 0, REFERENCES},
    {"table64", 9, 9, DECLARED_ONLY},
    {"unreached-invalid", 698, 774, REFERENCES},
    {"unreached-valid", 0, 0, REFERENCES},
};

const char *spec_skipped(const char *path, const char *name, int line)
{
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char part[64];
        (void)snprintf(part, sizeof part, "/%s/", folders[i].folder);
        if (strstr(path, part) != NULL) {
            return folders[i].reason;
        }
    }
    bool is_3 = strstr(path, "/wg-3.0/") != NULL;
    for (size_t i = 0; is_3 && i < sizeof scripts / sizeof scripts[0]; i++) {
        bool is_all = scripts[i].last == 0;
        if (strcmp(scripts[i].name, name) == 0 &&
            (is_all || (line >= scripts[i].first && line <= scripts[i].last))) {
            return scripts[i].reason;
        }
    }
    return NULL;
}
