"""`python -m bench [--quick] [NAME...]`: measures, prints, and keeps the results in results.md."""

from __future__ import annotations

import argparse
import os
from importlib import import_module

from bench.figures import keep, say, section

_MEASUREMENTS = (
    "check",
    "commit",
    "commit_postgresql",
    "elastic",
    "fetch",
    "harvest",
    "harvest_s3",
    "index",
    "manners",
    "oai",
    "parse",
    "reading",
    "schedule",
    "search",
    "startup",
    "status",
    "texts",
)


def main() -> None:
    """Each measurement's table is on stdout; full runs are kept."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(_MEASUREMENTS)}; default: all")
    parser.add_argument("--quick", action="store_true", help="small sizes, not kept: to see that all works")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(_MEASUREMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in arguments.names or _MEASUREMENTS:
        say([f"measuring {name} ..."])
        load = os.getloadavg()[0]
        report = import_module(f"bench.{name}").measure(quick=arguments.quick)
        text = section(name, report, load, quick=arguments.quick)
        print(text)
        if not arguments.quick:
            keep(name, text)


if __name__ == "__main__":
    main()
