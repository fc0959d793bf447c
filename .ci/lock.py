"""Write what the package stands on, from what pip would install: a lock file with hashes, an SBOM, and the licences.

    python .ci/lock.py                    # asks pip, which takes minutes and downloads what it has not yet
    python .ci/lock.py --report FILE      # from what `pip install --dry-run --report FILE …` wrote before

Run it in an environment with everything installed, whose metadata name more licences than pip's report. The versions
are those of constraints.txt; the files, and so the hashes, are those of the platform and the Python that run this.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK, SBOM = ROOT / ".ci" / "requirements.lock", ROOT / ".ci" / "sbom.json"
LICENCES = ROOT / "docs" / "licences.md"

OURS = "synth2obs"
WANTED = ".[bench,dev]"
"""The package with every extra."""

UNSAID = {
    "databricks-sdk": "Apache-2.0",
    "bidict": "MPL-2.0",
    "gputil": "MIT",
    "hdf5plugin": "MIT AND BSD-2-Clause AND BSD-3-Clause AND Apache-2.0 AND Zlib (the filters' own)",
    "huey": "MIT",
    "humanize": "MIT",
    "numdifftools": "BSD-3-Clause",
    "quantities": "BSD-3-Clause",
    "skops": "MIT",
    "spectres": "GPL-3.0 (a peer of experiments/benchmarks, never imported by the package)",
    "truststore": "MIT",
    **dict.fromkeys(
        (
            "asdf-astropy",
            "asdf-coordinates-schemas",
            "asdf-standard",
            "asdf-transform-schemas",
            "asdf-wcs-schemas",
            "gwcs",
            "ndcube",
        ),
        "BSD-3-Clause",
    ),
}
"""Licences that metadata do not say: from the packages' files or, where these have none, their repositories."""

LONGEST = 60
"""Characters of a licence's name; what is longer is its text."""

ABOUT = """# Licences

synth2obs is under BSD-3-Clause; what its data are under stands in `synth2obs/data/README.md`.
This is what it stands on, with all extras and their own dependencies, at the versions of `constraints.txt`:
{count} packages. None of their code is part of this package.

`.ci/lock.py` writes this page from the packages' metadata, and with it a bill of materials (`.ci/sbom.json`, CycloneDX)
and `.ci/requirements.lock`, by which pip checks the sha256 of every file:

```sh
pip install --require-hashes -r .ci/requirements.lock
```

The hashes are those of the files for the platform that the lock file names; on another, run the script there.
Torch is the build without CUDA, which is not on PyPI: the file's head says where it is from.

| package | version | licence |
| --- | --- | --- |
"""

HEAD = """# Written by .ci/lock.py: the versions of constraints.txt with the sha256 of each file.
# For {platform}.
# pip install --require-hashes -r .ci/requirements.lock && pip install --no-deps --no-build-isolation .
"""
ELSEWHERE = "# torch's build without CUDA is not on PyPI: add --extra-index-url https://download.pytorch.org/whl/cpu\n"


def report(file: Path | None) -> dict[str, Any]:
    """What pip says that it would install."""
    if file is None:
        words = [
            "install",
            "--dry-run",
            "--ignore-installed",
            "--quiet",
            "--report",
            "-",
            "-c",
            "constraints.txt",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *words, WANTED],
            cwd=ROOT,
            check=True,
            capture_output=True,
            text=True,
        )
        return dict(json.loads(done.stdout))
    return dict(json.loads(file.read_text(encoding="utf-8")))


