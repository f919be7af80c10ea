"""Grants: whom they let, how far, and how they end."""

import json

from service import kms, policy, refused, root_arn, statement, unchecked, user_arn

client, raw, alice, bob = kms(), unchecked(), kms("alice"), kms("bob")
key = client.create_key()["KeyMetadata"]
key_id, arn = key["KeyId"], key["Arn"]
other = client.create_key()["KeyMetadata"]["KeyId"]
paper = {"paper": "passport"}
blob = client.encrypt(KeyId=key_id, Plaintext=b"through", EncryptionContext=paper)["CiphertextBlob"]


def ids(answer):
    return {grant["GrantId"] for grant in answer["Grants"]}


def opens(who):
    return who.decrypt(CiphertextBlob=blob, EncryptionContext=paper)["Plaintext"] == b"through"


def closed(who):
    refused("AccessDeniedException", who.decrypt, CiphertextBlob=blob, EncryptionContext=paper)


closed(alice)
made = client.create_grant(
    KeyId=arn, GranteePrincipal=user_arn("alice"), Operations=["Decrypt", "DescribeKey"], Name="for-alice",
    Constraints={"EncryptionContextSubset": paper}, RetiringPrincipal=user_arn("bob"),
)
first = made["GrantId"]
assert len(first) == 64 and made["GrantToken"]
assert opens(alice) and alice.describe_key(KeyId=key_id, GrantTokens=[made["GrantToken"]])["KeyMetadata"]["Arn"] == arn
closed(bob)
refused("AccessDeniedException", alice.encrypt, KeyId=key_id, Plaintext=b"x")
refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob)
refused("AccessDeniedException", alice.disable_key, KeyId=key_id)
refused("DryRunOperationException", alice.decrypt, CiphertextBlob=blob, EncryptionContext=paper, DryRun=True)
refused("ValidationException", raw.describe_key, KeyId=key_id, GrantTokens=["t"] * 11)
client.encrypt(KeyId=key_id, Plaintext=b"x", GrantTokens=["one that says nothing here"])
refused("InvalidMarkerException", client.list_grants, KeyId=key_id, Marker="nowhere")

# How a grant is described, and found.
[grant] = client.list_grants(KeyId=key_id)["Grants"]
assert grant["GrantId"] == first and grant["KeyId"] == arn and grant["Name"] == "for-alice"
assert grant["GranteePrincipal"] == user_arn("alice") and grant["RetiringPrincipal"] == user_arn("bob")
assert grant["Operations"] == ["Decrypt", "DescribeKey"] and grant["IssuingAccount"] == root_arn()
assert grant["Constraints"] == {"EncryptionContextSubset": paper} and grant["CreationDate"]
same = client.create_grant(
    KeyId=arn, GranteePrincipal=user_arn("alice"), Operations=["DescribeKey", "Decrypt"], Name="for-alice",
    Constraints={"EncryptionContextSubset": paper}, RetiringPrincipal=user_arn("bob"),
)
assert same["GrantId"] == first, "the same under the same name is a retry"
assert same["GrantToken"] != made["GrantToken"], "each token is another"
more = {
    client.create_grant(KeyId=key_id, GranteePrincipal=user_arn("bob"), Operations=["Encrypt"],
                        RetiringPrincipal=user_arn("bob"))["GrantId"]
    for _ in range(4)
}
assert ids(client.list_grants(KeyId=key_id)) == more | {first}
assert ids(client.list_grants(KeyId=key_id, GranteePrincipal=user_arn("bob"))) == more
assert ids(client.list_grants(KeyId=key_id, GrantId=first)) == {first}
refused("NotFoundException", client.list_grants, KeyId=key_id, GrantId="0" * 64)
elsewhere = client.create_grant(KeyId=other, GranteePrincipal=user_arn("alice"), Operations=["Encrypt"],
                                RetiringPrincipal=user_arn("bob"))["GrantId"]
for call, arguments, wanted in (
    (client.list_grants, {"KeyId": key_id}, more | {first}),
    (client.list_retirable_grants, {"RetiringPrincipal": user_arn("bob")}, more | {first, elsewhere}),
):
    found, marker = set(), {}
    while True:
        page = call(Limit=2, **arguments, **marker)
        assert not found & ids(page)
        found |= ids(page)
        if not page["Truncated"]:
            break
        marker = {"Marker": page["NextMarker"]}
    assert found == wanted
assert client.list_retirable_grants(RetiringPrincipal=user_arn("alice"))["Grants"] == []

# An exact context, and a policy's denial, which is stronger than any grant.
exact = client.create_grant(KeyId=key_id, GranteePrincipal=user_arn("bob"), Operations=["Decrypt"],
                            Constraints={"EncryptionContextEquals": {"paper": "permit"}})["GrantId"]
closed(bob)
client.revoke_grant(KeyId=key_id, GrantId=exact)
denies = policy(statement("Allow", root_arn(), "*"), statement("Deny", user_arn("alice"), "Decrypt"))
client.put_key_policy(KeyId=key_id, Policy=json.dumps(denies))
closed(alice)
client.put_key_policy(KeyId=key_id, Policy=json.dumps(policy(statement("Allow", root_arn(), "*"))))
assert opens(alice)

