"""test_hardware: the real program on hardware that a test plays: both interfaces of the kernel, and all the ways in which they fail.

The processor is played from AMD's documents alone, with authorities made by openssl; tee_shim.c brings it into the process.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import errno
import glob
import hashlib
import json
import os
import socket
import struct
import subprocess
import tempfile
import threading
import unittest
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from node import BUILD, Node, command, sanitized

SHIM = os.path.join(BUILD, "tests", "e2e", "libtee_shim.so")
TCB = bytes([10, 4, 0, 0, 0, 0, 23, 84])  # bootloader, tee, four that are reserved, snp, microcode
CHIP = bytes(range(1, 65))
GUIDS = ("63da758d-e664-4564-adc5-f4b93be8accd", "4ab7b379-bbac-4fe4-a02f-05aef327c782", "c0b406a4-a803-4952-9743-3fb6014cd0ae")


def authorities(folder):
    """A chain as AMD's: RSA with PSS, and a leaf on P-384 with AMD's extensions. Returns the leaf's key and the host's table."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    pss = ("-sha384", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:48", "-days", "30")
    extensions = [f"1.3.6.1.4.1.3704.1.{name}=DER:02:01:{value:02x}" for name, value in zip(("3.1", "3.2", "3.4", "3.5", "3.6", "3.7", "3.3", "3.8"), TCB)]
    extensions += ["1.3.6.1.4.1.3704.1.2=DER:16:05:" + b"Genoa".hex(":"), "1.3.6.1.4.1.3704.1.4=DER:" + CHIP.hex(":")]
    for name, text in (("ask", "basicConstraints=critical,CA:TRUE\n"), ("leaf", "\n".join(extensions) + "\n")):
        with open(os.path.join(folder, name + ".ext"), "w", encoding="ascii") as out:
            out.write(text)
    openssl("req", "-x509", "-newkey", "rsa:3072", "-nodes", "-keyout", "ark.key", "-out", "ark.pem", "-subj", "/CN=ARK-Played", *pss)
    openssl("req", "-newkey", "rsa:3072", "-nodes", "-keyout", "ask.key", "-out", "ask.csr", "-subj", "/CN=SEV-Played")
    openssl("x509", "-req", "-in", "ask.csr", "-CA", "ark.pem", "-CAkey", "ark.key", "-set_serial", "2", "-extfile", "ask.ext", "-out", "ask.pem", *pss)
    openssl("ecparam", "-name", "secp384r1", "-genkey", "-noout", "-out", "leaf.key")
    openssl("req", "-new", "-key", "leaf.key", "-out", "leaf.csr", "-subj", "/CN=SEV-VCEK")
    openssl("x509", "-req", "-in", "leaf.csr", "-CA", "ask.pem", "-CAkey", "ask.key", "-set_serial", "0", "-extfile", "leaf.ext", "-out", "leaf.pem", *pss)
    entries, data = b"", b""
    for guid, name in zip(GUIDS, ("leaf", "ask", "ark")):
        openssl("x509", "-in", name + ".pem", "-outform", "der", "-out", name + ".der")
        with open(os.path.join(folder, name + ".der"), "rb") as file:
            der = file.read()
        entries += uuid.UUID(guid).bytes + struct.pack("<II", 4 * 24 + len(data), len(der))
        data += der
    with open(os.path.join(folder, "leaf.key"), "rb") as file:
        return serialization.load_pem_private_key(file.read(), None), entries + bytes(24) + data


def report_of(key, user_data, patches=(), vmpl=0):
    """A report of that chip, signed after the patches (offset, bytes)."""
    report = bytearray(1184)
    struct.pack_into("<IIQ", report, 0, 3, 0, 1 << 17)
    struct.pack_into("<II", report, 0x30, vmpl, 1)
    report[0x50:0x90] = user_data
    report[0x90:0xC0] = bytes([7]) * 48
    report[0x188:0x18B] = bytes([0x19, 0x11, 1])
    report[0x1A0:0x1E0] = CHIP
    for place in (0x38, 0x180, 0x1E0, 0x1F0):
        report[place:place + 8] = TCB
    for offset, content in patches:
        report[offset:offset + len(content)] = content
    r, s = decode_dss_signature(key.sign(bytes(report[:0x2A0]), ec.ECDSA(hashes.SHA384())))
    report[0x2A0:0x2E8] = r.to_bytes(72, "little")
    report[0x2E8:0x330] = s.to_bytes(72, "little")
    return bytes(report)


