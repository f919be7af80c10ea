"""Imported HMAC keys and private keys: OpenSSL makes them, wraps them, and agrees with what they do."""

import hashlib
import hmac

from importing import (
    DIRECT, FOREVER, HYBRID, create, import_material, importing, key_pair, parameters, secret, wrap, write,
)
from service import kms, refused, run

client = kms()
text = "Wrapping algorithm {} and wrapping key spec {} cannot be used to import a {} key."


def described(key_id):
    return client.describe_key(KeyId=key_id)["KeyMetadata"]


# HMAC keys.
for spec, length, least, name in (("HMAC_224", 28, 28, "sha224"), ("HMAC_256", 32, 32, "sha256"),
                                  ("HMAC_256", 128, 32, "sha256"), ("HMAC_384", 48, 48, "sha384"),
                                  ("HMAC_512", 64, 64, "sha512")):
    made = create(client, spec, "GENERATE_VERIFY_MAC")
    assert made["KeyState"] == "PendingImport" and made["MacAlgorithms"] == [spec.replace("_", "_SHA_")]
    token = parameters(client, made["KeyId"], "RSAES_OAEP_SHA_1")
    material = secret(length)
    for wrong in (material[:least - 1], material + bytes(129 - length)):
        refused("InvalidCiphertextException", client.import_key_material,
                **importing(made["KeyId"], token, wrong, "RSAES_OAEP_SHA_1", **FOREVER))
    answer = import_material(client, made["KeyId"], token, material, "RSAES_OAEP_SHA_1", **FOREVER)
    assert answer["KeyId"] == made["Arn"] and "KeyMaterialId" not in answer
    assert "CurrentKeyMaterialId" not in described(made["KeyId"])
    algorithm = made["MacAlgorithms"][0]
    mac = client.generate_mac(KeyId=made["KeyId"], Message=b"message", MacAlgorithm=algorithm)["Mac"]
    assert mac == hmac.new(material, b"message", getattr(hashlib, name)).digest()
    good = importing(made["KeyId"], token, material, "RSAES_OAEP_SHA_1", **FOREVER)
    for member, value in (("ImportType", "EXISTING_KEY_MATERIAL"), ("KeyMaterialId", "0" * 64),
                          ("KeyMaterialDescription", "hmac")):
        parameter = member[0].lower() + member[1:]
        refused("ValidationException", client.import_key_material, **{**good, member: value},
                says=f"Input parameter {parameter} cannot be used with {spec} imported keys.")
    refused("ValidationException", client.list_key_rotations, KeyId=made["KeyId"],
            says="Input parameter includeKeyMaterial can only be used with symmetric keys.",
            IncludeKeyMaterial="ALL_KEY_MATERIAL")
    refused("ValidationException", client.get_parameters_for_import, KeyId=made["KeyId"],
            says=text.format(HYBRID[0], "RSA_2048", spec), WrappingAlgorithm=HYBRID[0], WrappingKeySpec="RSA_2048")
    deleted = client.delete_imported_key_material(KeyId=made["KeyId"])
    assert deleted["KeyId"] == made["Arn"] and not deleted.get("KeyMaterialId")
    said = refused("IncorrectKeyMaterialException", client.import_key_material,
                   **importing(made["KeyId"], token, secret(length), "RSAES_OAEP_SHA_1", **FOREVER))
    assert said.startswith("Imported key material does not have the expected identifier ("), said
    client.import_key_material(**good)
    assert client.verify_mac(KeyId=made["KeyId"], Message=b"message", MacAlgorithm=algorithm, Mac=mac)["MacValid"]

