/**
 * Whether groups of digits are a phone number as people of some country write it, without the code of the country. Numbers
 * of the plan of each country, from libphonenumber.
 */
import { type CountryCode, getCountries, Metadata, parsePhoneNumberFromString } from 'libphonenumber-js/max';

/** Countries by the lengths of the groups in which they write numbers, such as `3-3-4`; made when first asked for. */
let countries: Map<string, CountryCode[]> | undefined;

/** A number that was looked up is likely to be asked for again: the same record has it in several fields. */
const known = new Map<string, boolean>();
const MOST_KNOWN = 10_000;

/** @param groups digits only; the first may begin with the 0 of a trunk call */
export function isNationalNumber(groups: readonly string[]): boolean {
  const lengths = groups.map((group) => group.length);
  const withoutTrunk = groups[0]?.startsWith('0') ? [(lengths[0] ?? 0) - 1, ...lengths.slice(1)] : lengths;
  countries ??= countriesByGroups();
  const writers = countries.get(withoutTrunk.join('-'));
  if (!writers) return false;
  const digits = groups.join('');
  const key = `${digits} ${withoutTrunk.join('-')}`;
  const answer = known.get(key) ?? writers.some((country) => isValidIn(country, digits));
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(key, answer);
  return answer;
}

function isValidIn(country: CountryCode, digits: string): boolean {
  const number = parsePhoneNumberFromString(digits, country);
  // A number that begins like an international call may be read as one of another country.
  return number !== undefined && number.country === country && number.isValid();
}

/** The library's types leave it out; a test of numbers of many countries would notice its end. */
type WithFormats = { formats(): { pattern(): string }[] };

function countriesByGroups(): Map<string, CountryCode[]> {
  const found = new Map<string, CountryCode[]>();
  for (const country of getCountries()) {
    const metadata = new Metadata();
    metadata.selectNumberingPlan(country);
    const patterns = (metadata.numberingPlan as unknown as WithFormats).formats().map((format) => format.pattern());
    for (const lengths of new Set(patterns.flatMap(lengthsOf)))
      found.set(lengths, [...(found.get(lengths) ?? []), country]);
  }
  return found;
}

/** `(\d{2})(\d{3,4})` writes `2-3` and `2-4`; what is no list of groups, none. */
function lengthsOf(pattern: string): string[] {
  if (!/^(?:\(\\d(?:\{\d+(?:,\d+)?\})?\))+$/.test(pattern)) return [];
  let lengths = [''];
  for (const [, least = '1', most = least] of pattern.matchAll(/\(\\d(?:\{(\d+)(?:,(\d+))?\})?\)/g)) {
    const choices = Array.from({ length: Number(most) - Number(least) + 1 }, (_, n) => Number(least) + n);
    lengths = lengths.flatMap((before) =>
      choices.map((choice) => (before === '' ? `${choice}` : `${before}-${choice}`)),
    );
  }
  // One group alone is a bare number: an id, a count.
  return lengths.filter((one) => one.includes('-'));
}