class Processor(threading.Thread):
    """Answers the shim. What goes wrong is set on it: attributes below."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.key, self.table = authorities(folder)
        self.path = os.path.join(folder, "socket")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.good()

    def good(self, interface="sev-guest"):
        self.interface = interface
        self.certificates = self.table
        self.refusals = []  # of ioctl: (errno, firmware's error, host's error), one for each call; then it works
        self.always = None  # of ioctl: the same for all further calls
        self.free = threading.Event()  # while it is not set, ioctl does not come back
        self.free.set()
        self.failures = {}  # of files: name -> errno, below zero for read()
        self.provider = b"sev_guest\n"
        self.floor = b"0\n"
        self.status = 0
        self.change = lambda report: report  # after it was signed
        self.patches = []  # before
        self.has_device = interface == "sev-guest"
        self.measurement, self.policy = bytes([7]) * 48, 1 << 17
        self.secret = b"of this chip"
        self.key_refusals, self.key_status, self.key_request = [], 0, None  # as refusals, of the ioctl for derived keys
        self.change_key = lambda key: key
        self.calls = 0
        self.made, self.removed, self.files, self.generation, self.asked_vmpl = 0, 0, {}, 0, None

    def report(self, user_data, vmpl):
        self.asked_vmpl = vmpl
        patches = [(8, struct.pack("<Q", self.policy)), (0x90, self.measurement), *self.patches]
        return bytes(self.change(bytearray(report_of(self.key, user_data, patches, vmpl))))

    def derived_key(self, content):
        """root_key, reserved, fields, vmpl, guest_svn, tcb"""
        if self.key_refusals:
            error, firmware, host = self.key_refusals.pop(0)
            return error, struct.pack("<II", firmware, host)
        self.key_request = struct.unpack("<IIQIIQ", content[4:36])
        bound = struct.pack("<Q", self.policy) + self.measurement + self.secret
        return 0, bytes(8) + struct.pack("<I28x", self.key_status) + self.change_key(hashlib.sha256(bound + content[4:36]).digest())

    def ioctl(self, content):
        self.calls += 1
        self.free.wait()
        if content[0] == 1:
            return self.derived_key(content)
        if self.refusals or self.always:
            error, firmware, host = self.refusals.pop(0) if self.refusals else self.always
            return error, struct.pack("<II", firmware, host)
        report = self.report(content[4:68], struct.unpack_from("<I", content, 68)[0])
        response = struct.pack("<II24x", self.status, len(report)) + report
        return 0, bytes(8) + response.ljust(4000, b"\0") + (self.certificates if content[0] == 2 else b"")

    def file(self, path):
        name = os.path.basename(path)
        if name in self.failures:
            return self.failures[name], b""
        if name in ("outblob", "auxblob"):
            self.calls += 1
            return 0, self.report(self.files["inblob"], int(self.files.get("privlevel", b"0"))) if name == "outblob" else self.certificates
        fixed = {"provider": self.provider, "privlevel_floor": self.floor, "generation": b"%d\n" % self.generation}
        return (0, fixed[name]) if name in fixed else (errno.ENOENT, b"")

    def answer(self, operation, path, content):
        if operation == "D":
            return (0 if self.has_device else errno.ENOENT), b""
        if operation == "I":
            return self.ioctl(content)
        if operation == "A":
            return (0 if self.interface == "configfs-tsm" else errno.ENOENT), b""
        if operation == "O":
            return self.file(path)
        if operation == "W":
            self.files[os.path.basename(path)] = content
            self.generation += 1
        self.made += operation == "M"
        self.removed += operation == "R"
        return self.failures.get("mkdir", 0) if operation == "M" else 0, b""

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection, connection.makefile("rb") as reader:
                body = reader.read(struct.unpack("<I", reader.read(4))[0])
                path, content = body[1:].split(b"\0", 1)
                error, answer = self.answer(body[:1].decode(), path.decode(), content)
                try:
                    connection.sendall(struct.pack("<iI", error, len(answer)) + answer)
                except OSError:  # the program has ended in the middle of a call
                    pass


@unittest.skipIf(sanitized(), "skipped: a sanitizer has to be the first library, run it on the release")
class ProcessorCase(unittest.TestCase):
    """Tests beside a processor that is played."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.processor = Processor(cls.folder.name)
        cls.processor.start()


