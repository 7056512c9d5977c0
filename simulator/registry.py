"""What can be named in a scenario: algorithms, data sets and networks found as entry points.

A package adds to a registry by declaring an entry point of its group; names in YAML are keys of
these registries, never dotted paths. Loading an entry imports its module, which must stay free of
torch and MONAI.
"""

import difflib
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from simulator.units import Seconds

Group = Literal["algorithms", "classifiers", "datasets", "networks"]


class Settings(BaseModel):
    """Base of everything a scenario can set: frozen, strict, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


def refuse_idle(given: Settings, names: Collection[str], why: str) -> None:
    """Refuse settings that nothing looks at, if they are not as by default.

    Raises:
        ValueError: one is not; ``"name: why"``, which a scenario's error places at its key.
    """
    for name in names:
        usual = type(given).model_fields[name].get_default(call_default_factory=True)
        if getattr(given, name) != usual:
            raise ValueError(f"{name}: {why}")


def only_with(given: Settings, key: str, users: Mapping[str, Collection[Any]]) -> None:
    """Refuse settings that nothing looks at under the present choice of ``key``.

    ``users`` holds for each setting the choices that do look at it.

    Raises:
        ValueError: as :func:`refuse_idle`.
    """
    for name, choices in users.items():
        if getattr(given, key) not in choices:
            told = [str(choice).lower() if isinstance(choice, bool) else str(choice) for choice in choices]
            why = f"counts with {key} {' or '.join(told)} only; remove it, or write {key}: {told[0]}"
            refuse_idle(given, [name], why)


class Sending(Settings):
    """How patient a sender of models is. What takes longer than ``timeout`` (default: as long as the
    transport goes on) is given up, and what failed is sent again from the beginning up to ``retries``
    times: after ``backoff``, and twice as long each time. Control messages are sent once.
    """

    timeout: Annotated[Seconds, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0)] = 0
    backoff: Seconds = 30.0

    @model_validator(mode="after")
    def _useful(self) -> "Sending":
        if not self.retries:
            refuse_idle(self, ["backoff"], "nothing is sent again; write retries: 1 or more")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """An algorithm as scenarios name it.

    ``site`` and ``server`` are generator functions of ``(node, settings)``; ``server`` is None for
    methods without one. ``settings`` has a field ``name: Literal[...]``. ``check``, given the
    settings, what every site that takes part knows of its cases
    (:class:`simulator.api.SiteData` by name), the network's :class:`ModelSize` and the scenario's
    ``task`` section, returns why the method cannot run on them, beginning with the key to change, or
    an empty text. ``mixed_networks``, given the settings, returns why sites with different networks
    cannot take part, or an empty text; None: they cannot, because models of several sites become one.
    """

    settings: type[Settings]
    site: Callable[..., Any]
    server: Callable[..., Any] | None = None
    check: Callable[[Any, Mapping[str, Any], "ModelSize", Any], str] | None = None
    mixed_networks: Callable[[Any], str] | None = None
    summary: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseInfo:
    """One case as the index knows it, before any image is read.

    ``num_items`` is what one epoch draws from it: slices of a 2-D case, patches of a volume.
    ``files`` maps a role ("image", "label", …) to a path relative to the data set's root, or holds
    whatever else :attr:`Dataset.load` needs to find or make the case. ``digest`` is one of the case's
    contents; where it is empty, the fingerprint of its site stands for them.
    """

    site: str
    patient: str
    case: str
    split: Literal["train", "val", "test"]
    num_items: int
    files: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteIndex:
    """The cases of one site and a digest of their contents, which enters the keys of tasks."""

    cases: tuple[CaseInfo, ...]
    fingerprint: str
    skipped: tuple[tuple[str, str], ...] = ()  # (case, reason), found without opening the images

    def count(self, split: str) -> int:
        """Number of cases of a split."""
        return sum(case.split == split for case in self.cases)

    def num_items(self, split: str) -> int:
        """Number of slices or volumes of a split."""
        return sum(case.num_items for case in self.cases if case.split == split)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataMeta:
    """What is known of a data set's cases without opening one."""

    channels: tuple[str, ...]  # modalities, in channel order
    structures: tuple[str, ...]  # one output channel each; sigmoid unless the loss says softmax
    spatial_dims: Literal[2, 3]
    simulated: bool
    item_shape: tuple[int, ...] | None = None  # of one slice or volume, None: differs by case


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A data set as scenarios name it.

    ``index(settings, sites, seed)`` lists the cases of every site (``sites`` maps site names to
    their ``site_settings``), split by patient, quickly, without torch; it raises
    :class:`~simulator.errors.ScenarioError` for missing folders and empty sites.

    ``load(settings, site_settings, case, seed)`` returns ``(image, label, spacing_mm)``:
    ``image`` float32 ``(channels, *spatial)``, ``label`` uint8 ``(structures, *spatial)`` of 0/1,
    ``spacing_mm`` one number per spatial axis. A 2-D case has spatial axes (slice, y, x) and is
    trained slice by slice. It raises :class:`~simulator.errors.BadCase`. None: nothing to load,
    the data set can only be planned with. ``choosing`` are the keys of the settings that say which
    cases there are and whose, not what is in them: changing one reads no case again.
    """

    settings: type[Settings]
    site_settings: type[Settings]
    describe: Callable[[Any], DataMeta]
    index: Callable[[Any, Mapping[str, Any], int], dict[str, SiteIndex]]
    load: Callable[[Any, Any, CaseInfo, int], Any] | None
    choosing: frozenset[str] = frozenset({"root"})
    summary: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What a network costs, known without building it.

    ``parts`` says of named parts of the network ("head", "batch_norm", …) how many of the
    parameters and of the float buffers are theirs; ``num_heads`` counts auxiliary heads too.
    ``num_channels`` and ``item_shape`` say what one pass sees, where the scenario is known.
    """

    num_parameters: int
    num_buffers: int  # float entries besides parameters (running statistics)
    forward_flop: float  # floating-point operations of one forward pass of one item
    num_counters: int = 0  # integer entries (one per normalization layer that keeps statistics)
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    num_heads: int = 1
    num_channels: int = 0
    item_shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A segmentation network as scenarios name it.

    ``size(settings, num_channels, num_structures, item_shape)`` needs no torch; ``build`` is a
    reference ``"module:function"`` to ``(settings, num_channels, num_structures, spatial_dims) ->
    torch.nn.Module``, or None where a network is only declared for plans. ``parts`` maps the name of
    a part to a regular expression, searched in the names of parameters and buffers; the part
    ``batch_norm`` is found by the type of layers and needs none. ``bottleneck`` is searched in the names
    of layers; the longest that fits has the features at the lowest resolution as output.
    """

    settings: type[Settings]
    size: Callable[[Any, int, int, tuple[int, ...]], ModelSize]
    build: str | None
    parts: Mapping[str, str] = field(default_factory=dict)
    bottleneck: str = ""
    summary: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A network that tells classes of images apart, which some methods train beside the segmentation.

    ``size(num_channels, num_classes, shape)`` needs no torch; ``shape`` is (y, x). ``build`` is a reference
    ``"module:function"`` to ``(num_channels, num_classes) -> torch.nn.Module`` from images
    ``(batch, channels, y, x)`` to logits ``(batch, classes)``, without buffers.
    """

    size: Callable[[int, int, tuple[int, int]], ModelSize]
    build: str
    summary: str
    source: str


