"""verify_chain: verifies a saved answer from the processor's maker down to the log, link by link, and shares no code with the node.

    certificates -> report -> epoch statement -> request key -> result -> log entry -> checkpoint -> receipt

One file, written from docs/protocol.md and docs/attestation.md with Python's standard library and python3-cryptography. Each link
has the name that the node's own program gives it, so that two readings can be compared. The first link that does not hold ends it.

usage: verify_chain.py DIRECTORY|FILE [--root SHA256]... [--module FILE] [--measurement HEX] [--nonce BASE64] [--at TIME]

DIRECTORY is what `exec --save` writes: key.json, answer.json, and if they are there request.json and result.json. FILE is evidence
alone, as a node serves it under /v1/attestation, also a fresh proof.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import base64
import datetime
import hashlib
import json
import math
import os
import sys

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils

# SHA-256 of AMD's root certificates, as https://kdsintf.amd.com/vcek/v1/<line>/cert_chain serves them (there in PEM).
AMD_ROOTS = {
    "69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd": "Milan",
    "4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1": "Genoa",
    "1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a": "Turin",
}
CLOCK_SKEW = datetime.timedelta(minutes=2)


class Unverified(Exception):
    """Something that was said does not hold. `link` is where the chain is broken."""

    def __init__(self, message, link=None):
        super().__init__(message)
        self.link = link


def require(condition, message):
    if not condition:
        raise Unverified(message)


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def time_of(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if time.tzinfo is None:
        raise ValueError(f"{text} does not say its zone")
    return time.astimezone(datetime.timezone.utc)


# ---- RFC 8785 ----


def jcs_number(value):
    if isinstance(value, int):
        require(abs(value) < 2**53, "integers beyond 2^53 travel as strings")
        return str(value)
    require(math.isfinite(value), "NaN and infinities are no JSON numbers")
    if value == 0:
        return "0"
    mantissa, exponent = repr(value), 0
    sign = "-" if mantissa.startswith("-") else ""
    mantissa = mantissa.lstrip("-")
    if "e" in mantissa:
        mantissa, exponent_text = mantissa.split("e")
        exponent = int(exponent_text)
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + exponent - (len(whole + fraction) - len((whole + fraction).lstrip("0")))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    exponent = point - 1
    text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return f"{sign}{text}e{'+' if exponent >= 0 else '-'}{abs(exponent)}"


def jcs(value):
    """The canonical form, as text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return jcs_number(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(jcs(item) for item in value) + "]"
    members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
    return "{" + ",".join(json.dumps(name, ensure_ascii=False) + ":" + jcs(item) for name, item in members) + "}"

# ---- the audit log, from outside ----


def leaf_hash(leaf):
    return sha256(b"\0", leaf)


def inclusion_root(index, size, leaf, proof):
    """RFC 9162 section 2.1.3.2: the root that the proof leads to."""
    require(index < size, "the leaf lies beyond the tree")
    fn, sn, root = index, size - 1, leaf
    for node in proof:
        require(sn != 0, "the proof is too long")
        if fn & 1 or fn == sn:
            root = sha256(b"\1", node, root)
            while not fn & 1 and fn != 0:
                fn >>= 1
                sn >>= 1
        else:
            root = sha256(b"\1", root, node)
        fn >>= 1
        sn >>= 1
    require(sn == 0, "the proof is too short")
    return root


def parse_vkey(vkey, kind=1):
    name, key_id, key = vkey.split("+", 2)
    key = unb64(key)
    require(key[0] == kind and len(key) == 33, "not an Ed25519 verifier key of that kind")
    require(sha256(name.encode(), b"\n", key)[:4].hex() == key_id, "the key id does not fit the key")
    return name, bytes.fromhex(key_id), ed25519.Ed25519PublicKey.from_public_bytes(key[1:])


def open_checkpoint(note, vkey):
    """(origin, size, root) of a checkpoint that this key signed."""
    name, key_id, key = parse_vkey(vkey)
    body, separator, signatures = note.rpartition("\n\n")
    require(separator and signatures.endswith("\n"), "not a signed note")
    body += "\n"
    for line in signatures.splitlines():
        require(line.startswith("\u2014 "), "a signature line begins with an em dash")
        signer, signature = line[2:].split(" ")
        signature = unb64(signature)
        if signer == name and signature[:4] == key_id:
            try:
                key.verify(signature[4:], body.encode())
            except InvalidSignature as error:
                raise Unverified("the checkpoint's signature") from error
            origin, size, root = body.split("\n")[:3]
            return origin, int(size), unb64(root)
    raise Unverified("no signature of the log's key")


def open_tlog_proof(proof, vkey, leaf):
    """(index, origin, size) once the proof shows that `leaf` (its hash) is in the tree of a signed checkpoint."""
    head, checkpoint = proof.split("\n\n", 1)
    lines = head.split("\n")
    require(lines[0] == "c2sp.org/tlog-proof@v1", "the proof's first line")
    lines = [line for line in lines[1:] if not line.startswith("extra ")]
    require(lines[0].startswith("index "), "the proof's index line")
    index = int(lines[0][len("index ") :])
    origin, size, root = open_checkpoint(checkpoint, vkey)
    require(inclusion_root(index, size, leaf, [unb64(line) for line in lines[1:]]) == root, "the proof leads to another root")
    return index, origin, size

# ---- evidence, and what its epoch key signs ----

AMD = "1.3.6.1.4.1.3704.1."
PSS = x509.ObjectIdentifier("1.2.840.113549.1.1.10")
# The extensions of a leaf that hold the bytes of a TCB, in the report's order.
TCB_PARTS = {
    "Milan": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Genoa": ("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"),
    "Turin": ("3.9", "3.1", "3.2", "3.3", "3.5", "3.6", "3.7", "3.8"),
}


def walk(subject, tell=None):
    """Runs the links of `subject` in their order; the first that does not hold is named in what is raised."""
    for name in subject.LINKS:
        try:
            said = getattr(subject, name)()
        except Unverified as error:
            error.link = error.link or name
            raise
        except InvalidSignature as error:
            raise Unverified("the signature does not verify", name) from error
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, UnsupportedAlgorithm) as error:
            raise Unverified(f"malformed: {error!r}", name) from error
        if tell:
            tell(name, said or "")