def packages(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Everything but ourselves, by name."""
    others = [one for one in found["install"] if canonicalize_name(one["metadata"]["name"]) != OURS]
    return sorted(others, key=lambda one: canonicalize_name(one["metadata"]["name"]))


def sha256(package: dict[str, Any]) -> str:
    """Of a package's file."""
    return str(package["download_info"]["archive_info"]["hashes"]["sha256"])


def licence(package: dict[str, Any]) -> str:
    """By the package's own words: an SPDX expression, else its classifiers, else a short text."""
    told = package["metadata"]
    name = canonicalize_name(told["name"])
    expression, text, classes = (
        told.get("license_expression"),
        told.get("license"),
        told.get("classifier", []),
    )
    try:
        own = metadata(told["name"])
        expression, text = expression or own.get("License-Expression"), text or own.get("License")
        classes = classes or own.get_all("Classifier", [])
    except PackageNotFoundError:
        pass
    named = [each.split(" :: ")[-1] for each in classes if each.startswith("License :: ")]
    named = [each for each in named if each != "OSI Approved"]
    short = text if text and len(text) <= LONGEST and "\n" not in text and text != "UNKNOWN" else ""
    return str(UNSAID.get(name) or expression or " or ".join(named) or short or "unknown")


def lock(found: dict[str, Any]) -> str:
    """A requirements file that pip checks."""
    where = found["environment"]
    platform = f"{where['sys_platform']} {where['platform_machine']}, Python {where['python_version']}"
    lines = "".join(
        f"{one['metadata']['name']}=={one['metadata']['version']} \\\n    --hash=sha256:{sha256(one)}\n"
        for one in packages(found)
    )
    return HEAD.format(platform=platform) + (ELSEWHERE if "+cpu" in lines else "") + lines


def reference(package: dict[str, Any]) -> str:
    """A package's address among all packages of the world."""
    told = package["metadata"]
    return f"pkg:pypi/{canonicalize_name(told['name'])}@{told['version']}"


def sbom(found: dict[str, Any]) -> dict[str, Any]:
    """A software bill of materials, CycloneDX 1.5; the same packages give the same bytes."""
    parts, ours = packages(found), next(one for one in found["install"] if one not in packages(found))
    addresses = {canonicalize_name(one["metadata"]["name"]): reference(one) for one in [*parts, ours]}
    content = hashlib.sha256(lock(found).encode()).hexdigest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"component": {**_component(ours), "type": "application"}},
        "components": [
            {**_component(one), "hashes": [{"alg": "SHA-256", "content": sha256(one)}]} for one in parts
        ],
        "dependencies": [
            {"ref": reference(one), "dependsOn": sorted(set(_needs(one, addresses)))}
            for one in [ours, *parts]
        ],
    }


def _component(package: dict[str, Any]) -> dict[str, Any]:
    told = package["metadata"]
    names = {"name": told["name"], "version": told["version"]}
    address = reference(package)
    licences = [{"license": {"name": licence(package)}}]
    return {"type": "library", **names, "bom-ref": address, "purl": address, "licenses": licences}


def _needs(package: dict[str, Any], addresses: dict[str, str]) -> Iterator[str]:
    """What a package depends on, with the extras that are asked of it."""
    extras = package.get("requested_extras") or [""]
    for text in package["metadata"].get("requires_dist", []):
        one = Requirement(text)
        wanted = one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and canonicalize_name(one.name) in addresses:
            yield addresses[canonicalize_name(one.name)]


def licences(found: dict[str, Any]) -> str:
    """The page of the documentation."""
    parts = packages(found)
    rows = "".join(
        f"| {one['metadata']['name']} | {one['metadata']['version'].partition('+')[0]} | {licence(one)} |\n"
        for one in parts
    )
    return ABOUT.format(count=len(parts)) + rows


def main() -> None:
    """Write all three."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--report", type=Path, help="what pip wrote before")
    found = report(parser.parse_args().report)
    LOCK.write_text(lock(found), encoding="utf-8")
    SBOM.write_text(
        json.dumps(sbom(found), indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
    )
    LICENCES.write_text(licences(found), encoding="utf-8")
    print(f"{len(packages(found))} packages: {LOCK.name}, {SBOM.name}, {LICENCES.name}")


if __name__ == "__main__":
    main()
