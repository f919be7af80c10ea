"""A key policy: decryption for one purpose.

Its configuration is {"purpose": "backup"}. Who decrypts must say this purpose in the encryption
context; the account's root may do everything else, and nobody else anything.
"""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.policy import (
    Answer,
    ConfigurationError,
    Decision,
    Decision_Allow,
    Decision_Deny,
    Decision_NoOpinion,
    Request,
)


def refused(reason: str, place: str = "") -> Err:
    return Err(ConfigurationError(place, reason))


def decide(purpose: str, request: Request) -> Decision:
    if request.action == "kms:Decrypt":
        given = [pair.value for pair in request.encryption_context if pair.name == "purpose"]
        if not given:
            return Decision_Deny("no purpose in the encryption context")
        return Decision_Allow() if given == [purpose] else Decision_Deny("another purpose")
    # A key whose policy nobody may change can never get another.
    return Decision_Allow() if request.principal.arn.endswith(":root") else Decision_NoOpinion()


class Policy(exports.Policy):
    def configure(self, configuration: bytes) -> bytes:
        """Runs once, when a key gets the policy. What it returns is the state that `evaluate` gets;
        the error that it raises is told to whom it concerns."""
        try:
            parsed = json.loads(configuration)
        except ValueError as error:
            raise refused(f"the configuration is not JSON: {error}")
        if not isinstance(parsed, dict):
            parsed = {}
        for member in parsed:
            if member != "purpose":
                raise refused("is not a member of the configuration", member)
        purpose = parsed.get("purpose")
        if not isinstance(purpose, str) or not purpose:
            raise refused("`purpose` is missing")
        return purpose.encode()

    def evaluate(self, state: bytes, request: Request) -> Answer:
        """Runs for each request on the key, each time in a fresh instance."""
        return Answer(decide(state.decode(), request), obligations=[], log=[])
