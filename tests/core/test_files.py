"""Digests of files, and folders for one process at a time."""

import pytest
from filelock import FileLock

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import file_sha256, folder_lock

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
