"""How much a gap's own error scatters labels, by the number of functions of labels that it has.

    python experiments/07_proof/blur.py BRIDGE

For each survey and each size of its gap: fall of −ln likelihood per pixel of stars that train nothing, from that by
weighted theory, and the scatter that the gap's error gives Teff, log g, [Fe/H] or vmic, whichever is largest, in the
error that a fit quotes. No label but fitted ones is looked at.
"""

import torch
from real import cells, surveys

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.baselines import lesson
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.features import blur_by_gap, by_gap
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.fit.surprise import fitted_anew, surprise
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.domains import SurveyData


@torch.no_grad()
def table(bridge: Bridge, survey: str, data: SurveyData) -> None:
    """Print one survey's."""
    train, held = (
        prepare(bridge, survey, data.spectra.take(data.rows(part)))
        for part in ("train", "validation" if len(data.rows("validation")) else "test")
    )
    fit = fit_labels(bridge, train, Options(morphed=False))
    first = lesson(bridge, train, StarLabels(fit.x, fit.rv, fit.chi2_per_pixel))
    trial = with_survey(bridge, survey, bare(first.model, "quadratic"))
    before = fitted_anew(trial, held)
    print(f"\n{survey}, {len(train)} stars that teach, {len(held)} that are asked\n")
    print("| functions of labels | −ln L a pixel | scatter by the gap's error |\n| --- | --- | --- |")
    for size in trial.survey(survey).gap.sizes:
        own = by_gap(trial, train, first.fit, held, size, before)
        blur = blur_by_gap(trial, train, first.fit, held, size, own)
        print(f"| {size} | {cells(surprise(own) - surprise(before), 3)} | {blur:.2f} |", flush=True)


def main() -> None:
    """All surveys of a bridge."""
    for each in surveys(__doc__):
        table(*each)


if __name__ == "__main__":
    main()
