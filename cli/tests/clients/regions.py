"""Several Regions at one endpoint: keys of one Region, and multi-Region keys. `make`, then after a restart `find`."""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from service import kms, policy, refused, root_arn, statement, unchecked, user_arn

HOME, OTHER, THIRD = "us-east-1", "eu-west-1", "ap-southeast-2"
home, other, third = (kms(region_name=region) for region in (HOME, OTHER, THIRD))
state = Path(sys.argv[2])


def arn(region, key_id):
    return f"arn:aws:kms:{region}:000000000000:key/{key_id}"


def described(client, key_id):
    return client.describe_key(KeyId=key_id)["KeyMetadata"]


def related(client, key_id):
    """Type, primary Region and replica Regions; each with the ARN that it must have."""
    found = described(client, key_id)
    assert found["MultiRegion"] is True and found["Arn"] == arn(client.meta.region_name, key_id)
    configuration = found["MultiRegionConfiguration"]
    for key in [configuration["PrimaryKey"], *configuration["ReplicaKeys"]]:
        assert key["Arn"] == arn(key["Region"], key_id), key
    replicas = {key["Region"] for key in configuration["ReplicaKeys"]}
    return configuration["MultiRegionKeyType"], configuration["PrimaryKey"]["Region"], replicas


def goes_across(one, another, key_id):
    """What one encrypts the other decrypts, also where only the ciphertext names the key."""
    context = {"from": one.meta.region_name}
    blob = one.encrypt(KeyId=key_id, Plaintext=b"across", EncryptionContext=context)["CiphertextBlob"]
    for arguments in ({}, {"KeyId": key_id}, {"KeyId": arn(another.meta.region_name, key_id)}):
        opened = another.decrypt(CiphertextBlob=blob, EncryptionContext=context, **arguments)
        assert opened["Plaintext"] == b"across"
        assert opened["KeyId"] == arn(another.meta.region_name, key_id), opened
    return blob


def find():
    kept = json.loads(state.read_text())
    key_id, blob = kept["key"], base64.b64decode(kept["blob"])
    for client, kind in ((home, "REPLICA"), (other, "PRIMARY"), (third, "REPLICA")):
        assert related(client, key_id) == (kind, OTHER, {HOME, THIRD})
        assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
    assert described(home, "alias/same")["KeyId"] == kept["ordinary"]["home"]
    assert described(other, "alias/same")["KeyId"] == kept["ordinary"]["other"]
    refused("NotFoundException", third.describe_key, KeyId="alias/same")
    goes_across(other, third, key_id)
    other.rotate_key_on_demand(KeyId=key_id)
    goes_across(third, home, key_id)
    leaving = kept["leaving"]
    assert described(home, leaving)["KeyState"] == "PendingReplicaDeletion"
    assert described(home, leaving)["PendingDeletionWindowInDays"] == 9


if sys.argv[1] == "find":
    find()
    sys.exit()

# A Region that is not served.
refused(
    "InvalidSignatureException", kms(region_name="us-west-2").list_keys,
    says="This service is in 'us-east-1', 'eu-west-1', 'ap-southeast-2'.",
)

# A key, an alias, a grant belong to the Region in which they were made.
ordinary = {}
for name, client in (("home", home), ("other", other)):
    key = client.create_key(Description=name)["KeyMetadata"]
    assert key["Arn"] == arn(client.meta.region_name, key["KeyId"])
    assert key["MultiRegion"] is False and "MultiRegionConfiguration" not in key
    client.create_alias(AliasName="alias/same", TargetKeyId=key["KeyId"])
    client.create_grant(
        KeyId=key["KeyId"], GranteePrincipal=user_arn("alice"), RetiringPrincipal=user_arn("bob"), Operations=["Encrypt"]
    )
    ordinary[name] = key["KeyId"]
for name, client in (("home", home), ("other", other)):
    assert [key["KeyId"] for key in client.list_keys()["Keys"]] == [ordinary[name]]
    aliases = client.list_aliases()["Aliases"]
    assert [found["TargetKeyId"] for found in aliases] == [ordinary[name]]
    assert aliases[0]["AliasArn"] == f"arn:aws:kms:{client.meta.region_name}:000000000000:alias/same"
    assert described(client, "alias/same")["Description"] == name
    grants = client.list_retirable_grants(RetiringPrincipal=user_arn("bob"))["Grants"]
    assert [grant["KeyId"] for grant in grants] == [arn(client.meta.region_name, ordinary[name])]
