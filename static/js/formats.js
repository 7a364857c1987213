/* Durations, moments, sizes and labels as text. No DOM and no clock: callers pass the current time.

   `uploads/templatetags/formats.py` has the same functions for pages and the admin. The tests of both compare them with
   one table, `tests/format_examples.py`. */

const MINUTE = 60;
const HOUR = 3600;
const SIZE_UNITS = ["bytes", "KB", "MB", "GB", "TB"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export const STATUS_WORDS = {
  queued: "Queued",
  running: "Transcribing",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

/* A duration or a position in a recording, for lists and players: 0:07, 12:03, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  return hours ? `${hours}:${two(minutes)}:${two(whole % MINUTE)}` : `${minutes}:${two(whole % MINUTE)}`;
}

/* A measured duration for a sentence: 0.4 s, 44 s, 3 min 20 s, 44 min, 1 h 20 min. */
export function inWords(seconds) {
  if (seconds < 10) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < 10 * MINUTE) return joined(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  return hoursAndMinutes(Math.round(whole / MINUTE));
}

/* A predicted duration, rounded to its likely precision: a few seconds, about 12 min, about 1 h 20 min. */
export function estimate(seconds) {
  if (seconds < 7.5) return "a few seconds";
  if (seconds < 55) return `about ${Math.round(seconds / 5) * 5} s`;
  const minutes = Math.max(1, Math.round(seconds / MINUTE));
  return `about ${hoursAndMinutes(minutes < 60 ? minutes : Math.round(minutes / 5) * 5)}`;
}

function hoursAndMinutes(minutes) {
  return minutes < 60 ? `${minutes} min` : joined(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

function joined(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

function two(number) {
  return String(number).padStart(2, "0");
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/* A number of bytes in steps of 1,024, as file managers show it: 512 bytes, 1.5 KB, 100 MB. */
export function size(number) {
  let unit = 0;
  let value = number;
  while (unit < SIZE_UNITS.length - 1 && Math.round(value) >= 1024) {
    value /= 1024;
    unit += 1;
  }
  if (unit === 0) return number === 1 ? "1 byte" : `${number} bytes`;
  return `${value < 10 ? Math.round(value * 10) / 10 : Math.round(value)} ${SIZE_UNITS[unit]}`;
}

/* A point in time in the reader's zone, as seen at `now`: today 09:25, yesterday 18:02, 14 Nov 10:10,
   14 Nov 2025 10:10. */
export function moment(date, now) {
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (date.toDateString() === now.toDateString()) return `today ${time}`;
  if (date.toDateString() === yesterday.toDateString()) return `yesterday ${time}`;
  const day = `${date.getDate()} ${MONTHS[date.getMonth()]}`;
  return date.getFullYear() === now.getFullYear() ? `${day} ${time}` : `${day} ${date.getFullYear()} ${time}`;
}

const KINDS_OF_PERSONAL_DATA = { PII: "Personal data", PIN: "PIN", SSN: "Social security number" };

/* The label of a kind of personal data: CREDIT_DEBIT_NUMBER is "Credit debit number". */
export function personalData(kind) {
  const words = kind.replaceAll("_", " ");
  return KINDS_OF_PERSONAL_DATA[kind] ?? words[0].toUpperCase() + words.slice(1).toLowerCase();
}

/* The label of a channel of the recording: ch_0 is "Channel 1". */
export function channelName(channel) {
  const number = /^ch_(\d+)$/.exec(channel ?? "")?.[1];
  return number === undefined ? (channel ?? "") : `Channel ${Number(number) + 1}`;
}
