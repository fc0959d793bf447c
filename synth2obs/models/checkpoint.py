"""Tensors on disk: safetensors with JSON metadata and a digest in one file, never pickle.

One file, because two cannot be replaced in one step: a process that dies between them would leave
a checkpoint that no longer matches its own digest.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from synth2obs.core.errors import ModelError
from synth2obs.core.files import write_atomic

TENSORS_FORMAT = "synth2obs-tensors/1"
"""What the files call themselves."""


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Write named tensors and their metadata to one file, atomically.

    Args:
        path: File to write, by habit ``*.safetensors``; any safetensors reader opens it.
        tensors: Any shapes, dtypes and devices; views and tied tensors are stored as copies.
        meta: What JSON can hold, without NaN.

    Raises:
        OutputError: If the file cannot be written; an older file of that name is then unharmed.
        ValueError: If ``meta`` holds a number that JSON does not know.
        TypeError: If ``meta`` holds a value that JSON does not know.
    """
    plain = {name: _plain(tensor) for name, tensor in tensors.items()}
    text = json.dumps(dict(meta), sort_keys=True, allow_nan=False)
    header = {"format": TENSORS_FORMAT, "meta": text, "sha256": _digest(plain, text)}
    write_atomic(path, save(plain, metadata=header))


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, and check it.

    Returns:
        The tensors, on the CPU, with the shapes and dtypes they had; and the metadata.

    Raises:
        ModelError: If the file is missing, of another format, or differs from its sha256.
    """
    tensors, header = _read(Path(path))
    found = _digest(tensors, header["meta"])
    if found != header["sha256"]:
        raise ModelError(
            f"{path}: sha256 of the content should be {header['sha256']}, found {found}; the file is "
            "damaged: copy it again, or delete it to compute it anew"
        )
    return tensors, json.loads(header["meta"])


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        # In one go: a training that is going on may put another file in its place between two.
        content = path.read_bytes()
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; check the path, or train first") from None
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    if header.get("format") != TENSORS_FORMAT or not {"meta", "sha256"} <= header.keys():
        raise ModelError(
            f"{path}: format should be {TENSORS_FORMAT!r}, found {header.get('format')!r}; "
            "give a file that synth2obs wrote"
        )
    return tensors, header


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _digest(tensors: Mapping[str, Tensor], meta: str) -> str:
    """sha256 over the metadata and every tensor's name, dtype, shape and bytes, in order of name."""
    digest = hashlib.sha256(meta.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
