"""The bare loop: one module, one site after the other, weights averaged in place."""

import torch

from benchmarks.peers.workload import ROUNDS, SITES, data, local_epoch, network


def main() -> None:
    model = network()
    cases = [data(site) for site in range(SITES)]
    for _ in range(ROUNDS):
        start = {name: value.clone() for name, value in model.state_dict().items()}
        total = {name: torch.zeros_like(value) for name, value in start.items()}
        for images, labels in cases:
            model.load_state_dict(start)
            local_epoch(model, images, labels)
            for name, value in model.state_dict().items():
                total[name] += value / SITES
        model.load_state_dict(total)


if __name__ == "__main__":
    main()
