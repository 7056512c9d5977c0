"""pfl: its simulated backend in one process, all eight users in every cohort."""

import types

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.model.pytorch import PyTorchModel

from benchmarks.peers.workload import BATCH, LR, ROUNDS, SITES, data, leave, loss_of, network, note_first_step


def loss(self, images, labels, eval=False):
    note_first_step()
    self.train()
    return loss_of(self(images), labels.float())


def main() -> None:
    module = network()
    module.loss = types.MethodType(loss, module)
    module.metrics = lambda *_, **__: {}
    model = PyTorchModel(
        model=module,
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.SGD(module.parameters(), lr=1.0),
    )
    users = {site: data(site) for site in range(SITES)}
    train = FederatedDataset.from_slices(users, get_user_sampler("minimize_reuse", list(users)))
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=ROUNDS, evaluation_frequency=ROUNDS + 1,
            train_cohort_size=SITES, val_cohort_size=0,
        ),
        backend=SimulatedBackend(training_data=train, val_data=train),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=LR, local_batch_size=BATCH
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=BATCH),
    )  # fmt: skip
    leave(module.state_dict())


if __name__ == "__main__":
    main()
