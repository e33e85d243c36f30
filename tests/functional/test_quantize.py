"""The way between stored and computed images."""

import pytest
import torch

from lit_gen.functional.quantize import from_uint8, to_uint8


def test_every_pixel_value_survives_the_round_trip() -> None:
    x = torch.arange(256, dtype=torch.uint8)
    assert from_uint8(x)[0] == -1
    assert from_uint8(x)[-1] == 1
    assert torch.equal(to_uint8(from_uint8(x)), x)


def test_values_round_to_nearest_and_saturate() -> None:
    x = torch.tensor([-1.7, -1.0, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 1.0, 3.0, float("inf")])
    assert to_uint8(x).tolist() == [0, 0, 0, 1, 255, 255, 255]


def test_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        to_uint8(torch.tensor([0.0, float("nan")]))
