"""The quadratics of the comparators' vectors: f_i(x) = ½ (x − t_i)ᵀ A_i (x − t_i)."""

import numpy as np
import torch

from simulator.api import Bundle


def local_steps(vector, site, start, penalty=None):
    """K gradient steps from ``start``, with ``penalty`` added to f."""
    toy, settings = vector["inputs"]["toy"], vector["hyper_parameters"]
    matrix, center = (torch.tensor(toy[name][site], dtype=torch.float64) for name in ("A", "t"))
    x = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    for _ in range(settings["K"]):
        loss = 0.5 * (x - center) @ matrix @ (x - center)
        if penalty is not None:
            loss = loss + penalty(x)
        (gradient,) = torch.autograd.grad(loss, x)
        x = (x - settings["eta"] * gradient).detach().requires_grad_()
    return x.detach().numpy()


class QuadraticContext:
    """A task's context on one site's quadratic in float64: an epoch is K plain gradient steps."""

    def __init__(self, vector, site):
        settings = vector["hyper_parameters"]
        self.learning_rate = settings.get("eta", settings.get("eta_l"))
        self._num_steps = settings.get("K", 1)
        toy = vector["inputs"]["toy"]
        self._matrix, self._center = (
            torch.tensor(toy[name][site], dtype=torch.float64) for name in ("A", "t")
        )

    def value(self, x):
        return 0.5 * (x - self._center) @ self._matrix @ (x - self._center)

    def pupil(self, model, role, *, state=None, only=None):
        return QuadraticPupil(self, model.arrays["model"])

    def epochs(self, step, *, epochs, first_epoch, drop_last=False):
        return [[float(step(None)) for _ in range(self._num_steps)] for _ in range(epochs)], self._num_steps

    def train(self, model, *, epochs, first_epoch, penalty=None, keep_optimizer=True, only=None):
        pupil = self.pupil(model, "local")

        def step(batch):
            loss = self.value(pupil.flat())
            pupil.step(loss if penalty is None else loss + penalty(pupil.flat()))
            return loss.detach()

        self.epochs(step, epochs=epochs, first_epoch=first_epoch)
        return pupil.bundle(keep_optimizer=keep_optimizer)


class QuadraticPupil:
    def __init__(self, ctx, x):
        self._ctx = ctx
        self.parameters = [torch.tensor(x, dtype=torch.float64, requires_grad=True)]

    def output(self, batch):
        return self.parameters[0]

    def supervised(self, output, batch):
        return self._ctx.value(output)

    def flat(self):
        return self.parameters[0]

    def step(self, total):
        self.apply(torch.autograd.grad(total, self.parameters))

    @torch.no_grad()
    def apply(self, gradients):
        self.parameters[0] -= self._ctx.learning_rate * gradients[0]

    def bundle(self, *, keep_optimizer, **meta):
        return point(self.parameters[0].detach().numpy(), meta=meta)


def point(x, meta=None, **more):
    """A model that is one float64 vector."""
    arrays = {"model": np.array(x, dtype=np.float64), "buffers": np.zeros(0), "counters": np.zeros(0, int)}
    return Bundle(arrays=arrays | more, meta=meta or {})
