"""AWS's table of key states, its column PendingImport: every operation that has a key."""

import json

from importing import FOREVER, create, import_material, key_pair, parameters, secret
from service import kms, policy, refused, root_arn, statement, user_arn

client = kms()
WRAPPING = {"WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}


def pending(arn, call, **arguments):
    refused("KMSInvalidStateException", call, says=f"{arn} is pending import.", **arguments)


key = create(client)
key_id, arn = key["KeyId"], key["Arn"]
material = secret()
other = client.create_key()["KeyMetadata"]["KeyId"]
of_other = client.encrypt(KeyId=other, Plaintext=b"other")["CiphertextBlob"]
import_material(client, key_id, parameters(client, key_id), material, **FOREVER)
blob = client.encrypt(KeyId=key_id, Plaintext=b"kept")["CiphertextBlob"]
grant = {"KeyId": key_id, "GranteePrincipal": user_arn("alice"), "Operations": ["Decrypt"]}
given = [client.create_grant(**grant) for _ in range(2)]
never = create(client)["KeyId"]

for lost in (key_id, never):
    lost_arn = arn.replace(key_id, lost)
    if lost == key_id:
        assert client.delete_imported_key_material(KeyId=lost)["KeyMaterialId"]
    # No effect.
    client.delete_imported_key_material(KeyId=lost)

    # Forbidden.
    for call, arguments in (
        (client.create_grant, {**grant, "KeyId": lost}),
        (client.encrypt, {"KeyId": lost, "Plaintext": b"x"}),
        (client.encrypt, {"KeyId": lost, "Plaintext": b"x", "DryRun": True}),
        (client.generate_data_key, {"KeyId": lost, "KeySpec": "AES_256"}),
        (client.generate_data_key_without_plaintext, {"KeyId": lost, "KeySpec": "AES_256"}),
        (client.generate_data_key_pair, {"KeyId": lost, "KeyPairSpec": "ECC_NIST_P256"}),
        (client.generate_data_key_pair_without_plaintext, {"KeyId": lost, "KeyPairSpec": "ECC_NIST_P256"}),
        (client.re_encrypt, {"CiphertextBlob": of_other, "DestinationKeyId": lost}),
        (client.disable_key, {"KeyId": lost}),
        (client.enable_key, {"KeyId": lost}),
        (client.rotate_key_on_demand, {"KeyId": lost}),
    ):
        pending(lost_arn, call, **arguments)
    for call in (client.enable_key_rotation, client.disable_key_rotation):
        refused("UnsupportedOperationException", call, KeyId=lost,
                says=f"{lost_arn} origin is EXTERNAL which is not valid for this operation.")
    refused("KMSInvalidStateException", client.cancel_key_deletion, says="is not pending deletion.", KeyId=lost)

    # Allowed.
    alias, moved = f"alias/{lost}", f"alias/moved-{lost}"
    client.create_alias(AliasName=alias, TargetKeyId=lost)
    assert client.describe_key(KeyId=alias)["KeyMetadata"]["KeyState"] == "PendingImport"
    client.create_alias(AliasName=moved, TargetKeyId=other)
    client.update_alias(AliasName=moved, TargetKeyId=lost)
    assert len(client.list_aliases(KeyId=lost)["Aliases"]) == 2
    client.delete_alias(AliasName=moved)
    client.tag_resource(KeyId=lost, Tags=[{"TagKey": "a", "TagValue": "b"}])
    assert client.list_resource_tags(KeyId=lost)["Tags"] == [{"TagKey": "a", "TagValue": "b"}]
    client.untag_resource(KeyId=lost, TagKeys=["a"])
    client.update_key_description(KeyId=lost, Description="waiting")
    document = policy(statement("Allow", root_arn(), "*"))
    client.put_key_policy(KeyId=lost, Policy=json.dumps(document))
    assert json.loads(client.get_key_policy(KeyId=lost)["Policy"]) == document
    assert client.list_key_policies(KeyId=lost)["PolicyNames"] == ["default"]
    assert client.get_key_rotation_status(KeyId=lost)["KeyRotationEnabled"] is False
    client.list_key_rotations(KeyId=lost)
    client.list_grants(KeyId=lost)
    client.get_parameters_for_import(KeyId=lost, **WRAPPING)
    assert client.describe_key(KeyId=lost)["KeyMetadata"]["Description"] == "waiting"

pending(arn, client.decrypt, CiphertextBlob=blob)
pending(arn, client.re_encrypt, CiphertextBlob=blob, DestinationKeyId=other)
client.revoke_grant(KeyId=key_id, GrantId=given[0]["GrantId"])
client.retire_grant(KeyId=key_id, GrantId=given[1]["GrantId"])
assert client.list_grants(KeyId=key_id)["Grants"] == []

# A deletion goes before, and leaves what was there.
found = parameters(client, key_id)
for state in ("PendingImport", "Disabled"):
    assert client.schedule_key_deletion(KeyId=key_id)["KeyState"] == "PendingDeletion"
    says = f"{arn} is pending deletion."
    refused("KMSInvalidStateException", client.get_parameters_for_import, says=says, KeyId=key_id, **WRAPPING)
    refused("KMSInvalidStateException", client.import_key_material, says=says, KeyId=key_id,
            ImportToken=found["ImportToken"], EncryptedKeyMaterial=b"x", **FOREVER)
    client.cancel_key_deletion(KeyId=key_id)
    assert client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == state
    import_material(client, key_id, found, material, **FOREVER)
assert client.decrypt(CiphertextBlob=blob)["Plaintext"] == b"kept"
client.schedule_key_deletion(KeyId=key_id)
client.delete_imported_key_material(KeyId=key_id)
assert client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingDeletion"
client.cancel_key_deletion(KeyId=key_id)
assert client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"] == "PendingImport"

# Keys of the other kinds.
hmac = create(client, "HMAC_256", "GENERATE_VERIFY_MAC")
mac = {"KeyId": hmac["KeyId"], "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
pending(hmac["Arn"], client.generate_mac, **mac)
pending(hmac["Arn"], client.verify_mac, Mac=b"x", **mac)
rsa = create(client, "RSA_2048", "ENCRYPT_DECRYPT")
oaep = {"KeyId": rsa["KeyId"], "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
pending(rsa["Arn"], client.encrypt, Plaintext=b"x", **oaep)
pending(rsa["Arn"], client.decrypt, CiphertextBlob=bytes(256), **oaep)
pending(rsa["Arn"], client.re_encrypt, CiphertextBlob=bytes(256), SourceKeyId=rsa["KeyId"],
        SourceEncryptionAlgorithm="RSAES_OAEP_SHA_256", DestinationKeyId=other)
ecc = create(client, "ECC_NIST_P256", "SIGN_VERIFY")
signing = {"KeyId": ecc["KeyId"], "Message": b"m", "SigningAlgorithm": "ECDSA_SHA_256"}
pending(ecc["Arn"], client.sign, **signing)
pending(ecc["Arn"], client.verify, Signature=b"x", **signing)
pending(ecc["Arn"], client.get_public_key, KeyId=ecc["KeyId"])
agreeing = create(client, "ECC_NIST_P384", "KEY_AGREEMENT")
pending(agreeing["Arn"], client.derive_shared_secret, KeyId=agreeing["KeyId"],
        KeyAgreementAlgorithm="ECDH", PublicKey=key_pair("ECC_NIST_P384")[1])
