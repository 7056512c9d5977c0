from types import SimpleNamespace

import pytest
import torch

from simulator import doctor


def found(tmp_path):
    return {check.name: check for check in doctor.checks(tmp_path / "store", tmp_path / "out")}


def test_a_complete_machine(tmp_path):
    checks = found(tmp_path)
    assert all(check.ok for check in checks.values()), checks
    assert {"Python", "torch", "monai", "ruamel.yaml", "CPU", "CUDA", "store", "results"} <= checks.keys()
    assert "pytest" not in checks, "extras are not needed"
    assert not (tmp_path / "store").exists(), "looking makes nothing"


def test_a_missing_and_an_old_package(tmp_path, monkeypatch):
    monkeypatch.setattr(
        doctor, "requires", lambda _: ["nowhere>=1.0", "numpy>=99.1", 'pytest>=1; extra == "dev"']
    )
    checks = found(tmp_path)
    assert checks["nowhere"] == doctor.Check(
        name="nowhere", ok=False, found='missing; pip install "nowhere>=1.0"'
    )
    assert not checks["numpy"].ok
    assert checks["numpy"].found.endswith('; too old, pip install "numpy>=99.1"')
    assert "pytest" not in checks


def test_the_network_runs_without_a_compiler(monkeypatch):
    def missing(name):
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    check = doctor._compiler()
    assert check.ok
    assert check.found == 'not there, so large networks are slower; pip install "medgossip[fast]"'


@pytest.mark.parametrize(("text", "numbers"), [("2.13.0+cpu", (2, 13, 0)), ("1.0rc1", (1, 0)), ("x", ())])
def test_versions_are_compared_as_numbers(text, numbers):
    assert doctor._numbers(text) == numbers


def test_a_full_or_closed_disk(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 5e8})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    store = found(tmp_path)["store"]
    assert not store.ok
    assert store.found.endswith("0.5 GB free; not writable, less than 1 GB free, choose another folder")


def test_gpus_are_told_with_their_memory_and_how_to_try_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    gpu = SimpleNamespace(name="NVIDIA T4", total_memory=16e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    check = next(check for check in doctor._torch() if check.name == "CUDA")
    assert check.found == (
        "13.0: NVIDIA T4 with 16 GB, NVIDIA T4 with 16 GB, bf16 not in hardware; "
        'try them once with "pytest -m cuda" in a checkout'
    )
