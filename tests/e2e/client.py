"""client: a client of a WASM Hypervisor node, written from docs/protocol.md alone.

It shares no code with the node: HPKE (RFC 9180), the response opening (RFC 9458 section 4.4), the canonical JSON (RFC 8785), the
Merkle proofs (RFC 9162), the signed notes (C2SP) and the check of the simulated evidence are composed here from Python's standard
library and python3-cryptography. When node and client agree, two readings of the page agree.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import hmac
import http.client
import json
import math
import uuid

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEM, KDF, AEAD = 0x0010, 0x0001, 0x0002


class Unverified(Exception):
    """Something the node said does not hold."""


def require(condition, message):
    if not condition:
        raise Unverified(message)


def b64(data):
    return base64.b64encode(data).decode()


def unb64(text):
    return base64.b64decode(text, validate=True)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


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


# ---- HPKE base mode, sender ----


def hkdf_extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def hkdf_expand(prk, info, size):
    out, block = b"", b""
    while len(out) < size:
        block = hmac.new(prk, block + info + bytes([len(out) // 32 + 1]), hashlib.sha256).digest()
        out += block
    return out[:size]


def labeled_extract(suite, salt, label, ikm):
    return hkdf_extract(salt, b"HPKE-v1" + suite + label + ikm)


def labeled_expand(suite, prk, label, info, size):
    return hkdf_expand(prk, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info, size)


def point_of(public_key):
    return public_key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


class HpkeSender:
    def __init__(self, recipient, info, ephemeral=None):
        ephemeral = ephemeral or ec.generate_private_key(ec.SECP256R1())
        self.enc = point_of(ephemeral.public_key())
        shared = ephemeral.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), recipient))
        kem_suite = b"KEM" + KEM.to_bytes(2, "big")
        secret = labeled_expand(
            kem_suite, labeled_extract(kem_suite, b"", b"eae_prk", shared), b"shared_secret", self.enc + recipient, 32
        )
        suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM, KDF, AEAD))
        context = b"\0" + labeled_extract(suite, b"", b"psk_id_hash", b"") + labeled_extract(suite, b"", b"info_hash", info)
        prk = labeled_extract(suite, secret, b"secret", b"")
        self.suite = suite
        self.key = labeled_expand(suite, prk, b"key", context, 32)
        self.base_nonce = labeled_expand(suite, prk, b"base_nonce", context, 12)
        self.exporter = labeled_expand(suite, prk, b"exp", context, 32)
        self.sequence = 0

    def seal(self, aad, plaintext):
        nonce = bytes(a ^ b for a, b in zip(self.base_nonce, self.sequence.to_bytes(12, "big")))
        self.sequence += 1
        return AESGCM(self.key).encrypt(nonce, plaintext, aad)

    def export(self, context, size):
        return labeled_expand(self.suite, self.exporter, b"sec", context, size)

    def open_response(self, sealed, aad):
        nonce, ciphertext = sealed[:32], sealed[32:]
        prk = hkdf_extract(self.enc + nonce, self.export(b"wasm-hypervisor/1 response", 32))
        return AESGCM(hkdf_expand(prk, b"key", 32)).decrypt(hkdf_expand(prk, b"nonce", 12), ciphertext, aad)


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


def tree_root(leaves):
    """RFC 9162 section 2.1.1, from all the leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", tree_root(leaves[:split]), tree_root(leaves[split:]))


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


def open_cosignature(note, vkey):
    """When that witness cosigned the checkpoint, in seconds since 1970 (c2sp.org/tlog-cosignature)."""
    name, key_id, key = parse_vkey(vkey, 4)
    body, separator, signatures = note.rpartition("\n\n")
    require(separator and signatures.endswith("\n"), "not a signed note")
    for line in signatures.splitlines():
        signer, signature = line[2:].split(" ")
        signature = unb64(signature)
        if signer == name and signature[:4] == key_id:
            require(len(signature) == 4 + 8 + 64, "the size of a cosignature")
            time = int.from_bytes(signature[4:12], "big")
            try:
                key.verify(signature[12:], f"cosignature/v1\ntime {time}\n{body}\n".encode())
            except InvalidSignature as error:
                raise Unverified("the cosignature") from error
            return time
    raise Unverified("no cosignature of that witness")


