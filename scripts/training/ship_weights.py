#!/usr/bin/env python3
"""Put trained weights into weights/ and describe them in weights/MANIFEST.json.

python scripts/training/ship_weights.py runs/first --name codecvsr --data "..." --command "codecvsr train --config ..."
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import click

from codecvsr.files import atomic_file
from codecvsr.models.checkpoints.adapter import is_adapter
from codecvsr.models.checkpoints.reading import read_state_dict
from codecvsr.models.zoo import load_model

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@click.command(help=__doc__)
@click.argument("source", metavar="RUN|FILE", type=click.Path(path_type=Path, exists=True))
@click.option("--name", required=True, help="Name of the model and its file.")
@click.option("--data", required=True, help="Training data.")
@click.option("--command", required=True, help="Training command.")
@click.option("--figures", required=True, help="Where its figures are published.")
def main(source: Path, name: str, data: str, command: str, figures: str) -> None:
    """Copy the averaged weights of a run, or a file such as an adapter, and enter it in the manifest."""
    if source.is_dir():
        source /= "codecvsr.safetensors"
    model = load_model(source)
    parameters = model.parameters
    if is_adapter(model.metadata):  # of the file, not of the network
        parameters = sum(tensor.numel() for tensor in read_state_dict(source)[0].values())
    target = WEIGHTS / f"{name}.safetensors"
    with atomic_file(target) as part:
        shutil.copyfile(source, part)
    manifest = WEIGHTS / "MANIFEST.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    entries[target.name] = {
        "architecture": model.architecture,
        "parameters": parameters,
        "sha256": hashlib.sha256(target.read_bytes()).hexdigest(),
        "licence": "Apache-2.0",
        "steps": int(model.metadata["file.steps"]),
        "data": data,
        "command": command,
        "figures": figures,
    }
    with atomic_file(manifest) as part:
        part.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    click.echo(f"{target}: {parameters} parameters, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
