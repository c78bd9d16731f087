#!/usr/bin/env python3
"""Opens pages in headless Chromium, uses their switches and filters, and takes screenshots.

It speaks the DevTools protocol over a pipe: nothing listens on a port, and Python's standard library is enough.

  .ci/pages.py CHROMIUM FOLDER PAGE…    fails on the first page with an error on its console, a request, or a switch that does nothing;
                                        screenshots go to FOLDER
  .ci/pages.py --pictures CHROMIUM FOLDER PASSED VIOLATED LOAD COMPARED    the pictures of the README, from four pages
"""

import base64
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import time

ANSWER_S = 60
OPENS_WITHIN_S = float(os.environ.get("AVOUCH_PAGE_OPENS_WITHIN_S", "10"))  # a shared machine; the target is 2 s on an idle one
WIDTH = 1280
NARROW = 420
SHOT_HEIGHT_MAX = 6000
FLAGS = [
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu", "--disable-extensions", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--no-default-browser-check", "--force-color-profile=srgb",
]


class Failed(Exception):
    """What is wrong with a page, in words."""


class Browser:
    """One Chromium, spoken to over file descriptors 3 and 4."""

    def __init__(self, program, profile):
        to_browser, self.writer = os.pipe()
        self.reader, from_browser = os.pipe()
        flags = FLAGS + [f"--user-data-dir={profile}"]
        if os.geteuid() == 0:
            flags.append("--no-sandbox")  # Chromium refuses its sandbox to root

        def place():
            # Away from 3 and 4 first: either may be the other's place.
            read, write = os.dup(to_browser), os.dup(from_browser)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [program, *flags], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=place, close_fds=False,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.events = b"", 0, []

    def read(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.reader], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise Failed("the browser does not answer")
            chunk = os.read(self.reader, 1 << 20)
            if not chunk:
                raise Failed("the browser is gone")
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method, session=None, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWER_S
        while True:
            answer = self.read(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise Failed(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def close(self):
        try:
            self.ask("Browser.close")
        except (Failed, OSError):
            self.process.kill()
        self.process.wait(timeout=ANSWER_S)


class Page:
    """A tab with one page."""

    def __init__(self, browser, path):
        self.browser, self.path = browser, path
        target = browser.ask("Target.createTarget", url="about:blank")["targetId"]
        self.target = target
        self.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.size(900)
        began = time.monotonic()
        self.ask("Performance.enable", timeDomain="threadTicks")
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while self.value("document.readyState + location.protocol") != "completefile:":
            if time.monotonic() - began > ANSWER_S:
                raise Failed("it does not load")
            time.sleep(0.01)
        self.opened_s = time.monotonic() - began
        metrics = {metric["name"]: metric["value"] for metric in self.ask("Performance.getMetrics")["metrics"]}
        self.cpu_s = metrics["TaskDuration"]  # of the page's own thread: parsing, styles, layout, script

    def ask(self, method, **parameters):
        return self.browser.ask(method, session=self.session, **parameters)

    def size(self, height, width=WIDTH):
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def value(self, expression):
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise Failed(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def expect(self, expression, what):
        if self.value(expression) is not True:
            raise Failed(f"{what}: {expression}")

    def choose(self, selector, value):
        self.value(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)}); it.value = {json.dumps(value)};"
            " it.dispatchEvent(new Event('input', { bubbles: true })); it.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )

    def shoot(self, file, height_max=SHOT_HEIGHT_MAX, width=WIDTH):
        self.size(900, width)
        height = min(self.value("document.documentElement.scrollHeight"), height_max)
        self.size(height, width)
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))
        self.size(900)

    def print(self, file):
        data = self.ask("Page.printToPDF", printBackground=True, preferCSSPageSize=False)["data"]
        file.write_bytes(base64.b64decode(data))

    def complaints(self):
        """Errors on the console, exceptions, and requests for anything but the file itself."""
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            method, said = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown":
                yield f"exception: {said['exceptionDetails']}"
            elif method == "Runtime.consoleAPICalled" and said["type"] in ("error", "warning", "assert"):
                yield f"console: {said['args']}"
            elif method == "Log.entryAdded" and said["entry"]["level"] in ("error", "warning"):
                yield f"log: {said['entry']['text']}"
            elif method == "Network.requestWillBeSent":
                address = said["request"]["url"]
                if not address.startswith("data:") and not address.split("#")[0] == self.path.resolve().as_uri():
                    yield f"request: {address}"

    def close(self):
        self.browser.ask("Target.closeTarget", targetId=self.target)


