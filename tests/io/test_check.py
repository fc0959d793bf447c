import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.shard.check import Problem, check_shard, require_valid
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.streaming import stream
from synth2obs.io.shard.write import write_shard


def put(name, value):
    """Replace a dataset."""

    def defect(file):
        attributes = dict(file[name].attrs)
        data = value(file) if callable(value) else value
        del file[name]
        file[name] = data
        file[name].attrs.update(attributes)

    return defect


def poke(name, place, value):
    def defect(file):
        data = file[name][:]
        data[place] = value
        put(name, data)(file)

    return defect


def attribute(name, value):
    return lambda file: file.attrs.__setitem__(name, value)


def tabulate(kernel, offset=None):
    """Describe the line spread by a table instead of Hermite terms."""
    places = np.linspace(-2.0, 2.0, 5) if offset is None else offset

    def defect(file):
        del file["lsf/hermite"]
        file.update({"lsf/kernel": kernel, "lsf/offset": places})

    return defect


def remove(name):
    return lambda file: file.__delitem__(name)


DEFECTS = {
    "wrong version": (attribute("format", "synth2obs/9"), "format", "reads 'synth2obs/1'"),
    "missing attribute": (lambda file: file.attrs.__delitem__("domain"), "domain", "is missing"),
    "unknown kind": (attribute("kind", "galaxy"), "kind", "galaxy"),
    "unknown frame": (attribute("frame", "topocentric"), "frame", "topocentric"),
    "unknown flux kind": (attribute("flux_kind", "magnitudes"), "flux_kind", "magnitudes"),
    "air": (attribute("medium", "air"), "medium", "air_to_vacuum"),
    "NaN flux in a good pixel": (poke("flux", (3, 7), np.nan), "flux", "good pixel (row 3, pixel 7"),
    "NaN flux in a bad pixel": (poke("flux", (0, 0), np.nan), "flux", "bad pixel (row 0, pixel 0"),
    "infinite flux in the last block": (poke("flux", (149, 1), np.inf), "flux", "row 149, pixel 1"),
    "negative ivar": (poke("ivar", (70, 2), -1.0), "ivar", "negative (row 70, pixel 2"),
    "NaN ivar": (poke("ivar", (70, 2), np.nan), "ivar", "NaN"),
    "infinite ivar": (poke("ivar", (70, 2), np.inf), "ivar", "infinite"),
    "decreasing wavelength": (poke("wavelength", 5, 3999.0), "wavelength", "does not increase at pixel 5"),
    "repeated wavelength": (poke("wavelength", 5, 4004.0), "wavelength", "does not increase at pixel 5"),
    "nm": (put("wavelength", lambda f: f["wavelength"][:] / 10), "wavelength", "looks like nm"),
    "µm": (put("wavelength", lambda f: f["wavelength"][:] / 1e4), "wavelength", "µm"),
    "ln wavelength": (put("wavelength", lambda f: np.log(f["wavelength"][:])), "wavelength", "ln λ"),
    "NaN wavelength": (poke("wavelength", 5, np.nan), "wavelength", "NaN"),
    "segment in two pieces": (poke("segment", -1, 0), "segment", "not contiguous"),
    "wavelength shape": (put("wavelength", np.arange(4000.0, 4039.0)), "wavelength", "(39,)"),
    "ivar shape": (put("ivar", np.ones((150, 39))), "ivar", "(150, 39)"),
    "flux shape": (put("flux", np.ones(40)), "flux", "(40,)"),
    "id shape": (put("id", lambda f: f["id"][:149]), "id", "(149,)"),
    "lsf shape": (put("lsf/sigma", np.ones((1, 3))), "lsf/sigma", "(1, 3)"),
    "label shape": (put("labels/fe_h", np.ones(3)), "labels/fe_h", "(3,)"),
    "flux type": (put("flux", np.ones((150, 40), dtype=int)), "flux", "floating point"),
    "duplicate id": (put("id", lambda f: np.array([b"twin"] * 2 + list(f["id"][2:]))), "id", "twin"),
    "empty id": (put("id", lambda f: np.array([b"", *f["id"][1:]])), "id", "empty"),
    "id that is no text": (put("id", np.arange(150)), "id", "text"),
    "id that is not UTF-8": (
        put("id", lambda f: np.array([b"\xff", *f["id"][1:]])),
        "id",
        "UnicodeDecodeError",
    ),
    "zero sigma": (poke("lsf/sigma", (1, 4), 0.0), "lsf/sigma", "> 0"),
    "NaN sigma": (poke("lsf/sigma", (1, 4), np.nan), "lsf/sigma", "> 0"),
    "group too large": (poke("lsf/group", 9, 2), "lsf/group", "within 0 to 1"),
    "negative group": (poke("lsf/group", 9, -1), "lsf/group", "within 0 to 1"),
    "NaN Hermite term": (poke("lsf/hermite", (1, 4, 0), np.nan), "lsf/hermite", "NaN"),
    "Hermite shape": (put("lsf/hermite", np.zeros((2, 39, 3))), "lsf/hermite", "(2, 40, hermite orders)"),
    "kernel without offsets": (
        lambda file: file.update({"lsf/kernel": np.ones((2, 40, 5))}),
        "lsf/offset",
        "is missing",
    ),
    "kernel beside Hermite terms": (
        lambda file: file.update({"lsf/kernel": np.ones((2, 40, 5)), "lsf/offset": np.arange(5.0)}),
        "lsf/hermite",
        "in one way",
    ),
    "kernel that sees nothing": (tabulate(np.zeros((2, 40, 5))), "lsf/kernel", "positive sum"),
    "kernel of other lengths": (tabulate(np.ones((2, 40, 4))), "lsf/offset", "one per entry"),
    "uneven offsets": (
        tabulate(np.ones((2, 40, 5)), np.array([-2.0, -1.0, 0.0, 1.0, 3.0])),
        "lsf/offset",
        "equal",
    ),
    "native fact of another length": (put("native/mjd", np.ones(3)), "native/mjd", "(3,)"),
    "native text that is not UTF-8": (
        put("native/file", lambda f: np.array([b"\xff"] * 150)),
        "native",
        "UnicodeDecodeError",
    ),
    "infinite rv": (poke("rv", 9, np.inf), "rv", "infinite"),
    "rv in m/s": (poke("rv", 9, 4e5), "rv", "km/s"),
    "negative snr": (poke("snr", 9, -1.0), "snr", "negative"),
    "infinite label": (poke("labels/fe_h", 9, np.inf), "labels/fe_h", "infinite"),
    "label in other units": (
        lambda file: file["labels/teff"].attrs.__setitem__("unit", "eV"),
        "labels/teff",
        "convert it to K",
    ),
    "survey without ivar": (remove("ivar"), "ivar", "is missing"),
    "grid with ivar": (attribute("kind", "grid"), "ivar", "a grid has no"),
    "provenance": (put("provenance", "Le Borgne"), "provenance", "JSON"),
    "gradient shape": (
        lambda file: file.update({"gradients/index": np.arange(2), "gradients/teff": np.ones((3, 40))}),
        "gradients/teff",
        "(3, 40)",
    ),
    "gradient of nothing": (
        lambda file: file.update({"gradients/index": np.array([150])}),
        "gradients/index",
        "0 to 149",
    ),
    **{
        f"missing {name}": (remove(name), name, "is missing")
        for name in (
            "wavelength",
            "segment",
            "flux",
            "id",
            "rv",
            "snr",
            "lsf/sigma",
            "lsf/group",
            "provenance",
        )
    },
}


