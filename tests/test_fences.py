"""Imports run one way; checked on the syntax tree, so that a lazy import inside a function counts too."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# what each part of the simulator may import of the others; later parts may import earlier ones
LAYERS = [
    {"errors", "units", "rng", "quick_imports"},
    {"registry", "statistics"},
    {"terms"},
    {"api"},
    {"scenario", "record", "codec"},
    {"network", "work", "learning", "indexing"},
    {"sites"},
    {"simulation", "observations", "outcome", "probe"},
    {"results", "report", "reuse"},
    {"study_folder"},
    {"crew", "plans"},
    {"progress", "run", "forecast", "advice"},
    {"cli", "commands", "doctor"},
]
# known exceptions, each with its reason
ALLOWED = {
    ("work", "learning"): "a worker builds the context in which a task runs",
}
ONLY = {
    "simpy": {"network", "sites", "simulation", "probe"},
    "monai": {"learning"},
    "networkx": {"network"},
    "polars": {"record", "report"},
    "distributed": {"work"},
    "matplotlib": {"report"},
    "torch": {"learning", "doctor", "commands"},
}
TORCH_FREE = [
    "simulator.cli",
    "simulator.run",
    "simulator.simulation",
    "simulator.plans",
    "simulator.probe",
    "simulator.commands.network_check",
    "simulator.commands.network_probe",
    "simulator.scenario",
    "algorithms.gcml",
]


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def part_of(path):
    inside = path.relative_to(ROOT / "simulator").parts
    return inside[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_of(part):
    return next((depth for depth, names in enumerate(LAYERS) if part in names), None)


@pytest.mark.parametrize("path", modules("simulator"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_simulator_imports_downward_only(path):
    own = part_of(path)
    if own == "__init__":
        return
    assert layer_of(own) is not None, f"{own} has no place in LAYERS"
    for name in imports(path):
        top, _, rest = name.partition(".")
        assert top != "algorithms", f"{path} imports {name}: algorithms register as entry points"
        if top == "simulator" and rest:
            other = rest.split(".")[0]
            if layer_of(other) is None or (own, other) in ALLOWED:
                continue
            assert layer_of(other) <= layer_of(own), f"{path}: {own} imports {other}"
        if top in ONLY:
            assert own in ONLY[top], f"{path} imports {top}, which belongs to {sorted(ONLY[top])}"


@pytest.mark.parametrize("path", modules("algorithms"), ids=lambda p: p.name)
def test_algorithms_enter_through_the_narrow_door(path):
    for name in imports(path):
        if name.startswith("simulator"):
            assert name == "simulator.api" or name.startswith("simulator.api."), f"{path} imports {name}"


@pytest.mark.parametrize("path", [*modules("simulator"), *modules("algorithms")], ids=str)
def test_modules_stay_small(path):
    # the design says about 300; what the formatter adds by breaking lines is not held against it
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, f"{path}: is there a seam?"
