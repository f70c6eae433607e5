#!/usr/bin/env python3
"""Makes instance_types.csv and spot_advisor.csv of this directory from source tables.

    generate.py SOURCES [OUTPUT]        write the files into OUTPUT (default: this directory)
    generate.py --check SOURCES [OUTPUT]  change nothing; exit 1 when a file would change

SOURCES is a directory with the tables that are named under TABLES below, each a CSV with a header. The same
sources always give the same bytes. A newer source takes its own row there: file, date, attribution.

volumes.csv and hosted.csv are kept by hand: each says in its first lines where its figures were read.
"""

import argparse
import csv
import sys
from pathlib import Path

TABLES = {
    "instance_types.csv": {
        "source": "aws_instance_types_us-east-1_2026-07.csv",
        "head": [
            "EC2 instance types with their Linux on-demand prices in us-east-1, USD per hour, as of 2026-07-20.",
            "Extracted from aws/karpenter-provider-aws at commit 1d927085, Apache License 2.0, Copyright Amazon.com, Inc. or its affiliates:",
            "columns dropped, rows unchanged. GPU memory is that of one GPU.",
            "as-of: 2026-07-20",
        ],
    },
    "spot_advisor.csv": {
        "source": "aws_spot_advisor_linux_2025-07.csv",
        "head": [
            "What spot saves against on-demand (Linux), by type and region, as of 2025-07-28: AWS's Spot Instance Advisor,",
            "https://aws.amazon.com/ec2/spot/instance-advisor/, as committed to alexei-led/spotinfo at 05e93313, Apache License 2.0:",
            "rows turned into columns, vCPUs and memory dropped. A cell is the saving in percent and how often AWS took such instances",
            "back in the month before: a under 5 %, b 5-10 %, c 10-15 %, d 15-20 %, e more. Empty: not known. Below 0: dearer than on-demand.",
            "as-of: 2025-07-28",
        ],
    },
}

BANDS = {"<5%": "a", "5-10%": "b", "10-15%": "c", "15-20%": "d", ">20%": "e"}


def instance_types(rows):
    """Our columns of the source's rows, in the source's order."""
    columns = {
        "instance_type": "instance_type",
        "arch": "arch",
        "vcpus": "vcpu",
        "memory_mib": "memory_mib",
        "gpu_name": "gpu_name",
        "gpu_count": "gpu_count",
        "gpu_memory_mib": "gpu_memory_mib",
        "usd_per_hour": "on_demand_usd_per_h_us_east_1",
    }
    yield list(columns)
    for row in rows:
        yield [row[name] for name in columns.values()]


def spot_advisor(rows):
    """One row a type, one column a region: a tenth of the source's size."""
    cells = {}
    for row in rows:
        key = (row["instance_type"], row["region"])
        if key in cells:
            raise ValueError(f"{key} is there twice")
        saving = int(row["savings_pct"])
        if saving > 100:
            raise ValueError(f"{key} saves {saving} %")
        cells[key] = f"{saving}{BANDS[row['interruption_band']]}"
    regions = sorted({region for _, region in cells})
    yield ["instance_type", *regions]
    for name in sorted({name for name, _ in cells}):
        yield [name, *(cells.get((name, region), "") for region in regions)]


MAKERS = {"instance_types.csv": instance_types, "spot_advisor.csv": spot_advisor}


def made(name, sources):
    """The whole text of one file."""
    table = TABLES[name]
    with open(sources / table["source"], encoding="utf-8", newline="") as source:
        rows = list(MAKERS[name](csv.DictReader(source)))
    for row in rows:
        if any(set(field) & set(',"\n\r') for field in row):
            raise ValueError(f"a field of {row[0]} needs quotes, which the reader does not know")
    lines = [f"# {line}" for line in table["head"]] + [",".join(row) for row in rows]
    return "\n".join(lines) + "\n"


def main():
    """Reads the command line; the exit code says whether a check failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when a file would change")
    parser.add_argument("sources", type=Path)
    parser.add_argument("output", type=Path, nargs="?", default=Path(__file__).parent)
    args = parser.parse_args()
    stale = []
    for name in TABLES:
        text = made(name, args.sources)
        path = args.output / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not args.check:
            path.write_text(text, encoding="utf-8", newline="\n")
    for name in stale:
        print(f"{name}: {'is not what the sources give' if args.check else 'written'}", file=sys.stderr)
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
