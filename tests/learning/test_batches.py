import numpy as np
import pytest
import torch

from simulator.errors import ScenarioError
from simulator.learning.augmentation import Augmentation
from simulator.learning.batches import cut, draw_window, epoch_batches, training_items
from simulator.learning.cases import CaseCache
from simulator.rng import stream
from tests.learning import toy


def epoch(ctx, number=0):
    return list(epoch_batches(ctx, training_items(ctx), number))


def test_an_epoch_visits_every_slice_once_in_an_order_of_its_own(toy_registry):
    ctx = toy.context(toy.recipe(augment=[]), train=3, num_items=3)
    batches = epoch(ctx)
    assert [len(batch.images) for batch in batches] == [4, 4, 1]
    seen = torch.cat([batch.images for batch in batches]).flatten(1)
    given = torch.cat([case.images for case in ctx.cases("train")]).flatten(1)
    order = [int((given == item).all(1).nonzero()) for item in seen]
    assert sorted(order) == list(range(9))
    assert order != sorted(order)
    assert not torch.equal(batches[0].images, epoch(ctx, 1)[0].images)


def test_batches_depend_on_seed_site_and_epoch_alone(toy_registry):
    recipe = toy.recipe(augment=["flip", "rotate90", "gamma", "noise"])
    bundles = [toy.prepared(recipe)]
    one = epoch(toy.context(recipe, bundles=bundles), 3)[1]
    again = epoch(toy.context(recipe, bundles=bundles), 3)[1]
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.labels, again.labels)
    for other in (
        toy.context(recipe, site="south", bundles=bundles),
        toy.context(recipe, seed=2, bundles=bundles),
    ):
        assert not torch.equal(one.images, epoch(other, 3)[1].images)


def test_one_kind_of_augmentation_leaves_the_draws_of_the_others(toy_registry):
    def labels(*kinds):
        ctx = toy.context(toy.recipe(augment=list(kinds)))
        return torch.cat([batch.labels for batch in epoch(ctx)])

    assert torch.equal(labels("flip"), labels("flip", "noise", "gamma"))
    assert not torch.equal(labels("flip"), labels())


@pytest.mark.parametrize("dims", [2, 3])
def test_geometry_moves_image_and_label_alike(dims):
    augmentation = Augmentation(["flip", "rotate90"], lambda *n: stream(1, *n), 0, 40, dims)
    item = torch.arange(6.0**dims).reshape(1, *[6] * dims)
    kinds = set()
    for place in range(40):
        moved = augmentation.geometry(place, item)
        assert torch.equal(augmentation.geometry(place, item * 2), moved * 2)
        assert sorted(moved.flatten().tolist()) == item.flatten().tolist()
        kinds.add(tuple(moved.flatten().tolist()))
    assert len(kinds) >= 6, "all eight (2-D) arrangements should occur in 40 draws, or nearly"


def test_rotation_keeps_the_shape_of_an_item_that_is_not_square():
    augmentation = Augmentation(["rotate90"], lambda *n: stream(1, *n), 0, 20, 2)
    assert {augmentation.geometry(place, torch.zeros(1, 4, 6)).shape for place in range(20)} == {(1, 4, 6)}


def test_gamma_keeps_the_range_and_noise_is_small():
    augmentation = Augmentation(["gamma"], lambda *n: stream(1, *n), 0, 30, 2)
    images = torch.linspace(-2, 3, 30 * 2 * 16).reshape(30, 2, 4, 4)
    changed = augmentation.intensity(slice(0, 30), images.clone())
    torch.testing.assert_close(changed.amin((2, 3)), images.amin((2, 3)))
    torch.testing.assert_close(changed.amax((2, 3)), images.amax((2, 3)))
    count = int((changed != images).flatten(1).any(1).sum())
    assert 3 <= count <= 18
    noisy = Augmentation(["noise"], lambda *n: stream(1, *n), 0, 30, 2).intensity(
        slice(0, 30), images.clone()
    )
    assert 0 < (noisy - images).abs().max() < 0.6


