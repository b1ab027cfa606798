#!/usr/bin/env bash
# Install codecvsr for development into .venv, then lint, check types, imports and committed figures, and test. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/install.sh dev
export PATH="$PWD/.venv/bin:$PATH"

ruff check .
ruff format --check --quiet .
mypy
lint-imports
python scripts/bench/check_figures.py
if pkg-config --exists libavformat libavcodec libavutil 2>/dev/null && command -v cc >/dev/null; then
  codecvsr doctor --require-native
else
  codecvsr doctor
fi
python -m pytest "$@"
