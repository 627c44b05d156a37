// Errors: their classes, codes and fields.

import assert from 'node:assert/strict';
import test from 'node:test';

import { HELLO, makeClient, OpenAI } from './setting.mjs';

const client = makeClient();
const said = (content) => ({ messages: [{ role: 'user', content }] });

const CASES = [
  [{ messages: HELLO, temprature: 1 }, 'BadRequestError', 400, 'unknown_parameter', 'temprature'],
  [{ messages: HELLO, max_tokens: 'ten' }, 'BadRequestError', 400, 'invalid_type', 'max_tokens'],
  [{ messages: HELLO, temperature: 0.5 }, 'BadRequestError', 400, 'unsupported_parameter', 'temperature'],
  [said('w '.repeat(5000)), 'BadRequestError', 400, 'context_length_exceeded', 'messages'],
  [{ messages: HELLO, model: 'nobody' }, 'NotFoundError', 404, 'model_not_found', 'model'],
  [{ messages: HELLO, temperature: 3 }, 'UnprocessableEntityError', 422, 'invalid_value', 'temperature'],
  [said('[[error Overloaded]]'), 'RateLimitError', 429, 'queue_full', null],
  [said('[[error ModelUnavailable]]'), 'InternalServerError', 503, 'model_unavailable', null],
];

for (const model of ['echo', 'far-echo']) {
  for (const stream of [false, true]) {
    for (const [fields, name, status, code, param] of CASES) {
      test(`${model}: ${status} ${code}, ${stream ? 'streamed' : 'whole'}`, async () => {
        await assert.rejects(client.chat.completions.create({ model, ...fields, stream }), (error) => {
          assert.equal(error.constructor.name, name);
          assert.deepEqual([error.status, error.code, error.param], [status, code, param]);
          assert.ok(error.type);
          assert.ok(error.requestID);
          return true;
        });
      });
    }
  }

  test(`${model}: a stream that breaks throws after the text before it`, async () => {
    const stream = await client.chat.completions.create({
      model,
      ...said('a b c [[error OutOfMemory after 2]]'),
      stream: true,
    });
    let text = '';
    const read = async () => {
      for await (const chunk of stream) text += chunk.choices[0].delta.content ?? '';
    };
    await assert.rejects(read, (error) => {
      assert.ok(error instanceof OpenAI.APIError);
      assert.equal(error.code, 'model_unavailable');
      return true;
    });
    assert.equal(text, 'a b');
  });
}

test('keys are refused', async () => {
  const asked = { model: 'tiny-chat', messages: HELLO };
  await assert.rejects(makeClient({ apiKey: 'hoo_wrong' }).chat.completions.create(asked), (error) => {
    assert.ok(error instanceof OpenAI.AuthenticationError);
    assert.equal(error.code, 'invalid_api_key');
    return true;
  });
  const guest = makeClient({ apiKey: process.env.SDK_API_KEY_FOR_ECHO });
  await assert.rejects(guest.chat.completions.create(asked), (error) => {
    assert.ok(error instanceof OpenAI.PermissionDeniedError);
    assert.equal(error.code, 'model_not_allowed');
    return true;
  });
  assert.ok(await guest.chat.completions.create({ model: 'echo', messages: HELLO }));
});
