"""failed_tests.py REPORT: the tests that failed, of a report in JUnit's format, a line each."""

import sys
import xml.etree.ElementTree as ElementTree


def main(report: str) -> None:
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            print(f"  {case.get('classname')}::{case.get('name')}")


if __name__ == "__main__":
    main(sys.argv[1])
