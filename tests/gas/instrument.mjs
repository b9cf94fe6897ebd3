// instrument.mjs: gives a module a counter of its own gas, so that any engine can say what it costs.
//
// It knows the binary format and the gas schedule (the gas column of src/vm/opcodes.def, and what gas.h says of sizes) and nothing of
// how this engine charges: it counts where instructions are executed. The counter is a mutable i64 global behind all others; before
// an instruction that can trap or that moves control, what was executed since the last time is added to it, that instruction included.
// What depends on a size is added with the size that is on the stack. So the counter is right at every trap and at every return.
//
// The start function becomes the export "#start", to be called by whoever instantiates, and the counter the export "#gas".
//
// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";

// What node 18 and 20 keep behind flags; newer ones have it anyway, and several memories as well.
for (const feature of ["memory64", "extended-const", "return-call"]) {
    setFlagsFromString(`--experimental-wasm-${feature}`);
}

const GAS = { bytes: 64, elements: 8, page: 1024, locals: 64, values: 16 }; // gas.h

// Text, immediate and gas of each instruction, by prefix and code, from the rows OP(prefix, code, NAME, "text", IMMEDIATE, "signature", gas).
function readOpcodes(path) {
    const rows = new Map();
    const row = /^OP\((\w+),\s*(\w+),\s*(\w+),\s*"([^"]+)",\s*(\w+),\s*"[^"]*",\s*(\d+)\)/gm;
    for (const [, prefix, code, name, text, immediate, gas] of readFileSync(path, "utf8").matchAll(row)) {
        rows.set(Number(prefix) * 0x1000 + Number(code), { name, text, immediate, gas: Number(gas) });
    }
    return rows;
}

const OPCODES = readOpcodes(fileURLToPath(new URL("../../src/vm/opcodes.def", import.meta.url)));

export function gasOf(name) {
    return [...OPCODES.values()].find((row) => row.name === name).gas;
}

// ---- Reading ----

class Reader {
    constructor(bytes, at = 0, end = bytes.length) {
        Object.assign(this, { bytes, at, end });
    }
    byte() {
        return this.bytes[this.at++];
    }
    u32() {
        let value = 0;
        for (let factor = 1; ; factor *= 128) {
            const byte = this.byte();
            value += (byte & 0x7f) * factor;
            if (byte < 0x80) {
                return value;
            }
        }
    }
    skipLeb() {
        while (this.byte() >= 0x80) {}
    }
    skip(size) {
        this.at += size;
    }
    s33() {
        let value = 0;
        for (let shift = 0; ; shift += 7) {
            const byte = this.byte();
            value += (byte & 0x7f) * 2 ** shift;
            if (byte < 0x80) {
                return byte & 0x40 ? value - 2 ** (shift + 7) : value;
            }
        }
    }
    vector(item) {
        return Array.from({ length: this.u32() }, () => item(this));
    }
    name() {
        const size = this.u32();
        this.skip(size);
        return Buffer.from(this.bytes.subarray(this.at - size, this.at)).toString();
    }
    limits() {
        const flags = this.byte();
        this.skipLeb();
        if (flags & 1) {
            this.skipLeb();
        }
        return { is64: (flags & 4) !== 0 };
    }
}

// ---- Writing ----

export function leb(value) { // unsigned, or signed from a BigInt
    const out = [];
    if (typeof value === "bigint") {
        for (;;) {
            const low = Number(BigInt.asUintN(7, value));
            value >>= 7n;
            if ((value === 0n && !(low & 0x40)) || (value === -1n && low & 0x40)) {
                return [...out, low];
            }
            out.push(low | 0x80);
        }
    }
    for (; value >= 0x80; value = Math.floor(value / 128)) {
        out.push((value % 128) | 0x80);
    }
    return [...out, value];
}

const text = (string) => [...leb(string.length), ...Buffer.from(string)];

function append(out, bytes) { // never out.push(...bytes): a segment may be longer than an argument list
    for (const byte of bytes) {
        out.push(byte);
    }
}

// ---- The module ----

function readImport(reader, module) {
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind === 0) {
        module.funcs.push(reader.u32());
    } else if (kind === 1) {
        reader.byte();
        module.tables.push(reader.limits());
    } else if (kind === 2) {
        module.memories.push(reader.limits());
    } else {
        module.globalTypes.push(reader.byte());
        reader.byte();
        module.globalCount++;
    }
}

