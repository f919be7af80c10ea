"""Dry runs, and DryRunModifiers: what is asked for without a ciphertext."""

import json

from service import kms, policy, refused, root_arn, statement, unchecked, user_arn

client, raw, alice = kms(), unchecked(), kms("alice")
key = client.create_key()["KeyMetadata"]
other = client.create_key()["KeyMetadata"]
blob = client.encrypt(KeyId=key["KeyId"], Plaintext=b"data")["CiphertextBlob"]
dry = {"DryRun": True, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
decrypt = {"KeyId": key["Arn"], **dry}
reencrypt = {"SourceKeyId": key["Arn"], "DestinationKeyId": other["Arn"], **dry}

# No ciphertext, or one that is none: only leave is looked at.
for call, arguments in ((client.decrypt, decrypt), (client.re_encrypt, reencrypt)):
    refused("DryRunOperationException", call, status=400, **arguments)
    refused("DryRunOperationException", call, CiphertextBlob=b"no ciphertext", **arguments)
client.create_alias(AliasName="alias/dry", TargetKeyId=key["KeyId"])
refused("DryRunOperationException", client.decrypt, **{**decrypt, "KeyId": "alias/dry"})

# The key has to be named, as the ciphertext does not say which it is.
refused("ValidationException", client.decrypt, says="key ID is required", **dry)
refused("ValidationException", client.re_encrypt, DestinationKeyId=other["Arn"], **dry)

# Without a dry run, or without the modifier, there has to be a ciphertext.
absent = "Value null at 'ciphertextBlob' failed to satisfy constraint: Member must not be null"
for arguments in (
    {"KeyId": key["Arn"]},
    {"KeyId": key["Arn"], "DryRunModifiers": ["IGNORE_CIPHERTEXT"]},
    {"KeyId": key["Arn"], "DryRun": True},
    {"KeyId": key["Arn"], "DryRun": True, "DryRunModifiers": []},
):
    refused("ValidationException", client.decrypt, says=absent, **arguments)
refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=b"no ciphertext", DryRun=True)
# Without the modifier a dry run says whether the ciphertext opens.
for call, arguments in (
    (client.decrypt, {"DryRun": True}), (client.re_encrypt, {"DryRun": True, "DestinationKeyId": other["Arn"]}),
):
    context = "SourceEncryptionContext" if call == client.re_encrypt else "EncryptionContext"
    refused("DryRunOperationException", call, CiphertextBlob=blob, **arguments)
    changed = blob[:-1] + bytes([blob[-1] ^ 1])
    refused("InvalidCiphertextException", call, CiphertextBlob=changed, **arguments)
    refused("InvalidCiphertextException", call, CiphertextBlob=blob, **{context: {"a": "b"}}, **arguments)
    # And with it whether leave is given, whatever the ciphertext is.
    key_id = {"SourceKeyId" if call == client.re_encrypt else "KeyId": key["Arn"]}
    ignoring = {**arguments, **key_id, "DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
    refused("DryRunOperationException", call, CiphertextBlob=changed, **ignoring)
# Without a dry run the modifier changes nothing.
modifiers = {"DryRunModifiers": ["IGNORE_CIPHERTEXT"]}
assert client.decrypt(CiphertextBlob=blob, **modifiers)["Plaintext"] == b"data"
refused("ValidationException", raw.decrypt, says="enum value set: [IGNORE_CIPHERTEXT]", **{**decrypt, "DryRunModifiers": ["IGNORE_EVERYTHING"]})

# What is looked at: leave, the key's state, and its kind.
refused("AccessDeniedException", alice.decrypt, **decrypt)
refused("AccessDeniedException", alice.re_encrypt, **reencrypt)
client.put_key_policy(
    KeyId=key["KeyId"], PolicyName="default",
    Policy=json.dumps(policy(
        statement("Allow", user_arn("alice"), "Decrypt"),
        statement("Allow", root_arn(), "DisableKey", "Decrypt"),
    )),
)
refused("DryRunOperationException", alice.decrypt, **decrypt)
refused("AccessDeniedException", alice.re_encrypt, **reencrypt)
mac = client.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]
refused("InvalidKeyUsageException", client.decrypt, **{**decrypt, "KeyId": mac["Arn"]})
client.disable_key(KeyId=key["KeyId"])
refused("DisabledException", alice.decrypt, **decrypt)
