"""Metrics of one run on their way to the store: each step of each metric once, whatever is resumed."""

import json
import math
import re
import time
from collections.abc import Mapping
from typing import Any

BATCH = 1000
"""Metrics per request, the most that MLflow takes."""

NONFINITE = "synth2obs.nonfinite_metrics"
"""Tag that counts the values which are not finite."""


class RunMetrics:
    """Metrics of a run, kept until `flush`; knows what the run already has.

    Args:
        client: MLflow client of the store.
        run: Id of the run.
    """

    def __init__(self, client: Any, run: str) -> None:
        found = client.get_run(run).data
        self.client = client
        self.run = run
        self._kept: list[Any] = []
        self._last = {
            key: max(metric.step for metric in client.get_metric_history(run, key)) for key in found.metrics
        }
        self._nonfinite: dict[str, dict[str, int]] = json.loads(found.tags.get(NONFINITE, "{}"))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep metrics; a step that a metric already has is skipped, a value that is not finite is counted.

        Raises:
            ValueError: For a metric name that MLflow refuses.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for key, value in metrics.items():
            _check_name(key)
            if not math.isfinite(value):
                self._count_nonfinite(key, step)
            elif step > self._last.get(key, -1):
                self._last[key] = step
                self._kept.append(Metric(key, float(value), now, step))

    def flush(self) -> None:
        """Write what is kept, in batches; what the store refuses stays kept."""
        while self._kept:
            self.client.log_batch(self.run, metrics=self._kept[:BATCH])
            del self._kept[:BATCH]
        if self._nonfinite:
            self.client.set_tag(self.run, NONFINITE, json.dumps(self._nonfinite, sort_keys=True))

    def _count_nonfinite(self, key: str, step: int) -> None:
        entry = self._nonfinite.setdefault(key, {"count": 0, "last_step": -1})
        if step > entry["last_step"]:
            self._nonfinite[key] = {"count": entry["count"] + 1, "last_step": step}


def _check_name(key: str) -> None:
    if not re.fullmatch(r"[\w./ :-]+", key):
        raise ValueError(
            f"metric {key!r} may hold letters, digits and _ - . / : only; write 'fe_h/bias' for '[Fe/H] bias'"
        )
