"""Decrypt and GenerateDataKey for a caller in an enclave.

The documents come from the development PKI; the answers are opened by `openssl cms -decrypt`.
"""

import json
import os
import tempfile
import time

from service import Caller, kms, policy, recipient, refused, statement, unchecked, user_arn

PCR0, PCR1, OTHER = "a1" * 48, "b2" * 48, "c3" * 48
CODE = ("--pcr", f"0={PCR0}", "--pcr", f"1={PCR1}")

root, alice = kms(), kms("alice")


def never_plaintext(answer):
    """Plaintext is not there at all, or is empty as AWS's own answers have it."""
    assert not answer.get("Plaintext"), "plaintext beside a CiphertextForRecipient"
    return answer["CiphertextForRecipient"]


with tempfile.TemporaryDirectory() as folder:
    caller = Caller(folder)

    key_id = root.create_key(Policy=json.dumps(policy(
        statement("Allow", user_arn("alice"), "Encrypt"),
        statement(
            "Allow", user_arn("alice"), "Decrypt", "GenerateDataKey",
            Condition={"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR0}},
        ),
    )))["KeyMetadata"]["KeyId"]
    context = {"EncryptionContext": {"tenant": "north"}}
    blob = alice.encrypt(KeyId=key_id, Plaintext=b"only for measured code", **context)["CiphertextBlob"]
    decrypt = {"CiphertextBlob": blob, **context}

    # The right code gets it, sealed to its key, and nobody else can read the answer.
    answer = alice.decrypt(Recipient=caller.recipient(*CODE), **decrypt)
    assert caller.open(never_plaintext(answer)) == b"only for measured code"
    assert answer["KeyId"].endswith(key_id) and "KeyMaterialId" not in answer
    answer = alice.generate_data_key(
        KeyId=key_id, KeySpec="AES_256", Recipient=caller.recipient(*CODE), **context
    )
    data_key = caller.open(never_plaintext(answer))
    assert len(data_key) == 32 and "KeyMaterialId" not in answer
    again = alice.decrypt(
        CiphertextBlob=answer["CiphertextBlob"], Recipient=caller.recipient(*CODE), **context
    )
    assert caller.open(never_plaintext(again)) == data_key

    # One document serves for several requests, and lengths up to the limit fit.
    document = caller.document(*CODE)
    for length in (1, 15, 16, 17, 4096):
        plaintext = os.urandom(length)
        sealed = alice.encrypt(KeyId=key_id, Plaintext=plaintext)["CiphertextBlob"]
        answer = alice.decrypt(CiphertextBlob=sealed, Recipient=recipient(document))
        assert caller.open(never_plaintext(answer)) == plaintext

    # A larger RSA key works as well.
    with tempfile.TemporaryDirectory() as larger:
        large = Caller(larger, bits=4096)
        answer = alice.decrypt(Recipient=large.recipient(*CODE), **decrypt)
        assert large.open(never_plaintext(answer)) == b"only for measured code"

    # Without a document, and with other code: the policy says no.
    refused("AccessDeniedException", alice.decrypt, **decrypt)
    refused("AccessDeniedException", alice.generate_data_key, KeyId=key_id, KeySpec="AES_256")
    for code in (("--pcr", f"0={OTHER}", "--pcr", f"1={PCR1}"), ("--pcr", f"1={PCR0}")):
        refused("AccessDeniedException", alice.decrypt, Recipient=caller.recipient(*code), **decrypt)
    # The right code with the wrong encryption context.
    refused(
        "InvalidCiphertextException", alice.decrypt,
        CiphertextBlob=blob, EncryptionContext={"tenant": "south"}, Recipient=caller.recipient(*CODE),
    )

    # Documents that are none, each with everything else right.
    for forgery in ("signature", "chain", "root"):
        refused(
            "ValidationException", alice.decrypt,
            Recipient=caller.recipient(*CODE, "--forge", forgery), **decrypt,
        )
    refused("ValidationException", alice.decrypt, Recipient=caller.recipient("--debug"), **decrypt)
    refused("ValidationException", alice.decrypt, Recipient=caller.recipient(*CODE, "--age", "3600"), **decrypt)
    refused("ValidationException", alice.decrypt, Recipient=caller.recipient(*CODE, "--age", "-3600"), **decrypt)
    for position in (0, len(document) // 2, len(document) - 1):
        changed = bytearray(document)
        changed[position] ^= 1
        refused("ValidationException", alice.decrypt, Recipient=recipient(bytes(changed)), **decrypt)
    for bytes_ in (b"x", document[:-1], document + b"\0", os.urandom(5000)):
        refused("ValidationException", alice.decrypt, Recipient=recipient(bytes_), **decrypt)

    # Half a recipient, or another algorithm.
    raw = unchecked("alice")
    for half in (
        {},
        {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256"},
        {"AttestationDocument": document},
        {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_1", "AttestationDocument": document},
    ):
        refused("ValidationException", raw.decrypt, Recipient=half, **decrypt)

    # The `attested` policy: a list of measurements by name.
    key_id = root.create_key(Policy=json.dumps({
        "module": "attested",
        "config": {
            "measurements": [
                {"name": "pipeline 7", "pcrs": {"0": PCR0, "1": PCR1}},
                {"name": "pipeline 8", "pcrs": {"0": OTHER}},
            ],
            "encryptors": [user_arn("alice")],
            "administrators": ["arn:aws:iam::000000000000:root"],
        },
    }))["KeyMetadata"]["KeyId"]
    blob = alice.encrypt(KeyId=key_id, Plaintext=b"listed")["CiphertextBlob"]
    for code, may in (
        (CODE, True),
        (("--pcr", f"0={OTHER}"), True),
        (("--pcr", f"0={PCR0}"), False),
        (("--pcr", f"0={PCR0}", "--pcr", f"1={OTHER}"), False),
    ):
        arguments = {"CiphertextBlob": blob, "Recipient": caller.recipient(*code)}
        if may:
            assert caller.open(never_plaintext(alice.decrypt(**arguments))) == b"listed"
        else:
            refused("AccessDeniedException", alice.decrypt, **arguments)
    refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob)
