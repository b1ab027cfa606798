// Three steps to see how it works, each on a frame where there is something to see.

const $ = (id) => document.getElementById(id);

const STEPS = {
  vectors: {
    layers: ['vectors'],
    text: 'A codec stores, for every block, where a similar block was: the arrows. This costs nothing to read. But they point at whichever picture was cheapest, and some blocks have none.',
    value: (frame) => mean(frame.vectors.length / 7, (i) => {
      const at = 7 * i;
      return frame.vectors[at + 2] * frame.vectors[at + 3] * Math.min(Math.hypot(frame.vectors[at + 4], frame.vectors[at + 5]), 64);
    }) * frame.vectors.length,
  },
  motion: {
    layers: ['motion'],
    text: 'codecvsr finds out which picture each arrow meant, divides by the distance, fills the holes and refines it: smooth motion from frame to frame, without an optical-flow network.',
    value: (frame) => {
      const cells = frame.motion.length / 2;
      return frame.is_cut ? 0 : mean(cells, (i) => Math.min(Math.hypot(frame.motion[i], frame.motion[cells + i]), 160));
    },
  },
  gain: {
    layers: [],
    text: 'Along this motion a small network gathers detail from neighbouring frames. Drag the line: bicubic on the left, codecvsr on the right.',
  },
};

function mean(count, value) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += value(i);
  return count ? sum / count : 0;
}

const largest = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

export class Tour {
  /** `view`: player, result, layers, setLayers(names). */
  constructor(view) {
    this.view = view;
    for (const button of document.querySelectorAll('[data-tour]')) button.addEventListener('click', () => this.go(button));
  }

  /** Begin with a new result. */
  open() {
    this.end();
    for (const button of document.querySelectorAll('[data-tour]')) button.disabled = !this.view.layers && button.dataset.tour !== 'gain';
  }

  go(button) {
    const { player } = this.view;
    const name = button.dataset.tour;
    this.view.setLayers(STEPS[name].layers);
    this.end();
    button.setAttribute('aria-pressed', 'true');
    $('tour-text').textContent = STEPS[name].text;
    player.video.pause();
    player.seek(this.frame(name));
    if (name === 'gain') player.sweep();
    else player.moveSplit(1);
  }

  /** The frame where most of it can be seen; the one that is shown if nothing is known. */
  frame(name) {
    const { layers, result, player } = this.view;
    const { value } = STEPS[name];
    if (value) {
      if (!layers) return player.index;
      return largest(Array.from({ length: layers.count }, (_, i) => (layers.frames[i] ? value(layers.frames[i]) : -1)));
    }
    const [before, after] = ['bicubic', 'model'].map((key) => result.views.find((view) => view.key === key)?.scores?.per_frame.psnr_rgb);
    if (before && after) return largest(after.map((score, i) => Number(score) - Number(before[i])));
    return result.focus?.frame ?? player.index;
  }

  end() {
    for (const button of document.querySelectorAll('[data-tour]')) button.removeAttribute('aria-pressed');
    $('tour-text').textContent = 'Three steps to see how it works.';
  }
}
