"""Grids that people already have become the same shard from whatever files they stand in."""

import errno
import os
from dataclasses import replace

import h5py
import numpy as np
import own_grid_files as files
import pytest

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.wavelengths import log_step
from synth2obs.io.embedded import embedded_path
from synth2obs.io.grids import broaden_grid, read_raw_grid
from synth2obs.io.own_grids import FORMATS, contract
from synth2obs.io.own_grids.described import open_described
from synth2obs.io.own_grids.facts import grid_facts
from synth2obs.io.own_grids.join import join_grids
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.layout import create
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

PRECISION = {"turbospectrum": 2e-5, "phoenix": 2e-3, "npz, packed": 1e-6}
"""Five decimals are written; an envelope is no continuum."""


def joined(description, out="joined.h5"):
    return read_shard(join_grids([description], description.with_name(out)))


def edit(description, *pairs):
    """The description with texts replaced."""
    text = description.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    description.write_text(text)
    return description


@pytest.mark.parametrize("kind", files.WRITERS)
def test_every_format_gives_the_same_grid(kind, tmp_path):
    grid = joined(files.WRITERS[kind](tmp_path))
    assert check_shard(tmp_path / "joined.h5") == []
    order = np.argsort(grid.labels["teff"])
    for name, truth in files.TRUTH.items():
        np.testing.assert_allclose(grid.labels[name][order], truth, atol=1e-9)
    assert (grid.kind, grid.domain, grid.frame, grid.flux_kind) == ("grid", "mine", "rest", "normalized")
    assert log_step(grid.wavelength) == pytest.approx(0.48 / files.R)
    np.testing.assert_allclose(
        grid.flux[order], files.expected(grid.wavelength), atol=PRECISION.get(kind, 2e-7)
    )


def test_every_format_is_tested():
    assert {kind.split(",")[0] for kind in files.WRITERS} == set(FORMATS)


def test_the_provenance_says_where_it_comes_from(tmp_path):
    description = edit(
        files.hdf5(tmp_path), ('name = "mine"', 'name = "mine"\nlicence = "CC0"\nsolar_scale = "A09"')
    )
    grid = joined(description)
    sources = grid.provenance["sources"]
    assert len(sources["sha256"]["grid.h5"]) == 64 and sources["files"] == 1
    assert grid.provenance["theory"] == {"solar_scale": "A09", "medium": "air", "flux_kind": "normalized"}
    assert grid.provenance["description"]["labels"]["fe_h"] == {"column": "stars.mh"}
    assert grid.provenance["licence"] == "CC0" and grid.air_formula == "Morton2000"


def test_a_file_for_every_spectrum_has_its_digest(tmp_path):
    grid = joined(files.csv_folder(tmp_path))
    assert grid.native["file"].tolist() == [f"s{row}.csv" for row in range(files.STARS)]
    assert len(set(grid.native["sha256"])) == files.STARS and grid.id[2] == "mine_s2"


def test_labels_are_scaled_and_subtracted(tmp_path):
    rules = '{ column = "Teff", scale = 1000.0 }', '{ column = "logg", log10 = true, scale = 1e-5 }'
    description = files.npz(tmp_path, Teff=files.TEFF / 1000, logg=np.full(files.STARS, 5.0), Mg=files.FE_H)
    edit(description, ('"Teff"', rules[0]), ('logg = "logg"', f"vmic = {rules[1]}"))
    edit(description, ("[output]", 'mg_fe = { column = "Mg", minus = "[M/H]", offset = 0.1 }\n[output]'))
    labels = joined(description).labels
    np.testing.assert_allclose(labels["teff"], files.TEFF)
    np.testing.assert_allclose(labels["vmic"], 1.0)
    np.testing.assert_allclose(labels["mg_fe"], 0.1, atol=1e-12)


