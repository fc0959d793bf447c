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
    (4336.7, 4346.7, "core of Hγ"),
    (4857.7, 4867.7, "core of Hβ"),
    (6559.6, 6569.6, "core of Hα"),
)
"""Cores of Balmer lines in vacuum Å, which follow the temperature before any abundance."""

STRONG: tuple[Band, ...] = (
    (3931.8, 3937.8, "core of Ca II K"),
    (3966.6, 3974.2, "core of Ca II H, Hε"),
    (4099.9, 4105.9, "core of Hδ"),
    (4226.4, 4229.4, "core of Ca I 4227"),
    (4290.0, 4316.0, "CH G band"),
    (5164.0, 5187.0, "Mg b and MgH"),
    (5889.6, 5893.6, "core of Na D₂"),
    (5895.6, 5899.6, "core of Na D₁"),
    (8498.4, 8502.4, "core of Ca II 8500"),
    (8541.4, 8547.4, "core of Ca II 8544"),
    (8661.5, 8667.5, "core of Ca II 8664"),
    (4142.0, 4218.0, "CN 4216 band"),
    (4665.0, 4740.0, "C₂ Swan 4737 band"),
    (4956.0, 4966.0, "TiO 4956 band head"),
    (5449.0, 5459.0, "TiO 5449 band head"),
    (5848.0, 5858.0, "TiO 5848 band head"),
    (6160.0, 6170.0, "TiO 6160 band head"),
    (6653.0, 6663.0, "TiO 6653 band head"),
    (7056.0, 7066.0, "TiO 7056 band head"),
)
"""Strong lines and band heads in vacuum Å: formed so high, or blended so much, that no abundance explains what theory
misses in them."""

FOREIGN = 10.0
"""How many times more probable than elsewhere it is in such a band that a line is no element's."""


def band_of(wavelength: float) -> str:
    """The band in which a line lies, vacuum Å; empty for none."""
    return next(
        (
            name
            for low, high, name in (*TELLURIC, *INTERSTELLAR, *HYDROGEN, *STRONG)
            if low <= wavelength <= high
        ),
        "",
    )


def is_foreign(band: str) -> bool:
    """Whether a band is not the stars'."""
    return any(band == name for _, _, name in (*TELLURIC, *INTERSTELLAR))


def is_telluric(band: str) -> bool:
    """Whether a band is the Earth's atmosphere's."""
    return any(band == name for _, _, name in TELLURIC)
