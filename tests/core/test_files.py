"""Digests of files, and folders for one process at a time."""

import pytest
from filelock import FileLock

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import (
    file_sha256,
    folder_lock,
    named_files,
    refuse_overwriting,
    refuse_within,
)

BUSY = DataError("another ingest is writing this shard", remedy="wait for it")


def test_digest_is_sha256(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(DataError, match="missing: cannot be read: No such file.*check the name"):
        file_sha256(tmp_path / "missing")


class TestFolderLock:
    def test_a_missing_folder_is_made_and_let_go(self, tmp_path):
        for _ in range(2):
            with folder_lock(tmp_path / "a" / "b", ".lock", BUSY):
                assert (tmp_path / "a" / "b").is_dir()

    def test_a_second_process_is_told(self, tmp_path):
        with FileLock(tmp_path / ".lock"), pytest.raises(DataError, match="another ingest.*wait for it"):
            with folder_lock(tmp_path, ".lock", BUSY):
                pass

    def test_a_file_in_the_way(self, tmp_path):
        (tmp_path / "a").write_text("")
        with pytest.raises(OutputError, match="cannot write in .*a: .*choose another folder"):
            with folder_lock(tmp_path / "a", ".lock", BUSY):
                pass

    def test_errors_of_the_block_pass(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            with folder_lock(tmp_path, ".lock", BUSY):
                (tmp_path / "missing").read_bytes()
        with folder_lock(tmp_path, ".lock", BUSY):
            pass


class TestOverwriting:
    @pytest.fixture
    def source(self, tmp_path):
        (path := tmp_path / "a.csv").write_text("1")
        return path

    def test_by_whatever_name(self, source, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "link.csv").symlink_to(source)
        (tmp_path / "hard.csv").hardlink_to(source)
        for out in (source, "a.csv", "./a.csv", f"../{tmp_path.name}/a.csv", "link.csv", "hard.csv"):
            with pytest.raises(OutputError, match="is read by this command.*choose another --out"):
                refuse_overwriting(out, [None, "models:/a@b", source])
        with pytest.raises(OutputError):
            refuse_overwriting(source, [tmp_path / "link.csv"])
        refuse_overwriting(tmp_path / "b.csv", [source])

    def test_nor_into_a_folder_that_is_read(self, source, tmp_path):
        with pytest.raises(OutputError):
            refuse_overwriting(source, [tmp_path])
        refuse_overwriting(tmp_path / "new.csv", [tmp_path])

    def test_nor_where_results_go(self, source, tmp_path):
        refuse_within(tmp_path, ["metrics.json", "report"], [source, None])
        (tmp_path / "report").mkdir()
        (inner := tmp_path / "report" / "grid.h5").write_text("")
        for one, names in ((source, ["a.csv"]), (inner, ["report"])):
            with pytest.raises(OutputError, match="would be written over"):
                refuse_within(tmp_path, names, [one])

    def test_files_that_settings_name(self, source, tmp_path):
        tree = {"data": {"grid": "a.csv", "x": 3, "y": ["b", None]}, "long": "x" * 5000, "nul": "\0"}
        assert list(named_files(tree, tmp_path)) == [source]
