"""ML-DSA and ML-KEM: OpenSSL (in `cryptography`) agrees, and kyber-py where that has no ML-KEM-512."""

import hashlib
import json
import os

from cryptography.hazmat.primitives import serialization
from kyber_py.ml_kem import ML_KEM_512
from service import kms, policy, refused, root_arn, statement, unchecked, user_arn

client, raw, alice = kms(), unchecked(), kms("alice")
ALGORITHM = "ML_DSA_SHAKE_256"

# ML-DSA: a message, or what FIPS 204 makes of it before it signs.
for bits, length in (("44", 2420), ("65", 3309), ("87", 4627)):
    spec = f"ML_DSA_{bits}"
    key = client.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]
    arn = key["Arn"]
    assert key["KeySpec"] == key["CustomerMasterKeySpec"] == spec and key["SigningAlgorithms"] == [ALGORITHM]
    found = client.get_public_key(KeyId=arn)
    assert found["SigningAlgorithms"] == [ALGORITHM] and found["KeyUsage"] == "SIGN_VERIFY"
    public = serialization.load_der_public_key(found["PublicKey"])
    for message in (b"m", os.urandom(4096)):
        hashed = hashlib.shake_256(public.public_bytes_raw()).digest(64)
        mu = hashlib.shake_256(hashed + b"\0\0" + message).digest(64)
        of_message = {"KeyId": arn, "SigningAlgorithm": ALGORITHM, "Message": message}
        of_mu = {"KeyId": arn, "SigningAlgorithm": ALGORITHM, "Message": mu, "MessageType": "EXTERNAL_MU"}
        for arguments in (of_message, of_mu):
            signed = client.sign(**arguments)["Signature"]
            assert len(signed) == length
            public.verify(signed, message)
            public.verify_mu(signed, mu)
            for said in (of_message, of_mu):
                assert client.verify(Signature=signed, **said)["SignatureValid"] is True
                for wrong in (signed[:-1], signed + b"\0", bytes([signed[0] ^ 1]) + signed[1:], bytes(length), b"x"):
                    refused("KMSInvalidSignatureException", client.verify, Signature=wrong, **said)
        refused("KMSInvalidSignatureException", client.verify, Signature=signed, **{**of_message, "Message": mu})
        refused("KMSInvalidSignatureException", client.verify, Signature=signed,
                **{**of_mu, "Message": bytes([mu[0] ^ 1]) + mu[1:]})
    for wrong in (mu[:-1], mu + b"\0"):
        refused("ValidationException", client.sign, says=f"Digest is invalid length for algorithm {ALGORITHM}.",
                **{**of_mu, "Message": wrong})
    refused("ValidationException", client.sign,
            says=f"MessageType DIGEST is not compatible with algorithm {ALGORITHM}.", **{**of_mu, "MessageType": "DIGEST"})
    refused("InvalidKeyUsageException", client.sign, **{**of_message, "SigningAlgorithm": "ED25519_SHA_512"})
    refused("DryRunOperationException", client.sign, DryRun=True, **of_mu)
    refused("ValidationException", client.create_key, KeySpec=spec, KeyUsage="ENCRYPT_DECRYPT")
    refused("ValidationException", raw.create_key, CustomerMasterKeySpec=spec, KeyUsage="SIGN_VERIFY")
    symmetric = client.create_key()["KeyMetadata"]["Arn"]
    refused("ValidationException", raw.generate_data_key_pair, KeyId=symmetric, KeyPairSpec=spec)

# ML-KEM: the other party has the public key, and comes to the same secret.
KEM = {"EncapsulationAlgorithm": "ML_KEM"}


def their_encapsulation(spec, public_key):
    if spec == "ML_KEM_512":
        secret, ciphertext = ML_KEM_512.encaps(public_key[-800:])
        return secret, ciphertext
    return serialization.load_der_public_key(public_key).encapsulate()


def their_decapsulation(spec, private_key, ciphertext):
    if spec == "ML_KEM_512":
        return ML_KEM_512.decaps(ML_KEM_512.key_derive(private_key[-64:])[1], ciphertext)
    return serialization.load_der_private_key(private_key, None).decapsulate(ciphertext)