assert third.list_keys()["Keys"] == third.list_aliases()["Aliases"] == []
elsewhere = arn(OTHER, ordinary["home"])
refused("NotFoundException", other.describe_key, says=f"Key '{elsewhere}' does not exist", KeyId=ordinary["home"])
refused("NotFoundException", other.describe_key, says="Invalid arn us-east-1", KeyId=arn(HOME, ordinary["home"]))
blob = home.encrypt(KeyId=ordinary["home"], Plaintext=b"at home")["CiphertextBlob"]
refused(
    "AccessDeniedException", other.decrypt, CiphertextBlob=blob,
    says="is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext "
    "because the resource does not exist in this Region, no resource-based policies allow access, or "
    "a resource-based policy explicitly denies access",
)
refused(
    "NotFoundException", other.create_alias, says="does not exist",
    AliasName="alias/across", TargetKeyId=ordinary["home"],
)
# What is of the account is in every Region.
third_alice = kms("alice", region_name=THIRD)
refused("AccessDeniedException", third_alice.create_key, says="kms:CreateKey")
assert kms("alice", region_name=OTHER).encrypt(KeyId=arn(OTHER, ordinary["other"]), Plaintext=b"granted")

# A primary key, and a replica of it.
primary = home.create_key(
    MultiRegion=True, Description="primary", Tags=[{"TagKey": "Where", "TagValue": "home"}]
)["KeyMetadata"]
key_id = primary["KeyId"]
assert key_id.startswith("mrk-") and len(key_id) == 36 and primary["Arn"] == arn(HOME, key_id)
assert related(home, key_id) == ("PRIMARY", HOME, set())
refused("NotFoundException", other.describe_key, says=f"Key '{arn(OTHER, key_id)}' does not exist", KeyId=key_id)
home.create_alias(AliasName="alias/related", TargetKeyId=key_id)
before = home.encrypt(KeyId=key_id, Plaintext=b"before")["CiphertextBlob"]
home.rotate_key_on_demand(KeyId=key_id)

made = home.replicate_key(KeyId=primary["Arn"], ReplicaRegion=OTHER)
metadata = made["ReplicaKeyMetadata"]
assert metadata["KeyId"] == key_id and metadata["Arn"] == arn(OTHER, key_id)
assert metadata["KeyState"] == "Enabled" and metadata["Description"] == "" and made["ReplicaTags"] == []
assert metadata == described(other, key_id)
assert json.loads(made["ReplicaPolicy"])["Id"] == "key-default-1"
assert made["ReplicaPolicy"] == other.get_key_policy(KeyId=key_id)["Policy"]
assert related(home, key_id) == ("PRIMARY", HOME, {OTHER})
assert related(other, key_id) == ("REPLICA", HOME, {OTHER})
assert {key["KeyId"] for key in other.list_keys()["Keys"]} == {ordinary["other"], key_id}
assert other.decrypt(CiphertextBlob=before)["Plaintext"] == b"before"
goes_across(home, other, key_id)
goes_across(other, home, key_id)
data_key = other.generate_data_key(KeyId=key_id, KeySpec="AES_256")
assert home.decrypt(CiphertextBlob=data_key["CiphertextBlob"])["Plaintext"] == data_key["Plaintext"]
moved = home.re_encrypt(CiphertextBlob=before, DestinationKeyId=key_id)["CiphertextBlob"]
assert other.decrypt(CiphertextBlob=moved)["Plaintext"] == b"before"

# What related keys do not share.
assert other.list_resource_tags(KeyId=key_id)["Tags"] == []
refused("NotFoundException", other.describe_key, KeyId="alias/related")
other.create_alias(AliasName="alias/related", TargetKeyId=ordinary["other"])
home.disable_key(KeyId=key_id)
refused("DisabledException", home.replicate_key, KeyId=key_id, ReplicaRegion=THIRD)
refused("DisabledException", home.update_primary_region, KeyId=key_id, PrimaryRegion=OTHER)
other.encrypt(KeyId=key_id, Plaintext=b"still enabled")
home.enable_key(KeyId=key_id)
other.update_key_description(KeyId=key_id, Description="replica")
assert [described(client, key_id)["Description"] for client in (home, other)] == ["primary", "replica"]
grant = home.create_grant(KeyId=key_id, GranteePrincipal=user_arn("alice"), Operations=["Encrypt"])
alice, alice_there = (kms("alice", region_name=region) for region in (HOME, OTHER))
alice.encrypt(KeyId=key_id, Plaintext=b"granted")
refused("AccessDeniedException", alice_there.encrypt, says=arn(OTHER, key_id), KeyId=key_id, Plaintext=b"not granted")
refused("NotFoundException", other.retire_grant, GrantToken=grant["GrantToken"])
home.retire_grant(GrantToken=grant["GrantToken"])
assert other.list_grants(KeyId=key_id)["Grants"] == []

