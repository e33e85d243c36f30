from pathlib import Path

from lit_gen.commands.compare.runs_read import Run
from lit_gen.commands.compare.scores import Score
from lit_gen.commands.compare.seeds import Seeds, seed_groups
from lit_gen.commands.compare.settings import differing, read_settings

CONFIG = """
seed_everything: 3
runs: elsewhere
model:
  class_path: lit_gen.models.GAN
  init_args:
    generator: {class_path: a.b.Small, init_args: {features: 4}}
    regularizers: [{class_path: x.R1, init_args: {gamma: 0.5}}]
    betas: [0.0, 0.99]
    schedule: null
"""


def test_a_configuration_is_flat_and_without_places(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert read_settings(tmp_path / "config.yaml") == {
        "seed_everything": "3",
        "model": "GAN",
        "model.generator": "Small",
        "model.generator.features": "4",
        "model.regularizers.0": "R1",
        "model.regularizers.0.gamma": "0.5",
        "model.betas": "[0.0, 0.99]",
        "model.schedule": "null",
    }
    (tmp_path / "config.yaml").write_text("{")
    assert read_settings(tmp_path / "config.yaml") == read_settings(tmp_path / "none.yaml") == {}


def test_settings_that_differ_without_those_of_other_classes() -> None:
    one = {"lr": "1", "same": "x", "net": "A", "net.width": "4"}
    other = {"lr": "2", "same": "x", "net": "B", "net.depth": "4", "more": "null"}
    assert differing([one, other]) == {"lr": ["1", "2"], "net": ["A", "B"]}


def _run(name: str, seed: int, lr: int = 1) -> Run:
    scores = (Score(name, {"fid": 1.0}, {}),)
    return Run(name, Path(name), scores, {"seed_everything": str(seed), "lr": str(lr)})


def test_runs_that_differ_in_the_seed_only_are_one() -> None:
    runs = [_run("x/version_0", 0), _run("x/version_1", 1), _run("x/version_2", 1), _run("x/version_3", 2, lr=5)]
    seeds = Seeds(("x/version_0", "x/version_1"), "x")
    assert seed_groups(runs) == dict.fromkeys(seeds.runs, seeds)
    assert seeds.name(seeds.runs) == "x (2 seeds)"


def test_two_methods_of_one_name_stay_two() -> None:
    runs = [_run(f"x/version_{i}", i % 2, lr=i // 2) for i in range(4)]
    groups = seed_groups(runs)
    assert groups["x/version_0"] == groups["x/version_1"] != groups["x/version_2"] == groups["x/version_3"]
    names = [groups[f"x/version_{i}"].name((f"x/version_{i}", f"x/version_{i + 1}")) for i in (0, 2)]
    assert names == ["x (2 seeds)", "x/version_2 + x/version_3"]
