"""Networks that translate: sizes, receptive fields, norms, dropout, start, padding."""

import pytest
import torch
from torch import nn

from lit_gen.errors import UserError
from lit_gen.nn.norms import make_norm
from lit_gen.nn.padding import cropped, padded
from lit_gen.nn.patch_discriminator import PatchDiscriminator
from lit_gen.nn.patch_head import PatchHead
from lit_gen.nn.resnet_translator import ResNetTranslator
from lit_gen.nn.unet import UNetGenerator

TRANSLATORS = {
    "unet": lambda source, image, **more: UNetGenerator(source, image, features=4, max_features=8, **more),
    "resnet": lambda source, image, **more: ResNetTranslator(source, image, features=4, blocks=2, **more),
}
every_translator = pytest.mark.parametrize("kind", TRANSLATORS)


def loud(network: nn.Module) -> nn.Module:
    """Weights so large that without norms something is left at the end to be compared."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(8)
    return network


@every_translator
@pytest.mark.parametrize("upsampling", ["transposed", "nearest"])
@pytest.mark.parametrize("size", [(64, 64), (9, 13), (1, 7), (33, 64)])
def test_any_size_goes_through_a_network_made_for_another(kind: str, upsampling: str, size: tuple[int, int]) -> None:
    network = TRANSLATORS[kind]((1, 16, 24), (3, 16, 24), upsampling=upsampling)
    image = network(torch.rand(2, 1, *size))
    assert image.shape == (2, 3, *size)
    assert image.abs().max() <= 1 and torch.isfinite(image).all()


@pytest.mark.parametrize(("kind", "multiple"), [("unet", 16), ("resnet", 4)])
def test_what_is_padded_is_cropped_back(kind: str, multiple: int) -> None:
    """A mirrored image that already has the right size gives, in its middle, what the image gives."""
    torch.manual_seed(0)
    network = loud(TRANSLATORS[kind]((1, 16, 16), (2, 16, 16), norm="none").eval())
    x = torch.rand(1, 1, 13, 10)
    whole = padded(x, multiple)
    assert whole.shape == (1, 1, 16, 12 if multiple == 4 else 16)
    image = network(x)
    torch.testing.assert_close(image, cropped(network(whole), 13, 10))
    assert image.std() > 0.01


def test_padding_mirrors_and_cropping_undoes_it() -> None:
    x = torch.arange(5.0).view(1, 1, 1, 5)
    assert padded(x, 1) is x
    rows = padded(x.expand(1, 1, 3, 5), 4)
    assert rows.shape == (1, 1, 4, 8)
    assert rows[0, 0, 0].tolist() == [1, 0, 1, 2, 3, 4, 3, 2]
    assert torch.equal(cropped(rows, 3, 5), x.expand(1, 1, 3, 5))
    narrow = padded(x, 4, 16)  # one row cannot be mirrored
    assert narrow.shape == (1, 1, 16, 16)
    assert narrow[0, 0, 0].tolist() == [0] * 5 + [0, 1, 2, 3, 4] + [4] * 6
    assert torch.equal(cropped(narrow, 1, 5), x)


@pytest.mark.parametrize("field", [1, 16, 34, 70, 142, 286])
def test_a_logit_sees_as_much_as_is_claimed(field: int) -> None:
    """By its gradient, away from the border; with weights that cannot cancel, without norms, which see everything."""
    side = {1: 5, 16: 64, 34: 128, 70: 192, 142: 384, 286: 768}[field]
    network = PatchDiscriminator((1, side, side), receptive_field=field, features=1, max_features=1, norm="none")
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.5)
    x = torch.ones(1, 1, side, side, requires_grad=True)
    logits = network(x)
    assert logits.ndim == 3 and len(logits) == 1
    logits[0, logits.shape[1] // 2, logits.shape[2] // 2].backward()
    seen = x.grad[0, 0] != 0
    for dim in (0, 1):
        places = seen.any(dim).nonzero().flatten()
        assert places.max() - places.min() + 1 == field
        assert places.min() > 0 or field == 1
        assert places.max() < side - 1


def test_a_patch_that_the_image_is_too_small_for_is_refused() -> None:
    PatchDiscriminator((3, 24, 40), features=2)
    with pytest.raises(UserError, match=r"receptive_field is 70, but for images of 23×40 pixels it can be 1, 16, 34$"):
        PatchDiscriminator((3, 23, 40), features=2)
    with pytest.raises(UserError, match="receptive_field is 71; it can be 1, 16"):
        PatchDiscriminator((3, 64, 64), receptive_field=71)
    with pytest.raises(UserError, match="norm is 'layer'; it can be instance, batch, none"):
        PatchDiscriminator((3, 64, 64), norm="layer")
    with pytest.raises(UserError, match="no classes"):
        PatchDiscriminator((3, 64, 64), num_classes=2)
    with pytest.raises(UserError, match="upsampling is 'cubic'"):
        UNetGenerator((3, 64, 64), (3, 64, 64), upsampling="cubic")
    with pytest.raises(UserError, match="blocks are 0"):
        ResNetTranslator((3, 64, 64), (3, 64, 64), blocks=0)


def test_every_logit_is_the_network_s_own_patch() -> None:
    """Without norms, a logit of a large image is the same as that of its patch alone, cut with what surrounds it."""
    torch.manual_seed(0)
    network = loud(PatchDiscriminator((2, 64, 64), receptive_field=16, features=4, norm="none"))
    x = torch.rand(1, 2, 64, 64)
    shifted = network(x[:, :, 2:, 4:])  # one logit further down, two further right: the stride is 2
    logits = network(x)[:, 9:17, 10:18]
    torch.testing.assert_close(logits, shifted[:, 8:16, 8:16])
    assert logits.std() > 0.01


def test_instance_norm_is_each_image_s_own_in_training_and_after() -> None:
    x = torch.randn(3, 4, 5, 6) * 3 + 7
    norm = make_norm("instance", 4)
    expected = (x - x.mean((2, 3), keepdim=True)) / (x.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    for network in (norm.train(), norm.eval()):
        torch.testing.assert_close(network(x), expected)
    assert not list(norm.state_dict())


@every_translator
def test_an_image_does_not_depend_on_its_batch(kind: str) -> None:
    torch.manual_seed(0)
    network = TRANSLATORS[kind]((3, 16, 16), (3, 16, 16), dropout=0.0)  # in training mode
    x = torch.rand(4, 3, 16, 16)
    torch.testing.assert_close(network(x)[2:3], network(x[2:3]))


@every_translator
def test_dropout_is_the_only_noise(kind: str) -> None:
    network = TRANSLATORS[kind]((3, 16, 16), (3, 16, 16), dropout=0.5)
    x = torch.rand(1, 3, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_unet_is_the_paper_s_at_the_paper_s_size() -> None:
    network = UNetGenerator((3, 256, 256), (3, 256, 256))
    widths = [next(m.out_channels for m in stage if isinstance(m, nn.Conv2d)) for stage in network.encoder]
    assert widths == [64, 128, 256, 512, 512, 512, 512, 512]
    ups = [next(m for m in stage if isinstance(m, nn.ConvTranspose2d)) for stage in network.decoder]
    assert [up.out_channels for up in ups] == [512, 512, 512, 512, 256, 128, 64, 3]
    assert [up.in_channels for up in ups] == [512, 1024, 1024, 1024, 1024, 512, 256, 128]
    dropped = [any(isinstance(m, nn.Dropout) for m in stage) for stage in network.decoder]
    assert dropped == [True] * 3 + [False] * 5
    normed = [any(isinstance(m, nn.InstanceNorm2d) for m in stage) for stage in network.encoder]
    assert normed == [False] + [True] * 6 + [False]


def test_parameters_are_as_many_as_in_the_papers_networks() -> None:
    """The authors' networks, with biases where no norm follows: 54.4, 11.4 and 2.8 million."""
    count = {
        "unet": sum(p.numel() for p in UNetGenerator((3, 256, 256), (3, 256, 256)).parameters()),
        "resnet": sum(p.numel() for p in ResNetTranslator((3, 256, 256), (3, 256, 256)).parameters()),
        "patch": sum(p.numel() for p in PatchDiscriminator((3, 256, 256)).parameters()),
    }
    assert {name: round(number / 1e5) for name, number in count.items()} == {"unet": 544, "resnet": 114, "patch": 28}
    small = ResNetTranslator((3, 128, 128), (3, 128, 128))
    assert len(small.blocks) == 6


