"""Held-out stars that two surveys of a bridge share: do their latents agree, and is one telescope seen by the other?

    python experiments/11_twins/measure.py BRIDGE

The bridge's own configuration says which shards, which split and which table of shared stars (`data.same_stars`).
"""

import argparse
from itertools import permutations

from synth2obs import load_bridge
from synth2obs.analysis.same_star import same_star
from synth2obs.measured import tested_in_both
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import load_domains

CHI2 = ("chi2", "chi2_with_source", "chi2_own")


def main() -> None:
    """Print a row for each pair of surveys, in both directions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge")
    bridge = load_bridge(parser.parse_args().bridge)
    config = TrainConfig(**bridge.card["config"])
    domains = load_domains(config.data, config.seed)
    print("| from, to | stars | χ², target's noise | with source and gap | target's own fit | width of Δu |")
    print("| --- | --- | --- | --- | --- | --- |")
    for first, second in permutations(domains.surveys, 2):
        shared = tested_in_both(domains, first, second)
        if shared is None:
            continue
        found = same_star(bridge, shared)
        latent, known = found["latent"], found["described"]
        cells = [f"{found[name]:.2f}" for name in CHI2]
        print(f"| {first}, {second} | all {found['n']} | {' | '.join(cells)} | {latent['width_all']:.2f} |")
        cells = [f"{known[name]:.2f}" for name in CHI2]
        width = f"{latent['width']:.2f} ± {latent['width_error']:.2f}"
        print(f"| | described {known['n']} | {' | '.join(cells)} | {width} |", flush=True)


if __name__ == "__main__":
    main()
