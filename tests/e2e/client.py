"""client: a client of a WASM Hypervisor node, written from docs/protocol.md alone.

It shares no code with the node: HPKE (RFC 9180) and the response opening (RFC 9458 section 4.4) are composed here from Python's
standard library and python3-cryptography, what is verified in verify_chain.py. When node and client agree, two readings of the page
agree.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import hmac
import http.client
import json
import uuid

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verify_chain import (  # pylint: disable=unused-import
    Epoch, Execution, Unverified, b64, bytes_member, commitment_of, header_hash, inclusion_root, jcs, jcs_number, leaf_hash, open_checkpoint,
    open_tlog_proof, parse_vkey, require, sha256, unb64, verify_binding,
)

KEM, KDF, AEAD = 0x0010, 0x0001, 0x0002


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


def tree_root(leaves):
    """RFC 9162 section 2.1.1, from all the leaf hashes."""
    if not leaves:
        return sha256(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", tree_root(leaves[:split]), tree_root(leaves[split:]))


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


# ---- the client ----


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
        return header_hash(self.body)

    def commitment(self):
        return commitment_of(self.body)


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
    binding = verify_binding(key, epoch)
    require(binding.get("nonce") == (b64(nonce) if nonce else None), "the nonce is not ours")
    return epoch


def verify_answer(prepared, answer, epoch=None):
    """Opens an answer (a success or a failure of the program) and checks every promise; returns the plaintext result."""
    epoch = epoch or verify_key(prepared.key)
    try:
        plaintext = prepared.sender.open_response(unb64(answer.json["encrypted_result"]), prepared.commitment())
    except InvalidTag as error:
        raise Unverified("the result does not open under our request's commitment") from error
    return Execution(epoch, prepared.key, answer.json, prepared.body, plaintext, prepared.module).result
