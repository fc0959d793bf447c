"""The public functions: spectra in any common form in, tables and arrays out.

What only some of them need is imported by these: whoever morphs labels loads no fit, no reader and no report.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.morph_labels import as_mapping, morph_labels, refuse_both, require_pixels
from synth2obs.core.files import as_path
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import load_bundle

if TYPE_CHECKING:
    from synth2obs.analysis.batches import Batches
    from synth2obs.analysis.decoded import Decoded
    from synth2obs.analysis.labels import Latents
    from synth2obs.analysis.latent_lines import LatentLines
    from synth2obs.analysis.remeasure import GapMeasurement
    from synth2obs.analysis.survey_population import SurveyPopulation
    from synth2obs.core.spectra import Spectra
    from synth2obs.io.ingest.summary import Summary as IngestSummary
    from synth2obs.io.instruments.described import InstrumentDescription
    from synth2obs.training.config import TrainConfig

ADDRESSES = ("models:/", "runs:/", "mlflow-artifacts:/")


def load_bridge(where: str | Path, store: str | Path | None = None) -> Bridge:
    """A trained bridge.

    Args:
        where: The folder of a bundle, or an MLflow address such as ``models:/optical@champion``.
        store: Folder of ``mlflow.db`` for an address; by default the environment's ``MLFLOW_TRACKING_URI``.

    Raises:
        DataError: For what is no path.
        ModelError: If nothing is there, or it is damaged.
    """
    return load_bundle(bundle_of(where, store))


def bundle_of(where: str | Path, store: str | Path | None = None) -> Path:
    """Folder of a bundle that is named by itself, by a run's folder, or by an MLflow address; as for `load_bridge`.

    Raises:
        ModelError: If nothing is at the address.
    """
    if str(where).startswith(ADDRESSES):
        from synth2obs.training.tracking.fetch import fetch_bundle

        return fetch_bundle(str(where), store)
    folder = as_path("where", where)
    inner = folder / "bridge"
    return inner if inner.is_dir() else folder


def morph(
    bridge: Bridge,
    *,
    survey: str = "",
    labels: Any = None,
    spectrum: Any = None,
    instrument: Any = None,
    rv: ArrayLike | None = None,
    vsini: ArrayLike = 0.0,
    vmac: ArrayLike = 0.0,
    source: str | None = None,
    medium: str = "",
    force: bool = False,
) -> Morphed:
    """What a survey sees, or an instrument would see, of a star; batched.

    Args:
        bridge: Trained.
        survey: Whose native pixels are wanted; with an instrument, whose morph and gap are carried over to it.
        labels: Name → value or values, e.g. ``{"teff": 5777, "logg": 4.44, "fe_h": 0.0}``, or a pandas DataFrame or
            astropy Table with a row per star, such as `fit_labels` gives. A label outside the grid is answered and
            flagged.
        spectrum: Spectra of ``source``: a shard's path, `Spectra`, or specutils spectra.
        instrument: Whose native pixels are wanted instead, for labels: a name of `instruments`, the path of a
            description of your own (``mine.toml``), or what `instrument` gives. Without ``survey``, ``flux`` is theory
            as the instrument would see it, and ``gap`` is NaN. With it, ``flux``, ``gap`` and ``gap_error`` are NaN
            where the survey has no pixels or is less sharp than the instrument: a gap cannot be sharpened.
            ``flux_theory`` is NaN where theory does not reach or is less sharp.
        rv: km/s, positive receding; 0 for labels, the spectrum's own velocity for spectra, if left out.
        vsini: Projected rotation in km/s, one value or one per star; for labels.
        vmac: Radial–tangential macroturbulence ζ in km/s, likewise.
        source: Survey of the spectrum; ``survey`` if left out.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        force: Take a spectrum even if its domain, wavelengths or line spread are not those of its survey.

    Raises:
        ConfigError: For a description of an instrument that cannot be used.
        DataError: If both or neither of labels and spectrum are given, or a value is not usable; for an unknown
            instrument, or one that reaches neither theory's wavelengths nor its width anywhere.
        ModelError: For an unknown survey.
    """
    refuse_both(labels, spectrum, vsini, vmac)
    require_pixels(survey, instrument)
    if instrument is not None:
        from synth2obs.analysis.through_instrument import morph_through, refuse_spectrum

        refuse_spectrum(spectrum, source)
        speeds = 0.0 if rv is None else rv, vsini, vmac
        return morph_through(bridge, as_mapping(bridge, labels), instrument, survey, *speeds)
    if labels is not None:
        return morph_labels(
            bridge, as_mapping(bridge, labels), survey, 0.0 if rv is None else rv, vsini, vmac
        )
    from synth2obs.analysis.observed import as_spectra
    from synth2obs.analysis.telescopes import morph_spectra

    own = source or survey
    return morph_spectra(bridge, as_spectra(bridge, spectrum, own, medium, force=force), own, survey, rv)


def morph_batches(
    bridge: Bridge,
    *,
    survey: str = "",
    labels: Any = None,
    spectrum: Any = None,
    instrument: Any = None,
    rv: ArrayLike | None = None,
    vsini: ArrayLike = 0.0,
    vmac: ArrayLike = 0.0,
    source: str | None = None,
    medium: str = "",
    force: bool = False,
    batch: int = 1024,
) -> "Batches":
    """As `morph`, some stars at a time, for more stars than fit into memory.

    From labels, the numbers are those of `morph` to the bit. Of a shard, rows are read as they are needed, and pixels
    beyond the survey's range are left out batch by batch.

    Args:
        bridge, survey, labels, spectrum, instrument, rv, vsini, vmac, source, medium, force: As for `morph`.
        batch: Most stars at a time, at least 64; it becomes a multiple of 64.

    Returns:
        An iterator over `Morphed`, with its number of stars as length; ``write(path)`` writes what is left of it to
        one HDF5 file.

    Raises:
        ConfigError: As `morph`.
        DataError: As `morph`, and for a batch that is no whole number of at least 64.
        ModelError: For an unknown survey.
    """
    from synth2obs.analysis.batches import batches_of

    given: dict[str, Any] = {
        "instrument": instrument,
        "rv": rv,
        "vsini": vsini,
        "vmac": vmac,
        "source": source,
        "medium": medium,
        "force": force,
    }
    return batches_of(bridge, survey, labels, spectrum, batch, **given)


def instruments() -> Any:
    """The instruments that come with the package, for which `morph` needs no survey and no star.

    Returns:
        An `astropy.table.Table` with a row each: name, title, wavelength (ranges in vacuum Å, text), pixels,
        resolving_power (λ / FWHM, text), medium (of the description), source, and what was assumed beyond it.
    """
    from synth2obs.io.instruments.named import overview

    return overview()


def instrument(name: "str | Path | InstrumentDescription") -> "InstrumentDescription":
    """Pixels and line spread of an instrument.

    Args:
        name: One of `instruments`, or the path of a description of your own, ``mine.toml``.

    Returns:
        `InstrumentDescription`: ``wavelength`` (P,) in vacuum Å, ``segment`` (P,), ``line_spread``,
        ``resolving_power`` (P,), ``source``, ``assumed``.

    Raises:
        ConfigError: For a file that cannot be read, an unknown key, or a value that cannot be: its name, the key and
            what was found are in the message.
        DataError: For an unknown name.
    """
    from synth2obs.io.instruments.named import named

    return named(name)


def generate(bridge: Bridge, survey: str, count: int, seed: int = 0, rv: ArrayLike = 0.0) -> Morphed:
    """Spectra as they are typical of a survey's stars, drawn from the density of its latents.

    They have no noise and no labels, and are no star's: for mock catalogues and for trying out code.

    Args:
        bridge: Trained.
        survey: Whose stars.
        count: How many spectra.
        seed: The same seed and count give the same spectra.
        rv: km/s, positive receding, one value or one per spectrum.

    Returns:
        As `morph`; bit 32 of ``flags`` says that a draw lies beyond 99 % of the grid's population.

    Raises:
        DataError: For a count, seed or velocity that cannot be used.
        ModelError: For an unknown survey.
    """
    from synth2obs.analysis.generate import generated

    return generated(bridge, survey, count, seed, rv)


def decode(
    bridge: Bridge, latent: Any, survey: str | None = None, *, rv: ArrayLike | None = None
) -> "Decoded":
    """Flux of latents: theory's in the rest frame, or a survey's on its native pixels.

    Args:
        bridge: Trained.
        latent: Shape (N, D) or (D,), or what `encode` gives. Of the survey's latent space, as `encode` has them, if a
            survey is named; else of theory's, as ``Morphed.latent``.
        survey: On whose native pixels, with its gap; left out, theory in the rest frame at the grid's resolution.
        rv: km/s, positive receding, one value or one per latent; 0, or that of `encode`, if left out.

    Raises:
        DataError: For latents of another length or that are not finite, or a velocity without a survey.
        ModelError: For an unknown survey.
    """
    from synth2obs.analysis.decoded import decoded

    return decoded(bridge, latent, survey, rv)


def latent_lines(bridge: Bridge, lines: int = 5) -> "LatentLines":
    """Which latent moves which lines, and which labels and elements it follows.

    Args:
        bridge: Trained.
        lines: Strongest lines of each latent.

    Returns:
        `LatentLines`: ``response`` (∂flux/∂latent), ``lines``, ``correlation`` with the grid's labels,
        ``partial_r2`` with [X/Fe] at fixed Teff, log g and [Fe/H], ``element_r2``; ``table()`` and ``plot(latent)``.
    """
    from synth2obs.analysis.latent_lines import latent_lines as found

    return found(bridge, lines)


def encode(bridge: Bridge, spectra: Any, survey: str, *, medium: str = "", force: bool = False) -> "Latents":
    """Latent mean and covariance, velocity and χ² of observed spectra; arguments as for `fit_labels`."""
    from synth2obs.analysis.labels import latents_of
    from synth2obs.analysis.observed import as_spectra

    return latents_of(bridge, as_spectra(bridge, spectra, survey, medium, force=force), survey)


def fit_labels(
    bridge: Bridge,
    spectra: Any,
    survey: str,
    *,
    medium: str = "",
    population: bool = True,
    vsini: ArrayLike | None = None,
    lsf: ArrayLike | None = None,
    vmac: float = 0.0,
    priors: Any = None,
    force: bool = False,
) -> Any:
    """Labels with errors of observed spectra, fitted through the survey's morph and gap.

    Args:
        bridge: Trained.
        spectra: A shard's path (or ``embedded:miles``), `Spectra`, or specutils spectra.
        survey: By which survey they were observed.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        population: Use the stellar-evolution prior.
        vsini: Projected rotation in km/s, known and held, one value or one per star; ``"fit"`` looks for it between
            0 and 400 km/s. Left out, no star rotates.
        lsf: Factor on the survey's σ, on top of the one that the bridge learned for the survey, known and held (0.5 to
            2), one value or one per star; ``"fit"`` looks for it between 0.74 and 1.35, which rotation must not be
            as well. Left out, every star has the survey's own line spread.
        vmac: Radial–tangential macroturbulence ζ in km/s of all stars, held.
        force: Fit them even if their domain, wavelengths or line spread are not the survey's.
        priors: What is known from elsewhere, with errors: a mapping or table of ``teff`` and ``teff_error``, ``logg``
            and ``logg_error``, and so on, NaN where a star has none. A table with a column ``id`` need not have every
            star, nor their order; without, it has a row per spectrum.

    Returns:
        An `astropy.table.Table`: id; every label with its error, its unit and the bits that the spectrum tells of it;
        rv, chi2, pixels, flags (bits explained in ``table.meta["flags"]``); vsini or lsf_scale
        with its error (0 if given) only if it was given or fitted.

    Raises:
        DataError: For spectra, priors, a vsini, an lsf or a vmac that cannot be used.
    """
    from synth2obs.analysis.labels import label_table, labels_of
    from synth2obs.analysis.observed import as_spectra
    from synth2obs.models.priors.by_star import by_star

    given = as_spectra(bridge, spectra, survey, medium, force=force)
    known = None if priors is None else by_star(priors, given.id)
    found = labels_of(
        bridge, given, survey, population=population, vsini=vsini, lsf=lsf, vmac=vmac, priors=known
    )
    return label_table(found)


def survey_population(
    bridge: Bridge, spectra: Any, survey: str, *, seed: int = 0, medium: str = "", force: bool = False
) -> "SurveyPopulation":
    """Which stars a survey has: the density of their Teff, log g and [Fe/H], with the errors of the fits taken out.

    A histogram of fitted labels is wider than the stars are, by their errors. Here labels are fitted under a flat prior
    in these three, and the density learned under which all spectra are most probable (Hogg, Myers & Bovy 2010, ApJ 725,
    2166): a normal distribution, or a normalizing flow where stars kept aside speak for it.

    Args:
        bridge: Trained.
        spectra: At least ten stars inside the grid; a shard, a table of spectra or `specutils` spectra.
        survey: By which survey they were observed.
        seed: Of draws and first weights.
        medium: Of wavelengths that do not say so, ``air`` or ``vacuum``.
        force: As for `fit_labels`.

    Returns:
        `SurveyPopulation`, with ``sample``, whose draws `morph` takes as labels, ``log_prob``, and ``grid_spectra``:
        how many spectra the grid is worth when they are weighted to this population.

    Raises:
        DataError: For too few stars, or spectra that cannot be used.
        ModelError: For an unknown survey.
    """
    from synth2obs.analysis.observed import as_spectra
    from synth2obs.analysis.survey_population import survey_population as learned

    return learned(bridge, as_spectra(bridge, spectra, survey, medium, force=force), survey, seed)


def measure_gap(
    bridge: Bridge, spectra: Any, survey: str, *, medium: str = "", lines: Any = None, force: bool = False
) -> "GapMeasurement":
    """The gap between theory and these spectra, with its posterior and its strongest lines.

    It is measured anew from the given spectra, at the labels that the bridge gives them.

    Args:
        bridge: Trained.
        spectra: As for `fit_labels`.
        survey: By which survey they were observed.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        lines: Line lists whose log gf are to be corrected: the path of a grid's recipe, or `LineListConfig` of
            `synth2obs.synthesis.settings`. They also say which elements have lines where. The corrections are
            ``overlay`` of the result.
        force: As for `fit_labels`.

    Raises:
        DataError: For spectra or line lists that cannot be used.
    """
    from synth2obs.analysis.observed import as_spectra
    from synth2obs.analysis.remeasure import remeasure

    listed = None
    if lines is not None:
        from synth2obs.analysis.line_overlay.listed import listed_of

        listed = listed_of(lines)
    return remeasure(bridge, as_spectra(bridge, spectra, survey, medium, force=force), survey, listed=listed)


def calibration_report(
    bridge: Bridge,
    spectra: Any,
    survey: str,
    out: str | Path,
    *,
    medium: str = "",
    trained: str = "leave out",
    force: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Path:
    """One HTML page about a survey's spectra: theory against morph, the gap, labels where the literature has them.

    Baselines but theory need a training and are not on this page; ``synth2obs train`` writes the whole report.

    Args:
        bridge: Trained.
        spectra: As for `fit_labels`.
        survey: By which survey they were observed.
        out: Page to write; ``assets/`` beside it gets what its interactive figures load.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        trained: What becomes of stars that taught the bridge, whose residuals flatter it: ``leave out``, or ``keep``,
            and the page says so.
        force: As for `fit_labels`.
        say: Told what is being done.

    Raises:
        DataError: For spectra that cannot be used, or if all of them taught the bridge and are left out.
        OutputError: If the page cannot be written.
    """
    from synth2obs.analysis.evaluate import survey_metrics
    from synth2obs.analysis.new_stars import new_stars
    from synth2obs.analysis.observed import as_spectra
    from synth2obs.core.constants import METRICS_FORMAT
    from synth2obs.reports.survey import write_report

    given = as_spectra(bridge, spectra, survey, medium, force=force)
    chosen = new_stars(bridge, given, survey, trained)
    metrics, arrays = survey_metrics(bridge, chosen.spectra, survey, say)
    reasons = {survey: {"anchored_rms": "baselines are measured in training"}}
    run = {"about": chosen.about(bridge, spectra), "config": bridge.card.get("config"), "reasons": reasons}
    whole = {"format": METRICS_FORMAT, "surveys": {survey: metrics}, "run": run}
    return write_report(whole, arrays, survey, Path(out))


def read(shard: str | Path) -> "Spectra":
    """Spectra of a shard, checked: a path, or ``embedded:miles``, ``embedded:stelib``, ``embedded:optical_grid``.

    Raises:
        DataError: If it is missing or not valid.
    """
    from synth2obs.io.embedded import resolve
    from synth2obs.io.shard.read import read_shard

    return read_shard(resolve(shard))


def ingest(survey: str, files: Sequence[str | Path], out: str | Path, **options: Any) -> "IngestSummary":
    """Turn a survey's native files into a checked shard; called again, it goes on where it was.

    Args:
        survey: A name, e.g. ``apogee``, or the path of your own description, ``mine.toml``.
        files: Native files.
        out: Shard to write.
        options: ``parameters`` (a table of literature labels), ``on_error``, ``workers``, and options of the reader;
            see `synth2obs.io.ingest.ingest.ingest`.

    Returns:
        What the shard holds; it prints as some lines.

    Raises:
        DataError: For files that cannot be read.
        OutputError: If the shard cannot be written.
    """
    from synth2obs.io.ingest.ingest import ingest as read_files

    return read_files(survey, files, out, **options)


def train(
    config: "TrainConfig | str | Path | None" = None,
    out: str | Path = "synth2obs-run",
    overrides: Sequence[str] = (),
    *,
    progress: bool = True,
) -> Bridge:
    """Train, evaluate, report and register; called again, it goes on where it was, and only loads what is complete.

    What is being done is logged: ``logging.basicConfig(level="INFO")`` shows it where there is no terminal.

    Args:
        config: Settings, or a TOML of them; those of the quick start if left out.
        out: Folder for everything that is written; ``metrics.json`` and ``report/`` have the numbers.
        overrides: ``section.key=value``, for a TOML.
        progress: Show bars on a terminal.

    Returns:
        The trained bridge, as `load_bridge` gives it.

    Raises:
        ConfigError: For an unknown key or a value out of range.
        DataError: For data that cannot be used.
        OutputError: If the folder cannot be written.
        Interrupted: After Ctrl-C; the same call goes on from there.
    """
    from synth2obs.core.errors import ConfigError
    from synth2obs.training.config import TrainConfig
    from synth2obs.training.run import read_config
    from synth2obs.workflow import run

    if isinstance(config, TrainConfig) and overrides:
        raise ConfigError("overrides are for a TOML; change the settings with config.model_copy(update=…)")
    if not isinstance(config, TrainConfig):
        config = read_config(None if config is None else as_path("config", config), overrides)
    run(config, as_path("out", out), progress=progress)
    return load_bridge(Path(out) / "bridge")


def adapt(
    bridge: str | Path,
    survey: str,
    spectra: str | Path,
    out: str | Path = "synth2obs-adapted",
    overrides: Sequence[str] = (),
    *,
    store: str | Path | None = None,
    progress: bool = True,
) -> Bridge:
    """Add a survey to a trained bridge: its instrument, noise, morph and gap, from its own spectra.

    Theory and the bridge's other surveys stay as they are, to the last bit. Called again, it goes on where it was.

    Args:
        bridge: A run's folder, a bundle, or an MLflow address.
        survey: Name of the new survey.
        spectra: Its shard.
        out: Folder for everything that is written.
        overrides: ``section.key=value`` on the settings with which the bridge was trained.
        store: Folder of ``mlflow.db`` for an address.
        progress: Show bars on a terminal.

    Returns:
        The bridge with all surveys.

    Raises:
        ConfigError: For a name that the bridge has already, or an override that does not fit.
        DataError: For data that cannot be used, or if the grid is not the one that taught the bridge.
        ModelError: If the bridge cannot be read.
        OutputError: If the folder cannot be written.
        Interrupted: After Ctrl-C; the same call goes on from there.
    """
    from synth2obs.training.adapted import adaptation
    from synth2obs.workflow import run

    base = bundle_of(bridge, store)
    run(adaptation(base, survey, spectra, overrides), out, progress=progress, base=base)
    return load_bridge(out)
