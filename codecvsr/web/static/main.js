// The page: from a request over its progress to its result.

import { call, listen, open } from './api.js';
import { Enlarge } from './enlarge.js';
import { Form } from './form.js';
import { openIntro } from './intro.js';
import { listJobs } from './jobs.js';
import { View } from './view.js';
import { duration } from './words.js';

const $ = (id) => document.getElementById(id);
const hash = () => new URLSearchParams(location.hash.slice(1));

let form;
let view;
let intro = null;
let job = null;
let isActive = false; // the job that is followed waits or runs
let stopListening = () => {};

async function begin() {
  await open();
  const token = hash().get('token');
  if (token) {
    history.replaceState(null, '', location.pathname); // the token stays out of the history and of links
    await call('session', {}, { token }).catch(() => {}); // a wrong one is asked for again below
  }
  try {
    const server = await call('models');
    $('gate').hidden = true;
    $('make').hidden = $('enlarge').hidden = false;
    form = new Form(server.models, server.limits, server.demo);
    view = new View();
    new Enlarge(server, enlarged);
  } catch (error) {
    if (error.status !== 401) return fail(error.message);
    $('gate').hidden = false;
    $('gate-token').focus();
    return undefined;
  }
  const known = hash().get('job');
  if (known) show(known);
  return listJobs();
}

/** Follow a new job, unless another one is followed. */
function enlarged(made) {
  if (!isActive) {
    isActive = true;
    location.hash = `job=${made.id}`;
  }
  listJobs();
}

$('gate-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  try {
    await call('session', {}, { token: $('gate-token').value });
    await begin();
  } catch (error) {
    $('gate-error').textContent = error.message;
  }
});

$('make').addEventListener('submit', async (event) => {
  event.preventDefault();
  $('make-error').textContent = '';
  try {
    const made = await call('create', {}, form.request());
    location.hash = `job=${made.id}`;
  } catch (error) {
    $('make-error').textContent = error.message;
  }
});

window.addEventListener('hashchange', () => {
  const id = hash().get('job');
  if (id && id !== job) show(id);
});

$('cancel').addEventListener('click', async () => {
  $('cancel').disabled = true;
  await call('cancel', { id: job }).catch((error) => fail(error.message));
});

$('remove').addEventListener('click', async () => {
  await call('delete', { id: job }).catch((error) => fail(error.message));
  leave();
});

/** Follow a job to its end and show its result. */
function show(id) {
  stopListening();
  job = id;
  isActive = true;
  view.close();
  $('failure').hidden = true;
  $('cancel').disabled = false;
  stopListening = listen(id, (current) => {
    if (id !== job) return;
    if (!current) {
      leave();
      fail('This job is gone: it was deleted or has expired.');
      return;
    }
    follow(current);
  });
}

function leave() {
  stopListening();
  job = null;
  isActive = false;
  view.close();
  $('progress').hidden = true;
  history.replaceState(null, '', location.pathname);
  listJobs();
}

async function follow(current) {
  isActive = current.state === 'queued' || current.state === 'running';
  $('progress').hidden = !isActive;
  $('run').disabled = false;
  const now = current.progress;
  if (current.state === 'queued') {
    say(current.position ? `Waiting: ${current.position} ${current.position === 1 ? 'job' : 'jobs'} before this one` : 'Beginning', null, '');
  } else if (current.state === 'running') {
    const speed = now?.frames_per_second ? `, ${now.frames_per_second.toFixed(1)} frames/s` : '';
    const left = now?.eta_seconds ? `, about ${duration(now.eta_seconds)} left` : '';
    say(now ? capital(now.label) : 'Beginning', now?.fraction ?? null, now ? `${now.done} of ${now.total}${speed}${left}` : '');
  } else if (current.state === 'done') {
    try {
      intro?.rest();
      view.open(current.id, current.clip_name, await call('result', { id: current.id }));
      $('view').scrollIntoView({ behavior: 'smooth', block: 'start' });
    } catch (error) {
      fail(error.message);
    }
    listJobs();
  } else {
    fail(current.state === 'failed' ? `This did not work: ${current.error}` : 'Cancelled.');
    listJobs();
  }
}

function say(label, fraction, facts) {
  if ($('progress-label').textContent !== label) $('progress-label').textContent = label;
  if (fraction === null) $('bar').removeAttribute('value');
  else $('bar').value = fraction;
  $('progress-facts').textContent = facts;
}

function fail(text) {
  $('failure').textContent = text;
  $('failure').hidden = false;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
openIntro().then((player) => { intro = player; }).catch(() => { $('intro').hidden = true; });
begin().catch((error) => fail(`The page could not begin: ${error.message}`));
