"""A server under load: ``web_load.py RELEASE``, and ``--help`` for what can be chosen.

A real ``neuropack serve`` with a token for each person. Viewers open pages, search, count facets, read records and
ranges of image chunks, each with a pause of about a second between two looks, as people have; a look at an image is
a burst of six chunks. Tracers, where the server traces, ask for paths and take them. It tells how long answers took
and the peak memory of the server: of the release, and of one whose images have ``--times`` as many files, each of
``--size`` times as many bytes (sparse files, so that it takes no disk): shards of large stacks are larger too.

The asking program has the same processors as the server: what it needs is part of every time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from neuropack.manifest import Entry, read_manifest, write_manifest
from neuropack.release import open_release
from neuropack.skeleton import parent_rows
from neuropack.web import tokens

SEARCHES = [
    "/api/v1/neurons?min_length_um=500&sort=-length_um",
    "/api/v1/neurons?q=simulated&limit=20",
    "/api/v1/stacks",
    "/api/v1/files?sort=-bytes&limit=100",
    "/api/v1/regions?limit=100",
    "/api/v1/facets/neurons?columns=region&columns=subject&columns=completeness",
]
PAGE = {"Accept": "text/html"}
TIMES = 40  # that each is asked alone
PAUSE = 1.0  # seconds between two looks of a person, on average
CHUNKS = 6  # of a look at an image


@dataclass
class Seen:
    """What was answered."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    wrong: Counter[str] = field(default_factory=Counter)
    bytes: int = 0

    def report(self) -> dict[str, Any]:
        """Counts, and milliseconds at the 50th and 95th percentile, of each kind of request."""
        kinds = {}
        for kind, seconds in sorted(self.seconds.items()):
            cut = quantiles(seconds, n=20, method="inclusive") if len(seconds) > 1 else [seconds[0]] * 19
            kinds[kind] = {
                "n": len(seconds),
                "p50_ms": round(1000 * cut[9], 1),
                "p95_ms": round(1000 * cut[18], 1),
                "max_ms": round(1000 * max(seconds), 1),
            }
        return {"kinds": kinds, "wrong": dict(self.wrong), "MB": round(self.bytes / 1e6)}


@dataclass
class Asker:
    """One person at the server."""

    client: httpx.AsyncClient
    headers: dict[str, str]
    seen: Seen
    random: random.Random

    async def ask(self, kind: str, method: str, path: str, **more: Any) -> httpx.Response | None:
        """Ask, and note how long it took; None where it went wrong."""
        begun = time.perf_counter()
        try:
            headers = {**self.headers, **more.pop("headers", {})}
            answer = await self.client.request(method, path, headers=headers, **more)
        except httpx.HTTPError as error:
            self.seen.wrong[f"{kind}: {type(error).__name__}"] += 1
            return None
        self.seen.seconds[kind].append(time.perf_counter() - begun)
        self.seen.bytes += len(answer.content)
        if answer.status_code >= 400:
            self.seen.wrong[f"{kind}: {answer.status_code}"] += 1
            return None
        return answer

    async def pause(self) -> None:
        """Look at what came."""
        await asyncio.sleep(self.random.expovariate(1 / PAUSE))


@dataclass(frozen=True)
class Sights:
    """What there is to look at."""

    pages: list[str]
    neurons: list[str]
    chunks: list[tuple[str, int]]
    release: str
    stack: str | None  # to trace in, where the server traces


async def view(who: Asker, sights: Sights, until: float) -> None:
    """Look around until the time is over."""
    while time.monotonic() < until:
        kind = who.random.choice(["search", "record", "chunks", "chunks", "page"])
        if kind == "search":
            await who.ask("search", "GET", who.random.choice(SEARCHES))
        elif kind == "record":
            neuron = who.random.choice(sights.neurons)
            await who.ask("record", "GET", f"/api/v1/neurons/{neuron}?release={sights.release}")
        elif kind == "page" and sights.pages:
            await who.ask("page", "GET", who.random.choice(sights.pages), headers=PAGE)
        else:
            looks = []
            for path, size in who.random.choices(sights.chunks, k=CHUNKS):
                at = who.random.randrange(max(1, size - (1 << 17)))
                of = {"Range": f"bytes={at}-{min(size, at + (1 << 17)) - 1}"}
                looks.append(who.ask("chunk (128 KiB)", "GET", path, headers=of))
            await asyncio.gather(*looks)
        await who.pause()


Ends = list[tuple[list[float], list[float]]]


