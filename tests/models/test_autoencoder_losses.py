"""The losses of autoencoders, VQ-VAE and VQ-GAN, term by term."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, l1_loss, mse_loss

from lit_gen.errors import UserError
from lit_gen.functional.adversarial import RelativisticPairingLoss
from lit_gen.models.autoencoder import Autoencoder
from lit_gen.models.vq_gan import VQGAN
from lit_gen.models.vq_vae import VQVAE
from lit_gen.nn.map_autoencoder import MapDecoder, MapEncoder
from lit_gen.nn.patch_discriminator import PatchDiscriminator

SHAPE = (1, 9, 13)


class _Step:
    """As much of a trainer as a loss asks for."""

    def __init__(self, step: int) -> None:
        self.global_step = step


def _at(model: Any, step: int) -> Any:
    model._trainer = _Step(step)
    return model


def _images(num: int) -> Tensor:
    return torch.rand(num, *SHAPE, generator=torch.Generator().manual_seed(num)) * 2 - 1


def _small(features: int = 16) -> dict[str, Any]:
    return {
        "encoder": lambda **given: MapEncoder(**given, features=features, max_features=features),
        "decoder": lambda **given: MapDecoder(**given, features=features, max_features=features),
        "num_codes": 8,
        "code_dim": 4,
    }


class _Perceptual(nn.Module):
    """A frozen network of one map, the image times a number."""

    weights = (2.0,)

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(3.0))

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.gain * image]


def _vq_gan(**settings: Any) -> VQGAN:
    torch.manual_seed(0)
    discriminator = lambda **given: PatchDiscriminator(**given, receptive_field=16, features=4)  # noqa: E731
    return VQGAN(SHAPE, discriminator=discriminator, **_small(), **settings)


def test_an_autoencoders_errors_are_sums_over_numbers_and_means_over_images() -> None:
    torch.manual_seed(0)
    x = _images(4)
    for loss in ("mse", "bce"):
        model = Autoencoder(SHAPE, loss=loss)  # type: ignore[arg-type]
        made = model.reconstruct(x)
        whole = model.objective({"image": x})
        expected = (
            binary_cross_entropy((made + 1) / 2, (x + 1) / 2, reduction="sum")
            if loss == "bce"
            else (model.decoder(model.encoder(x)) - x).square().sum()
        )
        torch.testing.assert_close(whole, expected / 4)
        parts = [model.objective({"image": x[i : i + 1]}) for i in range(4)]
        torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_what_an_autoencoder_is_to_make_has_no_noise() -> None:
    torch.manual_seed(0)
    model = Autoencoder(SHAPE, mask_share=0.25, noise_std=0.5)
    black = model._noisy(torch.ones(400, *SHAPE))
    share = (black < -0.9).float().mean()
    assert 0.2 < float(share) < 0.3
    model.noise_std = 0.0
    masked = model._noisy(torch.ones(400, *SHAPE)) < 0
    assert float(masked.float().mean()) == pytest.approx(0.25, abs=0.01)
    seen: list[Tensor] = []
    model.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = _images(4)
    loss = model.objective({"image": x})
    made = model.decoder(model.encoder(seen[0]))
    torch.testing.assert_close(loss, (made - x).square().sum() / 4)
    assert not torch.equal(seen[0], x)
    model.reconstruct(x)
    assert torch.equal(seen[-1], x)


def test_a_vq_vaes_loss() -> None:
    torch.manual_seed(0)
    model, x = VQVAE(SHAPE, variance=0.5, commitment_weight=2.0, **_small()), _images(4)
    loss = _at(model, 0).objective({"image": x})
    z = model.encoder(x)
    e = model.quantizer.look_up(model.quantizer.nearest(z))
    torch.testing.assert_close(loss, mse_loss(model.decoder(e), x) / 0.5 + 2 * mse_loss(e, z))
    assert len(model.quantizer._seen) == 1
    model.update_codebook()
    assert set(model._sums) >= {"perplexity", "codes_used", "codes_restarted", "mse", "commitment"}
    with pytest.raises(UserError, match="variance is 0"):
        VQVAE(SHAPE, variance=0.0)


def test_a_vq_gans_balance_makes_both_terms_pull_alike() -> None:
    model, x = _vq_gan(perceptual=_Perceptual, perceptual_weight=0.5, adversarial_weight=0.8), _images(4)
    loss = _at(model, 0).autoencoder_loss({"image": x})
    z = model.encoder(x)
    e = model.quantizer.look_up(model.quantizer.nearest(z))
    made = model.decoder(z + (e - z).detach())
    error = l1_loss(made, x) + 0.5 * 2 * 3 * l1_loss(made, x)
    adversarial = -model.discriminator(made, None).mean()
    last = model.decoder.layers[-1].weight
    norms = [torch.autograd.grad(term, last, retain_graph=True)[0].norm() for term in (error, adversarial)]
    commitment = 0.25 * mse_loss(e.detach(), z)
    torch.testing.assert_close(loss, error + commitment + 0.8 * norms[0] / (norms[1] + 1e-6) * adversarial)
    gradients = [torch.autograd.grad(term, last, retain_graph=True)[0] for term in (loss, error)]
    pull = (gradients[0] - gradients[1]).norm()
    torch.testing.assert_close(pull, 0.8 * norms[0], rtol=1e-3, atol=0)


def test_a_vq_gans_discriminator_waits_for_its_step() -> None:
    model, x = _vq_gan(adversarial_start=5), _images(4)
    for step, judged in ((4, False), (5, True)):
        loss = _at(model, step).discriminator_loss({"image": x})
        assert (float(loss) != 0) == judged
        loss.backward()
        assert all(p.grad is not None for p in model.discriminator.parameters())
        model._sums.clear()
        model.autoencoder_loss({"image": x}).backward()
        assert ("adversarial" in model._sums) == judged
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.decoder.parameters())
    assert not any("perceptual" in name for name in model.state_dict())


def test_mistakes_are_named() -> None:
    with pytest.raises(UserError, match="RelativisticPairingLoss"):
        _vq_gan(loss=RelativisticPairingLoss())
    for settings, words in (
        ({"loss": "l2"}, "loss is 'l2'"),
        ({"mask_share": 1.0}, "mask_share is 1.0"),
        ({"noise_std": -1.0}, "noise_std is -1.0"),
    ):
        with pytest.raises(UserError, match=words):
            Autoencoder(SHAPE, **settings)  # type: ignore[arg-type]
