import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from synth2obs.training.domains import Domains, load_domains
from synth2obs.training.run import read_config


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module `toy_stage`, which subprocesses run as a script."""
    spec = importlib.util.spec_from_file_location("toy_stage", Path(__file__).with_name("toy_stage.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_stage"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def domains(small: tuple[str, ...]) -> Domains:
    """The data of the session's training."""
    config = read_config(None, small)
    return load_domains(config.data, config.seed)