async def begin(who: Asker, release: str, stack: str, ends: Ends) -> str | None:
    """Open the session and find a path: the first one waits for the compiler. The address of the session."""
    base = "/api/v1/tracing/sessions"
    opened = await who.ask("open session", "POST", base, json={"release": release, "stack": stack})
    if opened is None:
        return None
    place = f"{base}/{opened.json()['id']}"
    warm = {"from": ends[0][0], "to": ends[0][1], "timeout_s": 60}
    await who.ask("first path", "POST", f"{place}/paths", json=warm)
    return place


async def trace(who: Asker, place: str, ends: Ends, until: float) -> None:
    """Find paths, and take them, until the time is over."""
    while time.monotonic() < until:
        start, end = who.random.choice(ends)
        found = await who.ask("path", "POST", f"{place}/paths", json={"from": start, "to": end, "timeout_s": 20})
        state = await who.ask("session", "GET", place)
        if found is not None and state is not None:
            said = {"revision": state.json()["revision"], "action": "start", "at": start}
            begun = await who.ask("action", "POST", f"{place}/actions", json=said)
            if begun is not None:
                done = begun.json()
                more = {"revision": done["revision"], "action": "extend", "node": done["node"], "to": end}
                await who.ask("action with path", "POST", f"{place}/actions", json=more)
        await who.ask("changes", "GET", f"{place}/changes?since=0")
        await who.pause()


@contextmanager
def serving(release: Path, file: Path, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str, float]]:
    """A server, its address, and the seconds until its first answer."""
    begun = time.perf_counter()
    line = [
        sys.executable,
        "-m",
        "neuropack",
        "serve",
        str(release),
        "--port",
        "0",
        "--edit",
        "--tokens",
        str(file),
    ]
    line += ["--workspace", str(folder / "work")]
    environment = {**os.environ, "NEUROPACK_CACHE": str(folder / "cache")}
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        told = iter(process.stdout.readline, "")
        address = next(word for text in told for word in text.split() if word.startswith("http://")).rstrip("/")
        httpx.get(f"{address}/readyz").raise_for_status()
        yield process, address, time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def peak_mb(process: subprocess.Popen[str]) -> float:
    """The most memory that a process had, MB."""
    text = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    line = next(one for one in text.splitlines() if one.startswith("VmHWM"))
    return round(int(line.split()[1]) / 1024, 1)


def processor_s(process: subprocess.Popen[str]) -> float:
    """Processor time of a process, seconds."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ends_of(release: Path, stack: str) -> Ends:
    """Pairs of voxels on the neurites of one neuron of a stack, forty nodes apart, to trace between."""
    with open_release(release) as found:
        size = found.stacks[stack].voxel_size_um
        record = next(one for one in found.metadata["neurons"] if one["image_stack"] == stack)
        skeleton = found.neurons[record["id"]]
    above = parent_rows(skeleton.id, skeleton.parent)
    pairs = []
    for first in range(0, len(above), 60):
        last = first
        for _ in range(40):
            last = int(above[last]) if above[last] >= 0 else last
        if last != first:
            pairs.append((first, last))
    voxels = [[max(0.0, float(p[2 - a] / size[a] - 0.5)) for a in range(3)] for p in skeleton.xyz]
    return [(voxels[a], voxels[b]) for a, b in pairs]


def larger(release: Path, folder: Path, times: int, size: int) -> Path:
    """The same release with as many times the chunks: the further ones are holes, as many times larger."""
    made = folder / f"times{times}"
    shutil.copytree(release, made, copy_function=os.link)
    entries = dict(read_manifest(made))
    chunks = [(path, one) for path, one in entries.items() if "/c/" in path]
    for path, one in chunks:
        for n in range(1, times):
            name = f"{path}x{n}"
            with (made / name).open("wb") as file:
                file.truncate(size * one.bytes)
            entries[name] = Entry(size * one.bytes, "0" * 64)
    (made / "manifest.tsv").unlink()
    write_manifest(made, entries)
    return made


def sights_of(client: httpx.Client, release: str) -> Sights:
    """What a server has to look at."""
    rows = {table: client.get(f"/api/v1/{table}?limit=1000").json()["items"] for table in ("neurons", "stacks")}
    neurons = [one["id"] for one in rows["neurons"]]
    wanted = ["/", "/search", f"/r/{release}/", *(f"/r/{release}/stacks/{one['id']}" for one in rows["stacks"])]
    wanted += [f"/r/{release}/neurons/{one}" for one in neurons[:5]]
    pages = [one for one in wanted if client.get(one, headers=PAGE, follow_redirects=True).status_code == 200]
    listed = client.get("/api/v1/files?sort=-bytes&limit=1000").json()["items"]
    chunks = [(one["links"]["file"], one["bytes"]) for one in listed if "/c/" in one["id"]]
    described = client.get("/api/v1/openapi.json").json()
    stack = rows["stacks"][0]["id"] if "/api/v1/tracing/sessions" in described["paths"] else None
    return Sights(pages, neurons, chunks, release, stack)


def alone(client: httpx.Client, sights: Sights, process: subprocess.Popen[str]) -> dict[str, Any]:
    """What one request after the other takes, of each kind: milliseconds, and those of the server's processor."""
    found = {}
    kinds = {
        "chunk (128 KiB)": (sights.chunks[0][0], {"Range": "bytes=0-131071"}),
        "search, 10 neurons": (SEARCHES[0] + "&limit=10", {}),
        "facets": (SEARCHES[-1], {}),
        "record": (f"/api/v1/neurons/{sights.neurons[0]}?release={sights.release}", {}),
        **{f"page {path.removeprefix('/r/')[:30]}": (path, PAGE) for path in sights.pages[:6]},
    }
    for kind, (path, headers) in kinds.items():
        client.get(path, headers=headers)
        worked, seconds = processor_s(process), []
        for _ in range(TIMES):
            begun = time.perf_counter()
            client.get(path, headers=headers).raise_for_status()
            seconds.append(time.perf_counter() - begun)
        found[kind] = {
            "p50_ms": round(1000 * median(seconds), 1),
            "server_processor_ms": round(1000 * (processor_s(process) - worked) / TIMES, 1),
        }
    return found


