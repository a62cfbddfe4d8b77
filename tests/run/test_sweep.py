"""Sweeps: each combination is an ordinary run, sharing changes nothing, failures are told."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from ml_collections import ConfigDict
from PIL import Image

from benchmarks import gpu, recipes
from configs import features
from idc_jax.errors import UserError
from idc_jax.runs.compose import run_experiment
from idc_jax.sweeps import plots as sweep_plots
from idc_jax.sweeps import summary as sweep_summary
from idc_jax.sweeps import sweep
from idc_jax.sweeps.axes import Axis, parse_axes
from idc_jax.sweeps.summary import Group, Row


@pytest.fixture
def pretrained(tiny: ConfigDict) -> ConfigDict:
    tiny.init, tiny.rounds = "pretrain", 1
    return tiny


def read(workdir: Path) -> list[dict[str, str]]:
    with (workdir / "sweep.csv").open() as file:
        return list(csv.DictReader(file))


def epochs_trained(folder: Path) -> int:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return sum(json.loads(line)["phase"] == "pretrain" for line in lines)


def test_every_combination_is_a_run_and_pretraining_is_shared(
    pretrained: ConfigDict, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = tmp_path / "sweep"
    assert sweep.run_sweep(pretrained, ["budget=4,6", "seed=1"], workdir) == 0
    rows = read(workdir)
    assert [(row["budget"], row["asked"], row["status"]) for row in rows] == [
        ("4", "4", "done"),
        ("6", "6", "done"),
    ]
    assert [epochs_trained(workdir / row["folder"]) for row in rows] == [1, 0]
    assert (workdir / "sweep.md").read_text().strip() in capsys.readouterr().out
    with Image.open(workdir / "sweep_budget.png") as drawn:
        assert drawn.size[0] > 500
    # What was adopted is what a run of one's own would have trained.
    pretrained.update(budget=6, seed=1)
    run_experiment(pretrained, tmp_path / "alone")
    point = workdir / "budget=6,seed=1"
    for name in ("assignments.csv", "config.json", "answers.jsonl"):
        told = [(folder / name).read_text() for folder in (point, tmp_path / "alone")]
        if name == "answers.jsonl":
            told = [without_times(text) for text in told]
        assert told[0] == told[1], name


def without_times(text: str) -> list[dict]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [{key: line[key] for key in ("position", "samples", "answer")} for line in lines]


class Killed(BaseException):
    """Stands in for a kill: nothing in the sweep catches it."""


def test_it_goes_on_where_it_was_and_a_failure_stops_nothing(
    tiny: ConfigDict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    begun: list[str] = []
    trouble = {"budget=4": RuntimeError("out of\nluck"), "budget=6": Killed()}

    def run(config: ConfigDict, folder: Path) -> None:
        begun.append(folder.name)
        if folder.name in trouble:
            raise trouble[folder.name]
        metrics = {"acc": config.budget / 10, "nmi": 0.5, "ari": 0.25, "fmi": 0.5}
        result = {
            "dataset": "toy",
            "questions": {"asked": config.budget, "none": 1, "skip": 0},
            "initial": metrics,
            "final": metrics,
            "seconds": {"total": 1.0},
        }
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result))

    monkeypatch.setattr(sweep, "run_experiment", run)
    workdir, swept = tmp_path / "sweep", ["budget=3,4,5,6"]
    with pytest.raises(Killed):
        sweep.run_sweep(tiny, swept, workdir)
    assert [row["status"] for row in read(workdir)] == ["done", "failed", "done"]
    del trouble["budget=6"]
    begun.clear()
    (workdir / "sweep.csv").unlink()
    assert sweep.run_sweep(tiny, swept, workdir) == 1
    assert begun == ["budget=4", "budget=6"]
    assert "failed: budget=4: RuntimeError: out of luck" in capsys.readouterr().out
    assert read(workdir)[1]["reason"].startswith("RuntimeError: out of luck")
    assert "Traceback" in (workdir / "budget=4" / "error.txt").read_text()
    trouble.clear()
    (workdir / "budget=4" / "error.txt").unlink()
    (workdir / "budget=4").rmdir()
    assert sweep.run_sweep(tiny, swept, workdir) == 0
    assert [row["final_acc"] for row in read(workdir)] == ["0.3", "0.4", "0.5", "0.6"]
    assert "Best is budget 6: accuracy 0.600." in (workdir / "sweep.html").read_text()


def test_a_point_that_asks_too_much_is_told_with_its_reason(
    tiny: ConfigDict, tmp_path: Path
) -> None:
    assert sweep.run_sweep(tiny, ["budget=161"], tmp_path / "sweep") == 1
    (row,) = read(tmp_path / "sweep")
    assert row["status"] == "failed"
    assert row["reason"] == "budget is 161, but there are 160 samples to ask about"


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["bugdet=1,2"], "--sweep=bugdet: there is no such option; did you mean budget?"),
        (["zzz=1"], "--options lists them"),
        (["idc=1"], "there is no such option"),
        (["budget"], "a value is missing"),
        (["budget="], "a value is missing"),
        (["budget=1,,2"], "a value is missing"),
        ([""], "a value is missing"),
        (["budget=ten"], "'ten' is not a whole number"),
        (["budget=1.5"], "'1.5' is not a whole number"),
        (["finetune.learning_rate=nan"], "'nan' is not a number"),
        (["idc.use_hardness=maybe"], "'maybe' is not true or false"),
        (["views.jitter=1"], "the option is a list"),
        (["budget=1,2,1"], "1 is listed twice"),
        (["budget=1", "budget=2"], "given twice"),
        (["method=idc,dsac"], "chooses the method"),
        (["graph_committee.hops=0,3"], "only graph_committee reads it, and this is idc"),
        (["workdir=a,b"], "a folder of its own"),
        (["budget=4,0"], "budget is 0"),
        (["selector=idc,guess"], "selector is 'guess'"),
    ],
    ids=str,
)
def test_what_cannot_be_swept_is_one_line_and_nothing_is_written(
    tiny: ConfigDict, tmp_path: Path, texts: list[str], said: str
) -> None:
    with pytest.raises(UserError) as caught:
        sweep.run_sweep(tiny, texts, tmp_path / "sweep")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "sweep").exists()


def test_folders_of_other_runs_are_refused(tiny: ConfigDict, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds a single run"):
        sweep.run_sweep(tiny, ["seed=0"], tmp_path / "run")
    other = {**tiny.to_dict(), "budget": 7, "seed": 0}
    (tmp_path / "sweep" / "seed=0").mkdir(parents=True)
    (tmp_path / "sweep" / "seed=0" / "config.json").write_text(json.dumps(other))
    with pytest.raises(UserError, match="budget: 7, now 12"):
        sweep.run_sweep(tiny, ["seed=0"], tmp_path / "sweep")
    assert not (tmp_path / "sweep" / "sweep.csv").exists()


def test_values_are_of_the_option_s_type(tiny: ConfigDict) -> None:
    texts = ["idc.use_hardness=True,false", "finetune.learning_rate=1,1e-3", "selector=idc,random"]
    axes = parse_axes([*texts, "budget=3"], tiny)
    assert [axis.values for axis in axes] == [(True, False), (1.0, 1e-3), ("idc", "random"), (3,)]
    points = sweep.make_points(tiny, axes, Path("w"))
    assert len(points) == 8
    assert points[5].config.finetune.learning_rate == 1.0
    assert (points[5].config.selector, tiny.selector) == ("random", "own")
    assert not points[5].config.idc.use_hardness


def test_folders_keep_apart_what_file_names_cannot_tell(tiny: ConfigDict) -> None:
    axes = [Axis("data.path", ("a/b", "a-b", "a b"))]
    names = {point.folder.name for point in sweep.make_points(tiny, axes, Path("w"))}
    assert len(names) == 3
    assert all("/" not in name and " " not in name for name in names)


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({"budget": 3, "idc.num_candidates": 2, "finetune.epochs": 9, "selector": "random"}, True),
        ({"seed": 5}, False),
        ({"pretrain.epochs": 9}, False),
        ({"num_clusters": 5}, False),
        ({"views.noise": 0.5}, False),
        ({"model.width": 4}, False),
    ],
    ids=str,
)
def test_pretraining_is_shared_where_nothing_before_its_end_differs(
    pretrained: ConfigDict, tmp_path: Path, change: dict, shared: bool
) -> None:
    (first,) = sweep.make_points(pretrained, [Axis("seed", (0,))], tmp_path / "first")
    pretrained.update_from_flattened_dict(change)
    (second,) = sweep.make_points(
        pretrained, [Axis("seed", (pretrained.seed,))], tmp_path / "second"
    )
    weights = first.folder / "checkpoints" / "pretrain" / "1" / "weights"
    weights.parent.mkdir(parents=True)
    weights.write_text("w")
    sweep._adopt_network(second, (first, second))
    found = second.folder / "checkpoints" / "pretrain" / "1" / "weights"
    assert found.exists() == shared


def test_programs_are_given_back_when_shapes_change_or_maps_run_short(
    tiny: ConfigDict, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[bool] = []
    monkeypatch.setattr(sweep.jax, "clear_caches", lambda: cleared.append(True))
    shape = sweep._make_room("", tiny)
    tiny.update(seed=1, budget=5)
    assert sweep._make_room(shape, tiny) == shape
    assert not cleared
    tiny.model.width = 16
    shape = sweep._make_room(shape, tiny)
    assert len(cleared) == 1
    monkeypatch.setattr(sweep, "_maps_run_short", lambda: True)
    sweep._make_room(shape, tiny)
    assert len(cleared) == 2


def row(values: dict, acc: float | None) -> Row:
    scores = None if acc is None else {"acc": acc, "nmi": acc / 2, "ari": acc / 4, "fmi": acc}
    before = None if acc is None else {"acc": 0.5, "nmi": 0.5, "ari": 0.5, "fmi": 0.5}
    questions = {"asked": 5, "none": 0, "skip": 0}
    result = {"questions": questions, "initial": before, "final": scores, "seconds": {"total": 1}}
    return Row(values, "folder", "", result)


def test_the_table_is_mean_and_deviation_over_seeds() -> None:
    axes = [Axis("selector", ("idc", "random")), Axis("seed", (0, 1))]
    rows = [
        row({"selector": "idc", "seed": 0}, 0.8),
        row({"selector": "idc", "seed": 1}, 0.6),
        row({"selector": "random", "seed": 0}, 0.5),
        Row({"selector": "random", "seed": 1}, "folder", "broke", None),
    ]
    assert sweep_summary.as_table(axes, rows).splitlines() == [
        "| selector | runs | ACC before | ACC | NMI | ARI |",
        "|---|---|---|---|---|---|",
        "| idc | 2 | 0.500 ± 0.000 | 0.700 ± 0.100 | 0.350 ± 0.050 | 0.175 ± 0.025 |",
        "| random | 1 | 0.500 | 0.500 | 0.250 | 0.125 |",
    ]


@pytest.mark.parametrize(
    ("names", "drawn"),
    [
        (("selector",), ["sweep.png"]),
        (("budget", "seed"), ["sweep_budget.png"]),
        (("budget", "idc.num_candidates"), ["sweep_budget.png", "sweep_idc.num_candidates.png"]),
        (("selector", "budget"), ["sweep_budget.png"]),
        (("selector", "rounds"), ["sweep.png"]),
        (("seed",), []),
        (("rounds",), []),
    ],
    ids=str,
)
def test_plots_by_kind_of_option(tmp_path: Path, names: tuple[str, ...], drawn: list) -> None:
    known = {"selector": ("idc", "random"), "seed": (0, 1), "budget": (5, 500), "rounds": (2,)}
    axes = [Axis(name, known.get(name, (3, 5))) for name in names]
    points = itertools.product(*(axis.values for axis in axes))
    rows = [row(dict(zip(names, point, strict=True)), 0.7) for point in points]
    assert sweep_plots.write_plots(tmp_path, axes, rows) == drawn
    assert sorted(path.name for path in tmp_path.iterdir()) == drawn


def test_where_a_run_started_is_drawn_once_or_for_each_line() -> None:
    def drawn(start: tuple[float, float]) -> list[tuple[str, list]]:
        scores = [{"acc": acc, "nmi": acc, "ari": acc} for acc in start]
        results = [{"initial": score, "final": score} for score in scores]
        found = [sweep_plots.Line("", [1, 2], [Group({}, [r]), Group({}, [r])]) for r in results]
        plot = Figure().add_subplot()
        sweep_plots._draw_before(plot, found, "acc")
        return [(str(line.get_label()), list(line.get_ydata())) for line in plot.get_lines()]

    assert drawn((0.5, 0.5)) == [("before any answer", [0.5, 0.5])]
    assert [values for _, values in drawn((0.5, 0.6))] == [[0.5, 0.5], [0.6, 0.6], []]


def test_without_labels_there_is_a_table_of_runs_and_no_plot(tmp_path: Path) -> None:
    axes, rows = [Axis("budget", (5, 6))], [row({"budget": budget}, None) for budget in (5, 6)]
    table = sweep_summary.write_summary(tmp_path, axes, rows)
    assert "| 5 | 1 | – | – | – | – |" in table
    assert not sweep_plots.write_plots(tmp_path, axes, rows)
    assert not list(tmp_path.glob("*.png"))


def test_an_option_that_the_method_does_not_read_is_refused() -> None:
    committee = features.get_config("graph_committee")
    with pytest.raises(UserError, match="only idc reads it, and this is graph_committee"):
        parse_axes(["idc.num_candidates=2,3"], committee)
    with pytest.raises(UserError, match="pcl asks about pairs, which it chooses itself"):
        parse_axes(["selector=idc,random"], features.get_config("pcl"))
    assert parse_axes(["graph_committee.picks=value,random"], committee)
    assert parse_axes(["selector=idc,random"], committee)


SWEPT = recipes.TABLES | gpu.TABLES


@pytest.mark.parametrize("name", SWEPT)
def test_the_tables_of_the_readme_are_sweeps_that_can_be_run(name: str, tmp_path: Path) -> None:
    config = recipes.config_of(SWEPT[name])
    if config.data.source in ("auto", "features"):
        config.data.path = str(tmp_path / "x.npz")
    axes = parse_axes(SWEPT[name].axes, config)
    sweep.check_points(sweep.make_points(config, axes, tmp_path), tmp_path)
