// The search box as a combobox (https://www.w3.org/WAI/ARIA/apg/patterns/combobox/), focus after a page change, and
// announcements. Everything else is HTML and htmx.
(function () {
  "use strict";
  const TYPING_MS = 60;
  const box = () => document.getElementById("q");
  const list = () => document.getElementById("suggestions");
  let active = -1;
  let typing = 0;
  let isTyping = false;

  const options = () => Array.from(list().querySelectorAll("[role=option]"));

  function open(isOpen) {
    list().hidden = !isOpen;
    box().setAttribute("aria-expanded", String(isOpen));
    if (!isOpen) choose(-1);
  }

  function choose(place) {
    active = place;
    options().forEach((option, each) => option.setAttribute("aria-selected", String(each === place)));
    const option = options()[place];
    if (option) {
      box().setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    } else {
      box().removeAttribute("aria-activedescendant");
    }
  }

  function take(option) {
    box().value = option.textContent;
    open(false);
    box().form.requestSubmit();
  }

  function onKey(event) {
    const number = options().length;
    if (event.key === "Escape") {
      // The first Escape closes the list. A field of type search is cleared by the browser: by the second one.
      if (isTyping || !list().hidden) event.preventDefault();
      clearTimeout(typing);
      isTyping = false;
      open(false);
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && number) {
      event.preventDefault();
      if (list().hidden) open(true);
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose(active < 0 ? (step > 0 ? 0 : number - 1) : (active + step + number) % number);
    } else if (event.key === "Enter") {
      clearTimeout(typing);
      isTyping = false;
      if (active >= 0 && !list().hidden) {
        event.preventDefault();
        take(options()[active]);
      } else {
        open(false);
      }
    }
  }

  function onInput() {
    clearTimeout(typing);
    isTyping = true;
    typing = setTimeout(() => htmx.trigger(box(), "typed"), TYPING_MS);
  }

  function start() {
    document.body.addEventListener("htmx:configRequest", (event) => {
      // The server knows what is typed as `q`, whatever the name of the field in the form.
      if (event.detail.elt === box()) event.detail.parameters = { q: box().value };
    });
    document.body.addEventListener("htmx:afterSwap", (event) => {
      if (event.detail.target === list()) {
        active = -1;
        // Suggestions may arrive after the search was sent, or after Escape.
        open(isTyping && options().length > 0 && document.activeElement === box());
      }
    });
    document.body.addEventListener("htmx:afterSettle", (event) => {
      if (event.detail.target && event.detail.target.id === "dialog-body") {
        const dialog = document.getElementById("dialog");
        if (!dialog.open) dialog.showModal();
      }
      if (event.detail.target && event.detail.target.id === "main") {
        const heading = document.querySelector("#main h1");
        if (heading) heading.focus({ preventScroll: true });
      }
    });
    document.body.addEventListener("htmx:sseMessage", () => tell());
    document.addEventListener("click", (event) => {
      document.querySelectorAll("details.menu[open]").forEach((menu) => {
        if (!menu.contains(event.target)) menu.open = false;
      });
    });
    if (box()) {
      box().addEventListener("keydown", onKey);
      box().addEventListener("input", onInput);
      box().addEventListener("blur", () => setTimeout(() => open(false), 150));
      list().addEventListener("mousedown", (event) => {
        const option = event.target.closest("[role=option]");
        if (option) {
          event.preventDefault();
          take(option);
        }
      });
    }
    tell();
  }

  // Says that the list has changed, and shows the time also where the list is out of sight.
  function tell() {
    document.querySelectorAll("[data-from]").forEach((copy) => {
      const from = document.querySelector(copy.dataset.from);
      copy.textContent = from ? from.textContent : "";
    });
    const announcer = document.getElementById("announcer");
    const after = document.querySelector("#live .after");
    if (announcer && after) {
      const text = announcer.dataset.prefix + " " + after.textContent.trim().replace(/\s+/g, " ");
      if (announcer.textContent !== text) announcer.textContent = text;
    }
  }

  document.addEventListener("DOMContentLoaded", start);
})();
