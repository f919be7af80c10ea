"""The audit record of every operation: operation, principal, key, decision and deciding policy.

Each operation is asked for once by the account's root, who may, and once by a user, who may not; the
records are those that the auditor exports. Which members name a key is read from AWS's model.
"""

import json
import os
import re
import subprocess

from botocore.loaders import Loader
from service import REGION, root_arn, user_arn
from state import OTHER_REGION, State
from wire import call

MODEL = Loader().load_service_model("kms", "service-2")
# In the order in which they are `key` and `second_key`.
KEY_MEMBERS = ("SourceKeyId", "KeyId", "TargetKeyId", "DestinationKeyId")
# About all keys of the account, though they may name one to look at.
ABOUT_THE_ACCOUNT = {"ListAliases"}
# Which more than one policy has to allow.
DECIDED_TWICE = {"CreateAlias", "DeleteAlias", "ReEncrypt", "ReplicateKey", "UpdateAlias", "UpdatePrimaryRegion"}


def export():
    out = subprocess.run(
        [os.environ["SEKISHO"], "audit", "export", "--data-dir", os.environ["SEKISHO_DATA"]],
        capture_output=True, check=True,
    )
    records = [json.loads(line) for line in out.stdout.splitlines()]
    return {record["request_id"]: record for record in records}


def arn(client, name):
    return client.describe_key(KeyId=name)["KeyMetadata"]["Arn"]


def asked_for(state, operation, request):
    """ARNs of the keys that a request is about: one or two, or none."""
    shape = MODEL["shapes"][MODEL["operations"][operation]["input"]["shape"]]
    named = [request[member] for member in KEY_MEMBERS if member in request and member in shape["members"]]
    if operation in ABOUT_THE_ACCOUNT:
        return []
    if operation in ("Decrypt", "ReEncrypt"):
        named.insert(0, state.symmetric)
    if operation in ("DeleteAlias", "UpdateAlias"):
        named.insert(0, request["AliasName"])
    found = [arn(state.client, name) for name in named]
    if operation == "UpdatePrimaryRegion":
        found.append(found[0].replace(f":{REGION}:", f":{OTHER_REGION}:"))
    return found


def main():
    state, asked = State(), []
    for operation in sorted(MODEL["operations"]):
        for profile, principal in (("alice", user_arn("alice")), ("default", root_arn())):
            request = state.request(operation)
            keys = asked_for(state, operation, request)
            answer = call(operation, request, profile)
            if profile == "default" and operation == "CreateKey" and answer.status == 200:
                keys = [answer.body["KeyMetadata"]["Arn"]]
            asked.append((operation, principal, keys, answer))
            # What the root did not come to delete, the next would find.
            for alias in state.client.list_aliases()["Aliases"]:
                state.client.delete_alias(AliasName=alias["AliasName"])
    records = export()
    for operation, principal, keys, answer in asked:
        record = records[answer.request_id]
        of = f"{operation} by {principal}: {answer.code} {answer.message} {record}"
        assert record["operation"] == operation and record["principal"] == principal, of
        assert re.fullmatch("[0-9a-f]{64}", (record["decision"] or {}).get("module", "")), of
        allowed = principal == root_arn()
        assert record["decision"]["allowed"] is allowed, of
        others = [value for name, value in record["decision"]["annotations"] if name.startswith("policy for ")]
        assert not allowed or bool(others) is (operation in DECIDED_TWICE), of
        assert all(re.fullmatch("[0-9a-f]{64}", other) for other in others), of
        assert allowed or (record["error"] == answer.code == "AccessDeniedException" and record["reason"]), of
        assert not allowed or record["error"] == answer.code, of
        found = [record["key"], record.get("second_key")]
        assert found == [*keys, None, None][:2], f"{keys}: {of}"
        assert keys or record["resource"] == "*", of
        named = record["resource"]
        assert named is None or named == "*" or ":alias/" in named, of
    assert len(asked) == 2 * len(MODEL["operations"]), len(asked)
    print(f"{len(asked)} records")


main()
