"""UTNet and SD-UTNet: published counts, counts of the modules, and the loss that a network adds."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from simulator.errors import ScenarioError
from simulator.learning import training
from simulator.learning.nets.utnet_sizes import SD_UTNET
from simulator.learning.networks import build, network_spec
from simulator.registry import registry
from tests.learning import toy
from tests.learning.toy import one_thread, toy_registry

__all__ = ["one_thread", "toy_registry"]
SHAPE = (128, 128)


def size_of(name, channels, outputs, shape):
    network = registry("networks")[name]
    return network.size(network.settings(), channels, outputs, shape)


def module_of(name, channels=3, outputs=2, shape=SHAPE):
    return build(network_spec({"name": name}, channels, outputs, 2, shape))


@pytest.mark.parametrize(
    ("name", "parameters", "entries"),
    # of SD-UTNet's 61,082 published buffer entries 48 are statistics of AdaIN that nothing uses
    [("utnet", 14_418_788, 60_227), ("sd-utnet", 18_836_223, 61_082 - 48)],
)
def test_the_published_counts_at_512_are_met(name, parameters, entries):
    size = size_of(name, 3, 2, (512, 512))
    assert size.num_parameters == parameters
    assert size.num_buffers + size.num_counters == entries


@pytest.mark.parametrize("name", ["utnet", "sd-utnet"])
@pytest.mark.parametrize(("channels", "outputs", "shape"), [(3, 2, (128, 128)), (1, 3, (100, 200))])
def test_counts_are_those_of_the_module(name, channels, outputs, shape):
    size, module = size_of(name, channels, outputs, shape), module_of(name, channels, outputs, shape)
    assert size.num_parameters == sum(values.numel() for values in module.parameters())
    floats = [buffer.numel() for buffer in module.buffers() if buffer.is_floating_point()]
    assert size.num_buffers == sum(floats)
    assert size.num_counters == sum(buffer.numel() for buffer in module.buffers()) - sum(floats)
    images = torch.zeros(2, channels, *(-(-edge // 128) * 128 for edge in shape))
    with FlopCounterMode(display=False) as counted:
        logits = module(images)
    assert logits.shape == (2, outputs, *images.shape[2:])
    assert size.forward_flop == counted.get_total_flops() / 2
    head = [values.numel() for part, values in module.named_parameters() if part.startswith(HEADS[name])]
    assert size.parts["head"][0] == sum(head)


HEADS = {"utnet": "head.", "sd-utnet": "segmentor."}


def test_the_loss_has_its_four_terms():
    torch.manual_seed(0)
    module = module_of("sd-utnet", 1, 1)
    images = torch.randn(2, 1, *SHAPE).tanh()
    torch.manual_seed(1)
    module(images)
    got = module.take_auxiliary()
    torch.manual_seed(1)
    content = module.content(images).tanh()
    z, mean, log_variance = module.style(images)
    restored = module.decoder(content, z)
    expected = 0.01 * -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
    expected = expected + (module.style(restored)[0] - z).abs().mean() + (restored - images).abs().mean()
    torch.testing.assert_close(got, expected)
    with pytest.raises(ValueError, match="no pass in training"):
        module.take_auxiliary()
    module.eval()(images)
    with pytest.raises(ValueError, match="no pass in training"):
        module.take_auxiliary()
    assert restored.shape == images.shape


def test_a_single_image_and_items_of_many_sizes_and_volumes_are_refused():
    with pytest.raises(ScenarioError, match="met one of a single image"):
        module_of("sd-utnet", 1, 1)(torch.zeros(1, 1, *SHAPE))
    with pytest.raises(ScenarioError, match="needs items of one size"):
        module_of("sd-utnet", 1, 1, None)
    with pytest.raises(ScenarioError, match="utnet is for 2-D items"):
        size_of("utnet", 1, 1, (32, 32, 32))


def test_a_network_adds_its_loss_in_training_alone(toy_registry, monkeypatch):
    monkeypatch.setitem(registry("networks"), "sd-utnet", SD_UTNET)
    recipe = toy.recipe(network={"name": "sd-utnet"}, optimizer={"lr": 1e-3}, batch_size=2, augment=[])
    for key in ("channels", "num_res_units"):
        del recipe["network"][key]
    ctx = toy.context(recipe, train=1, num_items=2)
    assert ctx.spec.settings.image_size == (16, 16)
    model = training.initial(ctx)
    pupil = ctx.pupil(model, "local")
    seen = []

    def step(batch):
        output = pupil.output(batch)
        auxiliary = pupil.module._auxiliary.detach()
        loss = pupil.supervised(output, batch)
        expected = 10 * ctx.loss.train(output, batch.labels) + auxiliary
        torch.testing.assert_close(loss.detach(), expected.detach())
        pupil.step(loss)
        seen.append(auxiliary)
        return loss.detach()

    ctx.epochs(step, epochs=1, first_epoch=0)
    assert len(seen) == 1
    trained = pupil.bundle(keep_optimizer=False)
    assert not torch.equal(torch.tensor(trained.arrays["model"]), torch.tensor(model.arrays["model"]))
    assert ctx.validate(trained)[0] < 10
