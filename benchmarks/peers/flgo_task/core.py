"""Data and loss of the workload under the names that FLGo looks for."""

import torch
from flgo.benchmark.base import BasicTaskCalculator
from flgo.benchmark.toolkits.cv.classification import FromDatasetGenerator, FromDatasetPipe

from benchmarks.peers import flgo_task
from benchmarks.peers.workload import SITES, data, loss_of, note_first_step


def items() -> torch.utils.data.TensorDataset:
    images, labels = zip(*map(data, range(SITES)), strict=True)
    return torch.utils.data.TensorDataset(torch.cat(images), torch.cat(labels))


class TaskGenerator(FromDatasetGenerator):
    def __init__(self):
        super().__init__(benchmark=flgo_task.__name__, train_data=items(), test_data=None)


class TaskPipe(FromDatasetPipe):
    @staticmethod
    def TaskDataset(dataset, indices, _):  # noqa: N802 - FLGo's name; its own is refused by PyTorch 2.13
        return torch.utils.data.Subset(dataset, indices)

    def __init__(self, task_path):
        super().__init__(task_path, train_data=items(), test_data=None)


class TaskCalculator(BasicTaskCalculator):
    def __init__(self, device, optimizer_name="SGD"):
        super().__init__(device, optimizer_name)
        self.DataLoader = torch.utils.data.DataLoader

    def to_device(self, batch):
        return [part.to(self.device) for part in batch]

    def get_dataloader(self, dataset, batch_size, shuffle=True, **_):
        return self.DataLoader(dataset, batch_size=batch_size, shuffle=shuffle)

    def compute_loss(self, model, batch):
        note_first_step()
        images, labels = self.to_device(batch)
        return {"loss": loss_of(model(images), labels.float())}

    def test(self, *_, **__):
        return {}
