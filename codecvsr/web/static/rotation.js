// Display matrices (9 integers, ISO/IEC 14496-12): how players turn what a video stores.

/** The quarter turns and mirrors nearest to a matrix, as the four numbers of a canvas' transform. */
export function nearestTurn(rotation) {
  const [a, b, , c, d] = rotation ?? [1, 0, 0, 0, 1];
  return Math.abs(a) + Math.abs(d) >= Math.abs(b) + Math.abs(c)
    ? [Math.sign(a) || 1, 0, 0, Math.sign(d) || 1]
    : [0, Math.sign(b) || 1, Math.sign(c) || 1, 0];
}

/** Width and height as they are shown. */
export const shownSize = ([width, height], rotation) => (nearestTurn(rotation)[0] ? [width, height] : [height, width]);
