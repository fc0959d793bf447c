"""Native files of the surveys, written in their documented layouts with made-up stars in them."""

import numpy as np
from astropy.io import fits

LSF_ROW = (1, 4287, 5, 1, 1, 1, 1, 1, 0, 1.7, -1e-5, 0.01, -3e-6, -0.2, 4e-6, 0.05, -4e-6, 0.22, -4e-6, -0.05)
WING = (1, 2, 0, 0, 0.01, 0.08)
VISIT_LSF = (2, 2048, 5, 1, 1, 1, 1, 1, 0, 2.9, -8e-5, 0.02, 1e-5, -0.1, 1e-6, -0.04, -4e-6, 0.1, 2e-5, 0.04)
VISIT_WING = (1, 2, 0, 0, 0.03, 9.0)


def star(wavelength, rv=0.0, lines=(), seed=0, snr=100.0):
    """A continuum of 1 with absorption lines (Å, depth, σ in km/s) seen at a velocity, and noise."""
    flux = np.ones_like(wavelength)
    for centre, depth, sigma in lines:
        speed = (wavelength / (centre * (1 + rv / 299792.458)) - 1) * 299792.458
        flux *= 1 - depth * np.exp(-0.5 * (speed / sigma) ** 2)
    return flux + np.random.default_rng(seed).normal(0, 1 / snr, wavelength.shape)


def write(path, hdus):
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def apogee_grid():
    return 10 ** (4.179 + 6e-6 * np.arange(8575))


BRACKETT = ((16_811.1, 0.3, 60.0), (15_884.9, 0.2, 60.0))


def apogee_gaps():
    pixel = np.arange(8575)
    return (pixel < 200) | (pixel > 3320) & (pixel < 3535) | (pixel > 6127) & (pixel < 6293) | (pixel > 8379)


