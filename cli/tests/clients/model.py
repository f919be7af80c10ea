"""Every member of every operation against AWS's service model, as botocore has it.

For each constraint of the model a request that is otherwise valid breaks just this one, and the
answer has to be AWS's. What is just inside a constraint must not be refused for it. The model is
read from the installed botocore: a new member or operation there is tested without a change here.
"""

import base64
import copy
import json
import re

import state
from botocore.loaders import Loader
from wire import call

MODEL = Loader().load_service_model("kms", "service-2")
SHAPES = MODEL["shapes"]

# Where AWS's answers differ from its model, or the documentation adds to it. What the model itself
# says one day has to go from here (`check_differences`).
PATTERNS_OF_ANSWERS = {
    # In AWS's answers, e.g. to DescribeKey of an empty KeyId; the published model has no pattern.
    "KeyIdType": r"^\p{ASCII}+$",
}
CHOICES_OF_ANSWERS = {
    # In the order of AWS's answers, which is not that of the model.
    "MacAlgorithmSpec": ["HMAC_SHA_384", "HMAC_SHA_256", "HMAC_SHA_224", "HMAC_SHA_512"],
}
MORE_CHOICES = {
    # Sekisho's own: docs/hpke-recipient.md.
    "KeyEncryptionMechanism": ["HPKE_P384_HKDF_SHA384_AES_256_GCM"],
}
# API reference, Decrypt and ReEncrypt: "required in all cases except when DryRun is true and
# DryRunModifiers is set to IGNORE_CIPHERTEXT". RecipientInfo: a document without its algorithm, or
# an algorithm without a document, asks for nothing that could be answered.
ALSO_REQUIRED = {
    "DecryptRequest": ["CiphertextBlob"],
    "ReEncryptRequest": ["CiphertextBlob"],
    "RecipientInfo": ["KeyEncryptionAlgorithm", "AttestationDocument"],
}

# Strings of a form that no repeated letter has.
SAMPLES = {
    "AccountIdType": "111122223333",
    "AliasNameType": "alias/model",
    "CloudHsmClusterIdType": "cluster-2345672345a",
    "GrantConstraintSourceArnType": "arn:aws:s3:::111122223333:b".replace(":::", ":eu:", 1),
    "MarkerType": "1",
    "RegionType": "eu-central-1",
    "ServicePrincipalType": "kms.amazonaws.com",
    "XksProxyAuthenticationAccessKeyIdType": "A" * 20,
    "XksProxyUriEndpointType": "https://xks.example",
    "XksProxyUriPathType": "/kms/xks/v1",
    "XksProxyVpcEndpointServiceNameType": "com.amazonaws.vpce.us-east-1.vpce-svc-0example",
}
# How such a string is made as long or as short as is wanted.
STRETCHED = {
    "CloudHsmClusterIdType": lambda length: "cluster-" + "a" * (length - 8),
    "GrantConstraintSourceArnType": lambda length: ("arn:aws:s:e:111122223333:" + "b" * length)[:length],
    "RegionType": lambda length: ("eu-central-" + "1" * length)[:length],
    "ServicePrincipalType": lambda length: ("a" * length + ".b.c")[-max(length, 1):],
    "XksProxyUriEndpointType": lambda length: ("https://" + "x" * length)[:length],
    "XksProxyUriPathType": lambda length: "/" + "x" * (length - 13) + "/kms/xks/v1" if length > 13 else "/kms/xks/v"[: length - 1] + "1",
    "XksProxyVpcEndpointServiceNameType":
        lambda length: "eu.amazonaws.vpce.a-b-1.vpce-svc-" + "0" * (length - 33) if length > 33 else "0" * length,
}
WRONG_TYPES = {
    "string": [7, True, [], {}],
    "blob": [7, True, [], {}, "*"],
    "integer": ["7", True, [], {}],
    "boolean": ["true", 7, [], {}],
    "list": ["a", 7, True, {}],
    "map": ["a", 7, True, []],
    "structure": ["a", 7, True, []],
    "timestamp": [True, [], {}],
}
TOKENS = {str: "STRING_VALUE", int: "NUMBER_VALUE", bool: "TRUE_VALUE"}
SCALARS = {"string": "a String", "blob": "a Blob", "integer": "an Integer", "boolean": "a Boolean"}
WANTED = {"list": "Expected list or null", "map": "Expected map or null", "structure": "Expected null"}


