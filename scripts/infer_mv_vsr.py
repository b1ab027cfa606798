#!/usr/bin/env python3
"""``codecvsr infer`` under the name and with the options of earlier work.

Usage: infer_mv_vsr.py --model --clip_root --out_dir --ablate_mvs --ablate_second_order ...
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent.parent))  # a checkout that was not installed will do

from codecvsr.cli import main

if __name__ == "__main__":
    main(["infer", *sys.argv[1:]])
