"""The arithmetic of averages and of batch norm's statistics, against closed forms."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lit_gen.training.averaging import average_dtype, move_averages_, ramped_half_life, share_of_new
from lit_gen.training.batch_norm import reestimate
from lit_gen.training.modes import evaluating


def test_after_a_half_life_the_old_weights_count_half() -> None:
    assert share_of_new(1000, 1000) == pytest.approx(0.5)
    assert share_of_new(3000, 1000) == pytest.approx(1 - 1 / 8)
    average, new = torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for batch in (64, 100, 836):  # the steps that 1000 images are seen in do not matter
        move_averages_([average], [new], share_of_new(batch, 1000))
    torch.testing.assert_close(average, torch.full((3,), 0.5, dtype=torch.float64), rtol=1e-12, atol=0)


def test_a_long_half_life_keeps_its_digits() -> None:
    assert share_of_new(1, 1e15) == pytest.approx(math.log(2) * 1e-15, rel=1e-9)
    assert share_of_new(64, 0) == 1.0


def test_ramp_up_limits_the_half_life() -> None:
    assert ramped_half_life(10_000, 0.05, 1000) == 50
    assert ramped_half_life(10_000, 0.05, 1_000_000) == 10_000
    assert ramped_half_life(10_000, None, 0) == 10_000


def test_averages_of_half_precision_move_in_single() -> None:
    assert average_dtype(torch.bfloat16) == torch.float32 and average_dtype(torch.float64) == torch.float64
    average, new = torch.zeros(1), torch.ones(1, dtype=torch.bfloat16)
    for _ in range(1000):
        move_averages_([average], [new], share_of_new(1, 1000))
    torch.testing.assert_close(average, torch.tensor([0.5]), rtol=1e-4, atol=0)


def test_equal_weights_stay_equal() -> None:
    value = torch.randn(100, generator=torch.Generator().manual_seed(0))
    average = value.clone()
    move_averages_([average], [value], 0.3)
    assert torch.equal(average, value)


class Net(nn.Module):
    """Batch norm behind a linear layer, behind another and behind dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4)
        self.second, self.last = nn.Linear(4, 2), nn.BatchNorm1d(2)
        self.dropout = nn.Dropout(0.5)

    def forward(self, z: Tensor) -> Tensor:
        return self.last(self.dropout(self.second(torch.relu(self.norm(self.first(z))))))


def test_reestimated_statistics_are_those_of_the_activations() -> None:
    torch.manual_seed(0)
    net = Net().train()
    net.norm.running_mean.fill_(7.0)
    generator = torch.Generator().manual_seed(1)
    batches = [torch.randn(50, 3, generator=generator) for _ in range(8)]
    reestimate([net], lambda i: net(batches[i]), len(batches))

    with torch.no_grad():
        x = torch.stack([net.first(z) for z in batches])
        y = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + net.norm.eps).sqrt()
        y = net.second(torch.relu(y))  # without dropout
    for layer, values in ((net.norm, x), (net.last, y)):
        torch.testing.assert_close(layer.running_mean, values.mean((0, 1)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(layer.running_var, values.var(1).mean(0), rtol=1e-4, atol=1e-5)
    # And those of the distribution: W z with z ~ N(0, I) has mean 0 and variance ‖w‖².
    truth = net.first.weight.square().sum(1)
    assert (net.norm.running_mean.abs() < 0.2).all() and ((net.norm.running_var / truth - 1).abs() < 0.25).all()
    assert net.norm.momentum == 0.1 and all(part.training for part in net.modules())


def test_modes_come_back_one_by_one() -> None:
    net = Net().train()
    net.norm.eval()
    with pytest.raises(KeyError), evaluating(net):
        assert not any(part.training for part in net.modules())
        raise KeyError
    assert net.training and net.last.training and not net.norm.training


PROCESS = """
import sys, torch, torch.distributed as dist
from lit_gen.training.batch_norm import average_over_processes_, running_statistics
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
norm = torch.nn.BatchNorm1d(3)
norm.running_mean.fill_(float(rank))
norm.running_var.fill_(1.0 + 4 * rank)
average_over_processes_(running_statistics([norm]))
assert norm.running_mean.tolist() == [0.5] * 3 and norm.running_var.tolist() == [3.0] * 3
dist.destroy_process_group()
"""


def test_statistics_are_averaged_over_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS]
    both = [subprocess.Popen([*command, str(rank), str(tmp_path / "store")]) for rank in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