# Key pairs that sign.
for spec, algorithm, wrapping_spec, signing, digest in (
    ("RSA_2048", HYBRID[0], "RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", "sha256"),
    ("RSA_3072", HYBRID[1], "RSA_3072", "RSASSA_PKCS1_V1_5_SHA_384", "sha384"),
    ("RSA_4096", HYBRID[1], "RSA_4096", "RSASSA_PKCS1_V1_5_SHA_512", "sha512"),
    ("ECC_NIST_P256", DIRECT[0], "RSA_2048", "ECDSA_SHA_256", "sha256"),
    ("ECC_NIST_P384", DIRECT[1], "RSA_2048", "ECDSA_SHA_384", "sha384"),
    ("ECC_NIST_P521", HYBRID[1], "RSA_2048", "ECDSA_SHA_512", "sha512"),
    ("ECC_NIST_P521", DIRECT[1], "RSA_3072", "ECDSA_SHA_512", "sha512"),
    ("ECC_SECG_P256K1", HYBRID[0], "RSA_2048", "ECDSA_SHA_256", "sha256"),
):
    made = create(client, spec, "SIGN_VERIFY")
    pair, (private, public_key) = made["KeyId"], key_pair(spec)
    token = parameters(client, pair, algorithm, wrapping_spec)
    for wrong in (private[:-1], private + b"\0", public_key, b"x"):
        refused("InvalidCiphertextException", client.import_key_material,
                **importing(pair, token, wrong, algorithm, **FOREVER))
    answer = import_material(client, pair, token, private, algorithm, **FOREVER)
    assert answer["KeyId"] == made["Arn"] and "KeyMaterialId" not in answer
    assert described(pair)["ExpirationModel"] == "KEY_MATERIAL_DOES_NOT_EXPIRE"
    assert client.get_public_key(KeyId=pair)["PublicKey"] == public_key
    signature = client.sign(KeyId=pair, Message=b"message", SigningAlgorithm=signing)["Signature"]
    run("openssl", "dgst", f"-{digest}", "-keyform", "DER", "-verify", write("public.der", public_key),
        "-signature", write("signature", signature), write("message", b"message"))
    if algorithm in DIRECT:
        # The public point may be compressed, and need not be there.
        for option in (("-conv_form", "compressed"), ("-no_public",)):
            pem = run("openssl", "ec", "-inform", "DER", "-in", write("pair.der", private), *option)
            shorter = run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", write("pair.pem", pem), "-outform", "DER")
            assert len(shorter) < len(private)
            import_material(client, pair, token, shorter, algorithm, **FOREVER)
    elif spec.startswith("ECC"):
        # A curve has to be named.
        pem = run("openssl", "ec", "-inform", "DER", "-in", write("pair.der", private), "-param_enc", "explicit")
        spelled = run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", write("pair.pem", pem), "-outform", "DER")
        refused("InvalidCiphertextException", client.import_key_material,
                **importing(pair, token, spelled, algorithm, **FOREVER))
    # Again, now in BER.
    header = 2 + (private[1] & 0x7f if private[1] & 0x80 else 0)
    import_material(client, pair, token, b"\x30\x80" + private[header:] + b"\0\0", algorithm, **FOREVER)
    client.delete_imported_key_material(KeyId=pair)
    refused("KMSInvalidStateException", client.get_public_key, says=f"{made['Arn']} is pending import.", KeyId=pair)
    refused("IncorrectKeyMaterialException", client.import_key_material,
            **importing(pair, token, key_pair(spec)[0], algorithm, **FOREVER))
    import_material(client, pair, token, private, algorithm, **FOREVER)
    assert client.get_public_key(KeyId=pair)["PublicKey"] == public_key
# A private key of another spec.
wrong_size = create(client, "RSA_2048", "SIGN_VERIFY")["KeyId"]
for spec in ("RSA_3072", "ECC_NIST_P256"):
    refused("InvalidCiphertextException", client.import_key_material, **importing(
        wrong_size, parameters(client, wrong_size, HYBRID[1]), key_pair(spec)[0], HYBRID[1], **FOREVER))
for spec, algorithm in (("RSA_2048", DIRECT[1]), ("ECC_NIST_P521", DIRECT[0])):
    refused("ValidationException", client.get_parameters_for_import, KeyId=create(client, spec, "SIGN_VERIFY")["KeyId"],
            says=text.format(algorithm, "RSA_2048", spec), WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048")

# RSA that decrypts, and ECDH.
rsa, (private, public_key) = create(client, "RSA_2048", "ENCRYPT_DECRYPT")["KeyId"], key_pair("RSA_2048")
import_material(client, rsa, parameters(client, rsa, HYBRID[1]), private, HYBRID[1], **FOREVER)
theirs = wrap(public_key, b"by OpenSSL")
opened = client.decrypt(KeyId=rsa, CiphertextBlob=theirs, EncryptionAlgorithm="RSAES_OAEP_SHA_256")
assert opened["Plaintext"] == b"by OpenSSL"
agreeing, (private, public_key) = create(client, "ECC_NIST_P256", "KEY_AGREEMENT")["KeyId"], key_pair("ECC_NIST_P256")
import_material(client, agreeing, parameters(client, agreeing), private, **FOREVER)
peer_private, peer = key_pair("ECC_NIST_P256")
answer = client.derive_shared_secret(KeyId=agreeing, KeyAgreementAlgorithm="ECDH", PublicKey=peer)
assert answer["KeyOrigin"] == "EXTERNAL"
assert answer["SharedSecret"] == run(
    "openssl", "pkeyutl", "-derive", "-inkey", write("peer.der", peer_private), "-keyform", "DER",
    "-peerkey", write("ours.der", public_key), "-peerform", "DER")
