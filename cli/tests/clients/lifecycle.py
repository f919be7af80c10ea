"""The states of a key: what each forbids, in AWS's words, and how a deletion is called off."""

from datetime import datetime, timedelta, timezone

from service import kms, refused, unchecked

client, raw = kms(), unchecked()


def state(key_id):
    return client.describe_key(KeyId=key_id)["KeyMetadata"]


key = client.create_key(Description="first")["KeyMetadata"]
key_id, arn = key["KeyId"], key["Arn"]
other = client.create_key()["KeyMetadata"]["KeyId"]
client.create_alias(AliasName="alias/state", TargetKeyId=key_id)
blob = client.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]
of_other = client.encrypt(KeyId=other, Plaintext=b"other")["CiphertextBlob"]

cryptography = [
    (client.encrypt, {"KeyId": key_id, "Plaintext": b"x"}),
    (client.encrypt, {"KeyId": "alias/state", "Plaintext": b"x", "DryRun": True}),
    (client.decrypt, {"CiphertextBlob": blob}),
    (client.generate_data_key, {"KeyId": arn, "KeySpec": "AES_256"}),
]
# What a key that goes does not let happen any more.
administration = [
    (client.enable_key, {"KeyId": key_id}),
    (client.disable_key, {"KeyId": key_id}),
    (client.update_key_description, {"KeyId": key_id, "Description": "x"}),
    (client.schedule_key_deletion, {"KeyId": key_id}),
    (client.create_alias, {"AliasName": "alias/late", "TargetKeyId": key_id}),
]
# What a key in any state lets happen.
reading = [
    (client.describe_key, {"KeyId": "alias/state"}),
    (client.get_key_policy, {"KeyId": key_id}),
    (client.list_aliases, {"KeyId": key_id}),
]

for name in (arn, key_id):
    client.disable_key(KeyId=name)
disabled = state(key_id)
assert disabled["KeyState"] == "Disabled" and disabled["Enabled"] is False
for call, arguments in cryptography:
    refused("DisabledException", call, says=f"{arn} is disabled.", **arguments)
for call, arguments in reading:
    call(**arguments)
client.update_key_description(KeyId=arn, Description="second")
assert state(key_id)["Description"] == "second"
client.update_key_description(KeyId=arn, Description="")
assert state(key_id)["Description"] == ""
refused("KMSInvalidStateException", client.cancel_key_deletion, says=f"{arn} is not pending deletion.", KeyId=key_id)

for _ in range(2):
    client.enable_key(KeyId=key_id)
assert state(key_id)["KeyState"] == "Enabled"
assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"

for days, arguments in ((7, {"PendingWindowInDays": 7}), (30, {})):
    answer = client.schedule_key_deletion(KeyId=key_id, **arguments)
    assert answer["KeyId"] == arn and answer["KeyState"] == "PendingDeletion"
    assert answer["PendingWindowInDays"] == days
    expected = datetime.now(timezone.utc) + timedelta(days=days)
    assert abs(answer["DeletionDate"] - expected) < timedelta(minutes=5), answer["DeletionDate"]
    pending = state(key_id)
    assert pending["KeyState"] == "PendingDeletion" and pending["Enabled"] is False
    assert pending["DeletionDate"] == answer["DeletionDate"]
    for call, arguments in cryptography + administration:
        refused("KMSInvalidStateException", call, says=f"{arn} is pending deletion.", **arguments)
    for call, arguments in reading:
        call(**arguments)
    assert key_id in {found["KeyId"] for found in client.list_keys()["Keys"]}
    assert client.cancel_key_deletion(KeyId=arn)["KeyId"] == arn
    cancelled = state(key_id)
    assert cancelled["KeyState"] == "Disabled" and "DeletionDate" not in cancelled
    client.enable_key(KeyId=key_id)

for days in (0, 6, 31, 366):
    refused("ValidationException", raw.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=days)

# An alias names a key to those who use it, and not to those who administer it.
for call in (
    client.enable_key, client.disable_key, client.schedule_key_deletion, client.cancel_key_deletion,
    client.get_key_policy,
):
    for alias in ("alias/state", arn.replace(f"key/{key_id}", "alias/state")):
        refused("InvalidArnException", call, says="Key Aliases are not supported for this operation.", KeyId=alias)
absent = "00000000-0000-0000-0000-000000000000"
refused("NotFoundException", client.disable_key, KeyId=absent)
refused("ValidationException", raw.update_key_description, KeyId=key_id, Description="d" * 8193)
assert client.decrypt(CiphertextBlob=of_other)["Plaintext"] == b"other"
