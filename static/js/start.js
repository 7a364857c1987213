/* The form that starts a job. Shows the fields of the chosen engine, and disables the language while the engine detects
   it. Without this script the form shows all fields, and the server ignores those of other engines. */

export function watchStart(form) {
  const engine = form.elements.engine;
  const language = form.elements.language_code;
  const groups = [...language.querySelectorAll("optgroup")]; // one optgroup for each engine, in the order of the engines
  const chosen = {}; // engine → the language that the reader chose for it

  function showEngine() {
    for (const part of form.querySelectorAll("[data-engine]")) {
      const isChosen = part.dataset.engine === engine.value;
      part.hidden = !isChosen;
      for (const field of part.querySelectorAll("input, select")) field.disabled = !isChosen; // browsers don't submit disabled fields
    }
    const group = groups[engine.selectedIndex];
    if (group) {
      const wanted = chosen[engine.value] ?? language.value;
      // The options without their group, whose label would repeat the engine's name.
      language.replaceChildren(...[...group.children].map((option) => option.cloneNode(true)));
      language.value = wanted;
      if (language.selectedIndex < 0) language.selectedIndex = 0;
    }
    showLanguage();
  }

  /* Return the chosen engine's checkboxes that detect the language. */
  function detectors() {
    return [...form.querySelectorAll("[data-identifies]:enabled")];
  }

  function showLanguage() {
    const isDetected = detectors().some((box) => box.checked);
    if (isDetected && !language.disabled) chosen[engine.value] = language.value;
    if (isDetected) language.value = "";
    else if (!language.value) language.value = chosen[engine.value] || language.options[0].value;
    language.disabled = isDetected;
  }

  engine.addEventListener("change", showEngine);
  language.addEventListener("change", () => {
    if (language.value) {
      chosen[engine.value] = language.value;
      return;
    }
    const [box] = detectors(); // “Detected by …” in the list is the same as the engine's first checkbox
    box.closest("details").open = true;
    box.checked = true;
    showLanguage();
    box.focus();
  });
  form.addEventListener("change", (event) => event.target.matches("[data-identifies]") && showLanguage());
  showEngine();
  form.classList.add("is-watched");
}
