"""Keys and aliases: names, and long lists in pages."""

from service import ACCOUNT, REGION, kms, refused

client = kms()

keys = {client.create_key()["KeyMetadata"]["KeyId"] for _ in range(7)}

# In pages of every size, each key once.
for size in (1, 2, 3, 7, 100):
    found, marker, pages = [], {}, 0
    while True:
        page = client.list_keys(Limit=size, **marker)
        assert len(page["Keys"]) <= size
        for key in page["Keys"]:
            assert key["KeyArn"] == f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key['KeyId']}"
        found += [key["KeyId"] for key in page["Keys"]]
        pages += 1
        if not page["Truncated"]:
            assert "NextMarker" not in page
            break
        marker = {"Marker": page["NextMarker"]}
    assert len(found) == len(set(found)) and set(found) == keys
    assert pages == -(-len(keys) // size)
paginated = client.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2})
assert {key["KeyId"] for page in paginated for key in page["Keys"]} == keys
refused("InvalidMarkerException", client.list_keys, Marker="not one of ours")

# Aliases name a key wherever a key is named.
key_id, other = sorted(keys)[:2]
client.create_alias(AliasName="alias/letters", TargetKeyId=key_id)
client.create_alias(AliasName="alias/team/post-office_2", TargetKeyId=key_id)
client.create_alias(AliasName="alias/other", TargetKeyId=other)
alias_arn = f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/letters"
for name in ("alias/letters", alias_arn, "alias/team/post-office_2"):
    assert client.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key_id
blob = client.encrypt(KeyId="alias/letters", Plaintext=b"by name")["CiphertextBlob"]
assert client.decrypt(CiphertextBlob=blob, KeyId=alias_arn)["Plaintext"] == b"by name"

listed = {alias["AliasName"]: alias for alias in client.list_aliases()["Aliases"]}
assert listed["alias/letters"]["AliasArn"] == alias_arn
assert listed["alias/letters"]["TargetKeyId"] == key_id
assert "CreationDate" in listed["alias/letters"]
of_key = client.list_aliases(KeyId=key_id)["Aliases"]
assert {alias["AliasName"] for alias in of_key} == {"alias/letters", "alias/team/post-office_2"}
paginated = client.get_paginator("list_aliases").paginate(PaginationConfig={"PageSize": 1})
names = [alias["AliasName"] for page in paginated for alias in page["Aliases"]]
assert sorted(names) == sorted(listed)

refused("AlreadyExistsException", client.create_alias, AliasName="alias/letters", TargetKeyId=other)
refused("NotFoundException", client.describe_key, KeyId="alias/nobody")
refused(
    "NotFoundException", client.create_alias,
    AliasName="alias/new", TargetKeyId="00000000-0000-0000-0000-000000000000",
)
refused("NotAuthorizedException", client.create_alias, AliasName="alias/aws/s3", TargetKeyId=key_id)
for name in ("letters", "alias/", "alias/a b"):
    try:
        client.create_alias(AliasName=name, TargetKeyId=key_id)
    except client.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in ("ValidationException", "InvalidAliasNameException"), error
    else:
        raise AssertionError(f"{name!r} is no alias")

# What is answered is nobody's to keep.
headers = client.list_keys()["ResponseMetadata"]["HTTPHeaders"]
assert headers["cache-control"] == "no-cache, no-store, must-revalidate, private", headers
assert headers["expires"] == "0" and headers["pragma"] == "no-cache", headers
