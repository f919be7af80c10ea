"""Asymmetric keys: all that they sign, encrypt and agree on, checked by OpenSSL, which knows nothing of us."""

import hashlib
import os
import tempfile
from pathlib import Path

from service import Caller, kms, refused, run, unchecked

client, raw = kms(), unchecked()
folder = Path(tempfile.mkdtemp())


def write(name, content):
    path = folder / name
    path.write_bytes(content)
    return path


def public(key_id, usage, spec):
    """The public key as a file, after a look at what comes with it."""
    found = client.get_public_key(KeyId=key_id)
    assert found["KeyUsage"] == usage and found["KeySpec"] == found["CustomerMasterKeySpec"] == spec
    return write("public.der", found["PublicKey"]), found


def create(spec, usage):
    key = client.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]
    assert key["KeySpec"] == spec and key["KeyUsage"] == usage and "CurrentKeyMaterialId" not in key
    return key


def openssl_verifies(der, algorithm, message, signature):
    digest = algorithm.rsplit("_", 1)[1]
    options = []
    if "PSS" in algorithm:
        options = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"]
    run("openssl", "dgst", f"-sha{digest}", *options, "-keyform", "DER", "-verify", der,
        "-signature", write("signature", signature), write("message", message))


RSA_SIGNING = [f"RSASSA_{scheme}_SHA_{bits}" for scheme in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)]
for spec, algorithms in (
    ("RSA_2048", RSA_SIGNING),
    ("RSA_3072", RSA_SIGNING),
    ("RSA_4096", RSA_SIGNING),
    ("ECC_NIST_P256", ["ECDSA_SHA_256"]),
    ("ECC_NIST_P384", ["ECDSA_SHA_384"]),
    ("ECC_NIST_P521", ["ECDSA_SHA_512"]),
    ("ECC_SECG_P256K1", ["ECDSA_SHA_256"]),
):
    key = create(spec, "SIGN_VERIFY")
    arn = key["Arn"]
    assert key["SigningAlgorithms"] == algorithms, key
    der, found = public(key["KeyId"], "SIGN_VERIFY", spec)
    assert found["SigningAlgorithms"] == algorithms and found["KeyId"] == arn
    for algorithm in algorithms:
        message = os.urandom(4096)
        digest = hashlib.new("sha" + algorithm.rsplit("_", 1)[1], message).digest()
        of_message = {"KeyId": arn, "SigningAlgorithm": algorithm, "Message": message}
        of_digest = {"KeyId": arn, "SigningAlgorithm": algorithm, "Message": digest, "MessageType": "DIGEST"}
        for arguments in (of_message, of_digest):
            signed = client.sign(**arguments)
            assert signed["KeyId"] == arn and signed["SigningAlgorithm"] == algorithm
            openssl_verifies(der, algorithm, message, signed["Signature"])
            for said in (of_message, of_digest):
                answer = client.verify(Signature=signed["Signature"], **said)
                assert answer["SignatureValid"] is True and answer["KeyId"] == arn
            wrong = {**arguments, "Message": bytes([arguments["Message"][0] ^ 1]) + arguments["Message"][1:]}
            refused("KMSInvalidSignatureException", client.verify, Signature=signed["Signature"], **wrong)
            changed = bytearray(signed["Signature"])
            changed[-1] ^= 1
            refused("KMSInvalidSignatureException", client.verify, Signature=bytes(changed), **arguments)
        refused("KMSInvalidSignatureException", client.verify, Signature=signed["Signature"],
                **{**of_message, "Message": digest})
        for length in (len(digest) - 1, len(digest) + 1):
            refused("ValidationException", client.sign, says=f"Digest is invalid length for algorithm {algorithm}.",
                    **{**of_digest, "Message": b"d" * length})
    refused("DryRunOperationException", client.sign, DryRun=True, **of_message)

# What does not go together.
refused("InvalidKeyUsageException", client.sign, says="Algorithm RSASSA_PSS_SHA_256 is incompatible with key spec",
        **{**of_message, "SigningAlgorithm": "RSASSA_PSS_SHA_256"})
