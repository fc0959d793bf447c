"""How far the libraries of the recipe lie apart: Teff of giants and dwarfs at equal [Fe/H], age and log g."""

import tomllib
from importlib.resources import files
from pathlib import Path

import numpy as np
from isochrones import Library

CASES = {"giants": (10.0, (1.0, 1.5, 2.0, 2.5, 3.0)), "dwarfs": (5.0, (4.55, 4.6, 4.65, 4.7))}


def teff_at(library: Library, m_h: float, gyr: float, logg: float, giant: bool) -> float:
    """Teff in K where one isochrone first reaches a log g: along the giant branch, or along the dwarfs."""
    points = library.at(m_h)
    if points is None:
        return float("nan")
    track = points[int(np.abs(library.age - gyr).argmin())]
    track = track[np.isfinite(track).all(axis=1) & (track[:, 2] > 0.3)]
    hottest = int(np.where(track[:, 1] > 3.6, track[:, 0], 0.0).argmax())
    branch = track[hottest:] if giant else track[: hottest + 1]
    below = np.flatnonzero(branch[:, 1] <= logg)
    if not len(below) or below[0] == 0:
        return float("nan")
    end = int(below[0])
    return float(np.interp(-logg, -branch[end - 1 : end + 1, 1], branch[end - 1 : end + 1, 0]))


def main() -> None:
    """Print Teff of every library and the range among them."""
    recipe = tomllib.loads((Path(__file__).parent / "recipe.toml").read_text())
    folder = Path(str(files("lachesis_grids"))) / "grids"
    libraries = [
        Library.read(
            e["name"], folder / e["file"], e["sha256"], e.get("last_phase"), recipe["population"]["age_gyr"]
        )
        for e in recipe["library"]
    ]
    print("case [Fe/H] log g |", " ".join(library.name for library in libraries), "| range (K)")
    for case, (gyr, gravities) in CASES.items():
        for m_h in (-2.0, -1.0, 0.0, 0.25):
            for logg in gravities:
                values = np.array(
                    [teff_at(library, m_h, gyr, logg, case != "dwarfs") for library in libraries]
                )
                shown = " ".join(f"{v:6.0f}" for v in values)
                print(
                    f"{case:9s} {m_h:+.2f} {logg:4.2f} | {shown} | "
                    f"{np.nanmax(values) - np.nanmin(values):5.0f}"
                )


if __name__ == "__main__":
    main()
