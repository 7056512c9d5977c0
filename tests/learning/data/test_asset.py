import hashlib
import importlib.util
from importlib import resources
from pathlib import Path

import numpy as np

from simulator.learning.data.brainsim_anatomy import ASSET, template

REPOSITORY = Path(__file__).parents[3]


def tool():
    path = REPOSITORY / "tools/build_brainsim_asset.py"
    spec = importlib.util.spec_from_file_location("build_brainsim_asset", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_asset_is_the_one_that_the_tool_builds():
    content = (resources.files("simulator.learning.data") / ASSET).read_bytes()
    assert hashlib.sha256(content).hexdigest() == (
        "d41c5ac9beb6f3fba5bafc7ffca06bc6c886a2dc30aafc5f96e6b17d23ab1dd5"
    )
    assert tool().TARGET.read_bytes() == content


def test_the_notice_travels_with_it():
    notice = (resources.files("simulator.learning.data") / "assets/ICBM152-NOTICE.txt").read_text()
    assert "Copyright (C) 1993-2009 Louis Collins" in notice
    assert "provided that the above copyright" in notice


def test_halving_averages_blocks():
    volume = np.arange(4 * 5 * 2).reshape(4, 5, 2)
    halved = tool().halve(volume)
    assert halved.shape == (2, 2, 1)
    assert halved[1, 0, 0] == volume[2:4, 0:2].mean()


def test_the_template_is_a_brain():
    known = template()
    brain, gray, _, _ = known.maps
    assert brain.shape == (78, 93, 74)
    liters = (brain / 255).sum() * 8e-6
    assert 1.6 < liters < 2.1
    # left and right are the same in a symmetric template
    assert np.abs(brain[:, :, ::-1].astype(int) - brain).mean() < 4
    middle = known.at(np.array([[26.0], [-20.0], [30.0]], dtype=np.float32))
    assert middle.white[0] > 0.9
    seeds = known.at(known.seeds_mm[:500].T.copy())
    assert seeds.white.min() > 0.8
    assert (gray[brain == 0] == 0).all()