def apstar(path, visits=3, release="dr17", rows=None):
    """An apStar file: DR17 has NaN in the gaps and an empty line spread, DR13 zeros, 1e10, and coefficients."""
    rows = (visits + 2 if visits > 1 else 2 if release == "dr17" else 1) if rows is None else rows
    flux = np.stack([100 * star(apogee_grid(), lines=BRACKETT, seed=row) for row in range(rows)])
    error, mask = np.full(flux.shape, 1.0), np.zeros(flux.shape, np.int64)
    error[:, 500], mask[:, 500] = 1e13, 1
    mask[:, 700] = 1 << 12
    gap = apogee_gaps()
    flux[:, gap], error[:, gap] = (np.nan, np.nan) if release == "dr17" else (0.0, 1e10)
    mask[:, gap] = 0 if release == "dr17" else 1
    if visits == 1 and rows == 2:
        flux[1], error[1], mask[1] = 0.0, 0.0, 0
    kind = np.float64 if release == "dr17" else np.float32
    bits = np.int64 if release == "dr17" else np.int16
    images = [flux.astype(kind), error.astype(kind), mask.astype(bits), *[np.zeros_like(flux, kind)] * 4]
    if rows == 1:
        images = [image[0] for image in images]
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(image) for image in images)]
    axis = {"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1, "CTYPE1": "LOG-LINEAR"}
    for hdu in hdus:
        hdu.header.update(axis)
    hdus.append(fits.ImageHDU(None if release == "dr17" else np.array(LSF_ROW + WING, float)))
    head = {"OBJID": "2M00000001+0000001", "NVISITS": visits, "VHELIO": -20.5, "VERR": 0.03, "VSCATTER": 0.1}
    head |= {"SNR": 100.0, "MEANFIB": 150.0, "STARFLAG": 0, "NWAVE": 8575}
    head |= {"BMAX": 3320, "GMIN": 3535, "GMAX": 6127, "RMIN": 6293}
    for n in range(1, visits + 1):
        head |= {
            f"SFILE{n}": f"apVisit-{release}-6000-5600{n}-15{n}.fits",
            f"VHELIO{n}": -20.5 + n,
            f"VERR{n}": 0.1,
        }
        head |= {
            f"FIBER{n}": 149 + n,
            f"BC{n}": 10.0 * n,
            f"JD{n}": 2456000.5 + n,
            f"SNRVIS{n}": 60.0,
            f"FLAG{n}": 0,
        }
    hdus[0].header.update(head)
    return write(path, hdus)


def aspcapstar(path, teff=4500.0):
    gap = apogee_gaps()
    flux, error = star(apogee_grid(), lines=BRACKETT), np.full(8575, 0.01)
    flux[gap], error[gap] = 0.0, 0.0
    images = [fits.ImageHDU(a.astype(np.float32)) for a in (flux, error, flux)]
    for hdu in images:
        hdu.header.update({"CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1})
    param = np.array([[teff, 2.5, 0.2, -0.3, 0.1, 0.1, 0.15, 3.0, 4.0]], np.float32)
    columns = [
        fits.Column("APOGEE_ID", "18A", array=np.array(["2M00000001+0000001"])),
        fits.Column("VHELIO", "E", array=np.array([-20.5])),
        fits.Column("VERR", "E", array=np.array([0.03])),
        fits.Column("MEANFIB", "E", array=np.array([30.0])),
        fits.Column("SNR", "E", array=np.array([100.0])),
        fits.Column("PARAM", "9E", array=param),
    ]
    return write(path, [fits.PrimaryHDU(), *images, fits.BinTableHDU.from_columns(columns)])


def apvisit(path, rv=-50.0, correction=12.0):
    """An apVisit file: three detectors, red first, wavelengths falling and as the observatory sees them."""
    pixel = np.arange(4096)
    ends = ((16954.3, 16472.3), (16434.8, 15856.6), (15809.9, 15142.2))
    wavelength = np.stack([a + (b - a) * (pixel / 4095) ** 1.02 for a, b in ends])
    flux = 10 * star(wavelength, rv - correction, BRACKETT)
    error, mask = np.full(flux.shape, 0.1, np.float32), np.zeros(flux.shape, np.int16)
    mask[0, 7], mask[1, 9] = 4, 1 << 13
    lsf = np.array([VISIT_LSF + VISIT_WING] * 3, float)
    images = [flux.astype(np.float32), error, mask, wavelength, *[np.zeros_like(error)] * 4]
    images += [np.zeros((3, 14)), lsf]
    head = {"OBJID": "2M00000002+0000002", "PLATE": "6000", "MJD5": 56001, "FIBERID": 104, "BC": correction}
    head |= {
        "VHELIO": rv,
        "VRAD": rv - correction,
        "VRADERR": 0.05,
        "JD-MID": 2456001.7,
        "SNR": 90.0,
        "STARFLAG": 0,
    }
    hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(image) for image in images)]
    hdus[0].header.update(head)
    return write(path, hdus)


def allstar(path):
    columns = [
        fits.Column("APOGEE_ID", "18A", array=np.array(["2M00000001+0000001", "2M00000001+0000001", "2M9"])),
        fits.Column("SNR", "E", array=np.array([50.0, 90.0, 70.0])),
        fits.Column("TEFF", "E", array=np.array([4000.0, 4600.0, -9999.0])),
        fits.Column("TEFF_ERR", "E", array=np.array([90.0, 80.0, -9999.0])),
        fits.Column("FE_H", "E", array=np.array([-0.5, -0.4, np.nan])),
        fits.Column("MG_FE", "E", array=np.array([0.1, 0.2, 0.3])),
    ]
    return write(path, [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)])


def galah_table(path):
    columns = [
        fits.Column("sobject_id", "K", array=np.array([210115000101001, 210115000101002])),
        fits.Column("teff_r", "E", array=np.array([4700.0, 5800.0])),
        fits.Column("logg_r", "E", array=np.array([2.2, 4.4])),
        fits.Column("fe_h_r", "E", array=np.array([-0.3, np.nan])),
    ]
    return write(path, [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)])


BALMER = ((6564.61, 0.5, 150.0), (4862.68, 0.5, 150.0), (4341.68, 0.4, 150.0))


