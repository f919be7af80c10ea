"""Errors as AWS KMS gives them: code, HTTP status, and words where they are known."""

import boto3
from service import CONFIG, kms, refused, unchecked

client, raw = kms(), unchecked()
key = client.create_key()["KeyMetadata"]
key_id, arn = key["KeyId"], key["Arn"]
other = client.create_key()["KeyMetadata"]["KeyId"]
blob = client.encrypt(KeyId=key_id, Plaintext=b"plain", EncryptionContext={"a": "b"})["CiphertextBlob"]
context = {"EncryptionContext": {"a": "b"}}

# Keys that are not there.
absent = "00000000-0000-0000-0000-000000000000"
for call, arguments in (
    (client.describe_key, {"KeyId": absent}),
    (client.describe_key, {"KeyId": arn.replace(key_id, absent)}),
    (client.encrypt, {"KeyId": absent, "Plaintext": b"x"}),
    (client.generate_data_key, {"KeyId": absent, "KeySpec": "AES_256"}),
    (client.get_key_policy, {"KeyId": absent}),
    (client.decrypt, {"KeyId": absent, "CiphertextBlob": blob, **context}),
    (client.describe_key, {"KeyId": "not-a-key"}),
):
    refused("NotFoundException", call, **arguments)
said = refused("NotFoundException", client.describe_key, KeyId=absent)
assert said == f"Key '{arn.replace(key_id, absent)}' does not exist", said

# Ciphertexts that are not ours, or not whole.
for position in (0, 1, len(blob) // 2, len(blob) - 1):
    changed = bytearray(blob)
    changed[position] ^= 1
    refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=bytes(changed), **context)
for cut in (blob[:-1], blob[:20], blob + b"\0", b"not a ciphertext", b"\0" * 6144):
    refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=cut, **context)
refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=blob)
refused("IncorrectKeyException", client.decrypt, CiphertextBlob=blob, KeyId=other, **context)

# Parameters out of bounds.
for call, arguments in (
    (raw.encrypt, {"KeyId": key_id, "Plaintext": b""}),
    (raw.encrypt, {"KeyId": key_id, "Plaintext": b"x" * 4097}),
    (raw.encrypt, {"Plaintext": b"x"}),
    (raw.encrypt, {"KeyId": "", "Plaintext": b"x"}),
    (raw.encrypt, {"KeyId": "k" * 2049, "Plaintext": b"x"}),
    (raw.encrypt, {"KeyId": key_id, "Plaintext": b"x", "EncryptionAlgorithm": "ROT13"}),
    (raw.decrypt, {"CiphertextBlob": b""}),
    (raw.decrypt, {"CiphertextBlob": b"x" * 6145}),
    (raw.generate_data_key, {"KeyId": key_id}),
    (raw.generate_data_key, {"KeyId": key_id, "KeySpec": "AES_256", "NumberOfBytes": 32}),
    (raw.generate_data_key, {"KeyId": key_id, "NumberOfBytes": 0}),
    (raw.generate_data_key, {"KeyId": key_id, "NumberOfBytes": 1025}),
    (raw.generate_data_key, {"KeyId": key_id, "KeySpec": "AES_512"}),
    (raw.list_keys, {"Limit": 0}),
    (raw.list_keys, {"Limit": 1001}),
    (raw.create_key, {"KeySpec": "AES_1"}),
    (raw.create_key, {"KeyUsage": "ANYTHING"}),
    (raw.create_key, {"Description": "d" * 8193}),
):
    refused("ValidationException", call, **arguments)
said = refused("ValidationException", raw.generate_data_key, KeyId=key_id, KeySpec="AES_512")
assert said.startswith("1 validation error detected: Value 'AES_512' at 'keySpec' failed to satisfy constraint"), said

# Resource quota "Key policy document size": 32 KiB, below the 128 KiB of the service model.
document = client.get_key_policy(KeyId=other)["Policy"]
longest = document + " " * (32 * 1024 - len(document))
client.put_key_policy(KeyId=other, Policy=longest)
refused("LimitExceededException", client.put_key_policy, KeyId=other, Policy=longest + " ")
refused("LimitExceededException", client.create_key, Policy=longest + " ")

# What AWS has and this service has not yet, by name and without pretending.
for call, arguments in (
    (client.create_key, {"KeySpec": "SM2", "KeyUsage": "SIGN_VERIFY"}),
    (client.create_key, {"Origin": "EXTERNAL_KEY_STORE"}),
):
    refused("UnsupportedOperationException", call, **arguments)

# Credentials.
credentials = boto3.Session(profile_name="default").get_credentials()
last = "y" if credentials.secret_key.endswith("x") else "x"
for access_key, secret, code in (
    (credentials.access_key, credentials.secret_key[:-1] + last, "InvalidSignatureException"),
    (credentials.access_key, "wrong", "InvalidSignatureException"),
    ("AKIAIOSFODNN7EXAMPLE", credentials.secret_key, "UnrecognizedClientException"),
):
    stranger = boto3.client("kms", aws_access_key_id=access_key, aws_secret_access_key=secret, config=CONFIG)
    refused(code, stranger.list_keys)
token = boto3.client(
    "kms", aws_access_key_id=credentials.access_key, aws_secret_access_key=credentials.secret_key,
    aws_session_token="a token that nobody gave out", config=CONFIG,
)
refused("UnrecognizedClientException", token.list_keys)
elsewhere = kms(region_name="mars-north-1")
refused("InvalidSignatureException", elsewhere.list_keys)
