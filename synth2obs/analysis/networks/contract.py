"""What a network of a bench promises."""

from abc import abstractmethod
from typing import Any, ClassVar

from synth2obs.analysis.entrants import Entrant
from synth2obs.analysis.networks.lessons import Lessons


class Network(Entrant):
    """A network that is taught from a survey's stars without labels and from the grid, and is then an entrant.

    Its settings have ``steps``, and it repeats itself: the same lessons and seed give the same network.

    Args:
        lessons: Stars and grid.
        config: Settings; its own defaults if None.
        seed: Of every random number.
    """

    Config: ClassVar[Any]
    config: Any

    @abstractmethod
    def __init__(self, lessons: Lessons, config: Any = None, seed: int = 0) -> None: ...
