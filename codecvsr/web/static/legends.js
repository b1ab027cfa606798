// What the colours of the layers mean, with samples of them.

import { CONFIDENCE, FUTURE, INTRA, PAST, QP_SCALE, qpRange } from './layers.js';

const swatch = (className, colours) => {
  const key = Object.assign(document.createElement('span'), { className: `key ${className}`, ariaHidden: 'true' });
  if (colours) key.style.background = colours.length > 1 ? `linear-gradient(90deg, ${colours.join(', ')})` : colours[0];
  return key;
};

const LEGENDS = {
  vectors: ({ gain }) => [
    swatch('arrow', [PAST]), ' predicted from the past ', swatch('arrow', [FUTURE]), ' from the future',
    `${gain > 1 ? `; arrows are ${gain} times as long as the motion` : ''}. They point at whichever picture was cheapest, often several frames away.`,
  ],
  partitions: () => [
    swatch('outline'), ' a block of its own motion ', swatch('', [INTRA]), ' coded without motion (intra).',
  ],
  qp: ({ frame }) => {
    if (!frame?.qp) return ['QP: this codec stores none that can be read.'];
    const [low, high] = qpRange(frame);
    return [`QP ${low} (fine) `, swatch('wide', QP_SCALE), ` ${high} (coarse); ${frame.qp_mean.toFixed(1)} on average.`];
  },
  motion: () => [
    swatch('wheel'), ' direction of the motion to the frame before; the stronger the colour, the faster. Divided by distance, holes filled, refined.',
  ],
  confidence: () => [swatch('wide', CONFIDENCE), ' from clear, where the motion explains the picture, to red, where it does not.'],
};

/** Items of a list, one for every layer in `wanted`. */
export function legendItems(wanted, gain, frame) {
  return [...wanted].map((name) => {
    const item = document.createElement('li');
    item.append(...LEGENDS[name]({ gain, frame }));
    return item;
  });
}
