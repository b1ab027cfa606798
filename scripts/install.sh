#!/usr/bin/env bash
# Put codecvsr and what it needs into .venv, for quickstart.sh and test.sh. Usage: scripts/install.sh run|dev
#
# run: the package alone; dev: also what the tests and linters need. Nothing is done where .venv is up to date.
# PYTHON=/path/to/python chooses the interpreter. As root on Debian or Ubuntu, missing system packages are installed with
# apt-get; otherwise their names are printed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly KIND=${1:-run}
readonly TORCH="torch==2.13.0"
case "$KIND" in
  run) EXTRAS="" ;;
  dev) EXTRAS="[dev,ffmpeg,onnx,plots,ray]" ;;
  *) echo "usage: scripts/install.sh run|dev" >&2; exit 2 ;;
esac
readonly EXTRAS

say() { printf '%s\n' "$*" >&2; }
fail() { say "error: $*"; exit 1; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

can_make_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

find_python() { # the first Python >= 3.11 that can make a virtual environment
  local name names=(python3 python python3.13 python3.12 python3.11)
  [[ -z ${PYTHON:-} ]] || names=("$PYTHON")
  for name in "${names[@]}"; do
    if new_enough "$name" && can_make_venv "$name"; then
      command -v "$name"
      return
    fi
  done
  return 1
}

has_libav() {
  pkg-config --atleast-version=59 libavformat 2>/dev/null &&
    pkg-config --atleast-version=59 libavcodec 2>/dev/null &&
    pkg-config --atleast-version=57 libavutil 2>/dev/null
}

has_compiler() { printf '#include <stdio.h>\n' | "${CC:-cc}" -E - >/dev/null 2>&1; }

install_system_packages() {
  local wanted=()
  has_compiler || wanted+=(gcc libc6-dev)
  command -v pkg-config >/dev/null || wanted+=(pkg-config)
  has_libav || wanted+=(libavformat-dev libavcodec-dev libavutil-dev)
  [[ -x .venv/bin/python ]] || find_python >/dev/null || wanted+=(python3 python3-venv)
  [[ $KIND != dev ]] || command -v ffmpeg >/dev/null || wanted+=(ffmpeg)
  [[ $KIND != dev ]] || command -v g++ >/dev/null || wanted+=(g++)  # for torch.compile
  [[ ${#wanted[@]} -gt 0 ]] || return 0
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "Not installed on this system: ${wanted[*]}. Going on without; to have them: apt-get install ${wanted[*]}"
    return 0
  fi
  say "Installing ${wanted[*]} with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${wanted[@]}"; } </dev/null >&2 ||
    say "apt-get failed: going on without ${wanted[*]}"
}

# The page is tested in Debian's Chromium. By itself, because not every system has packages of these names.
install_browser() {
  [[ $KIND == dev ]] && ! command -v chromedriver >/dev/null || return 0
  if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
    say "Not installed on this system: chromium chromium-driver. The tests of the page in a browser are skipped."
    return 0
  fi
  say "Installing chromium chromium-driver with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver; } </dev/null >&2 ||
    say "apt-get failed: the tests of the page in a browser are skipped"
}

# What the installed package depends on; when it changes, pip runs again.
fingerprint() {
  {
    printf '%s\n' "$PWD" "$TORCH"
    .venv/bin/python -VV
    find native -type f -print0 | sort -z | xargs -0 cat pyproject.toml scripts/install.sh
    if has_compiler; then "${CC:-cc}" --version; fi
    if has_libav; then pkg-config --modversion libavformat libavcodec libavutil; fi
  } 2>/dev/null | sha256sum | cut -d' ' -f1
}

install_system_packages
install_browser

if [[ ! -x .venv/bin/python ]]; then
  python=$(find_python) ||
    fail "no Python 3.11 or newer that can make a virtual environment; install python3 and python3-venv, or set PYTHON."
  say "Making .venv with $("$python" --version)"
  "$python" -m venv .venv </dev/null
fi
new_enough .venv/bin/python || fail "the Python in .venv is older than 3.11 or does not run; remove .venv and run again."
.venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip --upgrade </dev/null >&2

readonly STAMP=.venv/codecvsr-installed
now=$(fingerprint)
if [[ -f $STAMP ]]; then
  read -r then_kind then <"$STAMP"
  [[ $then != "$now" || ($then_kind != "$KIND" && $then_kind != dev) ]] || exit 0
fi
rm -f "$STAMP"
say "Installing codecvsr$EXTRAS into .venv"
pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@" </dev/null >&2; }
pip install --quiet "$TORCH"
pip install --quiet --editable ".$EXTRAS"
printf '%s %s\n' "$KIND" "$(fingerprint)" >"$STAMP"
