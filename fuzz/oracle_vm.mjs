// oracle_vm.mjs: what V8 makes of the modules that oracle_vm wrote, in the same words. See oracle_vm.c.
//
// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

const [first, count, folder] = [Number(process.argv[2]), Number(process.argv[3]), process.argv[4]];

const TRAPS = [
    [/^host/, "HOST"],
    [/unreachable/, "UNREACHABLE"],
    [/divide by zero|remainder by zero/, "INTEGER_DIVIDE_BY_ZERO"],
    [/divide result unrepresentable|float unrepresentable/, "OVERFLOW"],
    [/memory access out of bounds|data segment .*out of bounds/, "OUT_OF_BOUNDS_MEMORY"],
    [/null function or function signature|function signature mismatch/, "CALL_TARGET"],
    [/table index is out of bounds|table.* out of bounds|element segment/, "TABLE_BOUNDS"],
    [/call stack/, "CALL_STACK_EXHAUSTED"],
];

function trapOf(error) {
    const found = TRAPS.find(([pattern]) => pattern.test(error.message));
    return found ? found[1] : `? ${error}`;
}

function memoryHash(memory) {
    const words = new Int32Array(memory.buffer);
    let hash = 0x811c9dc5 | 0;
    for (let i = 0; i < words.length; i++) {
        hash = Math.imul(hash ^ words[i], 0x01000193);
    }
    return (Math.imul(hash ^ memory.buffer.byteLength, 0x01000193) >>> 0).toString(16);
}

// The types of the exports "r...", read from the binary: section 1 has types, 3 those of functions.
function resultTypes(bytes) {
    let at = 8;
    const leb = () => {
        let value = 0;
        for (let shift = 0; ; shift += 7) {
            const byte = bytes[at++];
            value |= (byte & 0x7f) << shift;
            if (byte < 0x80) {
                return value;
            }
        }
    };
    const types = [];
    let runners = [];
    while (at < bytes.length) {
        const id = bytes[at++];
        const size = leb();
        const end = at + size;
        if (id === 1) {
            for (let left = leb(); left > 0; left--) {
                at++;
                const params = leb();
                at += params;
                const results = leb();
                types.push([...bytes.subarray(at, at + results)]);
                at += results;
            }
        } else if (id === 3) {
            const functions = Array.from({ length: leb() }, leb);
            runners = functions.slice(functions.length / 2).map((type) => types[type]);
        }
        at = end;
    }
    return runners;
}

const scratch = new DataView(new ArrayBuffer(8));

function show(value, type) {
    switch (type) {
        case 0x7f:
            return ` i32:${(value >>> 0).toString(16)}`;
        case 0x7e:
            return ` i64:${BigInt.asUintN(64, value).toString(16)}`;
        case 0x7d:
            scratch.setFloat32(0, value);
            return ` f32:${Number.isNaN(value) ? "nan" : scratch.getUint32(0).toString(16)}`;
        case 0x7c:
            scratch.setFloat64(0, value);
            return ` f64:${Number.isNaN(value) ? "nan" : scratch.getBigUint64(0).toString(16)}`;
        default:
            return ` ref:${value === null ? "null" : "some"}`;
    }
}

const host = {
    mix(a, b) {
        if (a >>> 0 === 0x7f) {
            throw new Error("host");
        }
        return BigInt.asIntN(64, b * 31n + BigInt(a >>> 0));
    },
};

// Returns the exports, or null if the start did not come to its end.
function playModule(seed, which, imports) {
    const bytes = readFileSync(`${folder}/${seed}.${which}.wasm`);
    const memories = (exports) =>
        " memory " + [...(which === "second" ? [imports.first] : []), ...(exports ? [exports] : [])]
            .map((of) => memoryHash(of.memory)).join(" ");
    let exports;
    try {
        exports = new WebAssembly.Instance(new WebAssembly.Module(bytes), imports).exports;
    } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError) && error.message !== "host") {
            throw error;
        }
        console.log(`${seed} ${which} start: trap ${trapOf(error)}${which === "second" ? memories(null) : ""}`);
        return null;
    }
    console.log(`${seed} ${which} start:${memories(exports)}`);
    resultTypes(bytes).forEach((types, i) => {
        let line;
        try {
            let results = exports[`r${i}`]();
            results = types.length === 0 ? [] : types.length === 1 ? [results] : results;
            line = types.map((type, j) => show(results[j], type)).join("");
        } catch (error) {
            line = ` trap ${trapOf(error)}`;
        }
        console.log(`${seed} ${which} r${i}:${line}${memories(exports)}`);
    });
    return exports;
}

for (let seed = first; seed < first + count; seed++) {
    const exports = playModule(seed, "first", { host });
    if (exports !== null) {
        playModule(seed, "second", { host, first: exports });
    }
}