def lamost_head(obsid, **more):
    head = {
        "OBSID": obsid,
        "DESIG": f"LAMOST J{(obsid or 0) % 7}",
        "VACUUM": True,
        "HELIO": True,
        "HELIO_RV": 12.5,
    }
    head |= {"MJD": 55858, "FIBERID": 101, "SPID": 3, "DATA_V": "LAMOST DR8"}
    return {name: value for name, value in (head | more).items() if value is not None}


def lamost_lrs(path, layout="image", obsid=101001, pixels=3909, z=2e-4, snr=80.0, **more):
    """An LRS file as before DR9 (``image``) or from DR9 on (``table``), with bad, flagged and padded pixels."""
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(pixels))
    flux = 200.0 * star(wavelength, z * 299792.458, BALMER, seed=obsid, snr=snr)
    ivar = np.full(pixels, (snr / 200.0) ** 2)
    both, either = np.zeros(pixels), np.zeros(pixels)
    ivar[10], both[20], either[20:22] = 0.0, 4, 5
    flux[-3:] = 0.0
    rows = [np.asarray(a, np.float32) for a in (flux, ivar, wavelength, both, either)]
    head = lamost_head(
        obsid, CLASS="STAR", SUBCLASS="F5", Z=z, Z_ERR=2e-5, COEFF0=3.5682, COEFF1=1e-4, SNRG=80.0
    )
    head = {name: value for name, value in (head | more).items() if value is not None}
    hdus = [fits.PrimaryHDU(np.stack(rows) if layout == "image" else None)]
    hdus[0].header.update(head)
    if layout == "table":
        names = ("FLUX", "IVAR", "WAVELENGTH", "ANDMASK", "ORMASK", "NORMALIZATION")
        columns = [
            fits.Column(n, f"{pixels}E", array=r[None]) for n, r in zip(names, [*rows, rows[0]], strict=True)
        ]
        hdus.append(fits.BinTableHDU.from_columns(columns, name="COADD"))
    return write(path, hdus)


def lamost_pilot(path, fibre=6, pixels=3904, z=2e-4, snr=80.0, **more):
    """An LRS file of the pilot survey: the flux less its continuum in the place of wavelengths, and no OBSID.

    Of the lines about which such files lower the inverse variance, this one has Mg b.
    """
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(pixels))
    flux = 200.0 * star(wavelength, z * 299792.458, BALMER, seed=fibre, snr=snr)
    ivar = np.full(pixels, (snr / 200.0) ** 2)
    both, either = np.zeros(pixels), np.zeros(pixels)
    ivar[1452:1467] /= 10.0
    ivar[10], both[20], either[20:22] = 0.0, 1, 1
    flux[-4:] = ivar[-4:] = 0.0
    rows = [np.asarray(a, np.float32) for a in (flux, ivar, flux / 200.0 - 0.9, both, either)]
    head = lamost_head(
        None, DESIG=f"LAMOST J{fibre % 7}", DATA_V=None, PLANID="B6212", LMJD=55862, FIBERID=fibre
    )
    head |= {"EXTEN0": "Flux Inverse Subcontinuum Andmask Ormask", "SN_G": 70.5, "CLASS": "STAR", "Z": z}
    head |= {"Z_ERR": 2e-5, "COEFF0": 3.5682, "COEFF1": 1e-4, "CRVAL1": 3.5682, "CD1_1": 1e-4} | more
    hdus = [fits.PrimaryHDU(np.stack(rows))]
    hdus[0].header.update({name: value for name, value in head.items() if value is not None})
    return write(path, hdus)


