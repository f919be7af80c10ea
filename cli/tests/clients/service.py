"""The running service, as an AWS client meets it, and what a refusal looks like.

Everything comes from the environment that `sekisho dev` prints, as it would for any program:
AWS_ENDPOINT_URL_KMS, AWS_CA_BUNDLE, AWS_SHARED_CREDENTIALS_FILE, AWS_REGION.
"""

import os
import subprocess
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# One attempt: a refusal that botocore would repeat is to be seen at once.
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)
ACCOUNT = "000000000000"
REGION = os.environ["AWS_REGION"]


def kms(profile="default", **overrides):
    """A KMS client of a profile: `default` is the account's root."""
    session = boto3.Session(profile_name=profile)
    config = CONFIG.merge(overrides.pop("config", Config()))
    client = session.client("kms", config=config, **overrides)
    events = client.meta.events
    events.register("before-parameter-build.kms", lambda params, **_: tell(params))
    events.register("after-call.kms", lambda parsed, **_: tell(parsed))
    return client


def tell(message):
    """Tells the test what the host must never see: it searches all that the host saw for it."""
    for member in ("Plaintext", "PrivateKeyPlaintext", "SharedSecret"):
        plaintext = message.get(member)
        if isinstance(plaintext, bytes) and plaintext:
            with open(os.environ["SEKISHO_SECRETS"], "a") as told:
                told.write(f"plaintext {plaintext.hex()}\n")


def unchecked(profile="default", **overrides):
    """A client that sends what it is given: the service must find what is wrong with it."""
    return kms(profile, config=Config(parameter_validation=False), **overrides)


def refused(code, call, /, status=400, says=None, **arguments):
    """Calls, and wants this error of AWS's and no other."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        found = error.response["Error"]
        assert found["Code"] == code, f"{found['Code']} instead of {code}: {found.get('Message')}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status, error.response
        if says is not None:
            assert says in found.get("Message", ""), found
        return found.get("Message", "")
    raise AssertionError(f"{code} expected, and this was the answer: {answer}")


def root_arn():
    return f"arn:aws:iam::{ACCOUNT}:root"


def user_arn(name):
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def statement(effect, principal, *actions, **more):
    return {
        "Effect": effect,
        "Principal": {"AWS": principal},
        "Action": [f"kms:{action}" for action in actions],
        "Resource": "*",
        **more,
    }


ROOT_MAY_ADMINISTER = statement(
    "Allow", root_arn(), "DescribeKey", "PutKeyPolicy", "GetKeyPolicy", "CreateAlias", "ListAliases",
    Sid="RootAdministersAndNoHostEverReadsThis",
)


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": [ROOT_MAY_ADMINISTER, *statements]}


class Caller:
    """A caller in an enclave: an RSA key of its own, and documents that name it."""

    def __init__(self, folder, bits=2048):
        self.folder = Path(folder)
        self.private = self.folder / "private.pem"
        self.public = self.folder / "public.der"
        run("openssl", "genrsa", "-out", self.private, str(bits))
        run("openssl", "rsa", "-in", self.private, "-pubout", "-outform", "DER", "-out", self.public)

    def document(self, *arguments):
        """A document of the development PKI with this key in it."""
        out = self.folder / "document.bin"
        run(
            os.environ["SEKISHO"], "dev-document", "--data-dir", os.environ["SEKISHO_DATA"],
            "--public-key", self.public, "--out", out, *arguments,
        )
        return out.read_bytes()

    def recipient(self, *arguments):
        return recipient(self.document(*arguments))

    def open(self, ciphertext_for_recipient):
        """Opens a CiphertextForRecipient with OpenSSL, which knows nothing of us."""
        ber = self.folder / "answer.ber"
        ber.write_bytes(ciphertext_for_recipient)
        return run("openssl", "cms", "-decrypt", "-binary", "-inform", "DER", "-in", ber, "-inkey", self.private)


def recipient(document):
    return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": document}


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout
