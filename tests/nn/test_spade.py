"""SPADE's networks: norms in closed form, what an edit reaches, sizes, scales, style."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, batch_norm, instance_norm, interpolate, relu

from lit_gen.errors import UserError
from lit_gen.functional.label_planes import label_planes
from lit_gen.nn.multi_scale_discriminator import MultiScaleDiscriminator
from lit_gen.nn.norms import Norm
from lit_gen.nn.spade_generator import SpadeGenerator
from lit_gen.nn.spade_norm import SpadeNorm
from lit_gen.nn.style_encoder import StyleEncoder
from lit_gen.nn.vgg19 import VGG19Maps

SMALL = {"features": 4, "max_features": 8, "hidden_features": 4}
PLAIN = {
    "batch": lambda x: batch_norm(x, None, None, training=True),
    "instance": instance_norm,
    "none": lambda x: x,
}


@pytest.mark.parametrize("norm", PLAIN)
def test_without_gain_and_bias_it_is_the_norm(norm: Norm) -> None:
    x, condition = torch.randn(3, 5, 6, 7) * 2 + 1, torch.rand(3, 4, 6, 7)
    layer = SpadeNorm(5, 4, 8, norm)
    assert {name.split(".")[0] for name, _ in layer.named_parameters()} == {"hidden", "gain", "bias"}
    assert not torch.allclose(layer(x, condition), PLAIN[norm](x), atol=0.01)
    for part in (layer.gain, layer.bias):
        nn.init.zeros_(part.weight), nn.init.zeros_(part.bias)
    torch.testing.assert_close(layer(x, condition), PLAIN[norm](x))


def test_a_constant_map_gives_a_gain_and_bias_per_channel() -> None:
    """Two pixels from the border, where zeros do not come in: convolutions are then sums of their weights."""
    x, condition = torch.randn(2, 5, 9, 8), torch.tensor([0.0, 1.0, 0.0])
    layer = SpadeNorm(5, 3, 8, "instance")

    def whole(conv: nn.Conv2d, v: Tensor) -> Tensor:
        assert conv.bias is not None
        return conv.weight.sum((2, 3)) @ v + conv.bias

    h = relu(whole(layer.hidden, condition))
    gain, bias = (whole(conv, h)[:, None, None] for conv in (layer.gain, layer.bias))
    expected = instance_norm(x) * (1 + gain) + bias
    out = layer(x, condition[:, None, None].expand(2, 3, 9, 8))
    torch.testing.assert_close(out[:, :, 2:-2, 2:-2], expected[:, :, 2:-2, 2:-2])
    assert gain.abs().min() > 1e-4 and not torch.allclose(out[:, :, 0], expected[:, :, 0], atol=1e-4)


def generator(size: tuple[int, int], latent_dim: int = 0, **more: object) -> SpadeGenerator:
    torch.manual_seed(0)
    return SpadeGenerator((3, *size), (2, *size), latent_dim, **(SMALL | more))


@pytest.mark.parametrize("latent_dim", [0, 6])
@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("size", [(64, 64), (9, 13), (1, 1), (1, 7), (33, 64)])
def test_any_size_goes_through_a_network_made_for_another(latent_dim: int, norm: Norm, size: tuple[int, int]) -> None:
    network = generator((16, 24), latent_dim, norm=norm)
    image = network(torch.rand(2, 3, *size), torch.randn(2, 6) if latent_dim else None)
    assert image.shape == (2, 2, *size)
    assert image.abs().max() <= 1 and torch.isfinite(image).all() and image.std() > 0.01


def seen_by_edit(place: tuple[int, int], **more: object) -> Tensor:
    """Which pixels change when the label of one does; without norms, which would carry everything everywhere."""
    network = generator((32, 32), 6, norm="none", **more).double().eval()
    labels, z = torch.zeros(1, 32, 32, dtype=torch.int64), torch.randn(1, 6).double()
    edited = labels.clone()
    edited[0, place[0], place[1]] = 1
    before, after = (network(label_planes(one, 2).double(), z) for one in (labels, edited))
    return (before != after).any(1)[0]


def test_an_edit_changes_its_neighbourhood() -> None:
    """Off the grids of coarser maps the last block alone sees it: 5×5 in the norm, and three 3×3 convolutions."""
    changed = seen_by_edit((15, 17))
    assert changed[15, 17]
    rows, columns = (changed.any(dim).nonzero().flatten() for dim in (1, 0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 20, 12, 22)


def test_an_edit_on_a_coarser_grid_reaches_farther() -> None:
    assert seen_by_edit((15, 17)).sum() < seen_by_edit((14, 18)).sum() < seen_by_edit((16, 16)).sum()


def test_blocks_see_the_map_resized_by_the_nearest_pixel() -> None:
    network, condition, seen = generator((32, 48)), torch.rand(1, 3, 32, 48), list[Tensor]()
    for block in network.blocks:
        block.register_forward_hook(lambda module, inputs, output: seen.append(inputs[1]))
    network(condition)
    assert [tuple(m.shape[2:]) for m in seen] == [(4, 6), (8, 12), (16, 24), (32, 48)]
    for m in seen:
        assert torch.equal(m, interpolate(condition, m.shape[2:], mode="nearest"))


def test_parameters_are_as_many_as_in_the_paper_s_networks() -> None:
    """As counted where others compare with it: 96.5, 97.5 and 93.0 million for ADE20K, COCO-Stuff and Cityscapes.

    With planes for their 150, 182 and 34 classes, the unknown, and in the latter two the instances' edges.
    """
    counts = []
    with torch.device("meta"):
        for planes in (151, 184, 36):
            network = SpadeGenerator((planes, 256, 256), (3, 256, 256), 0, spectral_norm=False)
            counts.append(round(sum(p.numel() for p in network.parameters()) / 1e5))
    assert counts == [965, 975, 930]


def test_the_generator_refuses_what_it_cannot_be() -> None:
    with pytest.raises(UserError, match="latent_dim is -1"):
        generator((16, 16), -1)
    with pytest.raises(UserError, match="norm is 'layer'"):
        generator((16, 16), norm="layer")


def test_spectra_are_those_of_the_blocks_convolutions() -> None:
    network = generator((32, 32), 6).eval()
    for block in network.blocks:
        for layer in block.convolutions():
            assert abs(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() - 1) < 0.05
    assert sum("original" in name for name, _ in network.named_parameters()) == 2 * 4 + 1


def test_scales_are_discriminators_of_their_own_on_halved_images() -> None:
    network = MultiScaleDiscriminator((3, 21, 16), receptive_field=16, features=4).eval()
    x = torch.rand(2, 3, 21, 16)
    full, half = network.scales(x)
    first, second = network.parts
    assert torch.equal(full[-1][:, 0], first(x))
    halved = avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    assert halved.shape == (2, 3, 11, 8) and torch.equal(half[-1][:, 0], second(halved))
    assert [m.shape[1] for m in full] == [4, 8, 1]
    logits = network(x)
    assert logits.shape == (2, full[-1][0].numel() + half[-1][0].numel())
    assert torch.equal(logits.mean(1), torch.cat([full[-1].flatten(1), half[-1].flatten(1)], 1).mean(1))
    flat = avg_pool2d(torch.ones(1, 1, 5, 4), 3, 2, 1, count_include_pad=False)
    assert torch.equal(flat, torch.ones(1, 1, 3, 2)), "halving does not darken borders"
    with pytest.raises(UserError, match=r"receptive_field is 70, but for images of 32×32 pixels|for images of 16×16"):
        MultiScaleDiscriminator((3, 32, 32), features=2)
    with pytest.raises(UserError, match="num_scales is 0"):
        MultiScaleDiscriminator((3, 32, 32), num_scales=0)


def test_a_layer_s_map_comes_after_its_activation() -> None:
    part = MultiScaleDiscriminator((1, 16, 16), receptive_field=16, features=4, num_scales=1).parts[0].eval()
    x = torch.rand(1, 1, 16, 16)
    maps = part.feature_maps(x)
    assert torch.equal(maps[0], part.layers[:2](x)) and torch.equal(maps[1], part.layers[:5](x))


def test_the_style_encoder_takes_any_size_and_starts_near_a_gaussian() -> None:
    torch.manual_seed(0)
    network = StyleEncoder((3, 32, 24), 6, features=4, max_features=8)
    for size in ((32, 24), (7, 50)):
        mean, log_variance = network(torch.rand(5, 3, *size))
        assert mean.shape == log_variance.shape == (5, 6)
        assert mean.std() > 0.01 and log_variance.abs().max() < 10
    constant = torch.ones(2, 3, 64, 48) * torch.tensor([0.2, 0.7])[:, None, None, None]
    for one, other in zip(network(constant), network(constant[..., ::2, ::2]), strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_vgg19_is_torchvision_s(tmp_path: Path) -> None:
    vgg = pytest.importorskip("torchvision.models.vgg")
    torch.manual_seed(0)
    features = vgg.make_layers(vgg.cfgs["E"])
    path = tmp_path / "vgg19.pth"
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, path)
    network = VGG19Maps(str(path))
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    image = torch.rand(2, 3, 32, 48) * 2 - 1
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    x, wanted = ((image + 1) / 2 - mean) / std, []
    for i, layer in enumerate(features):
        x = layer(x)
        wanted += [x.clone()] if i in (1, 6, 11, 20, 29) else []
    found = network(image)
    assert len(found) == len(wanted) == len(network.weights)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(network(image[:, :1])[0], network(image[:, :1].expand(-1, 3, -1, -1))[0])
    (tmp_path / "other.pth").write_bytes(b"nothing")
    for name in ("other.pth", "none.pth"):
        with pytest.raises(UserError, match=f"{name}, which does not hold the weights of torchvision's vgg19"):
            VGG19Maps(str(tmp_path / name))
