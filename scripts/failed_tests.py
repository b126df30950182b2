"""failed_tests.py REPORT…: the tests that failed, of reports in JUnit's format, a line each; of several reports with
how often."""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter


def failed(report: str) -> list[str]:
    cases = ElementTree.parse(report).iter("testcase")
    has_failed = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return [f"{case.get('classname')}::{case.get('name')}" for case in has_failed]


def main(reports: list[str]) -> None:
    count = Counter(name for report in reports for name in set(failed(report)))
    for name, times in count.most_common():
        print(f"  {times} of {len(reports)}: {name}" if len(reports) > 1 else f"  {name}")
    if len(reports) > 1:
        print(f"{len(count)} tests failed at least once in {len(reports)} runs.")


if __name__ == "__main__":
    main(sys.argv[1:])
