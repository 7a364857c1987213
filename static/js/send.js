/* Uploads one file. Uses XMLHttpRequest because fetch reports no upload progress. */

// 401: no session; 403: the form's token belongs to an earlier session; 200: a followed redirect to the sign-in page.
const SIGNED_OUT = new Set([401, 403, 200]);

export class SendError extends Error {
  /* `isSignedOut`: the upload can be repeated after a sign-in. */
  constructor(message, { isSignedOut = false } = {}) {
    super(message);
    this.isSignedOut = isSignedOut;
  }
}

/* Return {answer, cancel}. `answer` resolves to {id, url} or rejects with a SendError, whose message is for the
   reader; after `cancel()` it never settles. `onProgress(fraction)` gets 0 to 1. At 1 the server has received the
   whole file and checks its audio. */
export function send(file, { address, token, onProgress }) {
  const request = new XMLHttpRequest();
  const answer = new Promise((resolve, reject) => {
    const fail = (message, options) => reject(new SendError(message, options));
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => onProgress(1));
    request.addEventListener("error", () => fail("The connection was lost. Try again when you're online."));
    request.addEventListener("load", () => {
      const object = parsed(request.responseText);
      if (request.status === 201 && object?.url) resolve(object);
      else if (SIGNED_OUT.has(request.status)) fail("You've been signed out.", { isSignedOut: true });
      else fail(object?.error ?? sentence(request));
    });
  });
  const form = new FormData();
  form.append("name", file.name); // unchanged: browsers escape quotes and line ends in a multipart file name
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
    return null; // a page instead of JSON: of a proxy, or the sign-in page
  }
}

function sentence({ status }) {
  if (status === 507) return "The server's disk is full. Try again later.";
  if (status === 413) return "This file is larger than the server allows.";
  if (status >= 500) return "Something went wrong while processing this file. Try again; if it keeps happening, contact your administrator.";
  return `The server refused the file (${status}).`;
}
