"""Batch norm over all processes: which layers are exchanged, where it is refused, and, on GPUs, that it is in step."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lit_gen.errors import UserError
from lit_gen.models import GAN
from lit_gen.training.batch_norm import running_statistics

SHAPE = (1, 16, 16)


def trainer(accelerator: str, sync: bool, *callbacks: Callback) -> Trainer:
    return Trainer(
        max_steps=3,
        accelerator=accelerator,
        devices=2,
        strategy="ddp_adversarial",
        sync_batchnorm=sync,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_layers_are_exchanged_and_put_back() -> None:
    model = GAN(SHAPE)
    plain, names = running_statistics([model]), list(model.state_dict())
    assert plain
    sync = trainer("cpu", sync=True).strategy._layer_sync
    sync.apply(model)
    exchanged = [layer for layer in model.modules() if isinstance(layer, nn.SyncBatchNorm)]
    assert 2 * len(exchanged) == len(plain)
    assert len(running_statistics([model])) == len(plain)
    assert list(model.state_dict()) == names, "a checkpoint would not be one of the plain model"
    sync.revert(model)
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in model.modules())
    assert len(running_statistics([model])) == len(plain)


def test_on_cpus_it_is_refused() -> None:
    on_cpu = trainer("cpu", sync=True)
    on_cpu.strategy.connect(GAN(SHAPE))
    with pytest.raises(UserError, match="sync_batchnorm needs GPUs"):
        on_cpu.strategy.setup(on_cpu)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
@pytest.mark.parametrize("sync", [True, False])
def test_on_gpus_the_ranks_keep_the_same_statistics(tmp_path: Path, sync: bool) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    subprocess.run([*torchrun, __file__, str(tmp_path), "gpu", str(int(sync))], check=True, timeout=300)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    assert first["synchronised"] == sync
    assert (first["statistics"] == second["statistics"]) == sync


class Noise:
    """Images that differ by rank."""

    def __init__(self, rank: int) -> None:
        self.rank = rank

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator().manual_seed(self.rank)
        for _ in range(len(self)):
            yield {"image": torch.rand(8, *SHAPE, generator=generator) * 2 - 1}


class Write(Callback):
    """Writes each rank's statistics, before they are averaged at the end."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        found = {
            "synchronised": any(isinstance(layer, nn.SyncBatchNorm) for layer in pl_module.modules()),
            "statistics": [tensor.tolist() for tensor in running_statistics([pl_module])],
        }
        Path(self.folder, f"rank{trainer.global_rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    folder, accelerator, sync = sys.argv[1:]
    torch.manual_seed(0)
    process = trainer(accelerator, bool(int(sync)), Write(folder))
    process.fit(GAN(SHAPE), Noise(process.global_rank))