def consistency_proof(old_size, leaves):
    """RFC 9162 section 2.1.4.1, from all the leaf hashes."""

    def subproof(old, hashes, is_whole):
        if old == len(hashes):
            return [] if is_whole else [tree_root(hashes)]
        split = 1 << (len(hashes) - 1).bit_length() - 1
        if old <= split:
            return subproof(old, hashes[:split], is_whole) + [tree_root(hashes[split:])]
        return subproof(old - split, hashes[split:], False) + [tree_root(hashes[:split])]

    return subproof(old_size, leaves, True) if old_size else []


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


# ---- evidence of a simulated node, and what its epoch key signs ----


class Epoch:
    def __init__(self, evidence):
        self.provider = evidence["provider"]
        self.statement_text = evidence["statement"]
        self.statement = json.loads(self.statement_text)
        require(jcs(self.statement) == self.statement_text, "the statement is not canonical")
        self.digest = hashlib.sha512(self.statement_text.encode()).digest()
        if self.provider == "simulated":
            self.check_report(unb64(evidence["report"]), [unb64(der) for der in evidence["certificates"]])
        self.key = ed25519.Ed25519PublicKey.from_public_bytes(bytes_member(self.statement, "signing_key", 32))
        self.vkey = self.statement["log_vkey"]

    def check_report(self, report, certificates):
        require(len(report) == 1184, "the report's size")
        require(report[0x50:0x90] == self.digest, "the report speaks of another statement")
        chip, signer, root = (x509.load_der_x509_certificate(der) for der in certificates)
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA384()), salt_length=48)
        for child, parent in ((chip, signer), (signer, root), (root, root)):
            parent.public_key().verify(child.signature, child.tbs_certificate_bytes, pss, hashes.SHA384())
        r = int.from_bytes(report[0x2A0 : 0x2A0 + 72], "little")
        s = int.from_bytes(report[0x2E8 : 0x2E8 + 72], "little")
        chip.public_key().verify(utils.encode_dss_signature(r, s), report[:0x2A0], ec.ECDSA(hashes.SHA384()))
        self.root_sha256 = hashlib.sha256(certificates[2]).hexdigest()

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


# ---- the client ----

HEADER_MEMBERS = (
    "arguments",
    "function_name",
    "gas_limit",
    "memory_limit_bytes",
    "mode",
    "request_id",
    "result_type",
    "timeout_seconds",
)


