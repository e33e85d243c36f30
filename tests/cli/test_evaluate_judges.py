"""``lit-gen evaluate`` with scores by networks that know what translations should show, on sprites of one's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

MODELS = '''
"""Translators that do what they should, or nothing."""

import torch

from lit_gen.functional.quantize import from_uint8
from lit_gen.training.module import GenerativeModule

INKS = torch.tensor([[20, 20, 20], [220, 60, 60], [60, 60, 220]], dtype=torch.uint8)


class Sketcher(GenerativeModule):
    """Paints class 1 in the first ink and all else dark."""

    image_shape = (3, 12, 12)

    def training_step(self, batch, batch_idx):
        raise NotImplementedError

    def translate(self, batch, generator=None):
        return from_uint8(INKS[batch["label_map"].long()].permute(0, 3, 1, 2))


class Dyer(Sketcher):
    """Gives shirts the colour wanted, if it does anything."""

    attribute_names = ("shirt=red", "shirt=blue")
    attribute_groups = ((0, 1),)
    changeable = (0, 1)

    def translate(self, batch, generator=None):
        image = batch["image"].clone()
        image[:, :, :6] = from_uint8(INKS[1 + batch["wanted"].argmax(1)])[:, :, None, None]
        return image


class Turner(Sketcher):
    """Exchanges red and blue: one way, and the same way back."""

    def translate(self, batch, generator=None):
        return batch["source"].flip(1)

    def translate_back(self, batch):
        return batch["image"].flip(1)


class Idler(Turner):
    """Leaves everything as it is."""

    def translate(self, batch, generator=None):
        return batch["source"]

    def translate_back(self, batch):
        return batch["image"]
'''


@pytest.fixture
def judged(lit_gen, monkeypatch):
    """``evaluate`` of a model of this file's own on 300 sprites of 12×12: shirts of two colours above two trousers."""
    Path("judged_models.py").write_text(MODELS)
    random = np.random.default_rng(0)
    factors = random.integers(0, 2, (300, 2))
    inks = np.array([[220, 60, 60], [60, 60, 220], [200, 200, 40], [40, 200, 200]])
    images = np.zeros((300, 12, 12, 3))
    images[:, :6], images[:, 6:] = inks[factors[:, 0], None, None], inks[2 + factors[:, 1], None, None]
    images = np.clip(images + random.integers(-10, 10, images.shape), 0, 255).astype(np.uint8)
    segmentation = np.repeat([[1] * 6 + [0] * 6], 300, axis=0)[:, :, None].repeat(12, axis=2).astype(np.uint8)
    names = {"factor_names": ["shirt", "trousers"], "shirts": ["red", "blue"], "trouserss": ["lemon", "teal"]}
    np.savez("sprites.npz", images=images, factors=factors.astype(np.uint8), segmentation=segmentation, **names)

    def run(name: str, metric: str, *data: object):
        torch.save(
            {"state_dict": {}, "hyper_parameters": {"_class_path": f"judged_models.{name}"}}, Path(f"{name}.ckpt")
        )
        of = ("--data", "Sprites", "--data.path", Path("sprites.npz").resolve(), *data)
        arguments = ("--trust", "judged_models", "--device", "cpu", "--metrics", metric, "--output", f"{name}.json")
        said = lit_gen("evaluate", "--ckpt_path", f"{name}.ckpt", *of, *arguments)
        assert said.status == 0, said.err
        return json.loads(Path(f"{name}.json").read_text())["metrics"], said

    return run


def test_attributes(judged):
    scores, said = judged("Dyer", "attribute_accuracy", "--data.kind", "attributes")
    assert scores["changed/shirt"] > 0.95 and scores["kept/shirt"] > 0.95
    assert "changed" in said.out and "kept" in said.out


def test_domains(judged):
    ways = ("--data.kind", "unpaired", "--data.where_a.shirt", "red", "--data.where_b.shirt", "blue")
    right, _ = judged("Turner", "domain_accuracy", *ways)
    idle, _ = judged("Idler", "domain_accuracy", *ways)
    assert right["domain_accuracy_mean"] > 0.95 > 0.05 > idle["domain_accuracy_mean"]
    assert right["cycle_psnr_mean"] == idle["cycle_psnr_mean"] == 100  # nothing is lost on the way


def test_segmentation(judged):
    scores, said = judged("Sketcher", "segmentation", "--data.kind", "label_maps")
    assert 0 <= scores["segmentation_iou_mean"] <= scores["segmentation_accuracy_mean"] <= 1
    assert "segmentation_accuracy" in said.out


def test_data_without_what_a_score_needs(lit_gen, judged):
    with pytest.raises(AssertionError, match=r"segmentation"):
        judged("Sketcher", "segmentation", "--data.kind", "images")
