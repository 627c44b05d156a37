// Keeps the console as it is now: the server sends the parts that have changed, made by the same templates as the page.
"use strict";

const connection = document.getElementById("connection");
const source = new EventSource(document.getElementById("console").dataset.events);

source.onmessage = (event) => {
  connection.textContent = "";
  for (const [name, html] of Object.entries(JSON.parse(event.data))) {
    const place = document.getElementById(`live-${name}`);
    const focused = place.contains(document.activeElement) ? document.activeElement.id : "";
    // Scripts in what is parsed here never run; the server has escaped every name and reason in it.
    const parsed = new DOMParser().parseFromString(html, "text/html");
    const scrolled = place.querySelector(".scroll")?.scrollLeft ?? 0;
    place.replaceChildren(...parsed.body.childNodes);
    if (scrolled) place.querySelector(".scroll")?.scrollTo({ left: scrolled });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  }
};
source.addEventListener("over", () => {
  source.close();
  location.assign("/dashboard/sign-in");
});
source.onerror = () => { connection.textContent = "The connection is lost; trying again."; };
