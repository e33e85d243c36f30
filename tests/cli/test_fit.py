import csv
import gc
import shutil
import weakref
from pathlib import Path

import pytest
import torch
import yaml

from lit_gen.commands import lightning, lightning_cli
from lit_gen.commands.request import default_name


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def curve(run: Path) -> list[tuple[str, str]]:
    """Everything logged that does not depend on the clock."""
    return [(row["step"], row[name]) for row in rows(run) for name in row if row[name] and not name.startswith("speed")]


def state(run: Path, name: str = "last") -> dict:
    return torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_a_run_leaves_what_is_promised(trained):
    files = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    assert {"config.yaml", "metrics.csv", "checkpoints/last.ckpt", "checkpoints/best.ckpt"} <= files
    assert {f"samples/step_{step:08d}.png" for step in (0, 6, 12)} <= files
    assert {f"evaluation/step_{step:08d}.json" for step in (6, 12)} <= files
    assert sum("events.out.tfevents" in name for name in files) == 1
    assert not [name for name in files if name.endswith((".tmp", "hparams.yaml"))]
    table = rows(trained)
    assert [row["step"] for row in table if row["loss/generator"]] == ["2", "4", "6", "8", "10", "12"]
    fid = {row["step"]: float(row["fid[classifier]"]) for row in table if row["fid[classifier]"]}
    assert fid.keys() == {"6", "12"}
    assert state(trained)["global_step"] == 12
    assert state(trained, "best")["global_step"] == int(min(fid, key=fid.get))


def test_config_yaml_is_a_configuration_of_the_same_run(trained, lit_gen):
    saved = yaml.safe_load((trained / "config.yaml").read_text())
    assert saved["ckpt_path"] is None
    assert saved["seed_everything"] == 0
    assert "image_shape" not in saved["model"]["init_args"]
    printed = yaml.safe_load(lit_gen("fit", "--config", trained / "config.yaml", "--print_config").out)
    assert printed == saved


def test_configurations_stack_and_options_go_last(lit_gen):
    Path("more.yaml").write_text("model: {init_args: {n_critic: 3}}\ntrainer: {max_steps: 7}\n")
    said = lit_gen(
        *("fit", "--config", "tiny.yaml", "--config=more.yaml", "--data.batch_size", 5, "--print_config"),
    )
    config = yaml.safe_load(said.out)
    assert config["model"]["init_args"]["n_critic"] == 3
    assert config["model"]["init_args"]["latent_dim"] == 8
    assert config["trainer"]["max_steps"] == 7
    assert config["data"]["init_args"]["batch_size"] == 5
    assert not Path("runs").exists()


def test_a_run_goes_on_in_its_folder_bit_for_bit(lit_gen, trained):
    assert lit_gen("fit", "--config", "tiny.yaml", "--trainer.max_steps", 6)[0] == 0
    run = Path("runs/tiny/version_0")
    assert state(run)["global_step"] == 6
    said = lit_gen("fit", "--config", "tiny.yaml", "--ckpt_path", "last")
    assert said.status == 0, said.err
    assert "from step 6" in said.out
    assert [path.name for path in Path("runs/tiny").iterdir()] == ["version_0"]
    assert curve(run) == curve(trained)
    for key in ("state_dict", "optimizer_states", "global_step"):
        assert same(state(run)[key], state(trained)[key]), key
    assert same(state(run)["callbacks"]["EMA"]["average"], state(trained)["callbacks"]["EMA"]["average"])
    picture = "samples/step_00000012.png"
    assert (run / picture).read_bytes() == (trained / picture).read_bytes()


def test_the_checkpoint_is_not_kept_in_memory_while_a_run_goes_on(lit_gen, trained, monkeypatch):
    read, tensors, alive = lightning_cli.read_checkpoint, [], []

    def reading(*arguments, **settings):
        checkpoint = read(*arguments, **settings)
        tensors.extend(weakref.ref(tensor) for tensor in checkpoint["state_dict"].values())
        return checkpoint

    def fitting(cli, source):
        gc.collect()
        alive.append(sum(tensor() is not None for tensor in tensors))
        assert lightning._limit_reached(cli) is None and cli.checkpoint["global_step"] == 12

    monkeypatch.setattr(lightning_cli, "read_checkpoint", reading)
    monkeypatch.setattr(lightning, "_fit", fitting)
    shutil.copytree(trained, "runs/tiny/version_0")
    said = lit_gen("fit", "--config", "tiny.yaml", "--ckpt_path", "last", "--trainer.max_steps", 14)
    assert said.status == 0, said.err
    assert tensors and alive == [0]


