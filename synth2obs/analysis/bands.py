"""Wavelengths at which a line of the gap may not be a star's, or follows the temperature before any abundance."""

Band = tuple[float, float, str]

TELLURIC: tuple[Band, ...] = (
    (6276.0, 6322.0, "telluric O₂ γ"),
    (6867.0, 6946.0, "telluric O₂ B"),
    (7160.0, 7342.0, "telluric H₂O"),
    (7593.0, 7700.0, "telluric O₂ A"),
    (8127.0, 8352.0, "telluric H₂O"),
    (8930.0, 9820.0, "telluric H₂O"),
)
"""Bands of the Earth's atmosphere in vacuum Å (Hinkle et al. 2003, BAAS 35, 1260)."""

INTERSTELLAR: tuple[Band, ...] = (
    (3933.8, 3935.8, "interstellar Ca II K"),
    (3968.6, 3970.6, "interstellar Ca II H"),
    (5780.6, 5783.6, "diffuse band 5780"),
    (5797.7, 5799.7, "diffuse band 5797"),
    (5890.4, 5892.8, "interstellar Na D"),
    (5896.4, 5898.8, "interstellar Na D"),
    (6614.2, 6616.7, "diffuse band 6614"),
    (7700.1, 7702.1, "interstellar K I"),
)
"""Of the interstellar medium in vacuum Å: lines, ±50 km/s, and the strongest diffuse bands (Hobbs et al. 2008, ApJ 680,
1256)."""

HYDROGEN: tuple[Band, ...] = (
    (4336.7, 4346.7, "Hγ"),
    (4857.7, 4867.7, "Hβ"),
    (6559.6, 6569.6, "Hα"),
)
"""Cores of Balmer lines in vacuum Å, which follow the temperature before any abundance."""

FOREIGN = 10.0
"""How many times more probable than elsewhere it is in such a band that a line is no element's."""


def band_of(wavelength: float) -> str:
    """The band in which a line lies, vacuum Å; empty for none."""
    return next(
        (name for low, high, name in (*TELLURIC, *INTERSTELLAR, *HYDROGEN) if low <= wavelength <= high), ""
    )


def is_foreign(band: str) -> bool:
    """Whether a band is not the stars'."""
    return any(band == name for _, _, name in (*TELLURIC, *INTERSTELLAR))
