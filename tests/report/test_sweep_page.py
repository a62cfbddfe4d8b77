"""The page of a sweep."""

import re

from idc_jax.sweeps.axes import Axis
from idc_jax.sweeps.page import write_page
from idc_jax.sweeps.plots import write_plots
from idc_jax.sweeps.summary import Row
from tests.report import runs
from tests.report.test_page import Balance, text_of


def points(*, labelled=True):
    """Two budgets by two seeds, of which one failed."""
    rows = []
    for budget, better in ((10, 0.0), (50, 0.2)):
        for seed in (0, 1):
            result = runs.make_run(labelled=labelled)["result"]
            if labelled:
                result["final"] = {**result["final"], "acc": 0.7 + better + 0.02 * seed}
            reason = "out of <memory>" if (budget, seed) == (10, 1) else ""
            values = {"budget": budget, "seed": seed}
            rows.append(Row(values, f"b {budget},{seed}", reason, None if reason else result))
    return [Axis("budget", (10, 50)), Axis("seed", (0, 1))], rows


def written(tmp_path, **options):
    axes, rows = points(**options)
    name = write_page(tmp_path, axes, rows, write_plots(tmp_path, axes, rows))
    page = (tmp_path / name).read_text()
    balance = Balance()
    balance.feed(page)
    assert not balance.open
    return page


def test_it_says_what_was_best_and_leads_to_every_run(tmp_path):
    page = written(tmp_path)
    text = text_of(page)
    assert "toy: 4 runs compared" in text
    assert "Best is budget 50: accuracy 0.910 ± 0.010." in text
    assert "1 failed:" in text
    assert "out of &lt;memory&gt;" in page
    links = re.findall(r'href="([^"#]+)"', page)
    assert links == [f"b%20{one}/report.html" for one in ("10%2C0", "50%2C0", "50%2C1")]
    sources = re.findall(r'src="([^"]*)"', page)
    assert sources
    assert all(source.startswith("data:") for source in sources)


def test_without_labels(tmp_path):
    assert "Nothing was scored" in text_of(written(tmp_path, labelled=False))
