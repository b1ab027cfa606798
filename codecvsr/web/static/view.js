// The result: player, layers, timeline, scores, downloads.

import { address } from './api.js';
import { COLOURS, drawCurve, drawTimeline } from './charts.js';
import { Layers } from './layers.js';
import { legendItems } from './legends.js';
import { Player, playButton } from './player.js';
import { shownSize } from './rotation.js';
import { Tour } from './tour.js';
import { bytes, duration } from './words.js';
import { Zoom } from './zoom.js';

const $ = (id) => document.getElementById(id);
const SIDES = { bicubic: 'Before: ', model: 'After: ', other: 'After: ' };

export class View {
  constructor() {
    this.wanted = new Set();
    this.result = null;
    this.player = new Player(
      {
        video: $('video'), picture: $('picture'), overlay: $('overlay'), divider: $('divider'), stage: $('sheet'),
        loupes: [$('loupe-left'), $('loupe-right')],
      },
      {
        frame: (index) => this.showFrame(index),
        layer: (context, index) => this.layers?.draw(context, index, this.wanted, this.result?.rotation),
        split: (part) => {
          const visible = this.zoom?.visible(part) ?? part;
          if (this.zoom) this.zoom.part = visible;
          $('split').value = 100 * visible;
          $('left-name').hidden = visible < 0.08; // no name for a side that is not there
          $('right-name').hidden = visible > 0.92;
        },
      },
    );
    this.zoom = new Zoom(this.player);
    this.tour = new Tour(this);
    this.listen();
  }

