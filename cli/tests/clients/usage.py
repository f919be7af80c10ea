"""GetKeyLastUsage: what counts as a use, and that a second start knows the uses of the first."""

import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from service import kms, refused, unchecked

path = Path(sys.argv[2])
client, alice = kms(), kms("alice")


def last(key):
    answer = client.get_key_last_usage(KeyId=key)
    assert answer["KeyId"] == key.rsplit("/", 1)[-1], answer
    assert answer["TrackingStartDate"] >= answer["KeyCreationDate"], answer
    return answer["KeyLastUsage"]


def used(key, operation, call, **arguments):
    """An operation that is the last use of a key from now on."""
    answer = call(**arguments)
    usage = last(key)
    assert usage["Operation"] == operation, usage
    assert usage["KmsRequestId"] == answer["ResponseMetadata"]["RequestId"], usage
    assert usage["CloudTrailEventId"] == usage["KmsRequestId"], usage
    assert abs(usage["Timestamp"] - datetime.now(timezone.utc)) < timedelta(minutes=5), usage
    return answer


def make():
    key, other = (client.create_key()["KeyMetadata"] for _ in range(2))
    assert client.get_key_last_usage(KeyId=key["Arn"])["KeyCreationDate"] == key["CreationDate"]
    assert last(key["KeyId"]) == last(other["Arn"]) == {}
    client.create_alias(AliasName="alias/used", TargetKeyId=key["KeyId"])

    # What is no cryptographic operation, or no success, is no use.
    client.describe_key(KeyId="alias/used")
    client.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "a", "TagValue": "b"}])
    client.generate_random(NumberOfBytes=8)
    refused("DryRunOperationException", client.encrypt, KeyId=key["KeyId"], Plaintext=b"x", DryRun=True)
    refused("AccessDeniedException", alice.encrypt, KeyId=key["KeyId"], Plaintext=b"x")
    refused("InvalidKeyUsageException", client.generate_mac, KeyId=key["KeyId"], Message=b"x", MacAlgorithm="HMAC_SHA_256")
    assert last(key["KeyId"]) == {}

    blob = used(key["KeyId"], "Encrypt", client.encrypt, KeyId="alias/used", Plaintext=b"data")["CiphertextBlob"]
    used(key["KeyId"], "Decrypt", client.decrypt, CiphertextBlob=blob)
    for name in ("generate_data_key", "generate_data_key_without_plaintext"):
        used(key["KeyId"], "".join(map(str.title, name.split("_"))), getattr(client, name), KeyId=key["KeyId"], KeySpec="AES_256")
    for name in ("generate_data_key_pair", "generate_data_key_pair_without_plaintext"):
        used(key["KeyId"], "".join(map(str.title, name.split("_"))), getattr(client, name), KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256")
    # Both keys of a ReEncrypt were used.
    assert last(other["KeyId"]) == {}
    both = {"CiphertextBlob": blob, "DestinationKeyId": other["KeyId"]}
    used(key["KeyId"], "ReEncrypt", client.re_encrypt, **both)
    assert last(other["KeyId"]) == last(key["KeyId"])
    # A failure leaves the last success.
    before = last(key["KeyId"])
    refused("InvalidCiphertextException", client.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "b"})
    assert last(key["KeyId"]) == before

    mac = client.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    arguments = {"KeyId": mac, "Message": b"x", "MacAlgorithm": "HMAC_SHA_256"}
    made = used(mac, "GenerateMac", client.generate_mac, **arguments)["Mac"]
    used(mac, "VerifyMac", client.verify_mac, Mac=made, **arguments)
    signing = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    arguments = {"KeyId": signing, "Message": b"x", "SigningAlgorithm": "ECDSA_SHA_256"}
    made = used(signing, "Sign", client.sign, **arguments)["Signature"]
    used(signing, "Verify", client.verify, Signature=made, **arguments)
    public = client.get_public_key(KeyId=signing)
    assert last(signing)["Operation"] == "Verify"
    agreement = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")["KeyMetadata"]["KeyId"]
    used(
        agreement, "DeriveSharedSecret", client.derive_shared_secret,
        KeyId=agreement, KeyAgreementAlgorithm="ECDH", PublicKey=public["PublicKey"],
    )

    refused("InvalidArnException", client.get_key_last_usage, KeyId="alias/used")
    refused("NotFoundException", client.get_key_last_usage, KeyId="00000000-0000-0000-0000-000000000000")
    refused("AccessDeniedException", alice.get_key_last_usage, KeyId=key["KeyId"])
    refused("ValidationException", unchecked().get_key_last_usage)
    # In any state of the key.
    client.schedule_key_deletion(KeyId=mac)
    assert last(mac)["Operation"] == "VerifyMac"
    unused = client.create_key()["KeyMetadata"]["KeyId"]
    kept = {name: answer(name) for name in (key["KeyId"], other["KeyId"], mac, signing, agreement, unused)}
    path.write_text(json.dumps(kept))


def answer(key):
    found = client.get_key_last_usage(KeyId=key)
    found.pop("ResponseMetadata")
    return json.loads(json.dumps(found, default=str))


if sys.argv[1] == "make":
    make()
else:
    for key, kept in json.loads(path.read_text()).items():
        found = answer(key)
        # Nobody had used anything before the first start.
        assert found == kept, f"{found} and not {kept}"
