"""HDF5 files that take anything from other files are refused by name, wherever they are read."""

import h5py
import numpy as np
import own_grid_files as files
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.join import join_grids
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey


def link(file, name, secret):
    del file[name]
    file[name] = h5py.ExternalLink(secret.name, "data")


def raw(file, name, secret):
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    size = int(np.prod(shape)) * kind.itemsize
    file.create_dataset(name, shape, kind, external=[(str(secret), 0, size)])


def virtual(file, name, secret):
    shape, kind = file[name].shape, file[name].dtype
    del file[name]
    layout = h5py.VirtualLayout(shape, kind)
    layout[:] = h5py.VirtualSource(str(secret), "data", shape)
    file.create_virtual_dataset(name, layout)


OUTSIDE = {"is a link to": link, "is stored in": raw, "is a virtual dataset over": virtual}


@pytest.fixture
def secret(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["data"] = np.zeros(10)
    return tmp_path / "secret.h5"


@pytest.mark.parametrize("words", OUTSIDE)
@pytest.mark.parametrize("name", ["flux", "lsf/sigma", "labels/teff"])
def test_shards(shard, secret, words, name):
    with h5py.File(shard, "r+") as file:
        OUTSIDE[words](file, name, secret)
    with pytest.raises(DataError, match=rf"valid\.h5: /{name}: {words} .*secret\.h5"):
        read_shard(shard)
    (problem,) = check_shard(shard)
    assert words in problem.message


@pytest.mark.parametrize("words", OUTSIDE)
def test_own_grids(tmp_path, secret, words):
    description = files.hdf5(tmp_path)
    with h5py.File(tmp_path / "grid.h5", "r+") as file:
        OUTSIDE[words](file, "wave", secret)
    with pytest.raises(DataError, match=rf"grid\.h5: /wave: {words} .*secret\.h5"):
        join_grids([description], tmp_path / "joined.h5")


@pytest.mark.parametrize("words", OUTSIDE)
def test_tables_with_a_row_per_star(tmp_path, secret, words):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["name"], file["wave"] = np.array([b"a", b"b"]), np.linspace(5000.0, 5100.0, 50)
        file["flux"] = file["sigma"] = np.ones((2, 50))
        OUTSIDE[words](file, "flux", secret)
    keys = 'name = "m"\nrows = "stars"\nid = "name"\nwavelength = "wave"\nflux = "flux"\nerror = "sigma"\n'
    keys += 'unit = "Angstrom"\nmedium = "air"\nframe = "rest"\nflux_kind = "relative"\nfwhm = 1\n'
    (tmp_path / "m.toml").write_text(keys)
    with pytest.raises(DataError, match=rf"a\.h5: /flux: {words}"):
        read_survey(str(tmp_path / "m.toml"), [tmp_path / "a.h5"])


def test_a_dataset_of_nothing(shard):
    with h5py.File(shard, "r+") as file:
        shape = len(file["id"]), 10**9
        del file["flux"]
        file.create_dataset("flux", shape, np.float32, chunks=(64, 4096))
    with pytest.raises(DataError, match=r"valid\.h5: /flux: claims 600000 MB in a file of 0\."):
        read_shard(shard)


def test_links_inside_a_file_are_its_own(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/data"] = np.zeros(3)
        file["a/loop"] = file["a"]
        file["soft"], file["nowhere"] = h5py.SoftLink("/a/data"), h5py.SoftLink("/b")
    from synth2obs.io.shard.layout import open_shard

    with open_shard(tmp_path / "a.h5") as file:
        assert file["soft"].shape == (3,)


@pytest.mark.parametrize("name", ["flux", "labels"])
def test_a_npz_of_next_to_nothing(tmp_path, name):
    description = files.npz(tmp_path)
    with np.load(tmp_path / "grid.npz", allow_pickle=False) as stored:
        arrays = dict(stored)
    key = next(one for one in arrays if arrays[one].ndim == 2)
    arrays[key] = np.zeros((20_000, 1000))
    np.savez_compressed(tmp_path / "grid.npz", **arrays)
    with pytest.raises(DataError, match=rf"grid\.npz: {key}: unpacks to more than 160 MB"):
        join_grids([description], tmp_path / "joined.h5")


def test_a_npz_that_claims_more_than_it_has(tmp_path):
    description = files.npz(tmp_path)
    content = (tmp_path / "grid.npz").read_bytes()
    with np.load(tmp_path / "grid.npz", allow_pickle=False) as stored:
        shape = str(next(stored[one].shape for one in stored if stored[one].ndim == 2)).encode()
    huge = b"(" + b"9" * (len(shape) - 5) + b", 9)"
    assert shape in content and len(huge) == len(shape)
    (tmp_path / "grid.npz").write_bytes(content.replace(shape, huge))
    with pytest.raises(DataError, match=r"grid\.npz"):
        join_grids([description], tmp_path / "joined.h5")
