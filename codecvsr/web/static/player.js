// One video holds all views side by side, so they are always synchronous: two of them are drawn, divided by a line.

const SWEEP = 4000; // ms for once across and back

export class Player {
  /** `elements`: video, picture, overlay, divider, stage, loupes [left, right]. `hears`: frame(index), layer(context, index), split(part). */
  constructor(elements, hears) {
    Object.assign(this, elements);
    this.hears = hears;
    this.paint = this.picture.getContext('2d');
    this.above = this.overlay?.getContext('2d');
    this.split = 0.5;
    this.left = this.right = 0;
    this.spot = { x: 0.5, y: 0.5 };
    this.zoom = 4;
    this.index = 0;
    this.result = null;
    this.listen();
  }

  listen() {
    const { video, stage } = this;
    if ('requestVideoFrameCallback' in video) {
      const shown = (_, facts) => {
        this.show(Math.round(facts.mediaTime * this.fps));
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    } else {
      const update = () => {
        if (!video.paused) this.show(Math.floor(video.currentTime * this.fps + 1e-3));
        requestAnimationFrame(update);
      };
      requestAnimationFrame(update);
    }
    for (const event of ['seeked', 'loadeddata']) {
      video.addEventListener(event, () => this.show(Math.floor(video.currentTime * this.fps + 1e-3)));
    }
    const place = (event) => {
      const box = stage.getBoundingClientRect();
      return { x: clamp((event.clientX - box.left) / box.width), y: clamp((event.clientY - box.top) / box.height) };
    };
    stage.addEventListener('pointerdown', (event) => {
      stage.setPointerCapture(event.pointerId);
      this.dragging = true;
      this.moveSplit(place(event).x);
    });
    stage.addEventListener('pointermove', (event) => {
      const at = place(event);
      if (this.dragging) this.moveSplit(at.x);
      this.moveSpot(at.x, at.y);
    });
    for (const event of ['pointerup', 'pointercancel']) stage.addEventListener(event, () => { this.dragging = false; });
  }

  open(result, address) {
    this.result = result;
    this.fps = result.fps;
    const [width, height] = result.mosaic.view;
    for (const canvas of [this.picture, this.overlay].filter(Boolean)) Object.assign(canvas, { width, height });
    this.index = 0;
    this.video.src = address;
    this.video.load();
  }

  show(index) {
    if (!this.result) return;
    this.index = Math.min(Math.max(index, 0), this.result.frames - 1);
    this.draw();
    this.hears.frame(this.index);
  }

  seek(index) {
    this.video.currentTime = (Math.min(Math.max(index, 0), this.result.frames - 1) + 0.5) / this.fps;
  }

  step(by) {
    this.video.pause();
    this.seek(this.index + by);
  }

  /** Move the divider, as the user wants it. */
  moveSplit(part) {
    this.swept = 0;
    this.placeSplit(part);
  }

  placeSplit(part) {
    this.split = clamp(part);
    this.hears.split(this.split);
    this.draw();
  }

  moveSpot(x, y) {
    this.spot = { x: clamp(x), y: clamp(y) };
    this.drawLoupes();
  }

  corner(view) {
    const { columns, cell } = this.result.mosaic;
    return [(view % columns) * cell[0], Math.floor(view / columns) * cell[1]];
  }

  draw() {
    if (!this.result || this.video.readyState < 2) return;
    const { width, height } = this.picture;
    const edge = Math.round(this.split * width);
    for (const [view, from, to] of [[this.left, 0, edge], [this.right, edge, width]]) {
      const [x, y] = this.corner(view);
      if (to > from) this.paint.drawImage(this.video, x + from, y, to - from, height, from, 0, to - from, height);
    }
    this.divider.style.left = `${100 * this.split}%`;
    this.hears.layer(this.above, this.index);
    this.drawLoupes();
  }

  drawLoupes() {
    if (!this.loupes.length || !this.result || this.video.readyState < 2) return;
    const { width, height } = this.picture;
    [this.left, this.right].forEach((view, side) => {
      const canvas = this.loupes[side];
      const context = canvas.getContext('2d');
      const across = Math.min(Math.round(canvas.width / 2 / this.zoom), width);
      const down = Math.min(Math.round(canvas.height / 2 / this.zoom), height);
      const x = Math.min(Math.max(Math.round(this.spot.x * width - across / 2), 0), width - across);
      const y = Math.min(Math.max(Math.round(this.spot.y * height - down / 2), 0), height - down);
      const [left, top] = this.corner(view);
      context.imageSmoothingEnabled = false;
      context.drawImage(this.video, left + x, top + y, across, down, 0, 0, canvas.width, canvas.height);
    });
  }

  /** Move the divider across and back to the middle, `times` times, unless the user moves it. */
  sweep(times = 1) {
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      this.moveSplit(0.5);
      return;
    }
    const begun = performance.now();
    const { result } = this;
    this.swept = begun;
    const move = (now) => {
      const t = (now - begun) / SWEEP;
      if (this.dragging || this.swept !== begun || this.result !== result) return;
      this.placeSplit(t > times ? 0.5 : 0.5 + 0.45 * Math.sin(t * 2 * Math.PI));
      if (t <= times) requestAnimationFrame(move);
    };
    requestAnimationFrame(move);
  }

  /** Stop playing and sweeping. */
  rest() {
    this.swept = 0;
    this.video.pause();
  }

  /** The picture as it is now, with its layers, divider and a line of text below, as a PNG. */
  snapshot(caption) {
    const { width, height } = this.picture;
    const foot = 40;
    const canvas = Object.assign(document.createElement('canvas'), { width, height: height + foot });
    const context = canvas.getContext('2d');
    context.fillStyle = '#0e1117';
    context.fillRect(0, 0, width, height + foot);
    context.drawImage(this.picture, 0, 0);
    context.drawImage(this.overlay, 0, 0);
    context.fillStyle = '#fff';
    context.fillRect(Math.round(this.split * width) - 1, 0, 2, height);
    context.font = '17px system-ui, sans-serif';
    context.textBaseline = 'middle';
    context.fillText(caption, 12, height + foot / 2, width - 24);
    return new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
  }
}

/** A button that plays and pauses a video. */
export function playButton(button, video, play) {
  button.addEventListener('click', () => (video.paused ? play() : video.pause()));
  for (const event of ['play', 'pause']) {
    video.addEventListener(event, () => {
      button.setAttribute('aria-pressed', String(!video.paused));
      button.replaceChildren(video.paused ? '▶ ' : '❚❚ ', Object.assign(document.createElement('span'), { textContent: video.paused ? 'Play' : 'Pause' }));
    });
  }
}

function clamp(part) {
  return Math.min(Math.max(part, 0), 1);
}
