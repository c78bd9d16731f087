// What a page can do beside being read: switches of language and theme, tabs, filters, zoom, and values under the pointer.
// It loads nothing, sends nothing, and makes no markup from text.
"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within) => Array.from((within || document).querySelectorAll(selector));
  // Where storage is forbidden (some browsers, for files), a choice lasts as long as the page.
  const stored = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem(key);
      localStorage.setItem(key, value);
    } catch { /* as above */ }
    return null;
  };

  // Language. Both stand in the page; attributes hold the other one in data-zh-….
  const attributes = ["aria-label", "label"];
  const language = document.getElementById("language");
  for (const name of attributes) {
    for (const element of all(`[data-zh-${name}]`)) element.setAttribute(`data-en-${name}`, element.getAttribute(name));
  }
  const speak = (code) => {
    root.dataset.lang = code;
    root.lang = code;
    language.value = code;
    for (const name of attributes) {
      for (const element of all(`[data-zh-${name}]`)) element.setAttribute(name, element.getAttribute(`data-${code}-${name}`));
    }
    for (const chart of all("svg.chart")) chart.dispatchEvent(new Event("speak"));
  };
  language.addEventListener("change", () => { stored("avouch-language", language.value); speak(language.value); });

  // Theme. "auto" follows the system.
  const theme = document.getElementById("theme");
  const paint = (choice) => {
    theme.value = choice;
    if (choice === "auto") delete root.dataset.theme; else root.dataset.theme = choice;
  };
  theme.addEventListener("change", () => { stored("avouch-theme", theme.value); paint(theme.value); });
  if (["light", "dark"].includes(stored("avouch-theme"))) paint(stored("avouch-theme"));

  // Tabs: without a script all panels stand below each other.
  for (const tabs of all(".tabs")) {
    const panels = all(":scope > .panel", tabs);
    if (panels.length < 2) continue;
    const list = document.createElement("div");
    list.className = "tablist";
    list.setAttribute("role", "tablist");
    const buttons = panels.map((panel) => {
      const button = document.createElement("button");
      const title = panel.querySelector("h3");
      button.type = "button";
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", panel.id);
      for (const part of title.childNodes) button.append(part.cloneNode(true));
      panel.setAttribute("role", "tabpanel");
      title.classList.add("paper");
      list.append(button);
      return button;
    });
    const choose = (chosen) => buttons.forEach((button, index) => {
      button.setAttribute("aria-selected", String(index === chosen));
      button.tabIndex = index === chosen ? 0 : -1;
      panels[index].hidden = index !== chosen;
    });
    buttons.forEach((button, index) => {
      button.addEventListener("click", () => choose(index));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (index + step + buttons.length) % buttons.length;
        choose(next);
        buttons[next].focus();
        event.preventDefault();
      });
    });
    tabs.prepend(list);
    choose(0);
  }

  // Values of a chart: at the pointer, and by arrow keys.
  for (const data of all("script.values")) {
    const chart = data.previousElementSibling;
    const figure = data.closest("figure");
    const out = figure && figure.querySelector("output");
    if (!chart || !out) continue;
    const values = JSON.parse(data.textContent);
    if (values.x.length === 0) continue;
    const cross = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cross.setAttribute("class", "cross");
    cross.setAttribute("y1", values.y[0]);
    cross.setAttribute("y2", values.y[1]);
    let at = -1;
    const show = (index) => {
      at = Math.max(0, Math.min(values.x.length - 1, index));
      cross.setAttribute("x1", values.x[at]);
      cross.setAttribute("x2", values.x[at]);
      if (!cross.parentNode) chart.append(cross);
      const word = root.dataset.lang === "zh" ? 1 : 0;
      const title = document.createElement("b");
      title.textContent = values.t[at];
      const parts = values.s.map((line) => {
        const part = document.createElement("span");
        part.textContent = `${line.n[word]}: ${line.v[at]}`;
        return part;
      });
      out.replaceChildren(title, ...parts);
    };
    chart.tabIndex = 0;
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      let nearest = 0;
      values.x.forEach((place, index) => { if (Math.abs(place - x) < Math.abs(values.x[nearest] - x)) nearest = index; });
      show(nearest);
    });
    chart.addEventListener("keydown", (event) => {
      const end = values.x.length - 1;
      const next = { ArrowRight: at + 1, ArrowLeft: at < 0 ? end : at - 1, Home: 0, End: end }[event.key];
      if (next === undefined) return;
      show(next);
      event.preventDefault();
    });
    chart.addEventListener("speak", () => { if (at >= 0) show(at); });
  }

  // Findings by guarantee, conversation and device; in a diagram, rows of other devices go too.
  const filters = document.getElementById("finding-filters");
  const filter = () => {
    const wanted = (name) => (filters.elements[name] ? filters.elements[name].value : "");
    const [guarantee, origin, conversation, device] = ["guarantee", "origin", "conversation", "device"].map(wanted);
    let shown = 0;
    for (const finding of all(".finding[data-guarantee]")) {
      const data = finding.dataset;
      const matches = (!guarantee || data.guarantee === guarantee)
        && (!origin || data.origin === origin)
        && (!conversation || data.conversation === conversation)
        && (!device || data.devices.split(" ").includes(device));
      finding.hidden = !matches;
      shown += matches ? 1 : 0;
      for (const row of all(".row[data-device]", finding)) row.classList.toggle("dim", Boolean(device) && row.dataset.device !== device);
    }
    document.getElementById("none-matches").hidden = shown > 0;
  };
  if (filters) {
    filters.addEventListener("change", filter);
    for (const link of all("a.evidence")) {
      link.addEventListener("click", () => {
        filters.elements.guarantee.value = link.dataset.guarantee;
        filter();
      });
    }
  }
  for (const form of all("form")) form.addEventListener("submit", (event) => event.preventDefault());

  // A link into a closed finding, or a panel that is not chosen, opens it.
  const reveal = () => {
    let target = null;
    try { target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { /* no such place */ }
    const details = target && target.closest("details");
    if (details) { details.open = true; details.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();

  // Zoom of a diagram.
  for (const button of all("button.zoom")) {
    button.addEventListener("click", () => {
      const diagram = button.closest("details").querySelector(".diagram");
      const zoom = Number(diagram.style.getPropertyValue("--zoom") || 1) * Number(button.dataset.zoom);
      diagram.style.setProperty("--zoom", String(Math.max(0.5, Math.min(4, zoom))));
    });
  }

  // Tables: what was not put to the test; runs by words and outcome.
  for (const box of all("input.hide")) {
    box.addEventListener("change", () => root.classList.toggle(`no-${box.dataset.hide}`, box.checked));
  }
  const runs = document.getElementById("run-filters");
  if (runs) {
    runs.addEventListener("input", () => {
      const words = runs.elements.words.value.toLowerCase();
      const isPicky = runs.elements.outcome.value !== "";
      let shown = 0;
      for (const row of all("table.runs tbody tr")) {
        const matches = row.textContent.toLowerCase().includes(words) && !(isPicky && row.classList.contains("is-good"));
        row.hidden = !matches;
        shown += matches ? 1 : 0;
      }
      document.getElementById("no-run-matches").hidden = shown > 0;
    });
  }

  // The command that repeats it.
  for (const button of all("button.copy")) {
    const text = button.parentNode.querySelector("code").textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
      } catch {
        getSelection().selectAllChildren(button.parentNode.querySelector("code"));
        return;
      }
      button.classList.add("done");
    });
  }

  // On paper everything is open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = all("details:not([open])");
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => { for (const details of closed) details.open = false; });

  const chosen = stored("avouch-language");
  speak(["en", "zh"].includes(chosen) ? chosen : root.dataset.lang);
})();
