"""Reports in a real Chromium: on a telephone, for those who cannot see, enlarged and on paper."""

import pytest
from PIL import Image

from idc_jax.annotate.page import serve
from idc_jax.report import ReportOptions
from tests.report.test_first_screen import named_run
from tests.report.test_page import render
from tests.report.test_sweep_page import written

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
)


@pytest.mark.browser
@pytest.mark.parametrize("kind", ["images", "features"])
def test_a_report(tmp_path, browser, kind):
    render(tmp_path, named_run(kind=kind), ReportOptions())
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((tmp_path / "report.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for summary in page.locator("summary").all():
        summary.click()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    if kind == "images":
        members = page.locator(".cluster .thumb img")
        assert min(box["width"] for box in map(type(members).bounding_box, members.all())) >= 64
        page.locator(".sheet").first.click(position={"x": 5, "y": 5})
        told = page.locator("#enlarged p span")
        assert told.inner_text().endswith("(1 of 20)")
        page.keyboard.press("ArrowLeft")
        assert told.inner_text().endswith("(20 of 20)")
        assert page.locator("#enlarged canvas").bounding_box()["width"] >= 300
        assert axe.Axe().run(page).response["violations"] == []
    # On paper no heading stands alone.
    page.emulate_media(media="print")
    after = "nodes => nodes.map(node => getComputedStyle(node).breakAfter)"
    assert set(page.eval_on_selector_all("h2", after)) == {"avoid"}
    page.close()


@pytest.mark.browser
def test_the_page_of_a_sweep(tmp_path, browser):
    written(tmp_path)
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto((tmp_path / "sweep.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = axe.Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []
    page.close()


@pytest.mark.browser
def test_a_member_is_enlarged_to_its_file(tmp_path, browser):
    run, names = named_run(), []
    for number in range(60):
        names.append(str(tmp_path / f"{number} a.png"))
        Image.new("RGB", (90, 60)).save(names[-1])
    run["dataset"] = run["dataset"]._replace(names=tuple(names))
    render(tmp_path, run)
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((tmp_path / "report.html").as_uri())
    page.locator("details.all summary").first.click()
    page.locator(".sheet").first.click()
    page.wait_for_function("document.querySelector('#enlarged canvas').width === 90")
    page.get_by_role("button", name="Next").click()
    opened = page.locator("#enlarged a").get_attribute("href")
    told = page.locator("#enlarged p span").inner_text()
    assert opened.endswith(told.split(" ")[0] + "%20a.png")
    page.close()


@pytest.mark.browser
def test_a_served_report_enlarges_and_runs_no_other_script(tmp_path, browser, store, dataset):
    run = named_run()
    name = tmp_path / "0.png"
    Image.new("RGB", (90, 60)).save(name)
    run["dataset"] = run["dataset"]._replace(names=(str(name),) * 60)
    page = render(tmp_path, run, ReportOptions(draw_map=False))
    foreign = "<main><script>document.title = 'foreign'</script>"
    (tmp_path / "report.html").write_text(page.replace("<main>", foreign, 1))
    with serve(store, dataset, num_clusters=10, port=0, linger_seconds=0) as served:
        page, errors = browser.new_page(viewport={"width": 1280, "height": 800}), []
        page.on("console", lambda said: errors.append(said.text))
        page.goto(f"{served.url}report")
        assert page.title() != "foreign"
        assert ["script" in error for error in errors] == [True]
        page.locator("details.all summary").first.click()
        page.locator(".sheet").first.click(position={"x": 5, "y": 5})
        assert page.locator("#enlarged p span").inner_text().endswith("(1 of 20)")
        page.get_by_role("button", name="Next").click()
        assert page.locator("#enlarged p span").inner_text().endswith("(2 of 20)")
        assert page.locator("#enlarged a").is_hidden()
        assert len(errors) == 1
        page.close()