# Nobody gives more than they have been given.
giver = client.create_grant(KeyId=key_id, GranteePrincipal=user_arn("bob"), Operations=["CreateGrant", "Decrypt"],
                            Constraints={"EncryptionContextSubset": paper})["GrantId"]
give = {"KeyId": key_id, "GranteePrincipal": user_arn("alice")}
refused("AccessDeniedException", bob.create_grant, Operations=["Encrypt"], **give)
refused("AccessDeniedException", bob.create_grant, Operations=["Decrypt"], **give)
given = bob.create_grant(Operations=["Decrypt"], Constraints={"EncryptionContextEquals": paper}, **give)
refused("AccessDeniedException", bob.revoke_grant, KeyId=key_id, GrantId=given["GrantId"])
client.revoke_grant(KeyId=key_id, GrantId=given["GrantId"])
client.revoke_grant(KeyId=key_id, GrantId=giver)
closed(bob)

# How grants end: retired by whom they name, revoked by whom the policy lets.
refused("AccessDeniedException", alice.retire_grant, GrantToken=made["GrantToken"])
refused("DryRunOperationException", bob.retire_grant, GrantToken=made["GrantToken"], DryRun=True)
assert opens(alice)
bob.retire_grant(GrantToken=same["GrantToken"])
closed(alice)
refused("AccessDeniedException", bob.retire_grant, KeyId=arn, GrantId=first)
assert ids(client.list_retirable_grants(RetiringPrincipal=user_arn("bob"))) == more | {elsewhere}
bob.retire_grant(KeyId=client.describe_key(KeyId=other)["KeyMetadata"]["Arn"], GrantId=elsewhere)
for one in more:
    client.revoke_grant(KeyId=key_id, GrantId=one)
said = refused("NotFoundException", client.revoke_grant, KeyId=key_id, GrantId=first)
assert said == f"Grant ID {first} not found", said
assert client.list_grants(KeyId=key_id)["Grants"] == []
refused("InvalidGrantTokenException", client.retire_grant, GrantToken="nobody's")

# What is refused before anybody is asked.
for wrong in (
    {"GranteePrincipal": user_arn("alice"), "Operations": ["DECRYPT"]},
    {"GranteePrincipal": user_arn("alice")},
    {"Operations": ["Decrypt"]},
    {"GranteePrincipal": "a b", "Operations": ["Decrypt"]},
    {"GranteePrincipal": user_arn("alice"), "Operations": ["Decrypt"],
     "Constraints": {"EncryptionContextSubset": {"a": "b"}, "EncryptionContextEquals": {"a": "b"}}},
    {"GranteePrincipal": user_arn("alice"), "Operations": ["Decrypt"],
     "Constraints": {"EncryptionContextSubset": {"a": "b" * 400}}},
):
    refused("ValidationException", raw.create_grant, KeyId=key_id, **wrong)
refused("InvalidArnException", client.create_grant, says="ARN does not refer to a valid principal: alice",
        KeyId=key_id, GranteePrincipal="alice", Operations=["Decrypt"])
refused("ValidationException", client.create_grant, says="Grants must not contain only the CreateGrant operation.",
        KeyId=key_id, GranteePrincipal=user_arn("alice"), Operations=["CreateGrant"])

# A grant is for what its key can do.
EVERY = ["DescribeKey", "RetireGrant", "CreateGrant"]
KINDS = [
    ({}, ["Decrypt", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
          "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"]),
    ({"KeySpec": "RSA_2048", "KeyUsage": "ENCRYPT_DECRYPT"},
     ["Decrypt", "Encrypt", "GetPublicKey", "ReEncryptFrom", "ReEncryptTo"]),
    ({"KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY"}, ["GetPublicKey", "Sign", "Verify"]),
    ({"KeySpec": "HMAC_256", "KeyUsage": "GENERATE_VERIFY_MAC"}, ["GenerateMac", "VerifyMac"]),
    ({"KeySpec": "ECC_NIST_P256", "KeyUsage": "KEY_AGREEMENT"}, ["DeriveSharedSecret", "GetPublicKey"]),
    ({"KeySpec": "ML_KEM_512", "KeyUsage": "ENCAPSULATE_DECAPSULATE"}, ["Decapsulate", "Encapsulate", "GetPublicKey"]),
]
for kind, own in KINDS:
    kind_arn = client.create_key(**kind)["KeyMetadata"]["Arn"]
    giving = {"KeyId": kind_arn, "GranteePrincipal": user_arn("alice")}
    client.create_grant(Operations=own + EVERY, **giving)
    for operation in {one for _, others in KINDS for one in others} - set(own):
        refused("ValidationException", client.create_grant, says=f"Operation {operation} is not supported",
                Operations=["DescribeKey", operation], **giving)
    if kind:
        refused("ValidationException", client.create_grant, Operations=own,
                Constraints={"EncryptionContextSubset": paper}, **giving)
refused("UnsupportedOperationException", client.create_grant, KeyId=key_id, GranteeServicePrincipal="s3.amazonaws.com",
        Operations=["Decrypt"])
refused("ValidationException", raw.retire_grant, KeyId=arn)
client.disable_key(KeyId=key_id)
refused("DisabledException", client.create_grant, Operations=["Decrypt"], **give)
