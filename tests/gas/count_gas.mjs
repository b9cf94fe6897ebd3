// count_gas.mjs: what programs cost, counted by another engine (instrument.mjs), against what gas_play says.
//
//   node count_gas.mjs GAS_PLAY WAT2WASM FOLDER EXAMPLES KERNELS
//
// The programs: wat/*.wat, each rule of the schedule, with a hand count in the script that stands in its comments; the examples; the
// bench's kernels. Results and memory are compared too, else equal gas could be an accident. FOLDER is where the text becomes binary.
//
// A script line in a .wat begins with ";;>", what gas_play.c understands, and may end in "= N": the gas that one counts by hand.
//
// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { instrument } from "./instrument.mjs";

const [gasPlay, wat2wasm, folder, examples, kernels] = process.argv.slice(2);
const HERE = fileURLToPath(new URL(".", import.meta.url));

// ---- The same script on this engine ----

const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c;
const scratch = new DataView(new ArrayBuffer(8));

function bitsOf(value, type) {
    switch (type) {
        case I32:
            return BigInt(value >>> 0);
        case I64:
            return BigInt.asUintN(64, value);
        case F32:
            scratch.setFloat32(0, value);
            return BigInt(scratch.getUint32(0));
        case F64:
            scratch.setFloat64(0, value);
            return scratch.getBigUint64(0);
    }
}

function valueOf(bits, type) {
    scratch.setBigUint64(0, BigInt.asUintN(64, bits));
    return { [I32]: scratch.getInt32(4), [I64]: scratch.getBigInt64(0), [F32]: scratch.getFloat32(4), [F64]: scratch.getFloat64(0) }[type];
}

function memoryHash({ memory }) {
    let hash = 0x811c9dc5 | 0;
    if (!(memory instanceof WebAssembly.Memory)) {
        return "0";
    }
    for (const byte of new Uint8Array(memory.buffer)) {
        hash = Math.imul(hash ^ byte, 0x01000193);
    }
    return (hash >>> 0).toString(16);
}

class Unknown extends Error {} // this node is too old for the module

class Player {
    results = [0n]; // the last one of each call

    // Each of these returns a line, or nothing.
    module(path) {
        const bytes = new Uint8Array(readFileSync(path));
        if (!WebAssembly.validate(bytes)) {
            throw new Unknown();
        }
        this.counted = instrument(bytes);
        this.exports = new WebAssembly.Instance(new WebAssembly.Module(this.counted.bytes), {}).exports;
        return this.run(BigInt(this.counted.gas), [], () => (this.counted.hasStart ? this.exports["#start"]() : undefined));
    }
    call(name, ...args) {
        const { params, results } = this.counted.typeOf(name);
        const values = args.map((arg, i) => valueOf(arg.startsWith("@") ? this.results[arg.slice(1)] : BigInt(arg), params[i]));
        this.results.push(0n);
        return this.run(0n, results, () => this.exports[name](...values));
    }
    put(hex) {
        new Uint8Array(this.exports.memory.buffer).set(Buffer.from(hex, "hex"), Number(this.results.at(-1)));
    }
    run(gasBefore, types, action) {
        const gas = this.exports["#gas"];
        let line = "returned";
        gas.value = gasBefore;
        try {
            const results = action();
            types.forEach((type, i) => {
                const bits = bitsOf(types.length === 1 ? results : results[i], type);
                this.results[this.results.length - 1] = bits;
                line += ` ${bits.toString(16)}`;
            });
        } catch (error) {
            if (!(error instanceof WebAssembly.RuntimeError)) {
                throw error;
            }
            line = "trapped";
        }
        return `${line} memory ${memoryHash(this.exports)} gas ${BigInt.asUintN(64, gas.value)}`;
    }
    play(line) {
        const [verb, ...words] = line.split(" ");
        return this[verb](...words);
    }
}

// ---- Cases: { name, script, byHand: for each line what one counts, or undefined } ----

