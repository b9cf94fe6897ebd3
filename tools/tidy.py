"""tidy: checks those house rules (docs/style.md) that a compiler does not.

Each rule is a function from a file to findings, so that the self-test can hand it a file that breaks the rule and one that does
not. The layout of functions is clang-format's: a function's braces stand alone in the first column.

usage: tidy.py [ROOT] | tidy.py --self-test

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import sys

FOLDERS = ("base", "crypto", "vm", "attest", "audit", "store", "service", "net", "cli")

# Who may know whom. A folder always knows itself; "main" is src/*.c.
LAYERS = {
    "base": set(),
    "crypto": {"base"},
    "vm": {"base"},
    "net": {"base"},
    "attest": {"base", "crypto", "audit"},
    "audit": {"base", "crypto"},
    "store": {"base", "crypto"},
    "service": {"base", "crypto", "vm", "attest", "audit", "store"},
    "cli": set(FOLDERS),
    "main": set(FOLDERS),
}

# Which folders may include a library's headers; the first pattern that matches counts. src only.
LIBRARIES = (
    (r"uv\.h", {"net", "service", "cli", "main"}),
    (r"llhttp\.h", {"net", "cli"}),
    (r"openssl/ssl\.h", {"net"}),
    (r"openssl/evp\.h", {"crypto"}),
    (r"openssl/x509.*\.h", {"attest"}),
    (r"openssl/.*", {"crypto", "attest"}),
    (r"sqlite3\.h", {"store"}),
    (r"curl/.*", {"net", "cli"}),
    (r"yaml\.h", {"cli"}),
    (r"jansson\.h", set(FOLDERS) - {"vm", "net", "store"} | {"main"}),
    (r"pthread\.h", {"base", "crypto", "audit", "store", "attest", "net", "service", "cli"}),
    (r"criterion/.*", set()),
)

# call: (files that may, or None for none; why not). src only.
BANNED = {
    "malloc": (r"base/arena\.c", "memory comes from arenas and heap_alloc"),
    "calloc": (r"base/arena\.c", "memory comes from arenas and heap_alloc"),
    "realloc": (r"base/arena\.c", "memory comes from arenas and heap_resize"),
    "free": (r"base/arena\.c", "heap_free"),
    "strdup": (None, "heap_strdup or arena_strdup"),
    "alloca": (None, "a guest must not choose how much stack is used"),
    "sprintf": (None, "snprintf or buffer_printf"),
    "vsprintf": (None, "vsnprintf"),
    "strcpy": (None, "it does not know the room"),
    "strncpy": (None, "it may leave out the NUL"),
    "strcat": (None, "it does not know the room"),
    "strtok": (None, "hidden state"),
    "gets": (None, "it does not know the room"),
    "rand": (None, "crypto_random"),
    "srand": (None, "crypto_random"),
    "system": (None, "no shell"),
    "popen": (None, "no shell"),
}
BANNED_IN_CRYPTO = {"memcmp": "crypto_equal: comparisons take constant time", "strcmp": "crypto_equal: comparisons take constant time"}

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
EXCEPTION_MARK = "NOLINTBEGIN(readability-function-size)"


class File:
    def __init__(self, path, text, nouns=frozenset()):
        self.nouns = nouns
        self.path = path
        self.name = os.path.basename(path)
        self.text = text
        self.lines = text.splitlines()
        self.code = strip(text)  # comments and literals blanked, lines kept
        self.code_lines = self.code.splitlines()
        parts = path.split("/")
        self.top = parts[0]
        if self.top == "src":
            self.folder = parts[1] if len(parts) > 2 else "main"
        elif self.top == "tests":
            self.folder = parts[1] if len(parts) > 2 else "tests"
        else:  # fuzz_vm_decode.c, bench_vm_x.c, stress_net_x.c: the folder after the first underscore
            match = re.match(r"[a-z]+_([a-z]+)", self.name)
            self.folder = match.group(1) if match else self.top
        if self.folder == "stress":
            match = re.match(r"stress_([a-z]+)", self.name)
            self.folder = match.group(1) if match else self.folder


def strip(text):
    """Blanks comments and the insides of literals; #include lines keep theirs."""

    def blank(match):
        token = match.group(0)
        if token.startswith(("#", "//")) and token.lstrip("# \t").startswith("include"):
            return token
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return re.sub(r'#[ \t]*include[^\n]*|/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.DOTALL)


def functions(file):
    """(name, is_static, first line, last line) of every function defined; lines count from 1."""
    lines = file.code_lines
    for index, line in enumerate(lines):
        if line != "{" or index == 0:
            continue
        start = index
        while start > 0 and lines[start - 1].strip() and not re.match(r"[#}]", lines[start - 1]) and not lines[start - 1].endswith(";"):
            start -= 1
        signature = " ".join(lines[start:index])
        end = next((at for at in range(index, len(lines)) if lines[at] == "}"), len(lines) - 1)
        match = re.search(r"\b([A-Za-z_]\w*)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", signature))
        if match:
            is_static = re.search(r"\bstatic\b", signature[: match.start()]) is not None
            yield match.group(1), is_static, start + 1, end + 1


