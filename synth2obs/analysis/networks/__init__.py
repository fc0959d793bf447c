"""Networks of others' kind that a bench compares with: one file each, an entry in `NETWORKS`."""

from pydantic import Field

from synth2obs.analysis.networks.contract import Network
from synth2obs.analysis.networks.cycle import CycleConfig, CycleNetwork
from synth2obs.analysis.networks.pretrained import PretrainedConfig, PretrainedNetwork
from synth2obs.core.config import Section

NETWORKS: dict[str, type[Network]] = {
    "pretrained": PretrainedNetwork,
    "cycle": CycleNetwork,
}
"""In the order of the tables, after the methods that are bridges."""


class NetworksConfig(Section):
    """Settings of every entry of `NETWORKS`; one of no steps is left out."""

    pretrained: PretrainedConfig = Field(default=PretrainedConfig())
    cycle: CycleConfig = Field(default=CycleConfig())

    def wanted(self) -> tuple[str, ...]:
        """Names of those that take part."""
        return tuple(name for name in NETWORKS if getattr(self, name).steps > 0)