def shape(name):
    found = dict(SHAPES[name], name=name)
    if name in PATTERNS_OF_ANSWERS:
        found["pattern"] = PATTERNS_OF_ANSWERS[name]
    if name in CHOICES_OF_ANSWERS:
        found["enum"] = CHOICES_OF_ANSWERS[name]
    if name in MORE_CHOICES:
        found["enum"] = found["enum"] + MORE_CHOICES[name]
    if name in ALSO_REQUIRED:
        found["required"] = found.get("required", []) + ALSO_REQUIRED[name]
    return found


def check_differences():
    for name, choices in CHOICES_OF_ANSWERS.items():
        assert sorted(choices) == sorted(SHAPES[name]["enum"]) and choices != SHAPES[name]["enum"], name
    for name, pattern in PATTERNS_OF_ANSWERS.items():
        assert "pattern" not in SHAPES[name], f"{name} has a pattern of its own now: {pattern}"
    for name, choices in MORE_CHOICES.items():
        assert not set(choices) & set(SHAPES[name]["enum"]), name
    for name, members in ALSO_REQUIRED.items():
        assert not set(members) & set(SHAPES[name].get("required", ())), name


def matches(pattern, text):
    pattern = pattern.replace(r"\p{ASCII}", r"[\x00-\x7f]")
    return re.fullmatch(pattern, text, re.ASCII) is not None


def of_length(kind, length):
    stretch = STRETCHED.get(kind["name"])
    return stretch(length) if stretch else ("A" * length)


def sample(kind):
    """A value that keeps every constraint."""
    match kind["type"]:
        case "string" if "enum" in kind:
            return kind["enum"][0]
        case "string":
            return SAMPLES.get(kind["name"]) or of_length(kind, max(kind.get("min", 1), 1))
        case "blob":
            return encoded(b"a" * max(kind.get("min", 1), 1))
        case "integer":
            return kind["min"]
        case "boolean":
            return False
        case "timestamp":
            return 4102444800
        case "list":
            return [sample(shape(kind["member"]["shape"]))]
        case "map":
            return {sample(shape(kind["key"]["shape"])): sample(shape(kind["value"]["shape"]))}
        case "structure":
            return {name: sample(shape(member["shape"])) for name, member in kind["members"].items()}


def encoded(data):
    return base64.b64encode(data).decode()


def words(kind, constraint):
    """A constraint in AWS's words."""
    value = kind[constraint]
    if constraint == "pattern":
        return f"Member must satisfy regular expression pattern: {value}"
    if constraint == "enum":
        return f"Member must satisfy enum value set: [{', '.join(value)}]"
    measure = "value" if kind["type"] == "integer" else "length"
    bound = "greater" if constraint == "min" else "less"
    return f"Member must have {measure} {bound} than or equal to {value}"


def broken(kind, value):
    """The constraints of its shape that a value breaks, in AWS's words."""
    size = value if kind["type"] == "integer" else len(value)
    if kind["type"] == "blob":
        size = len(base64.b64decode(value))
    found = []
    if "min" in kind and size < kind["min"]:
        found.append("min")
    if "max" in kind and size > kind["max"]:
        found.append("max")
    if "pattern" in kind and not matches(kind["pattern"], value):
        found.append("pattern")
    if "enum" in kind and value not in kind["enum"]:
        found.append("enum")
    return [words(kind, constraint) for constraint in found]


def place(path):
    """`tags.1.member.tagKey`"""
    parts = [f"{part + 1}.member" if isinstance(part, int) else part[0].lower() + part[1:] for part in path]
    return ".".join(parts)


