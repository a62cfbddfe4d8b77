"""Points are measured once, and one that fails is told and stops nothing."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pytest
import toy_family

import benchmarks.__main__ as command
from benchmarks.families import FAMILIES, load, store_of
from benchmarks.harness import processes, tables
from benchmarks.harness.points import Point, Store

TOY = "toy_family:FAMILY"


def wanted(log: Path, *does: str) -> list[Point]:
    return [{"does": one, "seed": 0, "log": str(log)} for one in does]


def ran(log: Path) -> list[str]:
    return [line.split()[0] for line in log.read_text().splitlines()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out" / "toy.jsonl", toy_family.FAMILY.fields)


def test_a_point_that_fails_is_told_with_its_reason_and_stops_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    log, family = tmp_path / "log", toy_family.FAMILY._replace(limit=8.0)
    points = wanted(log, "well", "raises", "dies", "hangs", "again")
    assert processes.run(TOY, family, points, store, processes.in_processes) == 3
    told = capsys.readouterr().out
    assert f"raises 0 {log}: left out: ValueError: too few samples\n" in told
    assert f"dies 0 {log}: left out: exit code 3: out of luck\n" in told
    assert f"hangs 0 {log}: left out: over 8 s\n" in told
    assert [row["does"] for row in store.rows()] == ["well", "again"]
    # They shared a process until one of them ended it.
    pids = [line.split()[1] for line in log.read_text().splitlines()]
    assert pids[0] == pids[1] == pids[2]
    assert len(set(pids)) == 3


def test_nothing_is_measured_twice(store: Store, tmp_path: Path) -> None:
    log, family = tmp_path / "log", toy_family.FAMILY
    assert processes.run(TOY, family, wanted(log, "well"), store, processes.here) == 0
    again = wanted(log, "well", "again")
    assert processes.run(TOY, family, again, store, processes.here) == 0
    assert ran(log) == ["well", "again"]
    assert store.rows()[0] == {**again[0], "acc": 0.123457, "of": [1, 2.5]}
    assert store.missing(again) == []


def test_what_was_cut_off_is_measured_and_what_was_done_before_is_not(
    store: Store, tmp_path: Path
) -> None:
    log, family = tmp_path / "log", toy_family.FAMILY

    def killed(name: str, family: object, points: list[Point]) -> object:
        yield toy_family.measure(points[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        processes.run(TOY, family, wanted(log, "well", "again"), store, killed)
    processes.run(TOY, family, wanted(log, "well", "again"), store, processes.here)
    assert ran(log) == ["well", "again"]


def test_a_limit_can_be_a_result(store: Store, tmp_path: Path) -> None:
    family = toy_family.FAMILY._replace(limit=8.0, keeps_limit=True)
    points = wanted(tmp_path / "log", "hangs")
    assert processes.run(TOY, family, points, store, processes.in_processes) == 0
    (row,) = store.rows()
    assert row["over"] == 8.0
    assert row["peak_gib"] > 0


def test_tables_are_put_between_their_marks_or_into_a_file(tmp_path: Path) -> None:
    document, whole = tmp_path / "a.md", tmp_path / "new" / "b.md"
    document.write_text("before\n<!-- one -->\nold\n<!-- end -->\nafter\n")
    inside = tables.table(["a", "b"], [["1", tables.spread([0.5, 0.7])]])
    tables.write({document: {"one": inside}, Path("b.md"): "all\n"}, whole.parent)
    lines = "| a | b |\n| --- | --- |\n| 1 | 0.600 ± 0.141 |"
    assert document.read_text() == f"before\n<!-- one -->\n{lines}\n<!-- end -->\nafter\n"
    assert whole.read_text() == "all\n"
    assert tables.spread([0.5, 0.7], ddof=0) == "0.600 ± 0.100"
    assert tables.gap({0: 0.5, 1: 0.7, 2: 9.0}, {1: 0.4, 0: 0.4}) == "+0.200 ± 0.100"
    with pytest.raises(ValueError, match="not enough values"):
        tables.filled("no marks", {"one": ""})


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_lists_its_points_and_stored_ones_are_among_them(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "training":
        pytest.importorskip("torch", reason="it stands beside PyTorch (the parity extra)")
    family, store = load(name), store_of(name)
    seeds = sorted({row.get("seed", 0) for row in store.rows()} | {0})
    points = list(family.points(seeds))
    keys = [store.key(point) for point in points]
    assert len(set(keys)) == len(keys) > 0
    assert all(tuple(point) == family.fields for point in points)
    assert {store.key(row) for row in store.rows()} <= set(keys)
    assert command.main([name, "--list", "--seeds", "0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) <= len(points)


def test_stored_points_make_the_documents_tables() -> None:
    for name in ("pairs", "kinds"):
        for document, inside in load(name).tables(store_of(name).rows()).items():
            text = document.read_text()
            assert tables.filled(text, inside) == text


def test_values_choose_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys) -> None:
    given = ["kinds", "--list", "--task", "digits", "--seeds", "3", "--out", str(tmp_path)]
    assert command.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16
    assert all(line.startswith("digits ") and line.endswith(" 3") for line in lines)
    with pytest.raises(SystemExit):
        command.main(["no such family"])
    assert "invalid choice" in capsys.readouterr().err


def test_a_course_says_what_was_reached_at_each_budget() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 200)
    from benchmarks.answers import course
    from benchmarks.answers.tasks import Task

    task = Task((np.eye(3)[labels] + 0.1 * rng.normal(size=(200, 3))).astype(np.float32), labels, 3)
    reached = list(course.Stage(task, 0).course("regression", "random"))
    assert [budget for budget, _ in reached] == list(course.BUDGETS)
    assert reached[-1][1]["acc"] > 0.9


def test_no_file_of_the_benchmarks_imports_one_that_imports_it() -> None:
    root = Path(command.__file__).parents[1]
    graph = {}
    for path in (root / "benchmarks").rglob("*.py"):
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("benchmarks"):
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        graph[".".join(path.relative_to(root).with_suffix("").parts)] = found
    assert "benchmarks.families" in graph["benchmarks.__main__"]
    TopologicalSorter({name: found & graph.keys() for name, found in graph.items()}).prepare()
