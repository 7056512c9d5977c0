"""Flower: its simulation on Ray with one actor, message interface, FedAvg of all eight sites."""

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.peers.workload import BATCH, ROUNDS, SITES, STEPS, leave, local_epoch, network

site_app, server_app = ClientApp(), ServerApp()


@site_app.train()
def train(message, context):
    model = network()
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    round_ = message.content["config"]["server-round"] - 1
    local_epoch(model, context.node_config["partition-id"], round_)
    numbers = MetricRecord({"num-examples": STEPS * BATCH})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": numbers})
    return Message(content=content, reply_to=message)


@server_app.main()
def serve(grid, context):
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=SITES, min_available_nodes=SITES)
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(network().state_dict()),
        num_rounds=ROUNDS,
        train_config=ConfigRecord(),
    )
    leave(result.arrays.to_torch_state_dict())


def main() -> None:
    run_simulation(
        server_app=server_app,
        client_app=site_app,
        num_supernodes=SITES,
        backend_config={
            "init_args": {"num_cpus": 1, "include_dashboard": False},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )


if __name__ == "__main__":
    main()
