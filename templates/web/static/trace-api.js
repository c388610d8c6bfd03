// The tracing API: requests that are made once, also where the connection breaks, and their problems as errors.

export class Problem extends Error {
  constructor(status, body) {
    super([body.title, body.detail].filter(Boolean).join(": ") || `the server answered ${status}`);
    this.status = status;
    this.body = body;
  }
}

async function ask(method, path, body) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, said);
  return said;
}

export const get = (path) => ask("GET", path);
export const post = (path, body) => ask("POST", path, body);

function name() {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((n) => n.toString(16).padStart(2, "0")).join("");
}

// An action has a name, so that it is not done twice when the answer to it got lost and it is sent again.
export async function act(session, action) {
  const body = { ...action, action_id: name() };
  const path = `/api/v1/tracing/sessions/${encodeURIComponent(session)}/actions`;
  try {
    return await post(path, body);
  } catch (error) {
    if (error instanceof Problem && error.status !== 503) throw error;
    await new Promise((done) => setTimeout(done, 700));
    return post(path, body);
  }
}
