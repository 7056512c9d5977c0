"""FedAvg in medgossip. As in ``medgossip run``, several workers begin to import before this process does."""

import argparse

from simulator.learning.numerics import WORKER_ENVIRONMENT
from simulator.quick_imports import quick_imports
from simulator.work.pools import import_ahead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1)
    jobs = parser.parse_args().jobs
    if jobs > 1:
        import_ahead("cpu", WORKER_ENVIRONMENT)
    with quick_imports():
        from benchmarks.peers.ours_study import train

    train(jobs)


if __name__ == "__main__":
    main()
