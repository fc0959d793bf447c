import errno
import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import file_sha256
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.shard.read import read_shard, row_count
from synth2obs.io.shard.streaming import stream
from synth2obs.io.shard.write import write_shard


def assert_same(first, second):
    for item in fields(first):
        one, other = getattr(first, item.name), getattr(second, item.name)
        if isinstance(one, dict) and item.name in ("labels", "label_errors", "native"):
            assert list(one) == list(other)
            for name in one:
                np.testing.assert_array_equal(one[name], other[name])
        elif is_dataclass(one):
            assert_same(one, other)
        elif isinstance(one, np.ndarray):
            assert one.dtype.kind == other.dtype.kind
            assert item.name == "id" or one.dtype == other.dtype, item.name
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other, item.name


@pytest.mark.parametrize("name", ["spectra", "own_pixels", "tabulated"])
def test_round_trip_is_bit_exact(name, request, tmp_path):
    spectra = request.getfixturevalue(name)
    assert_same(spectra, read_shard(write_shard(spectra, tmp_path / "a.h5")))


def test_same_table_gives_same_bytes(spectra, tmp_path):
    first, second = (write_shard(spectra, tmp_path / name) for name in ("a.h5", "b.h5"))
    assert file_sha256(first) == file_sha256(second)


@pytest.mark.parametrize(
    "rows",
    [slice(60, 70), [149, 0, 64, 0], np.arange(150) % 7 == 0, [-1], slice(0, 0)],
    ids=["block edge", "any order", "mask", "last", "none"],
)
def test_reading_rows_is_reading_all_and_taking(rows, spectra, shard):
    wanted = np.atleast_1d(np.arange(150)[rows])
    assert_same(spectra.take(wanted), read_shard(shard, rows))


def test_missing_row_is_named(shard):
    with pytest.raises(DataError, match="rows 0 to 149"):
        read_shard(shard, [150])


def test_row_count(shard):
    assert row_count(shard) == 150


class TestWriting:
    def test_invalid_table_leaves_no_file(self, spectra, tmp_path):
        with pytest.raises(DataError, match="ivar: negative"):
            write_shard(replace(spectra, ivar=-spectra.ivar), tmp_path / "a.h5")
        assert list(tmp_path.iterdir()) == []

    def test_too_large_for_float32_is_refused(self, spectra, tmp_path):
        with pytest.raises(DataError, match="scale tiny fluxes up"):
            write_shard(replace(spectra, ivar=np.full(spectra.flux.shape, 1e40)), tmp_path / "a.h5")

    def test_empty_table_is_refused(self, spectra, tmp_path):
        with pytest.raises(DataError, match="empty"):
            write_shard(spectra.take(np.arange(0)), tmp_path / "a.h5")

    def test_folder_in_the_way(self, spectra, tmp_path):
        with pytest.raises(OutputError, match="folder"):
            write_shard(spectra, tmp_path)

    def test_full_disk_leaves_old_file(self, spectra, shard, monkeypatch):
        before = shard.read_bytes()

        def full(self: Path, content: bytes) -> int:
            with self.open("wb") as stream:
                stream.write(content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match=r"valid\.h5.*space"):
            write_shard(spectra, shard)
        monkeypatch.undo()
        assert [p.name for p in shard.parent.iterdir()] == ["valid.h5"]
        assert shard.read_bytes() == before

    def test_failing_rename_leaves_old_file(self, spectra, shard, monkeypatch):
        before = shard.read_bytes()

        def refused(*_: object) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "replace", refused)
        with pytest.raises(OutputError, match="permissions"):
            write_shard(spectra, shard)
        monkeypatch.undo()
        assert [p.name for p in shard.parent.iterdir()] == ["valid.h5"]
        assert shard.read_bytes() == before

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_read_only_folder(self, spectra, shard):
        before = shard.read_bytes()
        shard.parent.chmod(0o555)
        try:
            with pytest.raises(OutputError, match="permissions"):
                write_shard(spectra, shard)
        finally:
            shard.parent.chmod(0o755)
        assert shard.read_bytes() == before


class TestStream:
    @pytest.mark.parametrize("batch", [1, 7, 64, 100, 1000])
    @pytest.mark.parametrize("shuffle", [True, False])
    def test_every_spectrum_once(self, shard, spectra, batch, shuffle):
        batches = list(stream(shard, seed=3, epoch=0, batch=batch, shuffle=shuffle))
        assert sorted(np.concatenate([b.id for b in batches])) == sorted(spectra.id)
        assert all(len(b) == batch for b in batches[:-1])
        assert 0 < len(batches[-1]) <= batch

    def test_rows_stay_together(self, shard, spectra):
        place = {name: row for row, name in enumerate(spectra.id)}
        for batch in stream(shard, seed=3, epoch=0, batch=17):
            assert_same(spectra.take(np.array([place[name] for name in batch.id])), batch)

    @pytest.mark.parametrize("batch", [10, 64, 90])
    def test_of_many_line_spreads_a_batch_has_its_own(self, tmp_path, spectra, batch):
        """With a line spread for every star, a batch does not carry those of all others."""
        random = np.random.default_rng(0)
        many = replace(
            spectra,
            line_spread=LineSpread(
                sigma=random.uniform(0.5, 1.0, (150, 40)),
                hermite=random.normal(0, 0.03, (150, 40, 2)).astype(np.float32),
                group=random.permutation(150).astype(np.int32),
            ),
        )
        path = write_shard(many, tmp_path / "many.h5")
        place = {name: row for row, name in enumerate(many.id)}
        for part in stream(path, seed=3, epoch=0, batch=batch):
            rows = many.line_spread.group[[place[name] for name in part.id]]
            np.testing.assert_array_equal(part.line_spread.each().sigma, many.line_spread.sigma[rows])
            np.testing.assert_array_equal(part.line_spread.each().hermite, many.line_spread.hermite[rows])
            assert len(part.line_spread.sigma) < batch + 64

    def test_order_is_a_function_of_seed_and_epoch(self, shard):
        def order(seed, epoch):
            return np.concatenate([b.id for b in stream(shard, seed=seed, epoch=epoch)]).tolist()

        assert order(1, 2) == order(1, 2)
        assert order(1, 2) != order(1, 3)
        assert order(1, 2) != order(2, 2)

    def test_files_order_without_shuffling(self, shard, spectra):
        batches = stream(shard, seed=0, epoch=0, batch=50, shuffle=False)
        assert np.concatenate([b.id for b in batches]).tolist() == spectra.id.tolist()

    def test_several_shards_never_mix(self, shard, own_pixels, tmp_path):
        other = write_shard(replace(own_pixels, domain="other"), tmp_path / "other.h5")
        batches = list(stream([shard, other], seed=5, epoch=1, batch=32))
        counts = {domain: [len(b) for b in batches if b.domain == domain] for domain in ("testing", "other")}
        assert {domain: sum(sizes) for domain, sizes in counts.items()} == {"testing": 150, "other": 70}
        assert all(sum(size < 32 for size in sizes) <= 1 for sizes in counts.values())

    def test_reads_blocks_and_not_the_whole(self, shard, monkeypatch):
        from synth2obs.io.shard import rows as module

        sizes = []
        read = module._gather
        monkeypatch.setattr(module, "_gather", lambda data, rows: sizes.append(len(rows)) or read(data, rows))
        list(stream(shard, seed=0, epoch=0))
        assert max(sizes) == 64

    def test_batch_must_be_positive(self, shard):
        with pytest.raises(ValueError, match="batch"):
            next(stream(shard, seed=0, epoch=0, batch=0))