def test_patches_are_cut_inside_and_hit_the_structures(toy_registry):
    recipe = toy.recipe(dataset={"dims": 3}, patch_size=[8, 6, 4], patches_per_case=20, augment=[])
    ctx = toy.context(recipe, train=2)
    batches = epoch(ctx)
    assert sum(len(batch.images) for batch in batches) == 40
    assert batches[0].images.shape[1:] == (2, 8, 6, 4)
    hit = torch.cat([batch.labels.flatten(2).any(2) for batch in batches]).float().mean(0)
    assert hit[0] > 0.6, "two of three patches are centered on a structure"


def test_image_and_label_are_cut_and_turned_alike(toy_registry):
    recipe = toy.recipe(
        dataset={"dims": 3}, patch_size=[8, 6, 6], patches_per_case=5, augment=["flip", "rotate90"]
    )
    ctx = toy.context(recipe)
    for case in ctx.cases("train"):
        case.labels.copy_(case.images > 0)
    for batch in epoch(ctx):
        assert torch.equal(batch.labels, (batch.images > 0).float())


def test_a_patch_larger_than_the_item_is_padded_with_zeros():
    window = [(-2, 6), (1, 3)]
    patch = cut(torch.ones(1, 4, 4), window)
    assert patch.shape == (1, 8, 2)
    assert patch.sum() == 8
    assert torch.all(patch[:, 2:6] == 1)


def test_windows_stay_inside_and_cover_the_whole_item(toy_registry):
    case = toy.context(toy.recipe(augment=[]), num_items=1).cases("train")[0]
    rng = stream(1, "windows")
    windows = [draw_window(rng, case, 0, (6, 20)) for _ in range(300)]
    assert all(window[1] == (-2, 18) for window in windows)
    assert {window[0][0] for window in windows} == set(range(11))


def test_whole_items_of_different_shape_need_a_patch_size(toy_registry):
    small, large = toy.prepared(toy.recipe(dataset={"size": 8})), toy.prepared(toy.recipe())
    with pytest.raises(ScenarioError, match=r"differ in shape \(8x8 and 16x16\); set a patch size"):
        epoch(toy.context(toy.recipe(), bundles=[small, large]))


def test_a_site_without_training_cases_is_an_error(toy_registry):
    with pytest.raises(ScenarioError, match="north: no training case is left"):
        epoch(toy.context(toy.recipe(), train=0))


def test_softmax_losses_refuse_overlapping_structures(toy_registry):
    with pytest.raises(ScenarioError, match="do not overlap"):
        toy.context(toy.recipe(loss="jaccard_ce")).cases("train")
    exclusive = toy.recipe(loss="jaccard_ce", dataset={"exclusive": True})
    assert len(toy.context(exclusive).cases("train")) == 3


def test_the_cache_keeps_tensors_until_others_need_the_room(toy_registry):
    first, second = (toy.as_data([toy.prepared(toy.recipe(), seed=seed)]) for seed in (1, 2))
    cache = CaseCache(lambda _: 1)
    tensors = cache.get(*first, 2, "cpu")
    assert cache.get(first[0], lambda keys: [], 2, "cpu")[0] is tensors[0]
    cache.get(*second, 2, "cpu")
    again = cache.get(*first, 2, "cpu")
    assert again[0] is not tensors[0]
    assert np.array_equal(again[0].images, tensors[0].images)


def test_cases_without_room_on_the_device_stay_in_the_machines_memory(toy_registry, monkeypatch):
    sites = [toy.as_data([toy.prepared(toy.recipe(), seed=seed)]) for seed in range(3)]
    keys = [key for known, _ in sites for key in known]
    found = [*sites[0][1](sites[0][0]), *sites[1][1](sites[1][0]), *sites[2][1](sites[2][0])]
    load = dict(zip(keys, found, strict=True))
    nbytes = sum(array.nbytes for array in found[0].arrays.values())
    cache = CaseCache(lambda device: {"meta": 2.5, "cpu": 9}[device] * nbytes)

    def places(*numbers):
        wanted = [keys[number] for number in numbers]
        cases = cache.get(wanted, lambda new: [load[key] for key in new], 2, "meta")
        return [case.images.device.type for case in cases[:: len(cases) // len(numbers)]]

    assert places(0, 1, 2) == ["meta", "meta", "cpu"]
    assert places(2) == ["cpu"], "it is kept as it is"
    cache.clear()
    assert places(2) == ["meta"]
    assert places(0) == ["meta"]
    assert places(1) == ["meta"], "another one went"
    assert len(cache._kept) == 2
