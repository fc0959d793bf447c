"""Addresses in the archives, and the choice of observations from an allStar table."""

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.download.allstar import select
from synth2obs.io.download.archives import ARCHIVES, find_archive
from synth2obs.io.download.where import rows_where
from synth2obs.io.surveys import READERS
from synth2obs.io.surveys.survey import make_options


def targets(survey, *ids, **options):
    archive = find_archive(survey)
    return archive.targets(ids, make_options(archive, options), archive.base)


def address(survey, one, **options):
    return targets(survey, one, **options)[0].url


def test_what_can_be_downloaded_can_be_ingested():
    assert ARCHIVES.keys() <= READERS.keys()


def test_addresses_are_those_that_others_download_from():
    apogee = "https://data.sdss.org/sas/dr16/apogee/spectro/redux/r12/stars/apo25m/N7789"
    assert address("apogee", "apo25m/N7789/2M00005414+5522241", release="dr16") == (
        f"{apogee}/apStar-r12-2M00005414+5522241.fits"
    )
    south = "https://data.sdss.org/sas/dr17/apogee/spectro/redux/dr17/stars/lco25m/293-37-C"
    assert address("apogee", "lco25m/293-37-C/2M03174068-7748459") == (
        f"{south}/asStar-dr17-2M03174068-7748459.fits"
    )
    aspcap = "https://data.sdss.org/sas/dr17/apogee/spectro/aspcap/dr17/synspec_rev1/lco25m/293-37-C"
    assert address("apogee", "lco25m/293-37-C/2M03174068-7748459", product="aspcapstar") == (
        f"{aspcap}/aspcapStar-dr17-2M03174068-7748459.fits"
    )
    assert address("galah", "170418003701205", ccds="4") == (
        "https://datacentral.org.au/vo/slink/links?ID=170418003701205&DR=galah_dr3&IDX=0&FILT=I&RESPONSEFORMAT=fits"
    )
    assert address("gaia_eso", "ADP.2021-07-16T10:20:56.458") == (
        "https://dataportal.eso.org/dataPortal/file/ADP.2021-07-16T10:20:56.458"
    )
    assert address("lamost_mrs", "738709169", release="dr11") == (
        "https://www.lamost.org/openapi/dr11/v2.0/mrs/spectrum/fits?obsid=738709169"
    )


def test_names_are_those_that_an_ingest_wants():
    paths = [one.path for one in targets("galah", "131123003001096")]
    assert paths == [f"131123003001096{ccd}.fits" for ccd in "1234"]
    assert targets("apogee", "apo25m/N7789/2M1+2")[0].path == "apo25m/N7789/apStar-dr17-2M1+2.fits"


ROWS = [
    ("2M00000001+0000001", "apo25m", "F1", 150.0, 4800.0, 0),
    ("2M00000001+0000001", "lco25m", "F2", 50.0, 4810.0, 4),
    ("2M00000002+0000002", "apo25m", "F1", np.nan, 5777.0, 1),
    ("2M00000003+0000003", "apo1m", "calibration", 300.0, np.nan, 5),
]


@pytest.fixture
def allstar(tmp_path):
    kinds = {"APOGEE_ID": "18A", "TELESCOPE": "8A", "FIELD": "16A", "SNR": "E", "TEFF": "E", "STARFLAG": "K"}
    columns = [
        fits.Column(name, kind, array=np.array(values))
        for (name, kind), values in zip(kinds.items(), zip(*ROWS, strict=True), strict=True)
    ]
    columns.append(fits.Column("FPARAM", "3E", array=np.ones((len(ROWS), 3))))
    path = tmp_path / "allStar.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    return path


