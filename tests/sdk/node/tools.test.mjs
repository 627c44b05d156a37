// Functions: by hand, through the stream helper, with Zod, and with the runner that calls them by itself.

import assert from 'node:assert/strict';
import test from 'node:test';

import { z } from 'zod';

import { HOMES, isScripted, makeClient, zodFunction } from './setting.mjs';

const client = makeClient();
const Weather = z.object({ city: z.enum(['Paris', 'Rome']), metric: z.boolean() });
const tool = zodFunction({ name: 'get_weather', parameters: Weather });
const SCRIPT = '[[tool get_weather {"city": "Rome", "metric": false}]]';
const named = { type: 'function', function: { name: 'get_weather' } };

const asked = (home, more = {}) => ({
  model: home,
  messages: [{ role: 'user', content: isScripted(home) ? SCRIPT : 'How is the weather?' }],
  tools: [tool],
  max_tokens: 100,
  ...more,
});

for (const home of HOMES) {
  for (const choice of ['required', named]) {
    const name = typeof choice === 'string' ? choice : 'named';

    test(`${home}: a round trip, ${name}`, async () => {
      const request = asked(home, { tool_choice: choice, parallel_tool_calls: false });
      const first = await client.chat.completions.create(request);
      const { message, finish_reason } = first.choices[0];
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(message.content, null);
      assert.equal(message.tool_calls.length, 1);
      const [call] = message.tool_calls;
      assert.equal(call.type, 'function');
      Weather.parse(JSON.parse(call.function.arguments));
      const second = await client.chat.completions.create({
        ...request,
        tool_choice: 'none',
        messages: [...request.messages, message, { role: 'tool', tool_call_id: call.id, content: 'sunny' }],
      });
      assert.ok(second.choices[0].message.content);
      if (isScripted(home)) assert.equal(second.choices[0].message.content, 'sunny');
    });
  }

  test(`${home}: arguments parsed with Zod, whole and streamed`, async () => {
    const request = asked(home, { tool_choice: 'required', parallel_tool_calls: false });
    const whole = await client.chat.completions.parse(request);
    Weather.parse(whole.choices[0].message.tool_calls[0].function.parsed_arguments);
    let pieces = '';
    const stream = client.chat.completions
      .stream(request)
      .on('tool_calls.function.arguments.delta', (event) => (pieces += event.arguments_delta));
    const final = await stream.finalChatCompletion();
    const [call] = final.choices[0].message.tool_calls;
    Weather.parse(call.function.parsed_arguments);
    assert.equal(pieces, call.function.arguments);
  });
}

for (const home of ['echo', 'far-echo']) {
  test(`${home}: the runner calls the function and goes on with its result`, async () => {
    const heard = [];
    const function_ = (weather) => {
      heard.push(weather);
      return 'It is sunny.';
    };
    const runnable = zodFunction({ name: 'get_weather', parameters: Weather, function: function_ });
    for (const stream of [false, true]) {
      const runner = client.chat.completions.runTools(asked(home, { tools: [runnable], stream }));
      assert.equal(await runner.finalContent(), 'It is sunny.');
    }
    assert.deepEqual(heard, Array(2).fill({ city: 'Rome', metric: false }));
  });
}
