"""Requests that carry a marker wherever a caller can put words, most of them malformed.

Usage: marked.py MARKER
"""

import os
import socket
import ssl
import sys
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from service import CONFIG, kms, unchecked

marker = sys.argv[1]
service = urlsplit(os.environ["AWS_ENDPOINT_URL_KMS"])
address = (service.hostname, service.port)


def plain(sent):
    with socket.create_connection(address, timeout=20) as stream:
        stream.sendall(sent)
        stream.shutdown(socket.SHUT_WR)
        while stream.recv(65536):
            pass


def tls(sent, name=service.hostname, protocols=None, wait=True):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    with socket.create_connection(address, timeout=20) as stream:
        try:
            with context.wrap_socket(stream, server_hostname=name) as stream:
                stream.sendall(sent)
                return stream.recv(65536) if wait else b""
        except (ssl.SSLError, ConnectionError):
            return b""


# Before TLS, and in its handshake.
plain(f"GET /{marker} HTTP/1.1\r\nhost: {marker}\r\n\r\n".encode())
plain(b"\x16\x03\x01\x00\x20" + marker.encode() * 4)
tls(b"", name=f"{marker}.example", wait=False)
tls(b"", protocols=[marker], wait=False)

# HTTP that is none, is cut off, or is too much.
# The answer to what is whole is waited for, so that the worker's reason is what it was sent.
for sent in (
    f"{marker}\r\n\r\n",
    f"GET /{marker} {marker}/9.9\r\n\r\n",
    f"GET / HTTP/1.1\r\n{marker} {marker}\r\n\r\n",
    f"POST / HTTP/1.1\r\nhost: {marker}\r\ncontent-length: {marker}\r\n\r\n",
    f"GET / HTTP/1.1\r\nhost: {marker}\r\nx-{marker}: {marker * 20000}\r\n\r\n",
):
    tls(sent.encode())
cut = f"POST / HTTP/1.1\r\nhost: {marker}\r\ncontent-length: 100\r\n\r\n{{\"{marker}\": "
tls(cut.encode(), wait=False)

# Well-formed, and nothing that is served.
answer = tls(f"GET /{marker}?{marker}={marker} HTTP/1.1\r\nhost: {marker}\r\n\r\n".encode())
assert b" 404 " in answer, answer
answer = tls(f"GET /attestation?nonce={marker} HTTP/1.1\r\nhost: {marker}\r\n\r\n".encode())
assert b" 400 " in answer, answer
for headers in (
    "",
    f"authorization: {marker}\r\n",
    f"authorization: AWS4-HMAC-SHA256 Credential={marker}/{marker}, Signature={marker}\r\n",
    f"x-amz-target: TrentService.{marker}\r\n",
    f"x-amz-target: TrentService.Encrypt\r\nauthorization: {marker}\r\nx-amz-date: {marker}\r\n",
    f"x-{marker}: \xff{marker}\r\n",
):
    body = f'{{"{marker}": "{marker}"}}'
    head = f"POST / HTTP/1.1\r\nhost: {marker}\r\n{headers}content-length: {len(body)}\r\n\r\n"
    answer = tls((head + body).encode("latin-1"))
    assert b" 400 " in answer, answer

# Signed, by a key that is unknown and by one that is known.
stranger = boto3.Session(marker.upper(), marker, marker).client("kms", config=CONFIG)
root = kms(config=Config(user_agent_extra=marker))
raw = unchecked()
key = root.create_key(Description=marker)["KeyMetadata"]["KeyId"]
root.create_alias(AliasName=f"alias/{marker}", TargetKeyId=key)
context = {marker: marker}
blob = root.encrypt(KeyId=f"alias/{marker}", Plaintext=marker.encode(), EncryptionContext=context)
blob = blob["CiphertextBlob"]
assert root.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == marker.encode()
for call, arguments in (
    (stranger.list_keys, {}),
    (root.describe_key, {"KeyId": marker}),
    (root.describe_key, {"KeyId": f"alias/not-{marker}"}),
    (root.create_alias, {"AliasName": f"alias/{marker}", "TargetKeyId": key}),
    (root.create_alias, {"AliasName": f"alias/aws/{marker}", "TargetKeyId": key}),
    (root.decrypt, {"CiphertextBlob": marker.encode() * 10}),
    (root.decrypt, {"CiphertextBlob": blob, "EncryptionContext": {marker: "other"}}),
    (root.put_key_policy, {"KeyId": key, "PolicyName": "default", "Policy": marker}),
    (root.put_key_policy, {"KeyId": key, "PolicyName": "default", "Policy": f'{{"module": "{marker}"}}'}),
    (raw.create_key, {"KeySpec": marker}),
    (raw.list_keys, {"Marker": marker}),
    (
        root.decrypt,
        {
            "CiphertextBlob": blob,
            "EncryptionContext": context,
            "Recipient": {
                "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
                "AttestationDocument": marker.encode() * 100,
            },
        },
    ),
):
    try:
        call(**arguments)
    except ClientError:
        continue
    raise AssertionError(f"{call} {arguments} was obeyed")