def lamost_catalogue(path, separator="|", metallicity="feh"):
    """Stellar parameters of two stars by designation, one observed twice, in text or FITS; -9999 is not known."""
    names = ["obsid", "designation", "snrg", "teff", "teff_err", "logg", metallicity, f"{metallicity}_err"]
    rows = [
        (1, "J6", 20.0, 5100.0, 90.0, 4.0, -0.2, 0.3),
        (2, "J6", 70.5, 5200.0, 40.0, 4.1, -0.1, 0.1),
        (3, "J3", 60.0, 6100.0, 50.0, -9999.0, 0.1, -9999.0),
    ]
    if path.suffix == ".fits":
        columns = [
            fits.Column(n, "4A" if n == "designation" else "D", array=c)
            for n, c in zip(names, zip(*rows, strict=True), strict=True)
        ]
        return write(path, [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns)])
    path.write_text("\n".join(separator.join(map(str, row)) for row in [names, *rows]), encoding="utf-8")
    return path


def mrs_table(name, wavelength, rv, masks, seed):
    flux = 500.0 * star(wavelength, rv, BALMER + ((5184.0, 0.6, 25.0),), seed)
    loglam = np.log10(wavelength).astype(np.float32)
    columns = [fits.Column("FLUX", "E", array=flux), fits.Column("IVAR", "E", array=np.full(len(flux), 0.04))]
    columns.append(fits.Column("LOGLAM", "E", array=loglam))
    for column in masks:
        bits = np.zeros(len(flux), np.int16)
        bits[5] = 1
        columns.append(fits.Column(column, "I", array=bits))
    return fits.BinTableHDU.from_columns(columns, name=name)


def lamost_mrs(path, obsid=700001, rv=30.0, arms="BR", exposures=2, coadds="BR", **more):
    """An MRS file: combined arms on a lattice, exposures on pixels of their own, the red ones from the red end."""
    hdus = [fits.PrimaryHDU()]
    counts = {f"NEXP_{arm}": exposures if arm in arms else 0 for arm in "BR"}
    hdus[0].header.update(
        lamost_head(obsid, **counts, **{f"COMBIN_{arm}": arm in coadds for arm in "BR"}, **more)
    )
    lattice = {"B": (369080, 4127), "R": (379750, 3824)}
    for arm in coadds:
        first, count = lattice[arm]
        wavelength = 10 ** (1e-5 * (first + np.arange(count)))
        hdus.append(mrs_table(f"COADD_{arm}", wavelength, rv, ("ANDMASK", "ORMASK"), seed=1))
    for number in range(exposures):
        for arm in arms:
            ends = {"B": (4907.7 + number, 5396.3), "R": (6850.3, 6273.5 + number)}[arm]
            wavelength = np.linspace(*ends, 4136)
            hdus.append(mrs_table(f"{arm}-8445465{number}", wavelength, rv, ("PIXMASK",), seed=number))
    return write(path, hdus)


GALAH_AXES = ((4713.379, 0.046008), (5648.665, 0.054686), (6478.256, 0.063125), (7585.395, 0.073558))
GALAH_LINES = ((4861.35, 0.6, 30.0), (5700.0, 0.3, 10.0), (6562.80, 0.6, 30.0), (7780.0, 0.3, 10.0))
"""Air Å."""


def galah_dr3(folder, star_id=131123003001096, rv=60.0, ccds=(1, 2, 3, 4), rest=(1, 2, 3, 4), pixels=4096):
    """Files of DR3: counts on a barycentric air axis, relative errors, and a normalised copy shifted to rest."""
    paths = []
    for ccd in ccds:
        start, step = GALAH_AXES[ccd - 1]
        axis = start + step * np.arange(pixels)
        flux = 3000.0 * star(axis, rv, GALAH_LINES, seed=ccd)
        relative = np.full(pixels, 0.01, np.float32)
        relative[7] = 0.0
        cards = {"CRVAL1": start, "CDELT1": step, "CRPIX1": 1.0, "CTYPE1": "LINEAR"}
        counts = fits.PrimaryHDU(flux.astype(np.float32))
        counts.header.update(
            {**cards, "OBJECT": str(star_id), "BARYEFF": 10.0, "UTMJD": 56619.4, "ORIGIN": "GALAH DR3"}
        )
        hdus = [counts]
        for name, data in (
            ("input_sigma", relative),
            ("no_sky_subspectrum", flux),
            ("no_sky_sigma", relative),
        ):
            hdus.append(fits.ImageHDU(np.asarray(data, np.float32), name=name))
            hdus[-1].header.update(cards)
        if ccd in rest:
            hdus.append(fits.ImageHDU(flux / 3000.0, name="normalised spectra"))
            hdus[-1].header.update(
                {k: v * (1 - rv / 299792.458) for k, v in cards.items() if k in ("CRVAL1", "CDELT1")}
            )
            hdus[-1].header["CRPIX1"] = 1.0
        paths.append(write(folder / f"{star_id:015d}{ccd}.fits", hdus))
    return paths


