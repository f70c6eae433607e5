#!/usr/bin/env python3
"""Cuts GitHub's OpenAPI description down to the operations that the simulator and the client use.

    cut.py DIRECTORY OUTPUT

DIRECTORY holds `api.github.com.json` and `ghec.json`, as in `generated/` of the npm package named in README.md.
The operations are named in operations.txt beside this script.
"""

import json
import pathlib
import sys

# What only a reader needs. A property may have one of these names too, so maps of names are walked apart.
WORDS = {
    "description", "summary", "example", "examples", "externalDocs", "tags", "operationId", "title", "deprecated",
    "links", "callbacks", "security", "x-github", "x-multi-segment", "x-github-breaking-changes", "headers",
}
NAMED = {"properties", "patternProperties", "schemas", "responses", "parameters", "paths", "content"}


def bare(value, names=False):
    """The value without words. `names` is true where keys are names that somebody chose."""
    if isinstance(value, dict):
        return {
            key: bare(inner, names=key in NAMED and not names)
            for key, inner in value.items()
            if names or key not in WORDS
        }
    if isinstance(value, list):
        return [bare(inner) for inner in value]
    return value


def references(value):
    """Every `$ref` below this value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def take(document, reference, components):
    """Copies one component and all that it refers to."""
    _, _, kind, name = reference.split("/")
    if name in components.setdefault(kind, {}):
        return
    component = bare(document["components"][kind][name])
    components[kind][name] = component
    for inner in references(component):
        take(document, inner, components)


def main():
    source, output = map(pathlib.Path, sys.argv[1:])
    wanted = pathlib.Path(__file__).with_name("operations.txt").read_text().splitlines()
    documents = {name: json.loads((source / f"{name}.json").read_text()) for name in ("api.github.com", "ghec")}
    paths, components = {}, {}
    for line in wanted:
        if not line.strip() or line.startswith("#"):
            continue
        method, path = line.split()
        # Enterprises have runners in the description of Enterprise Cloud only.
        document = documents["ghec" if path.startswith("/enterprises/") else "api.github.com"]
        found = document["paths"][path]
        kept = paths.setdefault(path, {})
        kept[method.lower()] = bare(found[method.lower()])
        if "parameters" in found:
            kept["parameters"] = bare(found["parameters"])
        for reference in references(kept):
            take(document, reference, components)
    webhooks = {}
    for name in ("queued", "waiting", "in-progress", "completed"):
        schema = documents["api.github.com"]["x-webhooks"][f"workflow-job-{name}"]["post"]["requestBody"]
        webhooks[name] = bare(schema)["content"]["application/json"]["schema"]
        for reference in references(webhooks[name]):
            take(documents["api.github.com"], reference, components)
    cut = {
        "openapi": documents["api.github.com"]["openapi"],
        "paths": paths,
        "components": components,
        "x-webhooks": webhooks,
    }
    output.write_text(json.dumps(cut, sort_keys=True, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