def number(report, offset, size):
    return int.from_bytes(report[offset : offset + size], "little")


class Epoch:
    """Evidence: why the statement's keys are believed. `roots`: SHA-256 of simulated roots that may vouch; None: any."""

    LINKS = (
        "evidence_format", "root_pinned", "issuer_names", "chain", "certificate_time", "report_version", "product", "leaf_kind", "leaf_tcb", "leaf_chip",
        "chip_key_unmasked", "signature_encoding", "report_signature", "report_vmpl", "guest_policy_debug", "guest_policy_migration",
        "committed_firmware", "measurement", "batch_format", "batch_inclusion", "report_data", "statement_time",
    )

    def __init__(self, evidence, roots=None, at=None, measurement=None, tell=None):
        self.evidence, self.roots, self.wanted_measurement = evidence, roots, measurement
        self.at = at or datetime.datetime.now(datetime.timezone.utc)
        self.provider = evidence["provider"]
        self.statement_text = evidence["statement"]
        self.digest = hashlib.sha512(self.statement_text.encode()).digest()
        self.statement = json.loads(self.statement_text)
        if self.provider != "none":  # which vouches for nothing: the keys are only what the node claims
            walk(self, tell)
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(bytes_member(self.statement, "signing_key", 32))
        self.vkey = self.statement["log_vkey"]

    def evidence_format(self):
        require(self.provider in ("configfs-tsm", "sev-guest", "simulated"), f"nobody knows the provider {self.provider}")
        self.report = unb64(self.evidence["report"])
        require(len(self.report) == 1184, f"a report has 1184 bytes, not {len(self.report)}")
        ders = [unb64(der) for der in self.evidence["certificates"]]
        require(len(ders) == 3, "leaf, intermediate and root, no more and no less")
        self.certificates = [x509.load_der_x509_certificate(der) for der in ders]
        self.root_sha256 = hashlib.sha256(ders[2]).hexdigest()

    def root_pinned(self):
        if self.provider != "simulated":
            require(self.root_sha256 in AMD_ROOTS, f"{self.root_sha256} is no root of AMD")
            return f"AMD's, {AMD_ROOTS[self.root_sha256]}"
        require(self.roots is None or self.root_sha256 in self.roots, f"the simulated root {self.root_sha256} was not named")
        return "SIMULATED: no hardware vouches for anything below"

    def issued(self):
        """Each with the one that has issued it."""
        leaf, intermediate, root = self.certificates
        return (root, root), (intermediate, root), (leaf, intermediate)

    def issuer_names(self):
        """The names do not decide who is believed, the root's bytes do."""
        for child, parent in self.issued():
            require(child.issuer == parent.subject, f"issued by {child.issuer.rfc4514_string()}, not by {parent.subject.rfc4514_string()}")

    def chain(self):
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
        for child, parent in self.issued():
            require(child.signature_algorithm_oid == PSS, "not signed with RSASSA-PSS")
            parent.public_key().verify(child.signature, child.tbs_certificate_bytes, pss, hashes.SHA384())

    def certificate_time(self):
        now = self.at.replace(tzinfo=None)
        for certificate in self.certificates:
            begin, end = certificate.not_valid_before, certificate.not_valid_after
            require(begin <= now <= end, f"{certificate.subject.rfc4514_string()}: valid from {begin} to {end}")

    def report_version(self):
        require(2 <= number(self.report, 0, 4) <= 5, "versions 2 to 5 are known")
        require(number(self.report, 0x34, 4) == 1, "signature algorithm 1, ECDSA P-384 with SHA-384, is the only one")
        return f"version {number(self.report, 0, 4)}"

    def extension(self, name):
        values = [e.value.value for e in self.certificates[0].extensions if e.oid.dotted_string == AMD + name]
        require(len(values) < 2, f"the leaf has extension {name} twice")
        return values[0] if values else None

    def product(self):
        named = self.extension("2")
        require(named is not None and named[0] == 0x16 and named[1] == len(named) - 2, "the leaf does not name its product")
        self.line = next((line for line in TCB_PARTS if named[2:].startswith(line.encode())), None)
        require(self.line, f"the product {named[2:]} is not known")
        require(AMD_ROOTS.get(self.root_sha256, self.line) == self.line, "the root is of another line")
        if number(self.report, 0, 4) >= 3:
            family, model = self.report[0x188], self.report[0x189]
            lines = {(0x19, 0x0): "Milan", (0x19, 0x1): "Genoa", (0x19, 0xA): "Genoa", (0x1A, 0x0): "Turin", (0x1A, 0x1): "Turin"}
            require(lines.get((family, model >> 4)) == self.line, f"the leaf is for {self.line}, the CPU is {family:02x}/{model:02x}")
        return named[2:].decode()

    def leaf_kind(self):
        self.is_vlek = {0: False, 1: True}[number(self.report, 0x48, 4) >> 2 & 7]
        expected = "SEV-VLEK" if self.is_vlek else "SEV-VCEK"
        names = [name.value for name in self.certificates[0].subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        require(names == [expected], f"the report is signed by a {expected}, the leaf is {names}")

    def leaf_tcb(self):
        for place, name in enumerate(TCB_PARTS[self.line]):
            value = self.extension(name)
            require(value is not None and value[0] == 2 and value[1] == len(value) - 2, f"the leaf has no number {name}")
            require(int.from_bytes(value[2:], "big") == self.report[0x180 + place], "the leaf was issued for another TCB than the reported one")

    def leaf_chip(self):
        hardware, cloud = self.extension("4"), self.extension("5")
        if self.is_vlek:
            require(cloud is not None and hardware is None, "a VLEK names its cloud and no chip")
            return "a cloud's key, of no chip"
        require(hardware is not None and cloud is None, "a VCEK names its chip and no cloud")
        if len(hardware) == 66 and hardware[:2] == b"\x04\x40":
            hardware = hardware[2:]
        require(len(hardware) in (8, 64), "the chip's id has 8 or 64 bytes")
        require(hardware.ljust(64, b"\0") == self.report[0x1A0:0x1E0], "the leaf is of another chip")
        return None

    def chip_key_unmasked(self):
        require(number(self.report, 0x48, 4) & 2 == 0, "MASK_CHIP_KEY is set: such a report is not signed")

    def signature_encoding(self):
        rest = self.report[0x2D0:0x2E8] + self.report[0x318:]
        require(not any(rest), "R and S have 48 bytes, and zeros behind them")

    def report_signature(self):
        """R and S stand little endian behind the signed bytes, each in 72 bytes of room."""
        signature = utils.encode_dss_signature(number(self.report, 0x2A0, 72), number(self.report, 0x2E8, 72))
        key = self.certificates[0].public_key()
        require(isinstance(key.curve, ec.SECP384R1), "the leaf's key is not on P-384")
        key.verify(signature, self.report[:0x2A0], ec.ECDSA(hashes.SHA384()))

    def report_vmpl(self):
        require(number(self.report, 0x30, 4) <= 3, "the host asked for this report, not the guest")

    def guest_policy_debug(self):
        require(number(self.report, 8, 8) >> 19 & 1 == 0, "the host may read the guest")

    def guest_policy_migration(self):
        require(number(self.report, 8, 8) >> 18 & 1 == 0, "a migration agent holds the guest's keys")

    def committed_firmware(self):
        current, committed = self.report[0x38:0x40] + self.report[0x1E8:0x1EB], self.report[0x1E0:0x1E8] + self.report[0x1EC:0x1EF]
        require(current == committed, "provisional firmware, which the machine's owner can take back")

    def measurement(self):
        found = self.report[0x90:0xC0].hex()
        require(self.wanted_measurement in (None, found), f"it is {found}")
        return found if self.wanted_measurement else f"{found}, compared with nothing"

    def batch_format(self):
        """A fresh proof: the report is about many nonces, ours among them."""
        self.batch = batch = self.evidence.get("batch")
        if batch is None:
            return "no fresh proof"
        self.batch_nonce, self.batch_root = unb64(batch["nonce"]), bytes_member(batch, "root", 32)
        self.batch_path = [bytes.fromhex(node) for node in batch["path"]]
        require(16 <= len(self.batch_nonce) <= 64 and 0 <= batch["index"] < batch["size"] <= 65536, "out of range")
        return f"nonce {batch['index']} of {batch['size']}"

    def batch_inclusion(self):
        if self.batch is None:
            return "no fresh proof"
        leaf = leaf_hash(b"wasm-hypervisor/1 batch nonce\0" + self.batch_nonce)
        require(inclusion_root(self.batch["index"], self.batch["size"], leaf, self.batch_path) == self.batch_root, "the path leads to another root")
        return None

    def report_data(self):
        expected = self.digest
        if self.batch is not None:
            text = b"wasm-hypervisor/1 batch\0" + self.digest + self.batch["size"].to_bytes(8, "big") + self.batch_root
            expected = hashlib.sha512(text).digest()
        require(self.report[0x50:0x90] == expected, "the report was made for another statement" + ("" if self.batch is None else " or batch"))
        require(jcs(self.statement) == self.statement_text, "the statement is not canonical")
        require(self.statement["domain"] == "wasm-hypervisor/1 epoch", "it is no statement of an epoch")
        require(self.statement["provider"] == self.provider, "the statement names another provider")

    def statement_time(self):
        begin, end = time_of(self.statement["not_before"]), time_of(self.statement["not_after"])
        require(begin - CLOCK_SKEW <= self.at <= end, f"the epoch lasted from {begin} to {end}; --at judges as of then")
        return f"until {self.statement['not_after']}"

    def open(self, signed, domain):
        """The payload of what this epoch's key signed, for that purpose."""
        require(signed["epoch"] == self.digest.hex(), "signed in another epoch")
        try:
            self.key.verify(unb64(signed["signature"]), signed["payload"].encode())
        except InvalidSignature as error:
            raise Unverified(f"the signature of {domain}") from error
        payload = json.loads(signed["payload"])
        require(jcs(payload) == signed["payload"], "the payload is not canonical")
        require(payload["domain"] == domain, f"signed as {payload['domain']}, not as {domain}")
        return payload


def bytes_member(value, name, size):
    """Hex or base64, whichever has that many bytes."""
    text = value[name]
    data = bytes.fromhex(text) if len(text) == 2 * size else unb64(text)
    require(len(data) == size, f"{name} has {len(data)} bytes")
    return data


class Nonce:
    """A nonce in evidence: in the tree that the report was made for, or else signed by the epoch's key."""

    LINKS = ("nonce_binding", "nonce")

    def __init__(self, epoch, nonce=None, tell=None):
        self.epoch, self.wanted = epoch, nonce
        self.found = [epoch.evidence["batch"]["nonce"]] if epoch.batch is not None else []
        walk(self, tell)

    def nonce_binding(self):
        if "nonce_binding" not in self.epoch.evidence:
            return "no nonce was signed alone"
        self.found.append(self.epoch.open(self.epoch.evidence["nonce_binding"], "wasm-hypervisor/1 nonce")["nonce"])
        return None

    def nonce(self):
        require(self.wanted is None or self.wanted in self.found, "the nonce is not ours")
        return "compared with nothing" if self.wanted is None else None


# ---- one execution under that epoch ----

HEADER_MEMBERS = ("arguments", "function_name", "gas_limit", "memory_limit_bytes", "mode", "request_id", "result_type", "timeout_seconds")


def header_hash(request):
    return sha256(jcs({name: request[name] for name in HEADER_MEMBERS if name in request}).encode())


def commitment_of(request):
    """The request_commitment of the body of a POST /v1/execute."""
    enc = unb64(request["public_key"])
    return sha256(
        b"wasm-hypervisor/1 request commitment\0",
        header_hash(request),
        sha256(unb64(request["encrypted_wasm"])),
        sha256(unb64(request.get("encrypted_arguments", ""))),
        enc if len(enc) == 65 else b"\4" + enc,
    )


class Execution:
    """An answer under a verified epoch. What was not kept is None, and its links say so."""

    LINKS = (
        "key_binding", "request_commitment", "result_commitment", "result_content", "log_entry", "checkpoint", "audit_proof", "receipt",
    )
    NOT_KEPT = "NOT LOOKED AT: not kept"

    def __init__(self, epoch, key, answer, request=None, result=None, module=None, nonce=None, tell=None):
        self.epoch, self.key, self.answer, self.request, self.plaintext = epoch, key, answer, request, result
        self.module, self.nonce = module, nonce
        self.result = None
        walk(self, tell)

    def key_binding(self):
        """The epoch's key signed the request key before anything was encrypted to it."""
        verify_binding(self.key, self.epoch)
        binding = json.loads(self.key["attestation"]["key_binding"]["payload"])
        require(self.nonce is None or binding.get("nonce") == self.nonce, "the nonce is not ours")
        return "public key, salt, request id, expiry" + ("" if self.nonce is None else " and nonce")

    def request_commitment(self):
        require(self.answer["request_id"] == self.key["request_id"], "the answer is another request's")
        if self.request is None:
            return self.NOT_KEPT
        require(self.request["request_id"] == self.key["request_id"], "the request was made for another key")
        require(self.answer["request_commitment"] == commitment_of(self.request).hex(), "the node committed to another request")
        return None

    def result_commitment(self):
        if self.plaintext is None:
            return self.NOT_KEPT
        require(self.answer["result_commitment"] == sha256(self.plaintext).hex(), "the node committed to another result")
        return None

    def result_content(self):
        if self.plaintext is None:
            return self.NOT_KEPT
        self.result = result = json.loads(self.plaintext)
        require(jcs(result).encode() == self.plaintext, "it is not canonical")
        require(result["request_id"] == self.key["request_id"], "it is another request's")
        require(len(bytes_member(result, "blind", 32)) == 32, "the blind has 32 bytes")
        require(result["execution_summary"] == self.answer["execution_summary"], "two summaries")
        require(result["status"] == result["execution_summary"]["status"], "two outcomes")
        if result["status"] == "success":
            require(result["output_hash"] == sha256(jcs(result["outputs"]).encode()).hex(), "the output hash")
            require("error_code" not in self.answer, "a success with an error")
        else:
            require("outputs" not in result and result["error"]["code"] == self.answer["error_code"], "a failure that is none")
        if self.module is not None:
            require(result["program_hash"] == sha256(self.module).hex(), "another program ran")
        return f"{result['status']}, program {result.get('program_hash')}" + ("" if self.module is not None else ", compared with nothing")

    def says_the_same(self, said):
        """What the leaf and the receipt both have to repeat."""
        for member in ("request_id", "request_commitment", "result_commitment"):
            require(said[member] == self.answer[member], f"another {member}")
        for member in ("status", "gas_consumed", "gas_schedule"):
            require(said[member] == self.answer["execution_summary"][member], f"another {member}")
        require(said.get("error_code") == self.answer.get("error_code"), "another error code")
        require(("error_code" in said) == (said["status"] != "success"), "a success with an error, or a failure without")

    def log_entry(self):
        record = self.answer["commitment"]
        self.leaf = json.loads(record["leaf"])
        self.leaf_hash = leaf_hash(record["leaf"].encode())
        require(self.leaf_hash.hex() == record["leaf_hash"], "the entry has another hash")
        require(jcs(self.leaf) == record["leaf"], "the entry is not canonical")
        require((self.leaf["type"], self.leaf["admit"]) == ("RESULT", record["admit_index"]), "it is no result of this request")
        require(self.leaf["index"] == record["leaf_index"], "it says another place")
        self.says_the_same(self.leaf)
        return f"{self.leaf['status']}, {self.leaf['gas_consumed']} gas"

    def checkpoint(self):
        head, _, note = self.answer["commitment"]["tlog_proof"].partition("\n\n")
        origin, self.size, self.root = open_checkpoint(note, self.epoch.vkey)
        require(head and origin == self.epoch.statement["log_origin"] == self.answer["commitment"]["log_origin"], "it is of another log")
        return f"{origin}, {self.size} entries"

    def audit_proof(self):
        index, _, _ = open_tlog_proof(self.answer["commitment"]["tlog_proof"], self.epoch.vkey, self.leaf_hash)
        require(index == self.leaf["index"], "it is for another place")
        return f"entry {index} of {self.size}"

    def receipt(self):
        self.signed = self.epoch.open(self.answer["receipt"], "wasm-hypervisor/1 receipt")
        self.says_the_same(self.signed)
        require(self.signed["leaf_index"] == self.leaf["index"], "it names another place")
        require(self.signed["log_origin"] == self.epoch.statement["log_origin"], "it names another log")
        require(self.signed["gas_consumed"] <= self.signed["limits"]["gas"], "more gas than was allowed")
        for member, limit in (("gas_limit", "gas"), ("memory_limit_bytes", "memory_bytes"), ("timeout_seconds", "timeout_seconds")):
            if self.request is not None and member in self.request:
                require(self.signed["limits"][limit] <= self.request[member], f"another {member} than the request's")
        return f"a receipt of {self.signed['status']}, {self.signed['completed_at']}"


def verify_binding(key, epoch):
    require(epoch.statement["node_id"] == key["node_id"], "the evidence speaks of another node")
    binding = epoch.open(key["attestation"]["key_binding"], "wasm-hypervisor/1 request key")
    for member in ("request_id", "public_key", "key_derivation_salt", "expires_at"):
        require(binding[member] == key[member], f"{member} of the key is not the one that was signed")
    return binding


# ---- the command ----


def load(directory, name, parse=json.loads):
    path = os.path.join(directory, name)
    if not os.path.exists(path):
        return None
    with open(path, "rb") as file:
        return parse(file.read())


def verify_evidence(evidence, tell=None, roots=(), at=None, measurement=None):
    """The epoch that the evidence vouches for; roots None: any simulated one."""
    try:
        epoch = Epoch(evidence, roots, at, measurement, tell)
    except (KeyError, TypeError, ValueError) as error:
        raise Unverified(f"malformed: {error!r}", "evidence_format") from error
    if epoch.provider == "none":
        raise Unverified("no hardware vouches for this node", "evidence_format")
    return epoch


def verify_directory(directory, tell=None, roots=(), at=None, measurement=None, module=None, nonce=None):
    """Raises Unverified with the broken link."""
    key, answer = load(directory, "key.json"), load(directory, "answer.json")
    if key is None or answer is None:
        raise FileNotFoundError(f"{directory}: no key.json or no answer.json; `exec --save` makes them")
    epoch = verify_evidence(key.get("attestation"), tell, roots, at, measurement)
    return Execution(epoch, key, answer, load(directory, "request.json"), load(directory, "result.json", bytes), module, nonce, tell)


def main():
    parser = argparse.ArgumentParser(description="Verifies what `wasm-hypervisor exec --save DIRECTORY` kept, or evidence alone, link by link.")
    parser.add_argument("path", metavar="DIRECTORY|FILE")
    parser.add_argument("--root", action="append", default=[], metavar="SHA256", help="a simulated root that may vouch, for trials; or any")
    parser.add_argument("--module", metavar="FILE", help="the program that was sent, to compare its hash")
    parser.add_argument("--measurement", metavar="HEX", help="the only measurement that is accepted")
    parser.add_argument("--nonce", metavar="BASE64", help="the nonce that was sent")
    parser.add_argument("--at", metavar="TIME", type=time_of, help="judge as of 2026-11-21T12:00:00Z (default: now)")
    given = parser.parse_args()
    tell = lambda name, said: print(f"ok  {name:22} {said}".rstrip())
    roots = None if "any" in given.root else given.root
    module = None
    try:
        if given.module:
            with open(given.module, "rb") as file:
                module = file.read()
        if os.path.isdir(given.path):
            verify_directory(given.path, tell, roots, given.at, given.measurement, module, given.nonce)
        else:
            with open(given.path, "rb") as file:
                Nonce(verify_evidence(json.load(file), tell, roots, given.at, given.measurement), given.nonce, tell)
    except Unverified as error:
        print(f"REFUSED  {error.link}: {error}")
        return 1
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print("VERIFIED")
    return 0


if __name__ == "__main__":
    sys.exit(main())
