"""Requests as they go over the wire: signed by botocore, and otherwise just what is given."""

import json
import os
from dataclasses import dataclass

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

ENDPOINT = os.environ["AWS_ENDPOINT_URL_KMS"]
POOL = urllib3.PoolManager(ca_certs=os.environ["AWS_CA_BUNDLE"], retries=False)


@dataclass
class Answer:
    status: int
    body: dict
    request_id: str

    @property
    def code(self):
        return self.body.get("__type") if self.status != 200 else None

    @property
    def message(self):
        return self.body.get("message", "") if self.status != 200 else None


def call(operation, members, profile="default"):
    """Sends members, whatever they are, as the input of an operation."""
    headers = {"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    body = json.dumps(members).encode()
    request = AWSRequest(method="POST", url=f"{ENDPOINT}/", data=body, headers=headers)
    credentials = boto3.Session(profile_name=profile).get_credentials() if profile not in KNOWN else KNOWN[profile]
    KNOWN[profile] = credentials
    SigV4Auth(credentials, "kms", os.environ["AWS_REGION"]).add_auth(request)
    answer = POOL.urlopen("POST", f"{ENDPOINT}/", body=body, headers=dict(request.headers))
    return Answer(answer.status, json.loads(answer.data), answer.headers["x-amzn-RequestId"])


KNOWN = {}
