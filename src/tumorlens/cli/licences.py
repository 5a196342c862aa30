"""``tumorlens licences``: the installed dependencies and their licences."""

import importlib.metadata
import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import click

from tumorlens.text import printable

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST: Final = 60
"""Most characters of a licence's name; a longer one is the text of the licence."""


class Package(NamedTuple):
    """One installed distribution."""

    name: str
    version: str
    licence: str
    """An SPDX expression or the usual name; ``unknown`` where the package does not say."""


@click.command("licences")
@click.option("--format", "layout", type=click.Choice(["table", "json"]), default="table",
              show_default=True, help="Format of the list.")  # fmt: skip
def command(layout: str) -> None:
    """List tumorlens, the packages it needs, and the optional ones that are installed.

    Names, versions and licences are as stated by the packages.
    """
    packages = sorted(installed("tumorlens"), key=lambda package: package.name.lower())
    if layout == "json":
        click.echo(json.dumps([package._asdict() for package in packages], indent=2))
        return
    width = max(len(package.name) + len(package.version) for package in packages) + 3
    for package in packages:
        click.echo(printable(f"{f'{package.name} {package.version}':{width}}{package.licence}"))


def installed(root: str) -> Iterator[Package]:
    """``root`` and the installed packages that it or its extras require, directly or not."""
    waiting, known = [root], set[str]()
    while waiting:
        name = _normal(waiting.pop())
        if name in known:
            continue
        known.add(name)
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed, or for another system
        yield Package(distribution.metadata["Name"], distribution.version, _licence(distribution))
        # The extras of dependencies are not ours.
        for requirement in distribution.requires or ():
            if (matched := _NAME.match(requirement)) and (
                name == root or "extra" not in requirement
            ):
                waiting.append(matched[0])


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licence(distribution: importlib.metadata.Distribution) -> str:
    """The licence from the most exact field that is filled."""
    metadata = distribution.metadata
    stated, words = (
        "".join(metadata.get_all(field) or ()).strip()
        for field in ("License-Expression", "License")
    )
    lines = [line for line in metadata.get_all("Classifier") or () if line.startswith("License")]
    names = [line.rpartition(" :: ")[2] for line in lines if line.count(" :: ") > 1]
    short = words if words and "\n" not in words and len(words) <= _LONGEST else ""
    said = stated or short or "; ".join(names)
    return said if said.lower() not in ("", "unknown", "license") else "unknown"
