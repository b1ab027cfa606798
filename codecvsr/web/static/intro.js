// The first screen: the demo clip before and after, made beforehand (scripts/bench/page_demo.py), playing at once.

import { Player, playButton } from './player.js';

const $ = (id) => document.getElementById(id);

export async function openIntro() {
  const response = await fetch('/static/demo.json');
  if (!response.ok) {
    $('intro').hidden = true;
    return null;
  }
  const demo = await response.json();
  const player = new Player(
    { video: $('intro-video'), picture: $('intro-picture'), divider: $('intro-divider'), stage: $('intro-stage'), loupes: [] },
    { frame: () => {}, layer: () => {}, split: (part) => { $('intro-split').value = 100 * part; hideNames(part); } },
  );
  player.left = 0;
  player.right = 1;
  playButton($('intro-play'), $('intro-video'), () => player.video.play().catch(() => {}));
  $('intro-split').addEventListener('input', () => player.moveSplit($('intro-split').value / 100));
  player.open(demo, '/static/demo.mp4');
  player.video.playbackRate = 0.5;
  $('intro-text').textContent = caption(demo);
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) {
    player.video.play().catch(() => {}); // a browser that does not start videos by itself leaves that to the button
    player.sweep(3);
  }
  return player;
}

function hideNames(part) {
  $('intro-left').hidden = part < 0.2;
  $('intro-right').hidden = part > 0.8;
}

function caption({ source, size, crf, kbit_per_second: rate, views, part }) {
  const [bicubic, model] = views.map((view) => view.mean.psnr_rgb);
  return `A ${source[0]}×${source[1]} video of ${rate} kbit/s (H.264, CRF ${crf}), enlarged to ${size[0]}×${size[1]}: `
    + `bicubic ${bicubic.toFixed(1)} dB, codecvsr ${model.toFixed(1)} dB (PSNR of whole frames). Shown: ${part[2]}×${part[3]} pixels of it, at half speed. Drag the line.`;
}