class Answer:
    """One HTTP answer; `json` is None if the body is none."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        try:
            self.json = json.loads(body) if body else None
        except ValueError:
            self.json = None

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Prepared:
    """One execution ready to be sent: the body, and what opens the answer."""

    def __init__(self, key, body, sender, module):
        self.key, self.body, self.sender, self.module = key, body, sender, module

    def header_hash(self):
        header = {name: self.body[name] for name in HEADER_MEMBERS if name in self.body}
        return sha256(jcs(header).encode())

    def commitment(self):
        return sha256(
            b"wasm-hypervisor/1 request commitment\0",
            self.header_hash(),
            sha256(unb64(self.body["encrypted_wasm"])),
            sha256(unb64(self.body.get("encrypted_arguments", ""))),
            self.sender.enc,
        )


class Client:
    def __init__(self, host, port, api_key=None, timeout=60):
        self.host, self.port, self.api_key, self.timeout = host, port, api_key, timeout
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None

    def call(self, method, path, body=None, headers=None, raw=None):
        """One exchange on the kept connection; a connection that the node closed in between is opened anew."""
        all_headers = {}
        if self.api_key:
            all_headers["X-API-Key"] = self.api_key
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            all_headers["Content-Type"] = "application/json"
        all_headers.update(headers or {})
        all_headers = {name: value for name, value in all_headers.items() if value is not None}
        for last in (False, True):
            fresh = self.connection is None
            if fresh:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
            try:
                self.connection.request(method, path, data, all_headers)
                response = self.connection.getresponse()
                content = response.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
                self.close()
                if fresh or last:
                    raise
                continue
            if response.will_close:
                self.close()
            return Answer(response.status, dict((k.lower(), v) for k, v in response.getheaders()), content)
        raise AssertionError("unreachable")

    def new_key(self, nonce=None):
        answer = self.call("POST", "/v1/keys", {} if nonce is None else {"nonce": b64(nonce)})
        require(answer.status == 201, f"no key: {answer}")
        return answer.json

    def prepare(self, module, function, arguments=None, key=None, private_arguments=None, ephemeral=None, **fields):
        """Encrypts one request. `fields` are further members of the body."""
        key = key or self.new_key()
        body = {"request_id": key["request_id"], "function_name": function}
        if arguments is not None:
            body["arguments"] = arguments
        body.update(fields)
        info = (
            b"wasm-hypervisor/1 request\0"
            + uuid.UUID(key["request_id"]).bytes
            + b"".join(number.to_bytes(2, "big") for number in (KEM, KDF, AEAD))
            + unb64(key["key_derivation_salt"])
        )
        sender = HpkeSender(unb64(key["public_key"]), info, ephemeral)
        prepared = Prepared(key, body, sender, module)
        aad = prepared.header_hash()
        body["public_key"] = b64(sender.enc)
        body["encrypted_wasm"] = b64(sender.seal(aad, module))
        if private_arguments is not None:
            body["encrypted_arguments"] = b64(sender.seal(aad, json.dumps(private_arguments).encode()))
        return prepared

    def send(self, prepared, headers=None):
        return self.call("POST", "/v1/execute", prepared.body, headers)

    def run(self, module, function, arguments=None, **fields):
        """Prepares, sends, verifies everything, and returns (answer, plaintext result)."""
        prepared = self.prepare(module, function, arguments, **fields)
        answer = self.send(prepared)
        return answer, verify_answer(prepared, answer)


def verify_key(key, nonce=None):
    """The epoch that vouches for a request key, once its signature over the key has been checked."""
    epoch = Epoch(key["attestation"])
    require(epoch.statement["node_id"] == key["node_id"], "the evidence speaks of another node")
    binding = epoch.open(key["attestation"]["key_binding"], "wasm-hypervisor/1 request key")
    for member in ("request_id", "public_key", "key_derivation_salt", "expires_at"):
        require(binding[member] == key[member], f"{member} of the key is not the one that was signed")
    require(binding.get("nonce") == (b64(nonce) if nonce else None), "the nonce is not ours")
    return epoch


def verify_answer(prepared, answer, epoch=None):
    """Opens an answer (a success or a failure of the program) and checks every promise; returns the plaintext result."""
    epoch = epoch or verify_key(prepared.key)
    body = answer.json
    commitment = prepared.commitment()
    require(body["request_id"] == prepared.key["request_id"], "the answer is another request's")
    require(body["request_commitment"] == commitment.hex(), "the request commitment is not ours")
    plaintext = prepared.sender.open_response(unb64(body["encrypted_result"]), commitment)
    require(sha256(plaintext).hex() == body["result_commitment"], "the result commitment does not fit the result")
    result = json.loads(plaintext)
    require(result["request_id"] == body["request_id"], "the result is another request's")
    require(len(bytes_member(result, "blind", 32)) == 32, "the blind has 32 bytes")
    require(result["program_hash"] == sha256(prepared.module).hex(), "another program ran")
    if result["status"] == "success":
        require(result["output_hash"] == sha256(jcs(result["outputs"]).encode()).hex(), "the output hash")
    else:
        require("outputs" not in result and result["error"]["code"] == body["error_code"], "a failure that is none")
    require(result["execution_summary"] == body["execution_summary"], "two summaries")
    verify_record(body, commitment, epoch)
    return result


def verify_record(body, commitment, epoch):
    """The leaf is in the log, and the receipt says the same as the answer."""
    record = body["commitment"]
    leaf = json.loads(record["leaf"])
    require(leaf_hash(record["leaf"].encode()).hex() == record["leaf_hash"], "the leaf has another hash")
    for member in ("request_id", "request_commitment", "result_commitment"):
        require(leaf[member] == body[member], f"the leaf's {member}")
    for member in ("status", "gas_consumed", "gas_schedule"):
        require(leaf[member] == body["execution_summary"][member], f"the leaf's {member}")
    require((leaf["type"], leaf["admit"]) == ("RESULT", record["admit_index"]), "the leaf is no result of this request")
    index, origin, _ = open_tlog_proof(record["tlog_proof"], epoch.vkey, bytes.fromhex(record["leaf_hash"]))
    require(index == int(record["leaf_index"]), "the proof is of another leaf")
    require(origin == record["log_origin"], "the proof is of another log")
    receipt = epoch.open(body["receipt"], "wasm-hypervisor/1 receipt")
    require(receipt["request_id"] == body["request_id"], "the receipt is another request's")
    require(receipt["request_commitment"] == commitment.hex(), "the receipt's request commitment")
    require(receipt["result_commitment"] == body["result_commitment"], "the receipt's result commitment")
    for member in ("status", "gas_consumed", "gas_schedule"):
        require(receipt[member] == body["execution_summary"][member], f"the receipt's {member}")
    require(receipt["leaf_index"] == index, "the receipt's leaf")
    require(receipt.get("error_code") == leaf.get("error_code") == body.get("error_code"), "the error code")
    return receipt
