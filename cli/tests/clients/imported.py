"""Imported material of symmetric keys: `make` before a restart of the service, `find` after it."""

import base64
import json
import os
import sys
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

from importing import (
    DIRECT, FOREVER, HYBRID, create, import_material, importing, key_pair, parameters, secret,
    seconds_from_now, wrap,
)
from service import kms, policy, refused, root_arn, run, statement, unchecked, user_arn

client, raw = kms(), unchecked()
state = Path(sys.argv[2])


def described(key_id):
    return client.describe_key(KeyId=key_id)["KeyMetadata"]


def listed(key_id, include="ALL_KEY_MATERIAL"):
    found = client.list_key_rotations(KeyId=key_id, IncludeKeyMaterial=include)
    assert found["Truncated"] is False
    return found["Rotations"]


def becomes(key_id, wanted):
    for _ in range(300):
        found = described(key_id)
        if found["KeyState"] == wanted:
            return found
        time.sleep(0.1)
    raise AssertionError(f"it stays {found['KeyState']}")


def encrypts(key_id):
    return client.encrypt(KeyId=key_id, Plaintext=b"under imported material")["CiphertextBlob"]


def decrypts(blob, by=None):
    opened = client.decrypt(CiphertextBlob=blob)
    assert opened["Plaintext"] == b"under imported material"
    assert by is None or opened["KeyMaterialId"] == by, opened


if sys.argv[1] == "find":
    kept = json.loads(state.read_text())
    material = [bytes.fromhex(text) for text in kept["materials"]]
    # What was in force, what was rotated, and what is gone.
    found = described(kept["rotated"])
    assert found["KeyState"] == "Enabled" and found["Origin"] == "EXTERNAL"
    for blob, by in zip(kept["blobs"], kept["ids"]):
        decrypts(base64.b64decode(blob), by)
    assert [entry["KeyMaterialState"] for entry in listed(kept["rotated"])] == ["NON_CURRENT", "CURRENT"]
    # It expired while nothing ran, or in the first moments.
    found = becomes(kept["expiring"], "PendingImport")
    assert "ExpirationModel" not in found and "ValidTo" not in found
    assert datetime.now(timezone.utc) >= datetime.fromtimestamp(kept["valid_to"], timezone.utc)
    refused("KMSInvalidStateException", client.decrypt, says="is pending import.",
            CiphertextBlob=base64.b64decode(kept["expired_blob"]))
    # A token of before the restart imports what was imported, and nothing else.
    token = {"ImportToken": base64.b64decode(kept["token"]), "PublicKey": base64.b64decode(kept["public_key"])}
    refused("IncorrectKeyMaterialException", client.import_key_material,
            **importing(kept["expiring"], token, material[0], **FOREVER))
    import_material(client, kept["expiring"], token, material[1], **FOREVER)
    decrypts(base64.b64decode(kept["expired_blob"]))
    # A key pair is the one that it was.
    assert client.get_public_key(KeyId=kept["pair"])["PublicKey"] == base64.b64decode(kept["pair_public_key"])
    assert described(kept["deleted"])["KeyState"] == "PendingImport"
    # What expired did so once, and the audit log has it.
    log = run(os.environ["SEKISHO"], "audit", "export", "--data-dir", os.environ["SEKISHO_DATA"])
    expired = [entry["key"] for entry in map(json.loads, log.splitlines())
               if entry["operation"] == "DeleteExpiredKeyMaterial" and entry["principal"] == "sekisho"]
    expired = Counter(arn.rsplit("/", 1)[1] for arn in expired)
    assert expired == {kept["rotated"]: 2, kept["expiring"]: 1}, expired
    sys.exit()