@pytest.mark.parametrize(
    "where, rows",
    [
        ("SNR > 100", [0, 3]),
        ("snr > 100", [0, 3]),
        ("not SNR > 100", [1, 2]),
        ("100 < SNR <= 300 and TEFF > 0", [0]),
        ("TEFF < 4805 or TELESCOPE == 'apo1m'", [0, 3]),
        ("(STARFLAG & 4) != 0", [1, 3]),
        ("(SNR > 100) & (TEFF < 5000) | (STARFLAG == 1)", [0, 2]),
        ("TELESCOPE in ('lco25m', 'apo1m')", [1, 3]),
        ("TELESCOPE not in ['lco25m', 'apo1m']", [0, 2]),
        ("TEFF - 4800 * 1 >= -(0 / 1) and SNR == SNR", [0, 1]),
        (" SNR > 0 ", [0, 1, 3]),
    ],
)
def test_an_expression_chooses_rows(allstar, where, rows):
    assert [one.field for one in select(allstar, [], where)] == [ROWS[row][2] for row in rows]


def test_all_observations_of_a_star(allstar):
    seen = select(allstar, ["2M00000001+0000001"], None)
    assert [(one.telescope, one.field) for one in seen] == [("apo25m", "F1"), ("lco25m", "F2")]
    assert len(select(allstar, ["2M00000001+0000001"], "SNR > 100")) == 1
    files = targets("apogee", "2M00000001+0000001", "apo1m/x/2M9", catalogue=str(allstar))
    assert [one.path for one in files] == [
        "apo1m/x/apStar-dr17-2M9.fits",
        "apo25m/F1/apStar-dr17-2M00000001+0000001.fits",
        "lco25m/F2/asStar-dr17-2M00000001+0000001.fits",
    ]


@pytest.mark.parametrize(
    "where, words",
    [
        ("SNRE > 100", "no column SNRE.*SNR"),
        ("SNR > 1000", "no row has SNR > 1000"),
        ("SNR", "true or false"),
        ("SNR and TEFF", "neither true nor false"),
        ("FPARAM > 0", "true or false"),
        ("SNR > 'a'", "where"),
        ("SNR >", "where"),
        ("", "where"),
        ("SNR > 1; TEFF > 1", "where"),
        ("__import__('os').system('true')", "not allowed"),
        ("SNR.mean() > 1", "not allowed"),
        ("[x for x in SNR]", "not allowed"),
        ("SNR ** 9 > 1", "Pow is not allowed"),
        ("SNR is None", "not allowed"),
        ("SNR > 1\0", "where"),
        ("-" * 9999 + "SNR > 0", "where"),
        ("SNR > 1" + "0" * 999, "where"),
    ],
    ids=lambda text: text[:20].replace("\0", "0"),
)
def test_what_is_no_choice_is_refused(allstar, where, words):
    with pytest.raises(DataError, match=words):
        select(allstar, [], where)


def test_a_star_that_is_not_there_is_refused_with_the_nearest(allstar):
    with pytest.raises(DataError, match=r"1 of 1 ids.*2M00000001\+0000009.*nearest.*2M00000001\+0000001"):
        select(allstar, ["2M00000001+0000009"], None)


@pytest.mark.parametrize("content", [b"", b"no fits", None], ids=["empty", "text", "an image"])
def test_another_file_is_no_allstar_table(tmp_path, content):
    path = tmp_path / "allStar.fits"
    if content is None:
        fits.PrimaryHDU(np.ones(3)).writeto(path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"allStar\.fits.*cannot be read as a table"):
        select(path, [], "SNR > 1")


def test_a_field_of_a_table_does_not_lead_out_of_the_folder(tmp_path):
    path = tmp_path / "t.fits"
    names = {"APOGEE_ID": "2M1", "TELESCOPE": "apo25m", "FIELD": "../../x"}
    columns = [fits.Column(name, "18A", array=np.array([value])) for name, value in names.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    with pytest.raises(DataError, match=r"apo25m/\.\./\.\./x"):
        targets("apogee", "2M1", catalogue=str(path))


def test_a_table_without_fields_is_refused(tmp_path):
    path = tmp_path / "t.fits"
    columns = [fits.Column("APOGEE_ID", "5A", array=np.array(["2M1"]))]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)]).writeto(path)
    with pytest.raises(DataError, match="no column TELESCOPE"):
        select(path, ["2M1"], None)


def test_an_expression_needs_no_table_of_fits():
    columns = {"a": np.arange(4), "b": np.array(["x", "y", "x", "y"])}
    assert rows_where("a > 1 and b == 'y'", columns.__getitem__, 4).tolist() == [False, False, False, True]
