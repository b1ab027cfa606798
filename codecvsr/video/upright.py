"""Pictures as players show them: turned and mirrored by the container's display matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def upright(picture: npt.NDArray[np.uint8], matrix: Sequence[int] | None) -> npt.NDArray[np.uint8]:
    """Returns a picture as a player shows it.

    Args:
        picture: (H, W, 3), as the video stores it.
        matrix: the display matrix, 9 integers by rows (ISO/IEC 14496-12, 8.5.2): a pixel at (x, y) is shown at
            (a x + c y, b x + d y) for the rows (a, b, u) and (c, d, v). None for none.

    Returns:
        (H, W, 3) or, turned by a quarter, (W, H, 3); angles in between are rounded to quarters.
    """
    if matrix is None:
        return picture
    a, b, _, c, d = matrix[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        flips = (d < 0, a < 0)
    else:
        picture = picture.swapaxes(0, 1)
        flips = (b < 0, c < 0)
    steps = [-1 if is_flipped else 1 for is_flipped in flips]
    return np.ascontiguousarray(picture[:: steps[0], :: steps[1]])
