"""Ed25519: what is signed, checked by OpenSSL (in `cryptography`) and PyCryptodome, which know nothing of us."""

import hashlib
import os
import tempfile

from Crypto.Hash import SHA512
from Crypto.PublicKey import ECC
from Crypto.Signature import eddsa
from cryptography.hazmat.primitives import serialization
from service import Caller, kms, refused, unchecked

client, raw = kms(), unchecked()
PURE, HASHED, SPEC = "ED25519_SHA_512", "ED25519_PH_SHA_512", "ECC_NIST_EDWARDS25519"

key = client.create_key(KeySpec=SPEC, KeyUsage="SIGN_VERIFY")["KeyMetadata"]
arn = key["Arn"]
assert key["KeySpec"] == key["CustomerMasterKeySpec"] == SPEC and key["SigningAlgorithms"] == [HASHED, PURE], key
found = client.get_public_key(KeyId=arn)
assert found["SigningAlgorithms"] == [HASHED, PURE] and found["KeySpec"] == SPEC and len(found["PublicKey"]) == 44
openssl = serialization.load_der_public_key(found["PublicKey"])
other = ECC.import_key(found["PublicKey"])

message = os.urandom(4096)
digest = hashlib.sha512(message).digest()
pure = {"KeyId": arn, "SigningAlgorithm": PURE, "Message": message}
hashed = {"KeyId": arn, "SigningAlgorithm": HASHED, "Message": digest, "MessageType": "DIGEST"}
signed = client.sign(**pure)["Signature"]
assert len(signed) == 64 and client.sign(**pure)["Signature"] == signed, "Ed25519 is deterministic"
openssl.verify(signed, message)
prehashed = client.sign(**hashed)["Signature"]
# AWS KMS hashes the digest once more: the message that is signed is the digest.
eddsa.new(other, "rfc8032").verify(SHA512.new(digest), prehashed)

for arguments, signature in ((pure, signed), (hashed, prehashed)):
    answer = client.verify(Signature=signature, **arguments)
    assert answer["SignatureValid"] is True and answer["SigningAlgorithm"] == arguments["SigningAlgorithm"]
    for wrong in (signature[:-1], signature + b"\0", bytes([signature[0] ^ 1]) + signature[1:], bytes(64)):
        refused("KMSInvalidSignatureException", client.verify, Signature=wrong, **arguments)
    refused("DryRunOperationException", client.sign, DryRun=True, **arguments)
refused("KMSInvalidSignatureException", client.verify, Signature=signed, **hashed)
refused("KMSInvalidSignatureException", client.verify, Signature=prehashed, **{**pure, "Message": digest})

# Each algorithm takes messages of one type, and RAW is what a request without one means.
for arguments, kinds in ((pure, ("DIGEST", "EXTERNAL_MU")), (hashed, ("RAW", "EXTERNAL_MU"))):
    for kind in kinds:
        wrong = {**arguments, "Message": digest, "MessageType": kind}
        says = f"MessageType {kind} is not compatible with algorithm {arguments['SigningAlgorithm']}."
        refused("ValidationException", client.sign, says=says, **wrong)
        refused("ValidationException", client.verify, says=says, Signature=signed, **wrong)
refused("ValidationException", client.sign, KeyId=arn, SigningAlgorithm=HASHED, Message=digest)
for length in (63, 65):
    refused("ValidationException", client.sign, says=f"Digest is invalid length for algorithm {HASHED}.",
            **{**hashed, "Message": b"d" * length})
refused("InvalidKeyUsageException", client.sign, says=f"Algorithm ECDSA_SHA_256 is incompatible with key spec {SPEC}.",
        KeyId=arn, SigningAlgorithm="ECDSA_SHA_256", Message=message)
p256 = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
refused("InvalidKeyUsageException", client.sign, **{**pure, "KeyId": p256})
for usage in ("KEY_AGREEMENT", "ENCRYPT_DECRYPT", "ENCAPSULATE_DECAPSULATE"):
    refused("ValidationException", client.create_key, KeySpec=SPEC, KeyUsage=usage)
# A spec that is younger than the member's name of before.
refused("ValidationException", raw.create_key, CustomerMasterKeySpec=SPEC, KeyUsage="SIGN_VERIFY")
# SM2 is in China Regions alone.
for usage in ("SIGN_VERIFY", "ENCRYPT_DECRYPT", "KEY_AGREEMENT"):
    refused("UnsupportedOperationException", client.create_key, KeySpec="SM2", KeyUsage=usage)
refused("InvalidKeyUsageException", client.sign, **{**pure, "SigningAlgorithm": "SM2DSA"})

# A data key pair.
symmetric = client.create_key()["KeyMetadata"]["Arn"]
pair = client.generate_data_key_pair(KeyId=symmetric, KeyPairSpec=SPEC)
private = serialization.load_der_private_key(pair["PrivateKeyPlaintext"], None)
openssl = serialization.load_der_public_key(pair["PublicKey"])
openssl.verify(private.sign(b"message"), b"message")
assert client.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"] == pair["PrivateKeyPlaintext"]
caller = Caller(tempfile.mkdtemp())
attested = client.generate_data_key_pair(KeyId=symmetric, KeyPairSpec=SPEC, Recipient=caller.recipient())
assert not attested.get("PrivateKeyPlaintext")
private = serialization.load_der_private_key(caller.open(attested["CiphertextForRecipient"]), None)
assert private.public_key() == serialization.load_der_public_key(attested["PublicKey"])

client.disable_key(KeyId=arn)
refused("DisabledException", client.sign, **pure)
refused("DisabledException", client.verify, Signature=signed, **pure)
