"""How fits go with threads that wait in different ways, alone and beside busy processes.

`python experiments/benchmarks/waiting.py BRIDGE --busy 2`
"""

import argparse
import os
import subprocess
import sys
import time

WAYS = {
    "as the library has it": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "1000 turns": {"GOMP_SPINCOUNT": "1000"},
    "10,000 turns": {"GOMP_SPINCOUNT": "10000"},
}
BUSY = "while True: pass"


def fits(bridge: str, stars: int) -> None:
    """Print the seconds that fits of embedded stars take on two threads."""
    import numpy as np
    import torch

    from synth2obs import load_bridge
    from synth2obs.analysis.labels import labels_of
    from synth2obs.analysis.observed import as_spectra

    torch.set_num_threads(2)
    trained = load_bridge(bridge)
    spectra = as_spectra(trained, "embedded:miles", "miles").take(np.arange(stars))
    labels_of(trained, spectra.take(np.arange(8)), "miles")
    start = time.perf_counter()
    labels_of(trained, spectra, "miles")
    print(f"{time.perf_counter() - start:.1f}")


def main() -> None:
    """Time each way in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("--busy", type=int, default=2, help="processes that are busy beside it")
    parser.add_argument("--stars", type=int, default=96)
    parser.add_argument("--only", action="store_true", help="print one time, by the environment's settings")
    args = parser.parse_args()
    if args.only:
        return fits(args.bridge, args.stars)
    print(f"| threads that wait | alone (s) | beside {args.busy} busy processes (s) |\n| --- | --- | --- |")
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, __file__, args.bridge, "--stars", str(args.stars), "--only"]
    for name, settings in WAYS.items():
        seconds = []
        for count in (0, args.busy):
            others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
            try:
                done = subprocess.run(
                    command, env=plain | settings, check=True, capture_output=True, text=True
                )
            finally:
                for other in others:
                    other.kill()
                    other.wait()
            seconds.append(done.stdout.strip())
        print(f"| {name} | {' | '.join(seconds)} |", flush=True)


if __name__ == "__main__":
    main()