# ---- the rules: each yields (line, message) ----


def rule_layers(file):
    """Folders know only those below them, and only their public header."""
    for number, line in enumerate(file.lines, 1):
        match = re.match(r'\s*#\s*include\s+"([a-z]+)/([\w./]+)"', line)
        if not match or match.group(1) not in FOLDERS:
            continue
        folder, header = match.groups()
        if folder == file.folder:
            continue
        if file.top == "src" and folder not in LAYERS.get(file.folder, set()):
            yield number, f"{file.folder} must not know {folder}"
        if folder != "base" and header != f"{folder}.h":
            yield number, f"{folder}/{header} is private to {folder}; include {folder}/{folder}.h"


def rule_libraries(file):
    """Each library is used in one place."""
    if file.top != "src":
        return
    for number, line in enumerate(file.lines, 1):
        match = re.match(r"\s*#\s*include\s+<([^>]+)>", line)
        if not match:
            continue
        for pattern, allowed in LIBRARIES:
            if re.fullmatch(pattern, match.group(1)):
                if file.folder not in allowed:
                    yield number, f"<{match.group(1)}> belongs into {' '.join(sorted(allowed)) or 'tests'}, not {file.folder}"
                break


def rule_banned(file):
    """Calls that have a safe counterpart here."""
    if file.top != "src":
        return
    for number, line in enumerate(file.code_lines, 1):
        for match in re.finditer(r"(?<![\w.>])(\w+)\s*\(", line):
            name = match.group(1)
            allowed, why = BANNED.get(name, ("", None))
            if why is not None and not (allowed and re.search(allowed + "$", file.path)):
                yield number, f"{name}: {why}"
            if file.folder == "crypto" and name in BANNED_IN_CRYPTO:
                yield number, f"{name}: {BANNED_IN_CRYPTO[name]}"


def rule_prefix(file):
    """What a file exports begins with its folder's name, its own, or a struct's or header's of the folder: a reader finds it."""
    if file.top != "src" or file.folder == "main" or not file.name.endswith(".c"):
        return
    stem = file.name[:-2]
    prefixes = {file.folder, stem, stem.rsplit("_", 1)[0], *stem.split("_")} | file.nouns
    for name, is_static, line, _ in functions(file):
        if not is_static and not any(f"{name}_".startswith(prefix + "_") for prefix in prefixes):
            yield line, f"{name} is exported: begin it with {file.folder}_ or {stem}_, or make it static"


def nouns_of(headers):
    """Header names and structs of a folder: {path: text} -> names that its functions may begin with."""
    nouns = set()
    for path, text in headers.items():
        nouns.add(os.path.basename(path)[:-2])
        nouns.update(re.findall(r"^(?:extern const )?(?:struct|enum) (\w+)(?: \{|;| \w+;)", strip(text), flags=re.MULTILINE))
    return nouns | ({"heap", "memory"} if "src/base/arena.h" in headers else set())


def rule_opening(file):
    """A file says first what it is, and under which licence."""
    if not file.lines or not file.lines[0].startswith((f"/* {file.name}:", f"/* {os.path.splitext(file.name)[0]}:")):
        yield 1, f"the first line must begin with '/* {file.name}:'"
    if not file.name.endswith(".def") and not any("SPDX-License-Identifier: Apache-2.0" in line for line in file.lines[:40]):
        yield 1, "there is no SPDX-License-Identifier line"


def rule_sizes(file):
    """A file has one reason to change; a function fits a screen."""
    if len(file.lines) > FILE_LINES_MAX:
        yield FILE_LINES_MAX, f"{len(file.lines)} lines, more than {FILE_LINES_MAX}"
    if file.top == "tests":
        return
    for name, _, first, last in functions(file):
        marked = any(EXCEPTION_MARK in line for line in file.lines[max(first - 12, 0) : last])
        if last - first + 1 > FUNCTION_LINES_MAX and not marked:
            yield first, f"{name} has {last - first + 1} lines, more than {FUNCTION_LINES_MAX}"