def test_valid_shards_have_no_problem(shard, own_pixels, grid_table, tabulated, tmp_path):
    assert check_shard(shard) == []
    assert check_shard(write_shard(tabulated, tmp_path / "tabulated.h5")) == []
    assert check_shard(write_shard(own_pixels, tmp_path / "own.h5")) == []
    assert check_shard(write_shard(grid_table, tmp_path / "grid.h5")) == []


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_named_and_refused_by_every_reader(name, shard):
    damage, field, words = DEFECTS[name]
    with h5py.File(shard, "r+") as file:
        damage(file)
    found = [problem for problem in check_shard(shard) if problem.field == field]
    assert any(words in str(problem) for problem in found), check_shard(shard)
    assert all(problem.remedy for problem in found)
    for reader in (require_valid, read_shard, lambda path: list(stream(path, seed=0, epoch=0))):
        with pytest.raises(DataError):
            reader(shard)


def test_all_problems_are_named_at_once(shard):
    chosen = ["missing snr", "nm", "duplicate id", "zero sigma", "negative ivar", "air", "infinite label"]
    with h5py.File(shard, "r+") as file:
        for name in chosen:
            DEFECTS[name][0](file)
    found = {problem.field for problem in check_shard(shard)}
    assert {DEFECTS[name][1] for name in chosen} <= found
    with pytest.raises(DataError) as error:
        require_valid(shard)
    assert all(DEFECTS[name][1] in str(error.value) for name in chosen)