class Hardware(ProcessorCase):
    def node(self, tee, *arguments, data=None):
        return Node("--tee", tee, *arguments, data=data, key=False, LD_PRELOAD=SHIM, WH_TEE_SOCKET=self.processor.path)

    def refused(self, tee, *words, arguments=(), data=None):
        """The node does not start, says why, and has not become something else."""
        with self.assertRaises(AssertionError) as caught:
            with self.node(tee, *arguments, data=data):
                pass
        message = str(caught.exception)
        self.assertIn("exit status", message)
        for word in words:
            self.assertIn(word, message)
        self.assertNotIn("simulat", message)
        self.assertEqual(self.processor.made, self.processor.removed)

    def test_both_interfaces_bring_evidence_in_which_only_the_root_is_not_amds(self):
        for interface, tee in (("sev-guest", "sev-guest"), ("configfs-tsm", "configfs-tsm"), ("sev-guest", "auto"), ("configfs-tsm", "auto")):
            with self.subTest(interface=interface, tee=tee):
                self.processor.good(interface)
                with self.node(tee) as node:
                    file = os.path.join(node.data, "evidence.json")
                    command("attest", "report", "--node", f"http://127.0.0.1:{node.port}", "--out", file)
                    for allowed in ((), ("--allow-simulated", "any")):
                        done = command("attest", "verify", file, "--json", *allowed, check=False)
                        said = json.loads(done.stdout)
                        self.assertEqual((done.returncode, said["provider"], said["simulated"]), (4, interface, False))
                        self.assertEqual([check["name"] for check in said["checks"] if check["outcome"] == "failed"], ["root_pinned"])
                    self.assertEqual(node.client("").call("GET", "/health").status, 200)
                self.assertEqual(self.processor.made, self.processor.removed)
                self.assertEqual(self.processor.calls, 1 if interface == "sev-guest" else 2)  # outblob and auxblob are one of the firmware

    def test_without_hardware_auto_is_none_and_a_name_is_an_error(self):
        self.processor.good(None)
        with self.node("auto") as node:
            evidence = node.client("").call("GET", "/v1/attestation").json
            self.assertEqual((evidence["provider"], evidence["report"]), ("none", None))
        self.refused("sev-guest", "cannot open /dev/sev-guest")
        self.refused("configfs-tsm", "cannot use /sys/kernel/config/tsm/report")

    def test_certificates_that_are_missing_or_broken(self):
        broken = (
            (b"", "no certificate of this processor"),
            (bytes(16384), "no certificate of this processor"),
            (self.processor.table[:16] + struct.pack("<II", 48, 0xFFFFFFF0) + bytes(24), "certificate table is malformed"),
            (b"\xff" * 16384, "certificate table is malformed"),
        )
        for interface in ("sev-guest", "configfs-tsm"):
            for table, words in broken:
                with self.subTest(interface=interface, words=words):
                    self.processor.good(interface)
                    self.processor.certificates = table
                    self.refused("auto", words)

    def file(self, name, *parts):
        """A file of these, each a file of the authorities' folder or bytes."""
        path = os.path.join(self.folder.name, name)
        content = b""
        for part in parts:
            if isinstance(part, str):
                with open(os.path.join(self.folder.name, part), "rb") as file:
                    part = file.read()
            content += part
        with open(path, "wb") as out:
            out.write(content)
        return path

    def test_certificates_of_the_operator_serve_where_the_host_has_none(self):
        whole = self.file("whole.pem", "leaf.pem", "ask.pem", "ark.pem")
        for interface, path in (("sev-guest", whole), ("configfs-tsm", whole), ("sev-guest", self.file("table.bin", self.processor.table))):
            with self.subTest(interface=interface, path=path):
                self.processor.good(interface)
                self.processor.certificates = b""
                with self.node("auto", "--tee-certificates", path) as node:
                    evidence = node.client("").call("GET", "/v1/attestation").json
                    ders = [base64.b64decode(der) for der in evidence["certificates"]]
                    self.assertEqual([x509.load_der_x509_certificate(der).subject.rfc4514_string() for der in ders], ["CN=SEV-VCEK", "CN=SEV-Played", "CN=ARK-Played"])

    def test_certificates_of_the_operator_are_held_to_the_first_report(self):
        whole = self.file("whole.pem", "leaf.pem", "ask.pem", "ark.pem")
        named = ("--tee-certificates", whole)
        for offset, check in ((0x1A0, "leaf_chip"), (0x180, "leaf_tcb")):
            self.processor.good()
            self.processor.certificates = b""
            self.processor.patches = [(offset, b"\0")]
            self.refused("sev-guest", check, arguments=named)
        # The host's own goes first, and is not mended by a file: this one is of another chip.
        self.processor.good()
        other = tempfile.TemporaryDirectory()
        self.addCleanup(other.cleanup)
        _, self.processor.certificates = authorities(other.name)
        self.refused("sev-guest", "report_signature", arguments=named)

    def test_a_file_that_is_no_certificate_of_a_processor_is_an_error_at_start(self):
        self.processor.good()
        for path, words in (
            (os.path.join(self.folder.name, "missing.pem"), "No such file"),
            (self.file("nothing.pem"), "holds no certificates"),
            (self.file("text.pem", b"-----BEGIN CERTIFICATE-----\n"), "holds no certificates"),
            (self.file("authorities.pem", "ask.pem", "ark.pem"), "no VCEK or VLEK with its authorities"),
            (self.file("alone.der", "leaf.der"), "no VCEK or VLEK with its authorities"),  # its authorities are not AMD's
            (self.file("large.der", bytes(65537)), "large"),
        ):
            with self.subTest(path=path):
                self.refused("auto", words, arguments=("--tee-certificates", path))
        self.assertEqual(self.processor.calls, 0)
        with self.assertRaises(AssertionError) as caught, Node("--tee-certificates", path):
            pass
        self.assertIn("tee_certificates are for hardware", str(caught.exception))

    def test_certificates_that_are_too_large_are_left_out(self):
        self.processor.good()
        self.processor.refusals = [(errno.EIO, 0, 1)]
        self.refused("sev-guest", "no certificate of this processor")
        self.assertEqual(self.processor.calls, 2)

    def test_the_words_of_the_firmware_and_of_the_host_are_told(self):
        for refusal, words in (
            ((errno.EIO, 0x16, 0), "error 0x16 of the firmware, 0 of the host"),
            ((errno.EIO, 0x27, 0), "error 0x27 of the firmware"),
            ((errno.EIO, 0xFF, 3), "error 0xff of the firmware, 0x3 of the host"),
            ((errno.EIO, 0, 2), "busy"),
            ((errno.EAGAIN, 0, 0), "busy"),
            ((errno.ETIMEDOUT, 0, 0), "until this VM is restarted"),
            ((errno.ENOTTY, 0, 0), "until this VM is restarted"),
            ((errno.ENOMEM, 0, 0), "Cannot allocate memory"),
        ):
            with self.subTest(refusal=refusal):
                self.processor.good()
                self.processor.refusals = [refusal]
                self.refused("auto", words)
                self.assertEqual(self.processor.calls, 1)

    def test_a_status_of_the_firmware_that_is_no_success(self):
        self.processor.good()
        self.processor.status = 0x16
        self.refused("sev-guest", "status 0x16")

    def test_reports_that_are_no_answer(self):
        def other(report):
            report[0x50] ^= 1
            return report

        def unsigned(report):
            report[0x90] ^= 1
            return report

        for interface in ("sev-guest", "configfs-tsm"):
            for change, words in ((lambda report: bytes(1184), "is empty"), (other, "about other data"), (unsigned, "report_signature")):
                with self.subTest(interface=interface, words=words):
                    self.processor.good(interface)
                    self.processor.change = change
                    self.refused("auto", words)
        self.processor.good("configfs-tsm")
        self.processor.change = lambda report: report[:1183]
        self.refused("auto", "1183 bytes")
        self.processor.change = lambda report: b""
        self.refused("auto", "0 bytes")

    def test_files_that_fail_or_vanish_are_named(self):
        for name, error, words in (
            ("outblob", errno.ENOENT, "outblob: No such file"),
            ("outblob", -errno.EIO, "outblob: Input/output error"),
            ("outblob", -errno.EBUSY, "outblob: Device or resource busy"),
            ("outblob", -errno.ETIMEDOUT, "until this VM is restarted"),
            ("outblob", -errno.ENOTTY, "until this VM is restarted"),
            ("auxblob", -errno.EIO, "auxblob: Input/output error"),
            ("auxblob", errno.ENOENT, "no certificate of this processor"),
            ("generation", errno.ENOENT, "generation: No such file"),
            ("provider", errno.ENOENT, "provider: No such file"),
            ("privlevel_floor", -errno.EIO, "privlevel_floor: Input/output error"),
        ):
            with self.subTest(name=name, error=error):
                self.processor.good("configfs-tsm")
                self.processor.failures = {name: error}
                self.refused("auto", words)
                self.assertEqual(self.processor.made, 1)
        self.processor.good("configfs-tsm")
        self.processor.failures = {"mkdir": errno.ENXIO}
        with self.assertRaises(AssertionError) as caught, self.node("auto"):
            pass
        self.assertIn("No such device", str(caught.exception))

    def test_other_providers_of_the_kernel_are_refused_and_levels_are_obeyed(self):
        self.processor.good("configfs-tsm")
        self.processor.provider = b"tdx_guest\n"
        self.refused("auto", "the kernel's provider is tdx_guest")
        self.processor.good("configfs-tsm")
        self.processor.floor = b"2\n"
        with self.node("auto"):
            self.assertEqual(self.processor.asked_vmpl, 2)
        self.processor.good("configfs-tsm")
        self.processor.failures = {"privlevel_floor": errno.ENOENT}
        with self.node("auto"):
            self.assertEqual(self.processor.asked_vmpl, 0)

    def sealed(self, data):
        with self.node("auto", "--seal", "on", data=data) as node:
            self.assertEqual(node.client("").call("GET", "/health").status, 200)
            self.assertEqual(node.stop(), 0)

    def test_keys_that_the_firmware_seals_open_in_this_image_on_this_chip_alone(self):
        for interface in ("sev-guest", "configfs-tsm"):
            with self.subTest(interface=interface), tempfile.TemporaryDirectory() as data:
                self.processor.good(interface)
                self.processor.has_device = True
                self.sealed(data)
                self.assertEqual(self.processor.key_request, (0, 0, 9, 0, 0, 0))  # the VCEK's; policy and measurement; no TCB
                self.sealed(data)
                for name, value, words in (
                    ("measurement", bytes([8]) * 48, f"sealed for measurement {'07' * 48}, this VM measures {'08' * 48}"),
                    ("policy", 0x30000, "sealed for guest policy 0x20000, this VM has 0x30000"),
                    ("secret", b"of another", "another processor"),
                ):
                    good = getattr(self.processor, name)
                    setattr(self.processor, name, value)
                    self.refused("auto", "store-key.sealed", words, arguments=("--seal", "on"), data=data)
                    setattr(self.processor, name, good)
                self.sealed(data)

    def test_a_derived_key_that_does_not_come_makes_nothing(self):
        self.processor.good("configfs-tsm")
        with tempfile.TemporaryDirectory() as data:

            def expect(*words):
                self.refused("auto", "keys cannot be sealed or opened", *words, arguments=("--seal", "on"), data=data)
                self.assertEqual(glob.glob(os.path.join(data, "audit")) + glob.glob(os.path.join(data, "*.sealed")), [])

            expect("configfs-tsm derives no keys", "cannot open /dev/sev-guest")
            for refusal, words in (
                ((errno.EIO, 0x27, 0), "error 0x27 of the firmware, 0 of the host"),
                ((errno.EIO, 0, 2), "busy"),
                ((errno.EBUSY, 0, 0), "busy"),
                ((errno.EAGAIN, 0, 0), "busy"),
                ((errno.ENOTTY, 0, 0), "until this VM is restarted"),
                ((errno.ETIMEDOUT, 0, 0), "until this VM is restarted"),
                ((errno.EINVAL, 0, 0), "Invalid argument"),
            ):
                with self.subTest(refusal=refusal):
                    self.processor.good()
                    self.processor.key_refusals = [refusal]
                    expect("no derived key", words)
            self.processor.good()
            self.processor.refusals = [(errno.EIO, 0x16, 0)]  # of the report that says what it is bound to
            expect("no derived key", "error 0x16")
            self.processor.good()
            self.processor.key_status = 0x16
            expect("status 0x16")
            self.processor.good()
            self.processor.change_key = lambda key: bytes(32)
            expect("all zeros")
            self.processor.good()
            self.processor.change = lambda report: bytes(1184)
            expect("no derived key", "is empty")


if __name__ == "__main__":
    unittest.main()
