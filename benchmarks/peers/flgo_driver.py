"""FLGo: FedAvg of all eight sites in one process, its own loaders and training step."""

import flgo
from flgo.algorithm import fedavg

from benchmarks.peers import flgo_task
from benchmarks.peers.workload import BATCH, LR, ROUNDS, leave, network


def main() -> None:
    flgo.gen_task_by_(flgo_task, flgo_task.Given(), "task")
    runner = flgo.init(
        "task",
        fedavg,
        option={
            "num_rounds": ROUNDS, "proportion": 1.0, "sample": "full", "num_epochs": 1, "learning_rate": LR,
            "batch_size": BATCH, "train_holdout": 0.0, "eval_interval": -1, "optimizer": "SGD",
        },
        model=flgo.convert_model(network, "unet"),
    )  # fmt: skip
    runner.run()
    leave(runner.model.state_dict())


if __name__ == "__main__":
    main()
