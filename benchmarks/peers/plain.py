"""The bare loop: one module, one site after the other, weights averaged in place."""

import torch

from benchmarks.peers.workload import ROUNDS, SITES, data, leave, local_epoch, network


def main() -> None:
    model = network()
    for site in range(SITES):
        data(site)
    for round_ in range(ROUNDS):
        start = {name: value.clone() for name, value in model.state_dict().items()}
        total = {name: torch.zeros_like(value) for name, value in start.items()}
        for site in range(SITES):
            model.load_state_dict(start)
            local_epoch(model, site, round_)
            for name, value in model.state_dict().items():
                total[name] += value / SITES
        model.load_state_dict(total)
    leave(model.state_dict())


if __name__ == "__main__":
    main()
