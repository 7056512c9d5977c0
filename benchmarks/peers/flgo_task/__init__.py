"""The workload as a task of FLGo, which wants a package with a module ``core``."""

from flgo.benchmark.partition import BasicPartitioner

from benchmarks.peers.workload import BATCH, SITES, STEPS


class Given(BasicPartitioner):
    """Sites hold what they hold, in order."""

    def __call__(self, _):
        each = STEPS * BATCH
        return [list(range(site * each, (site + 1) * each)) for site in range(SITES)]