# Who may replicate, and to where.
everything = statement("Allow", root_arn(), "*")
limited = policy(
    everything,
    statement("Allow", user_arn("alice"), "ReplicateKey", "UpdatePrimaryRegion"),
    statement("Deny", "*", "ReplicateKey", Condition={"StringNotEquals": {"kms:ReplicaRegion": THIRD}}),
    statement("Deny", "*", "UpdatePrimaryRegion", Condition={"StringNotEquals": {"kms:PrimaryRegion": OTHER}}),
    statement("Deny", "*", "TagResource", Condition={"Bool": {"kms:MultiRegion": "true"}}),
)
home.put_key_policy(KeyId=key_id, Policy=json.dumps(limited))
refused("AccessDeniedException", home.replicate_key, says="kms:ReplicateKey", KeyId=key_id, ReplicaRegion=OTHER)
said = refused("AccessDeniedException", alice.replicate_key, KeyId=key_id, ReplicaRegion=THIRD)
assert "kms:CreateKey on resource: *" in said, said
refused("AccessDeniedException", home.tag_resource, KeyId=key_id, Tags=[{"TagKey": "a", "TagValue": "b"}])
said = refused("AccessDeniedException", alice.update_primary_region, KeyId=key_id, PrimaryRegion=OTHER)
assert "kms:UpdatePrimaryRegion" in said and arn(OTHER, key_id) in said, said

# A replica with everything of its own.
theirs = policy(everything, statement("Allow", user_arn("bob"), "Decrypt"))
tags = [{"TagKey": "Where", "TagValue": "third"}]
arguments = {"KeyId": key_id, "ReplicaRegion": THIRD, "Tags": tags, "Description": "the third"}
locked_out = json.dumps({"Version": "2012-10-17", "Statement": [statement("Allow", user_arn("bob"), "*")]})
refused("MalformedPolicyDocumentException", home.replicate_key, Policy="my policy", **arguments)
refused("MalformedPolicyDocumentException", home.replicate_key, says="will not allow", Policy=locked_out, **arguments)
refused("TagException", home.replicate_key, **{**arguments, "Tags": tags * 2})
made = home.replicate_key(Policy=json.dumps(theirs), **arguments)
assert made["ReplicaTags"] == tags and json.loads(made["ReplicaPolicy"]) == theirs
assert made["ReplicaKeyMetadata"]["Description"] == "the third"
for client, kind in ((home, "PRIMARY"), (other, "REPLICA"), (third, "REPLICA")):
    assert related(client, key_id) == (kind, HOME, {OTHER, THIRD})
bob, bob_there = (kms("bob", region_name=region) for region in (HOME, THIRD))
blob = goes_across(home, third, key_id)
assert bob_there.decrypt(CiphertextBlob=blob, EncryptionContext={"from": HOME})["KeyId"] == arn(THIRD, key_id)
refused("AccessDeniedException", bob.decrypt, CiphertextBlob=blob, EncryptionContext={"from": HOME})

# What cannot be replicated, and where not.
home.put_key_policy(KeyId=key_id, Policy=json.dumps(policy(everything)))
for region in (HOME, OTHER, THIRD):
    refused(
        "AlreadyExistsException", home.replicate_key, says=arn(region, key_id), KeyId=key_id, ReplicaRegion=region
    )
refused(
    "UnsupportedOperationException", other.replicate_key,
    says=f"{arn(OTHER, key_id)} is not a multi-Region primary key.", KeyId=key_id, ReplicaRegion=THIRD,
)
for call, argument in ((home.replicate_key, "ReplicaRegion"), (home.update_primary_region, "PrimaryRegion")):
    refused(
        "UnsupportedOperationException", call, says="is not a multi-Region primary key.",
        **{"KeyId": ordinary["home"], argument: OTHER},
    )
    refused("NotFoundException", call, says="Invalid arn eu-west-1", **{"KeyId": arn(OTHER, key_id), argument: THIRD})
    refused("InvalidArnException", call, says="Key Aliases are not supported", **{"KeyId": "alias/related", argument: THIRD})
    refused(
        "NotFoundException", call, says="does not exist",
        **{"KeyId": "mrk-1234abcd12ab34cd56ef1234567890ab", argument: THIRD},
    )
