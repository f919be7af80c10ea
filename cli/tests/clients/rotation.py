"""Rotation, ReEncrypt, data keys without plaintext, random bytes, and the lack of custom key stores."""

import json
import tempfile
from datetime import datetime, timedelta, timezone

from service import Caller, kms, policy, refused, root_arn, statement, unchecked, user_arn

client, raw = kms(), unchecked()
key = client.create_key()["KeyMetadata"]
key_id, arn = key["KeyId"], key["Arn"]


def material():
    return client.describe_key(KeyId=key_id)["KeyMetadata"]["CurrentKeyMaterialId"]


# Automatic rotation is switched on and off.
off = client.get_key_rotation_status(KeyId=arn)
assert off["KeyRotationEnabled"] is False and off["KeyId"] == arn and "NextRotationDate" not in off
for days, arguments in ((365, {}), (90, {"RotationPeriodInDays": 90}), (2560, {"RotationPeriodInDays": 2560})):
    client.enable_key_rotation(KeyId=key_id, **arguments)
    on = client.get_key_rotation_status(KeyId=key_id)
    assert on["KeyRotationEnabled"] is True and on["RotationPeriodInDays"] == days
    expected = datetime.now(timezone.utc) + timedelta(days=days)
    assert abs(on["NextRotationDate"] - expected) < timedelta(minutes=5), on
for days in (89, 2561):
    refused("ValidationException", raw.enable_key_rotation, KeyId=key_id, RotationPeriodInDays=days)

# On demand: new material encrypts, and all the old one still decrypts.
assert client.list_key_rotations(KeyId=key_id)["Rotations"] == []
first, blobs = material(), []
for turn in range(3):
    sealed = client.encrypt(KeyId=key_id, Plaintext=f"turn {turn}".encode())["CiphertextBlob"]
    blobs.append((sealed, material(), f"turn {turn}".encode()))
    assert client.rotate_key_on_demand(KeyId=key_id)["KeyId"] == arn
    assert material() != blobs[-1][1]
for sealed, by, plaintext in blobs:
    opened = client.decrypt(CiphertextBlob=sealed)
    assert opened["Plaintext"] == plaintext and opened["KeyMaterialId"] == by
rotations = client.list_key_rotations(KeyId=arn)["Rotations"]
assert [found["RotationType"] for found in rotations] == ["ON_DEMAND"] * 3
assert [found["KeyMaterialState"] for found in rotations] == ["NON_CURRENT"] * 2 + ["CURRENT"]
assert rotations[-1]["KeyMaterialId"] == material() and rotations[0]["KeyId"] == arn
everything = client.list_key_rotations(KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=3)
assert everything["Truncated"] and everything["Rotations"][0]["KeyMaterialId"] == first
assert "RotationType" not in everything["Rotations"][0]
rest = client.list_key_rotations(
    KeyId=key_id, IncludeKeyMaterial="ALL_KEY_MATERIAL", Limit=3, Marker=everything["NextMarker"]
)
assert [found["KeyMaterialId"] for found in rest["Rotations"]] == [material()] and not rest["Truncated"]
for _ in range(22):
    client.rotate_key_on_demand(KeyId=key_id)
refused("LimitExceededException", client.rotate_key_on_demand, says="No more on-demand rotations", KeyId=key_id)

# States.
client.disable_key(KeyId=key_id)
for call in (client.enable_key_rotation, client.disable_key_rotation, client.rotate_key_on_demand):
    refused("DisabledException", call, says=f"{arn} is disabled.", KeyId=key_id)
assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
client.schedule_key_deletion(KeyId=key_id)
assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
refused("KMSInvalidStateException", client.rotate_key_on_demand, KeyId=key_id)
client.cancel_key_deletion(KeyId=key_id)
client.enable_key(KeyId=key_id)
assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is True
client.disable_key_rotation(KeyId=key_id)
assert client.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
client.create_alias(AliasName="alias/turning", TargetKeyId=key_id)
refused("InvalidArnException", client.enable_key_rotation, says="Key Aliases are not supported", KeyId="alias/turning")

