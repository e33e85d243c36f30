"""``lit-gen diagnose bilinear``: four ways of playing f(x, y) = xy, and where they lead.

Gradient descent and ascent turn around the equilibrium of a zero-sum game: at once they spiral away from it, by turns
they circle for ever. Looking a step ahead, or back, is what brings them there.
"""

__all__ = ["run"]

from collections.abc import Mapping, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from torch import Tensor

from lit_gen.callbacks.figures import new_figure, save_figure
from lit_gen.commands.checkpointed import parse
from lit_gen.commands.diagnose.options import at_least, output_folder, write_table
from lit_gen.errors import UserError
from lit_gen.functional.bilinear_game import UPDATES, trajectory

_START = (1.0, 0.0)


def run(arguments: Sequence[str]) -> int:
    """Writes ``bilinear.png`` and ``bilinear.csv``; needs no checkpoint.

    Raises:
        UserError: If an argument is wrong.
    """
    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False, description="Play the game f(x, y) = xy.")
    parser.add_argument("--output", type=str | None, help="the folder that figure and table are written to")
    parser.add_argument("--eta", type=float, default=0.2, help="the step size")
    parser.add_argument("--steps", type=int, default=150, help="the number of steps")
    parser.add_argument("--help_full", action="help", help="list every option")
    options = parse(parser, arguments)
    at_least(1, options, "steps")
    if not 0 < options.eta < 2:
        raise UserError(f"--eta is {options.eta}, and must be above 0 and below 2")
    folder = output_folder(options)
    paths = {name: trajectory(update, _START, options.eta, options.steps) for name, update in UPDATES.items()}
    rows = [
        {"update": name, "step": step, "x": x, "y": y, "distance": (x * x + y * y) ** 0.5}
        for name, path in paths.items()
        for step, (x, y) in enumerate(path.tolist())
    ]
    _draw(paths, options.eta, folder)
    write_table(rows, folder / "bilinear.csv")
    for name, path in paths.items():
        print(f"{name:<13}  distance to the equilibrium {path[0].norm():.3g} → {path[-1].norm():.3g}")
    print(f"figure and table: {folder}/bilinear.*")
    return 0


def _draw(paths: Mapping[str, Tensor], eta: float, folder: Path) -> None:
    figure, (plane, distance) = new_figure(8.4, 3.9, 2)
    for name, path in paths.items():
        x, y = path.T.numpy()
        plane.plot(x, y, linewidth=1.0, marker=".", markersize=2.5)
        distance.semilogy(path.norm(dim=1).numpy(), label=name)
    plane.plot(0, 0, "k+", markersize=10)
    # Where the spiral outwards leaves, the rest would shrink to a dot.
    plane.set(
        xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal", xlabel="x, who minimises xy", ylabel="y, who maximises"
    )
    plane.set_title(f"states from (1, 0), step size {eta:g}")
    distance.set(xlabel="steps", title="distance to the equilibrium (0, 0)")
    distance.legend()
    save_figure(figure, folder / "bilinear.png")