def test_rows_after_the_checkpoint_are_dropped(lit_gen, trained):
    assert lit_gen("fit", "--config", "tiny.yaml", "--trainer.max_steps", 4)[0] == 0
    run = Path("runs/tiny/version_0")
    before = rows(run)
    with (run / "metrics.csv").open("a") as file:
        file.write(before[-1]["step"].replace("4", "6") + ",1\n3")  # of steps that were lost, the last row torn
    assert lit_gen("fit", "--config", "tiny.yaml", "--ckpt_path", run)[0] == 0
    assert curve(run) == curve(trained)


def test_the_folder_of_a_run_is_enough_to_go_on(lit_gen):
    assert lit_gen("fit", "--config", "tiny.yaml", "--trainer.max_steps", 2, "--evaluation.metrics", "[]")[0] == 0
    said = lit_gen("fit", "--ckpt_path", "runs/tiny/version_0", "--trainer.max_steps", 4, "--model.n_critic", 2)
    assert said.status == 0, said.err
    assert "model.n_critic is 2, but 1 in the checkpoint" in said.err
    assert state(Path("runs/tiny/version_0"))["global_step"] == 4
    assert yaml.safe_load(Path("runs/tiny/version_0/config.yaml").read_text())["model"]["init_args"]["n_critic"] == 2
    # Under another name it is only where a new run starts from.
    Path("other.yaml").write_text(Path("tiny.yaml").read_text())
    ckpt = "runs/tiny/version_0/checkpoints/last.ckpt"
    said = lit_gen(
        "fit", "--config", "other", "--ckpt_path", ckpt, "--trainer.max_steps", 5, "--evaluation.metrics", "[]"
    )
    assert said.status == 0, said.err
    assert state(Path("runs/other/version_0"))["global_step"] == 5


def test_last_without_a_run_starts_afresh_and_says_so(lit_gen):
    said = lit_gen(
        *("fit", "--model", "GAN", "--data", "Digits", "--data.image_size", 8, "--ckpt_path", "last"),
        *("--trainer.max_steps", 1, "--evaluation.metrics", "[]", "--runs", "here", "--model.image_shape", "[3,9,9]"),
    )
    assert said.status == 0, said.err
    assert "starting afresh" in said.err
    assert "model.image_shape is decided by the data" in said.err
    assert len(said.err.splitlines()) == 2
    assert Path("here/gan_digits/version_0/checkpoints/last.ckpt").is_file()


def test_what_the_configuration_switches_off_is_off(lit_gen):
    off = (
        "--trainer.enable_progress_bar",
        "false",
        "--trainer.enable_checkpointing",
        "false",
        "--trainer.logger",
        "false",
    )
    said = lit_gen("fit", "--config", "tiny.yaml", "--trainer.max_steps", 1, "--evaluation.metrics", "[]", *off)
    assert (said.status, said.err) == (0, "")
    files = {path.name for path in Path("runs/tiny/version_0").rglob("*") if path.is_file()}
    assert files == {"config.yaml", "step_00000000.png", "step_00000001.png"}


def test_a_dry_run_leaves_nothing(lit_gen):
    said = lit_gen("fit", "--config", "tiny.yaml", "--trainer.fast_dev_run", 1)
    assert said.status == 0, said.err
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("model", "data", "name"),
    [
        ("GAN", "Digits", "gan_digits"),
        ("lit_gen.models.GAN", "FashionMNIST", "gan_fashion_mnist"),
        ("VAE", "CIFAR10", "vae_cifar10"),
    ],
)
def test_a_run_without_configuration_has_a_name(model, data, name):
    assert default_name(model, data) == name
