"""``codecvsr compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codecvsr.cli import output
from codecvsr.cli.common import CodecVSRCommand, ExitCode, command_line
from codecvsr.cli.options import (
    InputPath,
    compile_option,
    device_option,
    json_option,
    overwrite_option,
    precision_option,
)
from codecvsr.cli.output import info, print_json, stdout_console, warn
from codecvsr.files import check_writable, refuse_existing
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from codecvsr.compare.comparison import Comparison
    from codecvsr.compare.tables import Table


def _check_models(values: tuple[str, ...]) -> None:
    """Checks the values of ``--models`` without torch, so that a misspelt name is refused at once.

    Raises:
        click.BadParameter: a value is not spelt like a row.
        InputError: there is no such model.
    """
    from codecvsr.compare.variants import parse_variants
    from codecvsr.errors import InputError
    from codecvsr.models.model_names import check_name

    try:
        variants = parse_variants(values)
    except InputError as error:
        raise click.BadParameter(str(error), param_hint="'--models'") from error
    for variant in variants:
        check_name(variant.model)


def _check_outputs(reports: tuple[Path, ...], sheet: Path | None, overwrite: bool) -> None:
    """Checks names and places of reports and sheet."""
    from codecvsr.compare.outputs import check_report, check_sheet
    from codecvsr.errors import InputError

    for hint, check, paths in (("--report", check_report, reports), ("--sheet", check_sheet, (sheet,))):
        for path in paths:
            if path is not None:
                try:
                    check(path)
                except InputError as error:
                    raise click.BadParameter(str(error), param_hint=f"'{hint}'") from error
    folders = [path.with_name(f"{path.stem}_files") for path in reports if path.suffix.lower() == ".md"]
    refuse_existing(*reports, *folders, sheet, overwrite=overwrite)
    for path in (*reports, *([] if sheet is None else [sheet])):
        check_writable(path)


def _crop(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    numbers = value.split(",")
    if len(numbers) != 4 or not all(number.strip().isdigit() for number in numbers):
        raise click.BadParameter(f"{value!r} is not X,Y,WIDTH,HEIGHT in pixels of the original.", ctx, param)
    x, y, width, height = map(int, numbers)
    if not width or not height:
        raise click.BadParameter(f"{value!r} has no pixels.", ctx, param)
    return x, y, width, height


@click.command(cls=CodecVSRCommand)
@click.option("--clip-root", type=InputPath(), multiple=True, required=True, metavar="CLIP...",
              help="Clip folders, benchmark folders such as OUT/val_CRF25, or folders of those; several may follow.")  # fmt: skip
@click.argument("more_clips", nargs=-1, type=InputPath(), metavar="")
@click.option("--gt-root", type=InputPath(), required=True,
              help="Their originals: a sub-folder of frames, or a video, named like each clip.")  # fmt: skip
@click.option("--models", multiple=True, required=True, metavar="A[,B...]",
              help="Names, weights files or NETWORK:random, each optionally with @MOTION, +ablate-PART, +segments=K or "
                   "+window=N: basicvsr-reds4@codec.")  # fmt: skip
@click.option("--ablations", is_flag=True, help="Add a row for every part that a model has, without that part.")
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              metavar="HTML|MD", help="Write tables, plots and pictures; an HTML page is self-contained.")  # fmt: skip
@click.option("--out-dir", type=click.Path(path_type=Path), default=Path("out/compare"), show_default=True,
              help="Folder of stored measurements; an interrupted run continues from them.")  # fmt: skip
@click.option("--clips", default="", metavar="A[,B...]", help="Names of the clips to use; all by default.")
@click.option("--frames", type=click.IntRange(min=0), default=0, show_default=True,
              help="Number of frames from the start of each clip; 0: all.")  # fmt: skip
@click.option("--window", type=click.IntRange(min=0), default=0, show_default=True,
              help="Frames processed at once; 0: as many as infer would.")  # fmt: skip
@click.option("--crop-border", type=click.IntRange(min=0), default=0, show_default=True,
              help="Pixels to ignore on each side when scoring.")  # fmt: skip
@click.option("--crop", callback=_crop, metavar="X,Y,W,H",
              help="The crop that the pictures show; by default where the rows differ most.")  # fmt: skip
@click.option(
    "--lpips",
    is_flag=True,
    help="Measure LPIPS (AlexNet) too; its weights are fetched once, see docs/models.md.",
)
@click.option(
    "--temporal", is_flag=True, help="Measure temporal consistency too (warping error along the codec's motion)."
)
@click.option("--artifacts", is_flag=True,
              help="Measure faults that PSNR does not see too: invented detail, lines, lattice, chroma specks, colour shift.")  # fmt: skip
@click.option("--sheet", type=click.Path(path_type=Path, dir_okay=False), metavar="PNG",
              help="Draw a contact sheet at 100 %: bicubic, every model and the original where each of these faults of the "
                   "first model is worst, and where the models differ most. Frames are stored in --out-dir.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Measure everything again and ignore stored measurements.")
@device_option
@precision_option
@compile_option
@overwrite_option
@json_option
def command(
    clip_root: tuple[Path, ...],
    more_clips: tuple[Path, ...],
    gt_root: Path,
    models: tuple[str, ...],
    ablations: bool,
    reports: tuple[Path, ...],
    out_dir: Path,
    clips: str,
    frames: int,
    window: int,
    crop_border: int,
    crop: tuple[int, int, int, int] | None,
    lpips: bool,
    temporal: bool,
    artifacts: bool,
    sheet: Path | None,
    fresh: bool,
    device: str,
    precision: str,
    compile: bool | None,
    overwrite: bool,
    as_json: bool,
) -> ExitCode:
    """Compare models on benchmark clips: quality, size, speed and memory in one table.

    Models, clips and options are checked before the first frame. Bicubic is always a row. A row that fails on a clip is named,
    and the others are measured. Random weights are marked 'untrained' and have no scores. Measurements are stored: the same
    command continues an interrupted run. The table has the means over the clips; -v adds every clip.
    """
    _check_models(models)
    _check_outputs(reports, sheet, overwrite)
    from codecvsr.cli.compare_progress import StepPrinter
    from codecvsr.compare.measurements import Settings
    from codecvsr.compare.report import write_report
    from codecvsr.compare.run import compare
    from codecvsr.compare.sheet import write_sheet

    with StepPrinter() as printer:
        result = compare(
            [*clip_root, *more_clips],
            gt_root,
            models,
            ablations=ablations,
            clips=tuple(filter(None, (item.strip() for item in clips.split(",")))),
            settings=Settings(frames, window, crop_border, temporal, device, precision, lpips, compile, artifacts),
            out_dir=out_dir,
            fresh=fresh,
            with_frames=sheet is not None,
            on_step=printer.on_step,
        )
    values = jsonable({"command": command_line(), **result.to_json()})
    for report in reports:
        write_report(report, result, values, crop)
        info(f"Report: {report}")
    if sheet is not None:
        write_sheet(sheet, result)
        info(f"Contact sheet: {sheet}")
    for failure in result.failed:
        warn(f"{failure.row}{' on ' + failure.clip if failure.clip else ''}: {failure.error}")
    if as_json:
        print_json(values)
    else:
        _print_tables(result)
    if not result.failed:
        return ExitCode.OK
    return ExitCode.FAILURE if result.all_failed() else ExitCode.PARTIAL


def _print_tables(result: Comparison) -> None:
    """Means over the clips, one line per model, on stdout; with ``--verbose`` all scores by CRF and by clip."""
    from codecvsr.compare import tables

    _print_table(tables.summary_table(result))
    shown: list[Table | None] = [tables.artifacts_table(result, label) for label in result.labels]
    if output.settings.verbose:
        shown = [*(tables.means_table(result, label) for label in result.labels), *shown]
        shown += [tables.measurements_table(result), tables.artifacts_by_clip_table(result)]
    for table in shown:
        if table is not None:
            _print_table(table)


def _print_table(table: Table) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable

    shown = RichTable(title=table.title, title_justify="left", box=SIMPLE_HEAD)
    last = len(table.header) - 1
    for column, name in enumerate(table.header):
        is_word = column < table.words or column == last
        shown.add_column(name, justify="left" if is_word else "right", overflow="fold", no_wrap=column == 0)
    for index, texts in enumerate(table.lines):
        best = (column for line, column in table.best if line == index)
        marked = set(best)
        shown.add_row(*(f"[bold]{text}[/bold]" if column in marked else text.replace("[", "\\[")
                        for column, text in enumerate(texts)))  # fmt: skip
    stdout_console().print(shown)