def galah_6(folder, star_id=210115000101001, rv=-18.7, ccds=(1, 2, 3, 4), **more):
    """Files of reduction 6.0: eight HDUs on one barycentric air axis, with transmission and FWHM per pixel."""
    paths = []
    for ccd in ccds:
        start, step = GALAH_AXES[ccd - 1]
        axis = start + step * np.arange(4096)
        flux = star(axis, rv, GALAH_LINES, seed=ccd)
        sky = np.where((axis > 7594) & (axis < 7621), 0.3, 1.0)
        fwhm = np.linspace(0.20, 0.24, 4096) * axis / 4800
        layers = {
            "": 3000 * flux,
            "normalized": flux,
            "relative_error": np.full(4096, 0.01),
            "sky": flux,
            "teluric": sky,
        }
        layers |= {"scattered": flux, "cross_talk": flux, "resolution_profile": fwhm}
        head = {"CRVAL1": start, "CDELT1": step, "CRPIX1": 1.0, "BARYEFF": -13.4, "RVCOM": rv, "E_RVCOM": 0.1}
        head |= {
            "RVCOM_OK": 1,
            "WAV_OK": 1,
            "B": 2.4,
            "PAR_OK": 1,
            "TEFF_R": 4688.4,
            "LOGG_R": 2.19,
            "FE_H_R": -0.27,
        }
        head |= {
            "A_FE_R": 0.1,
            "VMIC_R": 1.3,
            "GAIA_ID": "3335074476514836608",
            "PIPE_VER": "6.0",
            "FIBRE": 10,
        }
        hdus = [
            fits.ImageHDU(data, name=name) if name else fits.PrimaryHDU(data) for name, data in layers.items()
        ]
        hdus[0].header.update(head | more)
        paths.append(write(folder / f"{star_id:015d}{ccd}.fits", hdus))
    return paths


MILES_HEAD = {"CRPIX1": 1, "CRVAL1": 3540.5, "CDELT1": 0.9, "FWHM": 2.5}
STELIB_HEAD = {"CRPIX1": 1, "CRVAL1": 3200.4, "CDELT1": 1.0001, "TEFF": 5780, "LOG_G": 4.4, "FE_H": -0.1}
OPTICAL_LINES = ((6562.80, 0.5, 200.0), (4861.35, 0.4, 200.0))
"""Air Å."""


def linear(path, head, pixels=4300):
    axis = head["CRVAL1"] + head["CDELT1"] * np.arange(pixels)
    hdu = fits.PrimaryHDU(star(axis, 0.0, OPTICAL_LINES, snr=80.0))
    hdu.header.update(head)
    return write(path, [hdu])


DESCRIPTION = """
name = "mine"
wavelength = "wave"
flux = "flux"
error = "sigma"
unit = "nm"
medium = "air"
frame = "barycentric"
flux_kind = "normalized"
resolving_power = 20000
"""


def own_table(path, pixels=2000):
    """A text table in nm, air, of a survey that a TOML has to describe."""
    axis = np.linspace(648.0, 664.0, pixels)
    flux = star(10 * axis, 25.0, ((6562.80, 0.6, 30.0),))
    rows = "".join(f"{w:.6f},{f:.5f},0.01\n" for w, f in zip(axis, flux, strict=True))
    path.write_text("wave,flux,sigma\n" + rows)
    return path


def _description(folder):
    path = folder / "mine.toml"
    path.write_text(DESCRIPTION)
    return str(path)


