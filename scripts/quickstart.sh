#!/usr/bin/env bash
# Install codecvsr into .venv and run the main job on the demo clip. Arguments go to scripts/quickstart.py (try --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh run
exec .venv/bin/python scripts/quickstart.py "$@"
