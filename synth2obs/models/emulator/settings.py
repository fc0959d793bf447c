"""What the settings of every emulator have."""

from synth2obs.core.config import Section


class EmulatorConfig(Section):
    """Settings of an emulator: its name, and what its class adds."""

    name: str
