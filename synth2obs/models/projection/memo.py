"""Results kept while the tensors that they were made of stay what they are."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import Tensor

Result = TypeVar("Result")


class Memo:
    """The last few results of costly preparations.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._kept: list[tuple[tuple[Any, ...], tuple[int, ...], tuple[Tensor, ...], Any]] = []

    def get(self, key: tuple[Any, ...], parts: Iterable[Tensor], make: Callable[[], Result]) -> Result:
        """What was made earlier under the same key of the same tensors, or what ``make`` makes now.

        Args:
            key: Compared by equality.
            parts: Tensors that the result depends on. They are held, so that no other can take their place in
                memory, and a change in place is noticed.
            make: Makes the result.
        """
        held = tuple(parts)
        state = (*(part.data_ptr() for part in held), *(part._version for part in held))
        for place, (kept_key, kept_state, _, result) in enumerate(self._kept):
            if kept_state == state and kept_key == key:
                self._kept.append(self._kept.pop(place))
                return result
        made = make()
        self._kept = [*self._kept[max(0, len(self._kept) - self.size + 1) :], (key, state, held, made)]
        return made
