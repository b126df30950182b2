"""check_release.py TAG: a release has one version, in the tag, in Cargo.toml, in Cargo.lock and in CHANGELOG.md."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def found(pattern: str, name: str) -> str:
    match = re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "none"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    versions = {
        "tag": sys.argv[1].removeprefix("refs/tags/").removeprefix("v"),
        "Cargo.toml": found(r'^\[package\](?:\n(?!\[).*)*?\nversion = "([^"]+)"', "Cargo.toml"),
        "Cargo.lock": found(r'^name = "rwsgi"\nversion = "([^"]+)"', "Cargo.lock"),
        "newest heading of CHANGELOG.md": found(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", "CHANGELOG.md"),
    }
    if len(set(versions.values())) == 1:
        print(f"release {versions['tag']}")
        return 0
    for where, version in versions.items():
        print(f"{where}: {version}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
