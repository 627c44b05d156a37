// What all tests here share: the package under test, its clients, and what is asked.

const PACKAGE = process.env.SDK_PACKAGE ?? 'openai';
const sdk = await import(PACKAGE);
const zodHelpers = await import(`${PACKAGE}/helpers/zod`);

export const OpenAI = sdk.default;
export const { zodResponseFormat, zodFunction } = zodHelpers;
export const { ChatCompletionStream } = await import(`${PACKAGE}/lib/ChatCompletionStream`);

export const HOMES = ['tiny-chat', 'echo', 'far-tiny-chat', 'far-echo'];
export const COUNTING = '1, 2, 3, 4, 5, 6, 7, 8, 9.';
export const HELLO = [{ role: 'user', content: 'Hello!' }];
export const ENDLESS = [{ role: 'user', content: '[[delay 0.02]][[repeat 3000]]on' }];

export const isScripted = (home) => home.endsWith('echo');

export function makeClient(options = {}) {
  return new OpenAI({
    baseURL: process.env.SDK_BASE_URL,
    apiKey: process.env.SDK_API_KEY,
    maxRetries: 0,
    timeout: 60_000,
    ...options,
  });
}

/** A request that is answered by counting to nine on every home. */
export function counting(home, more = {}) {
  const content = isScripted(home) ? COUNTING : 'Count from 1 to 9.';
  const greedy = isScripted(home) ? {} : { temperature: 0 };
  return { model: home, messages: [{ role: 'user', content }], max_tokens: 60, ...greedy, ...more };
}

/** Wait until the home with one slot takes a request again; fail after five seconds. */
export async function waitForSlot(client) {
  const deadline = Date.now() + 5000;
  for (;;) {
    try {
      return await client.chat.completions.create({ model: 'narrow', messages: HELLO });
    } catch (error) {
      if (!(error instanceof OpenAI.RateLimitError) || Date.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
