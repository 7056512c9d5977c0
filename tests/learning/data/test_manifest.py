import pytest

from simulator.errors import ScenarioError
from simulator.learning.data.manifest import ManifestSettings, Row, read


def write(folder, text):
    (folder / "manifest.csv").write_text(text, encoding="utf-8-sig")
    return folder


def test_rows_by_site_and_case(tmp_path):
    root = write(tmp_path, "site,patient,case,split,more\na,p,1,train,x\na,p,2,train,\nb,q,1,test,x\n")
    assert read(root, ManifestSettings()) == {
        "a": {"1": Row(patient="p", split="train"), "2": Row(patient="p", split="train")},
        "b": {"1": Row(patient="q", split="test")},
    }
    assert read(root, ManifestSettings(split=None))["b"]["1"].split is None


def test_other_names_of_columns(tmp_path):
    root = write(tmp_path, "center,subject,file,fold\na,p,1,val\n")
    settings = ManifestSettings(site="center", patient="subject", case="file", split="fold")
    assert read(root, settings) == {"a": {"1": Row(patient="p", split="val")}}


def test_absent_by_default_but_not_when_named(tmp_path):
    assert read(tmp_path, ManifestSettings()) is None
    with pytest.raises(ScenarioError, match=r"^task.dataset.manifest.file: no file .*cases.csv$"):
        read(tmp_path, ManifestSettings(file="cases.csv"))


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("site,case\na,1\n", {}, 'no column "patient"; found site, case; name the right one in task.dataset'),
        ("", {}, 'no column "site"; found none; '),
        ("site,patient,case\na,p,1\na,p,1\n", {}, r"manifest.csv:3: case 1 of a is listed twice$"),
        ("site,patient,case\na,,1\n", {}, r'manifest.csv:2: nothing in column "patient"$'),
        ("site,patient,case\na,p\n", {}, r'manifest.csv:2: nothing in column "case"$'),
        ("site,patient,case\na,p,1\n", {"split": "fold"}, 'no column "fold"; found site, patient, case$'),
        ('site,patient,case\n"a,p,1', {}, "not a readable CSV table: "),
    ],
)
def test_errors(tmp_path, text, settings, message):
    with pytest.raises(ScenarioError, match=message):
        read(write(tmp_path, text), ManifestSettings.model_validate(settings))
