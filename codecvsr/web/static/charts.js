// The curve of scores and the timeline of frame types, on canvases as sharp as the screen.

export const COLOURS = { bicubic: '#e0862f', model: '#2f7fe0', other: '#3aa564', original: '#888' };

function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth || 300;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '12px system-ui, sans-serif';
  return { context, width, height };
}

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Lines of one value per frame. `series`: [{key, values}]; `index`: the frame shown. */
export function drawCurve(canvas, series, index) {
  const { context, width, height } = prepare(canvas, 220);
  const all = series.flatMap((one) => one.values).filter(Number.isFinite);
  if (!all.length) return;
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const room = Math.max((high - low) * 0.1, high * 0.002);
  [low, high] = [low - room, high + room];
  const frames = series[0].values.length;
  const box = { left: 52, right: width - 10, top: 8, bottom: height - 24 };
  const x = (i) => box.left + ((box.right - box.left) * (frames > 1 ? i / (frames - 1) : 0.5));
  const y = (value) => box.bottom - ((box.bottom - box.top) * (value - low)) / (high - low);
  const step = nice((high - low) / 4);
  context.lineWidth = 1;
  context.textAlign = 'right';
  context.textBaseline = 'middle';
  for (let value = Math.ceil(low / step) * step; value < high; value += step) {
    context.strokeStyle = ink('--rule');
    context.beginPath();
    context.moveTo(box.left, y(value));
    context.lineTo(box.right, y(value));
    context.stroke();
    context.fillStyle = ink('--soft');
    context.fillText(value.toFixed(step < 0.01 ? 3 : step < 1 ? 2 : 0), box.left - 6, y(value));
  }
  context.textBaseline = 'top';
  context.textAlign = 'left';
  context.fillText('frame 1', box.left, box.bottom + 7);
  context.textAlign = 'right';
  context.fillText(String(frames), box.right, box.bottom + 7);
  context.strokeStyle = ink('--ink');
  context.globalAlpha = 0.45;
  context.beginPath();
  context.moveTo(x(index), box.top);
  context.lineTo(x(index), box.bottom);
  context.stroke();
  context.globalAlpha = 1;
  for (const { key, values } of series) {
    context.strokeStyle = context.fillStyle = COLOURS[key];
    context.lineWidth = 2;
    context.beginPath();
    values.forEach((value, i) => (Number.isFinite(value) ? context.lineTo(x(i), y(value)) : undefined));
    context.stroke();
    if (Number.isFinite(values[index])) {
      context.beginPath();
      context.arc(x(index), y(values[index]), 4, 0, 7);
      context.fill();
    }
  }
  canvas.frameAt = (clientX) => {
    const at = (clientX - canvas.getBoundingClientRect().left - box.left) / (box.right - box.left);
    return Math.min(Math.max(Math.round(at * (frames - 1)), 0), frames - 1);
  };
}

function nice(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((m) => m * power).find((step) => step >= rough);
}

/** A bar per frame: colour is the type, height how much depends on it. */
export function drawTimeline(canvas, frames, index) {
  const { context, width, height } = prepare(canvas, 46);
  const count = frames.length;
  const step = width / count;
  context.textAlign = 'center';
  context.textBaseline = 'bottom';
  for (let i = 0; i < count; i++) {
    const frame = frames[i];
    if (!frame) continue;
    const part = frame.type === 'I' ? 1 : frame.type === 'P' ? 0.78 : frame.is_reference ? 0.56 : 0.36;
    const tall = (height - 8) * part;
    context.globalAlpha = i === index ? 1 : 0.62;
    context.fillStyle = ink(`--${frame.type.toLowerCase()}`);
    context.fillRect(i * step + 0.5, height - 4 - tall, Math.max(step - 1.5, 1), tall);
    if (step > 14) {
      context.fillStyle = ink('--ink');
      context.globalAlpha = 1;
      context.fillText(frame.type, (i + 0.5) * step - 0.3, height - 5);
    }
    context.globalAlpha = 1;
    if (frame.is_idr || frame.is_cut) {
      context.fillStyle = ink('--ink');
      context.fillRect(i * step, 0, 1.5, height);
    }
  }
  context.strokeStyle = ink('--ink');
  context.lineWidth = 2;
  context.strokeRect(index * step + 0.5, 1, Math.max(step - 1.5, 3), height - 2);
  canvas.frameAt = (clientX) => {
    const at = (clientX - canvas.getBoundingClientRect().left) / width;
    return Math.min(Math.max(Math.floor(at * count), 0), count - 1);
  };
}