function casesOfText() {
    mkdirSync(folder, { recursive: true });
    return readdirSync(join(HERE, "wat")).sort().map((file) => {
        const source = join(HERE, "wat", file);
        const path = join(folder, `${basename(file, ".wat")}.wasm`);
        execFileSync(wat2wasm, ["--enable-tail-call", "--enable-multi-memory", "--enable-extended-const", "--enable-memory64", source, "-o", path]);
        const lines = [...readFileSync(source, "utf8").matchAll(/^ *;;> (.*?)(?: = (\d+))?$/gm)];
        return {
            name: file,
            script: [`module ${path}`, ...lines.map(([, line]) => line).filter((line) => line !== "start")],
            byHand: [lines.find(([, line]) => line === "start")?.[2], ...lines.filter(([, line]) => line !== "start").map((line) => line[2])],
        };
    });
}

// Programs that take text get it where their own alloc says, as a node gives it to them.
const texts = (call, ...strings) => [
    ...strings.flatMap((string) => [`call alloc ${Buffer.byteLength(string)}`, `put ${Buffer.from(string).toString("hex")}`]),
    `call ${call} ${strings.map((string, i) => `@${i + 1} ${Buffer.byteLength(string)}`).join(" ")}`,
];

const ISSUES = '[{"id":1,"state":"open","tags":["a",{"b":2}]}, {"id":2,"state":"closed"},{"id":3,"state":"open"},{}]';

const EXAMPLES = {
    collatz: ["call steps 27", "call longest 3000", "call steps 0"],
    json_filter: texts("filter", ISSUES, "state", '"open"'),
    matrix: [...texts("determinant", "2 -1 0\n1 3 2\n0 5 -4"), "call power 1000000007 100"],
    primes: ["call count 20000", "call nth 1000"],
    regression: texts("fit", "1,2.1\n2,3.9\n3,6.2\n4,7.8\n5,10.1\n"),
    sha256: texts("digest", "abc".repeat(100)),
    sudoku: texts("solve", "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79"),
    text_stats: texts("stats", "The quick brown fox\njumps over the lazy dog.\n"),
};

function casesOfExamples() {
    return readdirSync(examples).filter((file) => file.endsWith(".wasm")).sort().map((file) => {
        const script = EXAMPLES[basename(file, ".wasm")];
        if (script === undefined) {
            throw new Error(`count_gas.mjs has no script for the example ${file}`);
        }
        return { name: `example ${basename(file, ".wasm")}`, script: [`module ${join(examples, file)}`, ...script], byHand: [] };
    });
}

function casesOfKernels() {
    const files = existsSync(kernels) ? readdirSync(kernels).filter((file) => file.endsWith(".wasm")).sort() : [];
    return files.map((file) => ({
        name: `kernel ${basename(file, ".wasm")}`,
        script: [`module ${join(kernels, file)}`, "call run 1", "call run 2"],
        byHand: [],
    }));
}

// ---- Judging ----

function judge({ script, byHand }) {
    const ours = execFileSync(gasPlay, { input: `${script.join("\n")}\n`, encoding: "utf8", timeout: 300000 }).trim().split("\n");
    const player = new Player();
    const told = script.map((line, i) => [line, player.play(line), byHand[i]]).filter(([, found]) => found !== undefined);
    return told.flatMap(([line, found, hand], i) => {
        const faults = found === ours[i] ? [] : [`${line}\n    counted: ${found}\n    gas_play: ${ours[i]}`];
        return hand === undefined || found.endsWith(` gas ${hand}`) ? faults : [...faults, `${line}\n    counted: ${found}\n    by hand: ${hand}`];
    });
}

const tally = { passed: 0, failed: 0, skipped: 0 };
for (const one of [...casesOfText(), ...casesOfExamples(), ...casesOfKernels()]) {
    try {
        const faults = judge(one);
        faults.forEach((fault) => console.log(`${one.name}: ${fault}`));
        tally[faults.length > 0 ? "failed" : "passed"]++;
    } catch (error) {
        if (!(error instanceof Unknown)) {
            throw error;
        }
        console.log(`skipped: ${one.name}, get it by a newer node than ${process.version}`);
        tally.skipped++;
    }
}
console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped} skipped`);
process.exitCode = tally.failed > 0 ? 1 : 0;
