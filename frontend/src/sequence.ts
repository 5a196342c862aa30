/** Which MR sequence an image is, by the network and by the words of its header: `tumorlens/inference/sequence.py`. */
import type { SequenceAnswer } from "./types";

/** Probability from which the network's word on the sequence is relied on. */
const KNOWN_FROM = 0.8;
const CONTRAST = /\+\s?c\b|\bce\b|t1ce|t1c\b|t1gd|\bgd\b|gado|\bkm\b|\bpost\b|contrast|enhanced/i;
const WITHOUT = /\bpre\b|without|\bnon[- ]?contrast|unenhanced|-c\b/i;
const FLAIR = /flair|dark[- _]?fluid|tirm/i;
const T1 = /(?<![a-z0-9])t1(?![0-9])|mp2?rage|bravo|spgr|t1w/i;
const T2 = /(?<![a-z0-9])t2(?![0-9*])|t2w/i;
const T2_STAR = /t2\*|t2[-_ ]?star|swi|swan/i;

/** Null where the words are not plain. */
export function sequenceOfWords(description: string, sequenceName: string, contrastAgent: string): string | null {
  const words = [description, sequenceName].filter(Boolean).join(" ");
  if (T2_STAR.test(words)) return "other";
  if (FLAIR.test(words)) return "FLAIR";
  if (T1.test(words) === T2.test(words)) return null;
  if (T2.test(words)) return "T2";
  const hasContrast = contrastAgent !== "" || CONTRAST.test(words);
  return hasContrast && !WITHOUT.test(words) ? "T1CE" : "T1";
}

/** The sequence to rely on; null where network and header contradict each other. */
export function knownSequence(told: SequenceAnswer | null, stated: string | null = null): string | null {
  if (told === null || told.probability < KNOWN_FROM) return stated;
  return stated === null || stated === told.name ? told.name : null;
}
