"""A host in the middle that ends TLS with a certificate of its own and hands everything on.

Usage: impostor.py KEY CERTIFICATE PORT-FILE
"""

import os
import socket
import ssl
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

key, certificate, port_file = sys.argv[1:]
service = urlsplit(os.environ["AWS_ENDPOINT_URL_KMS"])

inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
inward.load_cert_chain(certificate, key)
outward = ssl.create_default_context(cafile=os.environ["AWS_CA_BUNDLE"])


def message(source):
    """One HTTP message, whole. One thread reads and writes: a TLS socket is no good for two."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = source.recv(65536)
        if not more:
            return b""
        received += more
    head, end, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        body += source.recv(65536)
    return head + end + body


def serve(connection):
    try:
        caller = inward.wrap_socket(connection, server_side=True)
    except (ssl.SSLError, OSError):
        return
    plain = socket.create_connection((service.hostname, service.port))
    real = outward.wrap_socket(plain, server_hostname=service.hostname)
    while request := message(caller):
        real.sendall(request)
        caller.sendall(message(real))


listener = socket.create_server(("127.0.0.1", 0))
staged = Path(port_file + ".new")
staged.write_text(str(listener.getsockname()[1]))
staged.rename(port_file)
while True:
    connection, _ = listener.accept()
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