async def load(address: str, keys: dict[str, str], sights: Sights, release: Path, seconds: float) -> Seen:
    """Everybody at once."""
    seen = Seen()
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=60) as client:
        people = {who: Asker(client, bearer(key), seen, random.Random(who)) for who, key in keys.items()}  # noqa: S311
        viewers = [one for who, one in people.items() if who.startswith("viewer")]
        tracers = [one for who, one in people.items() if who.startswith("tracer") and sights.stack]
        ends = ends_of(release, sights.stack) if sights.stack else []
        places = await asyncio.gather(*(begin(one, sights.release, sights.stack or "", ends) for one in tracers))
        print(f"{len(viewers)} viewers, {len(tracers)} tracers, {len(sights.pages)} pages", file=sys.stderr)
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(view(one, sights, until) for one in viewers),
            *(trace(one, place, ends, until) for one, place in zip(tracers, places, strict=True) if place),
        )
    return seen


def bearer(key: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {key}"}


def measure(release: Path, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Serve a release to everybody, and tell what was seen."""
    file = folder / f"{release.name}.json"
    roles = [("viewer", "view", options.viewers), ("tracer", "annotate", options.tracers)]
    keys = {f"{who} {n}": tokens.add(file, f"{who} {n}", role) for who, role, count in roles for n in range(count)}
    with serving(release, file, folder):  # so that the tables are in the cache
        pass
    with serving(release, file, folder) as (process, address, start):
        idle, worked = peak_mb(process), processor_s(process)
        with httpx.Client(base_url=address, headers=bearer(keys["viewer 0"]), timeout=60) as client:
            sights = sights_of(client, release.name)
            single = alone(client, sights, process)
        before = processor_s(process)
        seen = asyncio.run(load(address, keys, sights, release, options.seconds))
        size = sum(one.bytes for one in read_manifest(release).values())
        return {
            "release_MB": round(size / 1e6),
            "start_s": round(start, 2),
            "start_processor_s": round(worked, 2),
            "peak_idle_MB": idle,
            "peak_MB": peak_mb(process),
            "server_processor_s": round(processor_s(process) - before, 1),
            "alone": single,
            **seen.report(),
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("release", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--tracers", type=int, default=5)
    parser.add_argument(
        "--times", type=int, default=100, help="of the chunks, in the second release; 1: there is none"
    )
    parser.add_argument("--size", type=int, default=1, help="how much larger each of these is")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.release.resolve().parent) as name:
        folder = Path(name)
        found = {"as it is": measure(options.release.resolve(), folder, options)}
        if options.times > 1:
            big = larger(options.release.resolve(), folder, options.times, options.size)
            found[f"{options.times} times as large"] = measure(big, folder, options)
    text = json.dumps({"load": os.getloadavg(), **found}, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
