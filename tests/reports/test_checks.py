import json

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.reports.checks import check_arrays, check_metrics
from synth2obs.reports.results import bias_and_scatter, lookup, measured, read_arrays, read_metrics


@pytest.fixture
def stored(tmp_path, metrics):
    def store(value=metrics):
        path = tmp_path / "metrics.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return store


def test_reads_what_was_written(stored, metrics):
    assert read_metrics(stored()) == metrics


@pytest.mark.parametrize("found", ["synth2obs-metrics/2", None, 1])
def test_refuses_another_format(stored, metrics, found):
    path = stored({**metrics, "format": found})
    with pytest.raises(DataError, match="expected 'synth2obs-metrics/1'.*evaluate the model again") as error:
        read_metrics(path)
    assert error.value.path == path and error.value.field == "format"


@pytest.mark.parametrize(
    ("keys", "value", "field"),
    [
        (("anchored_rms", "morph"), "small", "surveys.miles.anchored_rms.morph"),
        (("anchored_rms",), [1.0], "surveys.miles.anchored_rms"),
        (("label_recovery", "theory", "teff", "bias"), True, "surveys.miles.label_recovery.theory.teff.bias"),
        (("gap", "lines", 3, "depth"), "deep", r"surveys.miles.gap.lines\[3\].depth"),
        (("gap", "lines", 0, "element"), 26, r"surveys.miles.gap.lines\[0\].element"),
        (("same_star", "with"), 3, "surveys.miles.same_star.with"),
    ],
)
def test_names_the_malformed_key(stored, metrics, keys, value, field):
    table = metrics["surveys"]["miles"]
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    with pytest.raises(DataError, match=rf"metrics.json: {field}: expected .*found .*; evaluate"):
        read_metrics(stored())


@pytest.mark.parametrize("value", ["{", "[]", "null", '{"format": "synth2obs-metrics/1"}'])
def test_refuses_a_broken_file(stored, value):
    with pytest.raises(DataError, match="metrics.json: .*; evaluate"):
        read_metrics(stored(value))


def test_names_a_missing_file(tmp_path):
    with pytest.raises(DataError, match="metrics.json.*cannot be read.*train or evaluate first"):
        read_metrics(tmp_path / "metrics.json")


@pytest.mark.parametrize("name", ["../../etc/x", "a/b", "", ".hidden", "<script>"])
def test_refuses_a_survey_that_cannot_name_a_file(metrics, name):
    metrics["surveys"][name] = {}
    with pytest.raises(DataError, match="cannot name a file.*rename"):
        check_metrics(metrics)


def test_arrays_survive_storage(tmp_path, arrays):
    np.savez(tmp_path / "miles.npz", **arrays)
    loaded = read_arrays(tmp_path / "miles.npz")
    assert loaded.keys() == arrays.keys()
    np.testing.assert_array_equal(loaded["labels_true"], arrays["labels_true"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("rms_morph", lambda a: a[:-1]),
        ("example_labels", lambda a: a[:, :2]),
        ("latent_2d", lambda a: a[:, 0]),
        ("snr", lambda a: a[:5]),
        ("chi2_morph", lambda a: a.astype(str)),
        ("test_id", lambda a: np.arange(len(a))),
        ("wavelength", lambda a: a[::-1]),
        ("wavelength", lambda a: np.where(a > 5000, np.nan, a)),
    ],
)
def test_refuses_arrays_that_contradict_each_other(arrays, name, change):
    arrays[name] = change(arrays[name])
    with pytest.raises(DataError, match=rf"{name}: .*; evaluate"):
        check_arrays(arrays)


def test_refuses_pickles_and_rubbish(tmp_path):
    np.savez(tmp_path / "pickle.npz", wavelength=np.array([{"a": 1}], dtype=object))
    (tmp_path / "rubbish.npz").write_bytes(b"PK\x03\x04 not a zip")
    for name in ("pickle.npz", "rubbish.npz", "absent.npz"):
        with pytest.raises(DataError, match=f"{name}: is not a readable"):
            read_arrays(tmp_path / name)


def test_missing_and_infinite_numbers_count_as_not_measured():
    table = {"a": {"b": 1, "nan": float("nan"), "flag": True, "none": None}}
    assert measured(table, "a", "b") == 1.0
    assert [measured(table, "a", key) for key in ("nan", "flag", "none", "absent")] == [None] * 4
    assert lookup(table, "a", "b", "c") is None


def test_bias_and_scatter_ignore_outliers_and_nan():
    values = np.concatenate([np.random.default_rng(1).normal(3.0, 2.0, 4000), [np.nan, 1e9]])
    bias, scatter = bias_and_scatter(values)
    assert bias == pytest.approx(3.0, abs=0.15) and scatter == pytest.approx(2.0, abs=0.15)
    assert bias_and_scatter(np.array([np.nan])) == (None, None)


def test_bits_that_flip_are_refused_and_never_a_foreign_error(tmp_path, arrays):
    path = tmp_path / "miles.npz"
    np.savez_compressed(path, **arrays)
    whole, random = path.read_bytes(), np.random.default_rng(5)
    refused = 0
    for place in random.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            read_arrays(path)
        except DataError:
            refused += 1
    assert refused > 50
