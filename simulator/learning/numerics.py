"""The numeric mode: everything about this machine that decides bits, and how processes are set up.

Results are equal bit for bit for a fixed mode; so it is part of every task's key. torch is
imported where it is needed, because planning reads the worker environment without it.
"""

import errno
import gc
import os
from collections.abc import Iterable
from importlib.metadata import version
from inspect import unwrap
from types import MappingProxyType

from simulator.errors import SetupError
from simulator.quick_imports import quick_imports

NUM_THREADS = 1

GPU_CONTEXT_NBYTES = 0.6e9
"""What a process takes of a GPU beside its tensors: 0.3 to 0.4 GB for the CUDA context with kernels loaded
as they are needed (P. Bialecki in pytorch/pytorch, issues 107667 and 109888, 2023), 0.03 GB for the workspace
that makes cuBLAS reproducible, the rest for cuDNN's and for kernels to come.
"""

_CASES_NBYTES, _CASES_SHARE = float(4 << 30), 0.25
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "std::bad_alloc",
    "_STATUS_ALLOC_FAILED",
    "ALLOCATION_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "unable to find an engine to execute this computation",  # for want of memory, or there is none
)

WORKER_ENVIRONMENT = MappingProxyType(
    {
        # one thread per process: spinning barriers of several waste more time than they save
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        # keep freed memory and back it by huge pages: no page faults in every step; changes no bit
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "MALLOC_TRIM_THRESHOLD_": "4294967296",
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TOP_PAD_": "268435456",
        # cuBLAS is deterministic only with a fixed workspace
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }
)
"""Environment of worker processes, read by their C libraries before Python starts."""


def pick_device(wish: str) -> str:
    """Return ``"cpu"`` or ``"cuda"`` for ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        SetupError: a GPU is asked for and torch finds none.
    """
    if wish == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wish == "cuda":
        raise SetupError(f"torch {torch.__version__} finds no CUDA device; use --device cpu")
    return "cpu"


def numeric_mode(precision: str, device: str) -> str:
    """Return the text that names all that can change the bits of a result on this machine."""
    import torch

    parts = [f"torch {torch.__version__}", f"monai {version('monai')}", f"numpy {version('numpy')}"]
    if device == "cuda":
        cuda, cudnn = torch.version.cuda, torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        parts.append(f"cuda {cuda} cudnn {cudnn} {torch.cuda.get_device_name()}")
    else:
        parts.append(f"cpu {torch.backends.cpu.get_cpu_capability()}")
    return ", ".join([*parts, precision, f"{NUM_THREADS} thread"])


def device_and_modes(wish: str, precisions: Iterable[str]) -> tuple[str, list[str]]:
    """Return the device for a wish, and the numeric mode there of each precision.

    Raises:
        SetupError: see :func:`pick_device`.
    """
    with quick_imports():  # of torch
        device = pick_device(wish)
        return device, [numeric_mode(precision, device) for precision in precisions]


def setup_process() -> None:
    """Make this process deterministic and single-threaded; once, before the first task."""
    import torch
    import torch.utils.deterministic

    # a GPU process started without the worker environment would fail in its first product
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKER_ENVIRONMENT["CUBLAS_WORKSPACE_CONFIG"])
    torch.set_num_threads(NUM_THREADS)
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler too
    _leave_compiler_out()
    # it would write every new tensor twice; nothing here reads memory before writing it
    # (torch makes it a property of the module, which its annotations do not show)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def _leave_compiler_out() -> None:
    """Spare optimizers the import of torch's compiler, 0.7 s and 60 MB: these functions want it only to say
    that they are not to be compiled, and nothing is compiled here.
    """
    from torch import no_grad
    from torch.optim import SGD, Adam, Optimizer

    Optimizer.add_param_group = unwrap(Optimizer.add_param_group)  # type: ignore[method-assign]
    Optimizer.zero_grad = unwrap(Optimizer.zero_grad)  # type: ignore[method-assign]
    SGD.step = no_grad()(unwrap(SGD.step))  # type: ignore[method-assign]
    Adam.step = no_grad()(unwrap(Adam.step))  # type: ignore[method-assign]


def free_gpu_memory() -> dict[str, int]:
    """Bytes that nobody uses on each GPU that may be used, by its name in ``CUDA_VISIBLE_DEVICES``. GPUs of
    another kind than the first are left out, because results would depend on who did what.
    """
    import torch

    told = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    names = told.split(",") if told else [str(number) for number in range(torch.cuda.device_count())]
    kinds = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        name.strip(): int(torch.cuda.mem_get_info(number)[0])
        for number, (name, kind) in enumerate(zip(names, kinds, strict=False))
        if kind == kinds[0]
    }


def limit_gpu_memory(nbytes: float) -> None:
    """Let this process take no more of its GPU's memory, its context and its libraries included; what it asks
    for beyond is an error of its own.
    """
    import torch

    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(max(nbytes - GPU_CONTEXT_NBYTES, 0.0) / total, 1.0))


def room_for_cases(device: str) -> float:
    """How many bytes of a device a process keeps cases in: of a GPU a quarter of what tensors may take."""
    if device == "cpu":
        return _CASES_NBYTES
    import torch

    total = torch.cuda.get_device_properties(device).total_memory
    return float(torch.cuda.get_per_process_memory_fraction() * total * _CASES_SHARE)


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory, the GPU's or the machine's, did not suffice.

    Only torch's own allocator of GPU memory has a class for it. Texts: torch's allocator of the machine's
    memory; the CUDA runtime, cuBLAS and cuDNN, which also fail to begin where there is no room for them.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def check_memory_sufficed(device: str) -> None:
    """Raise if this process has ever lacked memory on a GPU: torch's convolutions then take another algorithm
    silently, and keep to it, which changes bits.

    Raises:
        torch.OutOfMemoryError: it has.
    """
    import torch

    if device == "cuda" and torch.cuda.memory_stats().get("num_ooms", 0):
        raise torch.OutOfMemoryError(
            "no memory for the algorithm of a convolution, and another one gives other bits; use smaller "
            "batches, patches or fewer --jobs, or start this worker anew"
        )


def release_memory() -> None:
    """Give back what this process keeps for later use, once nothing refers to it any more."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()  # nothing where there is no GPU
