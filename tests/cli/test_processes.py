"""An error of the user's is said once, however many processes met it, and never not at all."""

import pytest
from pytorch_lightning.utilities import rank_zero_only

from lit_gen.commands import lightning


@pytest.mark.parametrize("command", ["fit", "validate"])
def test_another_process_leaves_an_error_to_the_first_and_says_it_if_that_did_not(lit_gen, monkeypatch, command):
    """A launcher sees the first process end, and ends the other ones in the meantime."""
    waited: list[float] = []
    monkeypatch.setattr(lightning.time, "sleep", waited.append)
    wrong = (command, "--config", "tiny.yaml", "--model.latent_dim", "none")
    first = lit_gen(*wrong)
    assert (first.status, waited) == (2, [])
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    other = lit_gen(*wrong)
    assert (other.status, other.err) == (2, first.err)
    assert waited == [2.0]
