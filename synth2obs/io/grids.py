"""Theoretical grids: raw synthetic spectra, broadened onto the grid that the decoder learns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import ndtr

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import log_grid, sigma_of_resolving_power
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.shard.layout import open_shard

Array = NDArray[np.float64]
REACH = 7.0
"""Half-width of the line spread in sigma; what lies beyond is below 1e-11."""

BLOCK = 16
RAW_DATASETS = ("wavelength", "flux", "labels", "label_names", "index")


@dataclass(frozen=True)
class RawGrid:
    """A raw synthetic grid on disk; flux is read in blocks.

    Args:
        path: Its HDF5 file.
        wavelength: Vacuum Å, shape (L,).
        labels: Columns of shape (N,), in the order of the file.
        index: Number of each spectrum in its list of labels, shape (N,).
        attributes: Engine, atmospheres, line list, solar scale.
    """

    path: Path
    wavelength: Array
    labels: dict[str, Array]
    index: NDArray[np.int64]
    attributes: dict[str, str]

    def __len__(self) -> int:
        """Number of spectra."""
        return len(self.index)

    def blocks(self, size: int = BLOCK) -> Iterator[Array]:
        """Flux of consecutive spectra, shape (<= size, L), continuum-normalised.

        Raises:
            DataError: If the file is damaged.
        """
        with open_shard(self.path) as file:
            for start in range(0, len(self), size):
                yield file["flux"][start : start + size].astype(np.float64)


def read_raw_grid(path: str | Path) -> RawGrid:
    """Open a raw grid: datasets wavelength, flux, labels, label_names, index; attribute medium.

    Raises:
        DataError: If it cannot be read, lacks a dataset, has shapes that differ, or states no medium.
    """
    path = Path(path)
    with open_shard(path) as file:
        for name in RAW_DATASETS:
            if name not in file:
                raise DataError(
                    "is missing", path=path, field=name, remedy="give a raw grid of synthetic spectra"
                )
        attributes = {key: str(value) for key, value in file.attrs.items()}
        names = [_text(name) for name in file["label_names"][:]]
        table, index = file["labels"][:].astype(np.float64), file["index"][:].astype(np.int64)
        wavelength = _vacuum(file["wavelength"][:], attributes.get("medium"), path)
        expected = (len(index), len(wavelength)), (len(index), len(names))
        if (file["flux"].shape, table.shape) != expected:
            raise DataError(
                f"flux {file['flux'].shape} and labels {table.shape} must have shapes {expected}",
                path=path,
                field="flux",
                remedy="build the raw grid again",
            )
    return RawGrid(path, wavelength, dict(zip(names, table.T, strict=True)), index, attributes)


def broaden_grid(raw: RawGrid, *, start: float, stop: float, resolving_power: float, step: float) -> Spectra:
    """Spectra of a raw grid at constant resolving power, on a uniform grid in ln λ.

    Args:
        raw: Open raw grid.
        start: Lower end in vacuum Å.
        stop: Upper end in vacuum Å.
        resolving_power: λ / FWHM of the result, its pixels included.
        step: Spacing in ln λ; at least two pixels per FWHM.

    Returns:
        A grid of spectra, flux float32.

    Raises:
        DataError: If the raw spectra do not reach far enough beyond ``start`` and ``stop``.
        ValueError: If there are fewer than two pixels per FWHM.
    """
    if not step * resolving_power <= 0.5:
        raise ValueError(f"step must be <= {0.5 / resolving_power:.3g} (two pixels per FWHM), got {step}")
    wavelength = log_grid(start, stop, step)
    matrix = broadening_matrix(raw.wavelength, wavelength, resolving_power, step).T.tocsc()
    flux = np.concatenate([(block @ matrix).astype(np.float32) for block in raw.blocks()])
    stars = len(raw)
    return Spectra(
        domain=raw.path.stem,
        kind="grid",
        wavelength=wavelength,
        segment=np.zeros(len(wavelength), dtype=np.int16),
        flux=flux,
        ivar=None,
        id=np.array([f"{raw.path.stem}_{number:05d}" for number in raw.index]),
        line_spread=LineSpread.gaussian(sigma_of_resolving_power(wavelength, resolving_power), stars=stars),
        rv=np.zeros(stars),
        rv_error=np.zeros(stars),
        snr=np.full(stars, np.nan),
        labels=raw.labels,
        frame="rest",
        flux_kind="normalized",
        air_formula=AIR_FORMULA if raw.attributes.get("medium") == "air" else "",
        provenance=_provenance(raw, resolving_power, step),
    )


def broadening_matrix(raw: Array, wavelength: Array, resolving_power: float, step: float) -> csr_array:
    r"""Weights that broaden raw samples and integrate them over pixels, shape (P, L), rows sum to one.

    Raw samples are values at points in :math:`x = \ln λ`, dense against the line spread. The mean over output
    pixel :math:`[a, b]` of their convolution with a Gaussian of width s is

    .. math:: W_{ij} = \frac{Δx_j}{b - a} \left[ Φ\!\left(\tfrac{b - x_j}{s}\right)
              - Φ\!\left(\tfrac{a - x_j}{s}\right) \right].

    The pixel's own variance, step²/12, counts towards the resolving power.

    Args:
        raw: Vacuum Å of the raw samples, increasing, shape (L,).
        wavelength: Vacuum Å of the pixels, uniform in ln λ, shape (P,).
        resolving_power: λ / FWHM.
        step: Spacing of ``wavelength`` in ln λ.

    Raises:
        DataError: If a pixel's line spread reaches beyond the raw samples.
    """
    width = np.sqrt((1.0 / resolving_power / FWHM_PER_SIGMA) ** 2 - step**2 / 12.0)
    x, centre = np.log(raw), np.log(wavelength)
    reach = REACH * width + 0.5 * step
    if centre[0] - reach < x[0] or centre[-1] + reach > x[-1]:
        raise DataError(
            f"range {wavelength[0]:.2f} to {wavelength[-1]:.2f} Å needs spectra beyond its ends",
            field="wavelength",
            remedy=f"stay within {np.exp(x[0] + reach):.2f} to {np.exp(x[-1] - reach):.2f} Å (vacuum)",
        )
    first, last = np.searchsorted(x, centre - reach), np.searchsorted(x, centre + reach)
    spans = [slice(i, j) for i, j in zip(first, last, strict=True)]
    spacing = np.gradient(x)
    rows = [_weights(x[s] - c, spacing[s], width, step) for s, c in zip(spans, centre, strict=True)]
    columns = np.concatenate([np.arange(s.start, s.stop) for s in spans])
    pointer = np.concatenate([[0], np.cumsum(last - first)])
    return csr_array((np.concatenate(rows), columns, pointer), shape=(len(wavelength), len(raw)))


def _weights(offset: Array, spacing: Array, width: float, step: float) -> Array:
    """Weight of each raw sample, given its distance from the pixel's centre in ln λ."""
    weights = spacing * (ndtr((0.5 * step - offset) / width) - ndtr((-0.5 * step - offset) / width))
    return weights / weights.sum()


def _vacuum(wavelength: Array, medium: str | None, path: Path) -> Array:
    if medium == "air":
        return air_to_vacuum(wavelength)
    if medium == "vacuum":
        return np.asarray(wavelength, dtype=np.float64)
    raise DataError(
        f"must say air or vacuum, got {medium!r}",
        path=path,
        field="medium",
        remedy="set the attribute: a medium is never guessed",
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _provenance(raw: RawGrid, resolving_power: float, step: float) -> dict[str, Any]:
    return {
        "title": raw.attributes.get("title", raw.path.stem),
        "theory": {key: value for key, value in raw.attributes.items() if key != "title"},
        "sources": {"files": 1, "name": raw.path.name, "sha256": file_sha256(raw.path)},
        "broadening": f"Gaussian in ln wavelength to R = {resolving_power:g}, the pixels' width included; "
        f"exact integration over pixels of {step:.6g} in ln wavelength",
    }