function skipInstructions(reader) { // a constant expression
    for (let depth = 1; depth > 0;) {
        const { text: name } = readInstruction(reader);
        depth += name === "end" ? -1 : 0;
    }
}

function readElement(reader) { // core spec 5.5.12
    const flags = reader.u32();
    const isActive = (flags & 1) === 0;
    const hasIndex = (flags & 2) !== 0;
    if (isActive && hasIndex) {
        reader.u32();
    }
    if (isActive) {
        skipInstructions(reader);
    }
    if ((flags & 3) !== 0) {
        reader.byte(); // element kind or reference type
    }
    const count = reader.u32();
    for (let i = 0; i < count; i++) {
        flags & 4 ? skipInstructions(reader) : reader.u32();
    }
    return isActive ? gasOf("TABLE_INIT") + Math.ceil(count / GAS.elements) : 0;
}

function readData(reader) {
    const flags = reader.u32();
    if (flags === 2) {
        reader.u32();
    }
    if (flags !== 1) {
        skipInstructions(reader);
    }
    const size = reader.u32();
    reader.skip(size);
    return flags === 1 ? 0 : gasOf("MEMORY_INIT") + Math.ceil(size / GAS.bytes);
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const width = (type) => (type === V128 ? 2 : 1); // a v128 counts as two locals or values
const widths = (types) => sum(types.map(width));

function readSection(id, reader, module) {
    switch (id) {
        case 1:
            module.types = reader.vector((r) => {
                r.byte();
                return { params: r.vector((t) => t.byte()), results: r.vector((t) => t.byte()) };
            });
            break;
        case 2:
            reader.vector((r) => readImport(r, module));
            break;
        case 3:
            module.importedFuncs = module.funcs.length;
            module.funcs.push(...reader.vector((r) => r.u32()));
            break;
        case 4:
            reader.vector((r) => {
                r.byte();
                module.tables.push(r.limits());
            });
            break;
        case 5:
            module.memories.push(...reader.vector((r) => r.limits()));
            break;
        case 6:
            module.ownGlobals = reader.u32();
            module.globalCount += module.ownGlobals;
            module.globalsAt = reader.at;
            for (let left = module.ownGlobals; left > 0; left--) {
                module.globalTypes.push(reader.byte());
                reader.byte();
                skipInstructions(reader);
            }
            break;
        case 7:
            module.exportCount = reader.u32();
            module.exportsAt = reader.at;
            for (let left = module.exportCount; left > 0; left--) {
                module.exports.set(reader.name(), { kind: reader.byte(), index: reader.u32() });
            }
            break;
        case 8:
            module.start = reader.u32();
            break;
        case 9:
            module.segmentGas += sum(reader.vector(readElement));
            break;
        case 11:
            module.segmentGas += sum(reader.vector(readData));
            break;
    }
}

export function readModule(bytes) {
    const module = {
        bytes, sections: [], types: [], funcs: [], importedFuncs: 0, tables: [], memories: [], globalCount: 0, globalTypes: [], ownGlobals: 0,
        exportCount: 0, exports: new Map(), start: null, segmentGas: 0,
    };
    const reader = new Reader(bytes, 8);
    while (reader.at < bytes.length) {
        const id = reader.byte();
        const size = reader.u32();
        const section = { id, at: reader.at, end: reader.at + size };
        readSection(id, new Reader(bytes, section.at, section.end), module);
        module.sections.push(section);
        reader.skip(size);
    }
    return module;
}

// ---- Instructions ----

function skipMemarg(reader) {
    const flags = reader.u32();
    if (flags & 0x40) { // a memory index follows
        reader.u32();
    }
    reader.skipLeb();
}

// The operands that matter for gas; the others are only passed over.
function readImmediate(reader, immediate) {
    switch (immediate) {
        case "NONE":
            return [];
        case "BLOCK":
            return [reader.s33()];
        case "LABEL": case "FUNC": case "LOCAL": case "GLOBAL": case "TABLE": case "ELEM": case "DATA": case "MEMORY":
            return [reader.u32()];
        case "CALL_INDIRECT": case "TABLE_INIT": case "TABLE_COPY": case "MEMORY_INIT": case "MEMORY_COPY":
            return [reader.u32(), reader.u32()];
        case "BR_TABLE":
            return [...reader.vector((r) => r.u32()), reader.u32()].slice(-1);
        case "REF_TYPE":
            return [reader.s33()];
        case "SELECT_TYPES":
            reader.vector((r) => r.byte());
            return [];
        case "MEM1": case "MEM2": case "MEM4": case "MEM8": case "MEM16":
            skipMemarg(reader);
            return [];
        case "MEM1_LANE": case "MEM2_LANE": case "MEM4_LANE": case "MEM8_LANE":
            skipMemarg(reader);
            reader.byte();
            return [];
        case "LANE2": case "LANE4": case "LANE8": case "LANE16":
            reader.byte();
            return [];
        case "I32": case "I64":
            reader.skipLeb();
            return [];
        case "F32": case "F64": case "V128": case "SHUFFLE":
            reader.skip({ F32: 4, F64: 8, V128: 16, SHUFFLE: 16 }[immediate]);
            return [];
        default:
            throw new Error(`opcodes.def has an immediate that instrument.mjs does not know: ${immediate}`);
    }
}

function readInstruction(reader) {
    const start = reader.at;
    const first = reader.byte();
    const row = OPCODES.get(first >= 0xfb && first <= 0xfe ? first * 0x1000 + reader.u32() : first);
    if (row === undefined) {
        throw new Error(`opcodes.def has no instruction 0x${first.toString(16)}`);
    }
    const operands = readImmediate(reader, row.immediate);
    return { ...row, operands, bytes: reader.bytes.subarray(start, reader.at) };
}

// ---- The counter ----

const LOCAL_GET = 0x20, LOCAL_SET = 0x21, GLOBAL_GET = 0x23, GLOBAL_SET = 0x24, I64_CONST = 0x42, I64_EXTEND_I32_U = 0xad;
const I64_ADD = 0x7c, I64_MUL = 0x7e, I64_SHR_U = 0x88, I32 = 0x7f, I64 = 0x7e, V128 = 0x7b;

// Before these the counter must be right: they may trap, grow something, or leave the straight line. Too many do no harm.
const SEEN_BEFORE = /load|store|div|rem|trunc|table|memory|elem|data|unreachable|call|return|^br|^if$|^block$|^loop$|^else$|^end$/;

class Body {
    constructor(module, type, reader) {
        Object.assign(this, { module, type, out: [], pending: 0, labels: [widths(type.results)] });
        const runs = reader.vector((r) => [r.u32(), r.byte()]);
        this.localCount = type.params.length + sum(runs.map(([count]) => count));
        this.pending = Math.floor(sum(runs.map(([count, kind]) => count * width(kind))) / GAS.locals);
        this.locals = [...leb(runs.length + 2), ...runs.flatMap(([count, kind]) => [...leb(count), kind]), 1, I32, 1, I64];
        while (reader.at < reader.end) {
            this.instruction(readInstruction(reader));
        }
    }
    global(opcode) {
        return [opcode, ...leb(this.module.globalCount)];
    }
    flush() {
        if (this.pending > 0) {
            append(this.out, [...this.global(GLOBAL_GET), I64_CONST, ...leb(BigInt(this.pending)), I64_ADD, ...this.global(GLOBAL_SET)]);
        }
        this.pending = 0;
    }
    // Adds what the size on top of the stack costs, and leaves it there.
    size(is64, formula) {
        const local = leb(this.localCount + (is64 ? 1 : 0));
        const code = [LOCAL_SET, ...local, ...this.global(GLOBAL_GET), LOCAL_GET, ...local, ...(is64 ? [] : [I64_EXTEND_I32_U]), ...formula];
        append(this.out, [...code, I64_ADD, ...this.global(GLOBAL_SET), LOCAL_GET, ...local]);
    }
    begun(unit) { // rounded up
        return [I64_CONST, ...leb(BigInt(unit - 1)), I64_ADD, I64_CONST, ...leb(BigInt(Math.log2(unit))), I64_SHR_U];
    }
    sizes({ name, operands: [first, second] }) {
        const memory = (index) => this.module.memories[index].is64;
        const table = (index) => this.module.tables[index].is64;
        switch (name) {
            case "MEMORY_GROW":
                return this.size(memory(first), [I64_CONST, ...leb(BigInt(GAS.page)), I64_MUL]);
            case "MEMORY_FILL":
                return this.size(memory(first), this.begun(GAS.bytes));
            case "MEMORY_INIT": // a segment is never longer than 32 bits can say
                return this.size(false, this.begun(GAS.bytes));
            case "MEMORY_COPY":
                return this.size(memory(first) && memory(second), this.begun(GAS.bytes));
            case "TABLE_GROW": case "TABLE_FILL":
                return this.size(table(first), this.begun(GAS.elements));
            case "TABLE_INIT":
                return this.size(false, this.begun(GAS.elements));
            case "TABLE_COPY":
                return this.size(table(first) && table(second), this.begun(GAS.elements));
        }
    }
    // How many values pass to a label or over a call.
    values({ name, operands: [first] }) {
        const call = (type) => widths(type.params) + widths(type.results);
        switch (name) {
            case "BR": case "BR_IF": case "BR_TABLE":
                return this.labels[this.labels.length - 1 - first];
            case "RETURN":
                return widths(this.type.results);
            case "CALL": case "RETURN_CALL":
                return call(this.module.types[this.module.funcs[first]]);
            case "CALL_INDIRECT": case "RETURN_CALL_INDIRECT":
                return call(this.module.types[first]);
            default:
                return 0;
        }
    }
    nest({ name, operands: [first] }) {
        if (name === "BLOCK" || name === "LOOP" || name === "IF") {
            const type = first >= 0 ? this.module.types[first] : { params: [], results: first === -64 ? [] : [first + 128] };
            this.labels.push(widths(name === "LOOP" ? type.params : type.results));
        } else if (name === "END") {
            this.labels.pop();
        }
    }
    instruction(instruction) {
        this.pending += instruction.gas + Math.floor(this.values(instruction) / GAS.values);
        if (SEEN_BEFORE.test(instruction.text)) {
            this.flush();
            this.sizes(instruction);
        }
        this.nest(instruction);
        append(this.out, instruction.bytes);
    }
    bytes() {
        return [...leb(this.locals.length + this.out.length), this.locals, this.out];
    }
}

function writeCode(module, section) {
    const reader = new Reader(module.bytes, section.at, section.end);
    const count = reader.u32();
    const out = [...leb(count)];
    for (let i = 0; i < count; i++) {
        const size = reader.u32();
        const type = module.types[module.funcs[module.importedFuncs + i]];
        for (const part of new Body(module, type, new Reader(module.bytes, reader.at, reader.at + size)).bytes()) {
            Array.isArray(part) ? append(out, part) : out.push(part);
        }
        reader.skip(size);
    }
    return out;
}

function writeGlobals(module, section) {
    const old = section ? module.bytes.subarray(module.globalsAt, section.end) : [];
    return [...leb(module.ownGlobals + 1), ...old, I64, 1, I64_CONST, 0, 0x0b];
}

function writeExports(module, section) {
    const old = section ? module.bytes.subarray(module.exportsAt, section.end) : [];
    const start = module.start === null ? [] : [...text("#start"), 0, ...leb(module.start)];
    return [...leb(module.exportCount + 1 + (start.length > 0 ? 1 : 0)), ...old, ...text("#gas"), 3, ...leb(module.globalCount), ...start];
}

// Behind which a section comes that the module does not have: their order is not that of their numbers (12 stands before 10).
const ORDER = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

// Returns { bytes, gas: of the active segments, hasStart, typeOf: of an exported function, globals: exported ones, [name, type] }.
export function instrument(bytes) {
    const module = readModule(bytes);
    const sections = new Map(module.sections.map((section) => [section.id, section]));
    const out = [...bytes.subarray(0, 8)];
    for (const id of ORDER) {
        const section = sections.get(id);
        const contents = id === 6 ? writeGlobals(module, section)
            : id === 7 ? writeExports(module, section)
            : id === 8 || section === undefined ? null
            : id === 10 ? writeCode(module, section) : bytes.subarray(section.at, section.end);
        if (contents !== null) {
            out.push(id, ...leb(contents.length));
            append(out, contents);
        }
    }
    const typeOf = (name) => module.types[module.funcs[module.exports.get(name).index]];
    const globals = [...module.exports].filter(([, { kind }]) => kind === 3).map(([name, { index }]) => [name, module.globalTypes[index]]);
    return { bytes: Uint8Array.from(out), gas: module.segmentGas, hasStart: module.start !== null, typeOf, globals };
}
