"""gossipy: push gossip instead of FedAvg, which it has not; a received model is averaged and trained on.

A node trains once before the first round and then for every model that it receives, in the mean one per
round: about as many local epochs as the others have.
"""

import torch
from gossipy import set_seed
from gossipy.core import AntiEntropyProtocol, CreateModelMode, StaticP2PNetwork
from gossipy.model import TorchModel
from gossipy.model.handler import TorchModelHandler
from gossipy.node import GossipNode
from gossipy.simul import GossipSimulator

from benchmarks.peers.workload import (
    BATCH,
    LR,
    ROUNDS,
    SITES,
    data,
    leave,
    loss_of,
    network,
    note_first_step,
)

ROUND_LENGTH = 100


class Net(TorchModel):
    def __init__(self):
        super().__init__()
        self.net = network()

    def init_weights(self):
        self.net.load_state_dict(network().state_dict())

    def forward(self, images):
        note_first_step()
        return self.net(images)


class Sites:
    """What gossipy asks of its dispatcher of data."""

    def __getitem__(self, site):
        images, labels = data(site)
        return (images, labels.float()), None

    def size(self):
        return SITES

    def has_test(self):
        return False


def main() -> None:
    set_seed(1)
    handler = TorchModelHandler(
        net=Net(),
        optimizer=torch.optim.SGD,
        optimizer_params={"lr": LR},
        criterion=loss_of,
        local_epochs=1,
        batch_size=BATCH,
        create_model_mode=CreateModelMode.MERGE_UPDATE,
    )
    sites, peers = Sites(), StaticP2PNetwork(SITES)
    nodes = GossipNode.generate(
        data_dispatcher=sites, p2p_net=peers, model_proto=handler, round_len=ROUND_LENGTH, sync=True
    )
    simulator = GossipSimulator(
        nodes=nodes, data_dispatcher=sites, delta=ROUND_LENGTH, protocol=AntiEntropyProtocol.PUSH
    )
    simulator.init_nodes(seed=1)
    simulator.start(n_rounds=ROUNDS - 1)
    leave(nodes[0].model_handler.model.net.state_dict())


if __name__ == "__main__":
    main()
