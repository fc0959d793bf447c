"""Everything that knows MLflow: the store, its runs, the model registry.

An extra: it comes with ``pip install 'synth2obs[train]'``; ``synth2obs[client]`` is enough to load a registered model
from a tracking server.
"""

from synth2obs.core.extras import require

require("train", "trainings and registered models", "mlflow")

from synth2obs.training.tracking.store import open_store  # noqa: E402 - after the extra is known to be there

__all__ = ["open_store"]
