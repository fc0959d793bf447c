"""Where a result comes from: commit, versions of packages, digests of files."""

import hashlib
import platform
import subprocess
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from synth2obs.core.files import file_sha256

PACKAGES = ("synth2obs", "torch", "nflows", "numpy", "scipy", "astropy", "h5py", "mlflow", "safetensors")
"""Packages whose versions are kept with a result."""


def git_state(file: str | Path) -> dict[str, str]:
    """Commit and dirty flag of the checkout that tracks a file; empty if none does.

    A package installed below somebody's checkout is not tracked there, and gets nothing.
    """
    folder = Path(file).resolve().parent
    if _git(folder, "ls-files", "--error-unmatch", Path(file).name) is None:
        return {}
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain")
    if commit is None or changes is None:
        return {}
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def package_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def folder_sha256(folder: str | Path) -> str:
    """sha256 of the names and contents of all files below a folder."""
    root = Path(folder)
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(root).as_posix()}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
