"""Labels → latent: with the decoder, the emulator of the grid."""

from typing import TYPE_CHECKING

from synth2obs.core.config import choice
from synth2obs.models.contracts import Emulator
from synth2obs.models.emulator.kernel import KernelEmulator
from synth2obs.models.emulator.process import ProcessEmulator
from synth2obs.models.emulator.quadratic import QuadraticEmulator
from synth2obs.models.emulator.settings import EmulatorConfig

EMULATORS: dict[str, type[Emulator]] = {
    "process": ProcessEmulator,
    "kernel": KernelEmulator,
    "quadratic": QuadraticEmulator,
}
"""Every emulator; ``emulator.name`` of a configuration chooses one."""

DEFAULT = "process"

if TYPE_CHECKING:
    AnyEmulatorConfig = EmulatorConfig
else:
    AnyEmulatorConfig = choice({name: kind.Config for name, kind in EMULATORS.items()}, DEFAULT)
