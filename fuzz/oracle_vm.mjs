// oracle_vm.mjs: random modules on this engine and on V8: results, memory, globals, tables, traps and gas must be the same.
//
//   node oracle_vm.mjs ORACLE_VM SECONDS FOLDER [FIRST]     seeds FIRST, FIRST + 1, ...; 1 if not given
//   node oracle_vm.mjs ORACLE_VM --show FILE                writes FILE.first.wasm, FILE.second.wasm; prints what both engines say
//
// A case that differs is shortened and goes to FOLDER as oracle-<seed>, with its modules. Exit status 1 if there was any.
//
// The work is done in a worker, which tells where it is; it has CASE_SECONDS for a case before it counts as one that does not end.
//
// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { Worker, isMainThread, workerData } from "node:worker_threads";
import { play } from "./oracle_v8.mjs";

const CASE_SECONDS = 60, SHORTEN_SECONDS = 40, BATCH = 64, FINDINGS_MAX = 5, CHOICES_MAX = 8192;

// ---- Choices of a seed ----

function choicesOf(seed) {
    let state = Math.imul(seed ^ Math.floor(seed / 2 ** 32), 0x9e3779b1) | 1;
    const next = () => { // mulberry32
        state = (state + 0x6d2b79f5) | 0;
        let value = Math.imul(state ^ (state >>> 15), 1 | state);
        value ^= value + Math.imul(value ^ (value >>> 7), 61 | value);
        return (value ^ (value >>> 14)) >>> 0;
    };
    const size = next() % 4 === 0 ? CHOICES_MAX : 200 + (next() % 2000);
    return Uint8Array.from({ length: size }, () => next() & 0xff);
}

// ---- Both engines ----

function records(bytes) {
    const out = [];
    for (let at = 0; at + 4 <= bytes.length;) {
        const end = at + 4 + bytes.readUInt32LE(at);
        if (end > bytes.length) {
            break;
        }
        out.push(bytes.subarray(at + 4, end));
        at = end;
    }
    return out;
}

// { first, second, ours: lines } for each case, up to one that kills the engine: that is { death }.
function ourPlays(program, cases) {
    const input = Buffer.concat(cases.flatMap((choices) => {
        const size = Buffer.alloc(4);
        size.writeUInt32LE(choices.length);
        return [size, choices];
    }));
    const result = spawnSync(program, { input, maxBuffer: 1 << 30, timeout: CASE_SECONDS * 1000 });
    const found = records(result.stdout);
    const plays = [];
    for (let i = 0; i + 2 < found.length; i += 3) {
        plays.push({ first: found[i], second: found[i + 1], ours: found[i + 2].toString().trimEnd().split("\n") });
    }
    if (plays.length < cases.length) {
        plays.push({ death: `this engine died: ${result.signal ?? result.status} ${result.stderr.toString().slice(0, 2000)}` });
    }
    return plays;
}

let place; // the seed, and how many cases there were: the main thread's view of where this one is

// What is different, or null.
function difference({ first, second, ours, death }) {
    if (place !== undefined) {
        place[1]++;
    }
    if (death !== undefined) {
        return death;
    }
    const theirs = play(new Uint8Array(first), new Uint8Array(second));
    const at = ours.findIndex((line, i) => line !== theirs[i]);
    if (at === -1 && ours.length === theirs.length) {
        return null;
    }
    return `ours:   ${ours[at] ?? "(nothing)"}\ntheirs: ${theirs[at] ?? "(nothing)"}`;
}

// ---- Shortening ----

const without = (choices, at, size) => Buffer.concat([choices.subarray(0, at), choices.subarray(at + size)]);

function zeroed(choices, at) {
    const out = Buffer.from(choices);
    out[at] = 0;
    return out;
}

function firstDifferent(program, candidates) {
    for (let at = 0; at < candidates.length; at += BATCH) {
        const some = candidates.slice(at, at + BATCH);
        const found = ourPlays(program, some).findIndex((played) => difference(played) !== null);
        if (found !== -1) {
            return some[found];
        }
    }
    return null;
}

function shorten(program, choices) {
    const end = Date.now() + SHORTEN_SECONDS * 1000;
    for (let piece = Math.ceil(choices.length / 2); piece > 0 && Date.now() < end;) {
        const candidates = [];
        for (let at = choices.length - piece; at >= 0; at -= piece) {
            candidates.push(without(choices, at, piece));
        }
        const found = firstDifferent(program, candidates);
        choices = found ?? choices;
        piece = found !== null && piece <= choices.length ? piece : Math.floor(Math.min(piece, choices.length * 2) / 2);
    }
    for (let at = 0; at < choices.length && Date.now() < end; at++) {
        choices = choices[at] !== 0 && firstDifferent(program, [zeroed(choices, at)]) !== null ? zeroed(choices, at) : choices;
    }
    return choices;
}

// ---- The worker ----

function report(program, folder, seed, choices) {
    choices = shorten(program, Buffer.from(choices));
    const path = `${folder}/oracle-${seed}`;
    writeFileSync(path, choices);
    const [played] = ourPlays(program, [choices]);
    console.log(`seed ${seed} differs; shortened to ${choices.length} bytes: ${path}\n${difference(played)}`);
    if (played.death === undefined) {
        writeFileSync(`${path}.first.wasm`, played.first);
        writeFileSync(`${path}.second.wasm`, played.second);
    }
}

function work({ program, seconds, folder, first, shared }) {
    const begin = Date.now();
    place = shared;
    let seed = first, findings = 0;
    while (Date.now() - begin < seconds * 1000 && findings < FINDINGS_MAX) {
        const cases = Array.from({ length: BATCH }, (_, i) => choicesOf(seed + i));
        for (const played of ourPlays(program, cases)) {
            if (findings === FINDINGS_MAX) {
                break;
            }
            place[0] = seed;
            if (difference(played) !== null) {
                findings++;
                report(program, folder, seed, choicesOf(seed));
            }
            seed++;
        }
    }
    const took = (Date.now() - begin) / 1000;
    console.log(`${seed - first} cases in ${took.toFixed(0)} s, ${findings} different; the next seed is ${seed}`);
    process.exitCode = findings > 0 ? 1 : 0;
}

function watch(worker, shared) {
    let last = shared[1], since = Date.now();
    const timer = setInterval(() => {
        if (shared[1] !== last) {
            last = shared[1];
            since = Date.now();
        } else if (Date.now() - since > 2 * CASE_SECONDS * 1000) {
            console.log(`seed ${shared[0]} does not end, or one of the ${BATCH} after it`);
            process.exit(1);
        }
    }, 1000);
    worker.on("exit", (code) => {
        clearInterval(timer);
        process.exitCode = code;
    });
}

const [program, seconds, folder, first] = process.argv.slice(2);
if (!isMainThread) {
    work(workerData);
} else if (program === undefined || folder === undefined) {
    console.error("usage: node oracle_vm.mjs ORACLE_VM SECONDS FOLDER [FIRST] | ORACLE_VM --show FILE");
    process.exitCode = 2;
} else if (seconds === "--show") {
    const [played] = ourPlays(program, [readFileSync(folder)]);
    writeFileSync(`${folder}.first.wasm`, played.first);
    writeFileSync(`${folder}.second.wasm`, played.second);
    console.log(`ours:\n${played.ours.join("\n")}\ntheirs:\n${play(played.first, played.second).join("\n")}`);
} else {
    const shared = new Float64Array(new SharedArrayBuffer(16));
    const data = { program, seconds: Number(seconds), folder, first: Number(first ?? 1), shared };
    watch(new Worker(new URL(import.meta.url), { workerData: data, argv: [] }), shared);
}
