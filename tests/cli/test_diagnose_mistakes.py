"""Wrong inputs of every diagnosis: one line each, and nothing is left behind."""

from pathlib import Path

import pytest

OUT = ("--output", "out")
MISTAKES = [
    (("diagnose",), "needs a kind right after it: one of interpolate"),
    (("diagnose", "--output", "x"), "needs a kind right after it"),
    (("diagnose", "interpolat"), "there is no diagnosis 'interpolat'; did you mean 'interpolate'?"),
    (("diagnose", "xyz"), "there is no diagnosis 'xyz'; there are interpolate"),
    (("diagnose", "interpolate", *OUT), "--ckpt_path is missing"),
    (("diagnose", "neighbours", *OUT), "--ckpt_path is missing"),
    (("diagnose", "collapse", *OUT), "--ckpt_path is missing"),
    (("diagnose", "vanishing", *OUT, "--ckpt_path", "no.ckpt"), "there is no checkpoint 'no.ckpt'"),
    (("diagnose", "traverse", "--ckpt_path", "last", *OUT), "no run has a checkpoint 'last'"),
    (("diagnose", "bilinear"), "--output is missing"),
    (("diagnose", "bilinear", *OUT, "--eta", "3"), "--eta is 3.0, and must be above 0 and below 2"),
    (("diagnose", "bilinear", *OUT, "--stps", "3"), "did you mean '--steps'?"),
    (("diagnose", "bilinear", "--output", "tiny.yaml"), "tiny.yaml is a file"),
    (("diagnose", "interpolate", "GOOD", *OUT, "--images", "3"), "two or more"),
    (("diagnose", "interpolate", "GOOD", *OUT, "--columns", "1"), "--columns is 1, and must be at least 2"),
    (("diagnose", "traverse", "GOOD", *OUT, "--dims", "8"), "--dims names 8, but the latent has 8 numbers, 0 to 7"),
    (("diagnose", "traverse", "GOOD", *OUT, "--label", "3"), "is unconditional: it cannot sample by --label"),
    (("diagnose", "directions", "GOOD", *OUT, "--num_directions", "9"), "but the latent has 8 numbers"),
    (("diagnose", "arithmetic", "GOOD", *OUT, "--classes", "1", "2"), "--classes names three classes"),
    (("diagnose", "arithmetic", "GOOD", *OUT, "--classes", "1", "2", "x"), "there is no class 'x'"),
    (("diagnose", "neighbours", "GOOD", *OUT, "--split", "train"), "must be test or val"),
    (("diagnose", "neighbours", "GOOD", *OUT, "--split", "tst"), "there is no split 'tst'"),
    (("diagnose", "neighbours", "GOOD", *OUT, "--extractor", "Clasifier"), "did you mean 'Classifier'?"),
    (("diagnose", "vanishing", "GOOD", *OUT, "--steps", "0"), "--steps is 0, and must be at least 1"),
    (("diagnose", "vanishing", "GOOD", *OUT, "--data.image_size", "16"), "of shape (1, 16, 16), but the model draws"),
    (("diagnose", "neighbours", "GOOD", *OUT, "--data.image_size", "16"), "of shape (1, 16, 16), but the model draws"),
    (("diagnose", "collapse", "GOOD", *OUT), "tells nothing of diversity: train with the callback Diversity"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_a_mistake_is_one_line_and_leaves_nothing(lit_gen, trained, arguments, message):
    good = ("--ckpt_path", trained)
    said = lit_gen(*(word for argument in arguments for word in (good if argument == "GOOD" else (argument,))))
    assert said.status == 2
    assert message in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert [path.name for path in Path().iterdir()] == ["tiny.yaml"]
