r"""Reflow: a flow learns anew from noise and what a trained flow makes of it, and its paths become straight.

The pairs (ε, x) have the distributions of noise and data, but belong together. Of the lines between them,

.. math:: x_t = (1 - t) \, x + t \, \epsilon, \quad L = E\big[\|v(x_t, t) - (\epsilon - x)\|^2\big],

fewer cross than of lines between noise and data drawn apart: what v makes of noise has the same distribution, by paths
that cost no more, and a few steps, even one, follow them.
"""

__all__ = ["Reflow"]

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn

from lit_gen.contracts import SupportsLatents, SupportsTrajectory
from lit_gen.errors import UserError
from lit_gen.functional.sampler import Sampler
from lit_gen.training.loading import load_model, read_checkpoint
from lit_gen.training.module import GenerativeModule
from lit_gen.training.noise_pairs import NoisePairs, Teacher, draw_pairs
from lit_gen.training.recording import recorded
from lit_gen.training.seeding import derive_seed

log = logging.getLogger(__name__)

_HELD_OUT = 0.1
_SAME = ("image_shape", "num_classes", "noise_schedule", "parameterisation")


class Reflow:
    r"""Creates the second stage of a rectified flow: training on pairs of a teacher, from the teacher's weights.

    A new run takes the teacher's averaged weights for its network, draws the pairs and writes them to ``pairs.npz`` in
    its folder; a resumed one goes on with those, or draws the same ones again if they are gone. A tenth of them is held
    out. The student's checkpoint needs neither. A student can be a teacher in turn.

    References:
        | Flow Straight and Fast: Learning to Generate and Transfer Data with Rectified Flow (Liu, Gong & Liu, 2023),
        | Algorithm 1
        | https://arxiv.org/abs/2209.03003

    Arguments:
        teacher: A checkpoint of a model of the same network, schedule and parameterisation.
        num_pairs: The number of pairs N.
        sampler: How the teacher's equation is solved, without noise; the teacher's own by default.
        batch_size: The pairs drawn at once by each process.
        trust: Packages beside lit_gen and torch whose classes the teacher's checkpoint may name.
    """

    def __init__(
        self,
        teacher: str | None = None,
        num_pairs: int = 50_000,
        sampler: Sampler | None = None,
        batch_size: int = 500,
        trust: Sequence[str] = (),
    ) -> None:
        if num_pairs < 2 or batch_size < 1:
            raise UserError("Reflow's num_pairs must be at least 2, and its batch_size at least 1")
        if sampler is not None and sampler.is_random:
            raise UserError(f"Reflow's sampler is {type(sampler).__name__} with noise on its way; it must have none")
        self.teacher, self.num_pairs, self.sampler = teacher, num_pairs, sampler
        self.batch_size, self.trust = batch_size, list(trust)
        self._pairs: NoisePairs | None = None

    @property
    def ready(self) -> bool:
        """Whether there are pairs: in training, not when a student is validated by itself."""
        return self._pairs is not None

    def prepare(self, model: GenerativeModule) -> None:
        """Sees to the network's weights and to the pairs, before training.

        Raises:
            UserError: If there is no teacher where one is needed, or it does not suit the model.
        """
        if model.optimal_transport:
            raise UserError("model.optimal_transport is not for model.reflow, whose noise belongs to its images")
        trainer, fresh = model.trainer, not model.images_seen  # a checkpoint brings its weights along
        path = Path(trainer.log_dir or trainer.default_root_dir) / "pairs.npz"
        # Whether the file is there only the first process can tell, which writes it.
        found = bool(trainer.strategy.broadcast(not fresh and path.is_file()))
        if not found:
            teacher = self._load_teacher(model)
            if fresh:
                _take_weights(cast(nn.Module, model.network), teacher.network, self.teacher)
            pairs = self._drawn(teacher, trainer, derive_seed(model.run_seed, "reflow"), model.device)
            if trainer.is_global_zero:
                pairs.write(path)
        else:
            read = trainer.strategy.broadcast(NoisePairs.read(path) if trainer.is_global_zero else None)
            assert read is not None
            pairs = read
        self._pairs = pairs.to(model.device)

    def ends(self, num: int, held_out: bool = False) -> tuple[Tensor, Tensor, Tensor | None]:
        """Picks images, noise and labels that belong together at random, by torch's global generator.

        Arguments:
            num: How many.
            held_out: Whether they are of those that are held out of training.
        """
        assert self._pairs is not None, "prepare comes first"
        total = len(self._pairs.noise)
        kept = max(1, round(_HELD_OUT * total))
        low, high = (total - kept, total) if held_out else (0, total - kept)
        picked = self._pairs.rows(torch.randint(low, high, (num,), device=self._pairs.noise.device))
        return picked.image, picked.noise, picked.label

    def _drawn(self, teacher: Any, trainer: Trainer, seed: int, device: torch.device) -> NoisePairs:
        """Returns all pairs on every process, each of which draws a share of them."""
        if trainer.is_global_zero:
            log.info("Drawing %s pairs of noise and images by the teacher, once.", f"{self.num_pairs:,}")
        share = -(-self.num_pairs // trainer.world_size)
        numbers = torch.arange(share) + share * trainer.global_rank
        source = cast(Teacher, teacher.to(device))
        own = draw_pairs(source, numbers, self.batch_size, seed, teacher.num_classes, device).to(device)
        noise, image, *label = (
            trainer.strategy.all_gather(part).reshape(-1, *part.shape[1:])[: self.num_pairs]
            for part in (own.noise, own.image, own.label)
            if part is not None
        )
        return NoisePairs(noise, image, *label)

    def _load_teacher(self, model: GenerativeModule) -> Any:
        if self.teacher is None:
            raise UserError("model.reflow.teacher is missing: give a checkpoint of a model trained by flow matching")
        given: dict[str, Any] = {} if self.sampler is None else {"sampler": self.sampler}
        teacher = load_model(read_checkpoint(self.teacher), trust=self.trust, **given)
        name = f"reflow.teacher '{self.teacher}'"
        if not (isinstance(teacher, SupportsLatents) and isinstance(teacher, SupportsTrajectory)):
            raise UserError(f"{name} is a {type(teacher).__name__}, which has no flow from noise to images")
        for part in _SAME:
            theirs, ours = (recorded(getattr(it, part, None)) for it in (teacher, model))
            if theirs != ours:
                raise UserError(f"{name} has the {part} {_words(theirs)}, and the model {_words(ours)}")
        if teacher.sampler.is_random:  # type: ignore[union-attr]
            raise UserError(f"{name} has a sampler with noise on its way: name another by model.reflow.sampler")
        return teacher


def _take_weights(network: nn.Module, teacher: nn.Module, name: str | None) -> None:
    try:
        network.load_state_dict(teacher.state_dict())
    except RuntimeError as error:
        raise UserError(f"reflow.teacher '{name}' has another network than model.network") from error


def _words(described: Any) -> str:
    return described["class_path"].rpartition(".")[2] if isinstance(described, dict) else str(described)
