"""A request that was changed after it was signed, or signed at another time, is not obeyed.

The requests are signed by botocore and sent by urllib3, so that they can be changed in between.
"""

import json
import os
from datetime import datetime, timedelta, timezone
from unittest import mock

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

endpoint = os.environ["AWS_ENDPOINT_URL_KMS"]
region = os.environ["AWS_REGION"]
credentials = boto3.Session(profile_name="default").get_credentials().get_frozen_credentials()
http = urllib3.PoolManager(ca_certs=os.environ["AWS_CA_BUNDLE"], retries=False)


def signed(operation, body, at=None):
    request = AWSRequest("POST", endpoint + "/", data=json.dumps(body).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"TrentService.{operation}",
    })
    now = at or datetime.now(timezone.utc)
    with mock.patch("botocore.auth.get_current_datetime", return_value=now):
        SigV4Auth(credentials, "kms", region).add_auth(request)
    prepared = request.prepare()
    # The length is not signed, and is that of the body as it is sent.
    headers = {name: value for name, value in prepared.headers.items() if name != "Content-Length"}
    return headers, prepared.body


def send(headers, body, method="POST", path="/"):
    answer = http.request(method, endpoint + path, headers=headers, body=body)
    return answer.status, json.loads(answer.data) if answer.data else None


def code(answer):
    return answer["__type"].rpartition("#")[2]


def refused(expected, headers, body, status=400):
    found, answer = send(headers, body)
    assert (found, code(answer)) == (status, expected), (found, answer, expected)
    assert "KeyMetadata" not in answer


# The control: as it was signed, it is obeyed.
headers, body = signed("CreateKey", {"Description": "as it was signed"})
status, answer = send(headers, body)
assert status == 200 and answer["KeyMetadata"]["Description"] == "as it was signed", answer

# The body.
for changed in (
    body.replace(b"signed", b"Signed"),
    body + b" ",
    b"{}",
    b"",
):
    refused("InvalidSignatureException", headers, changed)

# The signed headers, and which of them are signed.
for name, value in (
    ("X-Amz-Target", "TrentService.ListKeys"),
    ("X-Amz-Date", (datetime.now(timezone.utc) - timedelta(seconds=30)).strftime("%Y%m%dT%H%M%SZ")),
    ("Content-Type", "application/x-amz-json-1.0"),
):
    headers, body = signed("CreateKey", {})
    refused("InvalidSignatureException", {**headers, name: value}, body)
headers, body = signed("CreateKey", {})
authorization = headers["Authorization"]
assert "host;" in authorization
for changed in (
    authorization[:-1] + ("0" if authorization[-1] != "0" else "1"),
    authorization.replace("host;", ""),
    authorization.replace(f"/{region}/", "/eu-nowhere-9/"),
    authorization.replace("/kms/", "/s3/"),
):
    assert changed != authorization
    status, answer = send({**headers, "Authorization": changed}, body)
    assert status == 400 and code(answer) == "InvalidSignatureException", (changed, answer)

# The time: fifteen minutes either way.
for minutes, obeyed in ((-20, False), (-4, True), (4, True), (20, False)):
    headers, body = signed("ListKeys", {}, datetime.now(timezone.utc) + timedelta(minutes=minutes))
    status, answer = send(headers, body)
    if obeyed:
        assert status == 200, answer
    else:
        assert (status, code(answer)) == (400, "InvalidSignatureException"), answer
        assert "Signature" in answer["message"], answer

# No signature at all, or half of one.
headers, body = signed("ListKeys", {})
unsigned = {name: value for name, value in headers.items() if name != "Authorization"}
refused("MissingAuthenticationTokenException", unsigned, body)
refused("IncompleteSignatureException", {**headers, "Authorization": "AWS4-HMAC-SHA256 Credential=x"}, body)

# What is signed well but is no request of KMS.
headers, body = signed("MakeCoffee", {})
status, answer = send(headers, body)
assert (status, code(answer)) == (400, "UnknownOperationException"), answer
headers, _ = signed("ListKeys", {})
status, _ = send(headers, b"x" * (2 << 20))
assert status in (400, 413), status
