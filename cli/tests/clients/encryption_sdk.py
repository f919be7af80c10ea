"""The AWS Encryption SDK seals real files under keys of ours, by both of its ways to a key.

The older way is a master key provider, the newer one a keyring of the Material Providers Library;
what one seals the other opens. Each also finds the key by itself, from the ciphertext.
"""

import logging
import sys
from pathlib import Path

import aws_encryption_sdk
import botocore.session
from aws_cryptographic_material_providers.mpl import AwsCryptographicMaterialProviders
from aws_cryptographic_material_providers.mpl.config import MaterialProvidersConfig
from aws_cryptographic_material_providers.mpl.models import (
    CreateAwsKmsDiscoveryKeyringInput,
    CreateAwsKmsKeyringInput,
    DiscoveryFilter,
)
from aws_encryption_sdk.exceptions import AWSEncryptionSDKClientError, DecryptKeyError
from service import ACCOUNT, kms

# It logs the trace of each refusal.
logging.getLogger("aws_encryption_sdk").setLevel(logging.CRITICAL)

CONTEXT = {"case": "file", "department": "records"}
SDK = aws_encryption_sdk.EncryptionSDKClient(
    commitment_policy=aws_encryption_sdk.CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT
)
PROVIDERS = AwsCryptographicMaterialProviders(config=MaterialProvidersConfig())


def strict(key):
    session = botocore.session.Session()
    return {
        "key_provider": aws_encryption_sdk.StrictAwsKmsMasterKeyProvider(
            key_ids=[key], botocore_session=session
        )
    }


def discovering(accounts):
    wanted = aws_encryption_sdk.key_providers.kms.DiscoveryFilter(
        account_ids=accounts, partition="aws"
    )
    return {
        "key_provider": aws_encryption_sdk.DiscoveryAwsKmsMasterKeyProvider(
            botocore_session=botocore.session.Session(), discovery_filter=wanted
        )
    }


def keyring(client, key):
    wanted = CreateAwsKmsKeyringInput(kms_key_id=key, kms_client=client)
    return {"keyring": PROVIDERS.create_aws_kms_keyring(wanted)}


def discovery_keyring(client, accounts):
    wanted = CreateAwsKmsDiscoveryKeyringInput(
        kms_client=client, discovery_filter=DiscoveryFilter(account_ids=accounts, partition="aws")
    )
    return {"keyring": PROVIDERS.create_aws_kms_discovery_keyring(wanted)}


def seal(source, sealed, way):
    with open(source, "rb") as plain, open(sealed, "wb") as out:
        with SDK.stream(mode="e", source=plain, encryption_context=CONTEXT, **way) as chunks:
            for chunk in chunks:
                out.write(chunk)


def open_(sealed, opened, way):
    with open(sealed, "rb") as source, open(opened, "wb") as out:
        with SDK.stream(mode="d", source=source, **way) as chunks:
            found = chunks.header.encryption_context
            assert CONTEXT.items() <= found.items(), found
            for chunk in chunks:
                out.write(chunk)


def refuses(says, sealed, way):
    """Both ways wrap what stopped them in one error each."""
    try:
        open_(sealed, folder / "opened", way)
    except (DecryptKeyError, AWSEncryptionSDKClientError) as error:
        assert says in str(error), error
        return
    raise AssertionError("it was opened")


client = kms()
key = client.create_key(Description="files")["KeyMetadata"]["Arn"]
other = client.create_key(Description="no files")["KeyMetadata"]["Arn"]
source = Path(__file__).resolve()
folder = Path(sys.argv[1])

ways_in = [strict(key), keyring(client, key)]
ways_out = [
    strict(key),
    discovering([ACCOUNT]),
    keyring(client, key),
    discovery_keyring(client, [ACCOUNT]),
]
for number, way_in in enumerate(ways_in):
    sealed = folder / f"file.{number}"
    seal(source, sealed, way_in)
    assert source.read_bytes()[:100] not in sealed.read_bytes()
    for way_out in ways_out:
        opened = folder / "opened"
        open_(sealed, opened, way_out)
        assert opened.read_bytes() == source.read_bytes()

    nothing_opens = "Unable to decrypt"
    refuses(nothing_opens, sealed, strict(other))
    refuses("not allowed", sealed, discovering(["111122223333"]))
    refuses(nothing_opens, sealed, keyring(client, other))
    refuses(nothing_opens, sealed, discovery_keyring(client, ["111122223333"]))

    client.disable_key(KeyId=key)
    refuses(nothing_opens, sealed, strict(key))
    refuses("No Configured KMS Key was able", sealed, keyring(client, key))
    client.enable_key(KeyId=key)