  listen() {
    const { player } = this;
    const { video } = player;
    $('split').addEventListener('input', () => {
      this.zoom.part = $('split').value / 100;
      player.moveSplit(this.zoom.split(this.zoom.part));
    });
    playButton($('play'), video, () => this.play());
    $('speed').addEventListener('change', () => { video.playbackRate = Number($('speed').value); });
    $('back').addEventListener('click', () => player.step(-1));
    $('forth').addEventListener('click', () => player.step(1));
    $('frame').addEventListener('input', () => { video.pause(); player.seek(Number($('frame').value)); });
    $('zoom').addEventListener('change', () => { player.zoom = Number($('zoom').value); player.drawLoupes(); });
    for (const side of ['left', 'right']) $(side).addEventListener('change', () => this.choose());
    for (const box of document.querySelectorAll('#layers input')) {
      box.addEventListener('change', () => { this.tour.end(); this.showLayers(); });
    }
    $('score').addEventListener('change', () => this.drawCurve());
    for (const id of ['timeline', 'curve']) {
      const canvas = $(id);
      const go = (event) => { if (canvas.frameAt) { video.pause(); player.seek(canvas.frameAt(event.clientX)); } };
      canvas.addEventListener('pointermove', (event) => { if (id === 'curve' || event.buttons) go(event); });
      canvas.addEventListener('pointerdown', go);
    }
    $('loupe').addEventListener('keydown', (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move || event.target !== $('loupe')) return;
      event.preventDefault();
      player.moveSpot(player.spot.x + move[0] * 0.02, player.spot.y + move[1] * 0.03);
    });
    document.addEventListener('keydown', (event) => {
      if ($('view').hidden || event.target.closest('input, select, textarea, button, a, summary, #loupe') || event.ctrlKey || event.metaKey || event.altKey) return;
      const act = { ' ': () => $('play').click(), ',': () => player.step(-1), '.': () => player.step(1) }[event.key];
      if (act) { event.preventDefault(); act(); }
    });
    $('png').addEventListener('click', () => this.savePicture());
    const redraw = () => { this.drawCurve(); this.drawTimeline(); };
    new ResizeObserver(redraw).observe($('timeline'));
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  }

  /** Show the result of the job `id`. */
  open(id, name, result) {
    this.id = id;
    this.name = name;
    this.result = result;
    this.layers = result.layers ? new Layers(id, result.layers) : null;
    const labels = result.views.map((view) => view.label);
    const main = result.views.findIndex((view) => view.key === 'model');
    for (const [side, view] of [['left', 0], ['right', main < 0 ? labels.length - 1 : main]]) {
      $(side).replaceChildren(...labels.map((label, i) => new Option(label, i)));
      $(side).value = view;
    }
    $('frame').max = result.frames - 1;
    const rate = result.compressed ? `, ${Math.round(result.compressed.kbit_per_second)} kbit/s` : '';
    $('facts').textContent = `${name}: ${sourceSize(result).join('×')} → ${result.size.join('×')}${rate}`;
    $('layers').disabled = !this.layers;
    $('timeline').hidden = !this.layers;
    $('speed').value = result.video ? 1 : 0.25; // measured clips are short
    this.tour.open();
    $('legend').replaceChildren(...(this.layers ? [] : [Object.assign(document.createElement('li'), { textContent: `No layers: ${result.no_layers_because ?? 'there are none.'}` })]));
    this.fillTable();
    this.fillDownloads();
    $('view').hidden = false;
    this.player.open(result, address('file', { id, name: 'comparison.mp4' }));
    if (result.focus) this.player.spot = { x: result.focus.x, y: result.focus.y };
    this.zoom.choose(false);
    this.choose();
    this.showLayers();
    if (this.layers) {
      this.layers.arrived = () => { this.drawTimeline(); this.player.draw(); this.sayLegend(); this.sayFrame(); };
      this.layers.loadAll();
    }
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches) this.play();
  }

  close() {
    this.player.video.pause();
    this.result = this.player.result = null;
    $('view').hidden = true;
  }

  play() {
    const { video } = this.player;
    video.playbackRate = Number($('speed').value);
    video.play().catch(() => {}); // a browser that does not start videos by itself leaves that to the button
  }

  choose() {
    this.player.left = Number($('left').value);
    this.player.right = Number($('right').value);
    for (const side of ['left', 'right']) {
      const { key, label } = this.result.views[Number($(side).value)];
      $(`${side}-name`).textContent = $(`loupe-${side}-name`).textContent = `${SIDES[key] ?? ''}${label}`;
    }
    this.player.draw();
  }

  /** Show these layers and no others. */
  setLayers(names) {
    for (const box of document.querySelectorAll('#layers input')) box.checked = names.includes(box.value);
    this.showLayers();
  }

  showLayers() {
    this.wanted = new Set([...document.querySelectorAll('#layers input:checked')].map((box) => box.value));
    this.player.draw();
    this.sayLegend();
  }

  sayLegend() {
    if (!this.layers) return;
    const frame = this.layers.frames[this.player.index];
    $('legend').replaceChildren(...legendItems(this.wanted, this.layers.gain, frame));
  }

  showFrame(index) {
    $('frame').value = index;
    $('frame-text').textContent = `${index + 1} / ${this.result.frames}`;
    this.sayFrame();
    if (this.wanted.has('qp')) this.sayLegend();
    this.drawTimeline();
    this.drawCurve();
  }

  sayFrame() {
    const frame = this.layers?.frames[this.player.index];
    if (!frame) return;
    const use = frame.is_idr ? 'a new beginning (IDR)' : frame.is_reference ? 'others are predicted from it' : 'nothing depends on it';
    const kinds = { I: 'I: coded by itself', P: 'P: predicted from the past', B: 'B: predicted from past and future' };
    const qp = frame.qp_mean === null ? '' : `, mean QP ${frame.qp_mean.toFixed(1)}`;
    $('frame-facts').textContent = `${kinds[frame.type]}; ${use}; ${frame.vectors.length / 7} vectors${qp}, confidence ${frame.confidence_mean.toFixed(2)}${frame.is_cut ? '; a new scene' : ''}`;
  }

  drawTimeline() {
    if (this.layers && this.result) drawTimeline($('timeline'), this.layers.frames, this.player.index);
  }

  series() {
    const kind = $('score').value;
    return this.result.views.filter((view) => view.scores).map((view) => ({
      key: view.key, label: view.label, values: view.scores.per_frame[kind].map(Number),
    }));
  }

  drawCurve() {
    if (!this.result) return;
    const series = this.series();
    if (!series.length) return;
    const { index } = this.player;
    drawCurve($('curve'), series, index);
    const digits = $('score').value.startsWith('ssim') ? 4 : 2;
    $('curve-text').textContent = `Frame ${index + 1}: ${series.map((one) => `${one.label} ${one.values[index]?.toFixed(digits) ?? '-'}`).join(', ')}`;
  }

  fillTable() {
    const scored = this.result.views.filter((view) => view.scores);
    $('scores').hidden = !scored.length;
    $('table').replaceChildren(
      ...scored.map((view) => {
        const row = document.createElement('tr');
        const head = Object.assign(document.createElement('th'), { scope: 'row' });
        const swatch = Object.assign(document.createElement('span'), { className: 'swatch' });
        swatch.style.background = COLOURS[view.key];
        head.append(swatch, view.label);
        const { mean } = view.scores;
        const gain = view === scored[0] ? '' : ` (${signed(mean.psnr_rgb - scored[0].scores.mean.psnr_rgb)})`;
        row.append(head, ...[`${Number(mean.psnr_rgb).toFixed(2)}${gain}`, Number(mean.ssim_rgb).toFixed(4), view.report.frames_per_second.toFixed(2)].map(cell));
        return row;
      }),
    );
    const small = this.result.compressed?.lr_psnr;
    $('rate').textContent = small ? `RGB, mean over ${this.result.frames} frames. Compression left the small clip at ${Number(small).toFixed(1)} dB.` : '';
  }

  fillDownloads() {
    const link = (name, text) => Object.assign(document.createElement('a'), {
      className: 'button', href: address('file', { id: this.id, name, download: 1 }), download: '', textContent: text,
    });
    const { video } = this.result;
    $('finished').hidden = !video;
    $('download-text').textContent = '';
    if (video) {
      Object.assign($('download'), { href: address('file', { id: this.id, name: 'video', download: 1 }), textContent: `Download ${video.name}` });
      const { seconds, losses, concealed_frames: patched } = this.result.views.find((view) => view.key === 'model').report;
      $('download-text').textContent = [
        bytes(video.bytes), `${this.result.all_frames} frames`, `made in ${duration(seconds)}`,
        ...(patched ? [`${patched} damaged frames patched`] : []), ...(losses?.length ? [`not carried: ${losses.join('; ')}`] : []),
        `below: ${this.result.frames} frames of it beside bicubic`,
      ].join(', ');
    }
    const videos = this.result.views.filter((view) => view.film);
    $('videos').replaceChildren(...videos.map((view) => link(view.film, `Video: ${view.label}`)), link('comparison.mp4', 'All views in one video'));
    $('json').href = address('file', { id: this.id, name: 'metrics.json', download: 1 });
  }

  async savePicture() {
    const names = ['left', 'right'].map((side) => $(side).selectedOptions[0].textContent);
    const blob = await this.player.snapshot(`${names[0]} | ${names[1]}: ${this.name}, frame ${this.player.index + 1}, ${$('facts').textContent.split(': ').pop()}, codecvsr ${this.result.version}`);
    const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(blob), download: `${this.name.replace(/\.[^.]*$/, '')}_frame_${this.player.index + 1}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}

const cell = (text) => Object.assign(document.createElement('td'), { textContent: text });
const signed = (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;

/** Width and height of the video that was enlarged, as it is shown. */
function sourceSize({ compressed, size, source, rotation }) {
  if (compressed) return size.map((side) => side / 4);
  return shownSize([source.width, source.height], rotation);
}