def shown(kind, value):
    if kind.get("sensitive") or kind["type"] == "blob":
        return "Value"
    if kind["type"] == "list":
        return f"Value '[{', '.join(value)}]'"
    return f"Value '{value}'"


def violations(kind, value, path):
    found = broken(kind, value) if kind["type"] in ("string", "blob", "integer", "list") else []
    if kind["type"] == "list":
        item = shape(kind["member"]["shape"])
        if item["type"] == "string" and any(broken(item, one) for one in value):
            all_of_it = [name for name in ("max", "min", "pattern", "enum") if name in item]
            constraints = ", ".join(words(item, name) for name in all_of_it)
            found.append(f"Member must satisfy constraint: [{constraints}]")
    return {f"{shown(kind, value)} at '{place(path)}' failed to satisfy constraint: {text}" for text in found}


def missing(kind, path):
    value = "Value" if kind.get("sensitive") else "Value null"
    return {f"{value} at '{place(path)}' failed to satisfy constraint: Member must not be null"}


def strings(kind):
    """Strings at and beyond each bound of a shape."""
    if "enum" in kind:
        yield from kind["enum"]
        yield from ("NOT_A_MEMBER", kind["enum"][0].lower(), "")
        return
    if "min" in kind:
        yield of_length(kind, kind["min"])
        if kind["min"] > 0:
            yield of_length(kind, kind["min"] - 1)
    if "max" in kind:
        yield of_length(kind, kind["max"])
        yield of_length(kind, kind["max"] + 1)
        # Characters count, and not bytes.
        yield "é" * kind["max"]
    if "pattern" in kind:
        length = max(kind.get("min", 1), 1)
        for letter in ("!", "\u4e00", "\n", " ", "."):
            yield letter * length
        base = sample(kind)
        yield from (base + "!", "!" + base, base[:-1])


def values(kind):
    """Values at and beyond each bound of a shape."""
    match kind["type"]:
        case "string":
            yield sample(kind)
            yield from strings(kind)
        case "blob":
            yield encoded(b"")
            for length in (kind["min"], kind["max"], kind["max"] + 1):
                yield encoded(b"a" * length)
        case "integer":
            yield from (kind["min"] - 1, kind["min"], kind["max"], kind["max"] + 1, -(2**31), 2**31 - 1)
        case "boolean":
            yield from (True, False)
        case "map":
            yield from ({}, sample(kind))
        case "list":
            item = shape(kind["member"]["shape"])
            lengths = {1, kind.get("min", 0), kind.get("max", 1)}
            if kind.get("min", 0) > 0:
                lengths.add(kind["min"] - 1)
            if "max" in kind:
                lengths.add(kind["max"] + 1)
            for length in sorted(lengths):
                yield [sample(item)] * length
            if item["type"] == "string":
                for text in strings(item):
                    yield [sample(item), text]
        case _:
            yield sample(kind)


class Case:
    """A request, and what is to be said of it: violations, a text of a SerializationException, or
    nothing."""

    def __init__(self, request, violated=frozenset(), wrong_type=None):
        self.request, self.violated, self.wrong_type = request, set(violated), wrong_type


def put(request, path, value):
    """The request with another value at a place of it."""
    changed = copy.deepcopy(request)
    at = changed
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return changed


def removed(request, path):
    changed = copy.deepcopy(request)
    at = changed
    for part in path[:-1]:
        at = at[part]
    at.pop(path[-1], None)
    return changed


def wrong_type_text(kind, value):
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if kind["type"] in WANTED:
        return WANTED[kind["type"]]
    if kind["type"] in SCALARS and value != "*":
        return f"{TOKENS[type(value)]} can not be converted to {SCALARS[kind['type']]}"
    return "can not be converted to"


