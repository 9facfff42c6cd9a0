// Makes the console smoother. Without it every link leads to a page and every form is sent as forms are.
"use strict";

// Pages that are marked as a dialog are shown over the one that asked for them.
const dialog = document.createElement("dialog");
document.body.append(dialog);

function show(page, address) {
  const body = page.querySelector("[data-dialog-body]");
  if (!body) return false;
  dialog.replaceChildren(document.adoptNode(body));
  dialog.setAttribute("aria-labelledby", "sheet-title");
  dialog.dataset.address = address;
  offerCopies(dialog);
  if (!dialog.open) dialog.showModal();
  const invalid = dialog.querySelector("[aria-invalid=true], .error.summary");
  const first = invalid || dialog.querySelector("input:not([type=hidden]), textarea, select, button");
  if (first && first.matches(".error")) first.tabIndex = -1;
  if (first) first.focus();
  return true;
}

async function load(address, options) {
  const answer = await fetch(address, options);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return { answer, page };
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a");
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  if (link.hasAttribute("data-close") && dialog.contains(link)) {
    event.preventDefault();
    dialog.close();
  } else if (link.hasAttribute("data-dialog")) {
    event.preventDefault();
    try {
      const { answer, page } = await load(link.href, { credentials: "same-origin" });
      if (answer.redirected || !show(page, link.href)) location.assign(link.href);
    } catch {
      location.assign(link.href);
    }
  }
});

// What a dialog has done shows on the page below once it is left, however that is done.
dialog.addEventListener("close", () => {
  const done = dialog.querySelector("[data-done]");
  if (done) location.assign(done.href);
});

// Copying needs a script, so the button for it is only there with one.
function offerCopies(root) {
  for (const button of root.querySelectorAll("[data-copy]")) button.hidden = false;
}
offerCopies(document);

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(field.value);
    button.textContent = "Copied";
  } catch {
    field.select();
    button.textContent = "Press Ctrl+C";
  }
});

// A form in a dialog is sent without leaving the page; where it was wrong it comes back with the mistakes.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  const pressed = event.submitter;
  if (form.getAttribute("aria-busy") === "true") {
    event.preventDefault();
    return;
  }
  form.setAttribute("aria-busy", "true");
  if (!dialog.contains(form)) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form, pressed));
  try {
    const { answer, page } = await load(form.action, {
      method: "POST",
      body: fields,
      credentials: "same-origin",
    });
    if (answer.redirected) leave(answer.url);
    else if (!show(page, form.action)) showWhole(page);
  } catch {
    form.removeAttribute("aria-busy");
    say(form, "The console could not be reached. Nothing is lost: try again.");
  }
});

function leave(address) {
  const next = new URL(address);
  const isSame = next.pathname === location.pathname && next.search === location.search;
  dialog.close();
  if (isSame) location.reload();
  else location.assign(address);
}

// What is no dialog, such as the end of a session, takes the place of this page.
function showWhole(page) {
  dialog.close();
  document.querySelector("main").replaceChildren(...page.querySelector("main").childNodes);
}

function say(form, text) {
  let place = form.querySelector(".error.summary");
  if (!place) {
    place = document.createElement("div");
    place.className = "error summary";
    place.setAttribute("role", "alert");
    form.prepend(place);
  }
  place.textContent = text;
}

// A page that comes back from the browser's memory is ready to be used again.
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("[aria-busy]")) form.removeAttribute("aria-busy");
});
