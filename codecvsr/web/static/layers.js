// Draws the codec's data over a frame. Numbers arrive as base64 of little-endian arrays.

import { address } from './api.js';
import { nearestTurn, shownSize } from './rotation.js';

export const PAST = '#ffb048';
export const FUTURE = '#54c8ff';
export const INTRA = 'rgb(255 70 150)';
export const QP_SCALE = ['rgb(40 10 120)', 'rgb(190 50 110)', 'rgb(255 210 60)'];
export const CONFIDENCE = ['rgb(255 30 50 / 0%)', 'rgb(255 30 50)'];
const CHUNK = 24;
const LONG_ARROW = 64; // pixels: nine tenths of the arrows stay below

function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return out;
}

const int16 = (text) => new Int16Array(bytes(text).buffer);

export class Layers {
  constructor(id, count) {
    this.id = id;
    this.count = count;
    this.frames = new Array(count);
    this.waiting = new Set();
    this.gain = 0;
    this.arrived = () => {};
  }

  /** The data of a frame, or undefined while it is loading. */
  frame(index) {
    if (index >= this.count) return undefined;
    for (const wanted of [index, index + CHUNK / 2]) {
      if (wanted < this.count && !this.frames[wanted]) this.load(Math.floor(wanted / CHUNK));
    }
    return this.frames[index];
  }

  async load(chunk) {
    if (this.waiting.has(chunk)) return;
    this.waiting.add(chunk);
    const response = await fetch(address('inspect', { id: this.id, start: chunk * CHUNK, count: CHUNK }));
    if (!response.ok) return; // deleted meanwhile: nothing to draw
    const answer = await response.json();
    this.summary = answer.summary;
    answer.frames.forEach((frame, i) => {
      this.frames[answer.start + i] = {
        ...frame,
        vectors: int16(frame.vectors),
        qp: frame.qp && bytes(frame.qp),
        partition: bytes(frame.partition),
        motion: int16(frame.motion),
        confidence: bytes(frame.confidence),
      };
    });
    if (!this.gain) this.gain = gainFor(this.summary, 4);
    this.arrived();
  }

  /** Everything, for the timeline, which needs the types of all frames. */
  async loadAll() {
    for (let chunk = 0; chunk * CHUNK < this.count; chunk++) await this.load(chunk);
  }

  /** Draw the layers of a frame; `rotation` is the display matrix of the coded frames, or null. */
  draw(context, index, wanted, rotation) {
    context.resetTransform();
    context.clearRect(0, 0, context.canvas.width, context.canvas.height);
    const frame = wanted.size ? this.frame(index) : undefined;
    if (!frame) return;
    const scale = turn(context, frame, rotation);
    if (wanted.has('vectors') || wanted.has('motion') || wanted.has('partitions')) {
      context.fillStyle = 'rgb(8 12 20 / 55%)';
      context.fillRect(0, 0, frame.size[0] * scale, frame.size[1] * scale);
    }
    if (wanted.has('qp') && frame.qp) drawQp(context, frame, scale);
    if (wanted.has('confidence')) drawConfidence(context, frame, scale);
    if (wanted.has('motion')) drawMotion(context, frame, scale);
    if (wanted.has('partitions')) drawPartitions(context, frame, scale);
    if (wanted.has('vectors')) drawVectors(context, frame, scale, this.gain || 1);
  }
}

/** Let the context draw in coded coordinates, turned and mirrored as players show the frame; returns picture pixels per coded pixel. */
function turn(context, frame, rotation) {
  const [a, b, c, d] = nearestTurn(rotation);
  const scale = context.canvas.width / shownSize(frame.size, rotation)[0];
  const [width, height] = frame.size.map((side) => side * scale);
  context.setTransform(a, b, c, d, -Math.min(0, a * width) - Math.min(0, c * height), -Math.min(0, b * width) - Math.min(0, d * height));
  return scale;
}

/** Picture pixels per CSS pixel: lines are as thick on a phone as on a large screen. */
const pixel = (context) => Math.max(1, context.canvas.width / (context.canvas.clientWidth || context.canvas.width));

/** The lowest and the highest QP of a frame. */
export function qpRange(frame) {
  return frame.qp.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [51, 0]);
}

/** How much longer than displacements arrows are drawn, so that usual ones can be seen. */
function gainFor(summary, scale) {
  const usual = Math.max(0, ...Object.values(summary?.vector_pixels ?? {}).map((v) => v.p90 ?? 0));
  return [8, 4, 2].find((gain) => usual * scale * gain <= LONG_ARROW) ?? 1;
}

/** Paint one value per cell on a small picture and enlarge it over the frame. */
function paint(context, columns, rows, side, smooth, colour) {
  const small = new OffscreenCanvas(columns, rows);
  const image = new ImageData(columns, rows);
  for (let i = 0; i < columns * rows; i++) colour(i, image.data, 4 * i);
  small.getContext('2d').putImageData(image, 0, 0);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(small, 0, 0, columns * side, rows * side);
}

const QP = QP_SCALE.map((colour) => colour.match(/\d+/g).map(Number));

function drawQp(context, frame, scale) {
  const columns = Math.ceil(frame.size[0] / 16);
  const rows = Math.ceil(frame.size[1] / 16);
  const [low, high] = qpRange(frame);
  paint(context, columns, rows, 16 * scale, false, (i, data, at) => {
    const part = (frame.qp[i] - low) / Math.max(high - low, 1);
    const [first, second] = part < 0.5 ? [QP[0], QP[1]] : [QP[1], QP[2]];
    const share = part < 0.5 ? 2 * part : 2 * part - 1;
    for (let k = 0; k < 3; k++) data[at + k] = first[k] + (second[k] - first[k]) * share;
    data[at + 3] = 175;
  });
}

