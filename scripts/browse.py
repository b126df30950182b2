"""A headless Chromium on the example site: the pages, the form, an upload and its download, a stream. Too big to be
installed for every run of the tests, so it is started by hand:

    apt-get install chromium chromium-driver && pip install selenium
    make serve                                  # elsewhere
    python scripts/browse.py http://127.0.0.1:8000
"""

import sys
import tempfile
import uuid
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PATIENCE = 20


def start(downloads: Path) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    for word in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage"]:
        options.add_argument(word)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    # What the browser itself holds to be an error: a page or a file that does not come, or comes broken.
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))


class Visit:
    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url.rstrip("/")

    def open(self, path: str) -> str:
        self.browser.get(self.url + path)
        return self.text()

    def text(self) -> str:
        text: str = self.browser.find_element(By.TAG_NAME, "body").text
        return text

    def wait(self, text: str) -> None:
        WebDriverWait(self.browser, PATIENCE).until(lambda _: text in self.text())

    def send_form(self, **fields: str) -> None:
        for name, value in fields.items():
            self.browser.find_element(By.NAME, name).send_keys(value)
        self.browser.find_element(By.CSS_SELECTOR, "main button").click()

    def protocol(self) -> str:
        """By which the page itself came."""
        script = "return performance.getEntriesByType('navigation')[0].nextHopProtocol"
        protocol: str = self.browser.execute_script(script)
        return protocol


def pages(visit: Visit) -> None:
    for number in (1, 2, 3):
        shown = visit.open("/")
        assert "first visit" in shown if number == 1 else f"visit number {number}" in shown, shown
    color = visit.browser.find_element(By.TAG_NAME, "header").value_of_css_property("display")
    assert visit.protocol() == "http/1.1" and color
    assert '"ok": true' in visit.open("/json/")
    assert "wsgi.url_scheme" in visit.open("/server/")
    assert "line 5 of 5" in visit.open("/stream/?lines=5&delay=0.1")


def form(visit: Visit) -> None:
    message = f"written by a browser, {uuid.uuid4()}"
    visit.open("/guestbook/")
    visit.send_form(name="Chromium", message=message)
    visit.wait("your entry is in the book")
    assert message in visit.text()


def upload(visit: Visit, directory: Path, downloads: Path) -> None:
    """A file that is larger than what is kept in memory goes up and comes down again."""
    file = directory / f"{uuid.uuid4()}.bin"
    file.write_bytes(bytes(range(256)) * 12_000)
    visit.open("/documents/")
    visit.send_form(file=str(file))
    visit.wait(f"{file.name} has arrived, {file.stat().st_size} bytes")
    visit.browser.find_element(By.LINK_TEXT, file.name).click()
    came = downloads / file.name
    WebDriverWait(visit.browser, PATIENCE).until(lambda _: came.exists())
    assert came.read_bytes() == file.read_bytes()


def main(url: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory, downloads = Path(place), Path(place) / "downloads"
        downloads.mkdir()
        browser = start(downloads)
        try:
            visit = Visit(browser, url)
            pages(visit)
            form(visit)
            upload(visit, directory, downloads)
            complaints = [line for line in browser.get_log("browser") if "favicon.ico" not in line["message"]]
            assert not complaints, complaints
            print(f"{browser.capabilities['browserName']} {browser.capabilities['browserVersion']}: all is well")
        finally:
            browser.quit()


if __name__ == "__main__":
    main(sys.argv[1])
