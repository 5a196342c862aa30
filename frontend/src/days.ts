/** Days of the calendar, as DICOM writes them: YYYYMMDD. */
const DAY_MS = 86_400_000;

/** Days since 1970; NaN for what is no day. */
export function dayNumber(day: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)$/.exec(day);
  return parts ? Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T00:00:00Z`) / DAY_MS : NaN;
}
