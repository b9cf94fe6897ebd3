// oracle_v8.mjs: plays the two modules of generate_vm.h on node and says what can be seen, in oracle_vm.c's words.
//
// The modules count their own gas there (tests/gas/instrument.mjs), so gas is compared as well.
//
// SPDX-License-Identifier: Apache-2.0
import { instrument } from "../tests/gas/instrument.mjs";

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

// ---- What can be seen ----

const HASH_BEGIN = 0x811c9dc5 | 0;
const hashWord = (hash, word) => Math.imul(hash ^ word, 0x01000193);
const hex = (hash) => (hash >>> 0).toString(16);

function memoryHash(memory) {
    const words = new Int32Array(memory.buffer);
    let [a, b, c, d] = [HASH_BEGIN, HASH_BEGIN, HASH_BEGIN, HASH_BEGIN];
    for (let i = 0; i < words.length; i += 4) {
        a = Math.imul(a ^ words[i], 0x01000193);
        b = Math.imul(b ^ words[i + 1], 0x01000193);
        c = Math.imul(c ^ words[i + 2], 0x01000193);
        d = Math.imul(d ^ words[i + 3], 0x01000193);
    }
    return hex([a, b, c, d].reduce(hashWord, memory.buffer.byteLength | 0));
}

const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c, V128 = 0x7b;
const scratch = new DataView(new ArrayBuffer(8));

// The bits as [low, high]; every NaN is the same one, a reference is null or not.
function bitsOf(value, type) {
    scratch.setBigUint64(0, 0n);
    if (type === I32) {
        scratch.setInt32(4, value);
    } else if (type === I64) {
        scratch.setBigInt64(0, value);
    } else if (type === F32) {
        scratch.setFloat32(4, value);
    } else if (type === F64) {
        scratch.setFloat64(0, value);
    } else {
        scratch.setInt32(4, value === null ? 0 : 1);
    }
    if ((type === F32 || type === F64) && Number.isNaN(value)) {
        scratch.setBigUint64(0, type === F32 ? 0x7fc00000n : 0x7ff8000000000000n);
    }
    return [scratch.getInt32(4), scratch.getInt32(0)];
}

function globalsHash(instances) {
    let hash = HASH_BEGIN;
    const add = ({ exports, globals }) => {
        for (const [name, type] of globals.filter(([, type]) => type !== V128)) { // which JavaScript may not see
            hash = bitsOf(exports[name].value, type).reduce(hashWord, hash);
        }
    };
    add(instances[0]);
    if (instances.length > 1) { // which imports those of the first
        add(instances[0]);
        add(instances[1]);
    }
    return hex(hash);
}

function tablesHash({ exports }) {
    let hash = HASH_BEGIN;
    for (let i = 0; exports[`t${i}`] !== undefined; i++) {
        const table = exports[`t${i}`];
        for (let at = 0; at < table.length; at++) {
            hash = hashWord(hashWord(hash, table.get(at) === null ? 0 : 1), 0);
        }
        hash = hashWord(hash, table.length);
    }
    return hex(hash);
}

// ---- Playing ----

const host = {
    mix(a, b) {
        if (a >>> 0 === 0x7f) {
            throw new Error("host");
        }
        return BigInt.asIntN(64, b * 31n + BigInt(a >>> 0));
    },
};

class Play {
    instances = [];
    lines = [];

    state(isComplete) {
        const [first] = this.instances;
        if (first === undefined) {
            return "";
        }
        const seen = isComplete ? this.instances : [first];
        return ` memory ${seen.map(({ exports }) => memoryHash(exports.memory)).join(" ")}` +
            ` globals ${globalsHash(seen)} tables ${tablesHash(first)}`;
    }
    gas() { // since the last time, of all instances
        let sum = 0n;
        for (const { exports } of this.instances) {
            sum += exports["#gas"].value;
            exports["#gas"].value = 0n;
        }
        return BigInt.asUintN(64, sum);
    }
    // Returns whether it came to its end.
    step(name, types, action) {
        let line = "", trap = null;
        try {
            let results = action();
            results = types.length === 0 ? [] : types.length === 1 ? [results] : results;
            line = types.map((type, i) => ` ${bitsOf(results[i], type).reverse().map(hex).join(":")}`).join("");
        } catch (error) {
            if (!(error instanceof WebAssembly.RuntimeError) && error.message !== "host") {
                throw error;
            }
            trap = trapOf(error);
            line = ` trap ${trap}`;
        }
        this.pending = { name, line, trap };
        return trap === null;
    }
    tell(isComplete, extraGas = 0n) {
        const { name, line } = this.pending;
        this.lines.push(`${name}:${line}${this.state(isComplete)} gas ${this.gas() + extraGas}`);
    }
    module(which, bytes, imports) {
        const counted = instrument(bytes);
        const instance = { exports: null, globals: counted.globals };
        const isLinked = this.step(`${which} start`, [], () => {
            instance.exports = new WebAssembly.Instance(new WebAssembly.Module(counted.bytes), imports).exports;
        });
        if (!isLinked) {
            this.tell(this.instances.length === 0, BigInt(counted.gas));
            return false;
        }
        this.instances.push(instance);
        const hasStarted = !counted.hasStart || this.step(`${which} start`, [], () => instance.exports["#start"]());
        if (!hasStarted) { // then nobody may look at its exports
            const gas = this.gas();
            this.instances.pop();
            this.tell(this.instances.length === 0, BigInt(counted.gas) + gas);
            return false;
        }
        this.tell(true, BigInt(counted.gas));
        for (let i = 0; instance.exports[`r${i}`] !== undefined; i++) {
            this.step(`${which} r${i}`, counted.typeOf(`r${i}`).results, () => instance.exports[`r${i}`]());
            this.tell(true);
        }
        return true;
    }
}

export function play(first, second) {
    const play = new Play();
    if (play.module("first", first, { host })) {
        play.module("second", second, { host, first: play.instances[0].exports });
    }
    return play.lines;
}
