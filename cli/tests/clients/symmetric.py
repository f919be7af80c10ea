"""Encrypt, Decrypt and GenerateDataKey: what goes in comes out, and nothing else does."""

import os
import re
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from service import ACCOUNT, REGION, kms, refused, run

client = kms()

created = client.create_key(Description="a first key")["KeyMetadata"]
key_id, arn = created["KeyId"], created["Arn"]
assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key_id), key_id
assert arn == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key_id}"
assert created["AWSAccountId"] == ACCOUNT
assert created["Description"] == "a first key"
assert created["Enabled"] is True and created["KeyState"] == "Enabled"
assert created["KeyUsage"] == "ENCRYPT_DECRYPT" and created["KeySpec"] == "SYMMETRIC_DEFAULT"
assert created["CustomerMasterKeySpec"] == "SYMMETRIC_DEFAULT"
assert created["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
assert created["Origin"] == "AWS_KMS" and created["KeyManager"] == "CUSTOMER"
assert created["MultiRegion"] is False
assert abs((datetime.now(timezone.utc) - created["CreationDate"]).total_seconds()) < 300
for name in (key_id, arn):
    assert client.describe_key(KeyId=name)["KeyMetadata"] == created

# Round trips at the limits of the plaintext's length.
for length in (1, 15, 16, 17, 1000, 4096):
    plaintext = os.urandom(length)
    sealed = client.encrypt(KeyId=key_id, Plaintext=plaintext)
    assert sealed["KeyId"] == arn and sealed["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    opened = client.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
    assert opened["Plaintext"] == plaintext and opened["KeyId"] == arn
    assert opened["EncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
    assert plaintext not in sealed["CiphertextBlob"] or length < 4

# The same plaintext is never sealed to the same bytes.
sealed = [client.encrypt(KeyId=key_id, Plaintext=b"again")["CiphertextBlob"] for _ in range(3)]
assert len(set(sealed)) == 3

# The encryption context: any order, any script, exactly the same pairs.
context = {"tenant": "関所", "purpose": "test", "empty?": "no"}
blob = client.encrypt(KeyId=key_id, Plaintext=b"bound", EncryptionContext=context)["CiphertextBlob"]
backwards = dict(reversed(context.items()))
assert client.decrypt(CiphertextBlob=blob, EncryptionContext=backwards)["Plaintext"] == b"bound"
for wrong in (
    {},
    {"tenant": "関所"},
    {**context, "more": "1"},
    {**context, "purpose": "Test"},
    {"Tenant": "関所", "purpose": "test", "empty?": "no"},
):
    refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=blob, EncryptionContext=wrong)

# Data keys.
for arguments, length in (
    ({"KeySpec": "AES_256"}, 32),
    ({"KeySpec": "AES_128"}, 16),
    ({"NumberOfBytes": 1}, 1),
    ({"NumberOfBytes": 1024}, 1024),
):
    made = client.generate_data_key(KeyId=key_id, EncryptionContext=context, **arguments)
    assert len(made["Plaintext"]) == length and made["KeyId"] == arn
    opened = client.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=context)
    assert opened["Plaintext"] == made["Plaintext"]

# A file of a few megabytes under an envelope, as one uses a KMS for files.
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    letter = (b"Dear customer, your new limit is 4,000 euros.\n" * 60_000) + os.urandom(1000)
    (folder / "letter").write_bytes(letter)
    data_key = client.generate_data_key(KeyId=key_id, KeySpec="AES_256", EncryptionContext=context)
    iv = os.urandom(16).hex()
    run("openssl", "enc", "-aes-256-cbc", "-K", data_key["Plaintext"].hex(), "-iv", iv,
        "-in", folder / "letter", "-out", folder / "letter.enc")
    (folder / "letter.key").write_bytes(data_key["CiphertextBlob"])
    del data_key

    opened = client.decrypt(
        CiphertextBlob=(folder / "letter.key").read_bytes(), EncryptionContext=context, KeyId=arn
    )
    run("openssl", "enc", "-d", "-aes-256-cbc", "-K", opened["Plaintext"].hex(), "-iv", iv,
        "-in", folder / "letter.enc", "-out", folder / "letter.dec")
    assert (folder / "letter.dec").read_bytes() == letter

# A dry run says what would happen and does nothing.
refused("DryRunOperationException", client.encrypt, status=400, KeyId=key_id, Plaintext=b"x", DryRun=True)
