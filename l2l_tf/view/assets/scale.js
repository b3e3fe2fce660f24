// The axis of gradients: linear within ±threshold, logarithmic beyond, as the optimizer sees them.

// Where a number stands on the axis; a threshold of 0 leaves it as it is.
export function position(value, threshold) {
  if (!threshold) return value;
  const size = Math.abs(value) / threshold;
  return Math.sign(value) * (size <= 1 ? size : 1 + Math.log(size));
}

// Where to write which numbers, from -limit to limit: {tickvals, ticktext}.
export function ticks(limit, threshold) {
  const first = Math.ceil(Math.log10(threshold) + 1e-9);
  const last = Math.floor(Math.log10(limit) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / 4));
  const powers = [];
  for (let power = last; power >= first; power -= every) powers.push(power);
  const shown = powers.map((power) => [10 ** power, powerOfTen(power)]);
  if (!shown.length) shown.push([limit, written(limit)]); // all of the axis is linear
  const sides = shown.flatMap(([size, text]) => [[-size, `−${text}`], [size, text]]);
  return {
    tickvals: [0, ...sides.map(([value]) => position(value, threshold))],
    ticktext: ["0", ...sides.map(([, text]) => text)],
  };
}

function powerOfTen(power) {
  if (power >= -2 && power <= 3) return String(+(10 ** power).toPrecision(1));
  return `10<sup>${String(power).replace("-", "−")}</sup>`;
}

// Where to write which losses on a logarithmic axis: 1, 2 and 5 times the powers of ten.
export function ticksOfLosses(low, high) {
  const values = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    values.push(...[1, 2, 5].map((digit) => +`${digit}e${power}`));
  }
  const shown = values.filter((value) => value >= low && value <= high);
  return { tickvals: shown, ticktext: shown.map(String) };
}

// A number in three digits, as people write it.
export function written(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "not finite";
  const size = Math.abs(value);
  if (!size) return "0";
  const isFar = size < 1e-3 || size >= 1e5;
  const text = isFar ? value.toExponential(2) : size >= 100 ? value.toFixed(0) : value.toPrecision(3);
  return text.replace("-", "−").replace("e-", "e−");
}

// The e^-p whose p the slider begins with: just below the gradients that were swept, or seen.
export function usualP(gradients) {
  const sizes = gradients.map(Math.abs).filter((size) => size > 0);
  const p = Math.ceil(-Math.log(Math.min(...sizes, 1)));
  return Math.min(20, Math.max(0, p));
}
