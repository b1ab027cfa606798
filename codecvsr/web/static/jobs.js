// The list of jobs: how far each is, and its download.

import { address, call } from './api.js';
import { duration } from './words.js';

const $ = (id) => document.getElementById(id);
const EVERY = 2000; // ms, while a job waits or runs
const SHOWN = 20;

let timer = 0;

/** Show the jobs now, and again while one of them waits or runs. */
export async function listJobs() {
  clearTimeout(timer);
  const answer = await call('jobs').catch(() => null);
  if (answer) show(answer.jobs.slice(0, SHOWN));
  if (!answer || answer.jobs.some(isActive)) {
    clearTimeout(timer);
    timer = setTimeout(listJobs, EVERY);
  }
}

const isActive = (job) => job.state === 'queued' || job.state === 'running';

function show(jobs) {
  $('recent').hidden = !jobs.length;
  const focused = document.activeElement?.closest?.('#jobs') ? document.activeElement.getAttribute('href') ?? document.activeElement.id : null;
  $('jobs').replaceChildren(...jobs.map(row));
  if (focused) [...$('jobs').querySelectorAll('a, button')].find((one) => (one.getAttribute('href') ?? one.id) === focused)?.focus();
}

function row(job) {
  const item = document.createElement('li');
  const link = Object.assign(document.createElement('a'), { href: `#job=${job.id}`, textContent: job.clip_name });
  item.append(link, Object.assign(document.createElement('span'), { textContent: [kind(job), state(job)].join(' · ') }));
  if (job.state === 'running') {
    const bar = Object.assign(document.createElement('progress'), { max: 1, ariaLabel: `Progress of ${job.clip_name}` });
    if (job.progress) bar.value = job.progress.fraction;
    item.append(bar);
  }
  if (isActive(job)) {
    const button = Object.assign(document.createElement('button'), { id: `cancel-${job.id}`, type: 'button', textContent: 'Cancel', ariaLabel: `Cancel ${job.clip_name}` });
    button.addEventListener('click', () => call('cancel', { id: job.id }).catch(() => {}).then(listJobs));
    item.append(button);
  }
  if (job.state === 'done' && job.parameters.upscale) {
    item.append(Object.assign(document.createElement('a'), {
      className: 'button', href: address('file', { id: job.id, name: 'video', download: 1 }), download: '', textContent: 'Download', ariaLabel: `Download ${job.clip_name}, enlarged`,
    }));
  }
  return item;
}

function kind({ parameters: p }) {
  if (p.upscale) return `whole video, ${p.upscale.scale}×, ${p.upscale.quality}`;
  return [p.crf === null ? 'a part, as it is' : `measured at CRF ${p.crf}`, p.model, ...(p.other ? [p.other.model] : [])].join(', ');
}

function state(job) {
  if (job.state === 'failed') return `failed: ${job.error}`;
  if (job.state === 'queued') return job.position ? `waiting, ${job.position} before it` : 'waiting';
  if (job.state !== 'running') return job.state;
  const left = job.progress?.eta_seconds ? `, about ${duration(job.progress.eta_seconds)} left` : '';
  return job.progress ? `${Math.round(100 * job.progress.fraction)} %${left}` : 'beginning';
}
