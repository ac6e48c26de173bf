"""Measure what it costs to make a bundle: time beside the zip stage of `aws deploy push`, or peak memory.

    python benchmarks/bundle.py            time: 5,000 files, 80 MB, both sides in turn
    python benchmarks/bundle.py --memory   memory: 2 GB

Both sides read the same tree from a warm page cache and write to the same disk. The other side is awscli's own code,
its `compress` stage, which zips into a temporary file; nothing is uploaded by either.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from datetime import UTC, datetime
from pathlib import Path

from shipit.bundle import Entry, Packed, pack

FILES, BYTES = 5_000, 80_000_000
LARGE_FILES, LARGE_BYTES, COPIES = 2_000, 2_000_000_000, 20
_WORDS = re.sub(r"\W+", " ", Path(__file__).read_text(encoding="utf-8")).split()
_BINARY_SHARE = 0.2

_AWS_SIDE = """
import sys, time
from awscli.customizations.codedeploy.push import Push
push = Push.__new__(Push)
begun = time.perf_counter()
with push._compress(sys.argv[1], False) as bundle:
    seconds = time.perf_counter() - begun
    bundle.seek(0, 2)
    print(seconds, bundle.tell())
"""


_OUR_SIDE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import bundle
bundle.ours(Path(sys.argv[2]), Path(sys.argv[3]))
"""


def make_tree(root: Path, files: int, size: int) -> None:
    """Write `files` files of `size` bytes in all: source-like text, and every tenth file binary; always the same."""
    random_ = random.Random(5)
    weights = [random_.lognormvariate(0, 1.2) for _ in range(files)]
    scale = size / sum(weights)
    vocabulary = _WORDS + [f"{a}_{b}" for a, b in zip(_WORDS, reversed(_WORDS), strict=True)]
    for number, weight in enumerate(weights):
        folder = root / f"package{number % 40:02}" / f"module{number % 9}"
        folder.mkdir(parents=True, exist_ok=True)
        length = int(weight * scale)
        if random_.random() < _BINARY_SHARE:
            (folder / f"file{number}.so").write_bytes(_binary(random_, length))
        else:
            (folder / f"file{number}.py").write_bytes(_source(random_, vocabulary, length))
    (root / "appspec.yml").write_text("version: 0.0\nos: linux\n", encoding="utf-8")


def _source(random_: random.Random, vocabulary: list[str], length: int) -> bytes:
    lines, total = [], 0
    while total < length:
        indent = "    " * random_.randrange(4)
        words = random_.choices(vocabulary, k=random_.randrange(2, 9))
        lines.append(f"{indent}{words[0]} = {words[1]}({', '.join(words[2:])})\n")
        total += len(lines[-1])
    return "".join(lines).encode()[:length]


def _binary(random_: random.Random, length: int) -> bytes:
    """Return bytes that deflate to about a half, as machine code does."""
    noise = random_.randbytes(length // 3 + 1)
    return (noise + bytes(length // 3 + 1) + noise[: length // 3 + 1])[:length]


def ours(root: Path, into: Path, threads: int = 0) -> Packed:
    """Make a bundle of all files below `root`."""
    entries = [
        Entry(name=os.path.join(folder, name)[len(str(root)) + 1 :], source=Path(folder, name))
        for folder, _, names in os.walk(root)
        for name in names
    ]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return pack(entries, into, version="v1", sha="0" * 40, committed_at=moment, threads=threads)


def aws_python(folder: Path) -> Path:
    """Return a Python that has awscli, made in `folder` where it is missing."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "awscli"], check=True)
    return python


def compare(rounds: int, cache: Path) -> None:
    """Print the medians of both sides, taken in turn."""
    python = aws_python(cache)
    with tempfile.TemporaryDirectory() as folder:
        tree, bundle = Path(folder, "tree"), Path(folder, "bundle.tgz")
        make_tree(tree, FILES, BYTES)
        our_times, aws_times, aws_size, packed = [], [], 0, None
        for _ in range(rounds + 1):
            begun = time.perf_counter()
            packed = ours(tree, bundle)
            our_times.append(time.perf_counter() - begun)
            shown = subprocess.run([python, "-c", _AWS_SIDE, tree], capture_output=True, text=True, check=True).stdout
            seconds, size = shown.split()
            aws_times.append(float(seconds))
            aws_size = int(size)
        del our_times[0], aws_times[0]  # the first round warmed the page cache
        assert packed
        ratio = statistics.median(aws_times) / statistics.median(our_times)
        print(f"{FILES} files, {BYTES / 1e6:.0f} MB, {len(os.sched_getaffinity(0))} cores, {rounds} rounds")
        _row("shipit", our_times, packed.build.size)
        _row("aws deploy push (zip stage)", aws_times, aws_size)
        print(f"ratio of the medians: {ratio:.1f}")


def _row(name: str, times: list[float], size: int) -> None:
    print(
        f"{name:<30} median {statistics.median(times):6.3f} s   "
        f"min {min(times):.3f}   max {max(times):.3f}   {size / 1e6:6.1f} MB"
    )


def memory() -> None:
    """Print the peak memory of a process that bundles 2 GB, a fifth of it in one file."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        make_tree(tree / "copy0", LARGE_FILES // COPIES, LARGE_BYTES // (COPIES + COPIES // 4))
        for copy in range(1, COPIES):
            subprocess.run(["cp", "-r", tree / "copy0", tree / f"copy{copy}"], check=True)
        with (tree / "large.so").open("wb") as file:
            for seed in range(LARGE_BYTES // 5 // (1 << 20)):
                file.write(_binary(random.Random(seed), 1 << 20))
        size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
        arguments = [tree, Path(folder, "bundle.tgz")]
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", _OUR_SIDE, Path(__file__).parent, *arguments], check=True)
        seconds = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"{size / 1e9:.2f} GB bundled in {seconds:.1f} s, peak memory {peak:.0f} MB")


def main() -> None:
    """Run what the flags ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--awscli", type=Path, help="folder of a virtual environment that has awscli, or will")
    options = parser.parse_args()
    if options.memory:
        memory()
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options.rounds, options.awscli or Path(folder))


if __name__ == "__main__":
    main()