VISIBLE = "it => it.getClientRects().length > 0"


def check(page, shots):
    """Everything that a page can do; what it lacks is not asked for."""
    name = page.path.parent.name if page.path.name == "report.html" else page.path.stem
    page.expect("document.querySelector('h1').textContent.length > 0", "it has no heading")
    page.expect("typeof stolen === 'undefined'", "text of a target was run")
    has = lambda selector: page.value(f"document.querySelector({json.dumps(selector)}) !== null")
    count = lambda selector: page.value(f"[...document.querySelectorAll({json.dumps(selector)})].filter({VISIBLE}).length")

    page.choose("#theme", "light")
    light = page.value("getComputedStyle(document.body).backgroundColor")
    page.shoot(shots / f"{name}-light.png")
    page.choose("#theme", "dark")
    dark = page.value("getComputedStyle(document.body).backgroundColor")
    if light == dark:
        raise Failed(f"the theme does not change: {light}")
    page.shoot(shots / f"{name}-dark.png")

    page.choose("#language", "zh")
    page.expect("document.documentElement.lang === 'zh'", "the language does not change")
    page.expect("/[\\u4e00-\\u9fff]/.test(document.querySelector('.word').innerText)", "the verdict is not in Chinese")
    page.expect(f"![...document.querySelectorAll('[lang=en]:not(html)')].some({VISIBLE})", "English is left")
    untold = page.value(f"[...document.querySelectorAll('.untold')].filter({VISIBLE}).map(it => it.textContent)")
    untold = sorted({text for text in untold if "<script>" not in text})
    if untold:
        raise Failed(f"without a translation (the lists in told/ have the others): {untold[:5]}")
    page.choose("#theme", "light")
    page.shoot(shots / f"{name}-zh.png")
    page.choose("#language", "en")
    page.expect("!/[\\u4e00-\\u9fff]/.test(document.querySelector('.word').innerText)", "the verdict stays Chinese")

    if has(".finding[data-guarantee]"):
        filters(page, count)
    if has("input.hide") and has("tr.is-idle"):
        page.value("document.querySelector('input.hide').click()")
        if count("tr.is-idle") != 0:
            raise Failed("what was not put to the test is not hidden")
        page.value("document.querySelector('input.hide').click()")
    if has(".tablist"):
        tabs(page, count)
    if has("svg.chart[tabindex]"):
        readout(page)
    if has("#run-filters"):
        runs(page, count)
    for link in page.value("[...document.querySelectorAll('a[href^=\"#\"]')].map(it => it.getAttribute('href'))"):
        page.expect(f"document.getElementById(decodeURIComponent({json.dumps(link[1:])})) !== null", f"{link} leads nowhere")
    page.print(shots / f"{name}.pdf")
    page.size(900, NARROW)
    wide = page.value("document.documentElement.scrollWidth")
    if wide > NARROW:
        raise Failed(f"on a narrow screen ({NARROW} pixels) it is {wide} wide")
    page.shoot(shots / f"{name}-narrow.png", width=NARROW)


def filters(page, count):
    before = count(".finding[data-guarantee]")
    if count("#finding-filters select") == 0:
        raise Failed("there is nothing to filter by")
    for field, data in (("guarantee", "guarantee"), ("origin", "origin"), ("conversation", "conversation"), ("device", "devices")):
        selector = f"#finding-filters [name={field}]"
        values = page.value(f"[...(document.querySelector('{selector}')?.options ?? [])].map(it => it.value).filter(it => it)")
        for value in values[:3]:
            page.choose(selector, value)
            wanted = page.value(
                f"[...document.querySelectorAll('.finding[data-guarantee]')].filter(it => (it.dataset.{data} ?? '').split(' ').includes({json.dumps(value)})).length"
            )
            if count(".finding[data-guarantee]") != wanted or wanted == 0:
                raise Failed(f"{field} {value}: {count('.finding[data-guarantee]')} findings, not {wanted}")
            if field == "device":
                page.expect(
                    f"![...document.querySelectorAll('.row[data-device]')].some(it => it.dataset.device !== {json.dumps(value)} && it.getClientRects().length)",
                    "rows of other devices stay",
                )
            page.choose(selector, "")
    if count(".finding[data-guarantee]") != before:
        raise Failed("findings do not come back")
    if count("button.zoom") > 0:
        page.value("document.querySelector('.finding').open = true")
        width = "document.querySelector('.diagram .lanes').getBoundingClientRect().width"
        narrow = page.value(width)
        page.value("document.querySelector('button.zoom').click()")
        if page.value(width) <= narrow:
            raise Failed("it does not zoom")


