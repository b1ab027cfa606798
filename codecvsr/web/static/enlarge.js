// Whole videos: files are uploaded, estimated, and become jobs when the user starts them.

import { call, upload } from './api.js';
import { connectOptions, readOptions } from './presets.js';
import { shownSize } from './rotation.js';
import { bytes, duration } from './words.js';

const $ = (id) => document.getElementById(id);
const WAIT = 500; // ms after a change of the options, before new estimates

export class Enlarge {
  /** `onJob(job)` is called for every job that is made. */
  constructor({ limits, qualities }, onJob) {
    this.limits = limits;
    this.onJob = onJob;
    this.entries = [];
    this.isStarted = false;
    this.uploads = this.estimates = Promise.resolve(); // one after the other
    this.version = 0;
    connectOptions(qualities, () => this.changed());
    $('choose').addEventListener('change', () => {
      this.add([...$('choose').files]);
      $('choose').value = '';
    });
    for (const event of ['dragover', 'dragleave', 'drop']) {
      $('dropzone').addEventListener(event, (moved) => {
        moved.preventDefault();
        $('dropzone').classList.toggle('over', event === 'dragover');
        if (event === 'drop') this.add([...moved.dataTransfer.files]);
      });
    }
    $('enlarge').addEventListener('submit', (event) => {
      event.preventDefault();
      this.isStarted = true;
      this.start();
    });
  }

  add(files) {
    $('enlarge-error').textContent = '';
    for (const file of files) {
      const entry = { name: file.name, state: 'waiting', text: 'waiting', share: 0, ...row(file.name, () => this.remove(entry)) };
      this.entries.push(entry);
      $('files').append(entry.item);
      this.uploads = this.uploads.then(() => this.send(entry, file));
    }
    this.show();
  }

  remove(entry) {
    entry.state = 'removed';
    entry.item.remove();
    this.entries = this.entries.filter((one) => one !== entry);
    this.show();
  }

  async send(entry, file) {
    if (entry.state === 'removed') return;
    entry.state = 'uploading';
    try {
      if (file.size > this.limits.upload_bytes) {
        throw new Error(`larger than the ${bytes(this.limits.upload_bytes)} that this server takes; 'codecvsr serve --max-upload' sets that, and 'codecvsr upscale' has no limit.`);
      }
      const clip = await upload(file, (share) => {
        entry.share = share;
        this.show();
      });
      if (entry.state === 'removed') return;
      Object.assign(entry, { state: 'ready', clip: clip.id });
      this.estimate(entry);
      if (this.isStarted) await this.start();
    } catch (error) {
      Object.assign(entry, { state: 'failed', text: error.message });
    }
    this.show();
  }

  changed() {
    this.version += 1;
    const { version } = this;
    for (const entry of this.entries) entry.estimate = null;
    this.show();
    setTimeout(() => {
      if (version === this.version) for (const entry of this.entries) this.estimate(entry);
    }, WAIT);
  }

  /** Ask for an estimate, after those that are being made. */
  estimate(entry) {
    const { version } = this;
    this.estimates = this.estimates.then(async () => {
      if (entry.state !== 'ready' || version !== this.version) return;
      try {
        const made = await call('estimate', {}, this.request(entry));
        if (version !== this.version) return;
        entry.estimate = made;
        entry.text = describe(made);
      } catch (error) {
        if (version !== this.version || entry.state !== 'ready') return;
        if (error.status === 503) entry.text = 'no estimate: the server is busy';
        else Object.assign(entry, { state: 'failed', text: error.message });
      }
      this.show();
    });
  }

  request(entry) {
    return { clip: entry.clip, crf: null, upscale: readOptions() };
  }

  /** Make jobs of all files that are here; those that are still being uploaded follow. */
  async start() {
    $('enlarge-error').textContent = '';
    for (const entry of this.entries.filter((one) => one.state === 'ready')) {
      entry.state = 'starting';
      try {
        const job = await call('create', {}, this.request(entry));
        this.remove(entry);
        this.onJob(job);
      } catch (error) {
        entry.state = 'ready';
        $('enlarge-error').textContent = `${entry.name}: ${error.message}`;
        this.isStarted = false;
        break;
      }
    }
    if (!this.entries.some((one) => ['waiting', 'uploading'].includes(one.state))) this.isStarted = false;
    this.show();
  }

  show() {
    for (const entry of this.entries) {
      entry.item.classList.toggle('error', entry.state === 'failed');
      entry.bar.hidden = entry.state !== 'uploading';
      entry.bar.value = entry.share;
      entry.note.textContent = { uploading: 'uploading', waiting: 'waiting', starting: 'starting' }[entry.state]
        ?? (entry.state === 'ready' && !entry.estimate && !entry.text.startsWith('no estimate') ? 'estimating time and size …' : entry.text);
    }
    const usable = this.entries.filter((entry) => entry.state !== 'failed');
    $('begin').disabled = !usable.length || this.isStarted;
    $('begin').textContent = usable.length > 1 ? `Start ${usable.length} videos` : 'Start';
    const known = usable.filter((entry) => entry.estimate?.seconds);
    const seconds = known.reduce((sum, entry) => sum + entry.estimate.seconds, 0);
    const size = known.reduce((sum, entry) => sum + (entry.estimate.bytes ?? 0), 0);
    $('total').textContent = usable.length && known.length === usable.length
      ? `about ${duration(seconds)}, ${bytes(size)}` : usable.length ? '' : 'Choose a video first.';
  }
}

function describe(made) {
  const [from, to] = [[made.source_width, made.source_height], [made.width, made.height]].map((size) => shownSize(size, made.rotation).join('×'));
  const facts = [`${from} → ${to}, ${made.frames} frames`];
  if (made.seconds !== null) facts.push(`about ${duration(made.seconds)}`);
  if (made.bytes !== null) facts.push(`about ${bytes(made.bytes)}`);
  if (made.gain_db) facts.push(`${made.gain_db.toFixed(1)} dB over bicubic (±${made.gain_error_db?.toFixed(1) ?? '?'})`);
  if (made.note) facts.push(made.note);
  return `${facts.join('; ')} → ${made.output}`;
}

function row(name, onRemove) {
  const item = document.createElement('li');
  const title = Object.assign(document.createElement('strong'), { textContent: name });
  const note = Object.assign(document.createElement('span'), { className: 'hint' });
  const bar = Object.assign(document.createElement('progress'), { max: 1, value: 0, ariaLabel: `Upload of ${name}` });
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: '✕', className: 'small-button', ariaLabel: `Remove ${name}` });
  button.addEventListener('click', onRemove);
  item.append(title, button, note, bar);
  return { item, note, bar };
}
