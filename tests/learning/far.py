"""A stand-in for a GPU: a second device whose tensors live in the machine's memory, so that the CPU's
kernels work on them, but that refuses what a GPU refuses: operations on tensors of both devices, and
their memory as NumPy arrays. It counts the operations that run on it, and the fetches that wait for it.
"""

from collections import Counter
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "far"
FETCH = "fetch"
"""What a copy to the machine's memory, or a number of Python, counts as."""
_aten = torch.ops.aten
_BETWEEN = {_aten._to_copy.default, _aten.copy_.default}
"""What may take tensors of both devices."""


class Mixed(Exception):
    """An operation on tensors of both devices."""


class FarTensor(torch.Tensor):
    """A tensor on the stand-in; ``near`` is where its values are."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, near):
        return torch.Tensor._make_wrapper_subclass(
            cls,
            near.size(),
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=torch.device(NAME, 0),
        )

    def __init__(self, near):
        self.near = near

    def __tensor_flatten__(self):
        return ["near"], None

    @staticmethod
    def __tensor_unflatten__(inner, _, size, stride):
        return FarTensor(inner["near"])

    def tolist(self):
        """Torch has it for tensors of its own kind alone."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _run(function, args, kwargs or {}, Counter())


class _Mode(TorchDispatchMode):
    """Counts operations on the device, and makes its tensors where nothing but a name asks for one."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if torch.is_inference_mode_enabled():  # what is made of other operations arrives whole there
            with self:
                parts = function.decompose(*args, **kwargs or {})
            if parts is not NotImplemented:
                return parts
        return _run(function, args, kwargs or {}, self.seen)


def _run(function, args, kwargs, seen):
    leaves, layout = tree_flatten((args, kwargs))
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    far = [tensor for tensor in tensors if isinstance(tensor, FarTensor)]
    wanted = kwargs.get("device")
    there = bool(far) if wanted is None else torch.device(wanted).type == NAME
    if not far and not there:
        return function(*args, **kwargs)
    strangers = [one for one in tensors if not isinstance(one, FarTensor) and one.ndim > 0]
    if far and strangers and function not in _BETWEEN:
        raise Mixed(f"{function} of {[(type(one).__name__, tuple(one.shape)) for one in tensors]}")
    seen[function._schema.name.removeprefix("aten::")] += 1
    onto_near = function is _aten.copy_.default and not isinstance(args[0], FarTensor)
    seen[FETCH] += not there or onto_near or function is _aten._local_scalar_dense.default
    owners = {id(tensor.near): tensor for tensor in far}
    near_args, near_kwargs = tree_unflatten(
        [leaf.near if isinstance(leaf, FarTensor) else leaf for leaf in leaves], layout
    )
    if wanted is not None:
        near_kwargs = near_kwargs | {"device": torch.device("cpu")}
    # torch cannot wrap what inference mode makes
    with torch.inference_mode(False), torch.no_grad():
        found = function(*near_args, **near_kwargs)
        if not there or onto_near:
            return args[0] if onto_near else found
        return tree_map_only(
            torch.Tensor, lambda one: owners[id(one)] if id(one) in owners else FarTensor(one), found
        )


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self):
        return [torch.bfloat16]


def install():
    """Make the device known to torch; for the rest of the process."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())


@contextmanager
def device():
    """Give a counter of the operations that run on the device meanwhile."""
    with _Mode() as mode:
        yield mode.seen
