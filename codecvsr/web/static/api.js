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
  const query = { ...values };
  const path = operations.get(operation).path.replace(/\{(\w+)\}/g, (_, name) => {
    const value = query[name];
    delete query[name];
    return encodeURIComponent(value);
  });
  const text = new URLSearchParams(query).toString();
  return text ? `${path}?${text}` : path;
}

async function failure(response) {
  let text = `the server answered ${response.status}.`;
  try {
    text = (await response.json()).error ?? text;
  } catch {
    // a proxy answered, without JSON
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

/** Upload a file; calls `onProgress` with the share that is sent. */
export function upload(file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('POST', address('upload', { name: file.name }));
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.responseType = 'json';
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () => {
      if (request.status === 201) resolve(request.response);
      else reject(new ApiError(request.status, request.response?.error ?? `the server answered ${request.status}.`));
    };
    request.onerror = () => reject(new ApiError(0, 'the upload broke off; is the file too large, or the server gone?'));
    request.send(file);
  });
}

/** Call `onJob(job)` whenever a job changes until it has ended, or `onJob(null)` when it is deleted. Returns a function that stops. */
export function listen(id, onJob) {
  let source = null;
  let timer = 0;
  let over = false;
  const stop = () => {
    over = true;
    source?.close();
    clearTimeout(timer);
  };
  const emit = (job) => {
    if (over) return;
    if (!job || !['queued', 'running'].includes(job.state)) stop();
    onJob(job);
  };
  const poll = async () => { // if the server has no free event stream
    try {
      emit(await call('job', { id }));
    } catch (error) {
      if (error.status === 404) emit(null);
    }
    if (!over) timer = setTimeout(poll, 1500);
  };
  source = new EventSource(address('events', { id }));
  source.addEventListener('job', (event) => emit(JSON.parse(event.data)));
  source.addEventListener('gone', () => emit(null));
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED && !over) poll();
  };
  return stop;
}
