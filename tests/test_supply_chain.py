"""What the package stands on: pins, hashes, the bill of materials and the licences name the same versions."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCK, SBOM, PAGE = (
    ROOT / ".ci" / "requirements.lock",
    ROOT / ".ci" / "sbom.json",
    ROOT / "docs" / "licences.md",
)
BUILD = {"setuptools"}
"""Comes with Python's own environments, or builds the package; it is not pinned."""

KNOWN_HOSTS = {"download.pytorch.org"}


def pins(text):
    """Version by package; what follows a + names a build."""
    found = re.findall(r"^([\w.-]+)==([^\s+]+)", text, re.MULTILINE)
    return {str(canonicalize_name(name)): version for name, version in found}


@pytest.fixture(scope="module")
def constraints():
    return pins((ROOT / "constraints.txt").read_text())


def without_build(found):
    return {name: version for name, version in found.items() if name not in BUILD}


def test_the_lock_file_has_the_pinned_versions_each_with_a_hash(constraints):
    text = LOCK.read_text()
    assert without_build(pins(text)) == constraints
    entries = re.findall(r"^[\w.-]+==\S+ \\\n    --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert len(entries) == len(pins(text))


def test_the_bill_of_materials_has_them_too(constraints):
    bill = json.loads(SBOM.read_text())
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.5"
    parts = {canonicalize_name(one["name"]): one for one in bill["components"]}
    assert (
        without_build({name: one["version"].partition("+")[0] for name, one in parts.items()}) == constraints
    )
    hashes = dict(re.findall(r"^([\w.-]+)==.*\n    --hash=sha256:(\w+)", LOCK.read_text(), re.MULTILINE))
    for name, digest in hashes.items():
        assert parts[canonicalize_name(name)]["hashes"][0]["content"] == digest
    references = {one["bom-ref"] for one in [*bill["components"], bill["metadata"]["component"]]}
    for one in bill["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= references
    ours = next(one for one in bill["dependencies"] if "synth2obs" in one["ref"])
    assert any("pkg:pypi/torch@" in other for other in ours["dependsOn"])


def test_the_page_of_licences_has_them_and_knows_each(constraints):
    rows = re.findall(r"^\| ([\w.-]+) \| ([\w.]+) \| (.+) \|$", PAGE.read_text(), re.MULTILINE)
    found = {str(canonicalize_name(name)): version for name, version, _ in rows if version != "version"}
    assert without_build(found) == constraints
    assert not [name for name, _, licence in rows if licence.strip() in ("", "unknown")]
    copyleft = {name for name, _, licence in rows if "GPL" in licence and " or " not in licence.lower()}
    assert copyleft <= {"spectres"}, "a dependency under the GPL needs a decision"


@pytest.mark.parametrize("path", [LOCK, SBOM, PAGE], ids=lambda path: path.name)
def test_no_other_host_is_named(path):
    assert set(re.findall(r"https?://([\w.-]+)", path.read_text())) <= KNOWN_HOSTS


def direct():
    """Every requirement of the package but those for its development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [
        *project["dependencies"],
        *(one for name in ("train", "report", "client", "download") for one in extras[name]),
    ]
    return [one for one in map(Requirement, texts) if canonicalize_name(one.name) != "synth2obs"]


@pytest.mark.parametrize("one", direct(), ids=lambda one: one.name)
def test_a_direct_dependency_has_a_range_that_holds_the_tested_version(one, constraints):
    operators = {each.operator for each in one.specifier}
    assert ">=" in operators and "<" in operators
    assert one.specifier.contains(constraints[canonicalize_name(one.name)], prereleases=True)


def test_the_script_writes_what_is_here(tmp_path):
    """From a small report of pip; the files themselves need a registry."""
    sys.path.insert(0, str(ROOT / ".ci"))
    try:
        import lock
    finally:
        sys.path.pop(0)

    def package(name, version, **more):
        told = {"name": name, "version": version, **more}
        return {"metadata": told, "download_info": {"archive_info": {"hashes": {"sha256": "0" * 64}}}}

    where = {"sys_platform": "linux", "platform_machine": "x86_64", "python_version": "3.11"}
    ours = {**package("synth2obs", "1"), "requested_extras": ["train"]}
    ours["metadata"]["requires_dist"] = [
        "left-pad>=1",
        'right_pad; extra == "train"',
        'other; extra == "dev"',
    ]
    parts = [
        package("right_pad", "2+cpu", license="MIT"),
        package("left-pad", "1.5", license_expression="0BSD"),
    ]
    found = {"install": [ours, *parts], "environment": where}
    assert "left-pad==1.5 \\\n    --hash=sha256:000" in lock.lock(found) and "right_pad==2+cpu" in lock.lock(
        found
    )
    assert "| left-pad | 1.5 | 0BSD |\n| right_pad | 2 | MIT |" in lock.licences(found)
    bill = lock.sbom(found)
    assert bill["dependencies"][0]["dependsOn"] == ["pkg:pypi/left-pad@1.5", "pkg:pypi/right-pad@2+cpu"]
    assert bill == lock.sbom(found)