@pytest.mark.parametrize("given", [20000.0, 60000.0])
def test_what_is_blurred_already_is_blurred_by_the_rest(given, tmp_path):
    description = files.npz(tmp_path, flux=files.spectra(blur=1 / given))
    grid = joined(edit(description, ('"raw"', str(given))))
    np.testing.assert_allclose(grid.flux, files.expected(grid.wavelength), atol=2e-7)


def test_without_output_the_samples_stay(tmp_path):
    description = edit(files.npz(tmp_path), (files.OUTPUT, ""), ('"raw"', "60000"))
    grid = joined(description)
    np.testing.assert_array_equal(grid.wavelength, files.VACUUM)
    np.testing.assert_array_equal(grid.flux, files.spectra().astype(np.float32))
    np.testing.assert_allclose(grid.wavelength / grid.line_spread.sigma[0] / 2.3548, 60000, rtol=1e-4)


def test_samples_that_are_not_uniform_cannot_stay(tmp_path):
    description = files.npz(tmp_path, wave=np.linspace(5030.0, 5070.0, len(files.VACUUM)))
    edit(description, (files.OUTPUT, ""), ('"raw"', "60000"))
    with pytest.raises(DataError, match=r"not uniform in ln λ.*\[output\]"):
        joined(description)


def test_bands_leave_a_hole_out(tmp_path):
    keep = (files.VACUUM < 5040) | (files.VACUUM > 5045)
    description = files.npz(tmp_path, wave=files.VACUUM[keep], flux=files.spectra()[:, keep])
    with pytest.raises(DataError, match="leave the hole out"):
        joined(edit(description, ("5040.0", "5035.0")))
    grid = joined(edit(description, ("[5035.0, 5060.0]", "[5032.0, 5037.0], [5047.0, 5060.0]")))
    assert grid.segment.tolist() == sorted(grid.segment) and set(grid.segment) == {0, 1}
    np.testing.assert_allclose(grid.flux, files.expected(grid.wavelength), atol=2e-7)


def test_the_envelope_follows_a_slope_and_bridges_lines(tmp_path):
    grid = joined(files.phoenix(tmp_path))
    away = np.abs(grid.wavelength - files.CENTRE) > 3
    np.testing.assert_allclose(grid.flux[:, away], 1.0, atol=2e-4)
    assert "running upper envelope" in grid.provenance["normalisation"]


def test_phoenix_stays_absolute_where_nobody_asks(tmp_path):
    grid = joined(edit(files.phoenix(tmp_path), ("[normalize]\nwindow = 0.002\n", "")))
    assert grid.flux_kind == "absolute" and grid.flux.mean() > 1e14
    assert (
        set(grid.labels) == {"teff", "logg", "fe_h", "alpha_fe"} and grid.provenance["sources"]["files"] == 8
    )


def test_turbospectrum_has_the_other_flux_too(tmp_path):
    grid = joined(
        edit(files.turbospectrum(tmp_path), ('medium = "air"', 'medium = "air"\nflux_kind = "absolute"'))
    )
    assert grid.flux_kind == "absolute" and grid.flux.max() == pytest.approx(3.2e6, rel=1e-4)