def test_grid_with_unknown_label(grid_table, tmp_path):
    path = write_shard(grid_table, tmp_path / "grid.h5")
    with h5py.File(path, "r+") as file:
        poke("labels/fe_h", 0, np.nan)(file)
    assert [problem.field for problem in check_shard(path)] == ["labels/fe_h"]


def test_many_bad_pixels_are_one_problem(shard):
    with h5py.File(shard, "r+") as file:
        poke("ivar", slice(None), -1.0)(file)
    assert len(check_shard(shard)) == 1


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["flux", "ivar", "flags", "wavelength", "id", "labels/teff", "lsf/sigma"])
def test_bit_flip_is_caught(name, shard):
    with h5py.File(shard) as file:
        chunk = file[name].id.get_chunk_info(file[name].id.get_num_chunks() - 1)
    flip(shard, chunk.byte_offset + chunk.size // 2)
    (problem,) = check_shard(shard)
    assert "checksum" in problem.message
    with pytest.raises(DataError):
        read_shard(shard)


def test_random_damage_never_escapes_as_another_error(shard):
    original = shard.read_bytes()
    random = np.random.default_rng(4)
    for _ in range(60):
        content = bytearray(original)
        for place in random.integers(0, min(len(content), 8000), 3):
            content[place] = random.integers(256)
        shard.write_bytes(bytes(content))
        problems = check_shard(shard)
        assert all(isinstance(problem, Problem) for problem in problems)
        if problems:
            with pytest.raises(DataError):
                require_valid(shard)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.999])
def test_truncated_file(part, shard):
    content = shard.read_bytes()
    shard.write_bytes(content[: int(part * len(content))])
    (problem,) = check_shard(shard)
    assert problem.field == "file"
    with pytest.raises(DataError, match="valid.h5"):
        read_shard(shard)


NOT_SHARDS = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "text": (lambda path: path.write_text("wavelength,flux\n"), "not an HDF5 file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "missing": (lambda path: None, "no such file"),
    "other HDF5": (lambda path: h5py.File(path, "w").close(), "format"),
}


@pytest.mark.parametrize("name", NOT_SHARDS)
def test_what_is_no_shard_is_refused(name, tmp_path):
    make, words = NOT_SHARDS[name]
    path = tmp_path / "thing.h5"
    make(path)
    assert words in " ".join(map(str, check_shard(path)))
    for reader in (require_valid, read_shard, lambda path: list(stream(path, seed=0, epoch=0))):
        with pytest.raises(DataError, match=r"thing\.h5"):
            reader(path)


def test_provenance_is_json_in_the_file(shard):
    with h5py.File(shard) as file:
        assert json.loads(file["provenance"][()])["citation"] == ["Ångström 1868"]
