// Models, legacy completions, embeddings.

import assert from 'node:assert/strict';
import test from 'node:test';

import { HOMES, isScripted, makeClient, OpenAI } from './setting.mjs';

const client = makeClient();

test('models are listed and retrieved', async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  for (const home of HOMES) assert.ok(listed.includes(home));
  const model = await client.models.retrieve('tiny-chat');
  assert.deepEqual([model.id, model.object, model.owned_by], ['tiny-chat', 'model', 'Hoonify']);
  await assert.rejects(client.models.retrieve('nobody'), OpenAI.NotFoundError);
});

for (const home of HOMES) {
  test(`${home}: a completion, whole and streamed`, async () => {
    const request = { model: home, prompt: '1, 2, 3, 4,', max_tokens: 4, ...(isScripted(home) ? {} : { temperature: 0 }) };
    const whole = await client.completions.create(request);
    assert.equal(whole.object, 'text_completion');
    let text = '';
    for await (const chunk of await client.completions.create({ ...request, stream: true })) text += chunk.choices[0].text;
    assert.equal(text, whole.choices[0].text);
    assert.ok(whole.usage.completion_tokens > 0);
  });
}

for (const home of ['echo', 'far-echo']) {
  test(`${home}: embeddings in every encoding`, async () => {
    const asked = { model: home, input: ['one two', 'three'] };
    const usual = await client.embeddings.create(asked);
    const numbers = await client.embeddings.create({ ...asked, encoding_format: 'float' });
    const coded = await client.embeddings.create({ ...asked, encoding_format: 'base64' });
    const vector = numbers.data[0].embedding;
    assert.equal(vector.length, 64);
    const bytes = Buffer.from(coded.data[0].embedding, 'base64');
    vector.forEach((number, place) => {
      assert.ok(Math.abs(usual.data[0].embedding[place] - number) < 1e-6);
      assert.ok(Math.abs(bytes.readFloatLE(4 * place) - number) < 1e-6);
    });
    assert.deepEqual(usual.data.map((item) => item.index), [0, 1]);
    assert.equal(usual.usage.total_tokens, 3);
    const short = await client.embeddings.create({ ...asked, dimensions: 5 });
    assert.equal(short.data[0].embedding.length, 5);
  });
}
