"""Weights are found, checked and read, and nothing half-written or unknown is used. Also a script of two processes."""

import hashlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lit_gen.errors import UserError
from lit_gen.metrics.extractors.published_weights import PublishedWeights, find_weights, get_weights
from lit_gen.metrics.extractors.weights import load_weights, weights_hash


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _publish(folder: Path, content: bytes | None = None) -> PublishedWeights:
    """Puts a state_dict at a file:// address, under a name with its hash."""
    folder.mkdir(exist_ok=True)
    whole = folder / "whole.pth"
    torch.save({"weight": torch.arange(1000.0)}, whole)
    path = folder / f"net-{_sha256(whole)[:8]}.pth"
    path.write_bytes(whole.read_bytes() if content is None else content)
    return PublishedWeights.at(path.as_uri())


@pytest.fixture
def hub(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of torch hub's."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_downloaded_once_and_found_again(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published = _publish(tmp_path / "web")
    state, source = get_weights(published)
    assert source == str(hub / published.file) and torch.equal(state["weight"], torch.arange(1000.0))
    assert [path.name for path in hub.iterdir()] == [published.file]
    monkeypatch.setattr(torch.hub, "download_url_to_file", None)
    assert find_weights(published) == hub / published.file


def test_found_in_the_cache_folder(tmp_path: Path, hub: Path, cache_dir: Path) -> None:
    published = _publish(tmp_path / "web")
    (cache_dir / "weights").mkdir(parents=True)
    (tmp_path / "web" / published.file).rename(cache_dir / "weights" / published.file)  # no longer at its address
    assert find_weights(published) == cache_dir / "weights" / published.file and not hub.exists()


def test_half_a_file_is_never_used(tmp_path: Path, hub: Path, caplog: pytest.LogCaptureFixture) -> None:
    published = _publish(tmp_path / "web")
    hub.mkdir(parents=True)
    (hub / published.file).write_bytes((tmp_path / "web" / published.file).read_bytes()[:500])
    assert _sha256(find_weights(published)).startswith(published.sha256)  # replaced
    assert "it is not used" in caplog.text
    (hub / published.file).unlink()
    published = _publish(tmp_path / "web", (tmp_path / "web" / published.file).read_bytes()[:500])  # cut off on the way
    with pytest.raises(UserError, match="invalid hash value"):
        find_weights(published)
    assert not list(hub.iterdir())


def test_no_network(tmp_path: Path, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise URLError("no route\nto host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    published = _publish(tmp_path / "web")
    hub.mkdir(parents=True)
    (hub / published.file).write_text("404: not found")
    with pytest.raises(UserError) as caught:
        get_weights(published)
    for part in (published.url, str(hub / published.file), "damaged", "weights_path", "no route"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_users_file_and_its_hash(tmp_path: Path) -> None:
    published = _publish(tmp_path / "web")
    path = tmp_path / "mine.pth"
    torch.save({"weight": torch.ones(2)}, path)
    sha256 = _sha256(path)
    for good in (None, sha256, sha256[:8], sha256.upper()):
        assert torch.equal(get_weights(published, str(path), good)[0]["weight"], torch.ones(2))
    for bad, message in (
        ("0" * 64, f"damaged or another file: its SHA-256 is {sha256}"),
        (sha256[:7], "8 to 64"),
        ("g" * 8, "hexa"),
    ):
        with pytest.raises(UserError, match=message):
            get_weights(published, str(path), bad)


def test_torchscript_only_if_its_hash_is_known(tmp_path: Path) -> None:
    path = tmp_path / "script.pt"
    torch.jit.script(nn.Linear(3, 2)).save(str(path))
    sha256 = _sha256(path)
    for unknown in (None, sha256[:16]):
        with pytest.raises(UserError, match=r"TorchScript.*weights_sha256"):
            load_weights(path, unknown)
    assert set(load_weights(path, sha256)) == {"weight", "bias"}


def test_hash_of_weights_is_of_their_values(tmp_path: Path) -> None:
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    found = weights_hash({"a": weight, "b": weight})
    assert found == weights_hash({"b": weight.clone(), "a": weight.T.contiguous().T})
    others = [{"a": weight, "c": weight}, {"a": weight, "b": -weight}, {"a": weight, "b": weight.T}]
    others.append({"a": weight, "b": weight.double()})
    assert len({found, *map(weights_hash, others)}) == 5


def test_one_of_two_processes_downloads(tmp_path: Path) -> None:
    published = _publish(tmp_path / "web")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), published.url],
            env={**os.environ, **address, "TORCH_HOME": str(tmp_path / str(rank))},
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    assert len(list((tmp_path / "0").rglob("*.pth"))) == 1 and not list((tmp_path / "1").rglob("*.pth"))


def _work(rank: int, url: str) -> None:
    dist.init_process_group("gloo", rank=rank, world_size=2)
    state, source = get_weights(PublishedWeights.at(url))
    assert torch.equal(state["weight"], torch.arange(1000.0)) and f"{os.sep}0{os.sep}" in source
    with pytest.raises(UserError, match="could not be downloaded"):  # on both, and neither is left waiting
        get_weights(PublishedWeights.at(url + "/nowhere-01234567.pth"))
    dist.destroy_process_group()


if __name__ == "__main__":
    logging.disable()
    _work(int(sys.argv[1]), sys.argv[2])
