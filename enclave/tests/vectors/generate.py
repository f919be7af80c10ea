#!/usr/bin/env python3
"""Makes primitives.json: for every primitive of the API good and bad inputs, by implementations that
share no code with the worker's.

    pip install cryptography==50.0.2 pycryptodome==4.4.0 kyber-py==1.2.0
    python enclave/tests/vectors/generate.py

What each comes from: `cryptography` (OpenSSL 4.0) unless said otherwise; Ed25519ph from PyCryptodome;
ML-KEM-512 from kyber-py; malformed inputs by hand, from the sections that are named beside them. Keys
are new at every run. Published values: RFC 8032 section 7 (Ed25519), RFC 4231 section 4 (HMAC),
docs/ciphertext-blob.md.
"""

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path

import cryptography
import Crypto
from Crypto.Hash import SHA512
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from cryptography.hazmat.backends.openssl import backend
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, mlkem, padding, rsa, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from kyber_py.ml_kem import ML_KEM_512

HASHES = {"1": hashes.SHA1(), "256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def b64(data):
    return base64.b64encode(data).decode()


def pkcs8(key):
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def spki(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def tlv(tag, content):
    """DER (X.690 section 8.1)."""
    if len(content) < 0x80:
        length = bytes([len(content)])
    else:
        octets = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
        length = bytes([0x80 | len(octets)]) + octets
    return bytes([tag]) + length + content


def integer(value):
    return tlv(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Signatures:
    """The signatures of one key."""

    def __init__(self, spec, private, public):
        self.group = {"kind": "signature", "spec": spec, "private_key": b64(private), "public_key": b64(public),
                      "tests": []}

    def add(self, name, algorithm, message, signature, valid, of="RAW"):
        self.group["tests"].append({
            "name": name, "algorithm": algorithm, "type": of, "message": b64(message),
            "signature": b64(signature), "valid": valid})

    def damaged(self, algorithm, message, signature, of="RAW"):
        """What no signature algorithm may take."""
        bad = {
            "first bit": flip(signature, 7), "last bit": flip(signature, len(signature) * 8 - 8),
            "middle bit": flip(signature, len(signature) * 4), "truncated": signature[:-1],
            "first byte missing": signature[1:], "trailing zero": signature + b"\0", "leading zero": b"\0" + signature,
            "one byte": b"\0", "zeros": bytes(len(signature)),
        }
        for name, changed in bad.items():
            self.add(name, algorithm, message, changed, False, of)


# --- RSA signatures -------------------------------------------------------------------------------

# DigestInfo of RFC 8017 section 9.2, note 1, without the digest.
OIDS = {"1": "2b0e03021a", "256": "608648016503040201", "384": "608648016503040202", "512": "608648016503040203"}


def digest_info(bits, digest, null=b"\x05\x00", oid=None):
    algorithm = tlv(0x30, tlv(6, bytes.fromhex(OIDS[oid or bits])) + null)
    return tlv(0x30, algorithm + tlv(4, digest))


def raw(key, block):
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    size = (n.bit_length() + 7) // 8
    return pow(int.from_bytes(block, "big"), numbers.d, n).to_bytes(size, "big")


def rsa_signatures(size, thorough):
    key = rsa.generate_private_key(65537, size)
    n, length = key.public_key().public_numbers().n, size // 8
    made = Signatures(f"RSA_{size}", pkcs8(key), spki(key.public_key()))
    for bits in ("256", "384", "512"):
        hash_, message = HASHES[bits], f"RSA {size} SHA-{bits}".encode()
        digest = hashlib.new(f"sha{bits}", message).digest()
        other = "384" if bits == "256" else "256"

        algorithm = f"RSASSA_PKCS1_V1_5_SHA_{bits}"
        good = key.sign(message, padding.PKCS1v15(), hash_)
        made.add("good", algorithm, message, good, True)
        made.add("good, of the digest", algorithm, digest, good, True, "DIGEST")
        made.add("another message", algorithm, message + b".", good, False)
        made.add("the digest as a message", algorithm, digest, good, False)
        made.add("another hash", f"RSASSA_PKCS1_V1_5_SHA_{other}", message, good, False)
        made.add("another padding", f"RSASSA_PSS_SHA_{bits}", message, good, False)
        made.add("of EXTERNAL_MU", algorithm, digest, good, False, "EXTERNAL_MU")
        made.add("digest too short", algorithm, digest[:-1], good, False, "DIGEST")
        info = digest_info(bits, digest)

        def block(info, first=b"\0\1", fill=b"\xff", end=b"\0"):
            return first + fill * (length - len(info) - 3) + end + info

        assert raw(key, block(info)) == good
        if thorough:
            made.damaged(algorithm, message, good)
            # RFC 8017 section 9.2: encodings that are not the one.
            without_null = digest_info(bits, digest, null=b"")
            long_length = tlv(0x30, info[2:])
            long_length = b"\x30\x81" + long_length[1:]
            short = b"\0\1" + b"\xff" * 8 + b"\0" + info
            for name, encoded in {
                "block type 2": block(info, first=b"\0\2"), "block type 0": block(info, first=b"\0\0"),
                "first byte not zero": block(info, first=b"\1\1"),
                "padding not all ones": block(info, fill=b"\xfe"),
                "no end of the padding": block(info, end=b"\xff"),
                "short padding and bytes behind": short + os.urandom(length - len(short)),
                "DigestInfo without NULL": block(without_null),
                "DigestInfo with a long length": block(long_length),
                "DigestInfo of SHA-1": block(digest_info(bits, digest, oid="1")),
                "no DigestInfo": block(digest),
                "bytes behind the digest": block(info + b"\0"),
            }.items():
                made.add(name, algorithm, message, raw(key, encoded[-length:]), False)
            value = int.from_bytes(good, "big")
            if value + n < 1 << size:
                made.add("plus the modulus", algorithm, message, (value + n).to_bytes(length, "big"), False)
            made.add("the modulus", algorithm, message, n.to_bytes(length, "big"), False)
            made.add("one", algorithm, message, (1).to_bytes(length, "big"), False)

        algorithm = f"RSASSA_PSS_SHA_{bits}"

        def pss(salt, mgf=hash_):
            return padding.PSS(padding.MGF1(mgf), salt)

        good = key.sign(message, pss(hash_.digest_size), hash_)
        made.add("good", algorithm, message, good, True)
        made.add("good, of the digest", algorithm, digest, good, True, "DIGEST")
        made.add("another message", algorithm, message + b".", good, False)
        made.add("another hash", f"RSASSA_PSS_SHA_{other}", message, good, False)
        made.add("another padding", f"RSASSA_PKCS1_V1_5_SHA_{bits}", message, good, False)
        if thorough:
            made.damaged(algorithm, message, good)
            for name, scheme in {
                "no salt": pss(0), "salt of 20 bytes": pss(20), "the longest salt": pss(padding.PSS.MAX_LENGTH),
                "MGF1 with another hash": pss(hash_.digest_size, HASHES[other]),
            }.items():
                made.add(name, algorithm, message, key.sign(message, scheme, hash_), False)
            encoded = pow(int.from_bytes(good, "big"), 65537, n).to_bytes(length, "big")
            for name, changed in {
                "another trailer": encoded[:-1] + b"\xcc", "masked data changed": flip(encoded, 90),
            }.items():
                made.add(name, algorithm, message, raw(key, changed), False)
    return made.group


# --- ECDSA ----------------------------------------------------------------------------------------

ORDERS = {
    "P256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    "P384": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    "P521": (1 << 521) - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    "P256K1": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
}


def ecdsa(spec, curve, order, bits):
    key, hash_ = ec.generate_private_key(curve), HASHES[bits]
    made = Signatures(spec, pkcs8(key), spki(key.public_key()))
    algorithm, message = f"ECDSA_SHA_{bits}", f"{spec} signs".encode()
    digest = hashlib.new(f"sha{bits}", message).digest()
    good = key.sign(message, ec.ECDSA(hash_))
    r, s = utils.decode_dss_signature(good)
    size = (order.bit_length() + 7) // 8

    def add(name, signature, valid=False, of="RAW", message=message):
        made.add(name, algorithm, message, signature, valid, of)

    def pair(r, s):
        return tlv(0x30, integer(r) + integer(s))

    add("good", good, True)
    add("good, of the digest", good, True, "DIGEST", digest)
    key.public_key().verify(pair(r, order - s), message, ec.ECDSA(hash_))
    # Either of the two values of s is a signature (SEC 1 section 4.1.4).
    add("the other s", pair(r, order - s), True)
    add("another message", good, message=message + b".")
    add("the digest as a message", good, message=digest)
    add("of EXTERNAL_MU", good, False, "EXTERNAL_MU", digest)
    add("digest too long", good, False, "DIGEST", digest + b"\0")
    for wrong in {"256", "384", "512"} - {bits}:
        made.add("another hash", f"ECDSA_SHA_{wrong}", message, good, False)
    made.damaged(algorithm, message, good)
    # FIPS 186-5 section 6.4.2: r and s from 1 to n - 1.
    for name, values in {
        "r is zero": (0, s), "s is zero": (r, 0), "both are zero": (0, 0), "r is n": (order, s), "s is n": (r, order),
        "r plus n": (r + order, s), "s plus n": (r, s + order), "r is n - 1": (order - 1, s), "both are one": (1, 1),
        "swapped": (s, r),
    }.items():
        add(name, pair(*values))
    # RFC 3279 section 2.2.3 in DER, and nothing else.
    body = integer(r) + integer(s)

    def padded(value):
        return tlv(2, b"\0" + value.to_bytes(value.bit_length() // 8 + 1, "big"))

    negative = tlv(2, ((1 << 8 * (size + 1)) - r).to_bytes(size + 1, "big"))
    length = len(body)
    for name, encoded in {
        "r not minimal": tlv(0x30, padded(r) + integer(s)), "s not minimal": tlv(0x30, integer(r) + padded(s)),
        "r negative": tlv(0x30, negative + integer(s)),
        "high bit without a zero": tlv(0x30, tlv(2, (r | 1 << 8 * size - 1).to_bytes(size, "big")) + integer(s)),
        "length of two more bytes": b"\x30\x82" + length.to_bytes(2, "big") + body,
        "length with a leading zero": b"\x30\x83" + length.to_bytes(3, "big") + body,
        "length too long": b"\x30" + tlv(4, body + b"\0")[1:-1],
        "indefinite length": b"\x30\x80" + body + b"\0\0",
        "a third integer": tlv(0x30, body + integer(1)), "s missing": tlv(0x30, integer(r)),
        "empty integers": tlv(0x30, tlv(2, b"") * 2), "empty": tlv(0x30, b""), "a set": tlv(0x31, body),
        "octet strings": tlv(0x30, body.replace(b"\x02", b"\x04", 1)), "no sequence": body,
        "trailing NULL": good + b"\x05\x00", "r and s without DER": r.to_bytes(size, "big") + s.to_bytes(size, "big"),
        "of another key": ec.generate_private_key(curve).sign(message, ec.ECDSA(hash_)),
        "of another curve": ec.generate_private_key(
            ec.SECP384R1() if bits == "256" else ec.SECP256R1()).sign(message, ec.ECDSA(hash_)),
    }.items():
        add(name, encoded)
    return made.group


# --- Ed25519 --------------------------------------------------------------------------------------

# RFC 8032 section 7.1, TEST 2, TEST 3, TEST SHA(abc); section 7.3, TEST abc: seed, message, signature.
RFC_8032 = [
    ("ED25519_SHA_512", "TEST 2", "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("ED25519_SHA_512", "TEST 3", "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
     "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
    ("ED25519_PH_SHA_512", "TEST abc", "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42", "616263",
     "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
     "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406"),
]
ED25519_ORDER = (1 << 252) + 27742317777372353535851937790883648493


def edwards():
    groups = []
    for algorithm, name, seed, message, signature in RFC_8032:
        key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
        made = Signatures("ECC_NIST_EDWARDS25519", pkcs8(key), spki(key.public_key()))
        # Ed25519ph of a message that is no digest: of the primitive alone.
        of = "RAW" if algorithm == "ED25519_SHA_512" else None
        made.add(f"RFC 8032 {name}", algorithm, bytes.fromhex(message), bytes.fromhex(signature), True, of)
        groups.append(made.group)
    key = ed25519.Ed25519PrivateKey.generate()
    made = Signatures("ECC_NIST_EDWARDS25519", pkcs8(key), spki(key.public_key()))
    message = b"Ed25519 signs"
    digest = hashlib.sha512(message).digest()
    pure, hashed = "ED25519_SHA_512", "ED25519_PH_SHA_512"
    theirs = ECC.construct(curve="Ed25519", seed=key.private_bytes_raw())
    for algorithm, of, signed, good in (
        (pure, "RAW", message, key.sign(message)),
        # AWS KMS hashes the digest that it is given once more.
        (hashed, "DIGEST", digest, eddsa.new(theirs, "rfc8032").sign(SHA512.new(digest))),
    ):
        made.add("good", algorithm, signed, good, True, of)
        made.damaged(algorithm, signed, good, of)
        made.add("another message", algorithm, flip(signed, 3), good, False, of)
        r, s = good[:32], int.from_bytes(good[32:], "little")
        made.add("s plus the order", algorithm, signed, r + (s + ED25519_ORDER).to_bytes(32, "little"), False, of)
        made.add("s is zero", algorithm, signed, r + bytes(32), False, of)
        made.add("s with its highest bit", algorithm, signed, flip(good, 511), False, of)
        made.add("r is the neutral point", algorithm, signed, b"\1" + bytes(31) + good[32:], False, of)
        made.add("r is no point", algorithm, signed, b"\2" + bytes(31) + good[32:], False, of)
        made.add("r not reduced", algorithm, signed, b"\xee" + b"\xff" * 30 + b"\x7f" + good[32:], False, of)
        made.add("of another key", algorithm, signed, ed25519.Ed25519PrivateKey.generate().sign(signed), False, of)
        for wrong in {"RAW", "DIGEST", "EXTERNAL_MU"} - {of}:
            made.add(f"as {wrong}", algorithm, digest, good, False, wrong)
    pure_of_digest = key.sign(digest)
    made.add("good, of what is a digest", pure, digest, pure_of_digest, True)
    made.add("Ed25519 as Ed25519ph", hashed, digest, pure_of_digest, False, "DIGEST")
    made.add("hashed once", hashed, digest, eddsa.new(theirs, "rfc8032").sign(SHA512.new(message)), False, "DIGEST")
    made.add("with a context", hashed, digest,
             eddsa.new(theirs, "rfc8032", context=b"c").sign(SHA512.new(digest)), False, "DIGEST")
    made.add("Ed25519ph as Ed25519", pure, message, eddsa.new(theirs, "rfc8032").sign(SHA512.new(message)), False)
    made.add("digest too short", hashed, digest[:63], good, False, "DIGEST")
    return [*groups, made.group]


# --- ML-DSA ---------------------------------------------------------------------------------------

# FIPS 204 table 1 and 2: bytes of c̃, of z, ω, k.
ML_DSA = {"44": (32, 2304, 80, 4), "65": (48, 3200, 55, 6), "87": (64, 4480, 75, 8)}


def ml_dsa(name):
    key = getattr(mldsa, f"MLDSA{name}PrivateKey").generate()
    made = Signatures(f"ML_DSA_{name}", pkcs8(key), spki(key.public_key()))
    algorithm, message = "ML_DSA_SHAKE_256", f"ML-DSA-{name} signs".encode()
    # FIPS 204 section 6.2, with the empty context of section 5.2.
    public = hashlib.shake_256(key.public_key().public_bytes_raw()).digest(64)
    mu = hashlib.shake_256(public + b"\0\0" + message).digest(64)
    good = key.sign(message)
    made.add("good", algorithm, message, good, True)
    made.add("good, of its mu", algorithm, mu, good, True, "EXTERNAL_MU")
    made.add("good, from mu", algorithm, message, key.sign_mu(mu), True)
    made.add("as DIGEST", algorithm, mu, good, False, "DIGEST")
    made.add("mu too short", algorithm, mu[:63], good, False, "EXTERNAL_MU")
    made.add("mu as a message", algorithm, mu, good, False)
    made.add("another mu", algorithm, flip(mu, 0), good, False, "EXTERNAL_MU")
    made.add("another message", algorithm, message + b".", good, False)
    made.add("with a context", algorithm, message, key.sign(message, b"c"), False)
    c, z, omega, k = ML_DSA[name]
    hints = c + z
    assert len(good) == hints + omega + k
    # FIPS 204, algorithm 21: hints in rising order, zeros behind the last.
    while good[hints + omega] < 2 or good[-1] == omega:
        good = key.sign(message)
    swapped = bytearray(good)
    swapped[hints], swapped[hints + 1] = good[hints + 1], good[hints]
    behind = bytearray(good)
    behind[hints + omega - 1] = 1
    counts = bytearray(good)
    counts[-1] = omega + 1
    far = bytearray(good)
    far[c:c + 4] = bytes(4)
    for what, changed in {
        "challenge changed": flip(good, 9), "z changed": flip(good, 8 * (c + 700)), "z too large": bytes(far),
        "hints not in order": bytes(swapped), "a byte behind the hints": bytes(behind),
        "too many hints": bytes(counts), "truncated": good[:-1], "trailing zero": good + b"\0",
    }.items():
        for of, signed in (("RAW", message), ("EXTERNAL_MU", mu)):
            if of == "RAW" or name == "44":
                made.add(what, algorithm, signed, changed, False, of)
    made.add("too many hints", algorithm, mu, bytes(counts), False, "EXTERNAL_MU")
    made.add("hints not in order", algorithm, mu, bytes(swapped), False, "EXTERNAL_MU")
    return made.group


# --- RSAES-OAEP -----------------------------------------------------------------------------------

def oaep_block(length, hash_name, plaintext, first=b"\0", label=b"", separator=b"\1", mgf=None):
    """EME-OAEP (RFC 8017 section 7.1.1)."""
    def mask(seed, size):
        blocks = (hashlib.new(mgf or hash_name, seed + i.to_bytes(4, "big")).digest() for i in range(size // 20 + 1))
        return b"".join(blocks)[:size]

    def xor(a, b):
        return bytes(x ^ y for x, y in zip(a, b, strict=True))

    label = hashlib.new(hash_name, label).digest()
    data = label + bytes(length - 2 * len(label) - 2 - len(plaintext)) + separator + plaintext
    seed = os.urandom(len(label))
    data = xor(data, mask(seed, len(data)))
    return first + xor(seed, mask(data, len(seed))) + data


def oaep(size, thorough):
    key = rsa.generate_private_key(65537, size)
    public, length = key.public_key(), size // 8
    numbers = public.public_numbers()
    tests = []

    def add(name, algorithm, ciphertext, plaintext):
        tests.append({"name": name, "algorithm": algorithm, "ciphertext": b64(ciphertext),
                      "plaintext": None if plaintext is None else b64(plaintext)})

    def encrypt(block):
        return pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(length, "big")

    for bits, other in (("1", "256"), ("256", "1")):
        algorithm, hash_, name = f"RSAES_OAEP_SHA_{bits}", HASHES[bits], f"sha{bits}"
        scheme = padding.OAEP(padding.MGF1(hash_), hash_, None)
        secret = os.urandom(32)
        good = public.encrypt(secret, scheme)
        longest = os.urandom(length - 2 * hash_.digest_size - 2)
        add("good", algorithm, good, secret)
        add("the longest plaintext", algorithm, public.encrypt(longest, scheme), longest)
        add("one byte", algorithm, public.encrypt(b"x", scheme), b"x")
        add("another hash", f"RSAES_OAEP_SHA_{other}", good, None)
        add("truncated", algorithm, good[:-1], None)
        add("last bit", algorithm, flip(good, len(good) * 8 - 8), None)
        assert key.decrypt(encrypt(oaep_block(length, name, secret)), scheme) == secret
        if not thorough:
            continue
        for what, block in {
            "first byte not zero": oaep_block(length, name, secret, first=b"\1"),
            "a label": oaep_block(length, name, secret, label=b"label"),
            "no separator": oaep_block(length, name, bytes(32), separator=b"\0"),
            "another separator": oaep_block(length, name, secret, separator=b"\2"),
            "MGF1 with another hash": oaep_block(length, name, secret, mgf=f"sha{other}"),
            "zero": bytes(length), "one": (1).to_bytes(length, "big"),
            "PKCS #1 v1.5": b"\0\2" + b"\x55" * (length - 35) + b"\0" + secret,
        }.items():
            add(what, algorithm, encrypt(block), None)
        for what, changed in {
            "first bit": flip(good, 6), "trailing zero": good + b"\0", "leading zero": b"\0" + good, "the modulus": numbers.n.to_bytes(length, "big"),
            "all ones": b"\xff" * length, "one byte": b"\0",
        }.items():
            add(what, algorithm, changed, None)
        # A representative from n on stands for no ciphertext (RFC 8017 section 5.1.2).
        value = int.from_bytes(good, "big")
        if value + numbers.n < 1 << size:
            add("plus the modulus", algorithm, (value + numbers.n).to_bytes(length, "big"), None)
    return {"kind": "encryption", "spec": f"RSA_{size}", "private_key": b64(pkcs8(key)), "public_key": b64(spki(public)),
            "tests": tests}


# --- ECDH -----------------------------------------------------------------------------------------

FIELDS = {
    "P256": (1 << 256) - (1 << 224) + (1 << 192) + (1 << 96) - 1,
    "P384": (1 << 384) - (1 << 128) - (1 << 96) + (1 << 32) - 1,
    "P521": (1 << 521) - 1,
}
EC_KEY, RSA_KEY = "2a8648ce3d0201", "2a864886f70d010101"
NAMED = {"P256": "2a8648ce3d030107", "P384": "2b81040022", "P521": "2b81040023", "P256K1": "2b8104000a"}


def ecdh(name, curve, other):
    key, peer = ec.generate_private_key(curve), ec.generate_private_key(curve)
    point = peer.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    size, field = len(point) // 2, FIELDS[name]
    x, y = point[1:size + 1], point[size + 1:]
    good, tests = spki(peer.public_key()), []

    def add(what, public_key, secret=None):
        tests.append({"name": what, "public_key": b64(public_key), "secret": None if secret is None else b64(secret)})

    def info(point, named=NAMED[name], key_type=EC_KEY, unused=b"\0"):
        parameters = named if isinstance(named, bytes) else tlv(6, bytes.fromhex(named))
        return tlv(0x30, tlv(0x30, tlv(6, bytes.fromhex(key_type)) + parameters) + tlv(3, unused + point))

    assert info(point) == good
    add("good", good, key.exchange(ec.ECDH(), peer.public_key()))
    add("our own", spki(key.public_key()), key.exchange(ec.ECDH(), key.public_key()))
    # SP 800-56A section 5.6.2.3.3: a point of this curve, not infinity, coordinates below p.
    above = (int.from_bytes(x, "big") + field)
    for what, public_key in {
        "not on the curve": info(b"\4" + x + flip(y, len(y) * 8 - 8)), "infinity": info(b"\0"),
        "infinity, as long as a point": info(bytes(len(point))), "zero coordinates": info(b"\4" + bytes(2 * size)),
        "x is p": info(b"\4" + field.to_bytes(size, "big") + y),
        "y plus one": info(b"\4" + x + ((int.from_bytes(y, "big") + 1) % field).to_bytes(size, "big")),
        "a point of another curve": spki(ec.generate_private_key(other).public_key()),
        "secp256k1": spki(ec.generate_private_key(ec.SECP256K1()).public_key()),
        "named as another curve": info(point, NAMED["P384" if name == "P256" else "P256"]),
        "named as RSA": info(point, key_type=RSA_KEY), "no curve": info(point, b""), "curve is NULL": info(point, b"\5\0"),
        "unused bits": info(point, unused=b"\1"), "point too short": info(point[:-1]), "point too long": info(point + b"\0"),
        "no point": info(b""), "the point alone": point, "x and y alone": info(point[1:]),
        "hybrid form": info(bytes([6 | y[-1] & 1]) + x + y), "truncated": good[:-1], "trailing zero": good + b"\0",
        "an Ed25519 key": spki(ed25519.Ed25519PrivateKey.generate().public_key()),
        "an RSA key": spki(rsa.generate_private_key(65537, 2048).public_key()),
        "a private key": pkcs8(peer), "one byte": b"\0", "empty sequence": b"\x30\x00",
    }.items():
        add(what, public_key)
    if above < 1 << 8 * size:
        add("x plus p", info(b"\4" + above.to_bytes(size, "big") + y))
    return {"kind": "agreement", "spec": f"ECC_NIST_{name}", "private_key": b64(pkcs8(key)),
            "public_key": b64(spki(key.public_key())), "tests": tests}


# --- ML-KEM ---------------------------------------------------------------------------------------

def ml_kem(name, last):
    seed = os.urandom(64)
    if name == "512":
        public, private = ML_KEM_512.key_derive(seed)

        def decapsulate(ciphertext):
            return ML_KEM_512.decaps(private, ciphertext)
        secret, good = ML_KEM_512.encaps(public)
    else:
        key = getattr(mlkem, f"MLKEM{name}PrivateKey").from_seed_bytes(seed)
        public, decapsulate = key.public_key().public_bytes_raw(), key.decapsulate
        secret, good = key.public_key().encapsulate()
    # RFC 9935 sections 3, 4 and 6.
    algorithm = tlv(0x30, tlv(6, bytes.fromhex("6086480165030404") + bytes([last])))
    document = tlv(0x30, b"\2\1\0" + algorithm + tlv(4, tlv(0x80, seed)))
    info = tlv(0x30, algorithm + tlv(3, b"\0" + public))
    if name != "512":
        assert pkcs8(key) == document and spki(key.public_key()) == info
    tests = []

    def add(what, ciphertext, secret):
        tests.append({"name": what, "ciphertext": b64(ciphertext), "secret": None if secret is None else b64(secret)})

    add("good", good, secret)
    # Implicit rejection (FIPS 203, algorithm 18): another secret, and always the same.
    for what, changed in {
        "first bit": flip(good, 0), "last bit": flip(good, len(good) * 8 - 1), "zeros": bytes(len(good)),
    }.items():
        assert decapsulate(changed) != secret
        add(what, changed, decapsulate(changed))
    for what, wrong in {
        "truncated": good[:-1], "trailing zero": good + b"\0", "one byte": b"\0",
        "as long as another set's": bytes(1088 if name == "512" else 768),
    }.items():
        add(what, wrong, None)
    return {"kind": "encapsulation", "spec": f"ML_KEM_{name}", "private_key": b64(document), "public_key": b64(info),
            "tests": tests}


# --- HMAC -----------------------------------------------------------------------------------------

# RFC 4231 sections 4.2, 4.3 and 4.7: key and message.
RFC_4231 = [
    (b"\x0b" * 20, b"Hi There"), (b"Jefe", b"what do ya want for nothing?"),
    (b"\xaa" * 131, b"Test Using Larger Than Block-Size Key - Hash Key First"),
]


def macs(bits):
    groups = []
    for key, message in [*RFC_4231, (os.urandom(int(bits) // 8), os.urandom(200))]:
        good = hmac.digest(key, message, f"sha{bits}")
        tests = [{"name": "good", "message": b64(message), "mac": b64(good), "valid": True}]
        other = hmac.digest(key, message, "sha256" if bits != "256" else "sha512")
        for what, mac in {
            "first bit": flip(good, 7), "last bit": flip(good, len(good) * 8 - 8), "truncated": good[:-1],
            "half": good[:len(good) // 2], "one byte": good[:1], "empty": b"", "trailing zero": good + b"\0",
            "zeros": bytes(len(good)), "another hash": other, "another hash, cut": other[:len(good)],
            "of another key": hmac.digest(key + b"x", message, f"sha{bits}"),
            "not keyed": hashlib.new(f"sha{bits}", key + message).digest(),
        }.items():
            tests.append({"name": what, "message": b64(message), "mac": b64(mac), "valid": False})
        tests.append({"name": "another message", "message": b64(message + b"."), "mac": b64(good), "valid": False})
        groups.append({"kind": "mac", "spec": f"HMAC_{bits}", "private_key": b64(key), "tests": tests})
    return groups


# --- AES-256-GCM in a CiphertextBlob (docs/ciphertext-blob.md) ---------------------------------------

def derive(material, salt, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def blobs():
    material, tests = os.urandom(32), []
    material_id = derive(material, None, b"sekisho v1 material id", 32)

    def seal(plaintext, context, header=None, label=b"sekisho v1 ciphertext blob", tag=16):
        header = header or b"\1" + os.urandom(16) + material_id
        salt = os.urandom(32)
        derived = derive(material, salt, label, 44)
        pairs = sorted((name.encode(), value.encode()) for name, value in context.items())
        bound = b"".join(len(text).to_bytes(4, "big") + text for pair in pairs for text in pair)
        sealed = AESGCM(derived[:32]).encrypt(derived[32:], plaintext, header + bound)
        return header + salt + sealed[:len(sealed) - 16 + tag]

    def add(name, blob, context, plaintext=None):
        tests.append({"name": name, "blob": b64(blob), "context": context,
                      "plaintext": None if plaintext is None else b64(plaintext)})

    for name, context in {"no context": {}, "one pair": {"a": "b"},
                          "sorted by UTF-8": {"ä": "1", "z": "2", "Z": "", "": "empty"}}.items():
        for length in (1, 16, 4096 if name == "no context" else 33):
            plaintext = os.urandom(length)
            add(f"good, {name}, {length} bytes", seal(plaintext, context), context, plaintext)
    context = {"name": "value"}
    good = seal(b"plaintext", context)
    add("good", good, context, b"plaintext")
    for name, wrong in {"missing": {}, "another value": {"name": "valuE"}, "another name": {"namE": "value"},
                        "a pair more": {**context, "a": ""}, "moved boundary": {"namev": "alue"}}.items():
        add(f"context: {name}", good, wrong)
    for name, at in {"version": 0, "key id": 1, "material id": 17, "salt": 49, "ciphertext": 81, "tag": len(good) - 1}.items():
        add(f"{name} changed", flip(good, at * 8), context)
    for name, blob in {
        "truncated": good[:-1], "trailing zero": good + b"\0", "leading zero": b"\0" + good, "a tag of 12 bytes": seal(b"p", context, tag=12),
        "empty plaintext": seal(b"", context), "version 2": seal(b"p", context, b"\2" + good[1:49]),
        "another label": seal(b"p", context, label=b"sekisho v1 records"), "header alone": good[:49],
        "of another key": good[:49] + os.urandom(len(good) - 49),
    }.items():
        add(name, blob, context)
    return {"kind": "ciphertext", "spec": "SYMMETRIC_DEFAULT", "private_key": b64(material), "tests": tests}


# --- The file ---------------------------------------------------------------------------------------

def shorten(tests):
    """Most bad inputs are a good one with a change. In place of base64 such a value is a list: the test
    whose value it is like, how many bytes of its beginning, what comes then, how many bytes of its end."""
    for field in ("message", "signature", "ciphertext", "blob", "public_key"):
        whole = {}
        for at, test in enumerate(tests):
            if field not in test:
                continue
            value, best = base64.b64decode(test[field]), None
            for other, like in whole.items():
                start = len(os.path.commonprefix([value, like]))
                room = min(len(value), len(like)) - start
                end = next((i for i in range(room) if value[-1 - i] != like[-1 - i]), room)
                if start + end >= 12 and (best is None or start + end > best[1] + best[3]):
                    best = [other, start, b64(value[start:len(value) - end]), end]
            if best is None:
                whole[at] = value
            else:
                test[field] = best


def main():
    curves = {"P256": ec.SECP256R1(), "P384": ec.SECP384R1(), "P521": ec.SECP521R1()}
    groups = [
        blobs(), *(rsa_signatures(size, size == 2048) for size in (2048, 3072, 4096)),
        *(ecdsa(f"ECC_NIST_{name}", curve, ORDERS[name], bits)
          for (name, curve), bits in zip(curves.items(), ("256", "384", "512"), strict=True)),
        ecdsa("ECC_SECG_P256K1", ec.SECP256K1(), ORDERS["P256K1"], "256"), *edwards(), *map(ml_dsa, ML_DSA),
        *(oaep(size, size == 2048) for size in (2048, 3072, 4096)),
        *(ecdh(name, curve, ec.SECP384R1() if name == "P256" else ec.SECP256R1()) for name, curve in curves.items()),
        *(ml_kem(name, last) for last, name in enumerate(("512", "768", "1024"), 1)),
        *(group for bits in ("224", "256", "384", "512") for group in macs(bits)),
    ]
    made_by = f"cryptography {cryptography.__version__} ({backend.openssl_version_text()}), PyCryptodome {Crypto.__version__}, kyber-py"
    lines = []
    for group in groups:
        shorten(group["tests"])
        tests = ",\n".join("   " + json.dumps(test, ensure_ascii=False) for test in group.pop("tests"))
        lines.append(f'  {json.dumps(group)[:-1]}, "tests": [\n{tests}\n  ]}}')
    text = f'{{\n "made_by": {json.dumps(made_by)},\n "groups": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    json.loads(text)
    Path(__file__).with_name("primitives.json").write_text(text)


if __name__ == "__main__":
    main()
