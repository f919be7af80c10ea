"""Request quotas: CreateKey once in two seconds, ten symmetric operations a second, none for others.

The service is started with these; botocore's own retries are what an application would have.
"""

import json
import os
import subprocess
import time

from botocore.config import Config
from botocore.exceptions import ClientError
from service import kms, refused, root_arn

TEXT = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls."

client = kms()
key = client.create_key()["KeyMetadata"]["KeyId"]
said = refused("ThrottlingException", client.create_key)
assert said == TEXT, said
# Other users of the account share it, and other operations do not.
refused("ThrottlingException", kms("alice").create_key)
for _ in range(30):
    client.describe_key(KeyId=key)
# What is not valid is refused for that.
refused("ValidationException", client.create_key, KeySpec="SYMMETRIC_DEFAULT", CustomerMasterKeySpec="SYMMETRIC_DEFAULT")

# An SDK that repeats with growing pauses comes through.
for mode in ("standard", "adaptive", "legacy"):
    patient = kms(config=Config(retries={"mode": mode, "total_max_attempts": 8}))
    answer = patient.create_key()
    if mode == "standard":
        refused("ThrottlingException", client.create_key)
    assert answer["KeyMetadata"]["Enabled"]

# What cryptography shares: Encrypt uses up what GenerateRandom would have had.
time.sleep(1.1)
done, throttled = 0, 0
end = time.monotonic() + 1
while time.monotonic() < end or not throttled:
    try:
        client.encrypt(KeyId=key, Plaintext=b"x")
        done += 1
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ThrottlingException", error
        throttled += 1
        try:
            client.generate_random(NumberOfBytes=8)
            done += 1
        except ClientError as error:
            throttled += 1
assert throttled and 10 <= done <= 40, (done, throttled)
patient = kms(config=Config(retries={"mode": "standard", "total_max_attempts": 8}))
for _ in range(15):
    patient.encrypt(KeyId=key, Plaintext=b"x")

# The records of what was refused say why, as those of other refusals do.
exported = subprocess.run(
    [os.environ["SEKISHO"], "audit", "export", "--data-dir", os.environ["SEKISHO_DATA"]],
    capture_output=True, check=True,
)
records = [json.loads(line) for line in exported.stdout.splitlines()]
of_create_key = [one for one in records if one["operation"] == "CreateKey" and one["error"]]
assert len(of_create_key) >= 5, of_create_key
for record in records:
    if record["error"] == "ThrottlingException":
        assert record["outcome"] == "refused" and record["decision"] is None, record
        assert record["reason"].startswith("the request quota ") and record["reason"].endswith(" is used up"), record
assert {record["reason"] for record in records if record["error"] == "ThrottlingException"} == {
    "the request quota CreateKey is used up",
    "the request quota Cryptographic operations (symmetric) is used up",
}
# The quotas are part of what the worker's attestation measures, and the folder knows them.
subprocess.run(
    [os.environ["SEKISHO"], "audit", "verify", "--data-dir", os.environ["SEKISHO_DATA"]],
    capture_output=True, check=True,
)
assert root_arn() in {record["principal"] for record in of_create_key}
