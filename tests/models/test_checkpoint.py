import errno
import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from synth2obs.core.errors import ModelError, OutputError
from synth2obs.core.files import atomic_path, write_atomic, write_json_atomic
from synth2obs.models.checkpoint import load_tensors, save_tensors


def examples():
    table = torch.arange(12.0).reshape(3, 4)
    return {
        "f4": table,
        "f8": table.double() / 3,
        "bf16": table.bfloat16(),
        "view": table.T,
        "tied": table,
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "count": torch.tensor([1, 2]),
        "mask": torch.tensor([True, False]),
        "nan": torch.tensor([float("nan")]),
    }


def same(a, b):
    return a.dtype == b.dtype and torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def test_tensors_and_metadata_come_back_bit_for_bit(tmp_path):
    path, meta = tmp_path / "new" / "a.safetensors", {"stage": "A", "step": 3, "λ": [1.5, None, True]}
    save_tensors(path, examples(), meta)
    tensors, found = load_tensors(path)
    assert found == meta and tensors.keys() == examples().keys()
    assert all(same(tensors[name], value) for name, value in examples().items())
    assert [entry.name for entry in path.parent.iterdir()] == ["a.safetensors"]
    assert same(load_file(path)["f8"], examples()["f8"])


def test_parameters_that_need_gradients_are_stored(tmp_path):
    net = torch.nn.Linear(2, 2)
    save_tensors(tmp_path / "a.safetensors", dict(net.named_parameters()), {})
    assert torch.equal(load_tensors(tmp_path / "a.safetensors")[0]["weight"], net.weight)


def test_loaded_tensors_outlive_their_file(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(1000)}, {})
    tensors, _ = load_tensors(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(tensors["a"], torch.ones(1000))
    tensors["a"] += 1


@pytest.mark.parametrize("position", [-1, -30])
def test_a_flipped_bit_is_found(position, tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, examples(), {"step": 1})
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"a\.safetensors: sha256 .* should be [0-9a-f]{64}, found"):
        load_tensors(path)


def test_changed_metadata_is_found(tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, examples(), {"step": 1})
    path.write_bytes(path.read_bytes().replace(b'\\"step\\": 1', b'\\"step\\": 2'))
    with pytest.raises(ModelError, match="sha256"):
        load_tensors(path)


@pytest.mark.parametrize("keep", [0, 4, 100, -5])
def test_a_cut_file_is_refused(keep, tmp_path):
    path = tmp_path / "a.safetensors"
    save_tensors(path, examples(), {})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        load_tensors(path)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        load_tensors(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="not a readable"):
        load_tensors(tmp_path)
    save_file({"a": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelError, match="format should be 'synth2obs-tensors/1', found None"):
        load_tensors(tmp_path / "foreign.safetensors")


def test_metadata_that_json_does_not_know_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_tensors(tmp_path / "a.safetensors", {}, {"loss": float("nan")})
    with pytest.raises(TypeError, match="serializable"):
        save_tensors(tmp_path / "a.safetensors", {}, {"loss": torch.ones(1)})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """A file-size limit of the system stands for the disk: the write itself fails in its middle."""
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"a": torch.ones(4)}, {})
    before = path.read_bytes()
    script = (
        "import resource, sys\n"
        "from synth2obs.core.files import write_atomic\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))\n"
        "write_atomic(sys.argv[1], bytes(400000))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert f"OutputError: cannot write {path}: File too large" in done.stderr
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code, remedy", [(errno.ENOSPC, "free some space"), (errno.EROFS, "read-only")])
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_every_failure_of_the_disk_names_file_and_remedy(code, remedy, call, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(code, os.strerror(code))

    path = tmp_path / "a.txt"
    write_atomic(path, b"old")
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError, match=rf"cannot write .*a\.txt: .*{remedy}"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_or_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="folder of that name is in the way"):
        write_atomic(tmp_path, b"x")
    with pytest.raises(OutputError, match="file is in the way of the folder"):
        write_atomic(tmp_path / "file" / "a.txt", b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="change its permissions"):
        write_atomic(tmp_path / "a.txt", b"x")


@pytest.mark.parametrize(
    "error", [KeyError("x"), KeyboardInterrupt(), FileNotFoundError(2, "no", "other.h5")]
)
def test_errors_of_the_block_pass_unchanged_and_leave_nothing(error, tmp_path):
    with pytest.raises(type(error)) as caught, atomic_path(tmp_path / "a.h5") as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert caught.value is error and not list(tmp_path.iterdir())


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="No such file"), atomic_path(tmp_path / "a.h5"):
        pass


def test_the_temporary_file_keeps_folder_and_suffix(tmp_path):
    with atomic_path(tmp_path / "a.h5") as temporary:
        assert temporary.parent == tmp_path and temporary.suffix == ".h5" and temporary.name[0] == "."
        temporary.write_bytes(b"whole")
    assert (tmp_path / "a.h5").read_bytes() == b"whole"


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomic(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"x"


def test_json_is_readable_and_strict(tmp_path):
    write_json_atomic(tmp_path / "a.json", {"λ": [1, 2.5, None]})
    assert "λ" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"λ": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON"):
        write_json_atomic(tmp_path / "a.json", float("inf"))