raw = unchecked(region_name=HOME)
for wrong in ("Mars", "us-east", "us--1", "us-east-1x", "a-" * 16 + "1"):
    for call, argument in ((raw.replicate_key, "ReplicaRegion"), (raw.update_primary_region, "PrimaryRegion")):
        member = argument[0].lower() + argument[1:]
        refused("ValidationException", call, says=f"'{wrong}' at '{member}'", **{"KeyId": key_id, argument: wrong})
refused("ValidationException", raw.replicate_key, says="'replicaRegion'", KeyId=key_id)
fresh = home.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
refused(
    "UnsupportedOperationException", home.replicate_key, says="Region us-west-2 is not served",
    KeyId=fresh, ReplicaRegion="us-west-2",
)

# Of several who replicate a key into one Region at once, one does.
def attempt(_):
    try:
        return home.replicate_key(KeyId=fresh, ReplicaRegion=THIRD)["ReplicaKeyMetadata"]["Arn"]
    except home.exceptions.AlreadyExistsException:
        return None


with ThreadPoolExecutor(8) as pool:
    made = list(pool.map(attempt, range(8)))
assert [found for found in made if found] == [arn(THIRD, fresh)], made
assert related(third, fresh) == ("REPLICA", HOME, {THIRD})

# Rotation is the primary key's.
home.enable_key_rotation(KeyId=key_id, RotationPeriodInDays=100)
for call in (other.enable_key_rotation, other.disable_key_rotation, other.rotate_key_on_demand):
    refused("UnsupportedOperationException", call, says="is not a multi-Region primary key.", KeyId=key_id)
statuses = [client.get_key_rotation_status(KeyId=key_id) for client in (home, other, third)]
assert all(status["RotationPeriodInDays"] == 100 for status in statuses)
assert len({status["NextRotationDate"] for status in statuses}) == 1
home.rotate_key_on_demand(KeyId=key_id)
assert len({described(client, key_id)["CurrentKeyMaterialId"] for client in (home, other, third)}) == 1
rotations = [client.list_key_rotations(KeyId=key_id)["Rotations"] for client in (home, other)]
assert [[found["KeyMaterialId"] for found in each] for each in rotations][0] == [
    found["KeyMaterialId"] for found in rotations[1]
] and len(rotations[0]) == 2
goes_across(other, third, key_id)

# The primary key moves, and with it what only a primary key can do.
refused(
    "UnsupportedOperationException", home.update_primary_region, says="is already the multi-Region primary key",
    KeyId=key_id, PrimaryRegion=HOME,
)
refused(
    "NotFoundException", home.update_primary_region, says=f"Key '{arn('us-west-2', key_id)}' does not exist",
    KeyId=key_id, PrimaryRegion="us-west-2",
)
refused(
    "NotFoundException", home.update_primary_region, says=f"Key '{arn(OTHER, fresh)}' does not exist",
    KeyId=fresh, PrimaryRegion=OTHER,
)
refused(
    "UnsupportedOperationException", other.update_primary_region, says="is not a multi-Region primary key.",
    KeyId=key_id, PrimaryRegion=OTHER,
)
other.disable_key(KeyId=key_id)
refused(
    "DisabledException", home.update_primary_region, says=f"{arn(OTHER, key_id)} is disabled.",
    KeyId=key_id, PrimaryRegion=OTHER,
)
other.enable_key(KeyId=key_id)
home.update_primary_region(KeyId=key_id, PrimaryRegion=OTHER)
for client, kind in ((home, "REPLICA"), (other, "PRIMARY"), (third, "REPLICA")):
    assert related(client, key_id) == (kind, OTHER, {HOME, THIRD})
    assert described(client, key_id)["KeyState"] == "Enabled"
refused("UnsupportedOperationException", home.rotate_key_on_demand, KeyId=key_id)
other.disable_key_rotation(KeyId=key_id)
assert home.get_key_rotation_status(KeyId=key_id)["KeyRotationEnabled"] is False
other.rotate_key_on_demand(KeyId=key_id)
goes_across(home, third, key_id)

