"""Downloads from a server that misbehaves: the right file, or one of our errors; never half a file under its name."""

import gzip
import hashlib
import importlib.util
import io
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.core.errors import DataError, Interrupted, OutputError
from synth2obs.io.download.checksums import Checksums
from synth2obs.io.download.manifest import NAME, Manifest
from synth2obs.io.download.pace import Pace, Patience, TryAgain
from synth2obs.io.download.run import GIVE_UP, download
from synth2obs.io.download.target import Target
from synth2obs.io.download.whole import fault

SPEC = importlib.util.spec_from_file_location("archive_server", Path(__file__).with_name("archive_server.py"))
SERVER = importlib.util.module_from_spec(SPEC)
# Its dataclasses look for their module by name.
sys.modules["archive_server"] = SERVER
SPEC.loader.exec_module(SERVER)

QUICK = Pace(rate=1e4, tries=3, timeout=0.4, pause=0.01)
PRODUCT = "ADP.2016-09-23T06:51:28.123"
PATH = f"/dataPortal/file/{PRODUCT}"


def spectrum(seed=0, size=300_000):
    """The bytes of a FITS file of more than a chunk."""
    stream = io.BytesIO()
    numbers = np.random.default_rng(seed).normal(1.0, 0.1, size // 4).astype(np.float32)
    fits.PrimaryHDU(numbers).writeto(stream)
    return stream.getvalue()


FILE, OTHER = spectrum(), spectrum(1)
HALF = len(FILE) // 2


@pytest.fixture
def archive(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with SERVER.running() as server:
        server.files[PATH] = FILE
        yield server


def ask(archive, out, ids=(PRODUCT,), pace=QUICK, survey="gaia_eso", **more):
    return download(survey, list(ids), out, base_url=archive.url, pace=pace, **more)


def got(out, product=PRODUCT):
    return (out / f"{product}.fits").read_bytes()


def leftovers(out):
    """Names in a folder apart from files that are complete, the manifest and the lock."""
    known = {NAME, ".download.lock"}
    return sorted(
        p.name for p in out.rglob("*") if p.is_file() and p.name not in known and p.suffix != ".fits"
    )


def cut(handler, content, number):
    """The first answer ends in the middle."""
    if number:
        return False
    SERVER.send(handler, 200, content[:HALF], '"one"', length=len(content))
    return True


def test_a_file_comes_whole_and_is_written_down(archive, tmp_path):
    seen = []
    outcome = ask(archive, tmp_path, progress=lambda *counts: seen.append(counts))
    assert got(tmp_path) == FILE and leftovers(tmp_path) == []
    assert (outcome.fetched, outcome.present, outcome.size, outcome.failed) == (1, 0, len(FILE), [])
    (line,) = (tmp_path / NAME).read_text().splitlines()
    entry = json.loads(line)
    assert entry["file"] == f"{PRODUCT}.fits" and entry["url"] == archive.url + PATH
    assert entry["sha256"] == hashlib.sha256(FILE).hexdigest() and entry["bytes"] == len(FILE)
    assert entry["validator"] == '"one"' and seen[-1] == (1, 1, len(FILE))
    assert archive.requests[0].headers["user-agent"].startswith("synth2obs")
    assert archive.requests[0].headers["accept-encoding"] == "identity"


def test_a_second_call_asks_for_nothing(archive, tmp_path):
    ask(archive, tmp_path)
    outcome = ask(archive, tmp_path)
    assert (outcome.fetched, outcome.present, len(archive.requests)) == (0, 1, 1)


@pytest.mark.parametrize("damage", ["changed", "cut", "gone"])
def test_a_second_call_mends_what_has_changed(archive, tmp_path, damage):
    ask(archive, tmp_path)
    path = tmp_path / f"{PRODUCT}.fits"
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(OTHER if damage == "changed" else FILE[:HALF])
    outcome = ask(archive, tmp_path)
    assert got(tmp_path) == FILE and outcome.fetched == 1
    assert Manifest(tmp_path).entries[path.name].holds(path)


def test_a_whole_file_that_was_not_written_down_is_kept(archive, tmp_path):
    ask(archive, tmp_path)
    text = (tmp_path / NAME).read_text()
    (tmp_path / NAME).write_text(text[:30])
    assert ask(archive, tmp_path).present == 1 and len(archive.requests) == 1
    assert (tmp_path / NAME).read_text().splitlines()[0] == text[:30]
    assert Manifest(tmp_path).entries[f"{PRODUCT}.fits"].sha256 == hashlib.sha256(FILE).hexdigest()


def test_half_a_file_of_unknown_origin_is_not_kept(archive, tmp_path):
    (tmp_path / f"{PRODUCT}.fits").write_bytes(FILE[:HALF])
    assert ask(archive, tmp_path).fetched == 1 and got(tmp_path) == FILE


def test_a_broken_connection_goes_on_from_where_it_broke(archive, tmp_path):
    archive.answer = cut
    outcome = ask(archive, tmp_path)
    assert got(tmp_path) == FILE and leftovers(tmp_path) == [] and outcome.size == len(FILE)
    second = archive.requests[1].headers
    assert second["range"] == f"bytes={HALF}-" and second["if-range"] == '"one"'


def test_a_later_call_goes_on_from_where_the_first_broke(archive, tmp_path):
    archive.answer = cut
    outcome = ask(archive, tmp_path, pace=Pace(rate=1e4, tries=1, timeout=0.4))
    assert "broke off" in outcome.failed[0].reason and not (tmp_path / f"{PRODUCT}.fits").exists()
    assert len(leftovers(tmp_path)) == 2
    assert ask(archive, tmp_path).size == len(FILE) - HALF
    assert got(tmp_path) == FILE and leftovers(tmp_path) == []


def test_a_server_without_ranges_sends_it_all_again(archive, tmp_path):
    archive.answer, archive.ranges = cut, False
    assert ask(archive, tmp_path).size == HALF + len(FILE) and got(tmp_path) == FILE


def test_without_a_version_nothing_is_put_together(archive, tmp_path):
    def nameless(handler, content, number):
        SERVER.send(handler, 200, content[: HALF if number == 0 else None], None, length=len(content))
        return True

    archive.answer = nameless
    ask(archive, tmp_path)
    assert got(tmp_path) == FILE and "range" not in archive.requests[1].headers


def test_a_weak_etag_is_no_version(archive, tmp_path):
    archive.answer, archive.tag = cut, 'W/"one"'

    def weak(handler, content, number):
        SERVER.send(handler, 200, content[: HALF if number == 0 else None], 'W/"one"', length=len(content))
        return True

    archive.answer = weak
    ask(archive, tmp_path)
    assert got(tmp_path) == FILE and "range" not in archive.requests[1].headers


@pytest.mark.parametrize("polite", [True, False], ids=["If-Range", "ignores If-Range"])
def test_a_file_that_changes_meanwhile_is_not_put_together(archive, tmp_path, polite):
    def changes(handler, content, number):
        if number == 0:
            return cut(handler, content, 0)
        archive.files[PATH], archive.tag = OTHER, '"two"'
        if polite or number > 1:
            archive.give(handler, OTHER, {name.lower(): value for name, value in handler.headers.items()})
        else:
            extra = {"Content-Range": f"bytes {HALF}-{len(OTHER) - 1}/{len(OTHER)}"}
            SERVER.send(handler, 206, OTHER[HALF:], '"two"', **extra)
        return True

    archive.answer = changes
    ask(archive, tmp_path)
    assert got(tmp_path) == OTHER and Manifest(tmp_path).entries[f"{PRODUCT}.fits"].validator == '"two"'


def test_what_is_written_down_of_a_version_never_meets_the_bytes_of_another(archive, tmp_path, monkeypatch):
    """A new version comes, and the program ends at the worst moment."""
    archive.answer = cut
    ask(archive, tmp_path, pace=Pace(rate=1e4, tries=1))
    archive.answer, archive.tag = (lambda handler, content, number: False), '"two"'
    archive.files[PATH] = OTHER
    from synth2obs.io.download import transfer

    write = transfer.write_json_atomic
    monkeypatch.setattr(transfer, "write_json_atomic", lambda *a: (write(*a), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        ask(archive, tmp_path)
    monkeypatch.setattr(transfer, "write_json_atomic", write)
    ask(archive, tmp_path)
    assert got(tmp_path) == OTHER


def test_a_part_comes_in_many_answers(archive, tmp_path):
    def little(handler, content, number):
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        body = content[start : start + len(content) // 3]
        # Only the first answer has the version.
        tag = None if start else '"one"'
        SERVER.send(handler, 206 if start else 200, body, tag, length=len(content) - start, **extra)
        return True

    archive.answer = little
    outcome = ask(archive, tmp_path, pace=Pace(rate=1e4, tries=4, timeout=0.4, pause=0.01))
    assert got(tmp_path) == FILE and outcome.size == len(FILE)


def test_a_file_in_crumbs_is_a_file(archive, tmp_path):
    def crumbs(handler, content, number):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for body in (content[:3], content[3:7], content[7:], b""):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(body), body))
        return True

    archive.answer = crumbs
    assert ask(archive, tmp_path).fetched == 1 and got(tmp_path) == FILE


@pytest.mark.parametrize(
    "name, value",
    [("Content-Length", "9" * 5000), ("Content-Length", "-1"), ("Content-Length", "²"), ("ETag", "x" * 9000)]
    + [
        ("Retry-After", "9" * 5000),
        ("Location", "http://[bad"),
        ("Location", "http://.x..y/"),
        ("Location", "gopher:x"),
    ],
)
@pytest.mark.parametrize("code", [200, 206, 302, 503])
def test_nonsense_in_headers_is_no_accident(archive, tmp_path, name, value, code):
    def nonsense(handler, content, number):
        handler.send_response(code)
        handler.send_header(name, value)
        handler.send_header("Content-Range", f"bytes {'9' * 5000}-1/2")
        handler.end_headers()
        handler.wfile.write(content if code == 200 else b"")
        handler.close_connection = True
        return True

    archive.answer = nonsense
    quick = Pace(rate=1e4, tries=2, timeout=0.4, pause=0.001, longest=0.01)
    outcome = ask(archive, tmp_path, pace=quick)
    assert outcome.fetched + len(outcome.failed) == 1
    assert not outcome.fetched or got(tmp_path) == FILE


def test_a_folder_that_cannot_be_read_is_one_of_our_errors(archive, tmp_path, monkeypatch):
    ask(archive, tmp_path)

    def denied(path, algorithm="sha256"):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("synth2obs.io.download.manifest.file_digest", denied)
    with pytest.raises(OutputError, match=f"{PRODUCT}.*Permission denied"):
        ask(archive, tmp_path)


@pytest.mark.parametrize("said", ["bytes 0-9/10", "bytes 5-9/*", "nonsense", None])
def test_another_part_than_asked_for_is_thrown_away(archive, tmp_path, said):
    def wrong(handler, content, number):
        if number == 1:
            SERVER.send(
                handler, 206, content[:10], '"one"', **({} if said is None else {"Content-Range": said})
            )
            return True
        return cut(handler, content, number)

    archive.answer = wrong
    ask(archive, tmp_path)
    assert got(tmp_path) == FILE


def test_a_partial_answer_that_nobody_asked_for_is_no_file(archive, tmp_path):
    def partial(handler, content, number):
        extra = {"Content-Range": f"bytes 0-{HALF - 1}/{len(content)}"}
        SERVER.send(handler, 206, content[:HALF], '"one"', **extra)
        return True

    archive.answer = partial
    outcome = ask(archive, tmp_path)
    assert len(outcome.failed) == 1 and not (tmp_path / f"{PRODUCT}.fits").exists()


@pytest.mark.parametrize("code", [500, 502, 503, 429, 408])
def test_a_server_that_was_busy_is_asked_again(archive, tmp_path, code):
    def busy(handler, content, number):
        if number:
            return False
        SERVER.send(handler, code, b"later")
        return True

    archive.answer = busy
    assert ask(archive, tmp_path).fetched == 1 and got(tmp_path) == FILE and len(archive.requests) == 2


def test_a_server_that_says_when_is_asked_then(archive, tmp_path):
    def later(handler, content, number):
        if number:
            return False
        SERVER.send(handler, 429, b"", Retry_After="1")
        return True

    archive.answer = later
    assert ask(archive, tmp_path).fetched == 1
    first, second = archive.requests
    assert 1.0 <= second.when - first.when < 1.5


def test_a_server_that_says_much_later_is_left_alone(archive, tmp_path):
    archive.files |= {PATH[:-1] + digit: FILE for digit in "456"}
    archive.answer = lambda handler, content, number: (
        SERVER.send(handler, 503, b"", Retry_After="7200") is None
    )
    outcome = ask(archive, tmp_path, ids=[PRODUCT[:-1] + digit for digit in "3456"])
    assert len(archive.requests) == 1 and len(outcome.failed) == 4
    assert "120 minutes" in outcome.failed[0].reason and "not asked for" in outcome.failed[3].reason


@pytest.mark.parametrize(
    "text, seconds",
    [("120", 120), ("-5", 0), ("Sat, 21 Nov 2026 12:01:00 GMT", 60), ("Sat, 21 Nov 2026 11:00:00 GMT", 0)]
    + [("soon", 0), ("", 0), ("1e400", 0), ("Sat, 99 Nov 2026 99:00:00 GMT", 0), ("9" * 5000, 0)],
)
def test_when_to_come_back(monkeypatch, text, seconds):
    """0 is the answer to a header that says nothing: the pause is then our own."""
    monkeypatch.setattr("time.time", lambda: datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp())
    assert Patience.of(QUICK).parse_retry_after(text) == seconds


def test_pauses_double_up_to_a_limit():
    patience, pauses = Patience.of(Pace(tries=9, pause=1.0)), []
    for _ in range(8):
        patience = patience.after(TryAgain("no"))
        pauses.append(patience.get_backoff_time())
    assert all(low <= pause <= low + 0.5 for low, pause in zip([1, 2, 4, 8, 16, 32], pauses, strict=False))
    assert pauses[6:] == [60.0, 60.0]
    with pytest.raises(TryAgain, match="no, 9 times"):
        patience.after(TryAgain("no"))


@pytest.mark.parametrize(
    "code, words", [(404, "no such file"), (403, "everyone"), (401, "login"), (418, "418")]
)
def test_a_refusal_is_final_and_told(archive, tmp_path, code, words):
    archive.answer = lambda handler, content, number: SERVER.send(handler, code, b"no") is None
    outcome = ask(archive, tmp_path)
    assert len(archive.requests) == 1 and words in outcome.failed[0].reason
    assert outcome.failed[0].file == f"{PRODUCT}.fits" and leftovers(tmp_path) == []


def test_other_files_come_where_one_fails(archive, tmp_path):
    other = PRODUCT.replace("ADP", "XYZ")
    outcome = ask(archive, tmp_path, ids=[other, PRODUCT])
    assert outcome.fetched == 1 and [one.file for one in outcome.failed] == [f"{other}.fits"]
    assert "failed      1:" in str(outcome) and "404" in str(outcome)


@pytest.mark.parametrize("before", [False, True], ids=["at first", "to go on"])
def test_a_login_page_is_no_spectrum(archive, tmp_path, before):
    def page(handler, content, number):
        if before and number == 0:
            return cut(handler, content, 0)
        SERVER.send(
            handler, 200, b"<!DOCTYPE html><title>Sign in</title>", None, kind="text/html; charset=utf-8"
        )
        return True

    archive.answer = page
    outcome = ask(archive, tmp_path)
    assert "text/html" in outcome.failed[0].reason and "login" in outcome.failed[0].reason
    # What had come before is still good.
    assert len(leftovers(tmp_path)) == 2 * before


@pytest.mark.parametrize("body", [b"", b"x" * 5760, b"<VOTABLE/>"], ids=["nothing", "no fits", "votable"])
def test_what_is_no_fits_is_refused(archive, tmp_path, body):
    archive.answer = lambda handler, content, number: SERVER.send(handler, 200, body) is None
    outcome = ask(archive, tmp_path)
    assert len(outcome.failed) == 1 and leftovers(tmp_path) == []


@pytest.mark.parametrize("claim", [len(FILE) - 5000, len(FILE) - 28_800, len(FILE) + 2880, 0])
def test_a_wrong_length_gives_no_wrong_file(archive, tmp_path, claim):
    def lies(handler, content, number):
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        SERVER.send(handler, 206 if start else 200, content[start:], '"one"', length=claim - start)
        return True

    archive.answer = lies
    outcome = ask(archive, tmp_path)
    assert len(outcome.failed) == 1 and not (tmp_path / f"{PRODUCT}.fits").exists()


def test_without_any_length_the_file_itself_tells(archive, tmp_path):
    def chunked(handler, content, number):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        body = content if number else content[:28_800]
        handler.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        return True

    archive.answer = chunked
    assert ask(archive, tmp_path).fetched == 1 and got(tmp_path) == FILE and len(archive.requests) == 2


@pytest.mark.parametrize("where", ["before the answer", "in the body"])
def test_a_silent_server_is_given_up(archive, tmp_path, where):
    import threading

    never = threading.Event()

    def silent(handler, content, number):
        if where == "in the body":
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content[:HALF])
        never.wait(3)
        handler.close_connection = True
        return True

    archive.answer = silent
    outcome = ask(archive, tmp_path, pace=Pace(rate=1e4, tries=2, timeout=0.2, pause=0.01))
    never.set()
    assert "0.2 s, 2 times" in outcome.failed[0].reason and len(archive.requests) == 2


def test_a_server_that_is_not_there_is_given_up_after_some_files(archive, tmp_path):
    ids = [f"ADP.2016-09-23T06:51:28.{number:03d}" for number in range(GIVE_UP + 3)]
    quick = Pace(rate=1e4, tries=1, timeout=0.2)
    outcome = download("gaia_eso", ids, tmp_path, base_url="http://127.0.0.1:1", pace=quick)
    reasons = [one.reason for one in outcome.failed]
    assert len(reasons) == GIVE_UP + 3 and reasons[0] == "no connection to 127.0.0.1:1"
    assert reasons[GIVE_UP:] == [f"not asked for: {GIVE_UP} files in a row failed"] * 3


def test_redirections_are_followed_but_not_for_ever(archive, tmp_path):
    archive.files["/elsewhere"] = FILE

    def moved(handler, content, number):
        if handler.path != PATH:
            return False
        SERVER.send(handler, 302, b"", Location=f"{archive.url}/elsewhere")
        return True

    archive.answer = moved
    assert ask(archive, tmp_path / "a").fetched == 1 and got(tmp_path / "a") == FILE
    archive.answer = lambda handler, content, number: SERVER.send(handler, 302, b"", Location=PATH) is None
    assert "TooManyRedirects" in ask(archive, tmp_path / "b").failed[0].reason


def test_no_more_requests_a_second_than_agreed(archive, tmp_path):
    ids = [f"ADP.2016-09-23T06:51:28.{number:03d}" for number in range(4)]
    archive.files |= {f"/dataPortal/file/{one}": FILE for one in ids}
    ask(archive, tmp_path, ids=ids, pace=Pace(rate=10.0))
    times = [request.when for request in archive.requests]
    assert np.diff(times).min() > 0.08


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_published_digests_are_compared(archive, tmp_path, algorithm):
    right, wrong = (hashlib.new(algorithm, content).hexdigest() for content in (FILE, OTHER))
    listed = tmp_path / "list"
    listed.write_text(f"# {algorithm}\n{right.upper()} *./file/{PRODUCT}\n")
    assert ask(archive, tmp_path / "a", checksums=[listed]).fetched == 0 + 1
    listed.write_text(f"{wrong}  {PRODUCT}.fits\n")
    outcome = ask(archive, tmp_path / "b", checksums=[listed])
    assert "digest" in outcome.failed[0].reason and leftovers(tmp_path / "b") == []


def test_a_file_that_is_there_must_have_the_published_digest(archive, tmp_path):
    ask(archive, tmp_path)
    archive.files[PATH] = OTHER
    listed = tmp_path / "list.fits"
    listed.write_text(f"{hashlib.sha1(OTHER).hexdigest()}  {PRODUCT}.fits\n")
    assert ask(archive, tmp_path, checksums=[listed]).fetched == 1 and got(tmp_path) == OTHER


def test_digests_of_other_folders_do_not_count(tmp_path):
    listed = tmp_path / "a.sha1sum"
    listed.write_text(f"{'a' * 40}  /old/apo25m/F1/apStar-1.fits\n{'b' * 40}  apo25m/F2/apStar-1.fits\n")
    sums = Checksums([listed])
    assert sums.of(Target("apo25m/F2/apStar-1.fits", "https://h/stars/apo25m/F2/apStar-1.fits")) == {"b" * 40}
    assert sums.of(Target("apo25m/F1/apStar-1.fits", "https://h/x.fits")) == {"a" * 40}
    assert sums.of(Target("apStar-1.fits", "https://h/apStar-1.fits")) == {"a" * 40, "b" * 40}
    assert sums.of(Target("apStar-2.fits", "https://h/apStar-2.fits")) == set()


@pytest.mark.parametrize("text", ["nonsense\n", "abc123  a.fits\n", "\x00\xff"])
def test_a_list_that_is_none_is_refused(archive, tmp_path, text):
    listed = tmp_path / "list"
    listed.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match="list"):
        ask(archive, tmp_path / "a", checksums=[listed])
    assert archive.requests == []


def test_ctrl_c_leaves_what_the_same_command_goes_on_from(archive, tmp_path):
    def stop(done, total, size):
        if size:
            raise KeyboardInterrupt

    big = spectrum(2, size=3_000_000)
    archive.files[PATH] = big
    with pytest.raises(Interrupted, match="0 of 1 files.*the same command goes on"):
        ask(archive, tmp_path, progress=stop)
    assert len(leftovers(tmp_path)) == 2
    outcome = ask(archive, tmp_path)
    assert got(tmp_path) == big and 0 < outcome.size < len(big) and leftovers(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_ends_everything_with_its_name(archive, tmp_path):
    (tmp_path / f".{PRODUCT}.fits.part").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"No space left.*free some space"):
        ask(archive, tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(archive, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        ask(archive, tmp_path / "file" / "out")
    (tmp_path / "out" / f"{PRODUCT}.fits").mkdir(parents=True)
    with pytest.raises(OutputError, match="folder of that name"):
        ask(archive, tmp_path / "out")


def test_two_downloads_into_one_folder_do_not_mix(archive, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".download.lock"), pytest.raises(DataError, match="another download"):
        ask(archive, tmp_path)


def test_gzipped_files_stay_gzipped_and_are_checked(archive, tmp_path):
    zipped = gzip.compress(FILE)
    path = "/openapi/dr10/v2.0/lrs/spectrum/fits"
    archive.files[path] = zipped
    archive.answer = lambda handler, content, number: (
        number == 0 and SERVER.send(handler, 200, zipped[:-7]) is None
    )
    outcome = ask(archive, tmp_path, ids=["103232"], survey="lamost_lrs")
    assert outcome.fetched == 1 and (tmp_path / "103232.fits").read_bytes() == zipped
    assert len(archive.requests) == 2


def test_a_token_is_sent_but_never_shown(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("LAMOST_TOKEN", "SECRET123")
    archive.files["/openapi/dr10/v2.0/mrs/spectrum/fits"] = FILE
    outcome = ask(archive, tmp_path, ids=["7"], survey="lamost_mrs")
    assert outcome.fetched == 1 and archive.requests[0].path.endswith("?obsid=7&token=SECRET123")
    quick = Pace(rate=1e4, tries=1, timeout=0.2)
    failed = download("lamost_mrs", ["8"], tmp_path, base_url="http://127.0.0.1:1", pace=quick)
    written = "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.suffix != ".fits"
    )
    assert failed.failed and "SECRET123" not in str(failed) + str(outcome) + written


def run(*arguments):
    done = CliRunner().invoke(cli.app, ["download", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_the_command_tells_what_failed_with_its_exit_code(archive, tmp_path):
    ids = tmp_path / "ids.txt"
    ids.write_text(f"# two products\n{PRODUCT}, and more\n\n{PRODUCT.replace('ADP', 'XYZ')}\n{PRODUCT}\n")
    done = run("gaia_eso", "--ids", ids, "-o", tmp_path / "out", "--base-url", archive.url, "--rate", 1000)
    assert done.exit_code == 2 and "1 files downloaded" in done.output and "404" in done.output
    assert len(archive.requests) == 2
    done = run("gaia_eso", "--ids", PRODUCT, "-o", tmp_path / "out", "--base-url", f"{archive.url}/")
    assert done.exit_code == 0 and "1 were there" in done.output


def test_ctrl_c_ends_the_command_with_130(archive, tmp_path, monkeypatch):
    def stop(client, answer):
        raise KeyboardInterrupt

    monkeypatch.setattr("synth2obs.io.download.client.Client.body", stop)
    done = run("gaia_eso", "--ids", PRODUCT, "-o", tmp_path, "--base-url", archive.url)
    assert done.exit_code == 130 and "the same command goes on" in done.stderr


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nope", "--ids", "1"], ["'nope'", "apogee", "lamost_lrs"]),
        (["gaia_eso"], ["--ids", "ADP."]),
        (["gaia_eso", "--ids", "ids.txt"], ["'ids.txt'", "neither an id nor a file"]),
        (["gaia_eso", "--ids", PRODUCT, "--base-url", "ftp://x"], ["ftp://x", "--base-url"]),
        (["gaia_eso", "--ids", PRODUCT, "--base-url", "http://[x"], ["http://[x", "--base-url"]),
        (["gaia_eso", "--ids", PRODUCT, "--base-url", "http://x:y"], ["http://x:y", "--base-url"]),
        (["gaia_eso", "--ids", PRODUCT, "--base-url", "http://x/?a=b"], ["?a=b", "--base-url"]),
        (["gaia_eso", "--ids", PRODUCT, "-O", "release=dr3"], ["takes no release"]),
        (["galah", "--ids", "12"], ["'12'", "131123003001096"]),
        (["galah", "--ids", "131123003001096", "-O", "ccds=5"], ["ccds", "'5'"]),
        (["galah", "--ids", "131123003001096", "--rate", "0"], ["rate", "positive"]),
        (["galah", "--ids", "131123003001096", "--timeout", "nan"], ["timeout", "positive"]),
        (["lamost_lrs", "--ids", "1", "-O", "release=../x"], ["release", "'../x'"]),
        (["apogee", "--ids", "2M03122509+0021585"], ["telescope", "catalogue="]),
        (["apogee", "--ids", "apo25m/../2M1"], ["apo25m/../2M1"]),
        (["apogee", "-O", "where=SNR > 1"], ["where", "catalogue="]),
        (["apogee", "-O", "catalogue=none.fits", "-O", "where=SNR > 1"], ["none.fits", "no such file"]),
    ],
)
def test_what_cannot_be_asked_for_is_refused(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = run(*arguments, "-o", tmp_path / "out")
    assert done.exit_code == 2 and done.stderr.startswith("error: "), done.output
    assert all(word in done.stderr for word in words), done.stderr


def test_no_native_file_counts_as_damaged(observed):
    paths = [min(folder.glob("*.fits*"), default=None) for folder in observed.iterdir() if folder.is_dir()]
    assert {path.name: fault(path) for path in paths if path is not None and fault(path)} == {}


def test_a_damaged_file_is_told_from_a_whole_one(tmp_path):
    path = tmp_path / "a.fits"
    for content, word in (
        (FILE, None),
        (FILE[:-2880], "truncated"),
        (FILE[:-1], "multiple"),
        (b"\x1f\x8b", "gzip"),
    ):
        path.write_bytes(content)
        found = fault(path)
        assert found is None if word is None else word in found
