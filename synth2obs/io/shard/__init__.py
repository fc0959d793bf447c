"""The data format: spectra of one domain in one HDF5 file (docs/data_format.md)."""

from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

__all__ = ["read_shard", "write_shard"]
