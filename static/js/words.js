/* Numbers in people's words. Pure: no DOM, no clock of its own. */

const MINUTE = 60;
const HOUR = 3600;
const DAY_MS = 86_400_000;

export const STATUS_WORDS = {
  queued: "Queued",
  running: "Running",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
};

/* A place in a recording: 0:07, 12:03, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / HOUR);
  const minutes = Math.floor((whole % HOUR) / MINUTE);
  return hours ? `${hours}:${two(minutes)}:${two(whole % MINUTE)}` : `${minutes}:${two(whole % MINUTE)}`;
}

/* How long something is: 44 s, 3 min 20 s, 44 min, 1 h 20 min. */
export function length(seconds) {
  if (seconds < 10) return `${Math.max(0, Math.round(seconds * 10) / 10)} s`;
  const whole = Math.round(seconds);
  if (whole < MINUTE) return `${whole} s`;
  if (whole < 10 * MINUTE) return joined(Math.floor(whole / MINUTE), "min", whole % MINUTE, "s");
  const minutes = Math.round(whole / MINUTE);
  if (minutes < 60) return `${minutes} min`;
  return joined(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

function joined(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/* A remaining time, rounded to what an estimate can know. */
export function left(seconds) {
  if (seconds < 7.5) return "a few seconds left";
  if (seconds < 55) return `about ${Math.round(seconds / 5) * 5} s left`;
  const minutes = Math.max(1, Math.round(seconds / MINUTE));
  if (minutes < 60) return `about ${minutes} min left`;
  return `about ${joined(Math.floor(minutes / 60), "h", Math.round((minutes % 60) / 5) * 5, "min")} left`;
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/* Bytes as file managers show them, in steps of 1,024 like Django's filesizeformat. */
export function bytes(number) {
  const units = ["bytes", "KB", "MB", "GB"];
  let unit = 0;
  let value = number;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

/* A moment on the reader's own clock: "today, 9:25", "yesterday, 18:02", "14 Nov, 10:10", "14 Nov 2025". */
export function moment(date, now) {
  const time = date.toLocaleTimeString(undefined, { hour: "numeric", minute: "2-digit" });
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const daysAgo = Math.ceil((midnight - date) / DAY_MS);
  if (daysAgo === 0 && date <= now) return `today, ${time}`;
  if (daysAgo === 1) return `yesterday, ${time}`;
  const day = { day: "numeric", month: "short" };
  if (date.getFullYear() === now.getFullYear()) return `${date.toLocaleDateString(undefined, day)}, ${time}`;
  return date.toLocaleDateString(undefined, { ...day, year: "numeric" });
}

const KINDS_OF_PERSONAL_DATA = { PII: "Personal data", PIN: "PIN", SSN: "Social security number" };

/* A kind of personal data as people say it: CREDIT_DEBIT_NUMBER is "Credit debit number". */
export function personalData(kind) {
  const words = kind.replaceAll("_", " ");
  return KINDS_OF_PERSONAL_DATA[kind] ?? words[0].toUpperCase() + words.slice(1).toLowerCase();
}

/* A channel of the recording: ch_0 is "Channel 1". */
export function channelName(channel) {
  const number = /^ch_(\d+)$/.exec(channel ?? "")?.[1];
  return number === undefined ? (channel ?? "") : `Channel ${Number(number) + 1}`;
}
