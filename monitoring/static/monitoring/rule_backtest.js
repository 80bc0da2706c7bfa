"use strict";
// What the rule in the form would have done, and a suggestion that fills its fields.
{
    const section = document.querySelector(".monitoring-backtest");
    const form = section.closest("form");
    const panel = document.getElementById("monitoring-backtest");
    const empty = panel.innerHTML;
    // A backtest costs more than a look at the rule: it waits until one has stopped typing.
    const PAUSE = 700;
    const IRRELEVANT = new Set(["name", "description", "enabled", "csrfmiddlewaretoken"]);

    const relevant = (data) => new URLSearchParams(
        [...data].filter(([name]) => !IRRELEVANT.has(name) && !name.startsWith("snoozed_until"))
    ).toString();

    let shown = null;
    let running = null;
    async function show() {
        const data = new FormData(form);
        const state = relevant(data);
        if (state === shown || !data.get("task_name")) {
            return;
        }
        shown = state;
        if (running) {
            running.abort();
        }
        running = new AbortController();
        panel.setAttribute("aria-busy", "true");
        let answer;
        try {
            const {signal} = running;
            answer = await fetch(section.dataset.backtest, {method: "POST", body: data, signal});
        } catch {
            if (state === shown) {
                shown = null;  // offline for a moment: the next key tries again
            }
            return;
        }
        if (!answer.ok || state !== shown) {
            return;
        }
        const found = await answer.json();
        const wasOpen = [...panel.querySelectorAll("details")].map((one) => one.open);
        panel.innerHTML = found.panel || empty;
        panel.querySelectorAll("details").forEach((one, number) => {
            one.open = Boolean(wasOpen[number]);
        });
        panel.removeAttribute("aria-busy");
        // The history knows better than the last few gaps, on which the note at the field rests.
        form.toggleAttribute("data-suggests", found.suggests);
    }

    let timer;
    const refresh = () => {
        clearTimeout(timer);
        timer = setTimeout(show, PAUSE);
    };
    for (const kind of ["input", "change", "click", "keyup"]) {
        form.addEventListener(kind, refresh);
    }
    refresh();

    panel.addEventListener("click", (event) => {
        const button = event.target.closest(".monitoring-suggestion");
        if (!button) {
            return;
        }
        const {dataset} = button;
        for (const name of Object.keys(dataset)) {
            const input = form.elements[name];
            input.value = dataset[name];
            input.dispatchEvent(new Event("input", {bubbles: true}));
        }
        form.elements[Object.keys(dataset)[0]].focus();
    });
}