_KINDS: Mapping[Group, type] = {
    "algorithms": Algorithm, "classifiers": Classifier, "datasets": Dataset, "networks": Network,
}  # fmt: skip
_SLIPS = (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError)  # of unfinished modules


@cache
def registry(group: Group) -> Mapping[str, Any]:
    """Return all usable entries of a group by name, sorted."""
    return {name: found for name, found in _entries(group).items() if not isinstance(found, str)}


def unusable(group: Group) -> Mapping[str, str]:
    """Return why entries that installed packages declare cannot be used, by name."""
    return {name: found for name, found in _entries(group).items() if isinstance(found, str)}


def _entries(group: Group) -> dict[str, Any]:
    declared: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=f"medgossip.{group}"):
        declared.setdefault(entry.name, []).append(entry)
    return {name: _entry(group, declared[name]) for name in sorted(declared)}


def _entry(group: Group, declared: Sequence[EntryPoint]) -> Any:
    first = declared[0]
    if declared[1:] and len(values := sorted({entry.value for entry in declared})) > 1:
        return f"{' and '.join(values)} have this name; rename one, or uninstall its package"
    try:
        found = first.load()
    except _SLIPS as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return f"{first.value} cannot be loaded ({why}); mend or uninstall its package"
    if not isinstance(found, _KINDS[group]):
        return f"{first.value} is no {_KINDS[group].__name__}, but of type {type(found).__name__}"
    settings = getattr(found, "settings", None)
    tags = get_args(settings.model_fields["name"].annotation) if settings else ()
    if tags and first.name not in tags:
        return f"the settings of {first.value} are named {tags[0]}; give both the same name"
    return found


def resolve(reference: str) -> Any:
    """Import what ``"module:name"`` says."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def suggest(name: str, known: list[str], likeness: float = 0.6) -> str:
    """Return ``"; did you mean x?"`` where a known name is close, else the list of known names.

    ``likeness``, from 0 to 1, says how close; see :func:`difflib.get_close_matches`.
    """
    close = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(sorted(known))}"


def classifier_size(name: str, num_classes: int, model: ModelSize) -> ModelSize:
    """What a classifier costs beside a segmentation network, on the items that this one sees.

    Of a volume it sees the mean along the first axis.
    """
    height, width = model.item_shape[-2:]
    size: ModelSize = registry("classifiers")[name].size(model.num_channels, num_classes, (height, width))
    return size


def _known_classifier(name: str) -> str:
    known = list(registry("classifiers"))
    if name not in known:
        raise ValueError(f'no classifier is called "{name}"{suggest(name, known)}')
    return name


ClassifierName = Annotated[str, AfterValidator(_known_classifier)]
"""The name of a registered classifier."""
