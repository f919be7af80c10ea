"""Aliases that move and go, tags that come and go, and the listings of both."""

from service import kms, refused, root_arn, unchecked

client, raw = kms(), unchecked()
first, second = (client.create_key()["KeyMetadata"] for _ in range(2))


def aliases(key):
    return [alias["AliasName"] for alias in client.list_aliases(KeyId=key["KeyId"])["Aliases"]]


def pages(call, member, **arguments):
    """All items of a listing in pages of two, each item once."""
    found, marker = [], {}
    while True:
        page = call(Limit=2, **arguments, **marker)
        assert len(page[member]) <= 2
        found += page[member]
        if not page["Truncated"]:
            assert "NextMarker" not in page
            return found
        marker = {"Marker": page["NextMarker"]}


# An alias moves from one key to another, and what it names moves with it.
for name in ("alias/moving", "alias/other", "alias/third"):
    client.create_alias(AliasName=name, TargetKeyId=first["KeyId"])
blob = client.encrypt(KeyId="alias/moving", Plaintext=b"first")["CiphertextBlob"]
client.update_alias(AliasName="alias/moving", TargetKeyId=second["Arn"])
assert aliases(first) == ["alias/other", "alias/third"] and aliases(second) == ["alias/moving"]
assert client.describe_key(KeyId="alias/moving")["KeyMetadata"]["Arn"] == second["Arn"]
refused("IncorrectKeyException", client.decrypt, CiphertextBlob=blob, KeyId="alias/moving")
[moved] = client.list_aliases(KeyId=second["Arn"])["Aliases"]
assert moved["LastUpdatedDate"] > moved["CreationDate"] and moved["TargetKeyId"] == second["KeyId"]
client.update_alias(AliasName="alias/moving", TargetKeyId=second["KeyId"])
assert aliases(second) == ["alias/moving"]

client.delete_alias(AliasName="alias/other")
assert aliases(first) == ["alias/third"]
missing = client.meta.region_name
said = refused("NotFoundException", client.delete_alias, AliasName="alias/other")
assert said == f"Alias arn:aws:kms:{missing}:000000000000:alias/other is not found.", said
refused("NotFoundException", client.update_alias, AliasName="alias/other", TargetKeyId=first["KeyId"])
refused("NotFoundException", client.describe_key, KeyId="alias/other")
client.create_alias(AliasName="alias/other", TargetKeyId=second["KeyId"])
found = pages(client.list_aliases, "Aliases")
assert [alias["AliasName"] for alias in found] == ["alias/moving", "alias/other", "alias/third"]
refused("InvalidArnException", client.list_aliases, KeyId="alias/third")
refused("ValidationException", client.update_alias, AliasName="alias/third", TargetKeyId="alias/other")

# A key that goes keeps its aliases, and may lose them, but gets no new one.
client.schedule_key_deletion(KeyId=first["KeyId"])
refused("KMSInvalidStateException", client.update_alias, AliasName="alias/other", TargetKeyId=first["KeyId"])
client.update_alias(AliasName="alias/third", TargetKeyId=second["KeyId"])
client.cancel_key_deletion(KeyId=first["KeyId"])

# Tags.
key = client.create_key(Tags=[{"TagKey": "b", "TagValue": "1"}, {"TagKey": "a", "TagValue": ""}])["KeyMetadata"]
key_id = key["KeyId"]


def tags(**arguments):
    return {tag["TagKey"]: tag["TagValue"] for tag in client.list_resource_tags(KeyId=key_id, **arguments)["Tags"]}


assert tags() == {"a": "", "b": "1"}
client.tag_resource(KeyId=key["Arn"], Tags=[{"TagKey": "b", "TagValue": "2"}, {"TagKey": "c", "TagValue": "関"}])
assert tags() == {"a": "", "b": "2", "c": "関"}
client.untag_resource(KeyId=key_id, TagKeys=["a", "never there"])
assert tags() == {"b": "2", "c": "関"}
many = [{"TagKey": f"tag {n:02}", "TagValue": str(n)} for n in range(48)]
client.tag_resource(KeyId=key_id, Tags=many)
assert len(pages(client.list_resource_tags, "Tags", KeyId=key_id)) == 50
refused("LimitExceededException", client.tag_resource, KeyId=key_id, Tags=[{"TagKey": "one more", "TagValue": ""}])
assert len(tags()) == 50
for wrong in ([{"TagKey": "aws:x", "TagValue": ""}], [{"TagKey": "d", "TagValue": v} for v in "12"]):
    refused("TagException", client.tag_resource, KeyId=key_id, Tags=wrong)
for wrong in ({"TagKey": "a & b", "TagValue": ""}, {"TagKey": "a", "TagValue": "b, c"}):
    refused("TagException", client.tag_resource, says="Invalid tag", KeyId=key_id, Tags=[wrong])
    refused("TagException", client.create_key, says="Invalid tag", Tags=[wrong])
refused("TagException", client.untag_resource, KeyId=key_id, TagKeys=["aws:x"])
for call, arguments in (
    (raw.tag_resource, {"KeyId": key_id}),
    (raw.tag_resource, {"KeyId": key_id, "Tags": [{"TagKey": "", "TagValue": ""}]}),
    (raw.tag_resource, {"KeyId": key_id, "Tags": [{"TagKey": "k", "TagValue": "v" * 257}]}),
    (raw.untag_resource, {"KeyId": key_id}),
    (raw.untag_resource, {"KeyId": key_id, "TagKeys": ["k" * 129]}),
    (raw.list_resource_tags, {"KeyId": key_id, "Limit": 0}),
):
    refused("ValidationException", call, **arguments)
refused("InvalidMarkerException", client.list_resource_tags, KeyId=key_id, Marker="nowhere")
client.schedule_key_deletion(KeyId=key_id)
refused("KMSInvalidStateException", client.tag_resource, KeyId=key_id, Tags=[])
refused("KMSInvalidStateException", client.untag_resource, KeyId=key_id, TagKeys=["b"])
assert len(tags()) == 50

# The one name that a key policy has.
policies = client.list_key_policies(KeyId=second["Arn"])
assert policies["PolicyNames"] == ["default"] and policies["Truncated"] is False
assert root_arn() in client.get_key_policy(KeyId=second["KeyId"])["Policy"]
