"""Reads files of Terraform and prints, as JSON, what they hold; ends with an error where one is no HCL."""

import json
import sys

import hcl2


def main() -> None:
    held: dict[str, object] = {}
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as file:
            held[path.rsplit("/", 1)[-1]] = hcl2.load(file)
    json.dump(held, sys.stdout)


main()
