"""The quadratics of the comparators' vectors: f_i(x) = ½ (x − t_i)ᵀ A_i (x − t_i)."""

import torch


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
