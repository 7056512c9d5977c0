"""How long so many workers take for jobs, handed out as the executor does it: the longest way first."""

from collections.abc import Mapping
from heapq import heappop, heappush

from simulator.work.graph import Graph
from simulator.work.jobs import Job


def makespan_s(jobs: Mapping[str, Job], seconds: Mapping[str, float], num_workers: int) -> float:
    """Return the seconds until the last of ``jobs`` has ended; what they need beside is there already.

    That a worker likes to stay with a site's data is left out: among nearly equal jobs it changes the order,
    not the length.

    Source: list scheduling. R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM Journal on
    Applied Mathematics, 1969.
    """
    graph = Graph({})
    graph.add(jobs)
    ready: list[tuple[float, str]] = []
    running: list[tuple[float, str]] = []
    now_s = 0.0
    while graph.jobs:
        while graph.ready:
            key = graph.ready.pop()
            heappush(ready, (-graph.urgency[key], key))
        while ready and len(running) < num_workers:
            _, key = heappop(ready)
            heappush(running, (now_s + seconds[key], key))
        now_s, key = heappop(running)
        graph.finished(key, None)
    return now_s
