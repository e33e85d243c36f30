"""A diffusion model's samples made in other ways than its run said, at the command line."""

import json
from pathlib import Path

import numpy
import pytest
import torch


@pytest.fixture(scope="module")
def told(fit_diffusion):
    """A run of a conditional diffusion model with DDIM in three steps."""
    return fit_diffusion("--model.conditional", "true", "--trainer.max_steps", 4, "--evaluation.metrics", "[]")


def test_samples_are_what_a_model_with_these_settings_draws(lit_gen, told):
    from lit_gen.callbacks.sampling import draw
    from lit_gen.functional.samplers import DDIM
    from lit_gen.training.loading import load_model, read_checkpoint

    def sampled(*arguments: object) -> numpy.ndarray:
        said = lit_gen("sample", "--ckpt_path", told, "--num_samples", 4, "--output", "x.npz", *arguments)
        assert said.status == 0, said.err
        return numpy.load("x.npz")["images"]

    own = sampled()
    assert numpy.array_equal(own, sampled("--sampler", "DDIM", "--sampler.steps", 3, "--guidance", 1))
    model = load_model(read_checkpoint(told / "checkpoints" / "last.ckpt"), "ema")
    for flags, sampler, guidance in (
        (("--sampler", "DDIM", "--sampler.steps", 7, "--sampler.eta", 0.5), DDIM(7, eta=0.5), 1.0),
        (("--guidance", 4), DDIM(3), 4.0),
        (("--sampler=lit_gen.functional.samplers.DDIM", "--sampler.steps=2", "--guidance=0.5"), DDIM(2), 0.5),
    ):
        model.sampler, model.guidance = sampler, guidance
        wanted = draw(model, 0, range(4), torch.arange(4))
        found = sampled(*flags)
        assert numpy.abs(found.astype(int) - wanted.permute(0, 2, 3, 1).numpy()).max() <= 1
        assert not numpy.array_equal(found, own)


def test_an_evaluation_says_how_its_samples_were_made(lit_gen, told):
    short = ("--metrics", "fid", "--num_samples", 40, "--device", "cpu", "--output", "x.json")
    scored = {}
    for flags, named, weights in (
        ((), None, "ema"),
        (
            ("--sampler", "Euler", "--sampler.steps", 2, "--sampler.grid", "QuadraticGrid", "--guidance", 3),
            "Euler(steps=2, grid=QuadraticGrid()), guidance 3",
            "ema",
        ),
        (("--guidance", 2, "--classifier_guidance", 1), "guidance 2", "ema, classifier guidance 1"),
    ):
        said = lit_gen("evaluate", "--ckpt_path", told, *short, *flags)
        assert said.status == 0, said.err
        result = json.loads(Path("x.json").read_text())
        assert result["protocol"]["sampling"] == named and result["protocol"]["weights"] == weights
        assert ("sampled by" in said.out) == (named is not None) and (named or "") in said.out
        scored[named] = result["metrics"]["fid"]
    assert len(set(scored.values())) == 3


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--sampler.steps", 20), "--sampler.steps is of a sampler that is not named"),
        (("--sampler", "DDIN"), "did you mean 'DDIM'?"),
        (("--sampler", "DDIM", "--sampler.step", 3), "steps"),
        (("--sampler", "DDIM", "--sampler.steps", 0), "a sampler's steps are 0, and must be at least 1"),
        (("--sampler", "DDIM", "--sampler.eta", 2), "DDIM's eta is 2"),
    ],
)
def test_a_wrong_setting_is_one_line(lit_gen, told, flags, message):
    said = lit_gen("sample", "--ckpt_path", told, "--output", "y.png", *flags)
    assert said.status == 2 and message in said.err
    assert len(said.err.strip().splitlines()) == 1 and not Path("y.png").exists()


def test_what_has_no_such_setting_is_one_line(lit_gen, told, trained):
    said = lit_gen("sample", "--ckpt_path", trained, "--output", "y.png", "--sampler", "DDIM", "--guidance", 2)
    assert said.status == 2 and "GAN is no diffusion model: leave out --sampler and --guidance" in said.err
    said = lit_gen("evaluate", "--ckpt_path", told, "--metrics", "bpd", "--guidance", 2)
    assert said.status == 2 and "--guidance is for samples, which none of these metrics looks at" in said.err


def test_models_without_labels_or_with_coupled_noise():
    from lit_gen.commands.drawing_options import use_sampler
    from lit_gen.errors import UserError
    from lit_gen.functional.ode_samplers import Euler
    from lit_gen.functional.parameterisation import VelocityPrediction
    from lit_gen.functional.samplers import DDIM, Ancestral
    from lit_gen.models import Diffusion
    from lit_gen.nn.diffusion_unet import DiffusionUNet

    def network(**shapes):
        return DiffusionUNet(**shapes, features=8, multipliers=(1,), blocks=1, attention=())

    model = Diffusion(
        (1, 8, 8), network=network, parameterisation=VelocityPrediction(), sampler=Euler(2), optimal_transport=True
    )
    with pytest.raises(UserError, match="knows none"):
        use_sampler(model, None, 2.0)
    for sampler in (Ancestral(4), DDIM(4, eta=0.5)):
        with pytest.raises(UserError, match="coupled with images"):
            use_sampler(model, sampler, None)
    without = Diffusion((1, 8, 8), 3, network=network, conditional=True, label_dropout=0.0)
    assert use_sampler(without, None, 1.0) == "guidance 1"
    with pytest.raises(UserError, match="label_dropout"):
        use_sampler(without, None, 2.0)
    assert use_sampler(model, DDIM(4), None) == "DDIM(steps=4, eta=0.0, grid=UniformGrid(), clip=False)"
    assert isinstance(model.sampler, DDIM)
