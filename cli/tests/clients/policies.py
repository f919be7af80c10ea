"""Key policies: who may do what, decided by the policy of the key."""

import json

from service import kms, policy, refused, root_arn, statement, unchecked, user_arn

root, alice, bob = kms(), kms("alice"), kms("bob")


DEFAULT = """{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "%s"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}"""


def create(document=None):
    arguments = {} if document is None else {"Policy": json.dumps(document)}
    return root.create_key(**arguments)["KeyMetadata"]["KeyId"]


# A new key belongs to the account: its root may do everything, a user nothing.
key_id = create()
default = json.loads(root.get_key_policy(KeyId=key_id, PolicyName="default")["Policy"])
assert default["Statement"][0]["Principal"]["AWS"].endswith(":root"), default
blob = root.encrypt(KeyId=key_id, Plaintext=b"root's")["CiphertextBlob"]
for call, arguments in (
    (alice.encrypt, {"KeyId": key_id, "Plaintext": b"x"}),
    (alice.decrypt, {"CiphertextBlob": blob}),
    (alice.generate_data_key, {"KeyId": key_id, "KeySpec": "AES_256"}),
    (alice.describe_key, {"KeyId": key_id}),
    (alice.get_key_policy, {"KeyId": key_id, "PolicyName": "default"}),
    (alice.put_key_policy, {"KeyId": key_id, "PolicyName": "default", "Policy": json.dumps(policy())}),
    (alice.create_alias, {"AliasName": "alias/mine", "TargetKeyId": key_id}),
):
    said = refused("AccessDeniedException", call, **arguments)
    assert user_arn("alice") in said and "is not authorized to perform: kms:" in said, said
    # The key's policy leaves it to the account's.
    assert "because no identity-based policy allows the kms:" in said, said
# To the space as AWS has it.
assert root.get_key_policy(KeyId=key_id)["Policy"] == DEFAULT % root_arn()

# A caller with but a ciphertext does not learn whose it is.
said = refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob)
assert "kms:Decrypt on the resource associated with this ciphertext because" in said and key_id not in said
refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob, KeyId=key_id, says=f"key/{key_id} because")

# What belongs to no key is left to identity policies; and the Region is known.
for call, arguments in ((alice.list_keys, {}), (alice.create_key, {}), (alice.generate_random, {"NumberOfBytes": 1})):
    said = refused("AccessDeniedException", call, **arguments)
    assert "on resource: * because no identity-based policy allows the kms:" in said, said

# One user may encrypt, another may decrypt.
document = policy(
    statement("Allow", user_arn("alice"), "Encrypt", "DescribeKey"),
    statement("Allow", user_arn("bob"), "Decrypt"),
)
root.put_key_policy(KeyId=key_id, PolicyName="default", Policy=json.dumps(document))
assert json.loads(root.get_key_policy(KeyId=key_id)["Policy"]) == document
assert root.get_key_policy(KeyId=key_id)["PolicyName"] == "default"
blob = alice.encrypt(KeyId=key_id, Plaintext=b"to bob")["CiphertextBlob"]
assert bob.decrypt(CiphertextBlob=blob)["Plaintext"] == b"to bob"
assert alice.describe_key(KeyId=key_id)["KeyMetadata"]["KeyId"] == key_id
refused("AccessDeniedException", alice.decrypt, CiphertextBlob=blob)
refused(
    "AccessDeniedException", bob.encrypt, KeyId=key_id, Plaintext=b"x",
    says=f"key/{key_id} because no resource-based policy allows the kms:Encrypt action",
)
# The root administers here and nothing more.
refused("AccessDeniedException", root.decrypt, CiphertextBlob=blob)

# An explicit Deny wins over every Allow, wherever it stands.
everyone = statement("Allow", "*", "Encrypt", "Decrypt")
no_bob = statement("Deny", user_arn("bob"), "Decrypt")
for statements in ((everyone, no_bob), (no_bob, everyone)):
    key_id = create(policy(*statements))
    blob = bob.encrypt(KeyId=key_id, Plaintext=b"mine")["CiphertextBlob"]
    assert alice.decrypt(CiphertextBlob=blob)["Plaintext"] == b"mine"
    refused(
        "AccessDeniedException", bob.decrypt, CiphertextBlob=blob,
        says="with an explicit deny in a resource-based policy",
    )

