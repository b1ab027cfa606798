// The form of a job: the clip, its compression, the models.

import { upload } from './api.js';

const $ = (id) => document.getElementById(id);

const ABLATIONS = {
  mvs: 'motion of any kind',
  second_order: 'the frame beyond the neighbour',
  p_inversion: 'motion made from neighbours',
  resolve: 'the search for references (raw vectors)',
  refine: 'sub-pixel refinement',
  priors: 'QP and frame types as input',
  motion_jitter: 'motion jitter',
};
const MOTIONS = { codec: "the codec's vectors", spynet: 'SPyNet optical flow', dis: 'DIS optical flow', zero: 'none', raw: 'raw vectors' };

export class Form {
  constructor(models, limits, demo) {
    this.models = new Map(models.map((model) => [model.name, model]));
    this.limits = limits;
    this.clip = null;
    $('seconds').max = limits.seconds;
    if (!demo) {
      $('demo-choice').hidden = true;
      radio('clip', 'upload').checked = true;
    }
    for (const model of models) $('model').append(new Option(model.name, model.name));
    if (this.models.has('codecvsr')) $('model').value = 'codecvsr';
    $('model').addEventListener('change', () => this.chooseModel());
    $('crf').addEventListener('input', () => this.sayCrf());
    for (const input of document.getElementsByName('how')) input.addEventListener('change', () => this.sayCrf());
    this.listenForFiles();
    this.chooseModel();
    this.sayCrf();
  }

  chooseModel() {
    const model = this.models.get($('model').value);
    const size = model.parameters ? `, ${(model.parameters / 1e6).toFixed(2)} million parameters` : '';
    $('model-about').textContent = `${model.description}${size}`;
    $('ablations').replaceChildren(
      ...model.ablations.map((name) => {
        const label = document.createElement('label');
        const box = Object.assign(document.createElement('input'), { type: 'checkbox', value: name, name: 'ablation' });
        label.append(box, ` without ${ABLATIONS[name] ?? name}`);
        return label;
      }),
    );
    $('motion').replaceChildren(new Option(model.motion.length ? `as usual (${MOTIONS[model.motion[0]]})` : 'none', ''));
    for (const kind of model.motion.slice(1)) $('motion').append(new Option(MOTIONS[kind], kind));
    const other = $('other');
    other.replaceChildren(new Option('nothing else', ''));
    if (model.ablations.includes('mvs')) other.append(new Option('the same without motion', '-mvs'));
    if (model.motion.includes('raw')) other.append(new Option('the same on raw vectors', '@raw'));
    if (model.motion.includes('dis')) other.append(new Option('the same on optical flow (DIS)', '@dis'));
    for (const name of this.models.keys()) {
      if (name !== model.name && name !== 'bicubic') other.append(new Option(name, `=${name}`));
    }
  }

  sayCrf() {
    const crf = Number($('crf').value);
    const isCompressed = radio('how', 'crf').checked;
    $('crf').disabled = !isCompressed;
    $('crf-value').textContent = crf;
    const words = crf < 18 ? 'light, hardly to be seen' : crf < 24 ? 'gentle, as of good streams' : crf < 30 ? 'usual for streaming' : crf < 36 ? 'strong: blocks and blur' : 'harsh: detail is gone';
    $('crf-word').textContent = isCompressed ? `Compression is ${words}.` : 'Nothing is compressed again.';
  }

  listenForFiles() {
    const pick = radio('clip', 'upload');
    pick.addEventListener('click', () => $('file').click());
    $('file').addEventListener('change', () => this.send($('file').files[0]));
    const drop = $('drop');
    for (const event of ['dragover', 'dragleave', 'drop']) {
      drop.addEventListener(event, (moved) => {
        moved.preventDefault();
        drop.classList.toggle('over', event === 'dragover');
        if (event === 'drop') this.send(moved.dataTransfer.files[0]);
      });
    }
  }

  async send(file) {
    if (!file) return;
    this.clip = null;
    radio('clip', 'upload').checked = true;
    $('make-error').textContent = '';
    $('upload-name').textContent = `${file.name}: uploading`;
    if (file.size > this.limits.upload_bytes) {
      $('upload-name').textContent = 'choose a video, or drop it here';
      $('make-error').textContent = `The file is larger than the ${Math.round(this.limits.upload_bytes / 2 ** 20)} MiB that are allowed.`;
      return;
    }
    $('upload-bar').hidden = false;
    $('run').disabled = true;
    try {
      const clip = await upload(file, (part) => { $('upload-bar').value = part; });
      this.clip = clip.id;
      $('upload-name').textContent = clip.name;
    } catch (error) {
      $('upload-name').textContent = 'choose a video, or drop it here';
      $('make-error').textContent = `${file.name}: ${error.message}`;
    } finally {
      $('upload-bar').hidden = true;
      $('run').disabled = false;
      $('file').value = '';
    }
  }

  /** The request of a job; throws a sentence where something is missing. */
  request() {
    const isDemo = radio('clip', 'demo').checked;
    if (!isDemo && !this.clip) throw new Error('Choose a video first.');
    const model = $('model').value;
    const ablations = [...document.getElementsByName('ablation')].filter((box) => box.checked).map((box) => box.value);
    return {
      clip: isDemo ? 'demo' : this.clip,
      crf: radio('how', 'crf').checked ? Number($('crf').value) : null,
      start: Number($('start').value) || 0,
      seconds: Number($('seconds').value),
      device: $('device').value || 'auto',
      model,
      motion: $('motion').value || null,
      ablations,
      other: this.other(model),
    };
  }

  other(model) {
    const asked = $('other').value;
    if (!asked) return null;
    if (asked[0] === '=') return { model: asked.slice(1) };
    return asked[0] === '@' ? { model, motion: asked.slice(1) } : { model, ablations: [asked.slice(1)] };
  }
}

function radio(name, value) {
  return document.querySelector(`input[name=${name}][value=${value}]`);
}
