"""Holds a request to AWS against AWS's own description of its interface: the service models that botocore ships.

What is held: the operation, its version, names of parameters, types, enumerations, required members, lengths, ranges and
patterns, in the query protocols (EC2, IAM, STS, CloudFormation), in JSON (SSM, Pricing, Service Quotas, Cost Explorer), and the names of
S3's headers.
"""

import base64
import binascii
import functools
import json
import re
import threading
from urllib.parse import parse_qsl, urlsplit

from botocore.loaders import Loader
from botocore.model import ServiceModel

# The name in a signature's scope, and botocore's name of the model.
MODELS = {
    "ec2": "ec2", "ssm": "ssm", "iam": "iam", "sts": "sts", "pricing": "pricing", "ce": "ce", "s3": "s3",
    "servicequotas": "service-quotas", "cloudformation": "cloudformation",
}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\d+(\.\d+)?")
# What every request to S3 may carry, whatever it asks for.
COMMON_S3 = {"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-user-agent", "x-amz-trailer",
             "x-amz-decoded-content-length"}
LOCK = threading.Lock()


@functools.cache
def model(service):
    name = MODELS[service]
    return ServiceModel(Loader().load_service_model(name, "service-2"), service_name=name)


@functools.cache
def compiled(pattern):
    """The pattern, as far as Python reads it as Java does."""
    try:
        return re.compile(pattern.replace(r"\p{L}", r"\w").replace(r"\p{Z}", r"\s").replace(r"\p{N}", r"\d"))
    except re.error:
        return None


class Held:
    """One request, and what is wrong with it."""

    def __init__(self):
        self.wrong = []

    def say(self, at, why):
        self.wrong.append(f"{at or 'the request'} {why}")

    def text(self, shape, value, at):
        self.length(shape, len(value), at, "characters")
        allowed = shape.metadata.get("enum")
        # Types come more often than models of them; EC2 itself refuses one that it does not have.
        if allowed and value not in allowed and shape.name != "InstanceType":
            self.say(at, f"is {value!r}, which is none of its {len(allowed)} values")
        pattern = shape.metadata.get("pattern")
        if pattern and (known := compiled(pattern)) and not known.fullmatch(value) and not known.match(value):
            self.say(at, f"is {value!r}, which does not match {pattern}")

    def length(self, shape, have, at, unit):
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if least is not None and have < least:
            self.say(at, f"has {have} {unit}, fewer than {least}")
        if most is not None and have > most:
            self.say(at, f"has {have} {unit}, more than {most}")

    def number(self, shape, value, at):
        least, most = shape.metadata.get("min"), shape.metadata.get("max")
        if (least is not None and value < least) or (most is not None and value > most):
            self.say(at, f"is {value}, not within {least} and {most}")

    def scalar(self, shape, value, at):
        """A value as the query protocols write it."""
        if shape.type_name == "string":
            self.text(shape, value, at)
        elif shape.type_name in ("integer", "long"):
            if re.fullmatch(r"-?\d+", value):
                self.number(shape, int(value), at)
            else:
                self.say(at, f"is {value!r}, no whole number")
        elif shape.type_name in ("float", "double"):
            if re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", value):
                self.number(shape, float(value), at)
            else:
                self.say(at, f"is {value!r}, no number")
        elif shape.type_name == "boolean":
            if value not in ("true", "false"):
                self.say(at, f"is {value!r}, neither true nor false")
        elif shape.type_name == "timestamp":
            if not TIMESTAMP.fullmatch(value):
                self.say(at, f"is {value!r}, no time")
        elif shape.type_name == "blob":
            try:
                base64.b64decode(value, validate=True)
            except binascii.Error:
                self.say(at, "is not base64")

    def required(self, shape, have, at):
        for name in shape.required_members:
            if name not in have:
                self.say(f"{at}.{name}".lstrip("."), "is missing")


class Query(Held):
    """Flat parameters: `Filter.1.Value.2=x`. Each protocol has its own way to name and number."""

    def __init__(self, is_ec2):
        super().__init__()
        self.is_ec2 = is_ec2

    def name(self, shape, default):
        said = shape.serialization
        if self.is_ec2:
            if "queryName" in said:
                return said["queryName"]
            name = said.get("name", default)
            return name[:1].upper() + name[1:]
        return said.get("name", default)

    def walk(self, shape, tree, at):
        if shape.type_name == "structure":
            self.structure(shape, tree, at)
        elif shape.type_name == "list":
            self.list(shape, tree, at)
        elif shape.type_name == "map":
            self.say(at, "is a map, which nothing of ours sends")
        elif isinstance(tree, dict):
            self.say(at, f"has parts {sorted(tree)}, but is a {shape.type_name}")
        else:
            self.scalar(shape, tree, at)

    def structure(self, shape, tree, at):
        if not isinstance(tree, dict):
            return self.say(at, "has a value, but is a structure")
        known = {self.name(member, name): name for name, member in shape.members.items()}
        for key, below in tree.items():
            here = f"{at}.{key}".lstrip(".")
            if key in known:
                self.walk(shape.members[known[key]], below, here)
            else:
                self.say(here, "is no parameter of AWS's")
        self.required(shape, {known[key] for key in tree if key in known}, at)

    def list(self, shape, tree, at):
        if not self.is_ec2 and not shape.serialization.get("flattened"):
            if tree == "":
                tree = {}
            else:
                inner = shape.member.serialization.get("name", "member")
                if not isinstance(tree, dict) or set(tree) != {inner}:
                    return self.say(at, f"is a list, whose parts are {at}.{inner}.1 and so on")
                tree, at = tree[inner], f"{at}.{inner}"
        if not isinstance(tree, dict) or sorted(tree, key=lambda it: (len(it), it)) != [
            str(number) for number in range(1, len(tree) + 1)
        ]:
            return self.say(at, "is a list, whose parts are numbered from 1 without gaps")
        self.length(shape, len(tree), at, "entries")
        for number, below in tree.items():
            self.walk(shape.member, below, f"{at}.{number}")


