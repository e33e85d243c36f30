import csv
import html.parser
import json
import re
import shutil
from pathlib import Path


class Page(html.parser.HTMLParser):
    """What a report holds: its tags with attributes, its text, and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_runs_are_ranked_and_every_file_is_read(lit_gen, make_run):
    make_run("good/version_0", {10: 5.0, 20: 2.0, 30: 3.0})
    make_run("bad/version_0", {10: 9.0, 20: 8.0})
    said = lit_gen("compare", "runs")
    assert (said.status, said.err) == (0, "")
    lines = [line.split() for line in said.out.splitlines()]
    assert ["1", "good/version_0", "20", "3", "2"] in lines
    assert ["2", "bad/version_0", "20", "2", "8"] in lines
    (Path("runs/good/version_0/scores.json")).write_text(
        (Path("runs/good/version_0/evaluation/step_00000030.json")).read_text().replace("3.0", "1.0")
    )
    said = lit_gen("compare", "runs/good")
    assert ["1", "good/version_0", "30", "4", "1"] in [line.split() for line in said.out.splitlines()]


def test_unlike_protocols_are_said_and_ranked_apart(lit_gen, make_run):
    make_run("a/version_0", {10: 5.0})
    make_run("b/version_0", {10: 1.0}, {"num_samples": 500, "split": "test"})
    said = lit_gen("compare", "runs", "--output", "report.csv")
    assert said.status == 0
    assert "2 unlike protocols and are not ranked together" in said.out
    assert (
        "Protocol 2 differs from protocol 1 in split (val in 1, test in 2), num_samples (1000 in 1, 500 in 2)"
        in said.out
    )
    with open("report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["group"], row["rank"], row["run"], row["fid"]) for row in rows] == [
        ("1", "1", "a/version_0", "5.0"),
        ("2", "1", "b/version_0", "1.0"),
    ]
    assert len({row["protocol"] for row in rows if len(row["protocol"]) == 64}) == 2 and rows[0]["images_seen"] == "640"


def test_another_metric_of_unlike_protocols_is_not_shown_beside(lit_gen, make_run):
    make_run("a/version_0", {10: 5.0}, metrics={"kid_mean": 0.125})
    make_run("b/version_0", {10: 1.0}, {"kid_subset_size": 50}, metrics={"kid_mean": 0.25})
    said = lit_gen("compare", "runs", "--by", "fid")
    assert "0.125" not in said.out and "0.25" not in said.out
    assert "Protocol 1 shows no kid: its scores differ in kid_subset_size" in said.out


def test_a_score_per_class_is_shown_by_its_mean_and_kept_in_full(lit_gen, make_run):
    classes = {"fid_class_mean": 3.5, "fid_class_std": 0.5, "fid_class/bag": 3.0, "fid_class/boot": 4.0}
    make_run("a/version_0", {10: 5.0}, metrics=classes)
    said = lit_gen("compare", "runs", "--output", "r.csv")
    assert "3.5 ± 0.5" in said.out and "bag" not in said.out
    assert "fid_class/bag" in lit_gen("compare", "runs", "--by", "fid_class/bag").out
    with open("r.csv", newline="") as file:
        assert next(csv.DictReader(file))["fid_class/boot"] == "4.0"


def test_seeds_are_one_row_unless_told_otherwise(lit_gen, make_run):
    make_run("x/version_0", {10: 1.0}, config={"seed_everything": 0})
    make_run("x/version_1", {10: 4.0}, config={"seed_everything": 1})
    said = lit_gen("compare", "runs")
    assert "x (2 seeds)" in said.out and "2.5 ± 2.1" in said.out
    said = lit_gen("compare", "runs", "--group", "none")
    assert "x/version_1" in said.out and "seeds" not in said.out


def test_an_html_report_is_one_whole_page(lit_gen, make_run):
    both = {"precision": 0.5, "recall": 0.25}
    make_run("a/version_0", {10: 5.0, 20: 2.0}, metrics=both, config={"trainer": {"max_steps": 20}})
    make_run("b/version_0", {10: 6.0, 20: 3.0}, metrics=both, config={"trainer": {"max_steps": 30}})
    said = lit_gen("compare", "runs", "--output", "deep/report.html")
    assert (said.status, said.err) == (0, "")
    text = Path("deep/report.html").read_text("utf-8")
    page = Page(text)
    assert page.open == []
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("svg")) == 2
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg"))
    assert [image["alt"] for image in page.all("img")] == [
        f"Grid of samples of {run}/version_0, step 10" for run in ("a", "b")
    ]
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not page.all("script") and not page.all("link") and not re.search(r"url\((?!#)", text)
    outside = [value for _, found in page.tags for key, value in found.items() if "://" in (value or "")]
    assert all(value.startswith("http://www.w3.org/") for value in outside)  # names of SVG's, nothing is fetched
    assert len(page.all("caption")) == len(page.all("table")) == 3
    for words in ("training images seen", "data_fingerprint " + "f" * 32, "trainer.max_steps 20 30", "Protocol 1"):
        assert words in page.text
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len([one for one in ids if one.startswith("figure_")]) == 2


def test_what_comes_from_files_is_text_everywhere(lit_gen, make_run):
    evil = "<script>alert(1)</script>&\"'$x_1$ [red]|`"
    evil = evil.replace("/", "")
    make_run(f"{evil}/version_0", {10: 5.0, 20: 2.0}, {"data": evil}, {"name": evil}, {"precision": 0.5, "recall": 0.5})
    make_run("b/version_0", {10: 6.0, 20: 2.5}, {"data": evil}, {"name": "b"})
    for name in ("r.html", "r.md", "r.csv"):
        assert lit_gen("compare", "runs", "--output", name).status == 0
    page = Page(Path("r.html").read_text("utf-8"))
    assert not page.all("script") and page.open == []
    assert evil in " ".join(page.words)
    assert f"{evil}/version_0" in lit_gen("compare", "runs").out  # not taken for the terminal's markup
    assert "<script" not in Path("r.md").read_text("utf-8").replace("\\<", "")
    assert "\\|" in Path("r.md").read_text("utf-8")
    with open("r.csv", newline="") as file:
        assert f"{evil}/version_0" in {row["run"] for row in csv.DictReader(file)}


def test_reports_are_the_same_again_and_need_no_run_folder(lit_gen, make_run):
    folder = make_run("a/version_0", {10: 5.0, 20: 2.0})
    shutil.copy(folder / "evaluation" / "step_00000020.json", "one.json")
    for name in ("1.html", "2.html"):
        assert lit_gen("compare", "runs", "one.json", "--output", name).status == 0
    assert Path("1.html").read_bytes() == Path("2.html").read_bytes()
    said = lit_gen("compare", "one.json", folder / "evaluation" / "step_00000010.json")
    assert "1   one " in said.out and "a/version_0/step_00000010" in said.out


def test_older_files_are_read_or_named(lit_gen, make_run):
    folder = make_run("a/version_0", {10: 5.0})
    file = folder / "evaluation" / "step_00000010.json"
    content = json.loads(file.read_text())
    del content["protocol"]["num_real"], content["protocol"]["hash"]
    Path("older.json").write_text(json.dumps(content))
    del content["protocol"]
    Path("oldest.json").write_text(json.dumps(content))
    said = lit_gen("compare", "runs", "older.json", "oldest.json")
    assert said.status == 0
    assert "num_real (200 in 1, (not recorded) in 2)" in said.out
    assert "Not comparable, as their files state no protocol: oldest.json" in said.out


def test_mistakes_are_said_in_one_line(lit_gen, make_run):
    make_run("a/version_0", {10: 5.0})
    whole = json.loads(Path("runs/a/version_0/evaluation/step_00000010.json").read_text())
    Path("damaged.json").write_text("{")
    Path("changed.json").write_text(json.dumps({**whole, "protocol": {**whole["protocol"], "num_samples": 50_000}}))
    Path("more.json").write_text(json.dumps({**whole, "more": 5}))
    Path("word.json").write_text(json.dumps({**whole, "metrics": {"fid": "1.0"}}))
    Path("other.json").write_text("[]")
    Path("empty").mkdir()
    for arguments, words in (
        ((), "run"),
        (("rums",), "did you mean 'runs'"),
        (("damaged.json",), "damaged.json cannot be read as JSON"),
        (("changed.json", "runs"), "changed.json was changed: its protocol's hash is not that of its fields"),
        (("runs", "word.json"), "word.json says that fid is '1.0'"),
        (("more.json",), "more.json holds no scores"),
        (("other.json",), "other.json holds no scores"),
        (("empty",), "holds no run, no scores and no images"),
        (("tiny.yaml",), "is neither a run's folder"),
        (("runs", "--by", "fud"), "did you mean 'fid'"),
        (("runs", "--output", "x.pdf"), ".html, .md, .csv"),
        (("runs", "--wich", "all"), "--wich"),
        (("runs", "--which", "any"), "which"),
    ):
        said = lit_gen("compare", *arguments)
        assert said.status == 2 and said.out == "", (arguments, said)
        assert words in said.err and said.err.count("\n") == 1, (arguments, said.err)


def test_checkpoints_and_samples_are_scored_by_one_protocol(lit_gen, trained):
    last, best = (trained / "checkpoints" / f"{name}.ckpt" for name in ("last", "best"))
    lit_gen("sample", "--ckpt_path", last, "--num_samples", 40, "--output", "drawn", "--seed", 0, "--batch_size", 40)
    options = (
        "--metrics",
        "fid",
        "--num_samples",
        40,
        "--device",
        "cpu",
        "--data",
        "Digits",
        "--data.image_size",
        "null",
    )
    said = lit_gen("compare", last, best, "drawn", "--output", "r.csv", "--evaluate", *options)
    assert said.status == 0, said.err
    with open("r.csv", newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    assert {row["group"] for row in rows.values()} == {"1"}
    assert {row["weights"] for row in rows.values()} == {"ema", "given samples"}
    name = f"{trained.parent.name}/{trained.name}"
    assert float(rows["drawn"]["fid"]) == float(rows[f"{name}/last"]["fid"])  # the same images
    said = lit_gen("compare", "drawn", "--evaluate", "--num_samples", 41, "--data", "Digits")
    assert said.status == 2 and "'drawn' cannot be evaluated: --num_samples is 41, but" in said.err


def test_a_checkpoint_has_the_scores_of_its_step(lit_gen, trained):
    said = lit_gen("compare", trained / "checkpoints" / "last.ckpt")
    assert said.status == 0, said.err
    fid = json.loads((trained / "evaluation" / "step_00000012.json").read_text())["metrics"]["fid"]
    assert f"{fid:.4g}" in said.out and "/last " in said.out
