// What every page gains where scripts run: copy buttons, tabs for code, filtering without a round trip.
"use strict";

const copyButton = (text) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "small copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select and copy it";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
};

const addCopyButtons = (root) => {
  for (const figure of root.querySelectorAll("figure.code")) {
    const caption = figure.querySelector("figcaption");
    if (caption && !caption.querySelector("button")) {
      const code = figure.querySelector("code");
      const button = copyButton(() => code.textContent);
      button.setAttribute("aria-label", `Copy the ${caption.querySelector(".language").textContent} code`);
      caption.append(button);
    }
  }
  for (const secret of root.querySelectorAll("[data-copy]")) {
    if (!secret.querySelector("button")) secret.append(copyButton(() => secret.querySelector("code").textContent));
  }
};

const addTabs = (box) => {
  const panels = [...box.querySelectorAll("[data-tab]")];
  const bar = document.createElement("div");
  bar.className = "tabs";
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", box.getAttribute("aria-label"));
  box.removeAttribute("aria-label");
  const tabs = panels.map((panel, at) => {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = panel.dataset.tab;
    tab.setAttribute("role", "tab");
    panel.id ||= `tab-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
    tab.setAttribute("aria-controls", panel.id);
    tab.addEventListener("click", () => choose(at));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose((at + step + panels.length) % panels.length, true);
    });
    bar.append(tab);
    return tab;
  });
  const choose = (chosen, focus) => {
    panels.forEach((panel, at) => {
      panel.hidden = at !== chosen;
      tabs[at].setAttribute("aria-selected", String(at === chosen));
      tabs[at].tabIndex = at === chosen ? 0 : -1;
    });
    if (focus) tabs[chosen].focus();
  };
  panels.forEach((panel, at) => {
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", panels[at].dataset.tab);
  });
  box.prepend(bar);
  choose(0);
};

const addFilter = (form) => {
  const rows = [...document.querySelectorAll(`${form.dataset.filter} tbody tr`)];
  const count = document.querySelector("[data-count]");
  const nothing = document.querySelector("[data-nothing]");
  const search = form.querySelector("[name=q]");
  const provider = form.querySelector("[name=provider]");
  // A page that came already filtered lacks rows: only a whole one can be filtered here.
  const whole = !search.value && !provider.value;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => row.dataset.text.includes(word)) &&
        (!provider.value || row.dataset.provider === provider.value);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} models`;
    nothing.hidden = shown > 0;
  };
  if (whole) {
    search.addEventListener("input", filter);
    provider.addEventListener("change", filter);
    if (search.value || provider.value) filter();
  }
  form.querySelector("[name=sort]").addEventListener("change", () => form.requestSubmit());
};

document.querySelectorAll("[data-tabs]").forEach(addTabs);
addCopyButtons(document);
document.querySelectorAll("[data-filter]").forEach(addFilter);

// Times of the server are shown in the reader's own zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  if (!Number.isNaN(moment.valueOf()) && time.dateTime.includes("T")) {
    time.title = time.dateTime;
    time.textContent = moment.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}
