"""An evaluation imports no more than it needs: libraries that it can do without are a quarter of its memory."""

import subprocess
import sys
from pathlib import Path

HEAVY = ("torchvision", "torchmetrics", "torch_fidelity", "pytorch_lightning", "matplotlib", "scipy.signal", "sklearn")
SCRIPT = """
import hashlib, sys, torch
from lit_gen.metrics import Evaluator
from lit_gen.metrics.extractors import InceptionV3

image = torch.randint(0, 256, (4, 1, 28, 28), dtype=torch.uint8)

class Data:
    name, num_classes, class_names, image_shape = "noise", None, None, (1, 28, 28)
    def fingerprint(self, split): return "noise"
    def num_images(self, split): return 4
    def batches(self, split, batch_size): yield {"image": image, "index": torch.arange(4)}

evaluator = Evaluator(
    InceptionV3(sys.argv[1]), ("fid", "is", "kid", "pr"), 4, kid_subset_size=4, is_splits=2, cache_dir=sys.argv[2]
)
evaluator.prepare(Data())
evaluator.evaluate([image])
print(*[name for name in sys.argv[3:] if name in sys.modules])
"""


def test_evaluation_imports_what_it_needs(inception_weights: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(inception_weights), str(tmp_path), *HEAVY]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == ""
