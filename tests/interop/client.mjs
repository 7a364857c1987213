// Runs AWS's SDK for JavaScript as its documents show it, for `test_javascript.py`.
// Reads a list of jobs from standard input and writes a list of outcomes to standard output, both as JSON.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

// The SDK is not beside this file: `make interop` installs it in a folder that git ignores.
const sdk = createRequire(process.argv[2] + "/")("@aws-sdk/client-transcribe-streaming");

// Yields audio no faster than `bytesPerSecond`, as a microphone does.
async function* audio({ pcm, chunkBytes, bytesPerSecond, emptyEvent }) {
  const bytes = readFileSync(pcm);
  const begin = performance.now();
  for (let place = 0; place < bytes.length; place += chunkBytes) {
    await sleep(Math.max(0, begin + (place / bytesPerSecond) * 1000 - performance.now()));
    yield { AudioEvent: { AudioChunk: bytes.subarray(place, place + chunkBytes) } };
  }
  if (emptyEvent) {
    yield { AudioEvent: { AudioChunk: new Uint8Array(0) } };
  }
}

async function transcribe(client, job) {
  const outcome = { events: [] };
  try {
    const command = new sdk.StartStreamTranscriptionCommand({ ...job.options, AudioStream: audio(job) });
    const { TranscriptResultStream, $metadata, ...answer } = await client.send(command);
    outcome.answer = answer;
    for await (const event of TranscriptResultStream) {
      outcome.events.push(event);
    }
  } catch (error) {
    outcome.error = {
      name: error.name,
      message: error.message,
      status: error.$metadata?.httpStatusCode ?? null,
      isModelled: typeof sdk[error.name] === "function" && error instanceof sdk[error.name],
    };
  }
  return outcome;
}

async function run(job) {
  const client = new sdk.TranscribeStreamingClient(job.config ?? {});
  try {
    const outcomes = [];
    for (let count = 0; count < (job.times ?? 1); count += 1) {
      outcomes.push(await transcribe(client, job));
    }
    return outcomes;
  } finally {
    client.destroy();
  }
}

const jobs = JSON.parse(readFileSync(0, "utf8"));
const outcomes = jobs === "languages" ? Object.values(sdk.LanguageCode) : (await Promise.all(jobs.map(run))).flat();
process.stdout.write(JSON.stringify(outcomes));