@every_translator
def test_weights_start_from_the_papers_distribution(kind: str) -> None:
    torch.manual_seed(0)
    network = TRANSLATORS[kind]((3, 64, 64), (3, 64, 64), norm="batch")
    weights = torch.cat([m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d)])
    assert abs(weights.std() - 0.02) < 0.001 and abs(weights.mean()) < 0.001
    gains = torch.cat([m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert 0.01 < gains.std() < 0.03 and abs(gains.mean() - 1) < 0.01
    assert all((m.bias == 0).all() for m in network.modules() if getattr(m, "bias", None) is not None)


def test_encoded_maps_are_those_of_the_forward_pass() -> None:
    network = ResNetTranslator((3, 16, 24), (3, 16, 24), features=4, blocks=6)
    seen: list[torch.Tensor] = []
    for layer in (*network.halvings, network.blocks[0], network.blocks[4]):
        layer.register_forward_hook(lambda module, inputs, output: seen.append(output))
    x = torch.rand(2, 3, 16, 24)
    network(x)
    expected, seen = [x, *seen], []
    maps = network.encode(x)
    assert [m.shape[1] for m in maps] == list(network.encoded_channels) == [3, 8, 16, 16, 16]
    assert [tuple(m.shape[2:]) for m in maps] == [(16, 24), (8, 12), (4, 6), (4, 6), (4, 6)]
    assert all(torch.equal(one, other) for one, other in zip(maps, expected, strict=True))
    assert ResNetTranslator((3, 8, 8), (3, 8, 8), features=4, blocks=1).encoded_channels == (3, 8, 16, 16)


def test_the_head_embeds_single_positions_as_unit_vectors() -> None:
    torch.manual_seed(0)
    head, maps = PatchHead([3, 5], features=7), [torch.randn(2, 3, 4, 6), torch.randn(2, 5, 2, 3)]
    positions = head.positions(maps, 10)
    assert [len(p) for p in positions] == [10, 6]
    assert all(len(set(p.tolist())) == len(p) for p in positions)
    assert sorted(positions[1].tolist()) == list(range(6))
    embedded = head(maps, positions)
    assert [tuple(e.shape) for e in embedded] == [(2, 10, 7), (2, 6, 7)]
    row, column = divmod(int(positions[0][4]), 6)
    alone = head.layers[0](maps[0][1, :, row, column])
    torch.testing.assert_close(embedded[0][1, 4], alone / alone.norm())
