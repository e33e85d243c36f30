"""The short help of the diagnoses of models that learn from noisy images."""

__all__ = ["NOISE_KINDS"]

from lit_gen.commands.diagnose.shared_options import CHECKPOINT, DATA, LABEL, NUM_IMAGES, OUTPUT, SEED, SHARED, SPLIT
from lit_gen.commands.usage import Command, Option

_STAGES = Option("--columns", "N", "images in a strip, both ends included (default: 9)")

NOISE_KINDS = {
    "denoising": Command(
        "watch samples come out of noise, and what the model guesses on the way: strips and a video",
        (
            CHECKPOINT,
            OUTPUT,
            Option("--images", "I …", "the samples: images I of lit-gen sample (default: 0 1 2 3)"),
            _STAGES,
            Option("--frames", "N", "images of the video at most; 0: no video (default: 48)"),
            LABEL._replace(text="the class that is drawn, by number or name (default: image I is of class I mod K)"),
            SEED,
            *SHARED,
        ),
        ("lit-gen diagnose denoising --ckpt_path last --output noise --images 3 7 12",),
    ),
    "forward_process": Command(
        "see real images or points drown in noise, as a model's schedule has it",
        (
            CHECKPOINT,
            OUTPUT,
            Option("--images", "I …", "the images, by their places in the split (default: 0 1 2 3)"),
            _STAGES,
            SPLIT,
            NUM_IMAGES._replace(text="how many points at most, evenly spaced (default: 2000)"),
            *DATA,
            SEED,
            *SHARED,
        ),
        ("lit-gen diagnose forward_process --ckpt_path last --output noise",),
    ),
    "noise_levels": Command(
        "measure errors and losses at each level of noise, beside how often each is trained on",
        (
            CHECKPOINT,
            OUTPUT,
            Option("--levels", "N", "levels, evenly spaced in log-SNR (default: 25)"),
            SPLIT,
            NUM_IMAGES._replace(text=f"{NUM_IMAGES.text} (default: 256)"),
            *DATA,
            SEED,
            *SHARED,
        ),
        ("lit-gen diagnose noise_levels --ckpt_path last --output noise",),
    ),
    "schedules": Command(
        "compare the noise schedules that there are, and a model's own",
        (
            CHECKPOINT._replace(text="a model whose schedule is drawn as well (default: none)"),
            OUTPUT,
            *SHARED,
        ),
        ("lit-gen diagnose schedules --output noise",),
    ),
    "trajectories": Command(
        "see the ways of points from latents to data (models of points)",
        (
            CHECKPOINT,
            OUTPUT,
            Option("--num_points", "N", "how many ways (default: 200)"),
            *DATA,
            SEED,
            *SHARED,
        ),
        ("lit-gen diagnose trajectories --ckpt_path last --output noise",),
    ),
    "score_field": Command(
        "see where noisy points should go, beside the truth where it is known (models of points)",
        (
            CHECKPOINT,
            OUTPUT,
            Option("--times", "T …", "the times, from 0, data, to 1, noise (default: 0.05 0.2 0.5 0.8)"),
            Option("--cells", "N", "arrows per coordinate (default: 20)"),
            Option("--num_points", "N", "the noisy points that errors are means over (default: 2000)"),
            *DATA,
            SEED,
            *SHARED,
        ),
        ("lit-gen diagnose score_field --ckpt_path last --output noise",),
    ),
}