for spec, length in (("ML_KEM_512", 768), ("ML_KEM_768", 1088), ("ML_KEM_1024", 1568)):
    key = client.create_key(KeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")["KeyMetadata"]
    arn = key["Arn"]
    assert key["KeySpec"] == key["CustomerMasterKeySpec"] == spec and key["EncapsulationAlgorithms"] == ["ML_KEM"]
    assert key["KeyUsage"] == "ENCAPSULATE_DECAPSULATE" and "SigningAlgorithms" not in key
    described = client.describe_key(KeyId=arn)["KeyMetadata"]
    assert described["EncapsulationAlgorithms"] == ["ML_KEM"]
    found = client.get_public_key(KeyId=arn)
    assert found["EncapsulationAlgorithms"] == ["ML_KEM"] and found["KeyUsage"] == "ENCAPSULATE_DECAPSULATE"

    secret, ciphertext = their_encapsulation(spec, found["PublicKey"])
    opened = client.decapsulate(KeyId=arn, SharedSecretCiphertextBlob=ciphertext, **KEM)
    assert opened["SharedSecret"] == secret and opened["KeyId"] == arn and opened["EncapsulationAlgorithm"] == "ML_KEM"
    client.create_alias(AliasName=f"alias/{spec}", TargetKeyId=key["KeyId"])
    made = client.encapsulate(KeyId=f"alias/{spec}", **KEM)
    assert made["KeyId"] == arn and made["EncapsulationAlgorithm"] == "ML_KEM" and len(made["SharedSecret"]) == 32
    sealed = made["SharedSecretCiphertextBlob"]
    assert len(sealed) == length and client.encapsulate(KeyId=arn, **KEM)["SharedSecret"] != made["SharedSecret"]
    with_blob = {"KeyId": arn, "SharedSecretCiphertextBlob": sealed, **KEM}
    assert client.decapsulate(**with_blob)["SharedSecret"] == made["SharedSecret"]

    # What is not for this key gives a secret that nobody else has, and always the same.
    changed = {**with_blob, "SharedSecretCiphertextBlob": bytes([sealed[0] ^ 1]) + sealed[1:]}
    rejected = client.decapsulate(**changed)["SharedSecret"]
    assert len(rejected) == 32 and rejected != made["SharedSecret"]
    assert client.decapsulate(**changed)["SharedSecret"] == rejected
    for wrong in (sealed[:-1], sealed + b"\0", b"x"):
        of_another_length = {**with_blob, "SharedSecretCiphertextBlob": wrong}
        for dry in ({}, {"DryRun": True}):
            refused("InvalidCiphertextException", client.decapsulate, **of_another_length, **dry)
    for call, arguments in ((client.encapsulate, {"KeyId": arn, **KEM}), (client.decapsulate, with_blob)):
        refused("DryRunOperationException", call, DryRun=True, **arguments)
        refused("InvalidKeyUsageException", call, **{**arguments, "KeyId": symmetric})
        refused("NotFoundException", call, **{**arguments, "KeyId": "alias/none"})
    said = refused("InvalidKeyUsageException", client.sign, KeyId=arn, Message=b"m", SigningAlgorithm=ALGORITHM)
    assert said == f"{arn} key usage is ENCAPSULATE_DECAPSULATE which is not valid for Sign.", said
    refused("InvalidKeyUsageException", client.encrypt, KeyId=arn, Plaintext=b"x")
    refused("ValidationException", client.create_key, KeySpec=spec, KeyUsage="KEY_AGREEMENT")
    refused("ValidationException", client.create_key, KeySpec=spec)
    refused("ValidationException", raw.create_key, CustomerMasterKeySpec=spec, KeyUsage="ENCAPSULATE_DECAPSULATE")
    refused("UnsupportedOperationException", client.enable_key_rotation, KeyId=arn)

    # A data key pair: the private key is the seed, and so as long for each spec.
    pair = client.generate_data_key_pair(KeyId=symmetric, KeyPairSpec=spec)
    private = pair["PrivateKeyPlaintext"]
    assert len(private) == 86
    secret, ciphertext = their_encapsulation(spec, pair["PublicKey"])
    assert their_decapsulation(spec, private, ciphertext) == secret
    assert client.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"] == private

# The request's members.
refused("ValidationException", raw.encapsulate, KeyId=arn)
refused("ValidationException", raw.encapsulate, KeyId=arn, EncapsulationAlgorithm="ECDH")
refused("ValidationException", raw.decapsulate, KeyId=arn, **KEM)
for wrong in (b"", b"c" * 6145):
    refused("ValidationException", raw.decapsulate, **{**with_blob, "SharedSecretCiphertextBlob": wrong})
refused("InvalidKeyUsageException", client.encapsulate, KeyId=client.create_key(
    KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["Arn"], **KEM)

# Who may: by a grant, and by the policy, which sees the algorithm's operations by AWS's names.
for call, arguments in ((alice.encapsulate, {"KeyId": arn, **KEM}), (alice.decapsulate, with_blob)):
    refused("AccessDeniedException", call, **arguments)
grant = client.create_grant(KeyId=arn, GranteePrincipal=user_arn("alice"), Operations=["Decapsulate"])
assert alice.decapsulate(GrantTokens=[grant["GrantToken"]], **with_blob)["SharedSecret"] == made["SharedSecret"]
refused("AccessDeniedException", alice.encapsulate, KeyId=arn, **KEM)
client.revoke_grant(KeyId=arn, GrantId=grant["GrantId"])
refused("AccessDeniedException", alice.decapsulate, **with_blob)
everything = statement("Allow", root_arn(), "*")
client.put_key_policy(KeyId=arn, Policy=json.dumps(policy(
    everything, statement("Allow", user_arn("alice"), "Encaps*", Condition={
        "StringEquals": {"kms:KeyUsage": "ENCAPSULATE_DECAPSULATE", "kms:KeySpec": spec}}))))
assert alice.encapsulate(KeyId=arn, **KEM)["SharedSecret"]
refused("AccessDeniedException", alice.decapsulate, **with_blob)

client.disable_key(KeyId=arn)
refused("DisabledException", client.encapsulate, KeyId=arn, **KEM)
refused("DisabledException", client.decapsulate, **with_blob)
client.schedule_key_deletion(KeyId=arn)
refused("KMSInvalidStateException", client.decapsulate, **with_blob)
