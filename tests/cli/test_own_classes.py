"""A user's own classes: models from a folder, models without our arguments, packages that must be trusted."""

import sys
from pathlib import Path

import pytest
import yaml

OWN = """
import torch
from lit_gen.models import GAN
from lit_gen.training.module import GenerativeModule


class Mine(GAN):
    def __init__(self, image_shape, num_classes=None, latent_dim: int = 4):
        super().__init__(image_shape, num_classes, latent_dim=latent_dim)


class Plain(GenerativeModule):
    def __init__(self, width: int = 3):
        super().__init__()
        self.layer = torch.nn.Linear(64, width)

    def training_step(self, batch, batch_idx):
        return self.layer(batch["image"].flatten(1)).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
"""
FIT = ("--data", "Digits", "--data.image_size", 8, "--trainer.accelerator", "cpu", "--evaluation.metrics", "[]")


@pytest.fixture
def own(lit_gen, monkeypatch):
    Path("own_models.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    yield lit_gen
    sys.modules.pop("own_models", None)


def test_a_model_of_ones_own_is_trained_and_must_be_trusted(own):
    assert own("fit", "--model", "own_models.Mine", *FIT, "--trainer.max_steps", 1).status == 0
    said = own("sample", "--ckpt_path", "last", "--output", "x.png")
    assert said.status == 2
    assert "--trust own_models" in said.err
    assert own("sample", "--ckpt_path", "last", "--output", "x.png", "--trust", "own_models").status == 0
    assert own("test", "--ckpt_path", "last", "--trainer.accelerator", "cpu").status == 2
    assert own("test", "--ckpt_path", "last", "--trust", "own_models", "--trainer.accelerator", "cpu").status == 0


def test_a_model_may_lack_the_arguments_that_the_data_decide(own):
    arguments = ("fit", "--model", "own_models.Plain", *FIT)
    assert own(*arguments, "--trainer.max_steps", 2).status == 0
    assert "from step 2" in own(*arguments, "--trainer.max_steps", 3, "--ckpt_path", "last").out


def test_other_people_s_models_and_data_are_trained_too(own):
    boring = "pytorch_lightning.demos.boring_classes"
    arguments = (
        "--model",
        f"{boring}.BoringModel",
        "--data",
        f"{boring}.BoringDataModule",
        "--evaluation.metrics",
        "[]",
    )
    for steps in (2, 4):
        said = own(
            "fit", *arguments, "--trainer.max_steps", steps, "--ckpt_path", "last", "--trainer.accelerator", "cpu"
        )
        assert said.status == 0, said.err
    assert "from step 2" in said.out


def test_a_package_that_is_not_there_is_named(own):
    said = own("fit", "--model", "own_modles.Mine", *FIT)
    assert said.err == "lit-gen: model is 'own_modles.Mine', but there is no package 'own_modles' here\n"


def test_a_module_that_fails_says_how(own):
    Path("broken.py").write_text("from lit_gen.models import GANN\n")
    said = own("fit", "--model", "broken.Mine", *FIT)
    assert said.err.startswith("lit-gen: broken.Mine cannot be used: importing its module fails with ImportError: ")
    assert "cannot import name 'GANN'" in said.err


@pytest.mark.parametrize("how", ["options", "configuration"])
def test_a_class_named_in_the_place_of_a_default_one_has_its_own_defaults(lit_gen, how):
    options = ["--model", "GAN", "--model.generator", "R3GANGenerator", "--model.generator.blocks", 1]
    options += ["--model.discriminator.features", 8, "--model.generator_optimizer", "torch.optim.AdamW"]
    if how == "configuration":
        generator = "{class_path: R3GANGenerator, init_args: {blocks: 1}}"
        rest = "discriminator: {class_path: DCGANDiscriminator, init_args: {features: 8}}"
        arguments = f"{{generator: {generator}, {rest}, generator_optimizer: torch.optim.AdamW}}"
        Path("it.yaml").write_text(f"model: {{class_path: GAN, init_args: {arguments}}}")
        options = ["--config", "it.yaml"]
    data = ("--data", "Digits", "--data.image_size", 16, "--trainer.accelerator", "cpu")
    said = lit_gen("fit", *options, *data, "--trainer.max_steps", 1, "--evaluation.metrics", "[]")
    assert said.status == 0, said.err
    made = yaml.safe_load(next(Path("runs").glob("*/version_0/config.yaml")).read_text())["model"]["init_args"]
    generator, discriminator = made["generator"]["init_args"], made["discriminator"]["init_args"]
    assert (generator["blocks"], generator["max_features"]) == (1, 256)  # not the default class's 1024
    assert (discriminator["features"], discriminator["max_features"]) == (8, 1024)  # the default class itself
    optimizer = made["generator_optimizer"]["init_args"]
    assert (optimizer["lr"], optimizer["weight_decay"], list(optimizer["betas"])) == (1e-3, 1e-2, [0.9, 0.999])
