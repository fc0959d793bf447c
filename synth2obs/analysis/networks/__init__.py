"""Networks of others' kind that a bench compares with: one file each, an entry in `NETWORKS`."""

from typing import TYPE_CHECKING, Any

from pydantic import create_model

from synth2obs.analysis.networks.contract import Network
from synth2obs.analysis.networks.cycle import CycleNetwork
from synth2obs.analysis.networks.pretrained import PretrainedNetwork
from synth2obs.core.config import Section

NETWORKS: dict[str, type[Network]] = {
    "pretrained": PretrainedNetwork,
    "cycle": CycleNetwork,
}
"""In the order of the tables, after the methods that are bridges."""


class WantedNetworks(Section):
    """Settings of every entry of `NETWORKS` by its name; one of no steps is left out."""

    def wanted(self) -> tuple[str, ...]:
        """Names of those that take part."""
        return tuple(name for name in NETWORKS if getattr(self, name).steps > 0)


if TYPE_CHECKING:
    NetworksConfig = WantedNetworks
else:
    fields: dict[str, Any] = {name: (kind.Config, kind.Config()) for name, kind in NETWORKS.items()}
    NetworksConfig = create_model("NetworksConfig", __base__=WantedNetworks, **fields)