# Where a request comes from, as the host says it.
for operator, network, may in (
    ("IpAddress", "127.0.0.0/8", True), ("NotIpAddress", "127.0.0.0/8", False),
    ("IpAddress", "192.0.2.0/24", False), ("NotIpAddress", "192.0.2.0/24", True),
):
    key_id = create(policy(
        statement("Allow", user_arn("alice"), "Encrypt", Condition={operator: {"aws:SourceIp": network}}),
    ))
    if may:
        alice.encrypt(KeyId=key_id, Plaintext=b"x")
    else:
        refused("AccessDeniedException", alice.encrypt, KeyId=key_id, Plaintext=b"x")

# Conditions on the encryption context.
key_id = create(policy(
    statement("Allow", user_arn("alice"), "Encrypt"),
    statement(
        "Allow", user_arn("alice"), "Decrypt",
        Condition={"StringEquals": {"kms:EncryptionContext:tenant": "north"}},
    ),
    statement(
        "Allow", user_arn("bob"), "Decrypt",
        Condition={"StringLike": {"kms:EncryptionContext:tenant": "n*th"}},
    ),
))
blobs = {
    tenant: alice.encrypt(KeyId=key_id, Plaintext=b"x", EncryptionContext={"tenant": tenant})["CiphertextBlob"]
    for tenant in ("north", "nth", "south")
}
for tenant, alice_may, bob_may in (("north", True, True), ("nth", False, True), ("south", False, False)):
    arguments = {"CiphertextBlob": blobs[tenant], "EncryptionContext": {"tenant": tenant}}
    for user, may in ((alice, alice_may), (bob, bob_may)):
        if may:
            assert user.decrypt(**arguments)["Plaintext"] == b"x"
        else:
            refused("AccessDeniedException", user.decrypt, **arguments)
bare = alice.encrypt(KeyId=key_id, Plaintext=b"x")["CiphertextBlob"]
refused("AccessDeniedException", alice.decrypt, CiphertextBlob=bare)
refused("AccessDeniedException", bob.decrypt, CiphertextBlob=bare)

# A user who may use the key by one alias only, and not by its id or another alias.
key_id = create()
for name in ("alias/payroll", "alias/other"):
    root.create_alias(AliasName=name, TargetKeyId=key_id)
by_alias = statement(
    "Allow", user_arn("alice"), "Encrypt",
    Condition={"StringEquals": {"kms:RequestAlias": "alias/payroll"}},
)
root.put_key_policy(KeyId=key_id, Policy=json.dumps(policy(by_alias)))
alias_arn = root.list_aliases(KeyId=key_id)["Aliases"][1]["AliasArn"]
assert alias_arn.endswith(":alias/payroll"), alias_arn
for name in ("alias/payroll", alias_arn):
    assert alice.encrypt(KeyId=name, Plaintext=b"x")["KeyId"].endswith(key_id)
for name in (key_id, "alias/other"):
    refused("AccessDeniedException", alice.encrypt, KeyId=name, Plaintext=b"x")

# What is no policy is refused when it is put, and the old one stays.
before = root.get_key_policy(KeyId=key_id)["Policy"]
for malformed in (
    "{",
    "[]",
    json.dumps({"Version": "2012-10-17"}),
    json.dumps(policy({"Effect": "Perhaps", "Principal": "*", "Action": "kms:*", "Resource": "*"})),
    json.dumps(policy(statement("Allow", "*", "Encrypt", Condition={"StringSounds": {"a": "b"}}))),
    json.dumps({"module": "nobody", "config": {}}),
    json.dumps({"module": "attested", "config": {"measurements": []}}),
):
    refused(
        "MalformedPolicyDocumentException", root.put_key_policy,
        KeyId=key_id, PolicyName="default", Policy=malformed,
    )
assert root.get_key_policy(KeyId=key_id)["Policy"] == before
for principal in ("nobody", "arn:aws:iam::111122223333:group/all", "arn:aws::111122223333:root"):
    refused(
        "MalformedPolicyDocumentException", root.put_key_policy, KeyId=key_id,
        Policy=json.dumps(policy(statement("Allow", principal, "Encrypt"))),
        says="Policy contains a statement with one or more invalid principals. Statement[1].Principal",
    )

# A policy that would lock its author out is refused unless it is asked for.
locked = json.dumps({"Version": "2012-10-17", "Statement": [statement("Allow", user_arn("alice"), "Decrypt")]})
refused(
    "MalformedPolicyDocumentException", root.put_key_policy,
    KeyId=key_id, PolicyName="default", Policy=locked,
)
root.put_key_policy(
    KeyId=key_id, PolicyName="default", Policy=locked, BypassPolicyLockoutSafetyCheck=True
)
refused("AccessDeniedException", root.get_key_policy, KeyId=key_id)
refused("NotFoundException", root.get_key_policy, KeyId=create(), PolicyName="other")