symmetric = client.create_key()["KeyMetadata"]["Arn"]
said = refused("InvalidKeyUsageException", client.sign, **{**of_message, "KeyId": symmetric})
assert said == f"{symmetric} key usage is ENCRYPT_DECRYPT which is not valid for Sign.", said
refused("InvalidKeyUsageException", client.encrypt, KeyId=arn, Plaintext=b"x")
refused("ValidationException", raw.sign, **{**of_message, "Message": b"m" * 4097})
refused("ValidationException", raw.sign, **{**of_message, "SigningAlgorithm": "MD5"})
for kind in ({"KeySpec": "RSA_2048"}, {"KeySpec": "RSA_2048", "KeyUsage": "KEY_AGREEMENT"},
             {"KeySpec": "ECC_SECG_P256K1", "KeyUsage": "KEY_AGREEMENT"},
             {"KeySpec": "RSA_2048", "KeyUsage": "SIGN_VERIFY", "CustomerMasterKeySpec": "RSA_2048"}):
    refused("ValidationException", client.create_key, **kind)
client.disable_key(KeyId=arn)
refused("DisabledException", client.get_public_key, says=f"{arn} is disabled.", KeyId=arn)
refused("DisabledException", client.sign, **of_message)

# RSAES-OAEP: what OpenSSL encrypts is decrypted here.
for spec, limit in (("RSA_2048", 190), ("RSA_4096", 446)):
    key = create(spec, "ENCRYPT_DECRYPT")
    arn = key["Arn"]
    assert key["EncryptionAlgorithms"] == ["RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"]
    der, _ = public(key["KeyId"], "ENCRYPT_DECRYPT", spec)
    for algorithm, name, most in (("RSAES_OAEP_SHA_1", "sha1", limit + 24), ("RSAES_OAEP_SHA_256", "sha256", limit)):
        with_algorithm = {"KeyId": arn, "EncryptionAlgorithm": algorithm}
        plaintext = os.urandom(most)
        sealed = client.encrypt(Plaintext=plaintext, **with_algorithm)
        assert sealed["KeyId"] == arn and sealed["EncryptionAlgorithm"] == algorithm
        opened = client.decrypt(CiphertextBlob=sealed["CiphertextBlob"], **with_algorithm)
        assert opened["Plaintext"] == plaintext and "KeyMaterialId" not in opened
        theirs = run("openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", der,
                     "-in", write("plain", b"by OpenSSL"), "-pkeyopt", "rsa_padding_mode:oaep",
                     "-pkeyopt", f"rsa_oaep_md:{name}", "-pkeyopt", f"rsa_mgf1_md:{name}")
        assert client.decrypt(CiphertextBlob=theirs, **with_algorithm)["Plaintext"] == b"by OpenSSL"
        refused("ValidationException", client.encrypt, Plaintext=b"x" * (most + 1),
                says=f"Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes.",
                **with_algorithm)
        for wrong in (theirs[:-1], bytes(len(theirs)), b"x"):
            refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=wrong, **with_algorithm)
    refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=theirs, KeyId=arn,
            EncryptionAlgorithm="RSAES_OAEP_SHA_1")
    refused("ValidationException", client.decrypt, CiphertextBlob=theirs, EncryptionAlgorithm=algorithm)
    refused("ValidationException", client.encrypt, Plaintext=b"x", EncryptionContext={"a": "b"}, **with_algorithm)
    refused("InvalidKeyUsageException", client.encrypt, Plaintext=b"x", KeyId=arn)
    refused("InvalidKeyUsageException", client.generate_data_key, KeyId=arn, KeySpec="AES_256")

# From RSA to a symmetric key and back.
moved = client.re_encrypt(CiphertextBlob=theirs, SourceKeyId=arn, SourceEncryptionAlgorithm=algorithm,
                          DestinationKeyId=symmetric)
