"""Records of one survey as a table of spectra."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import ID, Column, Parameters, SurveyReader


def assemble(
    records: Sequence[Record],
    survey: SurveyReader,
    provenance: Mapping[str, Any],
    parameters: Parameters | None = None,
) -> Spectra:
    """A table of at least one record, all with the same pixels in frame, number and detectors.

    Args:
        records: From the survey's reader, checked; ``native`` has at least file and sha256, and object where there is a
            table of labels.
        survey: Whose they are.
        provenance: Sources and whatever else is to be known.
        parameters: Table of labels that replace those of the files, and of facts that these do not have.

    Raises:
        DataError: If there is no record, or two that cannot stand in one shard.
    """
    if not records:
        raise DataError(f"no spectrum of {survey.name} was read", remedy="name at least one file of a star")
    for record in records[1:]:
        _refuse_different(record, records[0], survey.same_pixels)
    first, native = records[0], native_columns(records)
    names = np.array([record.id for record in records])
    flux, ivar = (np.stack([getattr(record, name) for record in records]) for name in ("flux", "ivar"))
    labels, errors = label_columns(records, survey.labels)
    if parameters is not None:
        keys = names if parameters.key == ID else native[parameters.key]
        own, own_errors = parameters.of(keys)
        labels, errors = {**labels, **own}, {**errors, **own_errors}
        native = {**parameters.facts_of(keys), **native}
    return Spectra(
        domain=survey.name,
        kind="survey",
        wavelength=_wavelength(records),
        segment=first.segment,
        flux=flux,
        ivar=ivar,
        flags=None if first.flags is None else np.stack([_flags(record) for record in records]),
        flag_names=survey.flag_names if first.flags is not None else {},
        id=names,
        rv=np.array([record.rv for record in records]),
        rv_error=np.array([record.rv_error for record in records]),
        line_spread=LineSpread.of_stars([record.line_spread for record in records]),
        snr=median_snr(flux, ivar),
        labels=labels,
        label_errors=errors,
        native=native,
        frame=first.frame,
        flux_kind=first.flux_kind,
        air_formula=first.air_formula,
        provenance=provenance,
    )


def median_snr(flux: NDArray[Any], ivar: NDArray[Any]) -> Column:
    """Median signal to noise per good pixel, shape (N,); NaN for a star without any."""
    result = np.full(len(flux), np.nan)
    for row, (values, weight) in enumerate(zip(flux, ivar, strict=True)):
        good = weight > 0
        if good.any():
            result[row] = max(np.median(values[good].astype(np.float64) * np.sqrt(weight[good])), 0.0)
    return result


def native_columns(records: Sequence[Record]) -> dict[str, NDArray[Any]]:
    """Facts of all records; where one lacks a number it is NaN, where it lacks a text it is empty."""
    names = dict.fromkeys(name for record in records for name in record.native)
    return {name: _fact(name, records) for name in names}


def _fact(name: str, records: Sequence[Record]) -> NDArray[Any]:
    values = [record.native.get(name) for record in records]
    if any(isinstance(value, str) for value in values):
        return np.array(["" if value is None else str(value) for value in values])
    return np.array([np.nan if value is None else float(value) for value in values])


def label_columns(
    records: Sequence[Record], always: Sequence[str]
) -> tuple[dict[str, Column], dict[str, Column]]:
    """Labels and their errors, NaN where a record does not know them."""
    names = dict.fromkeys([*always, *(name for record in records for name in record.labels)])
    errors = dict.fromkeys(name for record in records for name in record.label_errors)
    return (
        {name: np.array([r.labels.get(name, np.nan) for r in records], dtype=float) for name in names},
        {name: np.array([r.label_errors.get(name, np.nan) for r in records], dtype=float) for name in errors},
    )


@dataclass(frozen=True)
class Kind:
    """What spectra of one shard agree in; bytes stand for arrays."""

    frame: str
    flux_kind: str
    air_formula: str
    pixels: int
    flags: bool
    lsf: tuple[tuple[int, ...] | bytes | None, ...]
    segment: bytes
    wavelength: bytes


def kind_of(record: Record, same_pixels: bool) -> Kind:
    """The kind of a record.

    Args:
        record: Any record.
        same_pixels: Whether wavelengths must agree, too.
    """
    spread = record.line_spread
    shapes = tuple(None if a is None else a.shape[1:] for a in (spread.hermite, spread.kernel))
    return Kind(
        record.frame,
        record.flux_kind,
        record.air_formula,
        len(record.wavelength),
        record.flags is not None,
        (*shapes, None if spread.offset is None else spread.offset.tobytes()),
        record.segment.tobytes(),
        record.wavelength.tobytes() if same_pixels else b"",
    )


def difference(one: Kind, other: Kind) -> tuple[str, str] | None:
    """Field in which two kinds differ, and what to say of it with ``{}`` for the other's file; None if they agree."""
    for item in fields(Kind):
        mine, theirs = getattr(one, item.name), getattr(other, item.name)
        if mine == theirs:
            continue
        if item.name in ("lsf", "segment", "wavelength"):
            return item.name, "is not that of {}"
        return item.name, f"{mine}, but {{}} has {theirs}"
    return None


def _refuse_different(record: Record, first: Record, same_pixels: bool) -> None:
    found = difference(kind_of(record, same_pixels), kind_of(first, same_pixels))
    if found is not None:
        _refuse(record, first, *found)


def _refuse(record: Record, first: Record, name: str, message: str) -> None:
    raise DataError(
        message.format(first.native["file"]),
        path=str(record.native["file"]),
        field=name,
        remedy="ingest files of one kind and release at a time",
    )


def _wavelength(records: Sequence[Record]) -> NDArray[Any]:
    first = records[0].wavelength
    if all(np.array_equal(record.wavelength, first) for record in records[1:]):
        return first
    return np.stack([record.wavelength for record in records])


def _flags(record: Record) -> NDArray[np.uint32]:
    assert record.flags is not None
    return record.flags