@pytest.mark.parametrize("kind", ["npz", "npz, packed", "hdf5", "fits, images", "spectra, csv"])
def test_flux_is_read_in_blocks(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(contract, "BLOCK_NUMBERS", 2 * len(files.VACUUM))
    part = open_described(files.WRITERS[kind](tmp_path))
    blocks = list(part.flux())
    assert max(map(len, blocks)) <= 4 and sum(map(len, blocks)) == files.STARS
    np.testing.assert_allclose(np.concatenate(blocks), files.expected(part.table.wavelength), atol=2e-6)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_flux_that_is_stored_by_columns_is_read_too(save, tmp_path):
    description = files.npz(tmp_path)
    arrays = dict(np.load(tmp_path / "grid.npz"))
    save(tmp_path / "grid.npz", **{**arrays, "flux": np.asfortranarray(arrays["flux"])})
    np.testing.assert_allclose(
        joined(description).flux, files.expected(read_shard(tmp_path / "joined.h5").wavelength), atol=2e-7
    )


def test_it_is_what_the_package_does_with_its_own_raw_grids(tmp_path):
    path = tmp_path / "raw.h5"
    with h5py.File(path, "w") as file:
        file["wavelength"], file["flux"] = files.VACUUM, files.spectra()
        file["labels"] = np.column_stack(list(files.TRUTH.values()))
        file["label_names"], file["index"] = np.array([b"Teff", b"logg", b"[M/H]"]), np.arange(files.STARS)
        file.attrs["medium"] = "vacuum"
    head = 'format = "hdf5"\nfiles = "raw.h5"\nwavelength = "wavelength"\nflux = "flux"\n'
    more = 'label_array = "labels"\nlabel_columns = "label_names"\n'
    grid = joined(files.text(tmp_path / "raw.toml", head, more, files.COMMON, files.LABELS, files.OUTPUT))
    own = broaden_grid(
        read_raw_grid(path), start=5040, stop=5060, resolving_power=files.R, step=0.48 / files.R
    )
    np.testing.assert_array_equal(grid.flux, own.flux)


class TestSeveral:
    @pytest.fixture
    def two(self, tmp_path):
        """Two descriptions that go together: dwarfs in npz, others in HDF5."""
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        first, second = files.npz(tmp_path / "a"), files.hdf5(tmp_path / "b")
        edit(second, ('"mine"', '"other"'))
        with h5py.File(tmp_path / "b" / "grid.h5", "r+") as file:
            records = file["stars"][:]
            records["Teff"] += 50
            file["stars"][:] = records
        return first, second

    def test_descriptions_and_shards_become_one(self, two, tmp_path):
        shard = join_grids([two[1]], tmp_path / "second.h5")
        grid = read_shard(join_grids([two[0], shard], tmp_path / "both.h5", name="both"))
        assert check_shard(tmp_path / "both.h5") == []
        assert len(grid) == 2 * files.STARS and grid.domain == "both" and len(grid.line_spread.sigma) == 1
        np.testing.assert_allclose(grid.labels["teff"][files.STARS :], files.TEFF + 50)
        np.testing.assert_allclose(grid.flux[: files.STARS], grid.flux[files.STARS :], atol=1e-6)
        assert [part["title"] for part in grid.provenance["parts"]] == ["mine", "other"]
        assert grid.provenance["theory"]["medium"] == "vacuum / air"

    def test_gradients_keep_their_spectra(self, two, tmp_path):
        first, second = (join_grids([one], tmp_path / f"{n}.h5") for n, one in enumerate(two))
        pixels = len(read_shard(first).wavelength)
        for number, shard in enumerate((first, second)):
            with h5py.File(shard, "r+") as file:
                create(file, "gradients/index", (1,), np.int64, np.array([number + 2]))
                data = np.full((1, pixels), number, np.float32)
                create(file, "gradients/teff", data.shape, np.float32, data).attrs["step"] = 50.0
        out = join_grids([first, second], tmp_path / "both.h5")
        with h5py.File(out) as file:
            assert file["gradients/index"][:].tolist() == [2, files.STARS + 3]
            assert file["gradients/teff"][:, 0].tolist() == [0, 1]
            assert file["gradients/teff"].attrs["step"] == 50.0
        assert grid_facts(out).gradients == {"teff": 2}

    @pytest.mark.parametrize(
        "change, words",
        [
            (("15000", "14000"), "not the pixels of"),
            (('fe_h = "stars.mh"', 'alpha_fe = "stars.mh"'), "alpha_fe, fe_h stand in one source"),
            (('"other"', '"mine"'), "stands in two sources"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, change, words, two, tmp_path):
        edit(two[1], change)
        with pytest.raises(DataError, match=words):
            join_grids(two, tmp_path / "both.h5")
        assert not list(tmp_path.glob("*.h5"))

    def test_spectra_of_the_same_labels_are_refused(self, two, tmp_path):
        with h5py.File(tmp_path / "b" / "grid.h5", "r+") as file:
            file["stars"][:] = np.rec.fromarrays(list(files.TRUTH.values()), names="Teff,logg,mh")
        with pytest.raises(DataError, match="mine_000000 and other_000000 have the same labels"):
            join_grids(two, tmp_path / "both.h5")

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"flux_kind": "relative"}, "flux_kind: is relative"),
            ({"frame": "barycentric"}, "frame: is barycentric"),
        ],
    )
    def test_flux_of_another_meaning_is_refused(self, change, words, two, tmp_path):
        shard = write_shard(replace(joined(two[1]), **change), tmp_path / "odd.h5")
        with pytest.raises(DataError, match=words):
            join_grids([two[0], shard], tmp_path / "both.h5")

    def test_another_line_spread_is_refused(self, two, tmp_path):
        grid = joined(two[1])
        spread = replace(grid.line_spread, sigma=1.1 * grid.line_spread.sigma)
        shard = write_shard(replace(grid, line_spread=spread), tmp_path / "odd.h5")
        with pytest.raises(DataError, match="lsf/sigma: differs from that of mine.toml"):
            join_grids([two[0], shard], tmp_path / "both.h5")

    @pytest.mark.parametrize("second", [("logg", 0.1), ("teff", 25.0)])
    def test_gradients_of_other_labels_or_steps_are_refused(self, second, two, tmp_path):
        shards = [join_grids([one], tmp_path / f"{n}.h5") for n, one in enumerate(two)]
        for shard, (name, step) in zip(shards, (("teff", 50.0), second), strict=True):
            with h5py.File(shard, "r+") as file:
                create(file, "gradients/index", (1,), np.int64, np.zeros(1))
                create(file, f"gradients/{name}", (1, file["flux"].shape[1]), np.float32).attrs["step"] = step
        with pytest.raises(DataError, match="are not those of the other sources"):
            join_grids(shards, tmp_path / "both.h5")

    def test_a_survey_is_no_grid(self, tmp_path):
        with pytest.raises(DataError, match="is a survey, not a grid"):
            join_grids([embedded_path("miles")], tmp_path / "grid.h5")

    def test_nothing_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="nothing to join"):
            join_grids([], tmp_path / "grid.h5")


