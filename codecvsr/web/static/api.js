// The HTTP API by the names of its operations; addresses and methods come from the OpenAPI document.

export class ApiError extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const operations = new Map();

export async function open() {
  const document = await (await fetch('/api/openapi.json')).json();
  for (const [path, item] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      if (operation.operationId) operations.set(operation.operationId, { path, method: method.toUpperCase() });
    }
  }
}

export function address(operation, values = {}) {
  const rest = { ...values };
  const path = operations.get(operation).path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = rest[name];
    delete rest[name];
    return encodeURIComponent(value);
  });
  const query = new URLSearchParams(rest).toString();
  return query ? `${path}?${query}` : path;
}

async function failure(response) {
  let text = `the server answered ${response.status}.`;
  try {
    text = (await response.json()).error ?? text;
  } catch {
    // an answer of something in between, without a sentence of ours
  }
  return new ApiError(response.status, text);
}

export async function call(operation, values, body) {
  const request = { method: operations.get(operation).method };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { 'Content-Type': 'application/json' };
  }
  const response = await fetch(address(operation, values), request);
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

/** Send a file as it is; `progress` hears of the part that is sent. */
export function upload(file, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', address('upload', { name: file.name }));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.responseType = 'json';
    request.upload.onprogress = (event) => progress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new ApiError(request.status, request.response?.error ?? `the server answered ${request.status}.`));
    };
    request.onerror = () => reject(new ApiError(0, 'the upload broke off; is the file too large, or the server gone?'));
    request.send(file);
  });
}

/** Hear of a job until it has ended: `heard(job)`, or `heard(null)` when it is gone. Returns how to stop listening. */
export function listen(id, heard) {
  let source = null;
  let timer = 0;
  let over = false;
  const stop = () => {
    over = true;
    source?.close();
    clearTimeout(timer);
  };
  const hear = (job) => {
    if (over) return;
    if (!job || !['queued', 'running'].includes(job.state)) stop();
    heard(job);
  };
  const poll = async () => { // where no more event streams are to be had
    try {
      hear(await call('job', { id }));
    } catch (error) {
      if (error.status === 404) hear(null);
    }
    if (!over) timer = setTimeout(poll, 1500);
  };
  source = new EventSource(address('events', { id }));
  source.addEventListener('job', (event) => hear(JSON.parse(event.data)));
  source.addEventListener('gone', () => hear(null));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !over) poll();
  };
  return stop;
}
