/* The form that starts a job: shows what belongs to the chosen engine, and asks for a language only where the
   engine isn't to find it out. Without this script all of it can be read, and the server takes what fits. */

export function watchStart(form) {
  const engine = form.elements.engine;
  const language = form.elements.language_code;
  const groups = [...language.querySelectorAll("optgroup")]; // one for each engine, in the same order
  const chosen = {}; // the language, by engine

  function showEngine() {
    for (const part of form.querySelectorAll("[data-engine]")) {
      const isChosen = part.dataset.engine === engine.value;
      part.hidden = !isChosen;
      for (const field of part.querySelectorAll("input, select")) field.disabled = !isChosen; // not sent
    }
    const group = groups[engine.selectedIndex];
    if (group) {
      const wanted = chosen[engine.value] ?? language.value;
      // Options and not the group, whose name stands in the field above.
      language.replaceChildren(...[...group.children].map((option) => option.cloneNode(true)));
      language.value = wanted;
      if (language.selectedIndex < 0) language.selectedIndex = 0;
    }
    showLanguage();
  }

  /* The boxes that ask the chosen engine to find out the language. */
  function boxes() {
    return [...form.querySelectorAll("[data-identifies]:enabled")];
  }

  function showLanguage() {
    const isFoundOut = boxes().some((box) => box.checked);
    if (isFoundOut && !language.disabled) chosen[engine.value] = language.value;
    if (isFoundOut) language.value = "";
    else if (!language.value) language.value = chosen[engine.value] || language.options[0].value;
    language.disabled = isFoundOut;
  }

  engine.addEventListener("change", showEngine);
  language.addEventListener("change", () => {
    if (language.value) {
      chosen[engine.value] = language.value;
      return;
    }
    const [box] = boxes(); // “Found out by the engine” is its first box
    box.closest("details").open = true;
    box.checked = true;
    showLanguage();
    box.focus();
  });
  form.addEventListener("change", (event) => event.target.matches("[data-identifies]") && showLanguage());
  showEngine();
  form.classList.add("is-watched");
}