def test_a_shard_alone_is_copied(tmp_path):
    grid = joined(files.csv_folder(tmp_path))
    again = read_shard(join_grids([tmp_path / "joined.h5"], tmp_path / "again.h5"))
    np.testing.assert_array_equal(grid.flux, again.flux)
    assert (
        grid.native["file"].tolist() == again.native["file"].tolist()
        and grid.labels.keys() == again.labels.keys()
    )


def test_a_full_disk_leaves_what_was_there(tmp_path, monkeypatch):
    description = files.npz(tmp_path)
    out = tmp_path / "grid.h5"
    out.write_bytes(b"old")

    class Full:
        def __init__(self, path, mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("synth2obs.io.quiet.FileIO", Full)
    with pytest.raises(OutputError, match="free some space"):
        join_grids([description], out)
    assert out.read_bytes() == b"old" and not list(tmp_path.glob(".*"))


def test_facts_are_those_of_the_labels(tmp_path):
    facts = grid_facts(files.hdf5(tmp_path))
    teff = facts.labels[0]
    assert (teff.name, teff.unit, teff.lower, teff.upper, teff.distinct) == ("teff", "K", 4000, 7000, 7)
    assert teff.counts.sum() == facts.spectra == files.STARS
    assert facts.resolving_power == pytest.approx((15000, 15000)) and facts.step == pytest.approx(3.2e-5)
    assert facts.medium == "air (Morton2000)" and facts.sources == 1