# HMAC and asymmetric keys.
mac_key = home.create_key(MultiRegion=True, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
home.replicate_key(KeyId=mac_key, ReplicaRegion=OTHER)
mac = home.generate_mac(KeyId=mac_key, Message=b"message", MacAlgorithm="HMAC_SHA_256")["Mac"]
verified = other.verify_mac(KeyId=mac_key, Message=b"message", MacAlgorithm="HMAC_SHA_256", Mac=mac)
assert verified["MacValid"] and verified["KeyId"] == arn(OTHER, mac_key)
for spec, algorithm in (("ECC_NIST_P256", "ECDSA_SHA_256"), ("RSA_2048", "RSASSA_PSS_SHA_256")):
    signing = other.create_key(MultiRegion=True, KeySpec=spec, KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    other.replicate_key(KeyId=signing, ReplicaRegion=HOME)
    signature = home.sign(KeyId=signing, Message=b"message", SigningAlgorithm=algorithm)["Signature"]
    assert other.verify(KeyId=signing, Message=b"message", SigningAlgorithm=algorithm, Signature=signature)["SignatureValid"]
    publics = [client.get_public_key(KeyId=signing)["PublicKey"] for client in (home, other)]
    assert publics[0] == publics[1]
sealing = home.create_key(MultiRegion=True, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
home.replicate_key(KeyId=sealing, ReplicaRegion=THIRD)
arguments = {"KeyId": sealing, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
blob = home.encrypt(Plaintext=b"to the third", **arguments)["CiphertextBlob"]
assert third.decrypt(CiphertextBlob=blob, **arguments)["Plaintext"] == b"to the third"

# A primary key goes after its replicas.
leaving = home.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
home.replicate_key(KeyId=leaving, ReplicaRegion=OTHER)
going = home.schedule_key_deletion(KeyId=leaving, PendingWindowInDays=9)
assert going["KeyState"] == "PendingReplicaDeletion" and going["PendingWindowInDays"] == 9
assert going["KeyId"] == arn(HOME, leaving) and "DeletionDate" not in going
found = described(home, leaving)
assert found["KeyState"] == "PendingReplicaDeletion" and found["PendingDeletionWindowInDays"] == 9
assert found["Enabled"] is False and "DeletionDate" not in found
blob = other.encrypt(KeyId=leaving, Plaintext=b"replicas go on")["CiphertextBlob"]
for call, more in (
    (home.decrypt, {"CiphertextBlob": blob}),
    (home.encrypt, {"KeyId": leaving, "Plaintext": b"x"}),
    (home.enable_key, {"KeyId": leaving}),
    (home.schedule_key_deletion, {"KeyId": leaving}),
    (home.replicate_key, {"KeyId": leaving, "ReplicaRegion": THIRD}),
    (home.update_primary_region, {"KeyId": leaving, "PrimaryRegion": OTHER}),
):
    refused("KMSInvalidStateException", call, says=f"{arn(HOME, leaving)} is pending replica deletion.", **more)
assert home.get_key_rotation_status(KeyId=leaving)["KeyRotationEnabled"] is False
assert home.cancel_key_deletion(KeyId=leaving)["KeyId"] == arn(HOME, leaving)
assert described(home, leaving)["KeyState"] == "Disabled"
assert "PendingDeletionWindowInDays" not in described(home, leaving)
home.enable_key(KeyId=leaving)
replica = other.schedule_key_deletion(KeyId=leaving, PendingWindowInDays=7)
assert replica["KeyState"] == "PendingDeletion" and "DeletionDate" in replica
refused("AlreadyExistsException", home.replicate_key, KeyId=leaving, ReplicaRegion=OTHER)
refused(
    "KMSInvalidStateException", home.update_primary_region, says=f"{arn(OTHER, leaving)} is pending deletion.",
    KeyId=leaving, PrimaryRegion=OTHER,
)
assert home.schedule_key_deletion(KeyId=leaving, PendingWindowInDays=9)["KeyState"] == "PendingReplicaDeletion"
single = home.create_key(MultiRegion=True)["KeyMetadata"]["KeyId"]
alone = home.schedule_key_deletion(KeyId=single)
assert alone["KeyState"] == "PendingDeletion" and "DeletionDate" in alone

kept = other.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]
state.write_text(json.dumps({
    "key": key_id, "leaving": leaving, "ordinary": ordinary, "blob": base64.b64encode(kept).decode(),
}))