# A symmetric key, from nothing to use.
key = create(client, Description="imported")
key_id, arn = key["KeyId"], key["Arn"]
assert key["KeyState"] == "PendingImport" and key["Enabled"] is False and key["Origin"] == "EXTERNAL"
assert key["KeySpec"] == "SYMMETRIC_DEFAULT" and key["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
for absent in ("CurrentKeyMaterialId", "ExpirationModel", "ValidTo"):
    assert absent not in key and absent not in described(key_id)
assert listed(key_id) == []
assert client.delete_imported_key_material(KeyId=key_id)["KeyId"] == arn

found = parameters(client, arn)
assert found["KeyId"] == arn and len(found["ImportToken"]) <= 6144
wanted = datetime.now(timezone.utc) + timedelta(hours=24)
assert abs(found["ParametersValidTo"] - wanted) < timedelta(minutes=5), found["ParametersValidTo"]
first, second, third = secret(), secret(), secret()
imported = import_material(client, key_id, found, first, KeyMaterialDescription="first: a/b_c.d-e", **FOREVER)
first_id = imported["KeyMaterialId"]
assert imported["KeyId"] == arn and len(first_id) == 64
now = described(key_id)
assert now["KeyState"] == "Enabled" and now["Enabled"] is True
assert now["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE" and "ValidTo" not in now
assert now["CurrentKeyMaterialId"] == first_id
assert listed(key_id) == [{
    "KeyId": arn, "KeyMaterialId": first_id, "KeyMaterialDescription": "first: a/b_c.d-e",
    "ImportState": "IMPORTED", "KeyMaterialState": "CURRENT",
    "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
}]
assert listed(key_id, "ROTATIONS_ONLY") == []
blob = encrypts(key_id)
decrypts(blob, first_id)

# All wrapping keys and algorithms; the pair of token and key can be used again.
for spec, algorithm in (
    ("RSA_2048", DIRECT[0]), ("RSA_2048", DIRECT[1]), ("RSA_3072", DIRECT[0]), ("RSA_4096", DIRECT[1]),
):
    found = parameters(client, key_id, algorithm, spec)
    for _ in range(2):
        again = import_material(client, key_id, found, first, algorithm, **FOREVER)
        assert again["KeyMaterialId"] == first_id
assert listed(key_id)[0]["KeyMaterialDescription"] == "first: a/b_c.d-e"
text = "Wrapping algorithm {} and wrapping key spec {} cannot be used to import a {} key."
for algorithm, spec in [(algorithm, "RSA_2048") for algorithm in (*HYBRID, "RSAES_PKCS1_V1_5", "SM2PKE")] + [
    ("SM2PKE", "SM2"), ("RSAES_OAEP_SHA_256", "SM2"),
]:
    refused("ValidationException", client.get_parameters_for_import, KeyId=key_id,
            says=text.format(algorithm, spec, "SYMMETRIC_DEFAULT"), WrappingAlgorithm=algorithm, WrappingKeySpec=spec)
for wrong in ({"WrappingAlgorithm": "RSA"}, {"WrappingKeySpec": "RSA_1024"}, {"WrappingAlgorithm": None}):
    wrong = {"KeyId": key_id, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048", **wrong}
    refused("ValidationException", raw.get_parameters_for_import, **wrong)

# What does not unwrap, and what is not 32 bytes, is one error without a word.
found = parameters(client, key_id)
good = importing(key_id, found, first, **FOREVER)
encrypted = good["EncryptedKeyMaterial"]
for wrong in (
    wrap(found["PublicKey"], first[:31]), wrap(found["PublicKey"], first + b"0"), wrap(found["PublicKey"], b"0"),
    wrap(found["PublicKey"], first, "RSAES_OAEP_SHA_1"), bytes(256), encrypted[:-1] + bytes([encrypted[-1] ^ 1]),
):
    said = refused("InvalidCiphertextException", client.import_key_material, **{**good, "EncryptedKeyMaterial": wrong})
    assert said == "", said
for wrong in (wrap(found["PublicKey"], first, HYBRID[1]), encrypted[:-1], encrypted + b"\0", b"x"):
    refused("ValidationException", client.import_key_material, says="Invalid encrypted key size.",
            **{**good, "EncryptedKeyMaterial": wrong})
for wrong in (b"x", bytes(6144), found["ImportToken"][:-1], found["ImportToken"] + b"\0",
              b"\2" + found["ImportToken"][1:], parameters(client, create(client)["KeyId"])["ImportToken"]):
    said = refused("InvalidImportTokenException", client.import_key_material, **{**good, "ImportToken": wrong})
    assert said == "", said
# A token goes with the public key that came with it.
refused("InvalidCiphertextException", client.import_key_material,
        **{**good, "ImportToken": parameters(client, key_id)["ImportToken"]})
refused("ValidationException", raw.import_key_material, KeyId=key_id, ImportToken=b"x", **FOREVER)
for wrong in ({"ImportToken": b""}, {"EncryptedKeyMaterial": bytes(6145)},
              {"ExpirationModel": "NEVER"}, {"ImportType": "OTHER"}, {"KeyMaterialId": "0"},
              {"KeyMaterialId": "G" * 64}, {"KeyMaterialDescription": "a?"}, {"KeyMaterialDescription": "a" * 257}):
    refused("ValidationException", raw.import_key_material, **{**good, **wrong})

# Terms that contradict each other.
without = {name: value for name, value in good.items() if name != "ExpirationModel"}
for says, wrong in (
    ("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES", without),
    ("A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES",
     {**without, "ExpirationModel": "KEY_MATERIAL_EXPIRES"}),
    ("A validTo date cannot be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE",
     {**good, "ValidTo": seconds_from_now(600)}),
    ("ValidTo must be in the future", {**without, "ValidTo": seconds_from_now(-60)}),
    ("ValidTo must be less than 365 days in the future", {**without, "ValidTo": seconds_from_now(366 * 86400)}),
    ("Input parameter keyMaterialId cannot be used with NEW_KEY_MATERIAL importType.",
     {**good, "ImportType": "NEW_KEY_MATERIAL", "KeyMaterialId": first_id}),
):
    refused("ValidationException", client.import_key_material, says=says, **wrong)

# The same material comes again, and no other in its place.
for more in ({}, {"ImportType": "EXISTING_KEY_MATERIAL"}, {"KeyMaterialId": first_id}):
    import_material(client, key_id, found, first, **more, **FOREVER)
    other = importing(key_id, found, second, **more, **FOREVER)
    refused("IncorrectKeyMaterialException", client.import_key_material, **other,
            says=f"Imported key material does not have the expected identifier ({first_id}).")
refused("IncorrectKeyMaterialException", client.import_key_material, **{**good, "KeyMaterialId": "0" * 64},
        says=f"Imported key material does not have the expected identifier ({'0' * 64}).")
says = f"Key material (id: {first_id}) being imported as NEW_KEY_MATERIAL is already associated with KMS key {arn}."
refused("IncorrectKeyMaterialException", client.import_key_material, says=says,
        **{**good, "ImportType": "NEW_KEY_MATERIAL"})
empty = create(client)["KeyId"]
refused("IncorrectKeyMaterialException", client.import_key_material,
        **importing(empty, parameters(client, empty), first, ImportType="EXISTING_KEY_MATERIAL", **FOREVER))
# Nobody sees in the ids that two keys have the same material.
assert import_material(client, empty, parameters(client, empty), first, **FOREVER)["KeyMaterialId"] != first_id

# Rotation on demand, with material that was imported for it.
for call in (client.enable_key_rotation, client.disable_key_rotation):
    refused("UnsupportedOperationException", call, KeyId=key_id,
            says=f"{arn} origin is EXTERNAL which is not valid for this operation.")
none_waits = f"No available key material pending rotation for the key: {arn}."
refused("KMSInvalidStateException", client.rotate_key_on_demand, says=none_waits, KeyId=key_id)
status = client.get_key_rotation_status(KeyId=key_id)
assert status["KeyRotationEnabled"] is False and status["KeyId"] == arn and "NextRotationDate" not in status
new = {"ImportType": "NEW_KEY_MATERIAL", **FOREVER}
second_id = import_material(client, key_id, found, second, KeyMaterialDescription="second", **new)["KeyMaterialId"]
waiting = listed(key_id)
assert [entry["KeyMaterialState"] for entry in waiting] == ["CURRENT", "PENDING_ROTATION"]
assert waiting[1] == {
    "KeyId": arn, "KeyMaterialId": second_id, "KeyMaterialDescription": "second", "ImportState": "IMPORTED",
    "KeyMaterialState": "PENDING_ROTATION", "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
}
assert described(key_id)["CurrentKeyMaterialId"] == first_id
said = refused("KMSInvalidStateException", client.import_key_material,
               **importing(key_id, found, third, **new))
assert f"cannot be imported into KMS key {arn}, because another key material (id: {second_id})" in said, said
deleted = client.delete_imported_key_material(KeyId=key_id, KeyMaterialId=second_id)
assert deleted["KeyId"] == arn and deleted["KeyMaterialId"] == second_id
assert described(key_id)["KeyState"] == "Enabled" and len(listed(key_id)) == 1
refused("KMSInvalidStateException", client.rotate_key_on_demand, says=none_waits, KeyId=key_id)
import_material(client, key_id, found, second, **new)
assert client.rotate_key_on_demand(KeyId=key_id)["KeyId"] == arn
first_entry, second_entry = listed(key_id)
assert first_entry["KeyMaterialState"] == "NON_CURRENT" and "RotationType" not in first_entry
assert second_entry["KeyMaterialState"] == "CURRENT" and second_entry["RotationType"] == "ON_DEMAND"
assert listed(key_id, "ROTATIONS_ONLY") == [second_entry]
assert abs(second_entry["RotationDate"] - datetime.now(timezone.utc)) < timedelta(minutes=5)
assert described(key_id)["CurrentKeyMaterialId"] == second_id
second_blob = encrypts(key_id)
decrypts(blob, first_id)
decrypts(second_blob, second_id)

# Each material that the key was used with is missed.
for material, material_id, at in ((first, first_id, 0), (second, second_id, 1)):
    client.delete_imported_key_material(KeyId=key_id, KeyMaterialId=material_id)
    now = described(key_id)
    assert now["KeyState"] == "PendingImport" and now["Enabled"] is False and "ExpirationModel" not in now
    assert now["CurrentKeyMaterialId"] == second_id
    entry = listed(key_id)[at]
    assert entry["ImportState"] == "PENDING_IMPORT" and "ExpirationModel" not in entry
    for refusing in (blob, second_blob):
        refused("KMSInvalidStateException", client.decrypt, says=f"{arn} is pending import.", CiphertextBlob=refusing)
    import_material(client, key_id, found, material, **FOREVER)
    assert described(key_id)["KeyState"] == "Enabled"
    decrypts(blob, first_id)
    decrypts(second_blob, second_id)
refused("ValidationException", client.delete_imported_key_material, KeyId=key_id, KeyMaterialId="0" * 64,
        says=f"Key material (id: {'0' * 64}) has never been imported into KMS key {arn}.")
refused("ValidationException", raw.delete_imported_key_material, KeyId=key_id, KeyMaterialId="0")
# A disabled key that gets its material again is enabled.
client.disable_key(KeyId=key_id)
import_material(client, key_id, parameters(client, key_id), second, **FOREVER)
assert described(key_id)["KeyState"] == "Enabled"

# Time takes material away, and whoever has it brings it back.
valid_to = seconds_from_now(4)
import_material(client, key_id, found, first, ValidTo=valid_to)
import_material(client, key_id, found, second, ValidTo=seconds_from_now(9000))
now = described(key_id)
assert now["ExpirationModel"] == "KEY_MATERIAL_EXPIRES" and now["ValidTo"] == valid_to, now
assert [entry["ExpirationModel"] for entry in listed(key_id)] == ["KEY_MATERIAL_EXPIRES"] * 2
assert listed(key_id)[0]["ValidTo"] == valid_to < listed(key_id)[1]["ValidTo"]
becomes(key_id, "PendingImport")
assert datetime.now(timezone.utc) >= valid_to
assert [entry["ImportState"] for entry in listed(key_id)] == ["PENDING_IMPORT", "IMPORTED"]
refused("KMSInvalidStateException", client.encrypt, says=f"{arn} is pending import.", KeyId=key_id, Plaintext=b"x")
for material in (first, second):
    import_material(client, key_id, found, material, **FOREVER)
decrypts(blob, first_id)
# What waits for a rotation expires, too, and the key goes on.
third_id = import_material(client, key_id, found, third, ImportType="NEW_KEY_MATERIAL",
                           ValidTo=seconds_from_now(3))["KeyMaterialId"]
assert "ValidTo" not in described(key_id)
for _ in range(100):
    entry = listed(key_id)[2]
    if entry["ImportState"] == "PENDING_IMPORT":
        break
    time.sleep(0.1)
assert entry["KeyMaterialState"] == "PENDING_ROTATION" and entry["KeyMaterialId"] == third_id, entry
assert described(key_id)["KeyState"] == "Enabled"
refused("KMSInvalidStateException", client.rotate_key_on_demand, says=none_waits, KeyId=key_id)
client.delete_imported_key_material(KeyId=key_id, KeyMaterialId=third_id)

# AWS's quota of rotations, and all that was ever encrypted still opens.
turning = create(client)["KeyId"]
token = parameters(client, turning)
import_material(client, turning, token, secret(), **FOREVER)
blobs = [encrypts(turning)]
for _ in range(25):
    import_material(client, turning, token, secret(), **new)
    client.rotate_key_on_demand(KeyId=turning)
    blobs.append(encrypts(turning))
import_material(client, turning, token, secret(), **new)
refused("LimitExceededException", client.rotate_key_on_demand, says="No more on-demand rotations", KeyId=turning)
for one in blobs:
    decrypts(one)
assert len(listed(turning)) == 27 and len(listed(turning, "ROTATIONS_ONLY")) == 25

# Keys whose material is made here take none.
generated = client.create_key()["KeyMetadata"]
own = {"KeyId": generated["KeyId"]}
says = f"{generated['Arn']} origin is AWS_KMS which is not valid for this operation."
wrapping = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}
for schedule in (False, True):
    if schedule:
        client.schedule_key_deletion(**own)
    refused("UnsupportedOperationException", client.get_parameters_for_import, says=says, **own, **wrapping)
    refused("UnsupportedOperationException", client.delete_imported_key_material, says=says, **own)
    refused("UnsupportedOperationException", client.import_key_material, says=says,
            **{**importing(key_id, found, first, **FOREVER), **own})
for spec in ("ML_DSA_44", "ML_DSA_65", "ML_DSA_87"):
    refused("ValidationException", client.create_key, Origin="EXTERNAL", KeySpec=spec, KeyUsage="SIGN_VERIFY",
            says=f"KeySpec {spec} is not supported for Origin EXTERNAL")
client.create_alias(AliasName="alias/imported", TargetKeyId=key_id)
refused("InvalidArnException", client.get_parameters_for_import, says="Key Aliases are not supported",
        KeyId="alias/imported", **wrapping)

# Policies see how material comes.
alice = kms("alice")
allowed = ("GetParametersForImport", "ImportKeyMaterial", "DeleteImportedKeyMaterial")
conditions = {
    "StringEqualsIfExists": {"kms:WrappingAlgorithm": "RSAES_OAEP_SHA_256", "kms:WrappingKeySpec": "RSA_2048",
                             "kms:ExpirationModel": "KEY_MATERIAL_EXPIRES", "kms:KeyOrigin": "EXTERNAL"},
    "NumericLessThanEqualsIfExists": {"kms:ValidTo": str(int(time.time()) + 3600)},
}
client.put_key_policy(KeyId=key_id, Policy=json.dumps(policy(
    statement("Allow", root_arn(), "*"), statement("Allow", user_arn("alice"), *allowed, Condition=conditions))))
refused("AccessDeniedException", alice.get_parameters_for_import, KeyId=key_id,
        **{**wrapping, "WrappingAlgorithm": "RSAES_OAEP_SHA_1"})
refused("AccessDeniedException", alice.get_parameters_for_import, KeyId=key_id,
        **{**wrapping, "WrappingKeySpec": "RSA_4096"})
found = alice.get_parameters_for_import(KeyId=key_id, **wrapping)
refused("AccessDeniedException", alice.import_key_material, **importing(key_id, found, first, **FOREVER))
refused("AccessDeniedException", alice.import_key_material,
        **importing(key_id, found, first, ValidTo=seconds_from_now(7200)))
import_material(alice, key_id, found, first, ValidTo=seconds_from_now(1800))
import_material(client, key_id, found, first, **FOREVER)

# What the next start is to find.
expiring, valid_to = create(client)["KeyId"], seconds_from_now(3)
found = parameters(client, expiring)
import_material(client, expiring, found, second, ValidTo=valid_to)
expired_blob = encrypts(expiring)
pair, (private, pair_public_key) = create(client, "ECC_NIST_P256", "SIGN_VERIFY")["KeyId"], key_pair("ECC_NIST_P256")
import_material(client, pair, parameters(client, pair), private, **FOREVER)
deleted = create(client)["KeyId"]
import_material(client, deleted, parameters(client, deleted), third, **FOREVER)
client.delete_imported_key_material(KeyId=deleted)
state.write_text(json.dumps({
    "rotated": key_id, "ids": [first_id, second_id],
    "blobs": [base64.b64encode(one).decode() for one in (blob, second_blob)],
    "materials": [one.hex() for one in (first, second)],
    "expiring": expiring, "valid_to": valid_to.timestamp(),
    "expired_blob": base64.b64encode(expired_blob).decode(),
    "token": base64.b64encode(found["ImportToken"]).decode(),
    "public_key": base64.b64encode(found["PublicKey"]).decode(),
    "pair": pair, "pair_public_key": base64.b64encode(pair_public_key).decode(),
    "deleted": deleted,
}))
