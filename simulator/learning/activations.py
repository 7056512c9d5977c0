"""PReLU with one slope, with a cheaper backward pass than torch's on a CPU.

torch's takes as long there as the convolution before it. The bits are the same.

K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class _OneSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        return functional.prelu(x, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, slope = ctx.saved_tensors
        if gradient.stride() != x.stride():  # sums in torch's order, and no kernel that steps through memory
            gradient = torch.empty_like(x).copy_(gradient)
        of_x = of_slope = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.leaky_relu_backward(gradient, x, slope.to(x.dtype).item(), False)
        if ctx.needs_input_grad[1]:
            of_slope = (gradient * x.clamp(max=0)).sum().reshape(slope.shape).to(slope.dtype)
        return of_x, of_slope


class OneSlopePReLU(nn.PReLU):
    """``nn.PReLU(1)``, the same parameter by the same name."""

    def forward(self, x: Tensor) -> Tensor:
        """PReLU of ``x``, any shape."""
        if x.is_cpu and torch.is_grad_enabled():
            y: Tensor = _OneSlope.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return y
        return super().forward(x)


def use_one_slope(network: nn.Module) -> None:
    """Put :class:`OneSlopePReLU` in place of every PReLU with one slope, with its weight."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.PReLU and layer.num_parameters == 1:
                quick = OneSlopePReLU()
                quick.weight = layer.weight
                setattr(parent, name, quick)
