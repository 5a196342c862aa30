/** "inferno", even in lightness: it reads in print and to the colour-blind. */
const STOPS = [
  [0, 0, 4], [32, 12, 74], [87, 16, 110], [138, 34, 106], [188, 55, 84],
  [228, 90, 49], [249, 142, 9], [249, 203, 53], [252, 255, 164],
];

/** 256 colours, three bytes each. */
export const HEAT = Uint8Array.from({ length: 256 * 3 }, (_, at) => {
  const position = (Math.floor(at / 3) / 255) * (STOPS.length - 1);
  const before = Math.min(STOPS.length - 2, Math.floor(position));
  const share = position - before;
  return Math.round(STOPS[before][at % 3] * (1 - share) + STOPS[before + 1][at % 3] * share);
});
