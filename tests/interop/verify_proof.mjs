/* verify_proof.mjs: verifies proofs of ours with @sigstore/verify, the verifier of another transparency log, and nothing
 * of ours.
 *
 *     node verify_proof.mjs VKEY < proofs.json > verdicts.json
 *
 * In: [{"leaf": text, "tlog_proof": text}, …], members of the answers of GET /v1/verify/{id} (and, in `commitment`, of an
 * execution). Out: for each the number of entries of the checkpoint that verified, or the verifier's error.
 *
 * What corresponds to what. A sigstore log entry holds its proof as the members of Rekor's `inclusionProof`; ours is the
 * text of c2sp.org/tlog-proof. Neither the checkpoint nor the hashes are changed on the way:
 *
 *     Rekor                               ours
 *     canonicalizedBody                   the leaf, byte for byte
 *     inclusionProof.logIndex             the number behind "index "
 *     inclusionProof.hashes               the base64 lines below it
 *     inclusionProof.checkpoint.envelope  what follows the first empty line
 *     (log) baseURL                       the origin, which is the key's name in the note
 *     (log) logID, its first 4 bytes      the key id of the verifier key
 *     (log) publicKey                     the Ed25519 key in it
 *
 * The two functions are what the package's Verifier calls for a log entry; its outer layers are about signed artifacts,
 * certificates and timestamps, which a log of executions does not have.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
import { createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "package.json")); // where npm has put the package
const { verifyCheckpoint } = require("@sigstore/verify/dist/tlog/checkpoint.js");
const { verifyMerkleInclusion } = require("@sigstore/verify/dist/tlog/merkle.js");

/* SubjectPublicKeyInfo of an Ed25519 key (RFC 8410), up to its 32 bytes. */
const ED25519_PREFIX = Buffer.from("302a300506032b6570032100", "hex");

function logOf(vkey) {
    const [name, keyId, ...rest] = vkey.split("+");
    const key = Buffer.from(rest.join("+"), "base64"); // base64 has a plus, too
    if (key.length !== 33 || key[0] !== 1) {
        throw new Error("not an Ed25519 verifier key");
    }
    const spki = Buffer.concat([ED25519_PREFIX, key.subarray(1)]);
    return {
        baseURL: name,
        logID: Buffer.from(keyId, "hex"),
        publicKey: createPublicKey({ key: spki, format: "der", type: "spki" }),
        validFor: { start: new Date(0), end: new Date(8.64e15) },
    };
}

function entryOf({ leaf, tlog_proof: proof }) {
    const end = proof.indexOf("\n\n");
    const [version, index, ...hashes] = proof.slice(0, end).split("\n");
    if (version !== "c2sp.org/tlog-proof@v1" || !index.startsWith("index ")) {
        throw new Error("not a tlog-proof");
    }
    return {
        canonicalizedBody: Buffer.from(leaf, "utf-8"),
        inclusionProof: {
            logIndex: index.slice("index ".length),
            hashes: hashes.map((hash) => Buffer.from(hash, "base64")),
            checkpoint: { envelope: proof.slice(end + 2) },
        },
    };
}

const log = logOf(process.argv[2]);
const verdicts = JSON.parse(readFileSync(0, "utf-8")).map((record) => {
    try {
        const entry = entryOf(record);
        const checkpoint = verifyCheckpoint(entry, [log]);
        verifyMerkleInclusion(entry, checkpoint);
        return { size: Number(checkpoint.logSize) };
    } catch (error) {
        return { error: error.message };
    }
});
process.stdout.write(JSON.stringify(verdicts));
