"""What one start made, the next one finds: `make` before, `find` after."""

import base64
import json
import os
import sys
from pathlib import Path

from service import kms, refused

state = Path(sys.argv[2])
client = kms()
if sys.argv[1] == "make":
    keys = [client.create_key(Description=f"key {n}")["KeyMetadata"] for n in range(3)]
    client.create_alias(AliasName="alias/kept", TargetKeyId=keys[0]["KeyId"])
    state.write_text(json.dumps({
        "keys": [key["Arn"] for key in keys],
        "blobs": [
            base64.b64encode(client.encrypt(KeyId=key["KeyId"], Plaintext=b"kept")["CiphertextBlob"]).decode()
            for key in keys
        ],
        "policy": client.get_key_policy(KeyId=keys[0]["KeyId"])["Policy"],
    }))
else:
    kept = json.loads(state.read_text())
    assert {key["KeyArn"] for key in client.list_keys()["Keys"]} == set(kept["keys"])
    for n, (arn, blob) in enumerate(zip(kept["keys"], kept["blobs"])):
        assert client.describe_key(KeyId=arn)["KeyMetadata"]["Description"] == f"key {n}"
        assert client.decrypt(CiphertextBlob=base64.b64decode(blob))["Plaintext"] == b"kept"
    assert client.describe_key(KeyId="alias/kept")["KeyMetadata"]["Arn"] == kept["keys"][0]
    assert client.get_key_policy(KeyId=kept["keys"][0])["Policy"] == kept["policy"]
    refused("AlreadyExistsException", client.create_alias, AliasName="alias/kept", TargetKeyId=kept["keys"][1])