def tabs(page, count):
    if count(".panel") != 1:
        raise Failed(f"{count('.panel')} panels are shown at once")
    page.value("[...document.querySelectorAll('.tablist button')].at(-1).click()")
    page.expect("document.querySelectorAll('.panel')[document.querySelectorAll('.panel').length - 1].hidden === false", "a tab does nothing")
    page.value("document.querySelector('.tablist button').click()")


def readout(page):
    page.value(
        "(() => { const chart = document.querySelector('.panel:not([hidden]) svg.chart[tabindex]') ?? document.querySelector('svg.chart[tabindex]'); chart.focus();"
        " chart.dispatchEvent(new KeyboardEvent('keydown', { key: 'End' })); chart.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' })); })()"
    )
    page.expect("document.activeElement.closest('figure').querySelector('output').textContent.length > 5", "no value is read out")


def runs(page, count):
    all_runs = count("table.runs tbody tr")
    page.choose("#run-filters [name=words]", "no run is called this")
    if count("table.runs tbody tr") != 0:
        raise Failed("the search finds what is not there")
    page.expect("document.getElementById('no-run-matches').hidden === false", "nothing says that nothing matches")
    page.choose("#run-filters [name=words]", "")
    page.choose("#run-filters [name=outcome]", "not-good")
    if count("table.runs tbody tr.is-good") != 0:
        raise Failed("passed runs stay")
    page.choose("#run-filters [name=outcome]", "")
    if count("table.runs tbody tr") != all_runs:
        raise Failed("runs do not come back")


# Name, what is left out of it so that it fits, and how much of the rest is shown.
PICTURES = [
    ("passed", "nav, #guarantees, #findings", 1010),
    ("violated", "nav, #guarantees", 1290),
    ("load", "nav, #objectives, #rates figure:nth-of-type(2)", 1390),
    ("compared", "nav", 1390),
]
PICTURE_WIDTH = 1200


def pictures(program, folder, *paths):
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, profile)
        try:
            for (name, left_out, height), path in zip(PICTURES, map(pathlib.Path, paths), strict=True):
                page = Page(browser, path)
                page.choose("#theme", "light")
                page.value(f"document.querySelectorAll({json.dumps(left_out)}).forEach(it => it.remove())")
                page.shoot(pathlib.Path(folder) / f"{name}.png", height_max=height, width=PICTURE_WIDTH)
                page.close()
        finally:
            browser.close()


def main():
    if sys.argv[1:2] == ["--pictures"]:
        return pictures(*sys.argv[2:])
    program, shots, *paths = sys.argv[1:]
    shots = pathlib.Path(shots)
    shots.mkdir(parents=True, exist_ok=True)
    if not paths:
        sys.exit("pages: no page was named")
    failed = 0
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(program, profile)
        try:
            for path in map(pathlib.Path, paths):
                if not path.is_file():
                    print(f"   {path}: there is no such page")
                    failed += 1
                    continue
                page = Page(browser, path)
                try:
                    check(page, shots)
                    complaints = list(page.complaints())
                    if complaints:
                        raise Failed("; ".join(complaints))
                    if page.opened_s > OPENS_WITHIN_S:
                        raise Failed(f"it took {page.opened_s:.1f} s to open")
                    print(f"   {path}: {path.stat().st_size / 1024:.0f} KiB, opened in {page.opened_s:.2f} s, {page.cpu_s:.2f} s of CPU")
                except Failed as error:
                    print(f"   {path}: {error}")
                    failed += 1
                page.close()
        finally:
            browser.close()
    sys.exit(1 if failed else 0)


main()
