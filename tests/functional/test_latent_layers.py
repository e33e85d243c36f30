import torch
from torch import nn

from lit_gen.functional.latent_layers import latent_weights
from lit_gen.nn.dcgan import DCGANGenerator
from lit_gen.nn.stylegan2 import StyleGAN2Generator


def latents(size: int) -> torch.Tensor:
    return torch.randn(4, size, generator=torch.Generator().manual_seed(0))


def test_the_first_layer_of_a_dcgan_is_found_with_and_without_labels():
    for classes in (None, 3):
        generator = DCGANGenerator((1, 16, 16), 5, classes, features=4).eval()
        label = None if classes is None else torch.tensor([0, 1, 2, 0])
        (found,) = latent_weights(generator, lambda z, g=generator, y=label: g(z, y), latents(5))
        weight = generator.layers[0].weight[:5]  # [in, out, 4, 4]; the label's code comes after the latent
        torch.testing.assert_close(found, weight.flatten(1).T)


class Split(nn.Module):
    """Takes one half of the latent at once, and the other through a layer of its own kind, later."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 7))
        self.second = nn.Conv2d(3, 2, 3, padding=1)
        self.other = nn.Linear(7, 7)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        a = self.other(self.first(z[:, 3:]).relu())
        return a.sum() + self.second(z[:, :3, None, None]).sum()


def test_parts_of_the_latent_are_found_where_they_go():
    network = Split().eval()
    first, second = latent_weights(network, network, latents(6))
    torch.testing.assert_close(first, torch.cat([torch.zeros(7, 3), network.first.weight], dim=1))
    torch.testing.assert_close(second, torch.cat([network.second.weight[:, :, 1, 1], torch.zeros(2, 3)], dim=1))


def test_a_latent_that_is_changed_first_is_met_by_no_layer():
    network = nn.Sequential(nn.Tanh(), nn.Linear(4, 4))
    assert latent_weights(network, network, latents(4)) == []


def test_every_layer_that_takes_a_style_is_found():
    generator = StyleGAN2Generator((1, 8, 8), 5, features=4, max_features=8, style_dim=6, mapping_layers=2).eval()
    assert latent_weights(generator, generator, latents(5)) == []  # its mapping normalises latents first
    with torch.no_grad():
        styles = generator.styles(latents(5))
        torch.testing.assert_close(generator.synthesize(styles), generator(latents(5)))
    found = latent_weights(generator, generator.synthesize, styles)
    affine = [layer.affine for layer in generator.modules() if hasattr(layer, "affine")]
    assert len(found) == len(affine) and {a.shape[1] for a in found} == {6}
    wanted = sorted(float((a.weight.detach() * a.gain).norm()) for a in affine)
    torch.testing.assert_close(sorted(float(a.norm()) for a in found), wanted)
