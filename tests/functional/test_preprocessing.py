"""What is done before a flow: it is undone, and its Jacobian is autograd's."""

import math

import pytest
import torch

from lit_gen.errors import UserError
from lit_gen.functional.preprocessing import Centring, Logits, Preprocessing


@pytest.mark.parametrize("made", [Centring(), Logits(), Logits(1e-6)], ids=["centring", "logits", "small alpha"])
def test_it_is_undone_and_its_jacobian_is_autograds(made: Preprocessing) -> None:
    y = torch.rand(3, 1, 2, 2, dtype=torch.float64)
    x, log_det = made.forward(y)
    assert (made.inverse(x) - y).abs().max() < 1e-8
    for i in range(3):
        jacobian = torch.autograd.functional.jacobian(lambda v: made.forward(v)[0].flatten(), y[i : i + 1])
        torch.testing.assert_close(log_det[i], torch.linalg.slogdet(jacobian.reshape(4, 4))[1])


def test_logits_are_finite_at_both_ends() -> None:
    x, log_det = Logits().forward(torch.tensor([[0.0, 1.0]]))
    assert x.tolist()[0] == pytest.approx([math.log(0.05 / 0.95), math.log(0.95 / 0.05)], rel=1e-5)
    assert log_det.item() == pytest.approx(2 * math.log(0.9 / (0.05 * 0.95)), rel=1e-5)
    with pytest.raises(UserError, match=r"alpha is 0\.5"):
        Logits(0.5)
