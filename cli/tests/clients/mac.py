"""HMAC keys: what they are, what they make, and what they refuse."""

import os

from service import kms, refused, unchecked

client, raw = kms(), unchecked()
LENGTHS = {"224": 28, "256": 32, "384": 48, "512": 64}

for bits, length in LENGTHS.items():
    spec, algorithm = f"HMAC_{bits}", f"HMAC_SHA_{bits}"
    key = client.create_key(KeySpec=spec, KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
    assert key["KeySpec"] == spec and key["KeyUsage"] == "GENERATE_VERIFY_MAC"
    assert key["MacAlgorithms"] == [algorithm] and "EncryptionAlgorithms" not in key
    assert "CurrentKeyMaterialId" not in key
    arguments = {"KeyId": key["KeyId"], "MacAlgorithm": algorithm}
    for message in (b"m", os.urandom(4096)):
        made = client.generate_mac(Message=message, **arguments)
        assert made["KeyId"] == key["Arn"] and made["MacAlgorithm"] == algorithm
        assert len(made["Mac"]) == length
        assert client.generate_mac(Message=message, **arguments)["Mac"] == made["Mac"]
        verified = client.verify_mac(Message=message, Mac=made["Mac"], **arguments)
        assert verified["MacValid"] is True and verified["KeyId"] == key["Arn"]
        changed = bytes([made["Mac"][0] ^ 1]) + made["Mac"][1:]
        for wrong in (changed, made["Mac"][:-1], made["Mac"] + b"\0", b"x"):
            refused("KMSInvalidMacException", client.verify_mac, Message=message, Mac=wrong, **arguments)
        refused("KMSInvalidMacException", client.verify_mac, Message=message + b"x" if len(message) < 9 else b"y",
                Mac=made["Mac"], **arguments)

# A key for one thing does nothing else.
arn = key["Arn"]
said = refused("InvalidKeyUsageException", client.encrypt, KeyId=arn, Plaintext=b"x")
assert said == f"{arn} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.", said
refused("InvalidKeyUsageException", client.generate_data_key, KeyId=arn, KeySpec="AES_256")
refused("InvalidKeyUsageException", client.generate_mac, says="Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_512.",
        KeyId=arn, Message=b"m", MacAlgorithm="HMAC_SHA_256")
symmetric = client.create_key()["KeyMetadata"]["Arn"]
refused("InvalidKeyUsageException", client.generate_mac, KeyId=symmetric, Message=b"m", MacAlgorithm="HMAC_SHA_256")
for call in (client.enable_key_rotation, client.rotate_key_on_demand):
    assert refused("UnsupportedOperationException", call, KeyId=arn) == "", "AWS has no text for this"
assert client.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"] is False
refused("UnsupportedOperationException", client.get_public_key, KeyId=arn)
refused("DryRunOperationException", client.generate_mac, DryRun=True, Message=b"m", **arguments)
for wrong in ({"Message": b""}, {"Message": b"m" * 4097}, {}, {"Message": b"m", "MacAlgorithm": "MD5"}):
    refused("ValidationException", raw.generate_mac, **{**arguments, **wrong})
for kind in ({"KeySpec": "HMAC_256"}, {"KeySpec": "HMAC_256", "KeyUsage": "ENCRYPT_DECRYPT"},
             {"KeyUsage": "GENERATE_VERIFY_MAC"}):
    refused("ValidationException", client.create_key, **kind)

client.disable_key(KeyId=arn)
refused("DisabledException", client.generate_mac, Message=b"m", **arguments)
client.schedule_key_deletion(KeyId=arn)
refused("KMSInvalidStateException", client.verify_mac, Message=b"m", Mac=made["Mac"], **arguments)