# ReEncrypt: from one key and context to another, the plaintext nowhere between.
other = client.create_key()["KeyMetadata"]["Arn"]
old, new = {"owner": "old"}, {"owner": "new"}
blob = client.encrypt(KeyId=key_id, Plaintext=b"moving", EncryptionContext=old)["CiphertextBlob"]
moved = client.re_encrypt(
    CiphertextBlob=blob, SourceEncryptionContext=old, SourceKeyId="alias/turning",
    DestinationKeyId=other, DestinationEncryptionContext=new,
)
assert moved["SourceKeyId"] == arn and moved["KeyId"] == other
assert moved["SourceEncryptionAlgorithm"] == moved["DestinationEncryptionAlgorithm"] == "SYMMETRIC_DEFAULT"
assert moved["SourceKeyMaterialId"] == material() != moved["DestinationKeyMaterialId"]
opened = client.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext=new)
assert opened["Plaintext"] == b"moving" and opened["KeyId"] == other
arguments = {"CiphertextBlob": blob, "DestinationKeyId": other}
refused("InvalidCiphertextException", client.re_encrypt, **arguments)
refused("InvalidCiphertextException", client.re_encrypt, SourceEncryptionContext=new, **arguments)
arguments["SourceEncryptionContext"] = old
refused("IncorrectKeyException", client.re_encrypt, SourceKeyId=other, **arguments)
refused("DryRunOperationException", client.re_encrypt, DryRun=True, **arguments)
client.disable_key(KeyId=other)
refused("DisabledException", client.re_encrypt, says=other, **arguments)
client.enable_key(KeyId=other)

# Both keys' policies are asked, each by its own name.
alice = kms("alice")
only_from = policy(statement("Allow", root_arn(), "*"), statement("Allow", user_arn("alice"), "ReEncryptFrom"))
only_to = policy(statement("Allow", root_arn(), "*"), statement("Allow", user_arn("alice"), "ReEncryptTo"))
said = refused("AccessDeniedException", alice.re_encrypt, **arguments)
assert "kms:ReEncryptFrom on the resource associated with this ciphertext" in said and arn not in said, said
client.put_key_policy(KeyId=key_id, Policy=json.dumps(only_from))
said = refused("AccessDeniedException", alice.re_encrypt, **arguments)
assert "kms:ReEncryptTo" in said and other in said, said
client.put_key_policy(KeyId=other, Policy=json.dumps(only_to))
alice.re_encrypt(**arguments)
refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob, EncryptionContext=old)

# Data keys that nobody has seen yet.
for arguments, length in (({"KeySpec": "AES_128"}, 16), ({"NumberOfBytes": 33}, 33)):
    made = client.generate_data_key_without_plaintext(KeyId=key_id, EncryptionContext=old, **arguments)
    assert "Plaintext" not in made and made["KeyId"] == arn and made["KeyMaterialId"] == material()
    assert len(client.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=old)["Plaintext"]) == length
refused("ValidationException", raw.generate_data_key_without_plaintext, KeyId=key_id)

# Random bytes, for everybody and for an enclave alone.
assert len({client.generate_random(NumberOfBytes=32)["Plaintext"] for _ in range(4)}) == 4
assert len(client.generate_random(NumberOfBytes=1024)["Plaintext"]) == 1024
for arguments in ({}, {"NumberOfBytes": 0}, {"NumberOfBytes": 1025}):
    refused("ValidationException", raw.generate_random, **arguments)
with tempfile.TemporaryDirectory() as folder:
    caller = Caller(folder)
    answer = client.generate_random(NumberOfBytes=40, Recipient=caller.recipient())
    assert not answer.get("Plaintext"), answer
    assert len(caller.open(answer["CiphertextForRecipient"])) == 40

# No custom key store.
assert client.describe_custom_key_stores()["CustomKeyStores"] == []
store = {"CustomKeyStoreId": "cks-1234567890abcdef0"}
for call in (
    client.describe_custom_key_stores, client.connect_custom_key_store, client.disconnect_custom_key_store,
    client.delete_custom_key_store, client.update_custom_key_store,
):
    refused("CustomKeyStoreNotFoundException", call, **store)
refused("CustomKeyStoreNotFoundException", client.create_key, Origin="AWS_CLOUDHSM", **store)
refused("CustomKeyStoreNotFoundException", client.generate_random, NumberOfBytes=1, **store)
refused(
    "CloudHsmClusterNotFoundException", client.create_custom_key_store, CustomKeyStoreName="store",
    CloudHsmClusterId="cluster-2a23b4cdefg", TrustAnchorCertificate="x", KeyStorePassword="kmsPswd",
)
