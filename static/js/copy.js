/* Copy text to the clipboard. Returns whether that worked. */

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The browser refused, or lacks the clipboard API, which exists only on https and on localhost.
    return copyFromField(text);
  }
}

/* The way of browsers without the API: select the text in a field and run the deprecated copy command. */
function copyFromField(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  return isCopied;
}