def cases(kind, path, request):
    """Every case of the value at a place of a valid request."""
    for value in WRONG_TYPES[kind["type"]]:
        yield Case(put(request, path, value), wrong_type=wrong_type_text(kind, value))
    for value in values(kind):
        yield Case(put(request, path, value), violations(kind, value, path))
    match kind["type"]:
        case "structure":
            yield from members(kind, path, put(request, path, sample(kind)))
        case "list":
            item = shape(kind["member"]["shape"])
            at = put(request, path, [sample(item)])
            for value in WRONG_TYPES[item["type"]]:
                yield Case(put(at, (*path, 0), value), wrong_type=wrong_type_text(item, value))
            if item["type"] == "structure":
                yield from members(item, (*path, 0), at)
                # The place of the second says so.
                yield from members(item, (*path, 1), put(request, path, [sample(item), sample(item)]))
        case "map":
            for value in WRONG_TYPES["string"]:
                of = shape(kind["value"]["shape"])
                yield Case(put(request, path, {"a": value}), wrong_type=wrong_type_text(of, value))


def members(kind, path, request):
    """Every case of every member of a structure at a place of a valid request."""
    for name, member in kind["members"].items():
        of, at = shape(member["shape"]), (*path, name)
        if name in kind.get("required", ()):
            yield Case(removed(request, at), missing(of, at))
            yield Case(put(request, at, None), missing(of, at))
        yield from cases(of, at, request)
    # What AWS does not know it does not mind.
    yield Case(put(request, (*path, "NoSuchMember"), {"a": [1]}))


def all_at_once(kind, request):
    """One request in which every member that can break a constraint does."""
    violated = set()
    for name, member in kind["members"].items():
        of = shape(member["shape"])
        if name in kind.get("required", ()):
            request = removed(request, (name,))
            violated |= missing(of, (name,))
        elif of["type"] in ("string", "blob", "integer"):
            wrong = [value for value in values(of) if broken(of, value)]
            for value in wrong[:1]:
                request = put(request, (name,), value)
                violated |= violations(of, value, (name,))
    return Case(request, violated)


def met(case, answer, operation):
    """What is wrong with an answer, or nothing."""
    code, message = answer.code, answer.message
    if case.wrong_type is not None:
        if code != "SerializationException" or case.wrong_type not in message:
            return f"SerializationException: …{case.wrong_type}… expected"
    elif case.violated:
        number = len(case.violated)
        start = f"{number} validation error{'s' if number > 1 else ''} detected: "
        if code != "ValidationException" or not message.startswith(start):
            return f"ValidationException: {start}… expected: {case.violated}"
        # A value may have the separator in it: each is looked for by itself.
        absent = [text for text in case.violated if text not in message]
        length = len(start) + sum(map(len, case.violated)) + 2 * (number - 1)
        if absent or len(message) != length:
            return f"{absent or 'nothing else'} expected"
    elif code == "SerializationException" or "detected: Value" in (message or ""):
        return "no constraint is broken"
    elif answer.status >= 500:
        return f"{operation} fails"
    return None


def test(operation, made):
    """Runs every case of an operation; answers with how many there were."""
    kind = shape(MODEL["operations"][operation]["input"]["shape"])
    base = made.request(operation)
    number, found = 0, []
    everything = [*members(kind, (), base), all_at_once(kind, base)]
    for case in everything:
        answer = call(operation, case.request)
        number += 1
        trouble = met(case, answer, operation)
        if trouble:
            asked = json.dumps(case.request)
            found.append(f"{operation} {asked[:300]}\n    {str(trouble)[:500]}\n    found {answer.status} {answer.code}: {str(answer.message)[:400]}")
    return number, found


def main():
    check_differences()
    made, total, found = state.State(), 0, []
    for operation in sorted(MODEL["operations"]):
        if call(operation, {}).code == "UnknownOperationException":
            print(f"{operation}: not in this version")
            continue
        number, troubles = test(operation, made)
        print(f"{operation}: {number} requests, {len(troubles)} not answered as AWS does")
        total += number
        found += troubles
    print(f"{total} requests")
    assert not found, f"{len(found)} of {total}:\n" + "\n".join(found[:80])
    # The test itself: it has met what it is there for.
    assert total > 1500, total


main()