def rule_loose_ends(file):
    """A loose end carries the number of its issue."""
    for number, line in enumerate(file.lines, 1):
        if re.search(r"\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line):
            yield number, "a loose end without an issue: write TODO(#123)"


def rule_shapes(file):
    """No typedef of a struct; no feature #if inside a function."""
    for number, line in enumerate(file.code_lines, 1):
        if re.match(r"\s*typedef\s+(struct|union|enum)\b(?!.*\(\*)", line):
            yield number, "a struct is called struct: no typedef"
    for name, _, first, last in functions(file):
        for number in range(first, last + 1):
            if re.match(r"\s*#\s*if", file.code_lines[number - 1]):
                yield number, f"#if inside {name}: choose a file in CMake, or a row in a table"


RULES = (rule_layers, rule_libraries, rule_banned, rule_prefix, rule_opening, rule_sizes, rule_loose_ends, rule_shapes)


def check(file):
    for rule in RULES:
        for line, message in rule(file):
            yield line, rule.__name__[5:], message


def files_of(root):
    for top in ("src", "tests", "fuzz", "bench", "examples"):
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(name for name in folders if name not in ("corpus", "__pycache__"))
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def main(root):
    count, findings = 0, 0
    texts = {}
    for path in files_of(root):
        with open(os.path.join(root, path), encoding="utf-8") as source:
            texts[path] = source.read()
    headers = {}
    for path, text in texts.items():
        if path.startswith("src/") and path.endswith(".h"):
            headers.setdefault(os.path.dirname(path), {})[path] = text
    for path, text in texts.items():
        count += 1
        file = File(path, text, nouns_of(headers.get(os.path.dirname(path), {})))
        for line, rule, message in check(file):
            findings += 1
            print(f"{path}:{line}: {rule}: {message}")
    print(f"tidy: {count} files, {findings} findings")
    return 1 if findings else 0


# ---- the self-test: each rule finds its breach, and nothing in the clean file ----

OPENING = "/* x.c: what it is.\n *\n * SPDX-License-Identifier: Apache-2.0\n */\n"
CLEAN = OPENING + '#include "base/err.h"\n\n/* malloc( in a comment is fine */\nbool vm_go(int a,\n           int b)\n{\n    const char *text = "free(";\n    return a == b;\n}\n'
LONG = "    a++;\n" * 70
BREACHES = (
    ("layers", "src/vm/x.c", OPENING + '#include "crypto/crypto.h"\n'),
    ("layers", "src/net/x.c", OPENING + '#include "service/service.h"\n'),
    ("layers", "src/service/x.c", OPENING + '#include "net/net.h"\n'),
    ("layers", "src/service/x.c", OPENING + '#include "vm/module.h"\n'),
    ("layers", "tests/service/x.c", OPENING + '#include "vm/module.h"\n'),
    ("libraries", "src/vm/x.c", OPENING + "#include <uv.h>\n"),
    ("libraries", "src/service/x.c", OPENING + "#include <openssl/evp.h>\n"),
    ("libraries", "src/crypto/x.c", OPENING + "#include <openssl/x509.h>\n"),
    ("libraries", "src/attest/x.c", OPENING + "#include <openssl/ssl.h>\n"),
    ("libraries", "src/cli/x.c", OPENING + "#include <sqlite3.h>\n"),
    ("banned", "src/vm/x.c", OPENING + "static int *x = malloc (4);\n"),
    ("banned", "src/vm/x.c", OPENING + "    free(x);\n"),
    ("banned", "src/vm/x.c", OPENING + "    sprintf(x, y);\n"),
    ("banned", "src/vm/x.c", OPENING + "    strcpy(x, y);\n"),
    ("banned", "src/crypto/x.c", OPENING + "    return memcmp(x, y, 3) == 0;\n"),
    ("prefix", "src/vm/x.c", OPENING + "void go(void)\n{\n}\n"),
    ("opening", "src/vm/x.c", "/* y.c: what it is.\n * SPDX-License-Identifier: Apache-2.0 */\n"),
    ("opening", "src/vm/x.c", "/* x.c: what it is. */\n"),
    ("sizes", "src/vm/x.c", OPENING + "\n" * 800),
    ("sizes", "src/vm/x.c", OPENING + f"static void go(void)\n{{\n{LONG}}}\n"),
    ("loose_ends", "src/vm/x.c", OPENING + "/* TODO: later */\n"),
    ("shapes", "src/vm/x.c", OPENING + "typedef struct x x;\n"),
    ("shapes", "src/vm/x.c", OPENING + "static void go(void)\n{\n#ifdef X\n#endif\n}\n"),
)
CLEAN_ONES = (
    ("src/vm/x.c", CLEAN),
    ("src/vm/x.c", OPENING + "static void go(void)\n{\n    heap_free(x);\n    tee->free(x);\n}\n"),
    ("src/vm/x.c", OPENING + f"/* {EXCEPTION_MARK}: one loop */\nstatic void go(void)\n{{\n{LONG}}}\n"),
    ("src/base/arena.c", OPENING.replace("x.c", "arena.c") + "    x = malloc(4);\n"),
    ("src/crypto/x.c", OPENING + "#include <openssl/evp.h>\n"),
    ("tests/vm/x.c", OPENING + '#include "vm/module.h"\n'),
    ("src/vm/x.c", OPENING + "/* TODO(#12): later */\n"),
    ("src/net/x.c", OPENING + "bool x_go(void)\n{\n}\n"),
)


def self_test():
    for rule, path, text in BREACHES:
        found = {name for _, name, _ in check(File(path, text))}
        assert found == {rule}, f"{rule} in {path}: found {found or 'nothing'}:\n{text[:400]}"
    for path, text in CLEAN_ONES:
        found = list(check(File(path, text)))
        assert not found, f"{path}: {found}\n{text[:400]}"
    assert nouns_of({"src/vm/x.h": "struct a {\n};\nstruct b;\n/* struct c; */\n"}) == {"x", "a", "b"}
    print(f"tidy: self-test passed, {len(BREACHES)} breaches found, {len(CLEAN_ONES)} clean files left alone")
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")))