function drawConfidence(context, frame, scale) {
  const [columns, rows] = frame.grid;
  paint(context, columns, rows, frame.cell * scale, true, (i, data, at) => {
    const doubt = 1 - frame.confidence[i] / 255;
    data[at] = 255;
    data[at + 1] = 30;
    data[at + 2] = 50;
    data[at + 3] = 235 * Math.min(1, 1.6 * doubt);
  });
}

function drawMotion(context, frame, scale) {
  const [columns, rows] = frame.grid;
  const cells = columns * rows;
  const { motion } = frame;
  const lengths = [];
  for (let i = 0; i < cells; i += 7) lengths.push(Math.hypot(motion[i], motion[cells + i]));
  lengths.sort((a, b) => a - b);
  const fast = Math.max(lengths[Math.floor(lengths.length * 0.97)] ?? 0, 8); // at least 8/16 pixel
  paint(context, columns, rows, frame.cell * scale, true, (i, data, at) => {
    const x = motion[i];
    const y = motion[cells + i];
    const [r, g, b] = hue(Math.atan2(y, x));
    data[at] = r;
    data[at + 1] = g;
    data[at + 2] = b;
    data[at + 3] = 225 * Math.min(1, Math.hypot(x, y) / fast);
  });
  const every = 5;
  const length = (every * frame.cell * scale * 0.85) / fast;
  const px = pixel(context);
  context.lineWidth = Math.max(1.5 * px, scale / 2.6);
  context.strokeStyle = 'rgb(255 255 255 / 85%)';
  context.beginPath();
  for (let row = 2; row < rows; row += every) {
    for (let column = 2; column < columns; column += every) {
      const i = row * columns + column;
      arrow(context, (column + 0.5) * frame.cell * scale, (row + 0.5) * frame.cell * scale, motion[i] * length, motion[cells + i] * length, px);
    }
  }
  context.stroke();
}

function hue(angle) {
  const channel = (shift) => 150 + 105 * Math.cos(angle - shift);
  return [channel(0), channel(2.094), channel(4.189)];
}

function drawPartitions(context, frame, scale) {
  const [columns, rows] = frame.grid;
  if (frame.type !== 'I') {
    paint(context, columns, rows, frame.cell * scale, false, (i, data, at) => {
      data[at] = 255;
      data[at + 1] = 70;
      data[at + 2] = 150;
      data[at + 3] = frame.partition[i] ? 0 : 150;
    });
  }
  context.lineWidth = Math.max(pixel(context), scale / 4);
  context.strokeStyle = 'rgb(255 255 255 / 35%)';
  context.beginPath();
  for (let x = 16; x < frame.size[0]; x += 16) {
    context.moveTo(Math.round(x * scale) + 0.5, 0);
    context.lineTo(Math.round(x * scale) + 0.5, frame.size[1] * scale);
  }
  for (let y = 16; y < frame.size[1]; y += 16) {
    context.moveTo(0, Math.round(y * scale) + 0.5);
    context.lineTo(frame.size[0] * scale, Math.round(y * scale) + 0.5);
  }
  context.stroke();
  context.strokeStyle = 'rgb(255 255 255 / 95%)';
  context.beginPath();
  const v = frame.vectors;
  for (let i = 0; i < v.length; i += 7) {
    if (v[i + 2] < 16 || v[i + 3] < 16) {
      context.rect(Math.round(v[i] * scale) + 0.5, Math.round(v[i + 1] * scale) + 0.5, Math.round(v[i + 2] * scale), Math.round(v[i + 3] * scale));
    }
  }
  context.stroke();
}

function drawVectors(context, frame, scale, gain) {
  const v = frame.vectors;
  const px = pixel(context);
  for (const [rim, width] of [[true, scale * 0.9], [false, scale * 0.45]]) {
    for (const list of [0, 1]) {
      context.lineWidth = Math.max(width, (rim ? 2.6 : 1.3) * px);
      context.strokeStyle = rim ? 'rgb(8 10 16 / 70%)' : list ? FUTURE : PAST;
      context.lineCap = 'round';
      context.beginPath();
      for (let i = 0; i < v.length; i += 7) {
        if (v[i + 6] === list) {
          arrow(context, (v[i] + v[i + 2] / 2) * scale, (v[i + 1] + v[i + 3] / 2) * scale, (v[i + 4] / 4) * scale * gain, (v[i + 5] / 4) * scale * gain, px);
        }
      }
      context.stroke();
    }
  }
}

function arrow(context, x, y, dx, dy, px) {
  const length = Math.hypot(dx, dy);
  if (length < 1.5) {
    context.moveTo(x - px / 2, y); // no motion is a dot
    context.lineTo(x + px / 2, y);
    return;
  }
  const head = Math.min(6 * px, 0.4 * length + px);
  const [ux, uy] = [dx / length, dy / length];
  const [ex, ey] = [x + dx, y + dy];
  context.moveTo(x, y);
  context.lineTo(ex, ey);
  context.moveTo(ex - head * (ux - 0.55 * uy), ey - head * (uy + 0.55 * ux));
  context.lineTo(ex, ey);
  context.lineTo(ex - head * (ux + 0.55 * uy), ey - head * (uy - 0.55 * ux));
}
