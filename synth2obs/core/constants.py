"""Physical constants and names that must be the same everywhere."""

import math

C_KMS = 299_792.458
"""Speed of light in km/s (CODATA, exact)."""

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
"""Full width at half maximum of a Gaussian in units of its sigma."""

MAD_TO_SIGMA = 1.4826
"""Scale that turns a median absolute deviation into a Gaussian sigma."""

MEDIAN_ERROR = 1.2533
"""Standard error of a median over that of a mean, for normal errors."""

LITERATURE_ERRORS = {"teff": 60.0, "logg": 0.13, "fe_h": 0.05}
"""Errors of literature labels that come with none, K and dex: external errors of FGK stars in Prugniel et al. 2011,
A&A 531, A165."""

SHARD_FORMAT = "synth2obs/1"
METRICS_FORMAT = "synth2obs-metrics/1"
BUNDLE_FORMAT = "synth2obs-bundle/2"

BALMER = (3971.2, 4102.9, 4341.7, 4862.7, 6564.6)
"""Hε to Hα in vacuum Å."""

BALMER_REACH = 25.0
"""Å around a Balmer line in which lines of other elements are not told from it."""

FLUX_UNIT, FLUX_BAD = 1e-4, -32768
"""Unit of fluxes kept as 16-bit integers, in units of the continuum, and what marks a bad pixel among them."""
