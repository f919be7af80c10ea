"""AWS's own examples, as they come with botocore: each is run, and answered as it says.

Before an example runs, what it supposes is made (`Scenes`). Its ids, regions and accounts are mapped
to those of the service; dates, ciphertexts and new ids are compared by their types, all else by
value. An answer may have members that came to AWS's model after the example.
"""

import datetime
import json
import subprocess
import tempfile
from pathlib import Path

import botocore
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from service import kms

LOADER = Loader()
SHAPES = LOADER.load_service_model("kms", "service-2")["shapes"]
OPERATIONS = LOADER.load_service_model("kms", "service-2")["operations"]
EXAMPLES = json.loads(
    (Path(botocore.__file__).parent / "data/kms/2014-11-01/examples-1.json").read_text(),
)["examples"]
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
OTHER_KEY = "0987dcba-09fe-87dc-65ba-ab0987654321"
ROLE = "arn:aws:iam::111122223333:role/ExampleRole"
GRANT = "0c237476b39f8bc44e45212e08498fbe3151305030726c0590dd8d3e9f3d6a60"

# Examples that are answered with an error, and why. One that is answered as it says fails the test.
NO_STORE = "the account has no custom key store"
REFUSED = {
    "628626947750": ("CustomKeyStoreNotFoundException", NO_STORE),
    "628627769469": ("ValidationException", "its cluster id breaks the pattern of AWS's own model"),
    "630604382908": ("CustomKeyStoreNotFoundException", NO_STORE),
    "628630837145": ("CustomKeyStoreNotFoundException", NO_STORE),
    "628628885843": ("CustomKeyStoreNotFoundException", NO_STORE),
    "628627955156": ("CustomKeyStoreNotFoundException", NO_STORE),
    "628629851834": ("CustomKeyStoreNotFoundException", NO_STORE),
    "630451340904": ("CustomKeyStoreNotFoundException", NO_STORE),
    "630451842438": ("ValidationException", "its cluster id breaks the pattern of AWS's own model"),
}
# Members in which an answer differs from the example, and why.
OTHERWISE = {
    ("480729693349", "Aliases"): "there are no AWS managed keys, and so none of their aliases",
    ("481067365389", "Truncated"): "the example shows a page of a longer list, with no marker in it",
    ("637969624239", "MultiRegionConfiguration"): "the example's key is primary in another Region than it is in",
}
# Shapes whose values are new in every answer.
NEW = {"GrantIdType", "GrantTokenType", "BackingKeyIdType"}


