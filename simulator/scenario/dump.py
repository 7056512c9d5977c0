"""Writing a scenario out: resolved YAML that reads back to the same, and its digest."""

import hashlib
import io
import json
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from simulator import registry
from simulator.scenario.schema import ScenarioBase, scenario_model


def dump(scenario: ScenarioBase) -> str:
    """Return the scenario as YAML, defaults written out; it loads back to an equal scenario.

    A value of null is left out where that is the default.
    """
    sections = _without_nulls(scenario, _json(scenario))
    return "".join(_section(key, json.dumps(value)) for key, value in sections.items())


@lru_cache(maxsize=1024)
def _section(key: str, value: str) -> str:
    """The YAML of a top-level key and its value, given as JSON: made once for all runs that share it."""
    content = json.loads(value)
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None if isinstance(content, dict | list) else False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump({key: content}, stream)
    return stream.getvalue()


def pack(scenario: ScenarioBase) -> str:
    """Return what the scenario says as one line, defaults left out, for another process;
    :func:`unpack` gives it back.
    """
    return scenario.model_dump_json(by_alias=True, exclude_unset=True)


def unpack(text: str) -> ScenarioBase:
    """Return the scenario that was packed; what types cannot say has been checked before."""
    scenario = scenario_model().model_validate_json(text)
    settings = registry.registry("datasets")[scenario.task.dataset.name].site_settings
    sites = tuple(
        site.model_copy(update={"data": settings.model_validate(site.data)}) for site in scenario.sites
    )
    return scenario.model_copy(update={"sites": sites})


def digest(scenario: ScenarioBase) -> str:
    """Return 32 hexadecimal digits that depend on every value of the scenario (BLAKE2b)."""
    canonical = json.dumps(_floats(_json(scenario)), sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def show(value: object) -> str:
    """Return plain data in one line, as a scenario would write it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {show(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(show(inner) for inner in value) + "]"
    return str(value).replace("\n", "; ")


def _json(scenario: ScenarioBase) -> dict[str, Any]:
    return scenario.model_dump(mode="json", by_alias=True)


def _floats(value: Any) -> Any:
    """Make every number a float: a default written as 1 is the value 1.0 that a file gives."""
    if isinstance(value, dict):
        return {key: _floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_floats(inner) for inner in value]
    return float(value) if type(value) is int and abs(value) < 2**53 else value


def _without_nulls(value: Any, written: Any) -> Any:
    """Leave out the nulls of ``written``, the JSON form of ``value``, that are defaults. What is not in it at
    all has its default too, and settings that leave that out.
    """
    if isinstance(value, BaseModel):
        kept = {}
        for name, field in type(value).model_fields.items():
            key = field.alias or name
            inner = getattr(value, name)
            if key in written and (inner is not None or field.default is not None):
                kept[key] = _without_nulls(inner, written[key])
        return dict(sorted(kept.items(), key=lambda entry: entry[0] != "name"))
    if isinstance(value, tuple | list):
        return [_without_nulls(one, text) for one, text in zip(value, written, strict=True)]
    return written
