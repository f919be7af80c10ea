"""What one start made, the next one finds: `make` before, `find` after."""

import base64
import json
import os
import sys
from pathlib import Path

from service import kms, refused

state = Path(sys.argv[2])
client = kms()
# Of every kind of key pair one, and what it is asked for.
SIGNING = {
    "RSA_2048": "RSASSA_PSS_SHA_256", "ECC_NIST_P521": "ECDSA_SHA_512", "ECC_NIST_EDWARDS25519": "ED25519_SHA_512",
    "ML_DSA_44": "ML_DSA_SHAKE_256", "ML_DSA_65": "ML_DSA_SHAKE_256", "ML_DSA_87": "ML_DSA_SHAKE_256",
}
KEM = ("ML_KEM_512", "ML_KEM_768", "ML_KEM_1024")


def pair(spec, usage):
    return client.create_key(KeySpec=spec, KeyUsage=usage)["KeyMetadata"]["Arn"]


def sign(arn, spec):
    signed = client.sign(KeyId=arn, Message=b"kept", SigningAlgorithm=SIGNING[spec])
    return base64.b64encode(signed["Signature"]).decode()


def encapsulate(arn):
    made = client.encapsulate(KeyId=arn, EncapsulationAlgorithm="ML_KEM")
    return [base64.b64encode(made[member]).decode() for member in ("SharedSecret", "SharedSecretCiphertextBlob")]


if sys.argv[1] == "make":
    keys = [client.create_key(Description=f"key {n}")["KeyMetadata"] for n in range(3)]
    client.create_alias(AliasName="alias/kept", TargetKeyId=keys[0]["KeyId"])
    signing = {spec: pair(spec, "SIGN_VERIFY") for spec in SIGNING}
    kem = {spec: pair(spec, "ENCAPSULATE_DECAPSULATE") for spec in KEM}
    state.write_text(json.dumps({
        "signatures": {arn: [spec, sign(arn, spec)] for spec, arn in signing.items()},
        "secrets": {arn: encapsulate(arn) for arn in kem.values()},
        "keys": [key["Arn"] for key in keys],
        "blobs": [
            base64.b64encode(client.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]).decode()
            for key in keys
        ],
        "policy": client.get_key_policy(KeyId=keys[0]["KeyId"])["Policy"],
    }))
else:
    kept = json.loads(state.read_text())
    assert {key["KeyArn"] for key in client.list_keys()["Keys"]} == {
        *kept["keys"], *kept["signatures"], *kept["secrets"]}
    for arn, (spec, signature) in kept["signatures"].items():
        assert client.describe_key(KeyId=arn)["KeyMetadata"]["KeySpec"] == spec
        assert client.verify(KeyId=arn, Message=b"kept", Signature=base64.b64decode(signature),
                             SigningAlgorithm=SIGNING[spec])["SignatureValid"]
    for arn, (secret, ciphertext) in kept["secrets"].items():
        opened = client.decapsulate(KeyId=arn, EncapsulationAlgorithm="ML_KEM",
                                    SharedSecretCiphertextBlob=base64.b64decode(ciphertext))
        assert opened["SharedSecret"] == base64.b64decode(secret)
    for n, (arn, blob) in enumerate(zip(kept["keys"], kept["blobs"])):
        assert client.describe_key(KeyId=arn)["KeyMetadata"]["Description"] == f"key {n}"
        assert client.decrypt(CiphertextBlob=base64.b64decode(blob))["Plaintext"] == b"kept"
    assert client.describe_key(KeyId="alias/kept")["KeyMetadata"]["Arn"] == kept["keys"][0]
    assert client.get_key_policy(KeyId=kept["keys"][0])["Policy"] == kept["policy"]
    refused("AlreadyExistsException", client.create_alias, AliasName="alias/kept", TargetKeyId=kept["keys"][1])