class Scenes:
    """Makes what an example supposes, by its operation or its id; answers with members of the input
    that stand in the example as placeholders, and maps what is named otherwise here."""

    def __init__(self):
        self.client = kms()
        self.names = {}

    def prepare(self, operation, example):
        self.names = {
            "444455556666": "111122223333", "123456789012": "111122223333",
            "us-west-2": "us-east-2", "us-east-1": "us-east-2", "ap-northeast-1": "us-east-2",
        }
        for alias in self.client.list_aliases()["Aliases"]:
            self.client.delete_alias(AliasName=alias["AliasName"])
        make = getattr(self, f"_{example['id'][-12:]}", None) or getattr(self, operation, None)
        if make is not None:
            return make() or {}
        if "KeyId" in (example.get("input") or {}):
            self.key()
        return {}

    def key(self, name=KEY, alias="alias/ExampleAlias", **members):
        key = self.client.create_key(**members)["KeyMetadata"]["KeyId"]
        self.names[name] = key
        if alias:
            self.client.create_alias(AliasName=alias, TargetKeyId=key)
        return key

    def mapped(self, value):
        text = json.dumps(value)
        for name, found in self.names.items():
            text = text.replace(name, found)
        return json.loads(text)

    # By operation.

    def CancelKeyDeletion(self):
        self.client.schedule_key_deletion(KeyId=self.key())

    def CreateAlias(self):
        self.key(alias=None)

    def UpdateAlias(self):
        self.key("another key")
        self.key(alias=None)

    def DeleteAlias(self):
        self.key()

    def EnableKey(self):
        self.client.disable_key(KeyId=self.key())

    def Decrypt(self):
        return {"CiphertextBlob": self.client.encrypt(KeyId=self.key(), Plaintext=b"data")["CiphertextBlob"]}

    def Encrypt(self):
        self.key()
        return {"Plaintext": b"data"}

    def ReEncrypt(self):
        self.key(OTHER_KEY, alias=None)
        return self.Decrypt()

    def GenerateDataKey(self):
        self.key()

    GenerateDataKeyWithoutPlaintext = GenerateDataKey

    def GenerateMac(self):
        self.key(KeySpec="HMAC_384", KeyUsage="GENERATE_VERIFY_MAC")

    def VerifyMac(self):
        self.GenerateMac()
        mac = self.client.generate_mac(
            KeyId="alias/ExampleAlias", Message=b"Hello World", MacAlgorithm="HMAC_SHA_384",
        )
        return {"Mac": mac["Mac"]}

    def GetKeyRotationStatus(self):
        self.client.enable_key_rotation(KeyId=self.key())

    DisableKeyRotation = GetKeyRotationStatus

    def GetPublicKey(self):
        self.key(OTHER_KEY, KeySpec="RSA_4096", KeyUsage="ENCRYPT_DECRYPT")

    def Sign(self):
        self.key(alias="alias/ECC_signing_key", KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")
        return {"Message": b"message"}

    def Verify(self):
        message = self.Sign()
        made = self.client.sign(
            KeyId="alias/ECC_signing_key", SigningAlgorithm="ECDSA_SHA_384", MessageType="RAW", **message,
        )
        return {**message, "Signature": made["Signature"]}

    def ListAliases(self):
        for entry in EXAMPLES["ListAliases"][0]["output"]["Aliases"]:
            if not entry["AliasName"].startswith("alias/aws/"):
                self.key(entry["TargetKeyId"], alias=entry["AliasName"])

    def ListKeys(self):
        # The example comes first, and there are no other keys.
        keys = [self.client.create_key()["KeyMetadata"]["KeyId"] for _ in range(7)]
        shown = [entry["KeyId"] for entry in EXAMPLES["ListKeys"][0]["output"]["Keys"]]
        self.names.update(zip(shown, sorted(keys)))

    def ListGrants(self):
        # No AWS service is a grantee here.
        self.names["acm.us-east-2.amazonaws.com"] = ROLE
        key = self.key()
        for operations in (["Encrypt", "ReEncryptFrom", "ReEncryptTo"],) * 3 + (["ReEncryptFrom", "ReEncryptTo"],):
            self.grant(key, operations)

    def ListRetirableGrants(self):
        for grant in self.client.list_retirable_grants(RetiringPrincipal=ROLE)["Grants"]:
            self.client.revoke_grant(KeyId=grant["KeyId"], GrantId=grant["GrantId"])
        self.grant(self.key(), ["Decrypt", "Encrypt"])

    def RetireGrant(self):
        return {"GrantId": self.grant(self.key(), ["Decrypt"])}

    RevokeGrant = RetireGrant

    def grant(self, key, operations):
        made = self.client.create_grant(
            KeyId=key, GranteePrincipal=ROLE, RetiringPrincipal=ROLE, Operations=operations,
        )
        return made["GrantId"]

    def ListResourceTags(self):
        tags = [("CostCenter", "87654"), ("CreatedBy", "ExampleUser"), ("Purpose", "Test")]
        self.key(Tags=[{"TagKey": name, "TagValue": value} for name, value in tags])

    def UntagResource(self):
        self.ListResourceTags()

    # By the end of the example's id.

    def _637971611761(self):
        self.client.disable_key(KeyId=self.key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY"))

    def _637970472619(self):
        self.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC", Description="Development test key")

    def _637969624239(self):
        self.key("mrk-1234abcd12ab34cd56ef1234567890ab", MultiRegion=True)

    def _628622402887(self):
        self._637969624239()
        # The replica is in another region than the key.
        self.names["us-west-2"] = "us-west-2"

    def external(self):
        return self.key(Origin="EXTERNAL")

    def GetParametersForImport(self):
        self.external()

    def ImportKeyMaterial(self):
        return self.imported(self.external())

    def DeleteImportedKeyMaterial(self):
        key = self.external()
        material = self.imported(key)
        self.client.import_key_material(KeyId=key, ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE", **material)

    def imported(self, key):
        parameters = self.client.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048",
        )
        with tempfile.TemporaryDirectory() as folder:
            public = Path(folder) / "public.der"
            public.write_bytes(parameters["PublicKey"])
            wrapped = subprocess.run(
                ["openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", public,
                 "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"],
                input=b"k" * 32, capture_output=True, check=True,
            )
        return {"ImportToken": parameters["ImportToken"], "EncryptedKeyMaterial": wrapped.stdout}


def compare(shape_name, expected, found, path, identity):
    """Yields where an answer is not as the example has it."""
    shape = SHAPES[shape_name]
    name = path[-1] if path else ""
    if (identity, name) == ("480729693349", "Aliases"):
        MET.add((identity, name))
        expected = [alias for alias in expected if not alias["AliasName"].startswith("alias/aws/")]
    elif (identity, name) in OTHERWISE:
        if expected != found:
            MET.add((identity, name))
        return
    match shape["type"]:
        case "structure":
            for member, value in expected.items():
                if member not in found:
                    yield f"{'.'.join((*path, member))} is missing"
                else:
                    of = shape["members"][member]["shape"]
                    yield from compare(of, value, found[member], (*path, member), identity)
            for member in found.keys() - shape["members"].keys():
                yield f"{'.'.join((*path, member))} is not in AWS's model"
        case "list":
            if len(expected) != len(found):
                yield f"{'.'.join(path)}: {len(found)} items, not {len(expected)}: {found}"
                return
            item = shape["member"]["shape"]
            in_order = order if SHAPES[item]["type"] == "structure" else str
            for one, other in zip(sorted(expected, key=in_order), sorted(found, key=in_order)):
                yield from compare(item, one, other, (*path, "[]"), identity)
        case "timestamp":
            if not isinstance(found, datetime.datetime):
                yield f"{'.'.join(path)} is no date: {found}"
        case "blob":
            if not isinstance(found, bytes) or not found:
                yield f"{'.'.join(path)} is no bytes: {found}"
        case _:
            if shape_name in NEW:
                same = isinstance(found, str) and found
            elif shape_name == "PolicyType" and not expected.endswith("...}"):
                same = json.loads(expected) == json.loads(found)
            else:
                same = expected == found or shape_name == "PolicyType"
            if not same:
                yield f"{'.'.join(path)} is {found!r}, not {expected!r}"


def order(item):
    """By what does not differ between the example and here."""
    new = ("CreationDate", "LastUpdatedDate", "GrantId", "Name")
    lasting = {
        name: sorted(value) if isinstance(value, list) else value
        for name, value in item.items() if name not in new
    }
    return json.dumps(lasting, sort_keys=True)


def run(scenes, operation, example):
    identity = example["id"][-12:]
    given = scenes.prepare(operation, example)
    request = {**scenes.mapped(example.get("input") or {}), **given}
    method = getattr(scenes.client, botocore.xform_name(operation))
    answer = method(**request)
    answer.pop("ResponseMetadata")
    expected = example.get("output") or {}
    if "KeyMetadata" in expected and "KeyId" not in request:
        scenes.names[expected["KeyMetadata"]["KeyId"]] = answer["KeyMetadata"]["KeyId"]
    output = OPERATIONS[operation].get("output")
    if output is None:
        return [f"there is an answer: {answer}"] if answer else []
    return list(compare(output["shape"], scenes.mapped(expected), answer, (), identity))


def main():
    scenes, troubles, number = Scenes(), [], 0
    everything = [(operation, example) for operation, all_of_it in EXAMPLES.items() for example in all_of_it]
    # These two show all that there is.
    everything.sort(key=lambda pair: pair[0] not in ("ListKeys", "ListAliases"))
    everything.sort(key=lambda pair: pair[0] != "ListKeys")
    for operation, example in everything:
        number += 1
        identity, title = example["id"][-12:], f"{operation} ({example['title']})"
        expected = REFUSED.get(identity)
        try:
            found = run(scenes, operation, example)
            if expected:
                troubles.append(f"{title}: is answered; the exception is no longer needed: {expected[1]}")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            found = [] if expected and code == expected[0] else [str(error)]
        troubles += [f"{title}: {trouble}" for trouble in found]
    assert not troubles, f"{len(troubles)}:\n" + "\n".join(troubles)
    assert number == sum(map(len, EXAMPLES.values())) >= 61
    unmet = OTHERWISE.keys() - MET
    assert not unmet, f"differences that are no longer there: {unmet}"
    print(f"{number} examples")


MET = set()
main()
