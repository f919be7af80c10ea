"""A plugin for pytest: moto's own tests of KMS, sent to a running service in place of moto.

The account must be 123456789012. What AWS does otherwise than moto stands in differences.txt, each line a
part of a test's id and the reason. A test that fails and is not there is a failure, and so is a line that
no failing test is left for.
"""

import os
import sys
from pathlib import Path

import boto3
import moto
import moto.core.decorator
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

# One attempt: what is wrong is to be seen at once.
CONFIG = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=60)
# moto's classes from inside, its HTTP server, and what needs other services.
NOT_OVER_THE_WIRE = ("test_model.py", "test_utils.py", "test_server.py", "test_kms_cloudformation.py")
FROM_INSIDE = "TestKMSPolicyValidator"
# It counts all keys of its Region: it runs on the service that is still empty.
FIRST = "test_list_keys"

DIFFERENCES = [
    [part.strip() for part in line.split("|", 1)]
    for line in Path(__file__).with_name("differences.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]
real_client, clients, met = boto3.client, {}, set()


class Unmocked:
    """What moto's `mock_aws` is as a decorator, with and without parentheses, and as a context."""

    def __call__(self, function=None, **_):
        return self if function is None else function

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    start = stop = lambda self: None


moto.mock_aws = moto.core.decorator.mock_aws = Unmocked()


def client(service, region_name=None, **arguments):
    assert service == "kms", f"a test asks for {service}"
    made = real_client("kms", region_name or os.environ["AWS_DEFAULT_REGION"], **{"config": CONFIG, **arguments})
    clients[made.meta.region_name] = made
    made.meta.events.register("provide-client-params.kms.CreateKey", without_broken_policy)
    return made


boto3.client = client


def without_broken_policy(params, **_):
    """Many tests make keys with this text as a policy, and are about something else. AWS refuses it."""
    if params.get("Policy", "").lower() == "my policy":
        return {name: value for name, value in params.items() if name != "Policy"}


def difference(item):
    for part, reason in DIFFERENCES:
        if item.nodeid.endswith("::" + part[:-1]) if part.endswith("$") else part in item.nodeid:
            return part, reason


def pytest_ignore_collect(collection_path):
    return collection_path.name in NOT_OVER_THE_WIRE or None


def pytest_collection_modifyitems(config, items):
    left_out = [item for item in items if FROM_INSIDE in item.nodeid]
    config.hook.pytest_deselected(items=left_out)
    items[:] = sorted((item for item in items if item not in left_out), key=lambda item: FIRST != item.name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    known = difference(item)
    if known and report.when == "call" and report.failed:
        met.add(known[0])
        report.outcome, report.wasxfail = "skipped", known[1]
    return report


@pytest.fixture(autouse=True)
def without_aliases():
    """Tests take the same names again."""
    yield
    for kms in clients.values():
        for alias in kms.get_paginator("list_aliases").paginate().search("Aliases[]"):
            try:
                kms.delete_alias(AliasName=alias["AliasName"])
            except ClientError as error:
                print(f"{alias['AliasName']}: {error}", file=sys.stderr)


def pytest_sessionfinish(session, exitstatus):
    whole = not session.config.getoption("keyword") and not session.config.getoption("collectonly")
    unmet = [part for part, _ in DIFFERENCES if part not in met]
    if whole and unmet:
        print(f"\ndifferences.txt: no failing test is left for {', '.join(unmet)}", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