LAYOUTS = {
    "apstar": lambda f: ("apogee", [apstar(f / "apStar-dr17-2M00000001+0000001.fits")], {}),
    "apstar of DR13": lambda f: ("apogee", [apstar(f / "apStar-r6-2M1.fits", release="dr13")], {}),
    "apstar visits": lambda f: ("apogee", [apstar(f / "apStar-dr17-2M2.fits")], {"spectra": "visits"}),
    "aspcapstar": lambda f: ("apogee", [aspcapstar(f / "aspcapStar-2M1.fits")], {}),
    "apvisit": lambda f: ("apogee", [apvisit(f / "apVisit-1.fits")], {"lsf": "hermite"}),
    "galah dr3": lambda f: ("galah", galah_dr3(f), {}),
    "galah counts": lambda f: ("galah", galah_dr3(f), {"flux": "counts"}),
    "galah 6.0": lambda f: ("galah", galah_6(f), {}),
    "lrs image": lambda f: ("lamost_lrs", [lamost_lrs(f / "spec-1.fits")], {}),
    "lrs table": lambda f: ("lamost_lrs", [lamost_lrs(f / "spec-2.fits", "table")], {}),
    "lrs of the pilot survey": lambda f: ("lamost_lrs", [lamost_pilot(f / "spec-3.fits")], {}),
    "mrs": lambda f: ("lamost_mrs", [lamost_mrs(f / "med-1.fits")], {}),
    "mrs exposures": lambda f: ("lamost_mrs", [lamost_mrs(f / "med-2.fits")], {"spectra": "single"}),
    "miles": lambda f: ("miles", [linear(f / "MILES_star_m0018V.fits", MILES_HEAD)], {}),
    "stelib": lambda f: ("stelib", [linear(f / "STELIB_v3.2_HD1.fits", STELIB_HEAD)], {}),
    "own": lambda f: (_description(f), [own_table(f / "star.csv")], {}),
}
"""Survey, files and options of every layout that is read."""


def eso_phase3(path, medium="air", rv=0.0, **more):
    """A one-dimensional spectrum by ESO's Phase 3 standard (ESO-044286): header cards, UCDs and units."""
    axis = np.concatenate([np.arange(4800.0, 5000.0, 0.05), np.arange(6400.0, 6700.0, 0.05)])
    lines = ((6562.80, 0.6, 30.0), (4861.35, 0.5, 30.0)) if medium == "air" else ((6564.61, 0.6, 30.0),)
    flux = star(axis, rv, lines)
    error, quality = np.full(len(axis), 0.01), np.zeros(len(axis), np.int32)
    quality[3], error[4] = 2, np.nan
    ucd = {"air": "em.wl;obs.atmos", "vacuum": "em.wl", "unknown": None}[medium]
    columns = (
        ("WAVE", axis / 10, "nm", ucd),
        ("FLUX_RAW", flux * 7, "adu", "phot.flux.density;em.wl;stat.uncalib"),
        ("FLUX", flux, "", "phot.flux.density;em.wl;src.net;meta.main"),
        ("ERR", error, "", "stat.error;phot.flux.density;meta.main"),
        ("QUAL", quality, "", "meta.code.qual"),
    )
    size = len(axis)
    form = {"QUAL": f"{size}J"}
    table = fits.BinTableHDU.from_columns(
        [fits.Column(n, form.get(n, f"{size}D"), unit=u or None, array=a[None]) for n, a, u, _ in columns],
        name="SPECTRUM",
    )
    for number, (*_, name) in enumerate(columns, start=1):
        if name is not None:
            table.header[f"TUCD{number}"] = name
    head = {
        "PRODCATG": "SCIENCE.SPECTRUM",
        "SPECSYS": "BARYCENT",
        "CONTNORM": True,
        "FLUXCAL": "UNCALIBRATED",
    }
    head |= {"OBJECT": "GES J1", "SPEC_RES": 21500.0, "INSTRUME": "GIRAFFE", "MJD-OBS": 56001.5, "SNR": 100.0}
    head |= {"WAVELMIN": 480.0, "WAVELMAX": 670.0, "ARCFILE": "ADP.2020-01-01T00:00:00.000.fits"}
    primary = fits.PrimaryHDU()
    primary.header.update({name: value for name, value in (head | more).items() if value is not None})
    return write(path, [primary, table])


