"""Files that a run did not make stay, whatever the output is."""

from __future__ import annotations

import shutil

import pytest

import codecvsr
from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, atomic_folder, list_images, read_image
from codecvsr.upscaling import outputs
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from tests.videos import noisy_frames

FRAMES = 3


@pytest.fixture
def source(tmp_path):
    return noisy_frames(tmp_path / "in", FRAMES, 16, 16)


@pytest.fixture
def folder(tmp_path):
    """A folder with files of somebody else."""
    folder = tmp_path / "out"
    (folder / "album").mkdir(parents=True)
    for name in ("family.jpg", "thesis.txt", "shot1_00000.png", "album/00000000.png"):
        (folder / name).write_text(name)
    return folder


def upscale(source, output, **options):
    return codecvsr.upscale(source, output, model="bicubic", **options)


def check_untouched(folder):
    for name in ("family.jpg", "thesis.txt", "shot1_00000.png", "album/00000000.png"):
        assert (folder / name).read_text() == name
    assert not checkpoint_path(folder).exists() and not list(folder.rglob(".*"))


def test_a_folder_with_pictures_of_others_is_refused(source, folder):
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"out: has family.jpg, which this run does not make"):
            upscale(source, folder, overwrite=overwrite)
    check_untouched(folder)
    assert len(list(folder.iterdir())) == 4


def test_a_pattern_replaces_its_own_names_only(source, folder):
    shots = [f"shot2_{i:05d}.png" for i in range(FRAMES)]
    upscale(source, folder / "shot2_%05d.png")  # nothing is in its place
    check_untouched(folder)
    with pytest.raises(OutputError, match="out: exists already; use -y"):
        upscale(source, folder / "shot2_%05d.png")
    (folder / shots[1]).write_text("old")
    upscale(source, folder / "shot2_%05d.png", overwrite=True)
    check_untouched(folder)
    assert sorted(p.name for p in folder.glob("shot2_*")) == shots
    assert all(read_image(folder / name).shape == (64, 64, 3) for name in shots)


def test_frames_beyond_the_last_are_not_mixed_with_the_new_ones(source, folder):
    (folder / "shot2_00003.png").write_text("of a longer run")
    with pytest.raises(OutputError, match="has shot2_00003.png"):
        upscale(source, folder / "shot2_%05d.png", overwrite=True)
    (folder / "shot2_00003.png").rename(folder / "shot2_3.txt")
    (folder / "shot2_00001.png").mkdir()
    with pytest.raises(OutputError, match="has shot2_00001.png"):
        upscale(source, folder / "shot2_%05d.png", overwrite=True)
    check_untouched(folder)
    assert not list(folder.glob("shot2_00000.png"))


def test_other_files_in_a_folder_of_frames_stay(source, tmp_path):
    out = tmp_path / "out"
    upscale(source, out)
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match="out: exists already; use -y"):
        upscale(source, out)
    upscale(source, out, overwrite=True)
    assert (out / "thesis.txt").read_text() == "years of work" and len(list_images(out)) == FRAMES


def test_a_comparison_reads_the_frames_of_its_own_run(source, folder, tmp_path):
    shutil.copy(next(iter(sorted(source.iterdir()))), folder / "a_00000.png")  # of another size
    upscale(source, folder / "shot2_%05d.png", compare=tmp_path / "c.png")
    assert read_image(tmp_path / "c.png").shape[0] == 64 + 28  # a band of labels above


def test_stopped_while_files_were_moved(source, folder, monkeypatch):
    pattern = folder / "shot2_%05d.png"

    def stop(parts, target):
        (parts / "shot2_00000.png").rename(target / "shot2_00000.png")
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "move_files", stop)
    with pytest.raises(KeyboardInterrupt):
        upscale(source, pattern)
    monkeypatch.undo()
    report = upscale(source, pattern)  # not "exists already": the frame is of this run
    assert report.resumed_frames == FRAMES and len(list(folder.glob("shot2_*.png"))) == FRAMES
    check_untouched(folder)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_is_written_through(source, tmp_path, exists):
    (tmp_path / "disk").mkdir()
    for name, target in (("o.mkv", "disk/video.mkv"), ("frames", "disk/pictures")):
        link = tmp_path / name
        link.symlink_to(tmp_path / target)
        if exists and name == "frames":
            (tmp_path / target).mkdir()
        elif exists:
            (tmp_path / target).write_text("old")
        upscale(source, link, overwrite=exists)
        assert link.is_symlink() and (tmp_path / target).exists() and not (tmp_path / target).is_symlink()
    assert codecvsr.upscale(tmp_path / "disk/video.mkv", tmp_path / "again", model="bicubic").frames == FRAMES
    assert len(list_images(tmp_path / "disk/pictures")) == FRAMES
    assert sorted(p.name for p in (tmp_path / "disk").iterdir()) == ["pictures", "video.mkv"]


def test_atomic_writers_keep_what_is_not_theirs(folder, tmp_path):
    with atomic_folder(folder, overwrite=True) as part:
        (part / "album").mkdir()
        for name in ("thesis.txt", "album/1.png"):
            (part / name).write_text("new")
    assert (folder / "thesis.txt").read_text() == (folder / "album/1.png").read_text() == "new"
    assert (folder / "family.jpg").exists() and (folder / "album/00000000.png").exists()
    with (
        pytest.raises(OutputError, match="is a file; a folder was expected"),
        atomic_folder(folder / "thesis.txt", overwrite=True),
    ):
        pass
    link = tmp_path / "link.txt"
    link.symlink_to(folder / "thesis.txt")
    with atomic_file(link) as part:
        part.write_text("newer")
    assert link.is_symlink() and (folder / "thesis.txt").read_text() == "newer"
