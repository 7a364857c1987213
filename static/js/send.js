/* Sends one file. XMLHttpRequest, because fetch can't tell how much has been sent. */

export class SendError extends Error {}

/* Returns {answer, cancel}: `answer` resolves to {id, url} or rejects with a SendError, whose message is for the
   reader; after `cancel()` it does neither. `onProgress(part)` is called with 0 to 1; at 1 the server has all
   of it and looks whether there is sound in it. */
export function send(file, { address, token, onProgress }) {
  const request = new XMLHttpRequest();
  const answer = new Promise((resolve, reject) => {
    const fail = (message) => reject(new SendError(message));
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => onProgress(1));
    request.addEventListener("error", () => fail("The connection broke. Nothing was kept; try again when you are online."));
    request.addEventListener("load", () => {
      const object = parsed(request.responseText);
      if (request.status === 201 && object?.url) resolve(object);
      else fail(object?.error ?? sentence(request));
    });
  });
  const form = new FormData();
  form.append("file", file, file.name);
  request.open("POST", address);
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("X-CSRFToken", token);
  request.send(form);
  return { answer, cancel: () => request.abort() };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // a page instead of an answer: a proxy's, or the sign-in
  }
}

function sentence({ status }) {
  if (status === 507) return "The server's disk is full. Nothing was kept; try again later.";
  if (status === 413) return "The server takes no file this large.";
  if (status === 403 || status === 200) return "You were signed out. Sign in on another tab, then try again.";
  if (status >= 500) return "The server broke over this file. Try again; if it happens again, tell whoever runs this site.";
  return `The server refused the file (${status}).`;
}
