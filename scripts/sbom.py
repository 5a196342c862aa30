"""Write the software bill of materials that the wheel carries (CycloneDX 1.6).

    python scripts/sbom.py            # write src/tumorlens/sbom.cdx.json
    python scripts/sbom.py --check    # fail where it does not match the locked dependencies

Components are the Python packages of requirements-hashed.txt, with the hashes of their files, and
the JavaScript packages that the page is built from (frontend/package-lock.json). Licences are those
that the installed packages state; one that is not installed here has none.
"""

import argparse
import base64
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tumorlens.cli.licences import installed

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "src" / "tumorlens" / "sbom.cdx.json"
LOCK: Final = ROOT / "requirements-hashed.txt"
_PIN: Final = re.compile(r"^([a-z0-9][a-z0-9.-]*)==(\S+)")
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file, or compare with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true")
    bill = document()
    if not parser.parse_args(arguments).check:
        TARGET.write_text(json.dumps(bill, indent=1) + "\n", encoding="utf-8")
        return
    stored = json.loads(TARGET.read_text(encoding="utf-8"))
    if _without_licences(stored) != _without_licences(bill):
        sys.exit(f"{TARGET} is not of the locked dependencies; run python scripts/sbom.py")


def document() -> dict[str, Any]:
    """The bill: the same bytes for the same dependencies, so without a time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    components = sorted(
        [*_python(), *_javascript()], key=lambda component: str(component["bom-ref"])
    )
    seed = json.dumps([project["version"], [component["bom-ref"] for component in components]])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, seed)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "tumorlens", "name": "tumorlens",
                "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
        "dependencies": [
            {"ref": "tumorlens", "dependsOn": [component["bom-ref"] for component in components]}
        ],
    }  # fmt: skip


def pins(text: str) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and hashes of each package of a lock file."""
    for entry in re.split(r"\n(?=\S)", text):
        if matched := _PIN.match(entry):
            yield matched[1], matched[2], _HASH.findall(entry)


def _python() -> Iterator[dict[str, Any]]:
    licences = {
        package.name.lower().replace("_", "-"): package.licence
        for package in installed("tumorlens")
    }
    for name, version, hashes in pins(LOCK.read_text(encoding="utf-8")):
        purl = f"pkg:pypi/{name}@{version}"
        component: dict[str, Any] = {
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(hashes)],
        }  # fmt: skip
        if (licence := licences.get(name, "unknown")) != "unknown":
            component["licenses"] = [{"license": {"name": licence}}]
        yield component


def _javascript() -> Iterator[dict[str, Any]]:
    lock = json.loads((ROOT / "frontend" / "package-lock.json").read_text(encoding="utf-8"))
    for path, package in lock["packages"].items():
        if not path or package.get("dev"):
            continue
        name, version = path.rpartition("node_modules/")[2], package["version"]
        purl = f"pkg:npm/{name.replace('@', '%40')}@{version}"
        kind, _, digest = package["integrity"].partition("-")
        yield {
            "type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
            "hashes": [
                {"alg": kind.upper().replace("SHA", "SHA-"),
                 "content": base64.b64decode(digest).hex()}
            ],
            **({"licenses": [{"license": {"name": package["license"]}}]}
               if "license" in package else {}),
        }  # fmt: skip


def _without_licences(bill: dict[str, Any]) -> dict[str, Any]:
    components = [
        {key: value for key, value in component.items() if key != "licenses"}
        for component in bill["components"]
    ]
    return bill | {"components": components}


if __name__ == "__main__":
    main()