LAYOUTS["eso phase 3"] = lambda f: ("gaia_eso", [eso_phase3(f / "ADP.1.fits")], {})
LAYOUTS["eso in vacuum"] = lambda f: ("gaia_eso", [eso_phase3(f / "ADP.2.fits", "vacuum")], {})


def desi(path, targets=3, rv=15.0):
    """A coadd of two stars and the sky: three arms, and a resolution matrix in diagonals."""
    table = [
        fits.Column("TARGETID", "K", array=np.arange(39627866878511337, 39627866878511337 + targets)),
        fits.Column("OBJTYPE", "3A", array=np.array(["TGT"] * (targets - 1) + ["SKY"])),
        fits.Column("COADD_FIBERSTATUS", "J", array=np.zeros(targets, int)),
        fits.Column("TARGET_RA", "D", array=np.full(targets, 10.0)),
        fits.Column("TARGET_DEC", "D", array=np.full(targets, -5.0)),
        fits.Column("MWS_TARGET", "K", array=np.full(targets, 256)),
    ]
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(table, name="FIBERMAP")]
    offset = np.arange(5, -6, -1)[:, None]
    for arm, (start, pixels) in {"B": (3600.0, 2751), "R": (5760.0, 2326), "Z": (7520.0, 2881)}.items():
        axis = start + 0.8 * np.arange(pixels)
        flux = np.stack([50 * star(axis, rv, BALMER, seed=n) for n in range(targets)])
        ivar, bits = np.full(flux.shape, 4.0), np.zeros(flux.shape, np.uint32)
        bits[:, 11] = 2
        sigma = np.linspace(0.7, 0.9, pixels)
        response = np.exp(-0.5 * (0.8 * offset / sigma) ** 2)
        matrix = np.tile(response / response.sum(axis=0), (targets, 1, 1))
        images = {"WAVELENGTH": axis, "FLUX": flux, "IVAR": ivar, "MASK": bits, "RESOLUTION": matrix}
        kinds = {"WAVELENGTH": np.float64, "MASK": np.uint32}
        for name, data in images.items():
            hdus.append(fits.ImageHDU(data.astype(kinds.get(name, np.float32)), name=f"{arm}_{name}"))
            units = {"WAVELENGTH": "Angstrom", "FLUX": "10**-17 erg/(s cm2 Angstrom)"}
            units["IVAR"] = "10**+34 (s2 cm4 Angstrom2) / erg2"
            if name in units:
                hdus[-1].header["BUNIT"] = units[name]
    return write(path, hdus)


def mastar(path, rv=-20.0):
    axis = 10 ** (3.5589 + 1e-4 * np.arange(4563))
    flux, ivar = 100 * star(axis, rv, BALMER), np.full(4563, 1.0)
    width, bits = np.linspace(0.98, 2.15, 4563), np.zeros(4563, np.int32)
    ivar[20], bits[20], width[100:103] = 0.0, 1 << 25, 0.0
    cells = {"WAVE": axis, "FLUX": flux, "IVAR": ivar, "DISP": width, "PREDISP": width}
    columns = [fits.Column(name, "4563D", array=data[None]) for name, data in cells.items()]
    columns += [
        fits.Column("MASK", "4563J", array=bits[None]),
        fits.Column("PLATE", "J", array=np.array([8047])),
        fits.Column("IFUDESIGN", "4A", array=np.array(["9101"])),
        fits.Column("MJD", "J", array=np.array([57108])),
        fits.Column("HELIOV", "E", array=np.array([rv])),
        fits.Column("V_ERRCODE", "I", array=np.array([0])),
    ]
    return write(path, [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="MASTAR")])


