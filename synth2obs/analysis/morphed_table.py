"""Morphed spectra as a table, to be written."""

from typing import Any

from synth2obs.analysis.flags import meaning
from synth2obs.analysis.morph import Morphed
from synth2obs.io.tables import as_table


def spectrum_table(morphed: Morphed) -> Any:
    """Morphed spectra as an `astropy.table.Table`, one row a pixel; every star has its columns."""
    columns = {"wavelength": morphed.wavelength}
    translated = ("source_error",) * (morphed.source_variance is not None)
    for name in ("flux", "flux_theory", "gap", "gap_error", "emulator_error", *translated):
        rows = getattr(morphed, name)
        columns |= {name if len(rows) == 1 else f"{name}_{row}": values for row, values in enumerate(rows)}
    about: dict[str, Any] = {
        **morphed.about(),
        "flags": [int(flag) for flag in morphed.flags],
        "meaning": meaning(),
    }
    if morphed.labels:
        about["labels"] = {name: values.tolist() for name, values in morphed.labels.items()}
    return as_table(columns, {"wavelength": "Angstrom"}, **about)
