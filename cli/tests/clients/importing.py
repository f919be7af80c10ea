"""Wraps key material as AWS's guide says, with OpenSSL, and imports it."""

import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path

from service import run, tell

FOREVER = {"ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"}
DIRECT = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
HYBRID = ("RSA_AES_KEY_WRAP_SHA_1", "RSA_AES_KEY_WRAP_SHA_256")
FOLDER = Path(tempfile.mkdtemp())
# What `openssl genpkey` makes for a key spec.
GENERATE = {
    "RSA_2048": ("RSA", "rsa_keygen_bits:2048"),
    "RSA_3072": ("RSA", "rsa_keygen_bits:3072"),
    "RSA_4096": ("RSA", "rsa_keygen_bits:4096"),
    "ECC_NIST_P256": ("EC", "ec_paramgen_curve:P-256"),
    "ECC_NIST_P384": ("EC", "ec_paramgen_curve:P-384"),
    "ECC_NIST_P521": ("EC", "ec_paramgen_curve:P-521"),
    "ECC_SECG_P256K1": ("EC", "ec_paramgen_curve:secp256k1"),
}


def write(name, content):
    path = FOLDER / name
    path.write_bytes(content)
    return path


def key_pair(spec):
    """A private key in PKCS #8 and its public key, both DER."""
    algorithm, option = GENERATE[spec]
    pem = write("pair.pem", run("openssl", "genpkey", "-algorithm", algorithm, "-pkeyopt", option))
    private = run("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", pem, "-outform", "DER")
    tell({"Plaintext": private[-64:]})
    return private, run("openssl", "pkey", "-in", pem, "-pubout", "-outform", "DER")


def secret(length=32):
    made = os.urandom(length)
    tell({"Plaintext": made})
    return made


def create(client, spec="SYMMETRIC_DEFAULT", usage="ENCRYPT_DECRYPT", **more):
    return client.create_key(Origin="EXTERNAL", KeySpec=spec, KeyUsage=usage, **more)["KeyMetadata"]


def parameters(client, key_id, algorithm="RSAES_OAEP_SHA_256", spec="RSA_2048"):
    return client.get_parameters_for_import(KeyId=key_id, WrappingAlgorithm=algorithm, WrappingKeySpec=spec)


def wrap(public_key, material, algorithm="RSAES_OAEP_SHA_256"):
    digest = "sha1" if algorithm.endswith("SHA_1") else "sha256"

    def oaep(plaintext):
        return run("openssl", "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER",
                   "-inkey", write("wrapping.der", public_key), "-in", write("plain", plaintext),
                   "-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", f"rsa_oaep_md:{digest}",
                   "-pkeyopt", f"rsa_mgf1_md:{digest}")

    if algorithm in DIRECT:
        return oaep(material)
    key = os.urandom(32)
    # RFC 5649 §3: the initial value of the wrapping with padding.
    wrapped = run("openssl", "enc", "-id-aes256-wrap-pad", "-K", key.hex(), "-iv", "A65959A6",
                  "-in", write("plain", material))
    return oaep(key) + wrapped


def importing(key_id, found, material, algorithm="RSAES_OAEP_SHA_256", **more):
    """The arguments of an import with the parameters `found`."""
    return {"KeyId": key_id, "ImportToken": found["ImportToken"],
            "EncryptedKeyMaterial": wrap(found["PublicKey"], material, algorithm), **more}


def import_material(client, *arguments, **more):
    return client.import_key_material(**importing(*arguments, **more))


def seconds_from_now(seconds):
    return datetime.fromtimestamp(datetime.now().timestamp() + seconds, timezone.utc).replace(microsecond=0)
