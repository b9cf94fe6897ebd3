// node_kernel.mjs FILE FUNCTION N: calls an export of a module that imports nothing; prints its result and the processor time of
// the call in nanoseconds. The first call, with 0, makes sure that nothing is compiled while the second is measured.
//
// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

const [file, name, n] = process.argv.slice(2);
const instance = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)));
const run = instance.exports[name];
run(0);
const begin = process.cpuUsage();
const result = run(Number(n));
const used = process.cpuUsage(begin);
console.log(`${result >>> 0} ${(used.user + used.system) * 1000}`);
