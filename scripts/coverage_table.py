"""coverage_table.py SRC: what `cov show` says on its standard input, as a table of the modules below SRC and a list of
the largest functions that no test has entered. Lines of `#[cfg(test)]` are left out."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LISTED = 25
LINE = re.compile(r" *(\d+)\| *(\d*)\|(.*)")
FUNCTION = re.compile(r"( *)(?:pub(?:\([^)]*\))? )?(?:const )?(?:unsafe )?(?:extern \"C\" )?fn (\w+)")


@dataclass
class Source:
    name: str
    # The number, the hits (None where there is no code) and the text of each line.
    lines: list[tuple[int, int | None, str]] = field(default_factory=list)

    def counted(self) -> list[bool]:
        """For each line with code, whether it was run."""
        return [hits > 0 for _, hits, _ in self.lines if hits is not None]

    def functions(self) -> Iterator[tuple[str, list[bool]]]:
        """rustfmt puts the closing brace below the beginning."""
        for at, (number, _, text) in enumerate(self.lines):
            if found := FUNCTION.match(text):
                body: list[bool] = []
                for _, hits, line in self.lines[at:]:
                    if hits is not None:
                        body.append(hits > 0)
                    if line.rstrip() == f"{found[1]}}}":
                        break
                yield f"{self.name}:{number} {found[2]}", body


def sources(report: Iterator[str], root: Path) -> list[Source]:
    found: list[Source] = []
    is_wanted = is_test = False
    for row in report:
        line = LINE.match(row.rstrip("\n"))
        if line is None:
            path = Path(row.strip())
            if path.suffix == ".rs":
                is_test = False
                is_wanted = path.is_relative_to(root) and path.name != "tests.rs"
                if is_wanted:
                    found.append(Source(str(path.relative_to(root))))
        elif is_wanted:
            # Tests stand at the end of a file.
            is_test = is_test or line[3].strip() == "#[cfg(test)]"
            if not is_test:
                found[-1].lines.append((int(line[1]), int(line[2]) if line[2] else None, line[3]))
    return found


def main(root: str) -> None:
    found = sources(iter(sys.stdin), Path(root))
    total, covered = Counter[str](), Counter[str]()
    for source in found:
        for module in (source.name.split("/")[0], "all"):
            total[module] += len(source.counted())
            covered[module] += sum(source.counted())
    print("| module | lines | covered |\n|---|---|---|")
    for module in [*sorted(total.keys() - {"all"}), "all"]:
        print(f"| `{module}` | {total[module]} | {100 * covered[module] / max(1, total[module]):.1f} % |")
    missed = [(len(body), name) for source in found for name, body in source.functions() if body and not any(body)]
    print("\nThe largest functions that no test enters, by lines:")
    for size, name in sorted(missed, reverse=True)[:LISTED]:
        print(f"  {size} {name}")


if __name__ == "__main__":
    main(sys.argv[1])
