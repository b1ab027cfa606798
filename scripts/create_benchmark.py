#!/usr/bin/env python3
"""``codecvsr benchmark`` under the name and with the options of earlier work.

Usage: create_benchmark.py --hr_root --out_root --crf --mv_extractor ...
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # a checkout that was not installed will do

from codecvsr.cli import main

if __name__ == "__main__":
    main(["benchmark", *sys.argv[1:]])
