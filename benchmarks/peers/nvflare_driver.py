"""NVFlare: its simulator, one process per site as it does by default, the recipe for FedAvg."""

from pathlib import Path

import torch
from nvflare.app_opt.pt.recipes.fedavg import FedAvgRecipe
from nvflare.recipe import SimEnv

from benchmarks.peers import nvflare_site
from benchmarks.peers.workload import ROUNDS, SHAPE, SITES, leave, network


def main() -> None:
    start = Path("start.pt").resolve()
    torch.save(network().state_dict(), start)
    recipe = FedAvgRecipe(
        name="peers",
        model={"class_path": "monai.networks.nets.UNet", "args": SHAPE},
        initial_ckpt=str(start),
        min_clients=SITES,
        num_rounds=ROUNDS,
        train_script=nvflare_site.__file__,
        server_expected_format="pytorch",
    )
    recipe.execute(SimEnv(num_clients=SITES, workspace_root=str(Path("nvflare").resolve())))
    (last,) = Path("nvflare").rglob("FL_global_model.pt")
    leave(torch.load(last, weights_only=True)["model"])


if __name__ == "__main__":
    main()
