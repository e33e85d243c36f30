"""Two nodes with addresses of their own train as two processes on one node do."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

CONFIG = """
trainer: {max_steps: 9, accelerator: cpu, val_check_interval: 4, check_val_every_n_epoch: null, log_every_n_steps: 3}
model:
  class_path: GAN
  init_args:
    generator: {class_path: DCGANGenerator, init_args: {features: 4}}
    discriminator: {class_path: DCGANDiscriminator, init_args: {features: 4}}
    latent_dim: 8
data: {class_path: Digits, init_args: {image_size: null, batch_size: 16}}
samples: {every_n_steps: 4, num_samples: 4}
evaluation: {metrics: []}
ema: {half_life: 100}
"""


@dataclass(frozen=True)
class Node:
    """Where a torchrun agent runs: what stands before its command, its address and its network interface."""

    prefix: tuple[str, ...]
    address: str
    interface: str


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[Node, Node]]:
    """Two network namespaces joined by a cable, or twice this machine where they are not allowed."""
    tag = secrets.token_hex(3)
    names = f"lg{tag}a", f"lg{tag}b"
    addresses = "10.213.7.1", "10.213.7.2"  # seen within the namespaces only
    try:
        try:
            for name in names:
                _ip("netns", "add", name)
            _ip("link", "add", names[0], "netns", names[0], "type", "veth", "peer", "name", names[1], "netns", names[1])
            for name, address in zip(names, addresses, strict=True):
                _ip("-n", name, "address", "add", f"{address}/24", "dev", name)
                for device in (name, "lo"):
                    _ip("-n", name, "link", "set", device, "up")
        except (OSError, subprocess.CalledProcessError):
            yield Node((), "127.0.0.1", "lo"), Node((), "127.0.0.1", "lo")
        else:
            first, second = (
                Node(("ip", "netns", "exec", name), address, name)
                for name, address in zip(names, addresses, strict=True)
            )
            yield first, second
    finally:
        for name in names:
            with contextlib.suppress(OSError, subprocess.CalledProcessError):
                _ip("netns", "delete", name)  # and the cable with it


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, log: str, torchrun: list[str], node: Node | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIT_GEN_CACHE": str(folder / "cache")}
    if node is not None:
        environment["GLOO_SOCKET_IFNAME"] = node.interface
    command = [*(node.prefix if node else ()), sys.executable, "-m", "torch.distributed.run", *torchrun]
    with (folder / log).open("w") as file:
        return subprocess.Popen(
            [*command, "-m", "lit_gen", "fit", "--config", "tiny.yaml"],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=file,
            text=True,
        )


@pytest.fixture(scope="module")
def runs(nodes: tuple[Node, Node], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folders in which one node with two processes, and two nodes with one each, have trained."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for folder in (one, two):
        (folder / "tiny.yaml").write_text(CONFIG)
    at = ["--nnodes=2", "--nproc_per_node=1", f"--master_addr={nodes[0].address}", f"--master_port={_free_port()}"]
    processes = {"one": start(one, "one.log", ["--standalone", "--nproc_per_node=2"])}
    try:
        assert processes["one"].wait(200) == 0, (one / "one.log").read_text()[-4000:]
        for rank, node in enumerate(nodes):
            processes[f"node{rank}"] = start(two, f"node{rank}.log", [*at, f"--node_rank={rank}"], node)
        for rank in range(2):
            assert processes[f"node{rank}"].wait(200) == 0, (two / f"node{rank}.log").read_text()[-4000:]
    finally:
        for process in processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)  # an agent takes its workers with it
            process.wait(60)
    return one, two


def test_two_nodes_end_where_two_processes_of_one_do(runs):
    last = Path("runs") / "tiny" / "version_0" / "checkpoints" / "last.ckpt"
    one, two = (torch.load(folder / last, weights_only=True) for folder in runs)
    assert two["global_step"] == one["global_step"] == 9
    for name, value in one["state_dict"].items():
        assert torch.equal(two["state_dict"][name], value), name
    for name, value in one["callbacks"]["EMA"]["average"].items():
        assert torch.equal(two["callbacks"]["EMA"]["average"][name], value), name
    assert two["lit_gen_training"]["images_seen"] == 9 * 2 * 16


def test_one_run_folder_is_written(runs):
    files = [
        {path.relative_to(folder).as_posix() for path in (folder / "runs").rglob("*") if path.is_file()}
        for folder in runs
    ]
    one, two = ({name for name in names if "tfevents" not in name} for names in files)
    assert two == one
    assert {name.split("/")[2] for name in files[1]} == {"version_0"}
    assert sum("tfevents" in name for name in files[1]) == 1


def test_only_the_first_node_reports(runs):
    first, second = ((runs[1] / f"node{rank}.log").read_text() for rank in range(2))
    assert "done: 9 steps" in first
    assert "done: 9 steps" not in second
    assert "MEMBER: 2/2" in second, "num_nodes was not taken from torchrun"
