#!/usr/bin/env python3
"""``codecvsr eval`` under the name and with the options of earlier work.

Usage: eval_psnr.py --sr_dir --gt_dir ...
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # a checkout that was not installed will do

from codecvsr.cli import main

if __name__ == "__main__":
    main(["eval", *sys.argv[1:]])
