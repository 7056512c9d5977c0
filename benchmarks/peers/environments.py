"""Other frameworks, each in an environment of its own on top of this one's packages."""

import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A driver, its arguments, and what pip installs for it, one call after another.

    ``without_torchvision``: an empty package of that name stands in for it. The framework uses it for its
    ready data sets only, and there is no build for the processor alone: the one there is brings another
    PyTorch.
    """

    driver: str
    arguments: tuple[str, ...] = ()
    installs: tuple[tuple[str, ...], ...] = ()
    without_torchvision: bool = False


PEERS = {
    "plain": Peer(driver="plain"),
    "ours": Peer(driver="ours"),
    "ours, 2 workers": Peer(driver="ours", arguments=("--jobs", "2")),
    "pfl 0.6.0": Peer(driver="pfl_driver", installs=(("pfl[pytorch]==0.6.0",),)),
    "Flower 1.41 + Ray": Peer(driver="flower_driver", installs=(("flwr[simulation]==1.41.0",),)),
    "gossipy 0.0.1": Peer(
        driver="gossipy_driver", installs=(("gossipy-dfl==0.0.1",),), without_torchvision=True
    ),
    "FLGo 0.4.4": Peer(
        driver="flgo_driver",
        installs=(
            ("--no-deps", "flgo==0.4.4"),
            ("prettytable", "ujson", "pynvml", "toolz", "networkx", "requests", "tqdm"),
        ),
        without_torchvision=True,
    ),
    "NVFlare 2.9.0": Peer(driver="nvflare_driver", installs=(("nvflare==2.9.0",),)),
}


def environment(peer: Peer, folder: Path) -> str:
    """Make an environment if need be; return its interpreter.

    Raises:
        subprocess.CalledProcessError: a package cannot be installed.
    """
    if not peer.installs:
        return sys.executable
    place = folder / peer.driver
    python = str(place / "bin" / "python")
    done = place / "done"
    wanted = repr(peer.installs)
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        venv.create(place, with_pip=True, clear=True)
        ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = Path(subprocess.check_output(ask, text=True).strip())
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "zz_base.pth").write_text("\n".join(ours), encoding="utf-8")
        for names in peer.installs:
            command = [python, "-m", "pip", "install", "--quiet", *names]
            subprocess.run(command, check=True, capture_output=True, text=True)
        if peer.without_torchvision:
            (packages / "torchvision").mkdir()
            for name in ("__init__", "datasets", "transforms"):
                (packages / "torchvision" / f"{name}.py").touch()
        done.write_text(wanted, encoding="utf-8")
    return python
