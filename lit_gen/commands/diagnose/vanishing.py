"""``lit-gen diagnose vanishing``: the generator's gradient against an ever better discriminator.

The better the discriminator, the less the minimax loss tells the generator; that is why training a discriminator to
optimality before each generator step, as the theory wants it, does not work (Arjovsky & Bottou, 2017, figures 2 and 3).
"""

__all__ = ["run"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import (
    at_least,
    check_shape,
    diagnosis_parser,
    open_data,
    output_folder,
    parse_with_data,
    write_table,
)
from lit_gen.contracts import Batch
from lit_gen.errors import UserError
from lit_gen.functional.adversarial import AdversarialLoss, MinimaxLoss, NonSaturatingLoss
from lit_gen.training.adversarial import AdversarialModule
from lit_gen.training.loading import build_model
from lit_gen.training.seeding import derive_seed, isolated
from lit_gen.training.vanishing import Measurement, vanishing_gradient

_LOSSES: dict[str, AdversarialLoss] = {"minimax": MinimaxLoss(), "non_saturating": NonSaturatingLoss()}
_PLAYER = "discriminator"


def run(arguments: Sequence[str]) -> int:
    """Writes ``vanishing.png`` and ``vanishing.csv``.

    Raises:
        UserError: If an argument is wrong.
    """
    parser = diagnosis_parser("Watch the generator's gradient while a fresh discriminator learns.", several=True)
    parser.add_argument("--steps", type=int, default=500, help="the discriminator's steps")
    parser.add_argument("--every", type=int, default=10, help="steps between two measurements")
    parser.add_argument("--num_samples", type=int, default=256, help="the latents that gradients are measured on")
    options, checkpoints = parse_with_data(parser, arguments)
    at_least(1, options, "steps", "every")
    at_least(2, options, "num_samples")
    folder = output_folder(options)
    made, _ = open_data(parser, options)
    rows: list[dict[str, Any]] = []
    for number, checkpoint in enumerate(checkpoints):
        trained = checkpoint.get("global_step", 0)
        with isolated():
            for measured in _measure(checkpoint, options, made.data):
                rows.append(
                    {
                        "checkpoint": number,
                        "trained_steps": trained,
                        "step": measured.step,
                        "discriminator_loss": measured.loss,
                        "discriminator_accuracy": measured.accuracy,
                        **measured.norms,
                    }
                )
        first, last = next(row for row in rows if row["checkpoint"] == number), rows[-1]
        told = ", ".join(f"{name} {first[name]:.3g} → {last[name]:.3g}" for name in _LOSSES)
        print(f"generator of step {trained}: {told} in {options.steps} steps of the discriminator")
    _draw(rows, [checkpoint.get("global_step", 0) for checkpoint in checkpoints], folder)
    write_table(rows, folder / "vanishing.csv")
    print(f"figure and table: {folder}/vanishing.*")
    return 0


def _measure(checkpoint: Mapping[str, Any], options: Namespace, data: LightningDataModule) -> Iterator[Measurement]:
    model = LatentModel.load(checkpoint, options)
    check_shape(model.module, data)  # type: ignore[arg-type]
    if model.label is not None and data.num_classes is None:  # type: ignore[attr-defined]
        raise UserError(
            f"the model of '{checkpoint['path']}' is conditional, but the images of {data.name} have no labels: give "  # type: ignore[attr-defined]
            "it data that have some by --data"
        )
    torch.manual_seed(derive_seed(options.seed, "vanishing"))
    fresh = build_model(checkpoint, options.trust)
    if not isinstance(fresh, AdversarialModule) or _PLAYER not in fresh.players:
        raise UserError(f"{type(fresh).__name__} of '{checkpoint['path']}' has no player '{_PLAYER}' to train afresh")
    player = fresh.players[_PLAYER]
    if len(player.networks) != 1:
        raise UserError(f"the player '{_PLAYER}' of {type(fresh).__name__} has several networks, not one to train")
    device = model.module.device
    discriminator = getattr(fresh, player.networks[0]).to(device)
    optimizer = player.optimizer(discriminator.parameters())
    classes = getattr(model.module, "num_classes", None)
    label = None if classes is None else torch.arange(options.num_samples, device=device) % classes
    z = model.latents(range(options.num_samples))
    yield from vanishing_gradient(
        model.module,  # type: ignore[arg-type]
        discriminator,
        optimizer,
        _endless(data, device),
        _LOSSES,
        z,
        label,
        options.steps,
        options.every,
        # An auxiliary task's discriminator is to tell the label itself.
        not getattr(getattr(model.module, "auxiliary", None), "needs_label", False),
    )


def _endless(data: LightningDataModule, device: torch.device) -> Iterator[Batch]:
    """Yields shuffled training batches as a model gets them, epoch after epoch."""
    loader = data.train_dataloader()
    if not len(loader):
        raise UserError("the data have fewer training images than one batch; make it smaller by --data.batch_size")
    while True:
        for batch in loader:
            yield data.on_after_batch_transfer({name: value.to(device) for name, value in batch.items()}, 0)


def _draw(rows: Sequence[Mapping[str, Any]], trained: Sequence[int], folder: Any) -> None:
    titles = {"minimax": "minimax: log(1 − D(G(z)))", "non_saturating": "non-saturating: −log D(G(z))"}
    figure, panels = new_figure(8.0, 3.6, len(_LOSSES))
    for name, axes in zip(_LOSSES, panels, strict=True):
        for number, steps in enumerate(trained):
            line = [row for row in rows if row["checkpoint"] == number]
            label = f"generator of step {steps:,}"
            axes.semilogy([row["step"] for row in line], [row[name] for row in line], label=label)
        axes.set_title(titles[name])
        axes.set_xlabel("steps of the discriminator, generator frozen")
    panels[0].set_ylabel("norm of the generator's gradient")
    panels[0].legend()
    low, high = (f(axes.get_ylim()[i] for axes in panels) for i, f in enumerate((min, max)))
    for axes in panels:
        axes.set_ylim(low, high)
    save_figure(figure, folder / "vanishing.png")