assert client.decrypt(CiphertextBlob=moved["CiphertextBlob"])["Plaintext"] == b"by OpenSSL"
back = client.re_encrypt(CiphertextBlob=moved["CiphertextBlob"], DestinationKeyId=arn,
                         DestinationEncryptionAlgorithm=algorithm)
assert "DestinationKeyMaterialId" not in back and "SourceKeyMaterialId" in back
assert client.decrypt(CiphertextBlob=back["CiphertextBlob"], **with_algorithm)["Plaintext"] == b"by OpenSSL"

# Data key pairs: OpenSSL reads the private key and derives the same public one from it.
context = {"for": "letters"}
caller = Caller(tempfile.mkdtemp())
for spec in ("RSA_2048", "RSA_4096", "ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521", "ECC_SECG_P256K1"):
    pair = client.generate_data_key_pair(KeyId=symmetric, KeyPairSpec=spec, EncryptionContext=context)
    assert pair["KeyPairSpec"] == spec and pair["KeyId"] == symmetric and pair["KeyMaterialId"]
    private = write("private.der", pair["PrivateKeyPlaintext"])
    derived = run("openssl", "pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER")
    assert derived == pair["PublicKey"], spec
    opened = client.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == pair["PrivateKeyPlaintext"]
blind = client.generate_data_key_pair_without_plaintext(KeyId=symmetric, KeyPairSpec="ECC_NIST_P256")
assert "PrivateKeyPlaintext" not in blind
assert client.decrypt(CiphertextBlob=blind["PrivateKeyCiphertextBlob"])["Plaintext"]
attested = client.generate_data_key_pair(KeyId=symmetric, KeyPairSpec="ECC_NIST_P384", Recipient=caller.recipient())
assert not attested.get("PrivateKeyPlaintext")
private = write("private.der", caller.open(attested["CiphertextForRecipient"]))
assert run("openssl", "pkey", "-inform", "DER", "-in", private, "-pubout", "-outform", "DER") == attested["PublicKey"]
refused("InvalidKeyUsageException", client.generate_data_key_pair, KeyId=arn, KeyPairSpec="RSA_2048")
refused("UnsupportedOperationException", client.generate_data_key_pair, KeyId=symmetric, KeyPairSpec="SM2")

# ECDH: OpenSSL comes to the same secret.
for spec, curve in (("ECC_NIST_P256", "P-256"), ("ECC_NIST_P384", "P-384"), ("ECC_NIST_P521", "P-521")):
    key = create(spec, "KEY_AGREEMENT")
    assert key["KeyAgreementAlgorithms"] == ["ECDH"]
    ours, _ = public(key["KeyId"], "KEY_AGREEMENT", spec)
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", f"ec_paramgen_curve:{curve}", "-out", folder / "peer.pem")
    peer = run("openssl", "pkey", "-in", folder / "peer.pem", "-pubout", "-outform", "DER")
    theirs = run("openssl", "pkeyutl", "-derive", "-inkey", folder / "peer.pem", "-peerkey", ours, "-peerform", "DER")
    arguments = {"KeyId": key["KeyId"], "KeyAgreementAlgorithm": "ECDH", "PublicKey": peer}
    answer = client.derive_shared_secret(**arguments)
    assert answer["SharedSecret"] == theirs and answer["KeyOrigin"] == "AWS_KMS" and answer["KeyId"] == key["Arn"]
    attested = client.derive_shared_secret(Recipient=caller.recipient(), **arguments)
    assert not attested.get("SharedSecret") and caller.open(attested["CiphertextForRecipient"]) == theirs
    for wrong in (peer[:-1], b"x", blind["PublicKey"] if spec != "ECC_NIST_P256" else found["PublicKey"], peer[-65:]):
        refused("ValidationException", client.derive_shared_secret, **{**arguments, "PublicKey": wrong})
    refused("InvalidKeyUsageException", client.sign, KeyId=key["KeyId"], Message=b"m",
            SigningAlgorithm="ECDSA_SHA_256")
refused("InvalidKeyUsageException", client.derive_shared_secret, **{**arguments, "KeyId": symmetric})
