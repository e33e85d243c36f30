"""Diffusion models in half precision, compiled, and with another memory format."""

from pathlib import Path

import diffusions
import pytest
import torch
from pytorch_lightning.plugins.precision import MixedPrecision

from lit_gen.training.options import TrainingOptions

every = pytest.mark.parametrize("name", diffusions.KINDS)


@every
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision(name: str, precision: str, tmp_path: Path) -> None:
    """Weights stay float32 and finite, and move; with fp16 by a real scaler, none of whose steps is skipped."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**4)
    half = torch.bfloat16 if precision == "bf16-mixed" else torch.float16
    how = {"precision": precision} if half == torch.bfloat16 else {"plugins": MixedPrecision(precision, "cpu", scaler)}
    model, _ = diffusions.fit(name, tmp_path, 2, **how)
    start = diffusions.made(name).state_dict()
    for key, value in model.state_dict().items():
        assert value.dtype != half and torch.isfinite(value).all(), key
    assert any(not torch.equal(value, start[key]) for key, value in model.state_dict().items())
    if half == torch.float16:
        assert scaler.get_scale() == 2.0**4 and scaler.state_dict()["_growth_tracker"] == 2
    batch = next(iter(diffusions.batches(model.image_shape)))
    image, label = batch["image"][:2], batch["label"][:2] if model.num_classes else None
    with torch.no_grad(), torch.autocast("cpu", half):
        samples = model.eval().sample(2, label)
        assert samples.dtype == torch.float32 and torch.isfinite(samples).all()
        if "points" not in name and "edm" not in name:  # whose solver sees the steps of half precision
            assert model.log_prob(image, label).dtype == torch.float32


@pytest.mark.parametrize(
    ("name", "options"),
    [("transformer", {"compile": True}), ("v, guided", {"channels_last": True})],  # a U-Net takes a minute to compile
    ids=["compile", "channels_last"],
)
def test_switches_for_speed_change_nothing_but_speed(name: str, options: dict[str, bool], tmp_path: Path) -> None:
    ends = []
    for given in (TrainingOptions(), TrainingOptions(**options)):
        model = diffusions.made(name, options=given)
        trainer = diffusions.quiet_trainer(tmp_path, 2)
        torch.manual_seed(5)
        trainer.fit(model, diffusions.batches(model.image_shape))
        ends.append(model.state_dict())
    plain, fast = ends
    assert plain.keys() == fast.keys()
    for key, value in plain.items():
        torch.testing.assert_close(fast[key], value, atol=1e-4, rtol=1e-3, msg=key)