def mwm(path, visits=0):
    """mwmStar (one row with its wavelengths) or mwmVisit (rows, wavelengths in the header), both instruments."""
    hdus = [fits.PrimaryHDU()]
    hdus[0].header.update({"SDSS_ID": 23326, "V_ASTRA": "0.5.0"})
    boss, h_band = (3.5523, 1e-4, 4648), (4.179, 6e-6, 8575)
    for telescope, (start, step, count), lines in (
        ("apo25m", boss, BALMER),
        ("lco25m", boss, BALMER),
        ("apo25m", h_band, BRACKETT),
        ("lco25m", h_band, BRACKETT),
    ):
        rows = 0 if telescope == "lco25m" else max(visits, 1)
        axis = 10 ** (start + step * np.arange(count))
        flux = np.array([star(axis, 0.0, lines, seed=n) for n in range(rows)]).reshape(rows, count)
        bits = np.zeros((rows, count), np.int64)
        bits[:, 30] = 1
        columns = [
            fits.Column("flux", f"{count}E", array=flux),
            fits.Column("ivar", f"{count}E", array=np.full((rows, count), 1e4)),
            fits.Column("pixel_flags", f"{count}K", array=bits),
            fits.Column("telescope", "6A", array=np.array([telescope] * rows)),
            fits.Column("snr", "E", array=np.full(rows, 100.0)),
            fits.Column("sdss_id", "K", array=np.full(rows, 23326)),
        ]
        if not visits:
            columns += [fits.Column(name, "J", array=np.full(rows, 59000)) for name in ("min_mjd", "max_mjd")]
        if visits:
            columns.append(fits.Column("mjd", "J", array=59000 + np.arange(rows)))
        else:
            columns.append(fits.Column("wavelength", f"{count}D", array=np.tile(axis, (rows, 1))))
        hdus.append(fits.BinTableHDU.from_columns(columns))
        hdus[-1].header.update({"CRVAL": start, "CDELT": step, "NPIXELS": count})
    return write(path, hdus)


RVS_LINES = ((8544.44, 0.5, 40.0), (8664.52, 0.5, 40.0))


def rvs_flux(seed=0):
    axis = 8460.0 + 0.1 * np.arange(2401)
    flux, error = star(axis, 0.0, RVS_LINES, seed), np.full(2401, 0.01)
    flux[:5], error[:5] = np.nan, np.nan
    return axis / 10, flux, error


def rvs_bulk(path, sources=(5853498713190525696, 4111834567779557376)):
    """Several spectra as ECSV with one array per cell, as in the archive's bulk files."""
    from astropy.table import Table

    spectra = [rvs_flux(n) for n in range(len(sources))]
    table = Table(
        {
            "source_id": np.array(sources),
            "flux": [s[1] for s in spectra],
            "flux_error": [s[2] for s in spectra],
        }
    )
    table.write(path, format="ascii.ecsv", delimiter=",")
    return path


def rvs_single(path):
    from astropy.table import Table

    wavelength, flux, error = rvs_flux()
    Table({"wavelength": wavelength, "flux": flux, "flux_error": error}).write(path, format="fits")
    return path


LAYOUTS |= {
    "desi": lambda f: ("desi", [desi(f / "coadd.fits")], {}),
    "mastar": lambda f: ("mastar", [mastar(f / "mastar-LOG-8047-9101.fits")], {"frame": "barycentric"}),
    "mwm star, boss": lambda f: ("sdss5_boss", [mwm(f / "mwmStar-0.5.0-23326.fits")], {}),
    "mwm star, apogee": lambda f: ("sdss5_apogee", [mwm(f / "mwmStar-0.5.0-23326.fits")], {}),
    "mwm visits, apogee": lambda f: ("sdss5_apogee", [mwm(f / "mwmVisit-0.5.0-23326.fits", 3)], {}),
    "rvs bulk": lambda f: ("gaia_rvs", [rvs_bulk(f / "RvsMeanSpectrum_000000-003111.csv")], {}),
    "rvs single": lambda f: (
        "gaia_rvs",
        [rvs_single(f / "RVS_MEAN_SPECTRUM-Gaia DR3 5853498713190525696.fits")],
        {},
    ),
}
