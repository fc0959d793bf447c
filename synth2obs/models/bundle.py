"""A bridge on disk: weights, settings and card in one file that is checked when it is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from synth2obs.core.constants import BUNDLE_FORMAT
from synth2obs.core.errors import ModelError
from synth2obs.core.labels import LabelSpace
from synth2obs.core.line_spread import LineSpread
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.settings import DensityConfig
from synth2obs.models.bridge import Bridge
from synth2obs.models.checkpoint import load_tensors, save_tensors
from synth2obs.models.contracts import Emulator
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator import EMULATORS
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.noise.survey_noise import SurveyNoise
from synth2obs.models.priors.population import Population
from synth2obs.models.survey import LSF_SHAPE, SurveyConfig, SurveyModel

WEIGHTS = "bridge.safetensors"
FINGERPRINT_TOLERANCE = 1e-4
RANGES = ("lower", "upper", "default")


def save_bundle(bridge: Bridge, folder: str | Path) -> Path:
    """Write a bundle: weights, settings, label ranges, card and fingerprint. Atomic; no pickle.

    Raises:
        OutputError: If it cannot be written.
    """
    target = Path(folder)
    meta = {
        "format": BUNDLE_FORMAT,
        "labels": {
            "names": list(bridge.labels.names),
            **{key: getattr(bridge.labels, key).tolist() for key in RANGES},
        },
        "decoder": bridge.decoder.sizes,
        "finer": {name: own.sizes for name, own in bridge.layers.items() if name},
        "emulator": {"spectra": bridge.emulator.spectra, "config": bridge.emulator.config.model_dump()},
        "density": bridge.density.config.model_dump(),
        "surveys": {name: bridge.survey(name).config.model_dump() for name in bridge.surveys},
        "order": list(bridge.surveys),
        "population": bridge.population is not None,
        "card": bridge.card,
        "fingerprint": fingerprint(bridge),
    }
    tensors = {k: v for k, v in bridge.state_dict().items() if not k.startswith("population.")}
    save_tensors(target / WEIGHTS, tensors, meta)
    return target


def fingerprint(bridge: Bridge) -> dict[str, list[float]]:
    """Flux of the default labels at a few pixels of every survey: checked when a bundle is loaded."""
    chosen = {}
    for name in bridge.surveys:
        flux = bridge.predict(bridge.labels.default[None], name)[0]
        chosen[name] = [float(value) for value in np.nan_to_num(flux)[:: max(1, len(flux) // 8)]]
    return chosen


def load_bundle(folder: str | Path) -> Bridge:
    """Read a bundle.

    Raises:
        ModelError: If it is damaged, of another format, or does not reproduce its fingerprint.
    """
    path = Path(folder) / WEIGHTS
    if not path.exists():
        raise ModelError(f"{path}: no such file; give the folder that a bridge was saved in")
    tensors, meta = load_tensors(path)
    if meta.get("format") != BUNDLE_FORMAT:
        raise ModelError(
            f"{path}: format {meta.get('format')!r}, expected {BUNDLE_FORMAT!r}; train or convert it again"
        )
    try:
        bridge = _filled(tensors, meta)
        _check_fingerprint(bridge, path, meta["fingerprint"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: incomplete bundle ({error!r}); save or train it again") from error
    return bridge


def _filled(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Bridge:
    bridge = _empty(tensors, meta)
    missing, unexpected = bridge.load_state_dict(_with_noise(tensors, meta["order"]), strict=False)
    lost = [name for name in missing if not name.startswith("population.") and not _may_lack(name)]
    if lost or unexpected:
        raise KeyError(*lost, *unexpected)
    bridge.eval()
    return bridge


def _may_lack(name: str) -> bool:
    """Whether a bundle may lack a tensor: what is not there is nothing, or for a gap's features all."""
    later = (".noise.scale", ".noise.floor", ".noise.repeated")
    return any(part in name for part in (".label_map.", ".distortion.", ".shift", ".gap.used", *later))


def _with_noise(tensors: Mapping[str, Tensor], surveys: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of a bundle whose weights were the scatter, or that had one number for the correlation of residuals."""
    whole = dict(tensors)
    for name in surveys:
        whole.setdefault(f"models.{name}.unexplained", whole[f"models.{name}.gap.scatter"])
        pixels = whole.pop(f"models.{name}.correlation", None)
        if pixels is not None:
            own = {**SurveyNoise().state_dict(), "narrow": pixels}
            whole |= {f"models.{name}.noise.{key}": value for key, value in own.items()}
    return whole


def _empty(tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> Bridge:
    ranges = {key: np.asarray(meta["labels"][key]) for key in RANGES}
    space = LabelSpace(tuple(meta["labels"]["names"]), **ranges)
    decoder = _decoder("decoder", tensors, meta["decoder"])
    finer = {name: _decoder(f"finer.{name}", tensors, own) for name, own in meta.get("finer", {}).items()}
    return Bridge(
        space,
        decoder,
        _emulator(meta["emulator"], len(space), decoder.latent),
        LabelScale(space),
        {name: _survey(name, tensors, meta["surveys"][name]) for name in meta["order"]},
        Population.load() if meta["population"] else None,
        meta["card"],
        FlowDensity(decoder.latent, DensityConfig(**meta["density"])).double(),
        finer,
    )


def _decoder(prefix: str, tensors: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Decoder:
    return Decoder(tensors[f"{prefix}.rest_wavelength"], tensors[f"{prefix}.rest_sigma"], **sizes)


def _emulator(meta: Mapping[str, Any], labels: int, latent: int) -> Emulator:
    kind = EMULATORS[meta["config"]["name"]]
    return kind(labels, latent, meta["spectra"], kind.Config(**meta["config"]))


def _survey(name: str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> SurveyModel:
    own = f"models.{name}"
    wavelength, segment, sigma = (tensors[f"{own}.{key}"] for key in ("wavelength", "segment", "lsf_sigma"))
    shape: dict[str, Any] = {key.removeprefix("lsf_"): tensors.get(f"{own}.{key}") for key in LSF_SHAPE}
    return SurveyModel(SurveyConfig(**config), wavelength, segment, LineSpread.single(sigma, **shape))


def _check_fingerprint(bridge: Bridge, path: Path, expected: Mapping[str, list[float]]) -> None:
    for name, values in fingerprint(bridge).items():
        difference = np.abs(np.subtract(values, expected[name])).max()
        if not difference < FINGERPRINT_TOLERANCE:
            raise ModelError(
                f"{path}: {name} spectra differ from the saved fingerprint by {difference:.1e}; "
                "the file or the installed versions changed since it was written"
            )
