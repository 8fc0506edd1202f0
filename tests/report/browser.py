"""Opens pages of the report in headless Chromium, as a person would: no error on the console, no request but for the page itself, no
sideways scrolling, everything reachable by keyboard with a focus that is seen, pages that turn, and a print that is whole.

`tests/report/check` runs it on the pages that `cargo test -p sentinel-core --test report` leaves: a sample, a run of a hundred
thousand records, two runs side by side. Beside each page it leaves a picture at two widths, and the print.
"""

import os
import pathlib
import re
import shutil
import sys

from playwright.sync_api import sync_playwright

WIDTHS = (1200, 390)
# More stops than a page has; a trap would use them all.
STOPS_MAX = 2000
# What a keyboard must reach.
FOCUSABLE = "a[href], button:not([disabled]):not([hidden]), [tabindex='0']"

VISIBLE = """e => { const r = e.getBoundingClientRect(); return r.width > 0 && r.height > 0 && !e.closest('[hidden]') }"""
FOCUSED = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const s = getComputedStyle(e);
  e.dataset.reached = 'yes';
  const within = e instanceof SVGElement ? getComputedStyle(e.querySelector('rect') || e) : s;
  const seen = (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || parseFloat(within.strokeWidth) >= 2;
  return {name: e.tagName + ' ' + (e.textContent || e.getAttribute('aria-label') || '').trim().slice(0, 40), seen};
}"""
CUT = """() => [...document.querySelectorAll('main *')].filter(e => {
  if (e.closest('.scroll, svg, .unseen, [hidden]')) return false;
  const r = e.getBoundingClientRect();
  return r.width > 0 && r.right > document.documentElement.clientWidth + 1;
}).map(e => e.tagName + '.' + e.className).slice(0, 5)"""


def expect(condition, story):
    if not condition:
        raise AssertionError(story)


def by_keyboard(page):
    """Walks through the page with the tabulator; returns how many stops there were."""
    page.reload()
    stops = 0
    for stops in range(STOPS_MAX):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        expect(focused["seen"], f"the focus on `{focused['name']}` cannot be seen")
    expect(stops > 5, f"only {stops} stops")
    missed = [
        element.evaluate("e => e.outerHTML.slice(0, 120)")
        for element in page.query_selector_all(FOCUSABLE)
        if element.evaluate(VISIBLE) and not element.evaluate("e => e.dataset.reached === 'yes'")
    ]
    expect(not missed, f"not reached by keyboard: {missed[:5]}")
    return stops


def turn_pages(page):
    """Turns the pages of the first thing that has them, by keyboard; returns whether there was one."""
    pager = page.query_selector(".pager")
    if pager is None:
        return False
    shown = lambda: pager.query_selector("span").inner_text()
    first = shown()
    on = pager.query_selector("button[aria-label='next page']")
    on.focus()
    page.keyboard.press("Enter")
    expect(shown() != first, f"the page was not turned: {first}")
    last = pager.query_selector("button[aria-label='last page']")
    last.focus()
    page.keyboard.press("Space")
    _, end, count = re.match(r"(\d+)–(\d+) of (\d+)", shown()).groups()
    expect(end == count, f"the last page ends with {end} of {count}")
    expect(page.evaluate("document.activeElement.tagName") == "BUTTON", "the focus was lost at the last page")
    pager.query_selector("button[aria-label='first page']").click()
    expect(shown() == first, f"the first page is {shown()}, and was {first}")
    return True


def check(browser, path):
    told, requests = [], []
    page = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(path.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        expect(wide <= width, f"at {width} the page is {wide} wide")
        expect(not page.evaluate(CUT), f"at {width} something is cut: {page.evaluate(CUT)}")
        for scroll in page.query_selector_all(".scroll"):
            reach = scroll.evaluate("e => { e.scrollLeft = 1e6; const r = e.scrollLeft + e.clientWidth; e.scrollLeft = 0; return e.scrollWidth - r }")
            expect(reach <= 1, f"at {width} {reach} pixels cannot be scrolled to")
        page.screenshot(path=path.with_suffix(f".{width}.png"))
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(path.as_uri())
    paged = turn_pages(page)
    theme = page.query_selector("#theme")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    theme.focus()
    page.keyboard.press("Enter")
    expect(page.evaluate("getComputedStyle(document.body).backgroundColor") != before, "the theme did not change")
    stops = by_keyboard(page)
    sections = page.query_selector_all("main > section")
    for link in page.query_selector_all("nav a"):
        target = link.get_attribute("href")
        expect(page.query_selector(target) is not None, f"`{target}` leads nowhere")
    pdf = page.pdf(path=path.with_suffix(".pdf"), prefer_css_page_size=True, format="A4")
    sheets = len(re.findall(rb"/Type\s*/Page\b", pdf))
    expect(pdf.startswith(b"%PDF-") and sheets > 0, "it does not print")
    page.emulate_media(media="print")
    # What the margins leave of the sheet.
    page.set_viewport_size({"width": 680, "height": 1000})
    cut = [s.get_attribute("id") for s in page.query_selector_all("main > section") if s.evaluate("e => e.scrollWidth > e.clientWidth + 1")]
    expect(not cut, f"on paper these are cut: {cut}")
    outside = [url for url in requests if url.split("#")[0] != path.as_uri() and not url.startswith("data:")]
    expect(not outside, f"it asked for {outside}")
    expect(not told, f"the console says {told}")
    page.close()
    size = path.stat().st_size / (1 << 20)
    turned = "pages turn" if paged else "one page"
    print(f"{path.name}: {size:.1f} MiB, {len(sections)} sections, {stops} stops by keyboard, {turned}, {sheets} sheets printed")


def main(folder, *more):
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("no Chromium was found: install it, or name it in CHROMIUM")
    pages = sorted(pathlib.Path(folder).glob("*.html")) + [pathlib.Path(page) for page in more]
    expect(pages, f"no page in `{folder}`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in pages:
            check(browser, path.resolve())
        print(f"{len(pages)} passed, 0 failed ({browser.version})")


main(*sys.argv[1:])
