// The playground: streams an answer over the public API, in the name of the session, and stops it when told.
// Whatever a model says reaches the page as text and nothing else.
"use strict";

const form = document.getElementById("playground");
const turns = document.getElementById("turns");
const say = document.getElementById("say");
const send = document.getElementById("send");
const stop = document.getElementById("stop");
const status = document.getElementById("status");
const code = document.getElementById("code");

let conversation = []; // what has been said: {role, content}
let running = null; // the AbortController of the answer under way

const headers = () => {
  const given = { "content-type": "application/json" };
  if (form.dataset.csrf) given["x-csrf-token"] = form.dataset.csrf;
  return given;
};

const request = (last) => {
  const messages = [];
  const system = form.elements.system.value.trim();
  if (system) messages.push({ role: "system", content: system });
  messages.push(...conversation);
  if (last) messages.push({ role: "user", content: last });
  const body = { model: form.elements.model.value, messages };
  for (const name of ["temperature", "top_p", "max_tokens", "seed"]) {
    const value = form.elements[name].value;
    if (value !== "" && form.elements[name].validity.valid) body[name] = Number(value);
  }
  if (form.elements.namedItem("stop-text").value) body.stop = form.elements.namedItem("stop-text").value;
  body.stream = true;
  return body;
};

const element = (name, className, text) => {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const addTurn = (role, who, text) => {
  document.getElementById("empty")?.remove();
  const turn = element("article", `turn ${role}`);
  turn.append(element("p", "who", who));
  const said = element("p", "said", text);
  turn.append(said);
  turns.append(turn);
  return { turn, said };
};

// Yields the data of each server-sent event; an event may come in any number of pieces.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

const milliseconds = (value) => (value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`);

const failure = async (response) => {
  if (response.status === 401 && form.dataset.csrf) return "The session is over: sign in again at the dashboard.";
  try {
    return (await response.json()).error.message;
  } catch {
    return `The router answered ${response.status}.`;
  }
};

const ask = async (text) => {
  const body = request(text);
  conversation.push({ role: "user", content: text });
  addTurn("user", "You", text);
  const { turn, said } = addTurn("assistant", body.model, "");
  let answer = "", thoughts = null, first = null, usage = null, finish = null;
  const began = performance.now();
  running = new AbortController();
  send.disabled = true;
  stop.disabled = false;
  status.textContent = "Waiting for the model …";
  const line = element("p", "facts-line");
  const tell = (end) => {
    const facts = [];
    if (first !== null) facts.push(`first token ${milliseconds(first)}`);
    facts.push(`${milliseconds(performance.now() - began)} in all`);
    if (usage) {
      facts.push(`${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out`);
      const writing = (performance.now() - began - (first ?? 0)) / 1000;
      if (usage.completion_tokens > 1 && writing > 0) facts.push(`${((usage.completion_tokens - 1) / writing).toFixed(0)} tokens/s`);
    }
    if (end) facts.push(end);
    line.textContent = facts.join(" · ");
    turn.append(line);
  };
  const fail = (message) => {
    turn.classList.add("failed");
    (answer ? turn : said).append(answer ? element("p", "said", message) : message);
    status.textContent = "The request has failed.";
  };
  try {
    const response = await fetch("/v1/chat/completions", {
      method: "POST",
      headers: headers(),
      credentials: "same-origin",
      body: JSON.stringify({ ...body, stream_options: { include_usage: true } }),
      signal: running.signal,
    });
    if (!response.ok) {
      fail(await failure(response));
      conversation.pop();
      return;
    }
    for await (const data of events(response)) {
      if (data === "[DONE]") break;
      const event = JSON.parse(data);
      if (event.error) {
        fail(event.error.message);
        break;
      }
      usage = event.usage ?? usage;
      const choice = event.choices?.[0];
      if (!choice) continue;
      finish = choice.finish_reason ?? finish;
      const { content, reasoning_content: thought } = choice.delta;
      if ((content || thought) && first === null) {
        first = performance.now() - began;
        status.textContent = "The model is writing …";
      }
      if (thought) {
        if (!thoughts) {
          thoughts = element("p", "thought", "");
          said.before(thoughts);
        }
        thoughts.append(thought);
      }
      if (content) {
        answer += content;
        said.append(content);
      }
    }
    if (!turn.classList.contains("failed")) status.textContent = "Done.";
    tell(finish && finish !== "stop" ? `ended by ${finish}` : "");
  } catch (error) {
    if (error.name === "AbortError") {
      status.textContent = "Stopped.";
      tell("stopped by you");
    } else {
      fail("The connection broke.");
    }
  } finally {
    if (answer) conversation.push({ role: "assistant", content: answer });
    running = null;
    send.disabled = false;
    stop.disabled = true;
    showCode();
    say.focus();
  }
};

// The request as code comes from the server, which writes all examples.
let asked = 0;
const showCode = async () => {
  const mine = ++asked;
  const body = request(say.value.trim());
  if (!body.messages.length) body.messages.push({ role: "user", content: "Hello!" });
  const response = await fetch("/playground/code", { method: "POST", headers: headers(), body: JSON.stringify(body) });
  if (!response.ok || mine !== asked) return;
  const chosen = [...code.querySelectorAll('[role="tab"]')].findIndex((tab) => tab.getAttribute("aria-selected") === "true");
  const samples = element("div", "samples");
  samples.setAttribute("aria-label", "The request as code");
  for (const one of await response.json()) {
    const figure = element("figure", "code");
    figure.dataset.tab = one.language;
    const caption = document.createElement("figcaption");
    caption.append(element("span", "language", one.language), element("span", "note", one.note));
    const pre = document.createElement("pre");
    pre.tabIndex = 0;
    pre.append(element("code", "", one.code));
    figure.append(caption, pre);
    samples.append(figure);
  }
  code.replaceChildren(samples);
  addTabs(samples);
  addCopyButtons(code);
  if (chosen > 0) code.querySelectorAll('[role="tab"]')[chosen].click();
};

let soon = 0;
form.addEventListener("input", () => {
  clearTimeout(soon);
  soon = setTimeout(showCode, 250);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = say.value.trim();
  if (!text || running || !form.reportValidity()) return;
  say.value = "";
  ask(text);
});
say.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    form.requestSubmit();
  }
});
stop.addEventListener("click", () => running?.abort());
document.getElementById("clear").addEventListener("click", () => {
  running?.abort();
  conversation = [];
  turns.replaceChildren(element("p", "muted", "Nothing has been said yet."));
  turns.firstChild.id = "empty";
  status.textContent = "";
  showCode();
});
showCode();
