"""Spectra of Gaia-ESO that the archive itself finds: the question, its answers, and what may go wrong with it."""

import importlib.util
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.download.pace import Pace
from synth2obs.io.download.run import download

SPEC = importlib.util.spec_from_file_location("archive_server", Path(__file__).with_name("archive_server.py"))
SERVER = importlib.util.module_from_spec(SPEC)
# Its dataclasses look for their module by name.
sys.modules["archive_server"] = SERVER
SPEC.loader.exec_module(SERVER)

QUICK = Pace(rate=1e4, tries=2, timeout=0.4, pause=0.01)
ASK = "/tap_obs/sync"
FIRST, SECOND = "ADP.2016-09-23T06:51:28.123", "ADP.2021-07-16T10:20:56.458"
FILE = b"SIMPLE  =                    T".ljust(80) + b"BITPIX  =                    8".ljust(80)
FILE = (FILE + b"NAXIS   =                    0".ljust(80) + b"END").ljust(2880)


def votable(*ids, status="OK", word=""):
    """An answer of a TAP service, with a column dp_id."""
    rows = "".join(f"<TR><TD>{one}</TD></TR>" for one in ids)
    column = '<FIELD name="dp_id" datatype="char" arraysize="*"/>'
    table = f"<TABLE>{column}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>" if status == "OK" else ""
    space = 'version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'
    info = f'<INFO name="QUERY_STATUS" value="{status}">{word}</INFO>'
    return f'<VOTABLE {space}><RESOURCE type="results">{info}{table}</RESOURCE></VOTABLE>'.encode()


@pytest.fixture
def archive(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with SERVER.running() as server:
        server.files = {f"/dataPortal/file/{one}": FILE for one in (FIRST, SECOND)}
        server.files[ASK] = votable(FIRST, SECOND)
        yield server


def question(archive):
    return " ".join(parse_qs(archive.requests[0].body.decode())["QUERY"][0].split())


def ask(archive, out, ids=(), **options):
    return download("gaia_eso", list(ids), out, base_url=archive.url, pace=QUICK, **options)


def test_what_the_archive_finds_is_downloaded(archive, tmp_path):
    summary = ask(archive, tmp_path, target="08095427-472%", min_snr="50")
    assert summary.fetched == 2 and not summary.failed
    assert {path.name for path in tmp_path.glob("*.fits")} == {f"{FIRST}.fits", f"{SECOND}.fits"}
    assert question(archive) == (
        "select dp_id from ivoa.ObsCore where obs_collection in ('GAIAESO') "
        "and target_name like '08095427-472%' and snr >= 50.0"
    )
    assert archive.requests[0].headers["user-agent"].startswith("synth2obs")


def test_named_and_found_spectra_come_once(archive, tmp_path):
    third = FIRST.replace("2016", "2017")
    archive.files[f"/dataPortal/file/{third}"] = FILE
    assert ask(archive, tmp_path, ids=[third, FIRST], min_snr=10).fetched == 3


def test_without_options_nothing_is_looked_for(archive, tmp_path):
    ask(archive, tmp_path, ids=[FIRST])
    assert [one.path for one in archive.requests] == [f"/dataPortal/file/{FIRST}"]


def test_a_quotation_mark_in_a_name_stays_in_the_name(archive, tmp_path):
    ask(archive, tmp_path, target="Barnard's' or 1=1 --")
    assert question(archive).endswith("and target_name like 'Barnard''s'' or 1=1 --'")


def test_a_busy_service_is_asked_again(archive, tmp_path):
    def busy(handler, content, number):
        return number == 0 and SERVER.send(handler, 503, b"later") is None

    archive.answer = busy
    assert ask(archive, tmp_path, min_snr=10).fetched == 2
    assert [one.path for one in archive.requests[:2]] == [ASK, ASK]


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda h: SERVER.send(h, 200, votable()), "no spectrum of GAIAESO.*ask for less"),
        (
            lambda h: SERVER.send(h, 200, votable(status="ERROR", word="no snr")),
            "refuses the question.*--ids",
        ),
        (lambda h: SERVER.send(h, 503, b""), "cannot be asked: .*503.*try later"),
        (lambda h: SERVER.send(h, 503, b"", Retry_After="7200"), "cannot be asked.*come back in 120 minutes"),
        (lambda h: SERVER.send(h, 404, b""), "cannot be asked: .*404"),
        (lambda h: SERVER.send(h, 200, b"<html>Sign in</html>", kind="text/html"), "cannot be asked"),
        (lambda h: SERVER.send(h, 200, b"<VOTABLE", length=999), "cannot be asked"),
    ],
    ids=["none", "refused", "busy", "closed", "gone", "login", "cut"],
)
def test_a_question_without_an_answer_is_one_of_our_errors(archive, tmp_path, answer, words):
    archive.answer = lambda handler, content, number: answer(handler) is None
    with pytest.raises(DataError, match=words) as told:
        ask(archive, tmp_path, min_snr=10)
    assert "\n" not in str(told.value) and len(archive.requests) <= 2


def test_a_silent_service_is_given_up(archive, tmp_path):
    import threading

    never = threading.Event()
    archive.answer = lambda handler, content, number: never.wait(3)
    with pytest.raises(DataError, match="cannot be asked.*timed out"):
        ask(archive, tmp_path, min_snr=10)
    never.set()


@pytest.mark.parametrize("value", ["nan", "-1", "inf"])
def test_a_signal_to_noise_ratio_is_a_number(tmp_path, value):
    with pytest.raises(DataError, match="min_snr.*0 or more"):
        download("gaia_eso", [], tmp_path, min_snr=value)