class Json(Held):
    """Parameters as JSON."""

    TYPES = {"string": str, "blob": str, "boolean": bool, "integer": int, "long": int, "float": (int, float),
             "double": (int, float), "timestamp": (int, float, str), "structure": dict, "list": list, "map": dict}

    def walk(self, shape, value, at):
        kind = shape.type_name
        if not isinstance(value, self.TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
            return self.say(at, f"is {value!r}, no {kind}")
        if kind == "structure":
            for key, below in value.items():
                here = f"{at}.{key}".lstrip(".")
                if key in shape.members:
                    self.walk(shape.members[key], below, here)
                else:
                    self.say(here, "is no parameter of AWS's")
            self.required(shape, value, at)
        elif kind == "list":
            self.length(shape, len(value), at, "entries")
            for number, below in enumerate(value):
                self.walk(shape.member, below, f"{at}[{number}]")
        elif kind == "map":
            for key, below in value.items():
                self.text(shape.key, key, at)
                self.walk(shape.value, below, f"{at}.{key}")
        elif kind == "string":
            self.text(shape, value, at)
        elif kind in ("integer", "long", "float", "double"):
            self.number(shape, value, at)


def tree_of(pairs):
    """`a.1.b=x` as nested dictionaries."""
    tree, twice = {}, []
    for key, value in pairs:
        *way, last = key.split(".")
        place = tree
        for part in way:
            below = place.setdefault(part, {})
            if not isinstance(below, dict):
                twice.append(key)
                below = {}
            place = below
        if last in place:
            twice.append(key)
        place[last] = value
    return tree, twice


def query(request, known):
    pairs = parse_qsl(request["body"], keep_blank_values=True)
    tree, twice = tree_of(pairs)
    action, version = tree.pop("Action", None), tree.pop("Version", None)
    held = Query(known.protocol == "ec2")
    for key in twice:
        held.say(key, "is there twice")
    if action not in known.operation_names:
        held.say("Action", f"is {action!r}, which AWS does not have")
        return held.wrong
    if version != known.api_version:
        held.say("Version", f"is {version!r}, not {known.api_version}")
    shape = known.operation_model(action).input_shape
    if shape:
        held.structure(shape, tree, "")
    elif tree:
        held.say("", f"has parameters {sorted(tree)}, and AWS has none")
    return held.wrong


def as_json(request, known):
    held = Json()
    prefix, _, action = request["target"].rpartition(".")
    if prefix != known.metadata["targetPrefix"]:
        held.say("x-amz-target", f"begins with {prefix!r}, not {known.metadata['targetPrefix']}")
    wanted = f"application/x-amz-json-{known.metadata['jsonVersion']}"
    if request["type"] != wanted:
        held.say("content-type", f"is {request['type']!r}, not {wanted}")
    if action not in known.operation_names:
        held.say("x-amz-target", f"names {action!r}, which AWS does not have")
        return held.wrong
    try:
        body = json.loads(request["body"] or "{}")
    except ValueError as error:
        held.say("", f"is no JSON: {error}")
        return held.wrong
    held.walk(known.operation_model(action).input_shape, body, "")
    return held.wrong


def objects(request, known):
    """S3's: the operation is told by method and query, its parameters by their headers."""
    held = Held()
    url = urlsplit(request["path"])
    asked = dict(parse_qsl(url.query, keep_blank_values=True))
    named = asked.pop("x-id", None)
    names = [named] if named else {"PUT": ["PutObject"], "GET": ["GetObject"], "HEAD": ["HeadObject"]}.get(
        request["method"], []
    )
    if not names or names[0] not in known.operation_names:
        held.say("", f"{request['method']} {request['path']} is no operation that is known here")
        return held.wrong
    operation = known.operation_model(names[0])
    if operation.http["method"] != request["method"]:
        held.say("", f"is a {request['method']}, and {operation.name} a {operation.http['method']}")
    places = {}
    for member in operation.input_shape.members.values():
        said = member.serialization
        places.setdefault(said.get("location"), set()).add(said.get("name", "").lower())
    for header in request["headers"]:
        is_meta = header.startswith("x-amz-meta-")
        if header.startswith("x-amz-") and not is_meta and header not in COMMON_S3 | places.get("header", set()):
            held.say(header, f"is no header of {operation.name}")
    for name in asked:
        if not name.lower().startswith("x-amz-") and name.lower() not in places.get("querystring", set()):
            held.say(name, f"is no parameter of {operation.name}")
    bucket, _, key = url.path.lstrip("/").partition("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket):
        held.say(bucket, "is no name of a bucket")
    if not 1 <= len(key.encode()) <= 1024:
        held.say(key, "is no key: those have 1 to 1024 bytes")
    return held.wrong


def wrong_with(request):
    """What AWS would not take of a request; nothing when it would."""
    service = request["service"]
    if service not in MODELS:
        return [f"{service!r} is a service that the guard knows nothing of"]
    with LOCK:
        known = model(service)
        if service == "s3":
            return objects(request, known)
        return (query if known.protocol in ("ec2", "query") else as_json)(request, known)


def app(inner):
    """The emulator's application, with the guard at `/guard`."""

    def answer(environ, start_response):
        if environ.get("PATH_INFO") != "/guard":
            return inner(environ, start_response)
        size = int(environ.get("CONTENT_LENGTH") or 0)
        found = wrong_with(json.loads(environ["wsgi.input"].read(size)))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(found).encode()]

    return answer
