"""Keys, aliases and grants, and with them a valid request for each operation."""

import base64
import hashlib

import importing
from service import kms, root_arn, user_arn

# Served beside the home Region.
OTHER_REGION = "eu-central-1"


class State:
    def __init__(self):
        self.client = kms()
        self.symmetric = self.key()
        self.other = self.key()
        self.mac = self.key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
        self.signing = self.key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        self.agreement = self.key(KeySpec="ECC_NIST_P256", KeyUsage="KEY_AGREEMENT")
        self.kem = self.key(KeySpec="ML_KEM_768", KeyUsage="ENCAPSULATE_DECAPSULATE")
        self.external = self.key(Origin="EXTERNAL")
        found = importing.parameters(self.client, self.external)
        self.import_ = importing.importing(self.external, found, importing.secret(), **importing.FOREVER)

    def key(self, **members):
        return self.client.create_key(**members)["KeyMetadata"]["KeyId"]

    def request(self, operation):
        """Members of a request that is answered with a result, where there is one to be had."""
        make = getattr(self, operation, None)
        if make is not None:
            return make()
        if operation.endswith("CustomKeyStore"):
            return {"CustomKeyStoreId": "cks-00000000000000000"}
        # A key of its own: the operation may leave it in another state.
        return {"KeyId": self.key()}

    # Of the account.

    def CreateKey(self):
        return {}

    def CreateCustomKeyStore(self):
        return {"CustomKeyStoreName": "model"}

    def DescribeCustomKeyStores(self):
        return {}

    def GenerateRandom(self):
        return {"NumberOfBytes": 8}

    def ListAliases(self):
        return {}

    def ListKeys(self):
        return {}

    def ListRetirableGrants(self):
        return {"RetiringPrincipal": root_arn()}

    # Of aliases.

    def CreateAlias(self):
        return {"AliasName": "alias/model", "TargetKeyId": self.other}

    def UpdateAlias(self):
        return {"AliasName": self.alias("updated"), "TargetKeyId": self.other}

    def DeleteAlias(self):
        return {"AliasName": self.alias("deleted")}

    def alias(self, name):
        self.client.create_alias(AliasName=f"alias/{name}", TargetKeyId=self.symmetric)
        return f"alias/{name}"

    # Of grants.

    def CreateGrant(self):
        return {"KeyId": self.key(), "GranteePrincipal": user_arn("alice"), "Operations": ["Decrypt"]}

    def RevokeGrant(self):
        made = self.client.create_grant(
            KeyId=self.other, GranteePrincipal=user_arn("alice"), RetiringPrincipal=root_arn(),
            Operations=["Decrypt"],
        )
        return {"KeyId": self.other, "GrantId": made["GrantId"]}

    RetireGrant = RevokeGrant

    # Of keys.

    def PutKeyPolicy(self):
        key = self.key()
        return {"KeyId": key, "Policy": self.client.get_key_policy(KeyId=key)["Policy"]}

    def UpdateKeyDescription(self):
        return {"KeyId": self.other, "Description": "of the model"}

    def TagResource(self):
        return {"KeyId": self.key(), "Tags": [{"TagKey": "a", "TagValue": "b"}]}

    def UntagResource(self):
        return {"KeyId": self.other, "TagKeys": ["a"]}

    def ReplicateKey(self):
        return {"KeyId": self.key(MultiRegion=True), "ReplicaRegion": OTHER_REGION}

    def UpdatePrimaryRegion(self):
        request = self.ReplicateKey()
        self.client.replicate_key(**request)
        return {"KeyId": request["KeyId"], "PrimaryRegion": OTHER_REGION}

    def GetParametersForImport(self):
        return {"KeyId": self.external, "WrappingAlgorithm": "RSAES_OAEP_SHA_256", "WrappingKeySpec": "RSA_2048"}

    def ImportKeyMaterial(self):
        blobs = ("ImportToken", "EncryptedKeyMaterial")
        return {**self.import_, **{name: encoded(self.import_[name]) for name in blobs}}

    def DeleteImportedKeyMaterial(self):
        return {"KeyId": self.external}

    # Cryptography.

    def Encrypt(self):
        return {"KeyId": self.symmetric, "Plaintext": "cGxhaW4="}

    def ciphertext(self):
        blob = self.client.encrypt(KeyId=self.symmetric, Plaintext=b"plain")["CiphertextBlob"]
        return encoded(blob)

    def Decrypt(self):
        return {"CiphertextBlob": self.ciphertext()}

    def ReEncrypt(self):
        return {"CiphertextBlob": self.ciphertext(), "DestinationKeyId": self.other}

    def GenerateDataKey(self):
        return {"KeyId": self.symmetric, "KeySpec": "AES_256"}

    GenerateDataKeyWithoutPlaintext = GenerateDataKey

    def GenerateDataKeyPair(self):
        return {"KeyId": self.symmetric, "KeyPairSpec": "ECC_NIST_P256"}

    GenerateDataKeyPairWithoutPlaintext = GenerateDataKeyPair

    def GenerateMac(self):
        return {"KeyId": self.mac, "Message": "cGxhaW4=", "MacAlgorithm": "HMAC_SHA_256"}

    def VerifyMac(self):
        made = self.client.generate_mac(KeyId=self.mac, Message=b"plain", MacAlgorithm="HMAC_SHA_256")
        return {**self.GenerateMac(), "Mac": encoded(made["Mac"])}

    def Sign(self):
        return {"KeyId": self.signing, "Message": "cGxhaW4=", "SigningAlgorithm": "ECDSA_SHA_256"}

    def Verify(self):
        digest = hashlib.sha256(b"plain").digest()
        made = self.client.sign(
            KeyId=self.signing, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256",
        )
        return {**self.Sign(), "Signature": encoded(made["Signature"])}

    def GetPublicKey(self):
        return {"KeyId": self.signing}

    def DeriveSharedSecret(self):
        public = self.client.get_public_key(KeyId=self.agreement)["PublicKey"]
        return {"KeyId": self.agreement, "KeyAgreementAlgorithm": "ECDH", "PublicKey": encoded(public)}

    def Encapsulate(self):
        return {"KeyId": self.kem, "EncapsulationAlgorithm": "ML_KEM"}

    def Decapsulate(self):
        made = self.client.encapsulate(**self.Encapsulate())
        return {**self.Encapsulate(), "SharedSecretCiphertextBlob": encoded(made["SharedSecretCiphertextBlob"])}


def encoded(data):
    return base64.b64encode(data).decode()
