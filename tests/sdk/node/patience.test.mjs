// Leaving, waiting and trying again.

import assert from 'node:assert/strict';
import test from 'node:test';

import { ENDLESS, HELLO, makeClient, OpenAI, waitForSlot } from './setting.mjs';

const client = makeClient();
const endless = { model: 'narrow', messages: ENDLESS, stream: true };

/** A client that takes down the status of every answer it gets. */
function watched(options, onResponse = () => {}) {
  const seen = [];
  const noted = async (...request) => {
    const response = await fetch(...request);
    seen.push(response.status);
    onResponse(response);
    return response;
  };
  return { seen, client: makeClient({ ...options, fetch: noted }) };
}

test('breaking out of a stream frees the slot', async () => {
  for await (const _ of await client.chat.completions.create(endless)) break;
  await waitForSlot(client);
});

test('aborting a stream frees the slot', async () => {
  const stream = await client.chat.completions.create(endless);
  for await (const _ of stream) stream.controller.abort();
  await waitForSlot(client);
});

test('aborting the stream helper frees the slot', async () => {
  const stream = client.chat.completions.stream(endless);
  stream.once('chunk', () => stream.abort());
  await assert.rejects(stream.done(), OpenAI.APIUserAbortError);
  await waitForSlot(client);
});

for (const stream of [false, true]) {
  const hanging = { model: 'narrow', messages: [{ role: 'user', content: '[[hang]]' }], stream };
  const form = stream ? 'streamed' : 'whole';

  test(`a signal before the first token frees the slot, ${form}`, async () => {
    const signal = AbortSignal.timeout(300);
    await assert.rejects(client.chat.completions.create(hanging, { signal }), OpenAI.APIUserAbortError);
    await waitForSlot(client);
  });

  test(`a timeout frees the slot, ${form}`, async () => {
    const asked = client.chat.completions.create(hanging, { timeout: 300 });
    await assert.rejects(asked, OpenAI.APIConnectionTimeoutError);
    await waitForSlot(client);
  });
}

test('a full queue is tried again when Retry-After says', async () => {
  const blocker = await client.chat.completions.create(endless);
  const reading = (async () => {
    for await (const _ of blocker);
  })();
  const { seen, client: patient } = watched({ maxRetries: 2 }, (response) => {
    if (response.status === 429) blocker.controller.abort();
  });
  const started = Date.now();
  assert.ok(await patient.chat.completions.create({ model: 'narrow', messages: HELLO }));
  await reading;
  assert.deepEqual(seen, [429, 200]);
  assert.ok(Date.now() - started >= 990);
});

test('what is of no use is not tried again', async () => {
  for (const [asked, status] of [
    [{ model: 'gone', messages: HELLO }, 503],
    [{ model: 'echo', messages: HELLO, temperature: 3 }, 422],
  ]) {
    const { seen, client: patient } = watched({ maxRetries: 2 });
    await assert.rejects(patient.chat.completions.create(asked), (error) => error.status === status);
    assert.deepEqual(seen, [status]);
  }
});
