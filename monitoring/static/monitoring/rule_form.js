"use strict";
// The live preview beside the rule form, suggestions while one types, and pasting whole lists.
{
    const section = document.querySelector(".monitoring-preview");
    const form = section.closest("form");
    const panel = document.getElementById("monitoring-preview");
    const frame = document.querySelector(".monitoring-preview-mail");
    const glance = document.querySelector(".monitoring-glance");
    const PAUSE = 350;

    function later(work) {
        let timer;
        return (...args) => {
            clearTimeout(timer);
            timer = setTimeout(() => work(...args), PAUSE);
        };
    }

    // Lists as one is used to them: a line, a comma or a semicolon separates what is pasted.
    form.addEventListener("paste", (event) => {
        const container = event.target.closest("[data-django-jsonform-container]");
        const text = event.clipboardData.getData("text");
        const pasted = text.split(/[\n,;]+/).map((item) => item.trim()).filter(Boolean);
        if (!container || pasted.length < 2) {
            return;
        }
        const area = container.nextElementSibling;
        const list = window.reactJsonForm && reactJsonForm.getFormInstance(container.id);
        if (!list) {
            return;
        }
        event.preventDefault();
        const kept = JSON.parse(area.value || "[]").filter(Boolean);
        const data = [...new Set([...kept, ...pasted])];
        area.value = JSON.stringify(data);
        // What the library has drawn keeps its own list: it has to be drawn anew.
        ReactDOM.unmountComponentAtNode(container);
        const config = JSON.parse(area.dataset.djangoJsonform);
        reactJsonForm.createForm({
            ...config, data, errorMap: {}, containerId: container.id, dataInputId: area.id,
        }).render();
        refresh();
    });

    // What was added is what one wants to type into: the library leaves the focus on its button.
    form.addEventListener("click", (event) => {
        const button = event.target.closest("[data-django-jsonform-container] .rjf-add-button");
        if (!button) {
            return;
        }
        const list = button.closest("[data-django-jsonform-container]");
        const inputs = () => list.querySelectorAll("input[type=text]");
        const count = inputs().length;
        setTimeout(() => {
            if (inputs().length > count) {
                inputs()[inputs().length - 1].focus();
            }
        });
    }, true); // before the library has added it

    // The library's choice of several opens by mouse only: let the keyboard and screen readers at it.
    function reach(box) {
        if (box.dataset.reached) {
            return;
        }
        box.dataset.reached = "yes";
        box.setAttribute("role", "button");
        box.setAttribute("aria-label", `${section.dataset.choose}: ${box.textContent}`);
        box.addEventListener("keydown", (event) => {
            if (event.target === box && (event.key === "Enter" || event.key === " ")) {
                event.preventDefault();
                const at = {bubbles: true, cancelable: true};
                box.dispatchEvent(new MouseEvent("mousedown", at));
                box.dispatchEvent(new MouseEvent("click", at));
            }
        });
    }

    // The library speaks English only.
    const {add, addNew, remove, up, down, select} = section.dataset;
    const WORDS = new Map([
        ["Add item", add], ["Add new item", addNew], ["Remove", remove],
        ["Move up", up], ["Move down", down], ["Select...", select],
    ]);
    function translate(element) {
        if (WORDS.has(element.title)) {
            element.title = WORDS.get(element.title);
        }
        for (const node of element.childNodes) {
            const word = node.nodeType === Node.TEXT_NODE && WORDS.get(node.data.trim());
            if (word && word !== node.data.trim()) {
                node.data = node.data.replace(node.data.trim(), word);
            }
        }
    }

    const DRAWN = "[data-django-jsonform-container]";
    const reachAll = () => {
        form.querySelectorAll(".rjf-multiselect-field-input").forEach(reach);
        form.querySelectorAll(`${DRAWN} button, ${DRAWN} .rjf-multiselect-field-input-placeholder`)
            .forEach(translate);
    };
    new MutationObserver(reachAll).observe(form, {childList: true, subtree: true});
    reachAll();

    // Suggestions: the browser's own list, which the keyboard and screen readers know.
    function suggest(name) {
        const input = form.elements[name];
        if (!input || input.readOnly || !section.dataset.suggest) {
            return;
        }
        const list = document.createElement("datalist");
        list.id = `monitoring-${name}-options`;
        input.after(list);
        input.setAttribute("list", list.id);
        input.setAttribute("autocomplete", "off");
        let asked = null;
        const fill = async () => {
            const query = new URLSearchParams({
                field: name,
                q: input.value,
                model: form.elements.context_model ? form.elements.context_model.value : "",
                path: form.elements.context_field ? form.elements.context_field.value : "",
            }).toString();
            if (query === asked) {
                return;
            }
            asked = query;
            const answer = await fetch(`${section.dataset.suggest}?${query}`);
            if (!answer.ok || query !== asked) {
                return;
            }
            const {options} = await answer.json();
            list.replaceChildren(...options.map(([value, remark]) => {
                const option = document.createElement("option");
                option.value = value;
                option.label = remark ? `${value} (${remark})` : value;
                return option;
            }));
        };
        input.addEventListener("focus", fill);
        input.addEventListener("input", later(fill));
    }
    ["task_name", "context_model", "context_field", "context_type"].forEach(suggest);

    // Remarks below fields.
    function note(name, said) {
        const input = form.elements[name];
        if (!input) {
            return;
        }
        const id = `monitoring-note-${name}`;
        let line = document.getElementById(id);
        if (!line) {
            line = document.createElement("div");
            line.id = id;
            line.className = "help monitoring-note";
            line.setAttribute("role", "status");
            (input.closest(".form-row > div") || input.parentElement).append(line);
        }
        const parts = [said.text, said.warning].filter(Boolean).map((text) => {
            const part = document.createElement("span");
            part.textContent = text;
            part.className = text === said.warning ? "monitoring-warning" : "monitoring-aside";
            return part;
        });
        if (said.suggestion) {
            const button = document.createElement("button");
            button.type = "button";
            button.className = "button monitoring-suggestion";
            button.textContent = said.suggestion_text;
            button.addEventListener("click", () => {
                input.value = said.suggestion;
                refresh();
                input.focus();
            });
            parts.push(button);
        }
        line.replaceChildren(...parts);
    }

    // The mail is fetched by a form of its own into the frame, so that it comes with its own
    // content security policy and nothing of it can reach this page.
    function showMail(data) {
        const poster = document.createElement("form");
        poster.method = "post";
        poster.action = section.dataset.mail;
        poster.target = frame.name;
        poster.hidden = true;
        for (const [name, value] of data) {
            const input = document.createElement("textarea");
            input.name = name;
            input.value = value;
            poster.append(input);
        }
        document.body.append(poster);
        poster.submit();
        poster.remove();
    }

    let shown = null;
    async function show() {
        const data = new FormData(form);
        const state = new URLSearchParams(data).toString();
        if (state === shown) {
            return;
        }
        shown = state;
        if (!data.get("task_name")) {
            return;
        }
        let answer;
        try {
            answer = await fetch(section.dataset.preview, {method: "POST", body: data});
        } catch {
            shown = null;  // offline for a moment: the next key tries again
            return;
        }
        if (!answer.ok || state !== shown) {
            return;
        }
        const found = await answer.json();
        panel.innerHTML = found.panel;
        const verdict = panel.querySelector(".monitoring-facts dd");
        glance.hidden = !verdict;
        if (verdict) {
            glance.querySelector("span").replaceChildren(...verdict.cloneNode(true).childNodes);
        }
        for (const name of ["task_name", "lookback_hours"]) {
            note(name, found.notes[name] || {});
        }
        frame.hidden = !document.getElementById("monitoring-preview-state").dataset.mail;
        if (!frame.hidden) {
            showMail(data);
        }
    }
    const refresh = later(show);
    for (const kind of ["input", "change", "click", "keyup"]) {
        form.addEventListener(kind, refresh);
    }
    refresh();
}
