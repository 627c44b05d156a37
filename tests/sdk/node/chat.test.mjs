// Chats: whole, streamed, through the stream helper, parsed with Zod.

import assert from 'node:assert/strict';
import test from 'node:test';

import { z } from 'zod';

import { ChatCompletionStream, COUNTING, HOMES, counting, isScripted, makeClient, OpenAI, zodResponseFormat } from './setting.mjs';

const client = makeClient();

const Forecast = z.object({
  city: z.enum(['Paris', 'Rome']),
  metric: z.boolean(),
  days: z.array(z.object({ sky: z.enum(['sunny', 'rainy']), degrees: z.int().min(-20).max(45) })).min(1).max(2),
});

for (const home of HOMES) {
  test(`${home}: an answer`, async () => {
    const answer = await client.chat.completions.create(counting(home));
    assert.equal(answer.choices[0].message.content, COUNTING);
    assert.equal(answer.choices[0].message.refusal, null);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.model, home);
    assert.ok(answer.usage.completion_tokens > 5);
    assert.ok(answer._request_id);
  });

  test(`${home}: a stream`, async () => {
    const stream = await client.chat.completions.create(
      counting(home, { stream: true, stream_options: { include_usage: true } }),
    );
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const last = chunks.pop();
    assert.equal(chunks[0].choices[0].delta.role, 'assistant');
    assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join(''), COUNTING);
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
    assert.ok(chunks.every((chunk) => chunk.usage === null));
    assert.deepEqual(last.choices, []);
    assert.ok(last.usage.total_tokens > 0);
  });

  test(`${home}: several answers in one stream`, async () => {
    const texts = ['', '', ''];
    for await (const chunk of await client.chat.completions.create(counting(home, { n: 3, stream: true }))) {
      for (const choice of chunk.choices) texts[choice.index] += choice.delta.content ?? '';
    }
    assert.deepEqual(texts, [COUNTING, COUNTING, COUNTING]);
  });

  test(`${home}: the stream helper`, async () => {
    const events = { content: '', chunks: 0, ended: false };
    const stream = client.chat.completions
      .stream(counting(home, { logprobs: true, top_logprobs: 2 }))
      .on('content', (delta) => (events.content += delta))
      .on('chunk', () => (events.chunks += 1))
      .on('end', () => (events.ended = true));
    const final = await stream.finalChatCompletion();
    await stream.done();
    assert.equal(await stream.finalContent(), COUNTING);
    assert.equal(final.choices[0].message.content, COUNTING);
    assert.equal(final.choices[0].finish_reason, 'stop');
    assert.equal(final.choices[0].logprobs.content.map((token) => token.token).join(''), COUNTING);
    assert.equal(events.content, COUNTING);
    assert.ok(events.ended && events.chunks > 1);
  });

  test(`${home}: a stream handed on as a ReadableStream`, async () => {
    const stream = await client.chat.completions.create(counting(home, { stream: true }));
    const received = ChatCompletionStream.fromReadableStream(stream.toReadableStream());
    assert.equal(await received.finalContent(), COUNTING);
  });

  test(`${home}: the raw response`, async () => {
    const { data, response, request_id } = await client.chat.completions.create(counting(home)).withResponse();
    assert.equal(response.headers.get('content-type'), 'application/json');
    assert.equal(request_id, response.headers.get('x-request-id'));
    assert.equal(data.choices.length, 1);
  });

  test(`${home}: an answer parsed with Zod`, async () => {
    const request = counting(home, { max_tokens: 200, response_format: zodResponseFormat(Forecast, 'forecast') });
    if (isScripted(home)) {
      await assert.rejects(client.chat.completions.parse(request), (error) => {
        assert.ok(error instanceof OpenAI.BadRequestError);
        assert.equal(error.code, 'unsupported_parameter');
        assert.equal(error.param, 'response_format');
        return true;
      });
      return;
    }
    const whole = await client.chat.completions.parse(request);
    const forecast = whole.choices[0].message.parsed;
    assert.deepEqual(Forecast.parse(forecast), forecast);
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    assert.deepEqual(streamed.choices[0].message.parsed, forecast);
  });
}

test('comments between events are not noticed', async () => {
  const request = { model: 'echo', messages: [{ role: 'user', content: '[[first 2.5]]here I am' }], stream: true };
  let text = '';
  for await (const chunk of await client.chat.completions.create(request)) text += chunk.choices[0].delta.content ?? '';
  assert.equal(text, 'here I am');
});
