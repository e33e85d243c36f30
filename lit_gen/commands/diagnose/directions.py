"""``lit-gen diagnose directions``: what a generator's first layer finds most important in a latent (SeFa).

The directions come from the weights alone, in closed form (Shen & Zhou, 2021); going along them shows what they mean.
"""

__all__ = ["run"]

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from lit_gen.callbacks.figures import save_figure, show_strips
from lit_gen.commands.checkpointed import parse, read_wanted
from lit_gen.commands.diagnose.latents import LatentModel
from lit_gen.commands.diagnose.options import at_least, check_pictures, diagnosis_parser, output_folder, write_table
from lit_gen.contracts import SupportsStyles
from lit_gen.errors import UserError
from lit_gen.functional.latent_layers import latent_weights
from lit_gen.functional.quantize import to_uint8
from lit_gen.functional.semantic_directions import semantic_directions


def run(arguments: Sequence[str]) -> int:
    """Writes ``directions.png`` and ``directions.csv``, which holds the directions themselves, too.

    Raises:
        UserError: If an argument is wrong, or no layer meets the latent.
    """
    parser = diagnosis_parser("Go along the directions that the first layer stretches most.")
    parser.add_argument("--num_directions", type=int, default=5, help="how many")
    parser.add_argument("--extent", type=float, default=0.6, help="how far, as a share of the latent's norm")
    parser.add_argument("--columns", type=int, default=9, help="images in a strip")
    parser.add_argument("--image", type=int, default=0, help="the sample to start from, by number")
    parser.add_argument("--label", type=str | None, help="the class that is drawn (conditional models)")
    options = parse(parser, arguments)
    at_least(1, options, "num_directions")
    at_least(2, options, "columns")
    at_least(0, options, "image", "extent")
    folder = output_folder(options)
    model = LatentModel.load(read_wanted(options.ckpt_path, options.runs), options)
    check_pictures(model.module)
    start, weights, images = _space(model, options.image)
    if options.num_directions > start.shape[1]:
        raise UserError(f"--num_directions is {options.num_directions}, but the latent has {start.shape[1]} numbers")

    directions, stretch = semantic_directions(weights, options.num_directions)
    share = stretch / sum(float(weight.cpu().double().square().sum()) for weight in weights)
    steps = torch.linspace(-options.extent, options.extent, options.columns, device=start.device)
    far = (steps * start.norm())[:, None]
    strips = torch.stack([images(start + far * n) for n in directions.to(start)])
    change = (strips[:, [0, -1]].float() - images(start).float()).square().mean(dim=(1, 2, 3, 4)).sqrt()
    names = [f"{i + 1} ({part:.0%})" for i, part in enumerate(share.tolist())]
    title = f"Along the most stretched directions from latent {options.image} (share of all stretching)"
    figure = show_strips(strips, names, [f"{step:.2g}" for step in steps.tolist()], title)
    save_figure(figure, folder / "directions.png")
    rows = [
        {
            "direction": i + 1,
            "stretch": stretch[i].item(),
            "share": share[i].item(),
            "change": change[i].item(),
            **{f"n_{j}": value for j, value in enumerate(n.tolist())},
        }
        for i, n in enumerate(directions)
    ]
    write_table(rows, folder / "directions.csv")
    print(
        f"{len(directions)} of {start.shape[1]} directions, {float(share.sum()):.1%} of what the first layers stretch"
    )
    print(f"figure and table: {folder}/directions.*")
    return 0


def _space(model: LatentModel, index: int) -> tuple[Tensor, Sequence[Tensor], Callable[[Tensor], Tensor]]:
    """Returns where to start [1, D], the weights of the layers there, and what maps points to images.

    The space is that of the styles, where the generator has some, else that of the latents.
    """
    points, module = model.latents([index]), model.module
    images: Callable[[Tensor], Tensor] = model.images
    networks = (getattr(module, name) for name in getattr(module, "averaged_networks", ()))
    styled = next((network for network in networks if isinstance(network, SupportsStyles)), None)
    if styled is not None:
        label = None if model.label is None else torch.full((len(points),), model.label, device=points.device)
        with torch.no_grad():
            points = styled.styles(points, label)
        images = partial(_from_styles, styled)
    # Not with points of the model's own, in which numbers may be equal: a categorical code is nearly all zeros.
    probe = torch.randn(4, points.shape[1], generator=torch.Generator().manual_seed(0)).to(points)
    weights = latent_weights(module, images, probe)
    if not weights:
        raise UserError(
            f"{type(module).__name__} has no affine layer that takes the latent as it is: directions cannot be found"
        )
    return points, weights, images


@torch.no_grad()
def _from_styles(network: SupportsStyles, styles: Tensor) -> Tensor:
    return to_uint8(network.synthesize(styles)).cpu()
