"""Questions about photographs, on every screen: all that is asked and offered is in sight."""

import numpy as np
import pytest
from browsing import until
from PIL import Image

from idc_jax.data.base import Dataset

pytestmark = pytest.mark.browser

COUNT = 80
NAME = "a photograph of a holiday with a name that says where and when it was {}.jpg"
SCREENS = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "enlarged": {"viewport": {"width": 640, "height": 400}},  # 1280 x 800 at 200 %
    "upright": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "lying": {"viewport": {"width": 844, "height": 390}, "has_touch": True, "is_mobile": True},
}
SHAPES = ((640, 480), (480, 640), (512, 512), (1200, 400))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder, names = tmp_path_factory.mktemp("photos"), []
    for number in range(COUNT):
        names.append(str(folder / NAME.format(number)))
        Image.new("RGB", SHAPES[number % 4], (3 * number, 90, 200)).save(names[-1])
    shown = np.zeros((COUNT, 256, 256, 3), np.uint8)
    labels = np.arange(COUNT, dtype=np.int32) % 10
    return Dataset("p", "images", shown, labels, (), tuple(names), np.ones(COUNT, bool), ())


def boxes(ann, selector):
    return [one.bounding_box() for one in ann.page.locator(selector).all()]


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("kind", ["cluster", "pair"])
def test_nothing_leaves_the_screen(start_run, visit, photos, kind, screen):
    run = start_run(kind=kind, count=9, data=photos, members=6)
    ann = visit(run.url, **SCREENS[screen])
    width, height = ann.page.viewport_size.values()
    for key in "ab":
        ann.press(key)
    ann.see("#recent li")
    ann.see()
    offered = "main .tile, main .verdict button, main .actions button, .subject > img"
    for box in boxes(ann, f"{offered}, .tile img, #recent li"):
        assert min(box["x"], box["y"]) >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    subjects = boxes(ann, ".subject > img")
    assert min(min(box["width"], box["height"]) for box in subjects) >= 60
    # Pictures take the room that there is.
    if kind == "pair" and screen == "upright":
        assert sum(box["height"] for box in subjects) > 0.4 * height
    hints = ann.page.locator("main .actions kbd").first
    assert hints.is_visible() == (screen in ("desk", "enlarged"))


def test_the_whole_name_can_be_read(start_run, visit, photos):
    run = start_run(kind="label", count=2, data=photos)
    ann = visit(run.url, **SCREENS["lying"])
    asked = until(lambda: run.questions(), "questions").indices[0]
    ann.see()
    ann.page.tap("[data-action=zoom]")
    assert ann.page.locator("#zoomed figcaption").first.inner_text() == NAME.format(asked)


def test_a_photograph_is_seen_to_its_last_pixel_and_as_the_network_sees_it(
    start_run, visit, photos
):
    run = start_run(kind="label", count=12, data=photos)
    wide = [i for i, one in enumerate(until(run.questions, "questions").indices) if one % 4 == 3]
    ann = visit(run.url)
    for _ in range(wide[0]):
        ann.press("Space")
    ann.see(".subject .seen >> text=The network sees")
    ann.press("+")
    place = ann.page.locator("#zoomed .pan")
    until(lambda: place.locator("img").evaluate("image => image.naturalWidth") == 1200, "all of it")
    ann.see("#zoomed >> text=What the network sees")
    assert place.evaluate("node => node.scrollWidth <= node.clientWidth")
    place.click(position={"x": 10, "y": 60})
    assert place.evaluate("node => node.scrollWidth") >= 1200
    assert place.evaluate("node => node.scrollLeft") == 0
    box = place.bounding_box()
    ann.page.mouse.move(box["x"] + 200, box["y"] + 60)
    ann.page.mouse.down()
    ann.page.mouse.move(box["x"] + 150, box["y"] + 60, steps=5)
    ann.page.mouse.up()
    until(lambda: place.evaluate("node => node.scrollLeft") >= 45, "it was dragged")
    assert place.evaluate("node => node.classList.contains('actual')")
