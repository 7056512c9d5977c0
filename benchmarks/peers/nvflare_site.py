"""What NVFlare runs at every site: its interface for existing training code."""

import nvflare.client as flare

from benchmarks.peers.workload import STEPS, local_epoch, network


def main() -> None:
    flare.init()
    site = int(flare.get_site_name().removeprefix("site-")) - 1
    model = network()
    while flare.is_running():
        received = flare.receive()
        model.load_state_dict(received.params)
        local_epoch(model, site, received.current_round)
        meta = {"NUM_STEPS_CURRENT_ROUND": STEPS}
        flare.send(flare.FLModel(params=model.state_dict(), meta=meta))


if __name__ == "__main__":
    main()
