"""X-Sekisho-Attestation: a document with any operation, bound to the request's body.

The header is added to botocore's own requests before they are signed.
"""

import base64
import json
import os
import tempfile
from pathlib import Path

from service import kms, policy, refused, root_arn, run, statement, user_arn

PCR0, OTHER = "a1" * 48, "c3" * 48


class Enclave:
    """A program in an enclave, which attests each request that it sends."""

    def __init__(self, folder, profile, pcr0):
        self.folder, self.pcr0 = Path(folder), pcr0
        self.kms = kms(profile)
        self.kms.meta.events.register("before-sign.kms", self.attest)
        self.enabled, self.change, self.more = True, lambda body: body, ()

    def document(self, body):
        file, out = self.folder / "body.json", self.folder / "request.bin"
        file.write_bytes(body)
        run(
            os.environ["SEKISHO"], "dev-document", "--data-dir", os.environ["SEKISHO_DATA"],
            "--body", file, "--pcr", f"0={self.pcr0}", "--out", out, *self.more,
        )
        return out.read_bytes()

    def attest(self, request, **_):
        if self.enabled:
            document = self.document(self.change(request.body))
            request.headers["X-Sekisho-Attestation"] = base64.b64encode(document).decode()


root = kms()
with tempfile.TemporaryDirectory() as folder:
    alice = Enclave(folder, "alice", PCR0)
    measured = {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}}

    # A key that signs only for measured code.
    key_id = root.create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY",
        Policy=json.dumps(policy(statement("Allow", user_arn("alice"), "Sign", Condition=measured))),
    )["KeyMetadata"]["KeyId"]
    sign = {"KeyId": key_id, "Message": b"approved", "SigningAlgorithm": "ECDSA_SHA_256"}
    assert alice.kms.sign(**sign)["Signature"]
    alice.enabled = False
    refused("AccessDeniedException", alice.kms.sign, **sign)
    alice.enabled = True

    # A document for another body, an old one, a forged one, one of other code.
    alice.change = lambda body: body.replace(b"Message", b"message")
    refused("ValidationException", alice.kms.sign, says="(nonce)", **sign)
    alice.change = lambda body: body
    for more, says in (
        (("--age", "3600"), "older than allowed"),
        (("--forge", "signature"), "signature"),
        (("--debug",), "zero-measurement"),
    ):
        alice.more = more
        refused("ValidationException", alice.kms.sign, says=says, **sign)
    alice.more = ()
    other = Enclave(folder, "alice", OTHER)
    refused("AccessDeniedException", other.kms.sign, **sign)

    # What is no document, what is too long, and a header that was added after the signature.
    def header(value, event="before-sign.kms"):
        client = kms("alice")

        def add(request, **_):
            request.headers["X-Sekisho-Attestation"] = value

        client.meta.events.register(event, add)
        return client

    refused("ValidationException", header("no base64!").sign, says="is not base64", **sign)
    refused("ValidationException", header("A" * 21852).sign, says="is longer than", **sign)
    unsigned = header("aGVsbG8=", "before-send.kms")
    refused("InvalidSignatureException", unsigned.sign, says="must be a 'SignedHeader'", **sign)

    # The same with the stock policy `attested`.
    listed = {
        "module": "attested",
        "config": {
            "measurements": [{"name": "signer", "pcrs": {"0": PCR0}}],
            "actions": ["kms:Sign"],
            "administrators": [root_arn()],
        },
    }
    stock = root.create_key(
        KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Policy=json.dumps(listed)
    )["KeyMetadata"]["KeyId"]
    sign["KeyId"] = stock
    assert alice.kms.sign(**sign)["Signature"]
    refused("AccessDeniedException", other.kms.sign, **sign)
    refused("AccessDeniedException", root.sign, **sign)

    # A policy that can be changed only from measured code, by a caller who has no other leave.
    only = policy(statement(
        "Allow", user_arn("alice"), "PutKeyPolicy", "GetKeyPolicy", Condition=measured
    ))
    only["Statement"] = only["Statement"][1:]
    # The lockout check sees the papers of whoever makes the key, and the root has none.
    refused("MalformedPolicyDocumentException", root.create_key, Policy=json.dumps(only))
    key_id = root.create_key(
        Policy=json.dumps(only), BypassPolicyLockoutSafetyCheck=True
    )["KeyMetadata"]["KeyId"]
    refused("AccessDeniedException", root.put_key_policy, KeyId=key_id, Policy=json.dumps(policy()))
    alice.enabled = False
    refused("AccessDeniedException", alice.kms.put_key_policy, KeyId=key_id, Policy=json.dumps(only))
    alice.enabled = True
    only["Id"] = "second"
    alice.kms.put_key_policy(KeyId=key_id, Policy=json.dumps(only))
    assert json.loads(alice.kms.get_key_policy(KeyId=key_id)["Policy"])["Id"] == "second"

    # A secret does not leave unencrypted because somebody is attested.
    key_id = root.create_key(
        Policy=json.dumps(policy(
            statement("Allow", root_arn(), "Encrypt"),
            statement("Allow", user_arn("alice"), "Decrypt", Condition=measured),
        ))
    )["KeyMetadata"]["KeyId"]
    blob = root.encrypt(KeyId=key_id, Plaintext=b"only for its enclave")["CiphertextBlob"]
    refused("ValidationException", alice.kms.decrypt, says="as Recipient", CiphertextBlob=blob)
